"""Every published form is read; everything else is an error that says what was expected."""

import json

import pytest
from conftest import SHARED, needs_shared

from preparation.caption_lists import COCO_ORIGIN, read_coco_captions, read_list
from utils.errors import InputError

LISTS = SHARED / "data" / "lists"
COCO = {
    "images": [{"id": 7, "file_name": "b.jpg"}, {"id": 3, "file_name": "a.jpg"}],
    "annotations": [
        {"image_id": 3, "id": 1, "caption": " a  red bus\n"},
        {"image_id": 7, "id": 2, "caption": "a dog"},
        {"image_id": 3, "id": 3, "caption": ""},
    ],
}


@pytest.fixture
def write(tmp_path):
    def write(content) -> object:
        path = tmp_path / "list.json"
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    return write


def test_coco_captions_come_by_image_with_tidy_spaces(write):
    assert read_coco_captions(write(COCO)) == [("b.jpg", "a dog"), ("a.jpg", "a red bus"), ("a.jpg", "")]


@pytest.mark.parametrize(
    "content",
    [
        {"b.jpg": ["a  red bus", "two"], "x_1.jpg": ["three"]},
        {"b.jpg_0": "a  red bus", "b.jpg_1": "two", "x_1.jpg_0": "three"},
        [["b.jpg", "a  red bus"], ["b.jpg", "two"], ["x_1.jpg", "three"]],
    ],
)
def test_every_form_of_a_list_gives_its_pairs_as_they_are(write, content):
    assert read_list(write(content)) == [("b.jpg", "a  red bus"), ("b.jpg", "two"), ("x_1.jpg", "three")]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"PK\x03\x04rest", "zip archive; unpack"),
        (b"\x1f\x8brest", "gzip archive"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"),
        (json.dumps(COCO).encode()[:-40], "half-downloaded"),
        (b"\xff\xfe[]", "no whole JSON"),
        ([1], '"images" and "annotations"'),
        ({"images": [{"id": 1}], "annotations": []}, "file_name"),
        ({"images": COCO["images"] * 2, "annotations": []}, "two images have the id 7"),
        ({"images": COCO["images"], "annotations": [{"image_id": 3, "bbox": []}]}, "not instances"),
        ({"images": COCO["images"], "annotations": [{"image_id": 4, "caption": "x"}]}, "image 4"),
        ({"images": COCO["images"], "annotations": [{"image_id": 3, "caption": 5}]}, "has 5"),
        ({"images": [{"id": 1, "file_name": "../a.jpg"}], "annotations": []}, "stays inside"),
    ],
)
def test_a_wrong_captions_file_is_named_with_what_was_expected(write, content, says):
    with pytest.raises(InputError, match=r"list\.json") as error:
        read_coco_captions(write(content))
    assert says in str(error.value)
    if isinstance(content, bytes):
        assert COCO_ORIGIN in str(error.value)


def test_a_missing_file_says_where_it_is_published(tmp_path):
    with pytest.raises(InputError, match=r"captions_val2017.json: not there; .*cocodataset\.org"):
        read_coco_captions(tmp_path / "captions_val2017.json")
    with pytest.raises(InputError, match="is a folder"):
        read_list(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"a.jpg": [[[2, 1]]]}, "object-colour correspondence"),
        ({"a.jpg": "a caption"}, "image_index"),
        ({"a.jpg": 3}, "has 3"),
        ({"a.jpg": [""]}, "where a caption"),
        ({"/a.jpg": ["a red bus"]}, "stays inside"),
        ({"..\\a.jpg_0": "a red bus"}, "stays inside"),
        ({"a.jpg": ["\ud800"]}, "no text"),
        ({"a.jpg": ["a red bus" * 2000]}, "'a.jpg' has 18,000 characters ('a red busa red"),
        ([["a.jpg"]], "entry 0"),
        ([], "no captions"),
        (5, "no captions"),
    ],
)
def test_a_wrong_list_is_named_with_the_entry(write, content, says):
    with pytest.raises(InputError, match=r"list\.json") as error:
        read_list(write(content))
    assert says in str(error.value)


@needs_shared("data/lists")
@pytest.mark.parametrize(
    ("name", "images", "captions"),
    [
        ("lcoder_selected_val.json", 2386, 4279),
        ("lcad_caption_val.json", 2486, 4457),
        ("cocolc_extended_coco_stuff.json", 1946, 3520),
        ("cocolc_multi_instance.json", 7213, 12_714),
    ],
)
def test_the_published_lists_are_read_whole(name, images, captions):
    pairs = read_list(LISTS / name)
    assert (len({pair.image for pair in pairs}), len(pairs)) == (images, captions)
