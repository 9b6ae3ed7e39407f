"""prepare_coco.py on a small COCO of our own: what it writes, what it goes on with, what it refuses."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from datasets.captioned_images import CaptionedImages
from preparation import picture_copies
from preparation.picture_copies import MIN_CHROMA, chroma
from scripts import prepare_coco

CAPTIONS = {
    "000000000001.jpg": ["A red bus on a street", "a dog", "A RED bus on a  street"],
    "000000000002.jpg": ["a black and white photo of a bus"],
    "000000000003.jpg": ["a white wall"],  # gray
    "000000000004.jpg": ["an orange juice", "a yellow kite and a blue sky"],
}


def draw(path, gray=False, size=(90, 60)):
    rng = np.random.default_rng(len(path.name) + int(path.stem))
    coarse = Image.fromarray(rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    (coarse.convert("L") if gray else coarse).save(path, quality=90)


@pytest.fixture
def coco(tmp_path):
    (tmp_path / "val2017").mkdir()
    images = [{"id": i, "file_name": name} for i, name in enumerate(CAPTIONS, 1)]
    for name in CAPTIONS:
        draw(tmp_path / "val2017" / name, gray="3" in name)
    said = [{"image_id": i, "id": 0, "caption": text} for i, name in enumerate(CAPTIONS, 1) for text in CAPTIONS[name]]
    (tmp_path / "captions.json").write_text(json.dumps({"images": images, "annotations": said}))
    (tmp_path / "list.json").write_text(
        json.dumps({"000000000003.jpg": ["a white wall"], "000000000001.jpg": ["a dog"]})
    )
    return tmp_path


@pytest.fixture
def prepare(coco, capsys):
    def prepare(*words, captions=True, images=True):
        flags = ["--captions", coco / "captions.json"] if captions else []
        flags += ["--images", coco / "val2017"] if images else ["--lists_only"]
        status = prepare_coco.main([str(word) for word in (coco / "data", "--split", "val", *flags, *words)])
        return status, capsys.readouterr().err

    return prepare


def read(coco, name="prepare_val.json"):
    return json.loads((coco / "data" / name).read_text())


KEPT = [["000000000001.jpg", "A red bus on a street"], ["000000000004.jpg", "a yellow kite and a blue sky"]]


def test_what_is_prepared_can_be_trained_on_and_every_caption_is_accounted_for(prepare, coco):
    assert prepare()[0] == 0
    assert read(coco, "cap-img-pairs_val.json") == KEPT
    report = read(coco)
    assert report["finished"] and report["images"]["without_chroma"]["number"] == 1
    counts = report["counts"]
    assert counts == {
        **{"read": 7, "empty": 0, "black_and_white_photo": 1, "false_friend_only": 1, "colorful_only": 0},
        **{"no_color_word": 1, "picture_said_gray": 0, "repeated": 1, "missing": 0, "unreadable": 0},
        **{"without_chroma": 1, "kept": 2},
    }
    assert sum(counts.values()) == 2 * counts["read"] and set(counts) <= {*report["rules"], "read", "kept"}
    assert [sample.name for sample in CaptionedImages(coco / "data", "val", 32)] == [name for name, _ in KEPT]
    assert (coco / "data" / "val" / KEPT[0][0]).is_symlink() and not (
        coco / "data" / "val" / "000000000003.jpg"
    ).exists()


def test_copies_are_reduced_to_their_shorter_side(prepare, coco):
    draw(coco / "val2017" / "000000000004.jpg", size=(40, 30))
    assert prepare("--resize", 40, "--workers", 3)[0] == 0
    with Image.open(coco / "data" / "val" / KEPT[0][0]) as image:
        assert image.size == (60, 40) and image.format == "JPEG"
    small = coco / "data" / "val" / "000000000004.jpg"
    assert small.read_bytes() == (coco / "val2017" / small.name).read_bytes()  # no larger than asked for: as it is
    assert not small.is_symlink() and not list((coco / "data" / "val").glob(".*"))


def test_lists_only_needs_no_picture(prepare, coco):
    assert prepare(images=False)[0] == 0
    assert len(read(coco, "cap-img-pairs_val.json")) == 3
    assert "not measured" in read(coco)["images"]["chroma"] and not (coco / "data" / "val").exists()


def test_a_list_is_followed_exactly_gray_pictures_included(prepare, coco):
    assert prepare("--list", coco / "list.json", captions=False)[0] == 0
    pairs = [["000000000003.jpg", "a white wall"], ["000000000001.jpg", "a dog"]]
    assert read(coco, "cap-img-pairs_val.json") == pairs
    report = read(coco)
    assert report["our_rules_would"] == {"kept": 1, "no_color_word": 1}
    assert all((coco / "data" / "val" / name).exists() for name, _ in pairs)


def test_pictures_of_other_lists_are_left_out(prepare, coco):
    (coco / "other.json").write_text(json.dumps({"coco_000000000001.jpg_0": "a red and a blue bus"}))
    assert prepare("--exclude", coco / "other.json")[0] == 0
    assert read(coco, "cap-img-pairs_val.json") == KEPT[1:] and read(coco)["counts"]["excluded"] == 1


@pytest.mark.parametrize("harm", ["missing", "empty", "truncated"])
def test_missing_and_broken_pictures_are_named_until_they_are_allowed(prepare, coco, harm):
    path = coco / "val2017" / "000000000001.jpg"
    content = path.read_bytes()
    path.write_bytes(b"" if harm == "empty" else content[:300])
    if harm == "missing":
        path.unlink()
    status, said = prepare()
    assert status == 2 and "000000000001.jpg" in said and "--skip_missing 1" in said
    assert not read(coco)["finished"] and not (coco / "data" / "cap-img-pairs_val.json").exists()
    assert read(coco)["images"]["unreadable" if harm == "truncated" else "missing"]["number"] == 1
    assert prepare("--skip_missing", 1)[0] == 0
    assert read(coco, "cap-img-pairs_val.json") == KEPT[1:]
    path.write_bytes(content)
    status, said = prepare()
    assert status == 2 and "other pairs" in said
    assert prepare("--overwrite")[0] == 0 and read(coco, "cap-img-pairs_val.json") == KEPT


def test_an_interrupted_run_goes_on_and_does_nothing_twice(prepare, coco, monkeypatch):
    done = []

    def broken(source, target, *rest):
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(source.name)
        return original(source, target, *rest)

    original = picture_copies._copy
    monkeypatch.setattr(picture_copies, "_copy", broken)
    with pytest.raises(KeyboardInterrupt):
        prepare("--resize", 40, "--workers", 1)
    monkeypatch.setattr(picture_copies, "_copy", lambda *rest: (done.append(rest[0].name), original(*rest))[1])
    (coco / "data" / "val" / ".x.jpg.1.part").write_bytes(b"")
    assert not read(coco)["finished"]
    assert prepare("--resize", 40)[0] == 0 and read(coco, "cap-img-pairs_val.json") == KEPT
    assert set(done) == {"000000000001.jpg", "000000000003.jpg", "000000000004.jpg"}
    assert not list((coco / "data" / "val").glob(".*"))
    done.clear()
    before = (coco / "data" / "cap-img-pairs_val.json").stat().st_mtime_ns
    assert prepare("--resize", 40)[0] == 0 and done == ["000000000003.jpg"]  # measured again: it has no copy
    assert (coco / "data" / "cap-img-pairs_val.json").stat().st_mtime_ns == before
    (coco / "data" / "val" / KEPT[0][0]).unlink()
    done.clear()
    assert prepare("--resize", 40)[0] == 0 and KEPT[0][0] in done  # what was lost comes back


@pytest.mark.parametrize(
    ("first", "second", "says"),
    [
        ([], ["--resize", 40], "with no --resize, not --resize 40"),
        (["--resize", 40], ["--resize", 41], "--resize 40, not --resize 41"),
        ([], ["--min_chroma", 5], "--min_chroma 4.0"),
    ],
)
def test_another_flag_is_refused_by_name(prepare, coco, first, second, says):
    assert prepare(*first)[0] == 0
    status, said = prepare(*second)
    assert status == 2 and says in said and "--overwrite" in said
    assert prepare(*second, "--overwrite")[0] == 0
    with Image.open(coco / "data" / "val" / KEPT[0][0]) as image:  # no picture of the first is left
        assert min(image.size) == (second[1] if "--resize" in second else 60)


def test_another_source_is_refused_by_name(prepare, coco):
    assert prepare()[0] == 0
    content = json.loads((coco / "captions.json").read_text())
    content["annotations"].pop()
    (coco / "captions.json").write_text(json.dumps(content))
    status, said = prepare()
    assert status == 2 and "--captions is another file" in said
    status, said = prepare("--list", coco / "list.json", captions=False)
    assert status == 2 and "another file" in said


def test_what_the_disk_refuses_is_told_with_a_remedy(prepare, coco, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(picture_copies, "_copy", full)
    status, said = prepare()
    assert status == 2 and "No space left on device; make room" in said


def test_what_others_put_there_is_left_alone(prepare, coco):
    (coco / "data").mkdir()
    theirs = coco / "data" / "cap-img-pairs_val.json"
    theirs.write_text("[]")
    status, said = prepare()
    assert status == 2 and str(theirs) in said and theirs.read_text() == "[]"
    theirs.unlink()
    shutil.copytree(coco / "val2017", coco / "data" / "val")
    status, said = prepare()
    assert status == 2 and "is there already" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--list", "x.json"], "either --captions"),
        (["--lists_only"], "either --images"),
        (["--resize", "0"], "--resize 0"),
        (["--workers", "0"], "--workers 0"),
        (["--min_chroma", "nan"], "--min_chroma nan"),
    ],
)
def test_flags_that_contradict_are_refused(prepare, words, says):
    status, said = prepare(*words)
    assert status == 2 and said.startswith("prepare_coco.py: ") and says in said


def test_a_folder_without_pictures_says_where_they_are_published(prepare, coco):
    shutil.rmtree(coco / "val2017")
    status, said = prepare()
    assert status == 2 and "val2017: no folder" in said and "cocodataset.org" in said
    (coco / "val2017").mkdir()
    status, said = prepare()
    assert status == 2 and "holds no .jpg" in said


def test_a_small_red_thing_is_chroma_and_the_noise_of_a_gray_photo_is_not():
    rng = np.random.default_rng(0)
    gray = np.repeat(rng.integers(40, 220, (80, 80, 1)), 3, axis=2)
    noisy = Image.fromarray((gray + rng.integers(-2, 3, gray.shape)).astype(np.uint8))
    assert chroma(noisy) < MIN_CHROMA
    red = np.asarray(noisy).copy()
    red[10:24, 10:24] = (200, 30, 30)
    assert chroma(Image.fromarray(red)) > 10 * MIN_CHROMA


def test_pictures_of_every_kind_that_can_be_opened_are_prepared(prepare, coco):
    folder, data = coco / "val2017", coco / "data"
    names = ["5.webp", "6.tif", "7.bmp", "8.jpe", "9.gif"]
    for name in names:
        draw(folder / name)
    (folder / "._5.webp").write_bytes(b"a companion")
    (coco / "more.json").write_text(json.dumps([[name, "a red bus"] for name in names]))
    assert prepare("--list", coco / "more.json", captions=False)[0] == 0
    assert [sample.name for sample in CaptionedImages(data, "val", 32)] == names
    shutil.rmtree(data)
    status, said = prepare("--list", coco / "more.json", "--resize", 30, captions=False)
    assert status == 2 and "9.gif: copies end in one of .jpg" in said and "leave out --resize" in said
    (coco / "more.json").write_text(json.dumps([[name, "a red bus"] for name in names[:-1]]))
    shutil.rmtree(data, ignore_errors=True)
    assert prepare("--list", coco / "more.json", "--resize", 30, captions=False)[0] == 0
    for name, kind in zip(names, ("WEBP", "TIFF", "BMP", "JPEG"), strict=False):
        with Image.open(data / "val" / name) as image:
            assert min(image.size) == 30 and image.format == kind
