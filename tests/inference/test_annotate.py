"""A pass over pictures: what it writes, how it goes on, what becomes of pictures that fail."""

import json

import pytest

from inference import annotate as passes
from inference.annotate import annotate, splits_there
from utils.errors import InputError

NAMES = ["a.jpg", "b.jpg", "a.jpg", "c.jpg", "d.jpg", "e.jpg"]


class Finder:
    def __init__(self, broken=(), stops_at=None):
        self.broken, self.stops_at, self.asked = broken, stops_at, []

    def __call__(self, names):
        self.asked.append(list(names))
        if self.stops_at in names:
            raise KeyboardInterrupt
        if bad := [name for name in names if name in self.broken]:
            raise InputError(f"{bad[0]} is broken")
        return [[name.upper()] for name in names]


def test_every_picture_is_asked_for_once_and_written(tmp_path):
    find, path = Finder(), tmp_path / "found.json"
    done = annotate(NAMES, find, path, "test", batch_size=2)
    assert find.asked == [["a.jpg", "b.jpg"], ["c.jpg", "d.jpg"], ["e.jpg"]]
    assert done.rows == json.loads(path.read_text()) == {name: [name.upper()] for name in NAMES}
    assert done.status == 0 and [*tmp_path.iterdir()] == [path]


def test_an_interrupted_pass_goes_on(tmp_path):
    path = tmp_path / "found.json"
    with pytest.raises(KeyboardInterrupt):
        annotate(NAMES, Finder(stops_at="c.jpg"), path, "test")
    assert not path.exists() and (tmp_path / "found.json.unfinished").exists()
    find = Finder()
    assert list(annotate(NAMES, find, path, "test").rows) == sorted({*NAMES})
    assert find.asked == [["c.jpg"], ["d.jpg"], ["e.jpg"]] and [*tmp_path.iterdir()] == [path]


def test_what_is_found_is_kept_now_and_then(tmp_path, monkeypatch):
    """A process that is killed writes nothing more."""
    monkeypatch.setattr(passes, "KEPT_EVERY", 0.0)
    part, seen = tmp_path / "found.json.unfinished", []

    def find(names):
        seen.append(len(json.loads(part.read_text())) if part.exists() else 0)
        return [[]]

    annotate(NAMES, find, tmp_path / "found.json", "test")
    assert seen == [0, 1, 2, 3, 4]


def test_a_picture_that_fails_is_told_and_tried_again_by_the_next_run(tmp_path, capsys):
    find, path = Finder(broken=["b.jpg", "e.jpg"]), tmp_path / "found.json"
    done = annotate(NAMES, find, path, "test", batch_size=2)
    assert find.asked == [["a.jpg", "b.jpg"], ["a.jpg"], ["b.jpg"], ["c.jpg", "d.jpg"], ["e.jpg"]]
    assert done.failed == 2 and done.status == 1
    assert list(json.loads(path.read_text())) == ["a.jpg", "c.jpg", "d.jpg"]
    said = capsys.readouterr().err
    assert "b.jpg: b.jpg is broken" in said and "found.json: 2 of 5 pictures failed" in said
    find = Finder()
    assert annotate(NAMES, find, path, "test").status == 0
    assert find.asked == [["b.jpg"], ["e.jpg"]] and len(json.loads(path.read_text())) == 5


def test_splits_are_those_that_are_there(tmp_path):
    (tmp_path / "val").mkdir()
    (tmp_path / "shards_test.json").touch()
    assert splits_there(tmp_path, None, ("train", "val", "test")) == ["val", "test"]
    assert splits_there(tmp_path, ["other"], ("train",)) == ["other"]
    with pytest.raises(InputError, match="no train or all in it"):
        splits_there(tmp_path, None, ("train", "all"))
