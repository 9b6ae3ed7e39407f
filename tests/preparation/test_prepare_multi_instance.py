"""prepare_multi_instance.py on small files in the forms of MDETR, Localized Narratives and COCO-LC."""

import json

import numpy as np
import pytest
from conftest import SHARED, needs_shared
from PIL import Image

from preparation.caption_lists import Pair
from preparation.multi_instance import file_names, read_mdetr, read_narratives, same_picture, two_colored_boxes
from scripts import prepare_multi_instance
from utils.errors import InputError

LISTS = SHARED / "data" / "lists"
TWO = "the red bus. a man in a blue shirt"
IMAGES = [
    {"id": 0, "file_name": "COCO_train2014_000000000009.jpg", "caption": TWO, "data_source": "coco"},
    {"id": 1, "file_name": "2354786.jpg", "caption": TWO, "data_source": "vg", "dataset_name": "mixed"},
    {"id": 2, "file_name": "2354786.jpg", "caption": TWO, "dataset_name": "gqa"},
    {"id": 3, "file_name": "12.jpg", "caption": "a red bus", "dataset_name": "flickr"},
    {"id": 4, "file_name": "13.jpg", "caption": TWO, "dataset_name": "flickr"},
]
BOXES = [  # the box of the bus, that of the shirt, that of the man
    {"image_id": i, "bbox": box, "tokens_positive": [span]}
    for i in (0, 1, 2, 3)
    for box, span in (([0, 0, 50, 50], [4, 11]), ([60, 0, 30, 30], [22, 34]), ([55, 0, 40, 90], [13, 18]))
]
SAME_BOX = [{"image_id": 4, "bbox": [0, 0, 50, 50], "tokens_positive": [span]} for span in ([4, 11], [22, 34])]
NARRATIVES = [
    {"dataset_id": "mscoco_train2017", "image_id": "9", "caption": "There is a green wall. A white door, red car."},
    {"dataset_id": "ADE20k_train", "image_id": "ADE_train_00000001", "caption": "A red car and a blue sky."},
    {"dataset_id": "Flickr30k_train", "image_id": "12", "caption": "A red car and a dog."},
    {"dataset_id": "open_images_train", "image_id": "00ab", "caption": "I can see a sky in blue color, green trees."},
]


@pytest.fixture
def files(tmp_path):
    mdetr, narratives = tmp_path / "final_mixed.json", tmp_path / "narratives.jsonl"
    mdetr.write_text(json.dumps({"info": [], "images": IMAGES, "annotations": BOXES + SAME_BOX, "categories": []}))
    narratives.write_text("".join(json.dumps(line) + "\n" for line in NARRATIVES))
    return mdetr, narratives


def judged(pairs):
    return [(pair.image, rule) for pair, rule in pairs]


def test_mdetr_keeps_samples_with_two_colored_boxes(files):
    assert judged(read_mdetr(files[0])) == [
        ("flickr30k_12.jpg", "one_colored_thing"),
        ("coco_000000000009.jpg", None),
        ("vg_2354786.jpg", None),
        ("GQA_2354786.jpg", None),
        ("flickr30k_13.jpg", "one_colored_box"),
    ]


def test_a_phrase_counts_by_its_thing_or_its_color_word_and_boxes_by_their_overlap():
    caption = "the wall is red. a blue cup"
    wall, cup = ([0, 0, 10, 10], [[4, 8]]), ([0, 0, 10, 4], [[24, 27]])
    assert two_colored_boxes(caption, [wall, cup], "")
    assert two_colored_boxes(caption, [([0, 0, 10, 10], [[12, 15]]), cup], "")
    assert not two_colored_boxes(caption, [wall, ([0, 0, 10, 9], [[24, 27]])], "")
    assert not two_colored_boxes(caption, [wall, ([20, 0, 10, 9], [[0, 3]])], "")
    assert not two_colored_boxes(caption, [wall, ([20, 0, 10, 9], [[4, 8]])], "")


def test_narratives_name_their_pictures_as_the_lists_do(files):
    assert judged(read_narratives(files[1])) == [
        ("coco_000000000009.jpg", None),
        ("ADE_train_00000001.jpg", None),
        ("flickr30k_12.jpg", "one_colored_thing"),
        ("openimages_00ab.jpg", None),
    ]


def test_a_half_downloaded_source_is_named(files):
    for path, read, origin in zip(
        files, (read_mdetr, read_narratives), ("zenodo", "localized-narratives"), strict=True
    ):
        path.write_bytes(path.read_bytes()[:-30])
        with pytest.raises(InputError, match="half-downloaded") as error:
            list(read(path))
        assert path.name in str(error.value) and origin in str(error.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"images": []}, 'no list "annotations"'),
        ({"images": [{"id": 1}], "annotations": []}, "lacks id, file_name or caption"),
        (
            {"images": [IMAGES[0] | {"data_source": "x", "file_name": "a.jpg"}], "annotations": []},
            "unknown data set 'x'",
        ),
        ({"images": IMAGES[:1] * 2, "annotations": []}, "two images have the id 0"),
        ({"images": IMAGES, "annotations": [{"image_id": 0}]}, "lacks image_id, bbox"),
        ({"images": IMAGES, "annotations": [{"image_id": 0, "bbox": [1], "tokens_positive": []}]}, "a box is"),
        ({"images": [IMAGES[0] | {"file_name": "COCO_/../a.jpg"}], "annotations": []}, "stays inside"),
        ([], 'no list "images"'),
    ],
)
def test_wrong_annotations_are_named(tmp_path, content, says):
    (tmp_path / "final.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"final\.json") as error:
        list(read_mdetr(tmp_path / "final.json"))
    assert says in str(error.value)


@pytest.mark.parametrize(
    "line", ['{"caption": "x"}', '{"dataset_id": "x", "image_id": "1", "caption": "a"}', "5", '{"dataset_id": "coco"']
)
def test_wrong_narratives_are_named_by_line(files, line):
    files[1].write_text(files[1].read_text() + line + "\n")
    with pytest.raises(InputError, match="line 5"):
        list(read_narratives(files[1]))


def test_names_lead_to_files():
    assert file_names("coco_000000000009.jpg")[:2] == ["000000000009.jpg", "COCO_train2014_000000000009.jpg"]
    assert file_names("ADE_train_00000001.jpg") == ["ADE_train_00000001.jpg"] and file_names("vg_1.jpg") == ["1.jpg"]
    assert same_picture("GQA_1.jpg") == same_picture("vg_1.jpg")
    assert (
        same_picture("COCO_val2014_000000000009.jpg")
        == same_picture("coco_000000000009.jpg")
        == "coco_000000000009.jpg"
    )


def prepare(tmp_path, capsys, *words):
    status = prepare_multi_instance.main([str(word) for word in (tmp_path / "data", "--split", "train", *words)])
    return status, capsys.readouterr().err


def read(tmp_path, name):
    return json.loads((tmp_path / "data" / name).read_text())


def draw(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((50, 40)).save(path)


def test_sources_become_a_data_folder(files, tmp_path, capsys):
    for name in ("coco/train2014/COCO_train2014_000000000009.jpg", "vg/VG_100K/2354786.jpg", "oi/00ab.jpg"):
        draw(tmp_path / name)
    folders = ("--coco", tmp_path / "coco", "--vg", tmp_path / "vg", "--openimages", tmp_path / "oi")
    sources = ("--mdetr", files[0], "--narratives", files[1])
    status, said = prepare(tmp_path, capsys, *sources, *folders)
    assert status == 2 and "1 captions are of ADE: pass --ade FOLDER" in said and not (tmp_path / "data").exists()
    assert prepare(tmp_path, capsys, *sources, *folders, "--without", "ADE", "--resize", 30)[0] == 0
    names = [name for name, _ in read(tmp_path, "cap-img-pairs_train.json")]
    assert names == [
        *("coco_000000000009.jpg", "vg_2354786.jpg", "GQA_2354786.jpg", "coco_000000000009.jpg", "openimages_00ab.jpg")
    ]
    assert all((tmp_path / "data" / "train" / name).is_file() for name in names)
    report = read(tmp_path, "prepare_train.json")
    counts = report["counts"]
    assert (counts["one_colored_box"], counts["one_colored_thing"], counts["without_source"]) == (1, 2, 1)
    assert counts["read"] == 9 and sum(counts.values()) == 18
    assert report["captions_of"] == {"coco": 2, "vg": 1, "GQA": 1, "openimages": 1}


def test_only_so_many_captions_of_a_picture_and_none_twice(files, tmp_path, capsys):
    words = ("--mdetr", files[0], files[0], "--narratives", files[1], "--lists_only", "--captions_per_image", 1)
    assert prepare(tmp_path, capsys, *words)[0] == 0
    counts = read(tmp_path, "prepare_train.json")["counts"]
    assert (counts["repeated"], counts["beyond_captions_per_image"]) == (3, 1)


def test_a_published_list_is_followed_and_its_pictures_can_be_excluded(tmp_path, capsys):
    published = {"GQA_5.jpg_0": "a red car", "coco_000000000009.jpg_0": "x", "coco_000000000009.jpg_1": "a cat"}
    (tmp_path / "list.json").write_text(json.dumps(published))
    assert prepare(tmp_path, capsys, "--list", tmp_path / "list.json", "--lists_only")[0] == 0
    pairs = [["GQA_5.jpg", "a red car"], ["coco_000000000009.jpg", "x"], ["coco_000000000009.jpg", "a cat"]]
    assert read(tmp_path, "cap-img-pairs_train.json") == pairs
    (tmp_path / "other.json").write_text(json.dumps({"000000000009.jpg": ["a"]}))
    words = ("--list", tmp_path / "list.json", "--lists_only", "--overwrite", "--exclude", tmp_path / "other.json")
    assert prepare(tmp_path, capsys, *words)[0] == 0 and read(tmp_path, "cap-img-pairs_train.json") == pairs[:1]


def test_names_without_a_source_and_contradicting_flags_are_refused(files, tmp_path, capsys):
    (tmp_path / "list.json").write_text(json.dumps({"a.jpg": ["a red car"]}))
    for words, says in (
        (("--list", tmp_path / "list.json", "--lists_only"), "'a.jpg' begins with no source"),
        (("--lists_only",), "either --mdetr"),
        (("--mdetr", files[0], "--lists_only", "--coco", tmp_path), "--coco: --lists_only"),
        (("--mdetr", files[0], "--lists_only", "--captions_per_image", 0), "--captions_per_image 0"),
        (("--mdetr", files[0], "--coco", files[0]), "no folder; unpack"),
    ):
        status, said = prepare(tmp_path, capsys, *words)
        assert status == 2 and says in said and said.startswith("prepare_multi_instance.py: ")


def test_what_is_cut_is_counted():
    short, long = "a red bus and a blue car", " ".join(["dog"] * 77) + " red blue bus with a flag"
    tokens = prepare_multi_instance.cut([Pair("a.jpg", short), Pair("b.jpg", long), Pair("c.jpg", "dog " * 78)])
    assert tokens["captions_cut"] == tokens["captions_losing_color_words"] == 1
    assert tokens["longest"] == 85  # red is the 78th and stays, blue is lost


@needs_shared("data/lists")
def test_the_rules_keep_nearly_all_of_the_published_list(tmp_path, capsys):
    published = json.loads((LISTS / "cocolc_multi_instance.json").read_text())
    (tmp_path / "tenth.json").write_text(json.dumps(dict(list(published.items())[::10])))
    assert prepare(tmp_path, capsys, "--list", tmp_path / "tenth.json", "--lists_only")[0] == 0
    report = read(tmp_path, "prepare_train.json")
    assert report["counts"]["kept"] == 1272 and report["our_rules_would"]["kept"] > 0.98 * 1272
    assert report["tokens"]["words_per_caption"] == pytest.approx(43, abs=1)
    assert 0.03 < report["tokens"]["captions_cut"] / 1272 < 0.06
