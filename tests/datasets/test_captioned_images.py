import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset

import run_colorization
from datasets import CaptionedOptions, build_dataset, options_of
from datasets.batch import Collate, Sample
from datasets.captioned_images import CaptionedImages
from datasets.image_files import read_image
from datasets.loading import build_loader, set_epoch
from datasets.pair_list import read_pairs
from datasets.words import color_words
from models.text import OWN_VOCABULARY, CaptionTokenizer
from utils import distributed
from utils.errors import InputError

COUNTER = frozenset({"counter"})

AUGMENTATION = CaptionedOptions(crop_scale=(0.3, 1.0), flip=0.5)
OPTIONS = CaptionedOptions(crop_scale=(0.3, 1.0), flip=0.5)


def rewrite(data: Path, content: object, split: str = "train") -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (data / f"cap-img-pairs_{split}.json").write_text(text)


def test_both_json_forms_give_the_same_pairs(data):
    pairs = [["0.jpg", "a red ball"], ["0.jpg", "a ball"], ["1.jpg", "two dogs"]]
    rewrite(data, pairs)
    listed = read_pairs(data, "train")
    rewrite(data, {"0.jpg": ["a red ball", "a ball"], "1.jpg": ["two dogs"]})
    assert read_pairs(data, "train") == listed == [tuple(pair) for pair in pairs]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not valid JSON"),
        ("[[", "not valid JSON"),
        ([], "holds no pairs"),
        ({}, "holds no pairs"),
        ("3", "holds a int"),
        ({"0.jpg": "a red ball"}, "list of captions"),
        ([["0.jpg"]], "pair 0 is"),
        ([["0.jpg", "fine"], ["0.jpg", 3]], "pair 1 is"),
        ([["0.jpg", "  "]], "empty caption"),
        ("[" * 100000, "not valid JSON"),
        ([["0.jpg", "red \ud800"]], "is no text"),
        ([["0.jpg", "red " * 2500 + "x"]], r"pair 0 has 10,001 characters \('red red .* at most 10,000: shorten it"),
        ([["../val/0.jpg", "red"]], "stays inside"),
        ([["/etc/passwd", "red"]], "stays inside"),
        ([["..\\val\\0.jpg", "red"]], "stays inside"),
        ([["", "red"]], "stays inside"),
        ([["absent.jpg", "red"]], "absent.jpg missing"),
        ([["folder", "red"]], "not a file"),
        ([["nothing.jpg", "red"]], "0 bytes"),
    ],
)
def test_bad_lists_name_file_value_and_remedy(data, content, message):
    (data / "train" / "folder").mkdir()
    (data / "train" / "nothing.jpg").touch()
    rewrite(data, content)
    with pytest.raises(InputError, match=message) as caught:
        CaptionedImages(data, "train", 16)
    assert str(data) in str(caught.value)


def test_a_missing_split_names_the_list_and_what_is_there(data):
    with pytest.raises(InputError, match=r"cap-img-pairs_extra.json: not there.*cap-img-pairs_train.json"):
        CaptionedImages(data, "extra", 16)


def test_evaluation_squashes_the_whole_picture(data):
    sample = CaptionedImages(data, "val", 16)[3]
    picture = Image.open(data / "val" / "3.jpg").convert("RGB")
    expected = np.asarray(picture.resize((16, 16), Image.Resampling.BILINEAR))
    assert np.array_equal(sample.rgb.permute(1, 2, 0).numpy(), expected)
    assert (sample.name, sample.index, sample.counter_caption) == ("3.jpg", 3, None)


def test_odd_kinds_of_pictures_convert(tmp_path):
    ramp = np.linspace(0, 255, 64).reshape(8, 8)
    gray = ramp.astype(np.uint8)
    files = {
        "gray.png": Image.fromarray(gray),
        "deep.png": Image.fromarray((ramp * 257).astype(np.uint16)),
        "cmyk.jpg": Image.fromarray(gray).convert("CMYK"),
        "palette.png": Image.fromarray(gray).convert("P"),
        "alpha.png": Image.merge("RGBA", [Image.fromarray(gray)] * 3 + [Image.new("L", (8, 8), 255)]),
        "bilevel.png": Image.fromarray(gray).convert("1"),
    }
    for name, image in files.items():
        image.save(tmp_path / name)
        read = np.asarray(read_image(tmp_path / name)).astype(int)
        assert read.shape == (8, 8, 3)
        if name != "bilevel.png":
            assert np.abs(read - gray[..., None]).max() <= (6 if name.endswith("jpg") else 1), name
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    assert (np.asarray(read_image(tmp_path / "clear.png")) == 255).all()  # transparent: the white behind it


def test_exif_orientation_is_applied(tmp_path):
    image = Image.new("RGB", (8, 4), "black")
    image.paste("white", (0, 0, 4, 4))  # the left half
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right by 90 degrees to see it
    image.save(tmp_path / "turned.png", exif=exif)
    seen = np.asarray(read_image(tmp_path / "turned.png"))
    assert seen.shape == (8, 4, 3)
    assert seen[:4].min() == 255 and seen[4:].max() == 0


def test_reduced_decoding_keeps_the_picture(tmp_path):
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)).resize((640, 480))
    smooth.save(tmp_path / "large.jpg", quality=95)
    reduced, full = read_image(tmp_path / "large.jpg", at_least=(100, 75)), read_image(tmp_path / "large.jpg")
    assert reduced.size == (160, 120)
    difference = np.asarray(full.resize(reduced.size, Image.Resampling.BOX)).astype(int) - np.asarray(reduced)
    assert np.abs(difference).mean() < 2


@pytest.mark.parametrize("damage", ["truncated", "garbage", "bomb"])
def test_an_undecodable_picture_is_named(data, damage, monkeypatch):
    file = data / "train" / "2.jpg"
    content = file.read_bytes()
    if damage == "bomb":
        Image.new("L", (300, 200)).save(file)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300 * 200 - 1)  # Pillow alone only warns, up to twice as many
    else:
        file.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"no picture" * 9)
    dataset = CaptionedImages(data, "train", 16)
    with pytest.raises(InputError, match=r"2\.jpg.*restore the file"):
        dataset[2]
    assert dataset.unreadable() == ["2.jpg"]
    dataset.leave_out(["2.jpg"])
    assert [name for name, _ in dataset.pairs] == ["0.jpg", "1.jpg", "3.jpg", "4.jpg", "5.jpg", "6.jpg", "7.jpg"]


def test_a_flip_mirrors_picture_and_caption_together(data):
    picture = Image.new("RGB", (32, 32), "black")
    picture.paste("white", (0, 0, 16, 32))
    picture.save(data / "train" / "half.png")
    captions = ["a red ball on the left", "turn right now"]  # the second cannot be mirrored
    rewrite(data, [["half.png", caption] for caption in captions])
    always = CaptionedOptions(crop_scale=(1.0, 1.0), flip=1.0)
    flipped, kept = CaptionedImages(data, "train", 32, always)
    assert flipped.caption == "a red ball on the right"
    assert flipped.rgb[:, :, :12].max() < 40 and flipped.rgb[:, :, 20:].min() > 215
    assert kept.caption == "turn right now" and kept.rgb[:, :, :12].min() > 215


def test_counter_captions_change_every_colour_word_and_only_those(data):
    dataset = CaptionedImages(data, "train", 16, CaptionedOptions((0.5, 1.0), 0.0), inputs=COUNTER)
    for sample in dataset:
        spans = color_words.find(sample.caption)
        if not spans:
            assert sample.counter_caption is None
            continue
        before, after = sample.caption.split(), sample.counter_caption.split()
        changed = [a for a, b in zip(before, after, strict=True) if a != b]
        assert changed == [sample.caption[start:end] for start, end in spans]


def epoch_of(data: Path, workers: int, epoch: int = 0, seed: int = 5):
    dataset = build_dataset(OPTIONS, str(data), "train", 16, True, COUNTER, seed)
    loader = build_loader(dataset, CaptionTokenizer.from_vocabulary(), 3, workers, train=True, seed=seed)
    set_epoch(loader, epoch)
    return list(loader)


def test_the_same_seed_gives_the_same_batches_whatever_the_number_of_workers(data):
    alone, shared = epoch_of(data, 0), epoch_of(data, 2)
    assert len(alone) == 2  # 8 pairs in batches of 3: the rest is dropped
    for a, b in zip(alone, shared, strict=True):
        assert a.captions == b.captions and a.indices == b.indices
        assert torch.equal(a.rgb, b.rgb) and torch.equal(a.counter_words.ids, b.counter_words.ids)


def test_another_epoch_or_seed_draws_anew(data):
    first, second, other = epoch_of(data, 0), epoch_of(data, 0, epoch=1), epoch_of(data, 0, seed=6)
    assert not torch.equal(first[0].rgb, second[0].rgb)
    assert not torch.equal(first[0].rgb, other[0].rgb)


class Indices(Dataset):
    """What a worker draws beside its index, from the generators that it was started with."""

    def __len__(self):
        return 64

    def __getitem__(self, index):
        return index, torch.rand(()).item(), np.random.rand()


def test_no_epoch_of_a_seed_is_another_seed_s(monkeypatch):
    """Neither the order of the samples nor the generators of the workers."""
    orders, draws = set(), set()
    for seed in (0, 1, 2):
        loader = build_loader(Indices(), None, 2, 1, train=True, seed=seed)
        loader.collate_fn = list
        for epoch in (0, 1, 2):
            for rank in (1, 0):
                monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
                set_epoch(loader, epoch)
                draws.add(next(iter(loader))[0][1:])
            orders.add(tuple(loader.sampler))
    assert len(orders) == 9 and len(draws) == 18


def test_reading_does_not_touch_the_global_generators(data, monkeypatch):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda _: 1 / 0)  # as long as there is no GPU it keeps each call
    CaptionedImages(data, "train", 16, AUGMENTATION, inputs=COUNTER)[1]
    assert torch.equal(torch.rand(3), expected)


def test_a_batch_is_padded_to_its_own_longest_caption_and_counters_follow(data):
    for batch in epoch_of(data, 0):
        assert batch.words.mask.sum(dim=1).max() == batch.words.ids.shape[1]
        assert batch.rgb.dtype == torch.uint8
        moved = batch.to(torch.device("cpu"))
        assert moved.rgb.dtype == torch.float32 and moved.rgb.max() <= 1
        for caption, has_counter in zip(batch.captions, batch.has_counter, strict=True):
            assert has_counter == bool(color_words.find(caption))


def test_a_counter_caption_that_differs_only_behind_the_cut_takes_no_part(data):
    rewrite(data, [["0.jpg", "dogs " * 90 + "red"], ["1.jpg", "red " + "dogs " * 90]])
    dataset = CaptionedImages(data, "train", 16, CaptionedOptions((1.0, 1.0), 0.0), inputs=COUNTER)
    loader = build_loader(dataset, CaptionTokenizer.from_vocabulary(), 2, 0, train=True)
    (batch,) = loader
    assert dict(zip(batch.names, batch.has_counter.tolist(), strict=True)) == {"0.jpg": False, "1.jpg": True}


def test_captions_without_colors_are_no_counter_pairs_whatever_the_id_of_padding(data, tmp_path):
    lines = OWN_VOCABULARY.read_text(encoding="utf-8").split("\n")
    file = tmp_path / "vocab.txt"
    file.write_text("\n".join([*lines[1:4096], "[PAD]"]), encoding="utf-8")  # the first id is another word's
    tokenizer = CaptionTokenizer.from_vocabulary(file)
    assert tokenizer.tokenizer.padding["pad_id"] == 4095
    pairs = [
        ("dogs run", None),
        ("a chestnut horse on the raspberry sofa", "a red horse on the red sofa"),
        ("a dog", None),
    ]
    samples = [Sample(torch.zeros(3, 2, 2), caption, counter, "", 0) for caption, counter in pairs]
    batch = Collate(tokenizer, counter=True)(samples)
    assert batch.words.ids.shape[1] > batch.counter_words.ids.shape[1]  # the longest colour is of several tokens
    assert batch.has_counter.tolist() == [False, True, False]
    assert batch.counter_words.differ(batch.words).tolist() == [False, True, False]


def test_evaluation_gives_every_pair_once_in_file_order(data):
    dataset = build_dataset(OPTIONS, str(data), "val", 16)
    loader = build_loader(dataset, CaptionTokenizer.from_vocabulary(), 2, 0, train=False)
    assert [i for batch in loader for i in batch.indices] == [0, 1, 2, 3, 4]
    assert all(batch.counter_words is None for batch in loader)


def test_a_batch_size_that_leaves_no_step_is_an_error(data):
    dataset = build_dataset(OPTIONS, str(data), "train", 16, True, COUNTER)
    with pytest.raises(InputError, match=r"--batch_size 9.*8 training pairs"):
        build_loader(dataset, CaptionTokenizer.from_vocabulary(), 9, 0, train=True)


def test_missing_data_path_and_unknown_data_set_say_what_to_pass():
    with pytest.raises(InputError, match="--data_path"):
        build_dataset(OPTIONS, None, "val", 16)
    with pytest.raises(InputError, match="--data_set coco"):
        options_of("coco")


def test_a_subfolder_is_fine_and_a_fifo_is_not_a_file(data):
    (data / "train" / "more").mkdir()
    (data / "train" / "more" / "0.jpg").write_bytes((data / "train" / "0.jpg").read_bytes())
    rewrite(data, [["more/0.jpg", "red"]])
    assert CaptionedImages(data, "train", 16)[0].name == "more/0.jpg"
    os.mkfifo(data / "train" / "pipe.jpg")
    rewrite(data, [["pipe.jpg", "red"]])
    with pytest.raises(InputError, match="not a file"):
        CaptionedImages(data, "train", 16)


def test_dropped_captions_are_the_share_asked_for_and_the_picture_stays(data):
    rewrite(data, [["0.jpg", "a red ball"]] * 400)
    kept = CaptionedImages(data, "train", 16, AUGMENTATION, inputs=COUNTER)
    dropped = CaptionedImages(
        data, "train", 16, dataclasses.replace(AUGMENTATION, caption_dropout=0.25), inputs=COUNTER
    )
    pairs = [(kept[i], dropped[i]) for i in range(400)]
    empty = [not own.caption for _, own in pairs]
    assert 70 < sum(empty) < 130
    for (whole, own), is_empty in zip(pairs, empty, strict=True):
        assert torch.equal(whole.rgb, own.rgb)
        assert (own.caption, own.counter_caption is None) == (("", True) if is_empty else (whole.caption, False))


def test_uncaptioned_photographs_join_with_empty_captions(data, tmp_path):
    (tmp_path / "more" / "sub").mkdir(parents=True)
    for number, name in enumerate(("b.png", "sub/a.jpg", "notes.txt")):
        Image.new("RGB", (20, 10), (number * 40, 0, 0)).save(tmp_path / "more" / name, "PNG")
    own = CaptionedImages(data, "train", 16, AUGMENTATION, inputs=COUNTER)
    options = dataclasses.replace(OPTIONS, uncaptioned=str(tmp_path / "more"))
    both = build_dataset(options, str(data), "train", 16, True, COUNTER)
    assert len(both) == len(own) + 2 and both.unreadable() == []
    added = [both[i] for i in (len(own), len(own) + 1)]
    assert [sample.caption for sample in added] == ["", ""]
    assert [Path(sample.name).name for sample in added] == ["b.png", "a.jpg"]
    assert added[1].rgb[0].max() > 30 and added[1].counter_caption is None
    batch = next(iter(build_loader(both, CaptionTokenizer.from_vocabulary(), len(both), 0, train=True)))
    nothing = [i for i, caption in enumerate(batch.captions) if not caption]
    assert len(nothing) == 2 and not batch.has_counter[nothing].any() and batch.words.mask[nothing].sum() == 4
    (tmp_path / "more" / "sub" / "a.jpg").write_bytes(b"broken")
    assert [Path(name).name for name in both.unreadable()] == ["a.jpg"]
    both.leave_out(both.unreadable())
    assert len(both) == len(own) + 1
    with pytest.raises(InputError, match="no picture in this folder"):
        nothing = dataclasses.replace(OPTIONS, uncaptioned=str(tmp_path / "nothing"))
        build_dataset(nothing, str(data), "train", 16, True)


@pytest.mark.parametrize(
    "words", [["--caption_dropout", "0.5"], ["--uncaptioned", "folder"], ["--correspondence", "a"]]
)
def test_scenes_take_none_of_their_flags(words):
    with pytest.raises(InputError, match=f"{words[0]}: a flag of --data_set captioned_images, not of scenes"):
        run_colorization.parse(["--data_set", "scenes", *words])


def test_an_evaluation_reads_no_counter_captions(data):
    for split, train in (("val", False), ("train", True)):
        dataset = build_dataset(OPTIONS, str(data), split, 16, train, COUNTER)
        batch = next(iter(build_loader(dataset, CaptionTokenizer.from_vocabulary(), 2, 0, train=train)))
        assert (batch.counter_words is not None) == train
