"""Captions from boxes: the colour is the thing's own, the words are in reach, and each knows its box."""

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from datasets.captioned_images import CaptionedImages
from datasets.regions import read_regions
from datasets.words import color_words
from datasets.words.color_naming import NAMES
from preparation.object_captions import MOST_WORDS, write
from preparation.object_colors import CLASSES, Painted, Thing, find_scenery, find_things
from scripts import caption_objects

SIDE = 120
RGB = {"red": (190, 30, 35), "blue": (50, 80, 170), "green": (70, 120, 50), "yellow": (230, 200, 40)}
RGB |= {"black": (18, 18, 20), "white": (240, 240, 238), "gray": (128, 128, 128), "skin": (205, 150, 115)}


def picture(ground, *patches):
    """(SIDE, SIDE, 3) uint8; patches: (colour, left, top, right, bottom) in [0, 1]."""
    rgb = np.full((SIDE, SIDE, 3), RGB[ground], np.uint8)
    for name, left, top, right, bottom in patches:
        rgb[round(top * SIDE) : round(bottom * SIDE), round(left * SIDE) : round(right * SIDE)] = RGB[name]
    return rgb


def box(kind, left, top, right, bottom, score=0.5):
    return [left, top, right, bottom, score, CLASSES.index(kind)]


def names_of(thing):
    return {part: painted.names for part, painted in thing.colors.items()}


def test_a_thing_has_the_colour_that_fills_its_box_and_its_surroundings_have_none_of_it():
    rgb = picture("gray", ("red", 0.1, 0.1, 0.4, 0.4), ("blue", 0.5, 0.5, 0.9, 0.9))
    boxes = [box("car", 0.1, 0.1, 0.4, 0.4), box("bus", 0.5, 0.5, 0.9, 0.9), box("dog", 0.6, 0.1, 0.8, 0.3)]
    things = {thing.kind: names_of(thing) for thing in find_things(rgb, boxes, 0.2)}
    assert things == {"car": {"": ("red",)}, "bus": {"": ("blue",)}, "dog": {}}  # the dog is as gray as the street
    assert [thing.kind for thing in find_things(rgb, [box("car", 0.1, 0.1, 0.4, 0.4, 0.1)], 0.2)] == []


def test_two_colours_are_told_and_what_lies_before_a_thing_is_not_its_own():
    rgb = picture("gray", ("red", 0.2, 0.2, 0.8, 0.5), ("white", 0.2, 0.5, 0.8, 0.8))
    (bus,) = find_things(rgb, [box("bus", 0.2, 0.2, 0.8, 0.8)], 0.2)
    assert set(bus.colors[""].names) == {"red", "white"}
    rgb = picture("gray", ("green", 0.1, 0.1, 0.9, 0.9), ("red", 0.1, 0.1, 0.75, 0.55))
    couch, dog = find_things(rgb, [box("couch", 0.1, 0.1, 0.9, 0.9), box("dog", 0.1, 0.1, 0.75, 0.55)], 0.2)
    assert (couch.kind, names_of(couch)) == ("couch", {"": ("green",)}) and names_of(dog) == {"": ("red",)}


def test_a_person_has_clothes_above_and_below_and_skin_is_none():
    body = ("skin", 0.4, 0.1, 0.6, 0.25), ("blue", 0.4, 0.25, 0.6, 0.5), ("black", 0.4, 0.5, 0.6, 0.9)
    (person,) = find_things(picture("gray", *body), [box("person", 0.38, 0.1, 0.62, 0.9)], 0.2)
    assert names_of(person) == {"upper": ("blue",), "lower": ("black",)}
    (bare,) = find_things(picture("gray", ("skin", 0.4, 0.1, 0.6, 0.9)), [box("person", 0.38, 0.1, 0.62, 0.9)], 0.2)
    assert bare.colors == {}


def test_scenery_needs_no_box_and_leaves_the_boxes_alone():
    sky = tuple(int(v) for v in cv2.cvtColor(np.array([[[75.0, -8, -28]]], np.float32), cv2.COLOR_Lab2RGB)[0, 0] * 255)
    rgb = picture("gray", ("green", 0.0, 0.7, 1.0, 1.0))
    rgb[:40] = sky
    found = {thing.kind: names_of(thing)[""] for thing in find_scenery(rgb, [])}
    assert found == {"sky": ("blue",), "grass": ("green",)}
    covered = Thing("bus", (0.0, 0.6, 1.0, 1.0), {})
    assert [thing.kind for thing in find_scenery(rgb, [covered])] == ["sky"]


def things():
    def thing(kind, left, *names, part="", shade=""):
        where = (left, 0.2, left + 0.2, 0.6)
        return Thing(kind, where, {part: Painted(names, shade, where)} if names else {})

    return [
        thing("bus", 0.05, "red", shade="dark"),
        thing("car", 0.3, "blue", "white"),
        thing("car", 0.75, "yellow"),
        thing("person", 0.5, "green", part="upper"),
        thing("umbrella", 0.7, "purple"),
        thing("sky", 0.0, "blue"),
        thing("dog", 0.6),
    ]


@pytest.mark.parametrize("long", [False, True])
def test_captions_say_each_colour_once_with_its_box(long):
    by_word = {name: thing for thing in things() for painted in thing.colors.values() for name in painted.names}
    lengths, texts = [], set()
    for seed in range(200):
        caption = write(things(), 6 if long else 1, long, np.random.default_rng(seed))
        spans = color_words.find(caption.text)
        assert sorted({region.place for region in caption.regions}) == list(range(len(spans)))
        for region in caption.regions:
            name = color_words.family(caption.text[slice(*spans[region.place])])
            wanted = {"teal": "turquoise"}.get(name, name)
            holders = [thing for thing in things() if any(wanted in p.names for p in thing.colors.values())]
            assert region.left in [thing.box[0] for thing in holders], (caption.text, wanted)
        assert set(by_word) <= set(NAMES)
        lengths.append(len(caption.text.split()))
        texts.add(caption.text)
    assert len(texts) > 40
    if long:
        assert np.mean(lengths) > 25 and max(lengths) <= MOST_WORDS and min(lengths) > 15
    else:
        assert min(lengths) >= 2 and np.mean(lengths) < 10


def test_things_that_look_alike_are_one_in_the_plural_with_all_their_boxes():
    boxes = (0.1, 0.2, 0.3, 0.5), (0.5, 0.2, 0.7, 0.5)
    pair = [Thing("bus", where, {"": Painted(("red",), "", where)}) for where in boxes]
    for seed in range(20):
        caption = write(pair, 1, False, np.random.default_rng(seed))
        assert "buses" in caption.text or "vehicles" in caption.text
        assert [region.left for region in caption.regions] == [0.1, 0.5]


def test_nothing_is_said_of_things_without_colour():
    assert write([Thing("dog", (0.1, 0.1, 0.5, 0.5), {})], 2, True, np.random.default_rng(0)) is None


@pytest.fixture
def photographs(tmp_path):
    """Six photographs and the JSON of their boxes: four of three colours, one of one, one of none."""
    images, boxes = tmp_path / "images", {}
    images.mkdir()
    three = ("red", 0.05, 0.3, 0.35, 0.7), ("blue", 0.4, 0.3, 0.65, 0.7), ("yellow", 0.7, 0.3, 0.95, 0.7)
    for number, patches in enumerate([three] * 4 + [three[:1], ()]):
        name = f"{'coco' if number % 2 == 0 else 'ade'}_{number}.png"
        Image.fromarray(picture("gray", *patches)).save(images / name)
        boxes[name] = [box(kind, *where) for kind, (_, *where) in zip(("bus", "car", "truck"), patches, strict=False)]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    return images, tmp_path / "boxes.json"


def test_the_script_makes_a_data_folder_and_keeps_val_apart(photographs, tmp_path, capsys):
    images, boxes = photographs
    command = [str(tmp_path / "data"), "--images", str(images), "--boxes", str(boxes)]
    contents = []
    for _ in range(2):  # made again, it is the same
        assert caption_objects.main([*command, "--val", "2", "--val_names", "coco_*"]) == 0
        contents.append([path.read_text() for path in sorted((tmp_path / "data").glob("*.json"))])
    assert contents[0] == contents[1] and "1 photographs without" in capsys.readouterr().out
    train, val = (CaptionedImages(tmp_path / "data", split, 32) for split in ("train", "val"))
    assert {name for name, _ in val.pairs} == {"coco_0.png", "coco_2.png"} and len(val) == 4
    assert {name for name, _ in train.pairs} == {"ade_1.png", "ade_3.png", "coco_4.png"}
    lengths = [len(caption.split()) for _, caption in val.pairs]
    assert max(lengths[0::2]) < min(lengths[1::2])
    assert [path.name for path in (tmp_path / "data" / "uncaptioned").iterdir()] == ["ade_5.png"]
    regions = read_regions(tmp_path / "data", "train")
    assert set(regions) == set(train.pairs) and all(regions.values())


def test_what_is_wrong_with_boxes_is_told(photographs, tmp_path, capsys):
    images, boxes = photographs
    command = [str(tmp_path / "data"), "--images", str(images), "--boxes"]
    assert caption_objects.main([*command, str(boxes), "--val", "5"]) == 2
    assert "--val 5: 4 of these" in capsys.readouterr().err
    for content in (
        '{"a.jpg": [[0.5, 0.1, 0.2, 0.3, 0.9, 0]]}',
        '{"a.jpg": [[0.1, 0.1, 0.2, 0.3, 0.9, 80]]}',
        '{"../a.jpg": [[0.1, 0.1, 0.2, 0.3, 0.9, 0]]}',
        "[]",
        "{",
    ):
        (tmp_path / "broken.json").write_text(content)
        assert caption_objects.main([*command, str(tmp_path / "broken.json")]) == 2
        assert "broken.json: is not" in capsys.readouterr().err
