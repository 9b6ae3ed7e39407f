"""Recolouring: the named region and the word change, the rest stays."""

import numpy as np
import pytest
import torch
from conftest import write_data

from datasets.captioned_images import Augmentation, CaptionedImages
from datasets.recolor import LARGEST, STRENGTH, find_region, recolor
from datasets.scene_palette import PALETTE
from utils import color

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
    return color.rgb_to_lab(rgb[None].double() / 255)[0, 1:]


def outcomes(rgb, caption, draws=40):
    return [found for seed in range(draws) if (found := recolor(rgb, caption, np.random.default_rng(seed)))]


def test_the_named_thing_and_its_word_take_another_colour_and_the_rest_stays():
    rgb = picture(("red", 5, 20, 5, 25), ("green", 25, 35, 30, 45))
    found = outcomes(rgb, "a Red box on a white table")
    assert len(found) > 30  # not where the gamut or the strength is exceeded
    new_words = set()
    for changed, caption in found:
        (word,) = set(caption.split()) - {"a", "Red", "box", "on", "white", "table"}
        new_words.add(word)
        assert word in PALETTE and word != "red" and caption == f"a {word} box on a white table"
        inside, center = ab_of(changed)[:, 8:17, 8:22].mean(dim=(1, 2)), torch.tensor(PALETTE[word]).double()
        cosine = torch.dot(inside, center) / inside.norm() / center.norm()
        assert cosine > 0.97 and inside.norm() < 1.02 * STRENGTH[1] * center.norm()
        assert torch.equal(changed[:, 24:, :], rgb[:, 24:, :])  # the green box is not named
        assert (color.luminance(changed[None].double() / 255)[0, 0, 8:17, 8:22] - L).abs().mean() < 4
    assert len(new_words) >= 6


def test_all_that_has_the_colour_goes_with_all_of_its_words():
    rgb = picture(("blue", 5, 20, 5, 20), ("blue", 22, 35, 30, 45))
    for changed, caption in outcomes(rgb, "a blue ball and a blue cup", 10):
        one, two, three, four, five, six, seven = caption.split()
        assert two == six != "blue" and (one, three, four, five, seven) == ("a", "ball", "and", "a", "cup")
        first, second = ab_of(changed)[:, 8:17, 8:17].mean(dim=(1, 2)), ab_of(changed)[:, 25:32, 33:42].mean(dim=(1, 2))
        torch.testing.assert_close(first, second, atol=1.5, rtol=0)


@pytest.mark.parametrize(
    ("caption", "patches"),
    [
        ("two dogs run", [("red", 5, 20, 5, 25)]),  # no colour
        ("a crimson box", [("red", 5, 20, 5, 25)]),  # not its plain word
        ("a white box", [("red", 5, 20, 5, 25)]),  # nothing to turn
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
    asked = []
    monkeypatch.setattr(
        "datasets.captioned_images.recolor",
        lambda rgb, caption, draw: asked.append(caption) or (255 - rgb, "a tan cat"),
    )
    plain = CaptionedImages(data, "train", 16, Augmentation((0.5, 1.0), 0.0, counter=True))
    often = CaptionedImages(data, "train", 16, Augmentation((0.5, 1.0), 0.0, counter=True, recolor=0.5))
    pairs = [(plain[i], often[i]) for i in range(40)]
    changed = [b for a, b in pairs if not torch.equal(a.rgb, b.rgb)]
    assert len(changed) == len(asked) and 10 <= len(asked) <= 30
    assert all(sample.caption == "a tan cat" and sample.counter_caption != "a tan cat" for sample in changed)
    dropped = CaptionedImages(data, "train", 16, Augmentation((0.5, 1.0), 0.0, True, caption_dropout=1.0, recolor=1.0))
    asked.clear()
    assert [dropped[i].name for i in range(4)] and asked == [""] * 4
