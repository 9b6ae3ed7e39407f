"""Xie2018: against the original's numbers, its public file, a step of training, labels, rates, bad input."""

import logging
from dataclasses import replace

import pytest
import torch
from parity import filled, fixture, keys
from timm.optim import create_optimizer_v2
from torch.nn.functional import cross_entropy, interpolate
from words import VOCABULARY, batch_of, moved, vocabulary_file

import models
from models.layers.color_bins import ClassBalance, gamut_bins
from models.restore import authors_of, restore
from models.text import CaptionTokenizer, Words
from models.xie2018.system import SHARPNESS
from utils.errors import InputError

TINY = {"img_size": 16, "width": 4, "word_width": 6, "hidden": 5, "limit": 7, "classes": 9}


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    shapes = {name: [200 if n == "vocabulary" else n for n in shape] for name, shape in keys("xie2018").items()}
    caption = {name: shape for name, shape in shapes.items() if name.startswith(("film", "caption_encoder"))}
    path = tmp_path_factory.mktemp("xie2018") / "words.txt"
    path.write_text("\n".join(f"word{n}" for n in range(200)))
    return filled(shapes, 1.4) | filled(caption, 2.2), str(path)


@torch.no_grad()
def test_it_is_the_original(public):
    held = fixture("xie2018")
    system = restore("file", public[0], vocabulary=public[1])[0].eval()
    network, seen = system.network, {}
    for place in (0, 1, 3):
        layer = getattr(network, f"film{place}")

        def keep(image, caption, place=place, attention=layer.attention):
            return seen.setdefault(place, attention(image, caption))

        layer.attention = keep
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    picture = (held["gray_rgb"].permute(0, 3, 1, 2) / 255 - mean) / deviation
    mask = torch.arange(20) < held["lengths"][:, None]
    output = network(picture, Words(held["word_ids"], mask))
    for place, attention in seen.items():
        torch.testing.assert_close(attention[:, 0], held[f"attention{place}"], atol=1e-4, rtol=0)
    logits = output.logits.permute(0, 2, 3, 1)[:, ::2, ::2, ::5]
    torch.testing.assert_close(logits, held["logits"], atol=1e-4, rtol=0)
    labels = network.segnet(output.features).permute(0, 2, 3, 1)[:, ::2, ::2, ::5]
    torch.testing.assert_close(labels, held["labels"], atol=2e-4, rtol=0)
    ab = system.bins.decode(output.logits, SHARPNESS)
    torch.testing.assert_close(ab.permute(0, 2, 3, 1), held["ab"], atol=1e-3, rtol=0)
    resized = interpolate(ab, (96, 112), mode="bicubic").permute(0, 2, 3, 1)[:, ::3, ::3]
    torch.testing.assert_close(resized, held["ab_resized"], atol=2e-3, rtol=0)


def test_the_public_file_is_whole_or_refused(public):
    content, vocabulary = public
    assert authors_of(content) == models.XIE2018
    with pytest.raises(InputError, match=r"1 missing .first: film0.dense.bias"):
        restore("file", {name: t for name, t in content.items() if name != "film0.dense.bias"}, vocabulary=vocabulary)
    with pytest.raises(InputError, match="vectors of 200 words, and --vocabulary 9 words"):
        restore("file", content, vocabulary=vocabulary_file())


def tiny(**numbers) -> models.System:
    torch.manual_seed(0)
    config = models.config_of(models.XIE2018, vocabulary_size=len(VOCABULARY), **TINY | numbers)
    return models.system_of(models.XIE2018)(models.XIE2018, config, CaptionTokenizer.of_words(VOCABULARY, 7))


def test_a_step_moves_what_learns(caplog):
    system = tiny(learn_words=True)
    batch = batch_of(system, 16, ["a red car and a blue bus", "green car"], labels=True)
    losses, still = moved(system, batch)
    assert not still
    torch.testing.assert_close(losses["total"], 2 * losses["bins"] + losses["labels"])
    system.zero_grad()
    system(batch)["labels"].backward()
    assert system.network.unet.pretrained_vgg_22[0].weight.grad.any()  # the side task teaches the features
    assert not tiny().network.caption_encoder.embedding.weight.requires_grad
    with caplog.at_level(logging.WARNING):
        losses, still = moved(system := tiny(), replace(batch, labels=None))
    assert losses["labels"] == 0 and all(name.startswith("network.segnet.") for name in still)
    assert [record.message for record in caplog.records] == [
        "no labels of the pixels are there: the segmentation, a side task, does not learn"
    ]
    assert all(parameter.grad is not None for parameter in system.network.segnet.parameters())


def test_a_class_beyond_the_model_s_is_named():
    system = tiny(classes=8)
    batch = batch_of(system, 16, ["red car", "green car"], labels=True)
    with pytest.raises(InputError, match=r"0.png: its map of labels has class 8; this model knows 0 to 7"):
        system.begin_update([batch], torch.device("cpu"))


def test_the_backbone_learns_slower():
    system = tiny()
    optimizer = create_optimizer_v2(system, opt="adam", lr=1.0, layer_decay=0.1)
    scales = {p: group["lr_scale"] for group in optimizer.param_groups for p in group["params"]}
    unet = system.network.unet
    parts = {unet.pretrained_vgg_22[0]: 0.01, unet.pretrained_vgg_32[1]: 0.1, unet.classifier: 1.0}
    parts[system.network.caption_encoder.lstm] = 1.0
    for part, scale in parts.items():
        assert [scales[p] for p in part.parameters()] == pytest.approx([scale] * len(list(part.parameters())))


def test_labels_are_balanced_and_ignored():
    balance, logits = ClassBalance(3).train(), torch.randn(1, 3, 1, 4)
    labels = torch.tensor([[[0, 0, 2, 255]]])
    common, rare = 1 / (0.5 * 2 / 3 + 0.25), 1 / (0.5 / 3 + 0.25)
    mean = (2 * common + rare) / 3
    per_pixel = cross_entropy(logits[..., :3], labels[..., :3], reduction="none")
    wanted = (per_pixel * torch.tensor([common, common, rare])).mean() / mean
    torch.testing.assert_close(balance.labels_loss(logits, labels, 255), wanted)
    assert balance.labels_loss(logits, torch.full_like(labels, 255), 255) == 0 and balance.counts.tolist() == [2, 0, 1]


def test_there_are_313_bins():
    centers = gamut_bins()
    assert centers.shape == (313, 2) and centers[0].tolist() == [-90, 50] and len(centers.unique(dim=0)) == 313
    assert (centers.tolist()) == sorted(centers.tolist())


def test_training_changes_the_light_and_use_does_not():
    system = tiny()
    gray = torch.linspace(-0.5, 0.5, 16).view(1, 1, 4, 4).expand(3, 1, 4, 4)
    changed = system._jittered(gray)
    assert (changed - gray).abs().max() <= 0.2 + 0.05 and (changed.mean(dim=(1, 2, 3)).abs() <= 0.2).all()
    assert len(changed.mean(dim=(1, 2, 3)).unique()) == 3
    batch = batch_of(system.eval(), 16, ["red car"])
    assert torch.equal(system.colorize(batch).ab, system.colorize(batch).ab)
