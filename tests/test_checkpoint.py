import random

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from utils import checkpoint
from utils.errors import InputError


def test_a_failed_save_leaves_the_former_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint-last.pth"
    checkpoint.save(path, content_of(nn.Linear(3, 2)) | {"step": 1})
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # renamed, not copied

    def full_disk(content, beside):
        beside.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
        checkpoint.save(path, {"format": 1, "step": 2})
    assert checkpoint.read(str(path))["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_file_with_code_in_it_is_refused_and_not_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "run"), "w"))

    torch.save({"format": 1, "model": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(InputError, match="not a readable checkpoint"):
        checkpoint.read(str(tmp_path / "hostile.pth"))
    assert not (tmp_path / "run").exists()


def test_another_program_s_checkpoint_is_refused(tmp_path):
    torch.save({"model": {}}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="not a checkpoint of this program"):
        checkpoint.read(str(tmp_path / "other.pth"))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"weight": torch.zeros(2, 3)}, r"1 missing \(first: bias\)"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "extra": torch.zeros(1)}, r"1 unknown \(first: extra\)"),
        ({"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, r"weight is \(2, 4\), not \(2, 3\)"),
    ],
)
def test_weights_fit_fully_or_not_at_all(weights, message):
    linear = nn.Linear(3, 2)
    before = linear.weight.clone()
    with pytest.raises(InputError, match=message):
        checkpoint.load_fully(linear, weights, "file.pth")
    assert torch.equal(linear.weight, before)


def test_random_states_come_back_through_a_file(tmp_path):
    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()

    torch.save(checkpoint.rng_states(), tmp_path / "rng.pth")
    expected = draw()
    checkpoint.set_rng_states(torch.load(tmp_path / "rng.pth", weights_only=True))
    assert draw() == expected


def test_positions_are_resampled_as_a_picture():
    ramp = torch.linspace(0, 1, 4).repeat(4).reshape(1, 16, 1)  # grows from left to right
    larger = checkpoint.resample_positions(ramp, 64).reshape(8, 8)
    assert (larger.diff(dim=1) > -0.1).all() and larger[:, -1].mean() - larger[:, 0].mean() > 0.9
    torch.testing.assert_close(larger[0], larger[5], atol=1e-4, rtol=0)


def content_of(network):
    return {"format": 1, "architecture": {"model": "m"}, "tokenizer": "{}", "model": network.state_dict(), "ema": None}


def test_a_weights_file_holds_the_network_in_half_precision(tmp_path):
    network = nn.Linear(3, 2)
    averaged = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    path = tmp_path / "small.safetensors"
    checkpoint.save_weights(path, content_of(network) | {"ema": averaged, "optimizer": {}})
    held = checkpoint.read(str(path))
    assert held["architecture"] == {"model": "m"} and held["tokenizer"] == "{}"
    assert held.keys() == {"format", "architecture", "tokenizer", "model", "ema"}
    other = nn.Linear(3, 2)
    checkpoint.load_network(other, str(path), held, averaged=True)
    for name, tensor in other.state_dict().items():
        assert torch.equal(tensor, averaged[name].half().float())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("harm", ["cut", "foreign", "empty"])
def test_a_broken_weights_file_is_an_error_that_names_it(tmp_path, harm):
    path = tmp_path / "small.safetensors"
    checkpoint.save_weights(path, content_of(nn.Linear(3, 2)))
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    elif harm == "foreign":
        save_file({"weight": torch.zeros(2)}, path)
    else:
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"small\.safetensors: not a (readable )?checkpoint"):
        checkpoint.read(str(path))
