"""Training, evaluation, check_data, shards and colorize agree on what can be read, and none of them dies or waits."""

import json
import os
import shutil

import numpy as np
import odd_photos
import pytest
from conftest import SHARED, needs_shared
from PIL import Image

from datasets.captioned_images import CaptionedImages
from datasets.image_files import read_image
from datasets.pictures import formats
from inference.photo import read_photo
from preparation import picture_checks
from preparation.picture_checks import Picture, examine
from scripts import check_data, make_shards
from utils.errors import InputError


def verdicts(path):
    """Of training, check_data, shards and colorize: whether the file is a picture."""
    told = []
    for read in (read_image, lambda path: make_shards.encoded(path, None), lambda path: make_shards.encoded(path, 16)):
        try:
            read(path)
            told.append(True)
        except InputError as error:
            told.append(False)
            assert str(path) in str(error)
    told.append(isinstance(examine(path), Picture))
    try:
        read_photo(path)
        told.append(True)
    except InputError:
        told.append(False)
    return told


def broken(folder):
    """Files that are none, or only nearly pictures."""
    whole = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    for kind in ("jpg", "png", "tif", "webp", "gif", "bmp"):
        path = folder / f"whole.{kind}"
        whole.save(path)
        content = path.read_bytes()
        (folder / f"cut.{kind}").write_bytes(content[: len(content) // 3])
        (folder / f"noise.{kind}").write_bytes(content[:30] + b"\xff" * 200)
    (folder / "page.jpg").write_bytes(b"<!doctype html><p>not found")
    (folder / "empty.jpg").touch()
    return sorted(folder.iterdir())


def test_every_odd_photograph_is_read_everywhere_or_nowhere(tmp_path):
    (tmp_path / "odd").mkdir()
    (tmp_path / "broken").mkdir()
    for path in odd_photos.write(tmp_path / "odd"):
        assert verdicts(path) == [True] * 5, path
    told = {path.name: verdicts(path) for path in broken(tmp_path / "broken")}
    assert all(len({*told[name]}) == 1 for name in told), told
    assert not any(told["page.jpg"] + told["empty.jpg"] + told["cut.png"] + told["noise.jpg"])


@needs_shared("cases")
def test_every_file_that_people_met_is_read_everywhere_or_nowhere():
    for path in sorted((SHARED / "cases").rglob("*")):
        if path.is_file():
            assert len({*verdicts(path)}) == 1, path
            told_by_contents = path.suffix in (".bak", "", ".jpg", ".HEIC")
            assert verdicts(path)[0] == formats.openable(path) or told_by_contents, path


def test_check_data_ends_with_a_report_whatever_a_file_raises(data, tmp_path, capsys, monkeypatch):
    folder = data / "train"
    names = ["pipe.jpg", "folder.jpg", "dangling.jpg", "loop.jpg", "locked.jpg", "memory.jpg", "odd.jpg", "long" * 99]
    os.mkfifo(folder / "pipe.jpg")
    (folder / "folder.jpg").mkdir()
    (folder / "dangling.jpg").symlink_to("nowhere.jpg")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    for name in ("locked.jpg", "memory.jpg", "odd.jpg"):
        shutil.copyfile(folder / "0.jpg", folder / name)
    (folder / os.fsdecode(b"latin-\xe9.jpg")).write_bytes((folder / "1.jpg").read_bytes())
    pairs = json.loads((data / "cap-img-pairs_train.json").read_text())
    (data / "cap-img-pairs_train.json").write_text(json.dumps(pairs + [[name, "a red cup"] for name in names]))
    raised = {"locked.jpg": PermissionError(13, "Permission denied"), "memory.jpg": MemoryError()}
    raised["odd.jpg"] = TypeError("an integer is required")
    real = picture_checks.Path.read_bytes

    def read_bytes(path):
        if path.name in raised:
            raise raised[path.name]
        return real(path)

    monkeypatch.setattr(picture_checks.Path, "read_bytes", read_bytes)
    words = [str(data), "--output_dir", str(tmp_path / "o"), "--num_workers", "2"]
    assert check_data.main(words) == 1
    verdict = capsys.readouterr().out.splitlines()[-2]
    assert verdict.startswith("NOT FIT: ") and "missing_file, unreadable_image" in verdict
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    told = {finding["name"]: (finding["check"], finding["detail"]) for finding in report["findings"]}
    assert {told[name][0] for name in (*names[:4], names[-1])} == {"missing_file"}
    assert told["locked.jpg"] == ("unreadable_image", "[Errno 13] Permission denied")
    assert told["memory.jpg"] == ("unreadable_image", "MemoryError")
    assert told["odd.jpg"] == ("unreadable_image", "an integer is required")
    assert (tmp_path / "o" / "index.html").stat().st_size > 10_000
    with pytest.raises(InputError, match=r"5 image\(s\) cannot be used"):
        CaptionedImages(data, "train", 8)


def test_a_report_that_cannot_be_written_is_told_in_one_line(data, tmp_path, capsys):
    (tmp_path / "file").touch()
    assert check_data.main([str(data), "--output_dir", str(tmp_path / "file" / "o"), "--num_workers", "1"]) == 2
    assert "cannot be written" in capsys.readouterr().err.splitlines()[-1]
