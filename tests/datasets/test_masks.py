"""Phrases and masks: how they are read, found in captions, joined to a batch; bad ones."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_data
from PIL import Image

from datasets import build_dataset
from datasets.batch import Collate
from datasets.captioned_options import CaptionedOptions
from datasets.masks import CHANGES, changed, parse_change, placed
from datasets.scenes import SHAPES, SceneOptions
from datasets.words.levels import LEVELS
from utils.errors import InputError

ASKED = frozenset({"instances"})


def save_mask(path: Path, size: tuple[int, int], box: tuple[int, int, int, int]) -> None:
    mask = Image.new("L", size)
    mask.paste(255, box)
    path.parent.mkdir(parents=True, exist_ok=True)
    mask.save(path)


@pytest.fixture
def data(tmp_path) -> Path:
    """Captions "a red ball on the left", "two dogs run", "a blue box and a green cup"; pictures of 40 + i x 40."""
    root = write_data(tmp_path / "data", {"train": 3, "test": 3})
    save_mask(root / "masks_test" / "2" / "0.png", (42, 40), (0, 0, 21, 40))
    save_mask(root / "masks_test" / "2" / "1.png", (42, 40), (21, 20, 42, 40))
    save_mask(root / "masks_test" / "0" / "0.png", (40, 40), (0, 0, 10, 10))
    return root


def write(root: Path, masks: object) -> None:
    (root / "masks_test.json").write_text(json.dumps(masks))


GOOD = {"2.jpg": [["a blue box", "2/0.png"], ["Green cup", "2/1.png"]], "0.jpg": [["red ball", "0/0.png"]], "9.jpg": 1}


def test_phrases_and_masks_reach_the_batch(data):
    write(data, GOOD)
    dataset = build_dataset(CaptionedOptions(), str(data), "test", 20, inputs=ASKED)
    batch = Collate(None)([dataset[index] for index in range(3)])
    instances = batch.to(torch.device("cpu")).instances
    assert instances.picture.tolist() == [0, 2, 2] and instances.masks.shape == (3, 20, 20)
    words = [
        batch.captions[b][i:j] for b, (i, j) in zip(instances.picture.tolist(), instances.spans.tolist(), strict=True)
    ]
    assert words == ["red ball", "a blue box", "green cup"]
    assert instances.masks[1, :, :10].all() and not instances.masks[1, :, 10:].any()
    assert instances.masks[2].float().mean() == pytest.approx(0.25)
    assert build_dataset(CaptionedOptions(), str(data), "test", 20)[2].instances is None
    write(data, {})
    empty = build_dataset(CaptionedOptions(), str(data), "test", 20, inputs=ASKED)
    assert len(Collate(None)([empty[0], empty[1]]).instances) == 0
    trained = build_dataset(CaptionedOptions(), str(data), "train", 20, train=True, inputs=ASKED)
    assert trained[0].instances is None  # there is no such file, and training reads none


def test_a_phrase_that_is_given_twice_takes_its_places_in_turn(data):
    (data / "cap-img-pairs_test.json").write_text(json.dumps([["2.jpg", "a cup, a cup"], ["2.jpg", "cupboards"]]))
    write(data, {"2.jpg": [["cup", "2/0.png"], ["cup", "2/1.png"]]})
    dataset = build_dataset(CaptionedOptions(), str(data), "test", 20, inputs=ASKED)
    assert [(i.start, i.end) for i in dataset[0].instances] == [(2, 5), (9, 12)]
    assert dataset[1].instances == []  # whole words


@pytest.mark.parametrize(
    ("masks", "said"),
    [
        ([], r"masks_test.json: is not {image: \[\[phrase, file\], ...\]}"),
        ({"2.jpg": "cup"}, r"2.jpg has cup, not a list"),
        ({"2.jpg": [["cup"]]}, r"2.jpg has \['cup'\]; write \[phrase, file\]"),
        ({"2.jpg": [["cup", "2/7.png"]]}, r"2.jpg, 'cup': .*7.png is no file in .*masks_test"),
        ({"2.jpg": [["cup", "../test/2.jpg"]]}, r"2.jpg, 'cup': .* is no file in .*masks_test"),
        ({"2.jpg": [["a red cup", "2/0.png"]]}, r"2.jpg: no caption holds the phrase 'a red cup'; .*a blue box"),
    ],
)
def test_a_bad_file_of_masks_is_named(data, masks, said):
    write(data, masks)
    with pytest.raises(InputError, match=said):
        build_dataset(CaptionedOptions(), str(data), "test", 20, inputs=ASKED)


def test_a_bad_mask_is_named(data):
    write(data, GOOD)
    dataset = build_dataset(CaptionedOptions(), str(data), "test", 20, inputs=ASKED)
    file = data / "masks_test" / "2" / "1.png"
    for size, box, said in (
        ((40, 42), (0, 0, 9, 9), r"1.png: is 40 x 42, its picture 42 x 40; make the mask of that size"),
        ((42, 40), (0, 0, 0, 0), r"1.png: is empty at 20 x 20 pixels"),
        ((42, 40), (0, 0, 30, 40), r"2.jpg: the masks .*1.png and .*0.png overlap; each object has one"),
    ):
        save_mask(file, size, box)
        with pytest.raises(InputError, match=said):
            dataset[2]
    save_mask(file, (42, 40), (15, 0, 42, 40))  # rough ones may touch
    assert len(dataset[2].instances) == 2
    file.write_bytes(np.random.default_rng(0).bytes(50))
    with pytest.raises(InputError, match=r"1.png: not a readable picture"):
        dataset[2]


def test_rough_masks_grow_shrink_and_shift():
    mask = torch.zeros(2, 8, 9, dtype=torch.bool)
    mask[0, 3:6, 4:7], mask[1, :, :2] = True, True
    grown, shrunk, shifted = (changed(mask, *parse_change("--mask_change", f"{kind}=1")) for kind in CHANGES)
    assert grown[0].nonzero().aminmax(dim=0).min.tolist() == [2, 3] and grown[0].sum() == 25
    assert shrunk[0].nonzero().tolist() == [[4, 5]] and shrunk[1, :, 0].all() and shrunk[1].sum() == 8
    assert torch.equal(shifted[0, 1:, 1:], mask[0, :-1, :-1]) and not shifted[1, 0].any()
    assert shifted[1, 1:, 1:3].all() and shifted[1].sum() == 14
    assert not changed(mask, "shift", 20).any() and changed(mask, "grow", 20).all()
    assert changed(mask[:0], "grow", 1).shape == (0, 8, 9)


def test_phrases_follow_their_captions_to_lower_levels(data):
    write(data, GOOD)
    for level, wanted in (("partial", None), ("scarce", ["ball", "a box", "cup"])):
        dataset = build_dataset(CaptionedOptions(), str(data), "test", 20, inputs=ASKED, level=level)
        batch = Collate(None)([dataset[index] for index in range(3)])
        places = zip(batch.instances.picture.tolist(), batch.instances.spans.tolist(), strict=True)
        words = [batch.captions[b][start:end] for b, (start, end) in places]
        assert len(words) == 3 and (wanted is None or words == wanted)
        assert dataset.pairs[2][1] == batch.captions[2] != "a blue box and a green cup"
    assert build_dataset(CaptionedOptions(), str(data), "train", 20, train=True, level="scarce")[0].caption


def test_scenes_give_their_phrases_and_masks():
    for level in LEVELS:
        scenes = build_dataset(SceneOptions(eval_scenes=6), None, "instances", 24, inputs=ASKED, level=level)
        batch, known = Collate(None)([scenes[index] for index in range(6)]), scenes.render(range(6))
        assert batch.captions == known.captions
        whole = known.instances()
        assert torch.equal(batch.instances.masks, whole.masks) and torch.equal(batch.instances.spans, whole.spans)
        assert len(whole) == int((known.masks.flatten(2).any(dim=2)).sum())  # all are named there
        for counter, captions in ((False, known.captions), (True, known.counter_captions)):
            own = known.instances(counter)
            for mask, b, (start, end) in zip(own.masks, own.picture.tolist(), own.spans.tolist(), strict=True):
                (k,) = [k for k in range(5) if torch.equal(known.masks[b, k], mask)]
                assert list(SHAPES)[known.shapes[b, k]] in captions[b][start:end].split()
    assert build_dataset(SceneOptions(), None, "train", 24, train=True, inputs=ASKED)[0].instances is None


def test_two_names_of_an_object_need_not_share_a_caption(data):
    """Masks of other captions are neither read nor compared; a phrase inside of one that has its place has none."""
    pairs = [["2.jpg", "a dark red box"], ["2.jpg", "a cup"], ["2.jpg", "a red box and a dark red box"]]
    (data / "cap-img-pairs_test.json").write_text(json.dumps(pairs))
    write(data, {"2.jpg": [["dark red box", "2/0.png"], ["red box", "2/1.png"], ["cup", "2/2.png"]]})
    save_mask(data / "masks_test" / "2" / "2.png", (42, 40), (0, 0, 22, 40))
    dataset = build_dataset(CaptionedOptions(), str(data), "test", 20, inputs=ASKED)
    assert [(i.start, i.end) for i in dataset[0].instances] == [(2, 14)]
    assert [(i.start, i.end) for i in dataset[1].instances] == [(2, 5)]
    assert [(i.start, i.end) for i in dataset[2].instances] == [(16, 28), (2, 9)]


def test_an_occurrence_without_mask_keeps_its_place():
    mask = torch.ones(4, 4, dtype=torch.bool)
    caption = "a red car and a red car"
    assert [(i.start, i.end) for i in placed(caption, [("red car", None), ("red car", mask)])] == [(16, 23)]
    assert placed(caption, [("blue car", mask), ("red car", None)]) == []
