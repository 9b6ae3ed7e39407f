"""Shards hold what the files hold, whatever the order, the ranks and the workers; bad ones are named."""

import io
import json
import os
import pickle
import signal
from pathlib import Path

import pytest
import torch
import webdataset
from conftest import ROOT, write_data
from odd_photos import write as write_odd_photos
from PIL import Image

import engine
import run_colorization
from datasets import CaptionedOptions, build_dataset, loading, shards
from datasets.captioned_images import CaptionedImages
from datasets.image_files import image_size, read_image
from datasets.loading import build_loader, set_epoch, shuffled
from models.text import CaptionTokenizer
from scripts import make_shards
from utils import distributed, seeds
from utils.errors import InputError
from utils.log import MetricLog

COUNTER = frozenset({"counter"})

AUGMENTATION = CaptionedOptions(crop_scale=(0.3, 1.0), flip=0.5, caption_dropout=0.2)
TRAIN = 26  # pairs of 24 images: two have a second caption
SMOKE = ["--config", str(ROOT / "configs" / "lcoins" / "smoke.yaml"), "--device", "cpu", "--batch_size", "4"]


def pack(*words: object) -> int:
    return make_shards.main([*map(str, words), "--workers", "2"])


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    root = write_data(tmp_path_factory.mktemp("shards") / "files", {"train": 24, "val": 5, "test": 5})
    path = root / "cap-img-pairs_train.json"
    pairs = json.loads(path.read_text())
    path.write_text(json.dumps([*pairs[:9], ["3.jpg", "a green box on the right"], *pairs[9:], ["0.jpg", "a red cup"]]))
    (root / "more").mkdir()
    for name in ("b.jpg", "a/c.jpg"):
        (root / "more" / name).parent.mkdir(exist_ok=True)
        (root / "more" / name).write_bytes((root / "val" / "1.jpg").read_bytes())
    return root


@pytest.fixture(scope="module")
def packed(files, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("shards") / "100% packed"
    assert pack(files, root, "--uncaptioned", files / "more", "--shard_megabytes", 0.008) == 0
    assert len(list(root.glob("train-*.tar"))) > 2  # so that orders go over shards' borders
    return root


def rewrite(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def loader(root: Path, workers: int = 0, window: int = 0, epoch: int = 0, seen: int = 0, more: str | None = None):
    uncaptioned = None if more is None else str(root / more)
    options = CaptionedOptions(AUGMENTATION.crop_scale, AUGMENTATION.flip, uncaptioned)
    dataset = build_dataset(options, str(root), "train", 16, True, COUNTER, 5)
    tokenize = CaptionTokenizer.from_vocabulary()
    made = build_loader(dataset, tokenize, 3, workers, True, seed=5, shuffle_window=window)
    set_epoch(made, epoch, seen)
    return made


def assert_same(one: list, other: list) -> None:
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        assert (a.indices, a.names, a.captions) == (b.indices, b.names, b.captions)
        assert torch.equal(a.rgb, b.rgb)
        assert torch.equal(a.words.ids, b.words.ids) and torch.equal(a.counter_words.ids, b.counter_words.ids)


@pytest.fixture
def as_rank(monkeypatch):
    """Makes this process one rank of several."""

    def become(rank: int, ranks: int) -> None:
        monkeypatch.setattr(distributed, "rank", lambda: rank)
        monkeypatch.setattr(distributed, "world_size", lambda: ranks)

    return become


@pytest.mark.parametrize("window", [0, 16])
def test_shards_give_the_batches_of_the_files(files, packed, window):
    for epoch, workers in ((0, 0), (1, 2)):
        assert_same(list(loader(files, 0, window, epoch)), list(loader(packed, workers, window, epoch)))


def test_the_bytes_are_the_files_own(files, packed):
    data = CaptionedImages(packed, "train", 16)
    assert data.unreadable() == [] and len(data) == TRAIN
    for name, _ in data.pairs:
        assert data.image(name).content == (files / "train" / name).read_bytes()
    sent = pickle.loads(pickle.dumps(data))  # as to a loader process that is not forked
    assert torch.equal(sent[1].rgb, data[1].rgb)


@pytest.mark.parametrize("window", [0, 16])
def test_ranks_and_workers_share_an_epoch_without_overlap(packed, as_rank, window):
    order = shuffled(TRAIN, window, torch.Generator().manual_seed(seeds.derive(5, seeds.ORDER, 0))).tolist()
    dealt = []
    for rank in range(3):
        as_rank(rank, 3)
        dealt.append([index for batch in loader(packed, 2, window) for index in batch.indices])
    assert [dealt[place % 3][place // 3] for place in range(18)] == order[:18]  # two batches of 3 on each of 3 ranks
    assert [len(indices) for indices in dealt] == [6, 6, 6] and sorted(order) == list(range(TRAIN))


@pytest.mark.parametrize("after", [1, 2, 3])
def test_an_epoch_goes_on_in_its_middle_with_any_number_of_processes(files, packed, as_rank, after):
    as_rank(0, 1)
    whole = list(loader(files, 0, 16, epoch=1))
    rows = {index: batch.rgb[row] for batch in whole for row, index in enumerate(batch.indices)}
    order = [index for batch in whole for index in batch.indices]
    seen = 6  # one batch of 3 on each of 2 ranks
    rest = []
    for rank in range(after):
        as_rank(rank, after)
        batches = list(loader(packed, 2, 16, epoch=1, seen=seen))
        assert all(torch.equal(b.rgb[row], rows[i]) for b in batches for row, i in enumerate(b.indices) if i in rows)
        rest.append([index for batch in batches for index in batch.indices])
    together = [index for indices in zip(*rest, strict=True) for index in indices]
    assert together == order[seen : seen + len(together)] and len(together) >= 18


def test_a_window_mixes_neighbours_and_stays_near_them():
    length, window = 4000, 400
    block = window // 8
    order, again, other = (shuffled(length, window, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(order, again) and not torch.equal(order, other)
    assert torch.equal(order.sort().values, torch.arange(length))
    blocks = order // block
    places = {int(b): (blocks == b).nonzero().flatten() for b in range(length // block)}
    longest = max(int(at[-1] - at[0]) for at in places.values())
    assert longest < 1.2 * window  # a block is read once and soon done with
    assert all(len(set(blocks[i : i + 64].tolist())) > 6 for i in range(window, length - window, 64))  # of 9 at most
    first = torch.tensor([int(at[0]) for at in places.values()]).argsort()
    assert not torch.equal(first, torch.arange(len(first)))  # the blocks too lie in any order
    assert not torch.equal(order[blocks == 7].sort().values, order[blocks == 7])


def reads(monkeypatch, root, window) -> list[tuple[str, int, int]]:
    """(file, first byte, bytes) of every read of one pass."""
    made, pread = [], os.pread

    def noted(descriptor, size, first):
        made.append((os.readlink(f"/proc/self/fd/{descriptor}"), first, size))
        return pread(descriptor, size, first)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", noted)
        patch.setattr(shards, "STRETCH", 4096)
        list(loader(root, 0, window))
    return made


def test_a_window_reads_every_stretch_of_the_disk_once_and_no_window_no_more_than_the_images(packed, monkeypatch):
    alone, ahead = reads(monkeypatch, packed, 0), reads(monkeypatch, packed, 16)
    assert len(alone) == 24 and all(size != 4096 for _, _, size in alone)  # 8 batches of 3
    fetched = [(file, first) for file, first, size in ahead if size == 4096]
    assert len(fetched) == len(set(fetched)) > 5 and len(ahead) == 24 + len(fetched)
    covered = set()
    for file, first, size in ahead:  # an image is asked for only when all its bytes were fetched before
        stretches = {(file, place // 4096 * 4096) for place in (first, first + size - 1)}
        covered |= stretches if size == 4096 else set()
        assert stretches <= covered


def test_webdataset_reads_what_was_written(files, packed):
    urls = sorted(map(str, packed.glob("train-*.tar")))
    samples = list(webdataset.DataPipeline(webdataset.SimpleShardList(urls), webdataset.tarfile_to_samples()))
    described = [json.loads(sample["json"]) for sample in samples]
    assert [known["name"] for known in described] == [f"{i}.jpg" for i in range(24)]
    assert described[3]["captions"] == ["a yellow star over black sand", "a green box on the right"]
    assert described[3]["pairs"] == [3, 9] and described[0]["pairs"] == [0, 25]
    for sample, known in zip(samples, described, strict=True):
        assert sample["jpg"] == (files / "train" / known["name"]).read_bytes()


def test_photographs_without_captions_join_from_shards(files, packed):
    own, other = loader(files, 0, 8, more="more"), loader(packed, 1, 8, more=".")
    for a, b in zip(own, other, strict=True):
        assert a.indices == b.indices and a.captions == b.captions and torch.equal(a.rgb, b.rgb)
    names = [name for name, caption in other.dataset.pairs if not caption]
    assert names == [f"{packed}/a/c.jpg", f"{packed}/b.jpg"]


def test_smaller_copies(tmp_path):
    (tmp_path / "data" / "test").mkdir(parents=True)
    paths = write_odd_photos(tmp_path / "data" / "test")
    (tmp_path / "data" / "cap-img-pairs_test.json").write_text(json.dumps([[path.name, "red"] for path in paths]))
    assert pack(tmp_path / "data", tmp_path / "small", "--size", 16) == 0
    data, small = (CaptionedImages(tmp_path / root, "test", 16) for root in ("data", "small"))
    for index, path in enumerate(paths):
        content = small.image(path.name).content
        if min(image_size(path)) <= 16:
            assert content == path.read_bytes()
        else:
            with Image.open(io.BytesIO(content)) as copy:
                assert (copy.format, min(copy.size)) == ("JPEG", 16)
        difference = data[index].rgb.int() - small[index].rgb.int()
        assert difference.abs().float().mean() < (4 if path.name != "mode_1.png" else 16), path.name
    assert pack(tmp_path / "small", tmp_path / "smaller", "--size", 8) == 0  # shards are a data folder too
    smaller = CaptionedImages(tmp_path / "smaller", "test", 8).image("cmyk.jpg")
    assert read_image(smaller).size == (12, 8)


DAMAGES = {
    "a missing shard": (lambda root: (root / "val-000000.tar").unlink(), "val-000000.tar: a shard is missing"),
    "a truncated shard": (lambda root: os.truncate(root / "val-000000.tar", 1000), "val-000000.tar: has 1000 bytes"),
    "another version": (lambda root: rewrite(root / "shards_val.json", version=9), "has version 9, this program reads"),
    "another format": (lambda root: rewrite(root / "shards_val.json", format="wids"), "no index of shards"),
    "no JSON": (lambda root: (root / "shards_val.json").write_text("{"), "no index of shards"),
    "no images": (lambda root: rewrite(root / "shards_val.json", images={}), "is damaged"),
    "no places": (lambda root: rewrite(root / "shards_val.json", images={"0.jpg": [0, 1]}), "is damaged"),
    "no shards": (lambda root: rewrite(root / "shards_val.json", shards=[]), "is damaged"),
    "a forgotten image": (
        lambda root: rewrite(root / "shards_val.json", images={"0.jpg": [0, 1, 2, 3]}),
        "are missing",
    ),
    "another list": (
        lambda root: (root / "cap-img-pairs_val.json").write_text('[["0.jpg", "red"]]'),
        "is not the list",
    ),
    "no index": (lambda root: (root / "shards_val.json").unlink(), "their index shards_val.json"),
    "files too": (lambda root: (root / "val").mkdir(), "as files and as shards"),
}


@pytest.fixture
def copy(files, tmp_path) -> Path:
    assert pack(files, tmp_path / "copy", "--splits", "val") == 0
    return tmp_path / "copy"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_bad_folder_of_shards_is_named_before_the_run(copy, damage):
    harm, message = DAMAGES[damage]
    harm(copy)
    with pytest.raises(InputError, match=message) as caught:
        CaptionedImages(copy, "val", 16)
    assert str(copy) in str(caught.value) and ";" in str(caught.value)


def test_a_shard_that_changed_or_went_is_named_with_the_image(copy):
    changed, gone = CaptionedImages(copy, "val", 16), CaptionedImages(copy, "val", 16)
    shard = copy / "val-000000.tar"
    assert changed[0].name == "0.jpg"
    content = bytearray(shard.read_bytes())
    content[changed.shards[0].images["2.jpg"][1] + 40] ^= 1  # one bit; the size stays
    shard.write_bytes(content)
    assert changed[1].name == "1.jpg"
    with pytest.raises(InputError, match=r"val-000000.tar: 2.jpg: is not what shards_val.json says.*write the shards"):
        changed[2]
    os.truncate(shard, 2000)
    with pytest.raises(InputError, match=r"val-000000.tar: 4.jpg: is not what"):
        changed[4]
    shard.unlink()
    with pytest.raises(InputError, match=r"val-000000.tar: 1.jpg: cannot be read .*restore the shard"):
        gone[1]


def test_what_cannot_be_packed_is_named_and_leaves_nothing(files, tmp_path, capsys):
    out = tmp_path / "out"
    broken = write_data(tmp_path / "broken", {"val": 3})
    os.truncate(broken / "val" / "1.jpg", (broken / "val" / "1.jpg").stat().st_size - 90)
    refused = {
        "1.jpg: cannot be decoded": (broken, out),
        "is the data folder itself": (files, files),
        "has no list": (tmp_path, out),
        "--size 0": (files, out, "--size", 0),
        "--shard_megabytes 0.0": (files, out, "--shard_megabytes", 0),
        "cap-img-pairs_test.json: not there": (broken, out, "--splits", "test"),
    }
    for message, words in refused.items():
        assert pack(*words) == 2
        assert message in capsys.readouterr().err
    assert not out.exists() or not list(out.iterdir())
    assert pack(files, out, "--splits", "val", "--shard_megabytes", 0.001) == 0 == pack(files, out, "--splits", "test")
    written = sorted(path.name for path in out.iterdir())
    assert pack(files, out, "--splits", "val") == 2 and "--overwrite" in capsys.readouterr().err
    assert sorted(path.name for path in out.iterdir()) == written
    assert pack(files, out, "--splits", "val", "--overwrite") == 0
    assert sorted(path.name for path in out.glob("val*.tar")) == ["val-000000.tar"]  # no stale shard stays


def run(*words: object) -> int:
    return run_colorization.run(SMOKE + [str(word) for word in words])


def test_a_run_over_shards_that_is_interrupted_ends_as_an_uninterrupted_one_over_files(
    files, packed, tmp_path, monkeypatch
):
    words, windows = ["--shuffle_window", 16, "--epochs", 1], set()
    monkeypatch.setattr(loading, "shuffled", lambda *args: windows.add(args[1]) or shuffled(*args))
    assert run(*words, "--data_path", files, "--output_dir", tmp_path / "files") == 0
    update = MetricLog.update

    def struck(self, at, *args, **values):
        update(self, at, *args, **values)
        if at == 4:
            os.kill(os.getpid(), signal.SIGTERM)

    words += ["--data_path", packed, "--output_dir", tmp_path / "shards", "--num_workers", 2]
    with monkeypatch.context() as patch:
        patch.setattr(MetricLog, "update", struck)
        assert run(*words) == 75
    assert run(*words, "--auto_resume") == 0
    one, other = (torch.load(tmp_path / name / engine.LAST, weights_only=True) for name in ("files", "shards"))
    assert one["step"] == other["step"] == 6 and windows == {16}
    assert all(torch.equal(one["tensors"][name], other["tensors"][name]) for name in one["tensors"])

    tables = []
    for root in (files, packed):
        out = tmp_path / f"test_{root.name}"
        words = ["--finetune", tmp_path / "files" / engine.LAST, "--data_path", root, "--output_dir", out, "--test"]
        assert run(*words, "--protocol", "full") == 0  # at the photographs' own size, which it reads once more
        tables.append((out / "per_image.csv").read_text())
    assert tables[0] == tables[1] and tables[0].count("\n") == 6
