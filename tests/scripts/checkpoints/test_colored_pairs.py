"""scripts/checkpoints/colored_pairs.py: the pairs that can be recoloured, as a data folder."""

import json

import pytest
from conftest import CAPTIONS, write_data

from datasets.captioned_images import CaptionedImages
from datasets.pair_list import read_pairs
from datasets.recolor import named_colors
from datasets.regions import read_regions
from scripts.checkpoints import colored_pairs


def test_the_folder_holds_the_pairs_that_name_a_colour_and_all_of_val(tmp_path, capsys):
    data, output = write_data(tmp_path / "data", {"train": 9, "val": 3}), tmp_path / "out"
    for _ in range(2):  # made again, it is the same
        assert colored_pairs.main([str(data), str(output)]) == 0
    assert "7 of 9 training pairs" in capsys.readouterr().out
    train, val = (CaptionedImages(output, split, 16) for split in ("train", "val"))
    assert {caption for _, caption in train.pairs} == set(CAPTIONS) - {"two dogs run"} and len(val) == 3
    assert train[0].rgb.shape == (3, 16, 16)


def test_several_folders_come_together_with_their_regions_and_joined_captions(tmp_path):
    first, second = (write_data(tmp_path / name, {"train": 6, "val": 2}) for name in ("first", "second"))
    for split in ("train", "val"):
        pairs = json.loads((second / f"cap-img-pairs_{split}.json").read_text())
        name, caption = next(pair for pair in pairs if named_colors(pair[1]))
        regions = {name: {caption: [[0, 0.1, 0.2, 0.5, 0.6]]}}
        (second / f"regions_{split}.json").write_text(json.dumps(regions))
    for folder in (first, second):
        (folder / "cap-img-pairs_train.json").write_text(json.dumps([*twice(folder)]))
    output = tmp_path / "out"
    assert colored_pairs.main([str(first), str(second), str(output), "--join"]) == 0
    pairs = CaptionedImages(output, "train", 16).pairs
    joined = [(name, caption) for name, caption in pairs if caption.endswith(". a green box.")]
    assert joined and all(name.startswith("0/") for name, _ in joined)  # the second has regions: their words would move
    assert {name.split("/")[0] for name, _ in pairs} == {"0", "1"}
    assert len(CaptionedImages(output, "val", 16)) == 4
    for split in ("train", "val"):
        ((key, (region,)),) = read_regions(output, split).items()
        assert key in read_pairs(output, split) and key[0].startswith("1/") and region.top == 0.2


def twice(folder):
    """The training pairs, and each picture with one more caption."""
    pairs = json.loads((folder / "cap-img-pairs_train.json").read_text())
    return [*pairs, *dict.fromkeys((name, "a green box") for name, _ in pairs)]


@pytest.mark.parametrize("what", ["no pair", "no pictures"])
def test_what_makes_no_folder_is_told(tmp_path, capsys, what):
    data = write_data(tmp_path / "data", {"train": 4, "val": 2})
    if what == "no pair":
        (data / "cap-img-pairs_train.json").write_text(json.dumps([["0.jpg", "two dogs run"]]))
    else:
        (data / "train").rename(data / "elsewhere")
    assert colored_pairs.main([str(data), str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert ("names a colour" if what == "no pair" else "is no folder of pictures") in message
