"""Boxes of objects: files, choice, crops, and what training makes of them."""

import json

import numpy as np
import pytest
import torch
from conftest import write_data
from PIL import Image

from datasets import CaptionedOptions, build_dataset
from datasets.batch import Collate
from datasets.boxes import Box, Wanted, best, cut, read_boxes, seen_in
from datasets.image_files import squash
from datasets.loading import build_loader
from datasets.scenes import COLORS, FAVORITE, HELD_OUT, SHAPES, SceneOptions, Scenes
from utils.errors import InputError

BOXES, ONE = frozenset({"boxes"}), frozenset({"one box", "boxes"})
WHOLE = CaptionedOptions(crop_scale=(1.0, 1.0), flip=0.0)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"a.jpg": [[0.1, 0.1, 0.5, 0.5, float("nan"), 0]]}, "a.jpg has a box .*nan"),
        ({"a.jpg": [[0.6, 0.1, 0.5, 0.5, 0.9, 0]]}, r"a.jpg has a box \[0.6, 0.1, 0.5, 0.5\].*left < right"),
        ({"a.jpg": [[0.5, 0.1, 0.5, 0.5, 0.9, 0]]}, "left < right"),
        ({"a.jpg": [[12, 10, 200, 150, 0.9, 0]]}, "divide pixels by its width and height"),
        ({"a.jpg": [[0.1, 0.1, 0.5]]}, r"write \[left, top, right, bottom, score, class\]"),
        ({"a.jpg": [[0.1, 0.1, 0.5, "0.5", 0.9, 0]]}, r"write \[left"),
        ({"a.jpg": {"left": 0}}, "not a list of boxes"),
        ({"b.jpg": []}, "names 0 of the 1 images, not a.jpg; it is of other pictures"),
        ([["a.jpg", []]], r"is not \{image:"),
    ],
)
def test_a_wrong_file_names_the_image_and_the_remedy(tmp_path, content, told):
    path = tmp_path / "boxes_train.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=rf"boxes_train.json: .*{told}"):
        read_boxes(path, ["a.jpg"], Wanted())
    path.unlink()
    with pytest.raises(InputError, match=r"boxes_train.json.*detect_boxes"):
        read_boxes(path, ["a.jpg"], Wanted())


def test_the_best_are_taken_and_what_reaches_over_the_edge_is_cut():
    rows = [[0.1 * k, 0.2, 0.1 * k + 0.05, 0.4, 0.01 * k] for k in range(9)] * 40
    assert best(rows, Wanted(most=3, least_score=0.05), "x") == [Box(0.8, 0.2, 0.8 + 0.05, 0.4)] * 3
    assert best(rows, Wanted(most=500, least_score=0.05), "x")[-1].left == 0.5
    assert best([[-0.005, 0, 0.5, 1.005, 0.9, 3]], Wanted(), "x") == [Box(0.0, 0, 0.5, 1.0)]
    assert best([[1.0, 0, 1.005, 0.5, 0.9]], Wanted(), "x") == []  # nothing of it is in the picture
    assert best([[0.5, 0.5, 0.5001, 0.5001, 0.9]], Wanted(), "x") == [Box(0.5, 0.5, 0.5001, 0.5001)]  # below a pixel


def test_a_box_is_cut_out_in_whole_pixels_at_least_one():
    picture = Image.fromarray(np.arange(60, dtype=np.uint8).reshape(6, 10))
    assert np.array_equal(cut(picture, Box(0.2, 0.5, 0.5, 1.0)), np.arange(60).reshape(6, 10)[3:, 2:5])
    assert cut(picture, Box(0.99, 0.99, 1.0, 1.0)).size == (1, 1)
    assert seen_in([Box(0, 0, 0.5, 0.5), Box(0.4, 0.4, 0.8, 0.6), Box(0.7, 0, 1, 1)], Box(0.25, 0.25, 0.75, 0.75)) == [
        pytest.approx((0.3, 0.3, 1.0, 0.7))
    ]


def write_boxes(data, splits=("train", "val"), count=8):
    for split in splits:
        names = sorted(path.name for path in (data / split).iterdir())
        boxes = {name: [[0.0, 0.0, 0.5, 0.5, 0.9, 0], [0.25, 0.5, 1.0, 1.0, 0.4, 2]] for name in names}
        boxes[names[1]] = []
        (data / f"boxes_{split}.json").write_text(json.dumps(boxes))
    return data


def test_samples_have_their_boxes_and_training_leaves_out_pictures_without(tmp_path, caplog):
    data = write_boxes(write_data(tmp_path / "data", {"train": 4, "val": 3}))
    val = build_dataset(WHOLE, str(data), "val", 16, captions=False, inputs=BOXES)
    assert [len(val[i].boxes) for i in range(3)] == [2, 0, 2]
    picture = Image.open(data / "val" / "0.jpg")
    (box, crop), _ = val[0].boxes
    assert box == Box(0.0, 0.0, 0.5, 0.5) and torch.equal(crop, squash(cut(picture, box), 16))
    assert build_dataset(WHOLE, str(data), "val", 16, inputs=BOXES)[0].caption  # read where it is wanted

    train = build_dataset(WHOLE, str(data), "train", 16, True, captions=False, inputs=BOXES)
    assert [name for name, _ in train.pairs] == ["0.jpg", "2.jpg", "3.jpg"] and train[0].caption == ""
    assert torch.equal(train[0].rgb, squash(Image.open(data / "train" / "0.jpg"), 16))  # whole, whatever its shape
    few = CaptionedOptions(crop_scale=(1.0, 1.0), flip=1.0, max_boxes=1, box_score=0.5)
    mirrored = build_dataset(few, str(data), "train", 16, True, captions=False, inputs=BOXES)[0]
    ((box, crop),) = mirrored.boxes
    assert box == Box(0.5, 0.0, 1.0, 0.5) and torch.equal(mirrored.rgb.flip(-1), train[0].rgb)
    assert (crop.flip(-1).int() - train[0].boxes[0][1].int()).abs().max() <= 24  # an odd column more or less

    alone = build_dataset(WHOLE, str(data), "train", 16, True, captions=False, inputs=ONE)
    crops = [crop for _, crop in train[0].boxes]
    seen = set()
    for alone.epoch in range(8):
        sample = alone[0]
        assert sample.boxes == [] and any(torch.equal(sample.rgb, crop) for crop in crops)
        seen.add(int(torch.equal(sample.rgb, crops[1])))
    assert seen == {0, 1}
    with pytest.raises(InputError, match=r"--uncaptioned .*has no boxes"):
        given = CaptionedOptions(uncaptioned=str(data / "val"))
        build_dataset(given, str(data), "train", 16, True, captions=False, inputs=BOXES)


def test_a_random_crop_keeps_boxes_that_it_shows(tmp_path):
    data = write_boxes(write_data(tmp_path / "data", {"train": 2, "val": 2}))
    train = build_dataset(CaptionedOptions(crop_scale=(0.2, 0.4), flip=0.0), str(data), "train", 16, True, inputs=BOXES)
    counts = set()
    for train.epoch in range(30):
        boxes = [box for box, _ in train[0].boxes]
        counts.add(len(boxes))
        assert all(0 <= box.left < box.right <= 1 and 0 <= box.top < box.bottom <= 1 for box in boxes)
    assert counts == {1, 2}  # never none: then the whole picture is shown


def test_a_batch_holds_the_boxes_of_all_its_pictures(tmp_path):
    data = write_boxes(write_data(tmp_path / "data", {"train": 4, "val": 3}))
    dataset = build_dataset(WHOLE, str(data), "val", 16, captions=False, inputs=BOXES)
    (batch,) = build_loader(dataset, None, 3, 0, train=False)
    assert batch.boxes.picture.tolist() == [0, 0, 2, 2] and batch.boxes.crops.shape == (4, 3, 16, 16)
    moved = batch.to(torch.device("cpu"))
    assert moved.boxes.crops.dtype == torch.float32 and moved.boxes.crops.max() <= 1
    assert moved.boxes.sides.dtype == torch.float64 and batch.words is None
    none = Collate(None, False)([dataset[1]])
    assert len(none.boxes) == 0 and none.boxes.crops.shape == (0, 3, 16, 16)
    assert Collate(None, False)([build_dataset(WHOLE, str(data), "val", 16)[0]]).boxes is None


def test_a_folder_needs_no_list_where_captions_are_not_read(tmp_path):
    data = write_data(tmp_path / "data", {"train": 3, "val": 2})
    (data / "train" / "more").mkdir()
    (data / "train" / "2.jpg").rename(data / "train" / "more" / "2.jpg")
    pairs = [["0.jpg", "a red ball"], ["0.jpg", "a ball"], ["1.jpg", "a cup"]]
    (data / "cap-img-pairs_train.json").write_text(json.dumps(pairs))
    dataset = build_dataset(WHOLE, str(data), "train", 16, True, captions=False)
    assert dataset.pairs == [("0.jpg", ""), ("1.jpg", "")]  # each once
    (data / "cap-img-pairs_train.json").unlink()
    dataset = build_dataset(WHOLE, str(data), "train", 16, True, captions=False)
    assert dataset.pairs == [("0.jpg", ""), ("1.jpg", ""), ("more/2.jpg", "")] and len(dataset[2].rgb) == 3
    with pytest.raises(InputError, match=r"cap-img-pairs_train\.json: not there"):
        build_dataset(WHOLE, str(data), "train", 16, True)


def test_scenes_know_their_boxes():
    scenes = Scenes("clear", 32, 20, inputs=BOXES)
    batch = scenes.render(range(20))
    for b in range(20):
        own = batch.boxes.picture == b
        seen = [m for m in batch.masks[b] if m.any()]
        assert own.sum() == len(seen)
        grids = {tuple(grid) for grid, mine in zip(batch.boxes.on_grid(32, 32), own, strict=True) if mine}
        tight = set()
        for mask in seen:
            rows, columns = mask.nonzero(as_tuple=True)
            tight.add((int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1))
        assert grids == tight
    sample = scenes[3]
    assert len(sample.boxes) == (batch.boxes.picture == 3).sum() and torch.equal(sample.rgb, batch.rgb[3])
    alone = build_dataset(SceneOptions(scenes=20), None, "train", 32, True, inputs=ONE)
    assert alone[0].boxes == [] and not torch.equal(alone[0].rgb, Scenes("train", 32, 20).render([0]).rgb[0])


def test_scenes_may_have_favourite_colours():
    liked = build_dataset(SceneOptions(eval_scenes=300, scene_favorites=0.8), None, "clear", 16)
    batch, plain = liked.render(range(300)), Scenes("clear", 16, 300).render(range(300))
    assert torch.equal(batch.shapes, plain.shapes) and torch.equal(batch.masks, plain.masks)
    there = batch.shapes >= 0

    def share(scenes) -> float:
        return (scenes.colors[there] == torch.from_numpy(FAVORITE)[scenes.shapes[there]]).float().mean().item()

    assert 0.68 < share(batch) < 0.82 and share(plain) < 0.2
    assert all(len(set(row.tolist())) == len(row) for row in (c[c >= 0] for c in batch.colors))
    assert all(noun not in HELD_OUT[COLORS[color]] for noun, color in zip(SHAPES, FAVORITE, strict=True))
