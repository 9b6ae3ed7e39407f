"""datasets/pictures/find_pictures.py: which files of a folder are photographs, in every room."""

import json
import os
import re

import pytest
from conftest import write_data
from PIL import Image

from datasets.captioned_images import CaptionedImages
from datasets.captioned_options import CaptionedOptions
from datasets.image_files import find_images
from datasets.pictures import find_pictures as picture_folders
from datasets.pictures.find_pictures import find_pictures, stored_as, walk
from preparation.data_checks import check_files
from preparation.picture_copies import ImageFolders
from scripts import make_shards
from utils.errors import InputError

PICTURE = Image.new("RGB", (8, 8), "red")
COMPANIONS = ("._a.jpg", ".thumbs/a.jpg", "__MACOSX/a.jpg", "__MACOSX/._a.jpg", "sub/__MACOSX/a.jpg", "@eaDir/a.jpg")


def fill(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        PICTURE.save(path, "JPEG")
    return folder


def names_in(folder, paths):
    return [str(path.relative_to(folder)) for path in paths]


@pytest.fixture
def photos(tmp_path):
    return fill(tmp_path / "photos", "a.jpg", "sub/b.JPG", "sub/c.jpe", "d.pnm", "e.j2k", "f", *COMPANIONS)


def test_hidden_files_and_what_systems_leave_are_no_photographs_in_any_room(photos, tmp_path):
    wanted = ["a.jpg", "d.pnm", "e.j2k", "f", "sub/b.JPG", "sub/c.jpe"]
    assert names_in(photos, find_pictures(photos).pictures) == wanted
    assert names_in(photos.resolve(), find_images(photos)) == wanted
    folders = ImageFolders([photos], "--images", "somewhere")
    assert sorted(folders.paths) == ["a.jpg", "b.JPG", "c.jpe", "d.pnm", "e.j2k", "f"]
    assert folders.find(["a.jpg"]) == photos / "a.jpg"
    data = write_data(tmp_path / "data", {"train": 2})
    joined = CaptionedImages(data, "train", 8, CaptionedOptions(uncaptioned=str(photos)))
    assert [name for name, caption in joined.pairs if not caption] == [str(photos.resolve() / name) for name in wanted]
    words = [str(data), str(tmp_path / "shards"), "--uncaptioned", str(photos), "--workers", "1"]
    assert make_shards.main(words) == 0
    packed = CaptionedImages(tmp_path / "shards", "train", 8, CaptionedOptions(uncaptioned=str(tmp_path / "shards")))
    assert len(packed) == 2 + len(wanted)


def test_companions_beside_listed_pictures_are_no_unlisted_files_and_no_clashes(tmp_path):
    data = write_data(tmp_path / "data", {"train": 2})
    fill(data / "train", "._0.jpg", "__MACOSX/0.jpg", ".thumbs/0.jpg", "__MACOSX/A.jpg", "__MACOSX/a.jpg", "more.jpg")
    usable, found = check_files(data, "train", ["0.jpg", "1.jpg"])
    assert usable == ["0.jpg", "1.jpg"]
    assert [(finding.check, finding.name) for finding in found] == [("unlisted_file", "more.jpg")]
    usable, found = check_files(data, "train", ["0.jpg", "1.jpg", "more.jpg", "._0.jpg"])  # named, it counts
    assert usable == ["0.jpg", "1.jpg", "more.jpg", "._0.jpg"] and not found


def test_linked_folders_are_followed_once_and_never_round(photos, tmp_path):
    outside = fill(tmp_path / "outside", "o.jpg", "deep/p.jpg")
    links = {"1st": outside, "2nd": outside, "again": photos / "sub", "sub/up": photos, "far": tmp_path, "me": "me"}
    for name, target in links.items():
        (photos / name).symlink_to(target)
    (outside / "back").symlink_to(photos)
    found = find_pictures(photos)
    wanted = ["1st/deep/p.jpg", "1st/o.jpg", "a.jpg", "d.pnm", "e.j2k", "f", "sub/b.JPG", "sub/c.jpe"]
    assert names_in(photos, found.pictures) == wanted
    assert found.others == {"without an ending": 1}  # `me`, a link to itself


def test_what_is_left_out_is_counted_by_ending(tmp_path):
    folder = fill(tmp_path / "mixed", "a.jpg", "b.CR3", "c.cr3", "d.jpg.bak", "e.NEF", "f", "IMG.")
    (folder / "notes").write_text("no picture")
    (folder / "list.csv").write_text("a.jpg,red")
    os.mkfifo(folder / "pipe")
    found = find_pictures(folder)
    assert names_in(folder, found.pictures) == ["IMG.", "a.jpg", "f"]
    assert found.left_out() == [f"{folder}: left out 1 .bak, 1 .csv, 2 without an ending: no pictures by their names"]
    canon, nikon = found.failures()
    assert "left out 2 .cr3, which cannot be opened here (b.CR3, c.cr3); convert" in canon and "1 .nef" in nikon


def test_a_folder_that_cannot_be_looked_into_is_told(photos, monkeypatch):
    real = os.scandir

    def refused(path):
        if str(path).endswith("sub"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(picture_folders.os, "scandir", refused)
    found = find_pictures(photos)
    assert found.failures() == [f"{photos / 'sub'}: cannot be listed (Permission denied); change its permissions"]
    with pytest.raises(InputError, match="sub: cannot be listed"):
        find_images(photos)


def test_training_names_what_cannot_be_read_before_it_begins(photos):
    os.mkfifo(photos / "pipe.jpg")
    (photos / "gone.png").symlink_to("nowhere.png")
    (photos / "empty.gif").touch()
    wanted = "3 image(s) cannot be used: empty.gif empty (0 bytes), gone.png missing, pipe.jpg not a file"
    with pytest.raises(InputError, match=re.escape(wanted)):
        find_images(photos)


def test_a_walk_leaves_out_what_it_is_told_however_it_is_reached(photos, tmp_path):
    fill(photos, "out/r.jpg", "out/deep/s.jpg")
    (photos / "link").symlink_to(photos / "out" / "deep")
    (photos / "one.jpg").symlink_to(photos / "out" / "r.jpg")
    (tmp_path / "way").symlink_to(photos)
    wanted = sorted(names_in(photos, walk(photos, [photos / "out"])))
    assert wanted == ["a.jpg", "d.pnm", "e.j2k", "f", "sub/b.JPG", "sub/c.jpe"]
    assert sorted(names_in(tmp_path / "way", walk(tmp_path / "way", [photos / "out"]))) == wanted
    assert sorted(names_in(photos, walk(photos, [tmp_path / "way" / "out"]))) == wanted
    assert [path.name for path in walk(photos / "out" / "deep", [photos / "out"])] == ["s.jpg"]  # somebody names it


def test_a_name_is_found_in_the_other_form_of_unicode(tmp_path):
    composed, decomposed = "caf\u00e9.jpg", "cafe\u0301.jpg"
    fill(tmp_path / "data" / "train", decomposed, "plain.jpg")
    pairs = [[composed, "a red cup"], ["plain.jpg", "a red cup"]]
    (tmp_path / "data" / "cap-img-pairs_train.json").write_text(json.dumps(pairs))
    assert stored_as(tmp_path / "data" / "train", composed) == decomposed
    data = CaptionedImages(tmp_path / "data", "train", 8)
    assert data[0].rgb.shape == (3, 8, 8) and data[0].name == composed and data.unreadable() == []
    usable, found = check_files(tmp_path / "data", "train", [composed, "plain.jpg"])
    assert usable == [decomposed, "plain.jpg"] and not found
    assert ImageFolders([tmp_path / "data"], "--images", "x").find([composed]).name == decomposed
    assert make_shards.main([str(tmp_path / "data"), str(tmp_path / "shards"), "--workers", "1"]) == 0
    fill(tmp_path / "data" / "train", composed)  # both are there: each is its own
    assert stored_as(tmp_path / "data" / "train", composed) == composed
