"""utils/devices.py: where and by what the work is done."""

import copy

import torch
from torch import nn

from models import PHOTOS_MODEL, create_model
from models.text_encoder import CaptionTokenizer
from utils import devices


def test_linear_maps_by_onednn_give_the_same_colours_under_the_same_names():
    torch.manual_seed(0)
    network = create_model(PHOTOS_MODEL, depth=1, image_depth=1).eval().requires_grad_(False)
    words = CaptionTokenizer.from_vocabulary()(["a red ball", "a blue cup on a green box"])
    gray = torch.rand(2, 1, 112, 112)
    expected, before = network(gray, words), copy.deepcopy(network.state_dict())
    devices.linear_by_onednn(network)
    replaced = {name for name, module in network.named_modules() if type(module).__name__ == "_LinearByOneDNN"}
    assert "image_encoder.vit.blocks.0.mlp.fc1" in replaced and "language_head" not in replaced
    assert "text_encoder.encoder.encoder.layer.0.intermediate.dense" in replaced
    given = network(gray, words)
    torch.testing.assert_close(given.ab, expected.ab, rtol=0, atol=1e-5)
    after = network.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(after[name], before[name]) for name in before)
    torch.compiler.reset()
    traced = torch.compile(network, backend="eager", fullgraph=True)(gray, words)
    torch.testing.assert_close(traced.ab, expected.ab, rtol=0, atol=1e-5)


def test_weights_kept_in_bf16_give_the_same_numbers():
    torch.manual_seed(0)
    network = create_model(PHOTOS_MODEL, depth=1, image_depth=1).eval().requires_grad_(False)
    words, gray = (
        CaptionTokenizer.from_vocabulary()(["a red ball", "a blue cup on a green box"]),
        torch.rand(2, 1, 112, 112),
    )
    before = copy.deepcopy(network.state_dict())
    with devices.autocast(torch.device("cpu"), "bf16"):
        expected = network(gray, words)
        devices.linear_by_onednn(network, "fp16")
        assert not [module for module in network.modules() if type(module).__name__ == "_LinearByOneDNN"]
        devices.linear_by_onednn(network, "bf16")
        given = network(gray, words)
        torch.compiler.reset()
        traced = torch.compile(network, backend="eager", fullgraph=True)(gray, words)
    kept = [module.kept for module in network.modules() if type(module).__name__ == "_LinearByOneDNN"]
    assert all(kept) and bool(kept) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert torch.equal(given.ab, expected.ab) and torch.equal(traced.ab, expected.ab)
    after = network.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(after[name], before[name]) for name in before)


def test_onednn_is_what_computes_them(monkeypatch):
    network = nn.Sequential(nn.Linear(1024, 512), nn.Linear(512, 4)).requires_grad_(False)
    x = torch.rand(3, 2, 1024)
    expected, calls = network(x), []
    devices.linear_by_onednn(network)
    product = torch.ops.mkldnn._linear_pointwise
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda *inputs: calls.append(1) or product(*inputs))
    torch.testing.assert_close(network(x), expected)
    assert calls == [1]  # the second is small
