"""ML2018: against the original's numbers, its public file, a step of training, bad input; colour bins."""

import math

import pytest
import torch
from parity import filled, fixture, keys
from torch.nn.functional import cross_entropy, interpolate
from words import VOCABULARY, batch_of, moved, vocabulary_file

import models
from models.layers.color_bins import ColorBins, grid_bins
from models.ml2018 import BACKBONES, backbone_of
from models.restore import authors_of, restore
from models.text import CaptionTokenizer, Words
from models.weights import load_backbone
from utils import checkpoint
from utils.errors import InputError

TINY = {"img_size": 32, "backbone": "resnet18", "word_width": 6, "hidden": 5, "limit": 7}


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    shapes = {name: [200 if n == "vocabulary" else n for n in shape] for name, shape in keys("ml2018").items()}
    path = tmp_path_factory.mktemp("ml2018") / "words.txt"
    path.write_text("\n".join(f"word{n}" for n in range(200)))
    return filled(shapes, 1.4), {"vocabulary": str(path), "backbone_weights": "random", "backbone": "resnet50"}


@torch.no_grad()
def test_it_is_the_original(public):
    held = fixture("ml2018")
    system = restore("file", *public[:1], **public[1])[0].eval()
    mask = torch.arange(11) < held["lengths"][:, None]
    for align, name in ((True, ""), (False, "_align_corners_false")):
        system.head.align_corners = align
        output = system.head(held["features"], Words(held["word_ids"], mask))
        logits = output.logits.permute(0, 2, 3, 1)[:, ::2, ::2, ::5]
        torch.testing.assert_close(logits, held[f"logits{name}"], atol=1e-4, rtol=0)
        ab = system.bins.decode(output.logits)
        torch.testing.assert_close(ab.permute(0, 2, 3, 1), held[f"ab{name}"], atol=1e-3, rtol=0)
        if align:
            torch.testing.assert_close(output.caption, held["caption"], atol=1e-4, rtol=0)
            torch.testing.assert_close(output.last[:, ::16], held["last"], atol=1e-4, rtol=0)
            size = [4 * side for side in ab.shape[2:]]
            resized = interpolate(ab, size, mode="bicubic").permute(0, 2, 3, 1)[:, ::3, ::3]
            torch.testing.assert_close(resized, held["ab_resized"], atol=2e-3, rtol=0)


def test_the_public_file_is_whole_or_refused(public):
    content, given = public
    assert authors_of(content) == models.ML2018
    with pytest.raises(InputError, match=r"1 missing .first: mod2.bn2.weight"):
        restore("file", {name: t for name, t in content.items() if name != "mod2.bn2.weight"}, **given)
    with pytest.raises(InputError, match="vectors of 200 words, and --vocabulary 9 words"):
        restore("file", content, **given | {"vocabulary": vocabulary_file()})
    with pytest.raises(InputError, match="--backbone_weights is not given"):
        restore("file", content, vocabulary=given["vocabulary"])


def test_a_backbone_file_of_another_network_is_named(tmp_path):
    torch.save(backbone_of("resnet18").state_dict(), tmp_path / "resnet18.pth")
    resnet18 = backbone_of("resnet18")
    assert "tensors from" in load_backbone(resnet18, str(tmp_path / "resnet18.pth"), "resnet18")
    with pytest.raises(
        InputError, match=r"resnet18.pth: is of another network than resnet50 .*pass a file of resnet50"
    ):
        load_backbone(backbone_of("resnet50"), str(tmp_path / "resnet18.pth"), "resnet50")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(InputError, match="cannot be loaded"):
        load_backbone(resnet18, str(tmp_path / "text.pth"), "resnet18")
    for name, channels in BACKBONES.items():
        if name != "resnet101":
            assert backbone_of(name)(torch.zeros(1, 3, 32, 32)).shape == (1, channels, 4, 4)
    with pytest.raises(InputError, match="--backbone vgg16: unknown; pass one of resnet101"):
        models.config_of(models.ML2018, backbone="vgg16")


@pytest.mark.parametrize("learns", [True, False])
def test_a_step_moves_what_learns(learns):
    torch.manual_seed(0)
    config = models.config_of(models.ML2018, vocabulary_size=len(VOCABULARY), learn_backbone=learns, **TINY)
    system = models.system_of(models.ML2018)(models.ML2018, config, CaptionTokenizer.of_words(VOCABULARY, 7))
    before = {name: tensor.clone() for name, tensor in system.backbone.state_dict().items()}
    losses, still = moved(system, batch_of(system, 32, ["a red car and a blue bus", "green car"]))
    assert not still and losses["total"] > 1
    stood = all(torch.equal(tensor, before[name]) for name, tensor in system.backbone.state_dict().items())
    assert stood != learns
    assert system.bins.counts.sum() == 2 * 2 * 8 * 8  # two steps of two pictures, every fourth pixel


def test_counts_beyond_fp16_are_exported_whole(tmp_path):
    torch.manual_seed(0)
    config = models.config_of(models.ML2018, vocabulary_size=len(VOCABULARY), **TINY)
    system = models.system_of(models.ML2018)(models.ML2018, config, CaptionTokenizer.of_words(VOCABULARY, 7))
    system.bins.counts[3] = 70_001
    system.head.mod1.bn2.num_batches_tracked.fill_(90_001)
    checkpoint.save_weights(tmp_path / "it.safetensors", system.content())
    again, _ = restore("file", checkpoint.read(str(tmp_path / "it.safetensors")))
    assert again.bins.counts[3] == 70_001 and again.head.mod1.bn2.num_batches_tracked == 90_001
    torch.testing.assert_close(again.head.classifier.weight, system.head.classifier.weight.half().float())


def test_bins_are_a_grid():
    centers = grid_bins()
    assert centers.shape == (625, 2) and centers[0].tolist() == [-120, -120] and centers[1].tolist() == [-120, -110]
    bins = ColorBins(centers)
    ab = torch.tensor([34.0, -56.0]).view(1, 2, 1, 1)
    found, distances = bins.nearest(ab, 3)
    assert centers[found[0, 0, 0, 0]].tolist() == [30, -60]
    torch.testing.assert_close(
        distances[0, 0, 0], torch.tensor([4.0, 6.0, 6.0]).square().add_(16.0).sqrt()[:3].sort()[0]
    )


def test_rare_colors_gain_weight():
    bins = ColorBins(grid_bins()).train()
    ab = torch.zeros(1, 2, 1, 10)
    ab[..., 9:] = 50.0  # nine gray pixels and a coloured one
    logits = torch.randn(1, 625, 1, 10)
    loss = bins.loss(logits, ab)
    gray, rare = 1 / (0.5 * 0.9 + 0.5 / 2), 1 / (0.5 * 0.1 + 0.5 / 2)
    mean = 0.9 * gray + 0.1 * rare
    classes = bins.nearest(ab)[0][..., 0]
    per_pixel = cross_entropy(logits, classes, reduction="none")
    weights = torch.tensor([gray] * 9 + [rare]) / mean
    torch.testing.assert_close(loss, (per_pixel * weights).mean())
    bins.eval().loss(logits, ab)
    assert bins.counts.sum() == 10  # not counted again


def test_soft_targets_are_gaussians_of_the_nearest():
    bins = ColorBins(grid_bins())
    ab = torch.tensor([0.0, 5.0]).view(1, 2, 1, 1)  # between two bins
    logits = torch.randn(1, 625, 1, 1)
    likelihood = logits.log_softmax(1)[0, :, 0, 0]
    wanted = -(likelihood[312] + likelihood[313]) / 2
    torch.testing.assert_close(bins.eval().loss(logits, ab, 2), wanted)
    near = ColorBins(torch.tensor([[0.0, 0.0], [0.0, 10.0]]))
    ab = torch.tensor([0.0, 2.0]).view(1, 2, 1, 1)
    share = 1 / (1 + math.exp((4 - 64) / 50))
    logits = torch.tensor([1.0, 2.0]).view(1, 2, 1, 1)
    wanted = -(share * logits.log_softmax(1)[0, 0] + (1 - share) * logits.log_softmax(1)[0, 1]).squeeze()
    torch.testing.assert_close(near.eval().loss(logits, ab, 2), wanted)
    sharp = near.decode(logits, sharpness=100.0)
    torch.testing.assert_close(sharp.flatten(), torch.tensor([0.0, 10.0]))
