import numpy as np
import pytest

from utils.report import group_map, output_names, strip


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
    assert (group_map(np.zeros((0, 9)), gray) == gray).all()


def test_strip_is_side_by_side_on_white():
    drawn = strip([np.zeros((4, 5, 3), np.uint8), np.full((4, 5, 3), 9, np.uint8)])
    assert drawn.shape == (4, 16, 3)
    assert (drawn[:, :5] == 0).all() and (drawn[:, 5:11] == 255).all() and (drawn[:, 11:] == 9).all()
