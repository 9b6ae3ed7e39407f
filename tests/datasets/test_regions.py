"""Regions of colour words: read, followed through crop and flip, and recoloured one thing at a time."""

import json

import numpy as np
import pytest
import torch
from conftest import write_data
from test_recolor import H, W, ab_of, picture

from datasets.captioned_images import CaptionedImages
from datasets.captioned_options import CaptionedOptions
from datasets.recolor import recolor
from datasets.regions import Region, read_regions, seen_in_crop
from datasets.scenes.palette import PALETTE
from datasets.words.color_naming import NAMES, name_pixels
from utils import color
from utils.errors import InputError

COUNTER = frozenset({"counter"})

TWO = (("red", 4, 24, 3, 20), ("red", 14, 36, 28, 46))  # one left, one right


def whole(place, name_box):
    top, bottom, left, right = name_box[1:]
    return Region(place, (left - 2) / W, (top - 2) / H, (right + 2) / W, (bottom + 2) / H)


def test_a_name_begins_and_ends_where_photographs_have_it():
    shown = {"red": (178, 34, 34), "orange": (255, 140, 0), "yellow": (240, 210, 40), "green": (90, 120, 50)}
    shown |= {"blue": (70, 90, 140), "purple": (110, 50, 140), "pink": (240, 160, 190), "brown": (110, 80, 55)}
    shown |= {"turquoise": (64, 200, 190), "tan": (210, 180, 140), "black": (20, 20, 22), "white": (240, 240, 235)}
    shown |= {"gray": (120, 122, 125)}
    rgb = torch.tensor([list(shown.values())]).permute(2, 0, 1)[None].double() / 255  # (1, 3, 1, names)
    lab = color.rgb_to_lab(rgb)[0].permute(1, 2, 0).numpy()
    assert [NAMES[i] for i in name_pixels(lab)[0]] == list(shown)


def test_a_word_with_a_region_changes_its_own_thing_alone():
    rgb = picture(*TWO)
    regions = (whole(0, TWO[0]), whole(1, TWO[1]))
    before, counts, exchanged = ab_of(rgb), [], 0
    for seed in range(60):
        found = recolor(rgb, "a red bus and a red car", np.random.default_rng(seed), regions)
        seen = []
        for ab, caption in zip(color.denormalize_ab(found.ab).double(), found.captions, strict=True):
            words = caption.split()
            said = words[1], words[5]
            for (_, top, bottom, left, right), name in zip(TWO, said, strict=True):
                inside = ab[:, top + 3 : bottom - 3, left + 3 : right - 3].mean(dim=(1, 2))
                center = torch.tensor(PALETTE[name]).double()
                assert torch.dot(inside, center) / inside.norm() / center.norm() > 0.99, (caption, name)
            torch.testing.assert_close(ab[:, 28:, :24], before[:, 28:, :24], atol=0.5, rtol=0)
            seen.append(said)
        counts.append(sum(name != "red" for name in seen[0]))
        assert seen[0] != seen[1]
        exchanged += seen[0] == seen[1][::-1]
    assert set(counts) == {1, 2} and 5 < exchanged < 40


def test_a_word_whose_box_does_not_show_its_colour_is_left_alone():
    empty = Region(0, 0.0, 0.9, 0.2, 1.0)
    assert recolor(picture(*TWO), "a red bus", np.random.default_rng(0), (empty,)) is None


def test_regions_follow_crop_and_flip():
    (seen,) = seen_in_crop([Region(2, 0.5, 0.25, 0.75, 0.5)], (0.5, 0.0, 1.0, 0.5), flipped=False)
    assert seen == Region(2, 0.0, 0.5, 0.5, 1.0)
    (seen,) = seen_in_crop([Region(2, 0.5, 0.25, 0.75, 0.5)], (0.5, 0.0, 1.0, 0.5), flipped=True)
    assert seen == Region(2, 0.5, 0.5, 1.0, 1.0)


def test_a_data_set_gives_the_pair_s_own_regions_where_the_crop_has_them(tmp_path, monkeypatch):
    data = write_data(tmp_path / "data", {"train": 6})
    plain = CaptionedImages(data, "train", 16, CaptionedOptions((0.5, 1.0), 0.0, recolor=1.0), inputs=COUNTER)
    name, caption = plain.pairs[0]
    (data / "regions_train.json").write_text(json.dumps({name: {caption: [[0, 0.25, 0.25, 0.5, 0.5]]}}))
    asked = []
    monkeypatch.setattr("datasets.captioned_images.recolor", lambda *given: asked.append(given[3]))
    for flip in (0.0, 1.0):
        pairs = CaptionedImages(data, "train", 16, CaptionedOptions((1.0, 1.0), flip, recolor=1.0), inputs=COUNTER)
        pairs[0], pairs[1]
    (first,), other, (flipped,), _ = asked
    assert other == () and first.place == 0
    middle = first.left + first.right
    assert flipped.left + flipped.right == pytest.approx(2 - middle) and flipped.top == first.top
    assert CaptionedImages(data, "train", 16, CaptionedOptions((0.5, 1.0), 0.0), inputs=COUNTER).regions == {}


@pytest.mark.parametrize("entry", [[1, 0.1, 0.1, 0.2, 0.2], [0, 0.3, 0.1, 0.2, 0.2], [0, 0.1, 0.1, 0.2], "red"])
def test_a_broken_file_of_regions_is_told(tmp_path, entry):
    (tmp_path / "regions_train.json").write_text(json.dumps({"a.jpg": {"a red bus": [entry]}}))
    with pytest.raises(InputError, match=r"regions_train\.json"):
        read_regions(tmp_path, "train")
    assert read_regions(tmp_path, "val") == {}
