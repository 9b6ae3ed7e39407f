"""scripts/colored_pairs.py: the pairs that can be recoloured, as a data folder."""

import json

import pytest
from conftest import CAPTIONS, write_data

from datasets.captioned_images import CaptionedImages
from scripts import colored_pairs


def test_the_folder_holds_the_pairs_that_name_a_colour_and_all_of_val(tmp_path, capsys):
    data, output = write_data(tmp_path / "data", {"train": 9, "val": 3}), tmp_path / "out"
    for _ in range(2):  # made again, it is the same
        assert colored_pairs.main([str(data), str(output)]) == 0
    assert "7 of 9 training pairs" in capsys.readouterr().out
    train, val = (CaptionedImages(output, split, 16) for split in ("train", "val"))
    assert {caption for _, caption in train.pairs} == set(CAPTIONS) - {"two dogs run"} and len(val) == 3
    assert train[0].rgb.shape == (3, 16, 16)


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
