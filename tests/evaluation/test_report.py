import re

import numpy as np
import pytest
import torch
from PIL import Image

from datasets.pictures.drawing import group_map, strip
from evaluation.protocol import Colorized
from evaluation.report import PictureSaver, Sheet, output_names, save_tables, strip_panels


def pairs(*names: str) -> list[tuple[str, str]]:
    return [(name, "red") for name in names]


def test_outputs_are_named_after_their_inputs():
    assert output_names(pairs("dog.jpg", "a/cat.png")) == ["dog.png", "a/cat.png"]


def test_several_captions_number_the_outputs():
    assert output_names(pairs("dog.jpg", "cat.jpg", "dog.jpg")) == ["dog_0.png", "cat.png", "dog_1.png"]


@pytest.mark.parametrize(
    "names",
    [
        ("dog.jpg", "dog.png"),
        ("dog.jpg", "DOG.jpg"),
        ("dog.jpg", "dog.jpg", "dog_1.jpg"),
        ("dog.jpg", "dog.png", "dog.jpg", "dog.jpg_0.jpg", "dog.png.jpg"),
        ("dog.jpg", "dog.png", "DOG.jpg"),
    ],
)
def test_names_never_collide(names):
    outputs = output_names(pairs(*names))
    assert len({name.lower() for name in outputs}) == len(names)
    assert all(name.endswith(".png") for name in outputs)


def test_group_map_shows_each_patch_in_its_group_s_colour():
    gray = np.full((6, 6, 3), 100, np.uint8)
    assignment = np.zeros((3, 9))
    assignment[[0, 1, 2, 0, 1, 2, 0, 1, 2], range(9)] = 1
    drawn = group_map(assignment, gray)
    assert drawn.shape == (6, 6, 3)
    columns = [drawn[0, 0], drawn[0, 2], drawn[0, 4]]
    assert len({tuple(color) for color in columns}) == 3
    for column, color in enumerate(columns):
        assert (drawn[:, 2 * column : 2 * column + 2] == color).all()


def test_strip_is_side_by_side_on_white():
    drawn = strip([np.zeros((4, 5, 3), np.uint8), np.full((4, 5, 3), 9, np.uint8)])
    assert drawn.shape == (4, 16, 3)
    assert (drawn[:, :5] == 0).all() and (drawn[:, 5:11] == 255).all() and (drawn[:, 11:] == 9).all()


def evaluated(indices, groups=0):
    images = torch.stack([torch.full((3, 8, 8), index + 1, dtype=torch.uint8) for index in indices])
    words = [f"{index}.jpg" for index in indices], ["a red ball"] * len(indices)
    return Colorized(indices, *words, images, images, images, images, torch.zeros(len(indices), groups, 4))


def test_all_pictures_are_there_at_the_end_each_under_its_own_name(tmp_path):
    names = output_names(pairs(*(f"{index}.jpg" for index in range(200))))
    with PictureSaver(tmp_path, names) as save:
        for start in range(0, 200, 5):
            save(evaluated(list(range(start, start + 5))[::-1]))
    for index in (0, 7, 19):
        assert np.asarray(Image.open(tmp_path / f"{index}.png"))[0, 0].tolist() == [index + 1] * 3
    assert len(list(tmp_path.glob("*.png"))) == len(list((tmp_path / "index_files").iterdir())) == 200


@pytest.mark.parametrize("groups", [0, 3])
def test_pages_and_sheets_show_groups_where_the_system_has_some(tmp_path, groups):
    colorized, sheet = evaluated([0], groups), Sheet()
    with PictureSaver(tmp_path, ["0.png"]) as save:
        save(colorized)
    sheet.add(colorized)
    shown = ["gray", "result", "truth", *(["groups"] if groups else [])]
    panels = strip_panels(tmp_path, "0.png")
    assert list(panels) == shown and all(panel.shape == (8, 8, 3) for panel in panels.values())
    assert [caption for _, caption in sheet.rows[0]] == ["gray", "a red ball", *shown[2:]]
    row = {"index": 0, "name": "0.jpg", "caption": "a red ball", "model_psnr": 20.0, "model_ssim": 0.9}
    summary = {"count": 1, "model": {}}
    save_tables(tmp_path, [row], ["0.png"], summary)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<title>Test on 1 image-caption pairs</title>" in page
    assert re.findall("<span>(.*?)</span>", page) == shown


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "0.png").mkdir()
    with pytest.raises(IsADirectoryError), PictureSaver(tmp_path, ["0.png"]) as save:
        save(evaluated([0]))
