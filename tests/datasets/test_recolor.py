"""Recolouring: the named region and the word change, in two ways, and the rest stays."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import write_data

from datasets import build_train_loader
from datasets.batch import Collate
from datasets.captioned_images import CaptionedImages
from datasets.captioned_options import CaptionedOptions
from datasets.recolor import LARGEST, STRENGTH, Recolored, find_region, recolor
from datasets.scenes.palette import PALETTE
from models.text import CaptionTokenizer
from utils import color

COUNTER = frozenset({"counter"})

H, W = 40, 50
L = 55.0


def picture(*patches):
    """A gray picture (3, H, W) uint8 with a rectangle (top, bottom, left, right) of each palette colour named."""
    lab = torch.zeros(1, 3, H, W)
    lab[:, 0] = L
    for name, top, bottom, left, right in patches:
        lab[0, 1:, top:bottom, left:right] = torch.tensor(PALETTE[name])[:, None, None] * 0.8
    return color.to_uint8(color.lab_to_rgb(lab), rounded=True)[0]


def ab_of(rgb):
    """(2, H, W), CIE units."""
    return color.rgb_to_lab(rgb[None].double() / 255)[0, 1:]


def outcomes(rgb, caption, draws=40):
    return [found for seed in range(draws) if (found := recolor(rgb, caption, np.random.default_rng(seed)))]


def test_the_named_thing_and_its_word_take_two_other_colours_and_the_rest_stays():
    rgb = picture(("red", 5, 20, 5, 25), ("green", 25, 35, 30, 45))
    found = outcomes(rgb, "a Red box on a white table")
    assert len(found) == 40
    new_words = set()
    for recolored in found:
        strengths = []
        for ab, caption in zip(color.denormalize_ab(recolored.ab).double(), recolored.captions, strict=True):
            (word,) = set(caption.split()) - {"a", "Red", "box", "on", "white", "table"}
            new_words.add(word)
            assert word in PALETTE and word != "red" and caption == f"a {word} box on a white table"
            inside, center = ab[:, 8:17, 8:22].mean(dim=(1, 2)), torch.tensor(PALETTE[word]).double()
            strengths.append(inside.norm() / center.norm())
            assert torch.dot(inside, center) / inside.norm() / center.norm() > 0.999
            torch.testing.assert_close(ab[:, 24:, :], ab_of(rgb)[:, 24:, :], atol=0.2, rtol=0)  # green is not named
        assert STRENGTH[0] - 0.01 < strengths[0] < STRENGTH[1] + 0.01
        torch.testing.assert_close(*strengths, atol=0.01, rtol=0)
        assert recolored.captions[0] != recolored.captions[1]
    assert new_words == set(PALETTE) - {"red"}


def test_all_that_has_the_colour_goes_with_all_of_its_words():
    rgb = picture(("blue", 5, 20, 5, 20), ("blue", 22, 35, 30, 45))
    for recolored in outcomes(rgb, "a blue ball and a blue cup", 10):
        for ab, caption in zip(color.denormalize_ab(recolored.ab), recolored.captions, strict=True):
            one, two, three, four, five, six, seven = caption.split()
            assert two == six != "blue" and (one, three, four, five, seven) == ("a", "ball", "and", "a", "cup")
            first, second = ab[:, 8:17, 8:17].mean(dim=(1, 2)), ab[:, 25:32, 33:42].mean(dim=(1, 2))
            torch.testing.assert_close(first, second, atol=0.5, rtol=0)


@pytest.mark.parametrize(
    ("caption", "patches"),
    [
        ("two dogs run", [("red", 5, 20, 5, 25)]),  # no colour
        ("a crimson box", [("red", 5, 20, 5, 25)]),  # not its plain word
        ("a white box", [("red", 5, 20, 5, 25)]),  # nothing to turn
        (" ".join(list(PALETTE)[:9]), [("red", 5, 20, 5, 25)]),  # one colour is left
        ("a red box", [("green", 5, 20, 5, 25)]),  # not to be seen
        ("a red box", [("red", 5, 7, 5, 8)]),  # hardly to be seen
        ("a red sky", [("red", 0, H, 0, W)]),  # most of the picture
    ],
)
def test_what_is_left_alone(caption, patches):
    assert outcomes(picture(*patches), caption, 5) == []


def test_small_specks_are_not_the_thing():
    ab = np.zeros((H, W, 2), np.float32)
    ab[5:20, 5:20] = ab[30:33, 40:43] = PALETTE["purple"]
    region = find_region(ab, "purple")
    assert region[5:20, 5:20].all() and region.sum() == 15 * 15
    ab[:, : int(W * LARGEST) + 10] = PALETTE["purple"]
    assert find_region(ab, "purple") is None


def test_a_data_set_recolours_as_often_as_asked_and_never_an_unnamed_colour(tmp_path, monkeypatch):
    data = write_data(tmp_path / "data", {"train": 40})
    asked, told = [], Recolored(torch.rand(2, 2, 16, 16), ("a tan cat", "a pink cat"))
    monkeypatch.setattr(
        "datasets.captioned_images.recolor", lambda rgb, caption, draw, regions: asked.append(caption) or told
    )
    plain = CaptionedImages(data, "train", 16, CaptionedOptions((0.5, 1.0), 0.0), inputs=COUNTER)
    often = CaptionedImages(data, "train", 16, CaptionedOptions((0.5, 1.0), 0.0, recolor=0.5), inputs=COUNTER)
    pairs = [(plain[i], often[i]) for i in range(40)]
    changed = [b for _, b in pairs if b.recolored is not None]
    assert len(changed) == len(asked) and 10 <= len(asked) <= 30
    assert all((sample.caption, sample.counter_caption) == told.captions for sample in changed)
    assert all(torch.equal(a.rgb, b.rgb) for a, b in pairs)  # its gray is the photograph's own
    lonely = CaptionedImages(data, "train", 16, CaptionedOptions((0.5, 1.0), 0.0, recolor=1.0))[0]
    assert lonely.caption == "a tan cat" and lonely.counter_caption is None
    dropping = CaptionedOptions((0.5, 1.0), 0.0, caption_dropout=1.0, recolor=1.0)
    dropped = CaptionedImages(data, "train", 16, dropping, inputs=COUNTER)
    asked.clear()
    assert [dropped[i].name for i in range(4)] and asked == [""] * 4


@pytest.mark.parametrize(
    ("reads", "told"), [(True, "L_word (L-CoIns), which compares"), (False, "captions are not read, so nothing is")]
)
def test_who_cannot_use_it_whole_is_told(reads, told, tmp_path, caplog):
    data, tokenizer = write_data(tmp_path / "data", {"train": 4}), CaptionTokenizer.from_vocabulary() if reads else None
    reader = SimpleNamespace(img_size=16, inputs=frozenset(), tokenizer=tokenizer, training_tokenizer=tokenizer)
    loader = build_train_loader(CaptionedOptions(recolor=1.0), str(data), reader, 4, 0, 0, False)
    assert [told in record.message for record in caplog.records] == [True]
    (batch,) = loader
    assert reads or len(batch.recolored) == 0


def test_a_batch_knows_which_of_its_samples_are_recoloured(tmp_path):
    data = write_data(tmp_path / "data", {"train": 4})
    plain = CaptionedImages(data, "train", 16, CaptionedOptions((0.5, 1.0), 0.0), inputs=COUNTER)
    samples = [plain[i] for i in range(4)]
    pictures = torch.rand(2, 2, 2, 16, 16)
    samples[1], samples[3] = (
        dataclasses.replace(samples[place], recolored=ab) for place, ab in zip((1, 3), pictures, strict=True)
    )
    batch = Collate(CaptionTokenizer.from_vocabulary(), counter=True)(samples).to(torch.device("cpu"))
    assert torch.equal(batch.recolored, pictures) and batch.recolored_at.tolist() == [1, 3] and batch.color_counter
    assert not Collate(CaptionTokenizer.from_vocabulary(), counter=False)(samples).color_counter
    without = Collate(CaptionTokenizer.from_vocabulary(), counter=True)([samples[0], samples[2]])
    assert without.recolored is None and without.recolored_at is None and not without.color_counter
