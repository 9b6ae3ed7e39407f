"""Every fault planted once in a clean folder, the status, the JSON, and the page."""

import base64
import io
import json
import re
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import SHARED, needs_shared
from PIL import Image

from datasets.pair_list import read_pairs
from preparation.data_checks import count_colors
from preparation.faults import CHECKS, Finding, judge
from preparation.picture_checks import examine
from scripts import check_data
from utils.errors import InputError

CAPTIONS = ("a red ball on a green lawn", "two brown dogs", "a blue box", "a yellow star over black sand")
COUNTS = {"train": 4, "val": 3, "test": 3}
SIDE = 72


def draw(path: Path, seed: int, size: tuple[int, int] = (SIDE, SIDE), **how: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(path, **how)


def write_clean(root: Path, seed: int = 0) -> Path:
    for split, count in COUNTS.items():
        for i in range(count):
            seed += 1
            draw(root / split / f"{i}.jpg", seed, quality=95)
        write(root, split, [[f"{i}.jpg", CAPTIONS[i]] for i in range(count)])
    return root


def write(root: Path, split: str, content: object) -> None:
    (root / f"cap-img-pairs_{split}.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return write_clean(tmp_path_factory.mktemp("clean") / "data")


@pytest.fixture
def data(pristine, tmp_path):
    return Path(shutil.copytree(pristine, tmp_path / "data"))


def inspect(root: Path, *flags: object) -> dict:
    options = check_data.parse_arguments([str(root), "--output_dir", str(root / "out"), *map(str, flags)])
    check_data.check_options(options)
    return check_data.inspect(options)


def found(report: dict) -> dict[str, str]:
    return {name: check["severity"] for name, check in report["checks"].items() if check["count"]}


def test_a_clean_folder_has_no_findings(data):
    report = inspect(data)
    assert report["findings"] == [] and report["fit"] and found(report) == {}
    assert {split: count["readable"] for split, count in report["splits"].items()} == COUNTS
    assert report["splits"]["train"]["colors"][0][1] == 1 and report["splits"]["train"]["two_colors"] == 2


def test_both_forms_of_the_lists_are_read_alike(data):
    for split in COUNTS:
        write(data, split, {name: [caption] for name, caption in read_pairs(data, split)})
    report = inspect(data)
    assert found(report) == {} and report["splits"]["train"]["captions"] == 4


def list_with(*entries: object):
    """Plants entries behind the pairs of train."""
    return lambda data: write(data, "train", [*map(list, read_pairs(data, "train")), *entries])


def text_of_list(content: bytes):
    return lambda data: (data / "cap-img-pairs_val.json").write_bytes(content)


def picture(how, name: str = "val/1.jpg"):
    """Plants a picture in place of one: how(its path)."""
    return lambda data: how(data / name)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-400])


def bomb(path: Path, side: int) -> None:
    """A PNG whose header speaks of side x side pixels."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def animate(path: Path) -> None:
    frames = [Image.open(path).convert("RGB").rotate(90 * k) for k in range(3)]
    frames[0].save(path, "WEBP", save_all=True, append_images=frames[1:], lossless=True)


def copy(source: str, target: str):
    """Plants a listed copy of a file."""

    def plant(data: Path) -> None:
        shutil.copy(data / source, data / target)
        add(data, target)

    return plant


def recompress(source: str, target: str):
    """Plants a listed, smaller version of a picture."""

    def plant(data: Path) -> None:
        Image.open(data / source).resize((66, 70)).save(data / target, quality=60)
        add(data, target)

    return plant


def add(data: Path, target: str) -> None:
    split, name = target.split("/")
    write(data, split, [*map(list, read_pairs(data, split)), [name, "a pink cup"]])


def relist(split: str, content: object):
    return lambda data: write(data, split, content)


LONG = "a red " + "very " * 80 + "long caption"
# what is planted: the check that finds it, how many it counts, the name it gives
PLANTED = {
    "no JSON": (text_of_list(b'[["0.jpg", "a red'), "bad_list", 1, "cap-img-pairs_val.json"),
    "Latin-1": (text_of_list('[["0.jpg", "a red café"]]'.encode("latin-1")), "bad_list", 1, "cap-img-pairs_val.json"),
    "a string": (text_of_list(b'"0.jpg"'), "bad_list", 1, "cap-img-pairs_val.json"),
    "an empty list": (text_of_list(b"[]"), "bad_list", 1, "cap-img-pairs_val.json"),
    "a number": (text_of_list(b"7"), "bad_list", 1, "cap-img-pairs_val.json"),
    "deep nesting": (text_of_list(b"[" * 200_000), "bad_list", 1, "cap-img-pairs_val.json"),
    "a repeated key": (
        text_of_list(b'{"0.jpg": ["a red cup"], "1.jpg": ["a red hat"], "2.jpg": ["red"], "0.jpg": ["a blue cup"]}'),
        *("repeated_name", 1, "0.jpg"),
    ),
    "no folder": (lambda data: shutil.rmtree(data / "test"), "missing_folder", 1, "test"),
    "no list": (lambda data: (data / "cap-img-pairs_test.json").unlink(), "missing_list", 1, "test"),
    "a caption that is a number": (list_with(["0.jpg", 7]), "bad_pair", 1, ""),
    "a pair of three": (list_with(["0.jpg", "a red cup", "a red hat"]), "bad_pair", 1, ""),
    "an entry that is null": (list_with(None), "bad_pair", 1, ""),
    "captions that are a string": (
        relist("val", {"0.jpg": ["red"], "1.jpg": ["a red hat"], "2.jpg": ["a blue hat"], "0.JPG": "a red hat"}),
        *("bad_pair", 1, ""),
    ),
    "half a surrogate": (list_with(["0.jpg", "a red \ud800 cup"]), "bad_text", 1, ""),
    "an endless caption": (list_with(["0.jpg", "a red cup " * 1001]), "bad_text", 1, ""),
    "a name above the folder": (list_with(["../val/0.jpg", "a red cup"]), "bad_name", 1, ""),
    "an absolute name": (list_with(["/etc/passwd", "a red cup"]), "bad_name", 1, ""),
    "a backslash": (list_with(["sub\\0.jpg", "a red cup"]), "bad_name", 1, ""),
    "no name": (list_with(["", "a red cup"]), "bad_name", 1, ""),
    "an empty caption": (list_with(["0.jpg", " \n"]), "empty_caption", 1, ""),
    "an image without captions": (
        relist("val", {"0.jpg": ["red"], "1.jpg": ["a red hat"], "2.jpg": ["a blue hat"], "3.jpg": []}),
        *("no_caption", 1, "3.jpg"),
    ),
    "no colour": (list_with(["0.jpg", "two dogs"]), "no_color", 1, "0.jpg"),
    "a black and white photo": (
        list_with(["0.jpg", "A white bus in a black and white photo"]),
        *("black_and_white", 1, "0.jpg"),
    ),
    "a long caption": (list_with(["0.jpg", LONG]), "long_caption", 1, "0.jpg"),
    "a replacement character": (list_with(["0.jpg", "a red caf\ufffd"]), "garbled_caption", 1, "0.jpg"),
    "a control character": (list_with(["0.jpg", "a red\x07 cup"]), "garbled_caption", 1, "0.jpg"),
    "a pair again": (list_with(["0.jpg", CAPTIONS[0]]), "repeated_pair", 1, "0.jpg"),
    "a missing file": (list_with(["no.jpg", "a red cup"]), "missing_file", 1, "no.jpg"),
    "a folder": (
        lambda data: [(data / "train/9").mkdir(), list_with(["9", "a red cup"])(data)],
        "missing_file",
        1,
        "9",
    ),
    "a name too long": (list_with([f"{'n' * 300}.jpg", "a red cup"]), "missing_file", 1, f"{'n' * 300}.jpg"),
    "an empty file": (picture(lambda path: path.write_bytes(b"")), "empty_file", 1, "1.jpg"),
    "a web page": (picture(lambda path: path.write_text("<!DOCTYPE html>404")), "unreadable_image", 1, "1.jpg"),
    "half a JPEG": (picture(cut), "truncated_image", 1, "1.jpg"),
    "a picture too large": (picture(lambda path: bomb(path, 10_000)), "decompression_bomb", 1, "1.jpg"),
    "a decompression bomb": (picture(lambda path: bomb(path, 100_000)), "decompression_bomb", 1, "1.jpg"),
    "an unlisted file": (lambda data: draw(data / "val/sub/x.jpg", 50), "unlisted_file", 1, "sub/x.jpg"),
    "a name in capitals": (
        lambda data: [draw(data / "train/0.JPG", 51), list_with(["0.JPG", "a red cup"])(data)],
        *("case_clash", 2, "0.JPG"),
    ),
    "two spellings of an accent": (
        lambda data: [
            (draw(data / "train" / name, 60 + len(name)), add(data, f"train/{name}"))
            for name in ("é.png", "e\u0301.png")
        ],
        *("case_clash", 2, "e\u0301.png"),
    ),
    "a gray photo": (picture(lambda path: Image.open(path).convert("L").save(path)), "no_chroma", 1, "1.jpg"),
    "a gray photo as RGB": (
        picture(lambda path: Image.open(path).convert("L").convert("RGB").save(path, quality=60)),
        *("no_chroma", 1, "1.jpg"),
    ),
    "one shade": (
        picture(lambda path: Image.new("RGB", (80, 80), (200, 30, 30)).save(path)),
        "plain_image",
        1,
        "1.jpg",
    ),
    "a tiny picture": (picture(lambda path: draw(path, 52, (40, 50))), "tiny_image", 1, "1.jpg"),
    "a long picture": (picture(lambda path: draw(path, 53, (400, 90))), "extreme_aspect", 1, "1.jpg"),
    "an animation": (picture(animate), "animated", 1, "1.jpg"),
    "CMYK": (picture(lambda path: Image.open(path).convert("CMYK").save(path, quality=95)), "odd_mode", 1, "1.jpg"),
    "transparency": (picture(lambda path: Image.open(path).convert("RGBA").save(path, "PNG")), "odd_mode", 1, "1.jpg"),
    "a file trained on and tested": (copy("train/2.jpg", "test/9.jpg"), "exact_leak", 1, "9.jpg"),
    "a version of what is trained on": (recompress("train/2.jpg", "val/9.jpg"), "near_leak", 1, "9.jpg"),
    "a file in val and test": (copy("val/2.jpg", "test/9.jpg"), "overlap", 2, "9.jpg"),
    "a file twice": (copy("train/2.jpg", "train/9.jpg"), "exact_duplicate", 2, "2.jpg"),
    "a picture in two versions": (recompress("train/2.jpg", "train/9.jpg"), "near_duplicate", 2, "2.jpg"),
}
# A list that cannot be read leaves its files unlisted.
FOLLOWS = {"bad_list": {"unlisted_file"}}


@pytest.mark.parametrize(("plant", "check", "count", "name"), PLANTED.values(), ids=PLANTED)
def test_a_planted_fault_is_found_alone_and_named(data, plant, check, count, name):
    plant(data)
    report = inspect(data)
    assert set(found(report)) - FOLLOWS.get(check, set()) == {check}
    (finding,) = (finding for finding in report["findings"] if finding["check"] == check)
    assert (finding["count"], finding["name"]) == (count, name)
    severity = "warning" if CHECKS[check].limit == 1 else "error"  # of ten pictures, one is above every smaller limit
    assert found(report)[check] == severity and report["fit"] == (severity == "warning")


def test_every_check_was_planted():
    assert {check for _, check, _, _ in PLANTED.values()} | {"not_compared"} == set(CHECKS)


REFUSED = ("bad_list", "repeated_name", "bad_pair", "bad_text", "bad_name", "empty_caption")


@pytest.mark.parametrize("fault", [name for name, (_, check, _, _) in PLANTED.items() if CHECKS[check].limit == 0])
def test_what_training_refuses_in_a_list_is_an_error(data, fault):
    plant = PLANTED[fault][0]
    plant(data)
    refused = []
    for split in COUNTS:
        try:
            read_pairs(data, split)
        except InputError as error:
            refused.append(error)
    assert bool(refused) == (PLANTED[fault][1] in REFUSED)


def test_leakage_between_two_data_sets_is_found(data, tmp_path):
    other = write_clean(tmp_path / "other", seed=100)
    assert found(inspect(data, "--against", other)) == {}
    shutil.copy(data / "train/0.jpg", other / "val/0.jpg")
    Image.open(data / "test/1.jpg").resize((66, 66)).save(other / "train/1.jpg", quality=70)
    shutil.copy(data / "train/3.jpg", other / "train/3.jpg")
    (other / "val/2.jpg").write_bytes(b"no picture")
    report = inspect(data, "--against", other)
    assert found(report) == {
        "exact_leak": "error",
        "near_leak": "error",
        "overlap": "warning",
        "not_compared": "warning",
    }
    (leak,) = (finding for finding in report["findings"] if finding["check"] == "exact_leak")
    assert leak["files"] == (data / "train/0.jpg", other / "val/0.jpg")
    assert found(inspect(other)) == {"unreadable_image": "error"}  # alone, neither knows


def test_a_limit_makes_an_error_of_a_warning_and_back(data):
    (data / "val/more.txt").write_text("notes")
    list_with(["0.jpg", "two dogs"])(data)
    assert found(inspect(data)) == {"unlisted_file": "warning", "no_color": "error"}
    flags = ("--limit", "unlisted_file=0", "--limit", "no_color=0.1")
    assert found(inspect(data, *flags)) == {"unlisted_file": "error", "no_color": "warning"}


def test_a_share_at_its_limit_is_still_fit():
    findings, totals = (
        [Finding("no_color", "train", "0.jpg", "")] * 5,
        dict.fromkeys(("lists", "captions", "pictures"), 100),
    )
    totals["pictures of val and test"] = 0
    verdict = judge(findings, totals, {})["no_color"]
    assert (verdict["count"], verdict["total"], verdict["severity"]) == (5, 100, "warning")
    assert judge([*findings, findings[0]], totals, {})["no_color"]["severity"] == "error"


def test_the_number_of_workers_changes_nothing(data):
    for plant in ("half a JPEG", "no colour", "a file twice"):
        PLANTED[plant][0](data)
    one, three = (inspect(data, "--num_workers", workers) for workers in (1, 3))
    assert one == three and not one["fit"]


def test_the_bounds_of_pictures_are_flags(data):
    flags = ("--min_side", SIDE + 1, "--min_chroma", 150)
    assert found(inspect(data, *flags)) == {"tiny_image": "warning", "no_chroma": "error"}


def test_a_small_coloured_thing_is_chroma_enough(tmp_path):
    snow = np.full((200, 200, 3), 220, np.uint8) + np.random.default_rng(0).integers(
        0, 30, (200, 200, 1), dtype=np.uint8
    )
    Image.fromarray(snow).save(tmp_path / "snow.png")
    snow[90:115, 90:115] = (200, 30, 30)  # 1.6 % of the area
    Image.fromarray(snow).save(tmp_path / "ball.png")
    assert examine(tmp_path / "snow.png").chroma < 1 and examine(tmp_path / "ball.png").chroma > 40


def test_colours_are_counted_once_a_caption():
    families, two_or_more = count_colors(["a red cup, a red hat and a grey dog", "Reddish and blue", "two dogs"])
    assert families == {"red": 2, "gray": 1, "blue": 1} and two_or_more == 2


EVIL = "<script>alert('\"&amp;</script>"


@pytest.fixture(scope="module")
def checked(pristine, tmp_path_factory):
    """A folder with faults of many kinds, and names and captions that are markup."""
    folder = tmp_path_factory.mktemp("checked")
    data = Path(shutil.copytree(pristine, folder / "d<b>ta"))
    for plant in ("half a JPEG", "a file trained on and tested", "a long caption", "a picture in two versions"):
        PLANTED[plant][0](data)
    name = f"{EVIL}.jpg".replace("/", "")
    draw(data / "train" / name, 70)
    list_with(*[[name, f"a red {EVIL} {i}"] for i in range(3)], [name, f"{EVIL} without colour"])(data)
    (data / "train" / b"not-utf8-\xff.jpg".decode("utf-8", "surrogateescape")).write_bytes(b"x")
    status = check_data.main([str(data), "--output_dir", str(folder / "out"), "--num_workers", "2"])
    return data, folder / "out", status


def test_an_unfit_folder_has_status_1_a_page_and_a_report(checked):
    data, out, status = checked
    report = json.loads((out / "report.json").read_text())
    assert status == 1 and not report["fit"] and report["data_path"] == str(data)
    assert {"truncated_image", "exact_leak", "long_caption", "near_leak", "unlisted_file"} <= set(found(report))
    (leak,) = (finding for finding in report["findings"] if finding["check"] == "exact_leak")
    assert all(Path(file).is_file() for file in leak["files"])


def test_the_page_holds_its_pictures_and_escapes_what_others_wrote(checked):
    page = (checked[1] / "index.html").read_text()
    sources = re.findall(r'src="([^"]*)"', page)
    assert len(sources) >= 7
    for source in sources:
        kind, _, data = source.partition(";base64,")
        assert kind == "data:image/jpeg"
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert np.asarray(image.convert("L")).std() > 1
    assert "<script" not in page and "d<b>ta" not in page and "d&lt;b&gt;ta" in page
    assert "&lt;script&gt;alert(&#39;&#34;&amp;amp;&lt;/script&gt; without colour" in page
    assert "http" not in page and "no picture" in page
    anchors, targets = (set(re.findall(pattern, page)) for pattern in (r'href="#(\w+)"', r'<h2 id="(\w+)"'))
    assert anchors == targets and "truncated_image" in anchors


def test_a_clean_folder_has_status_0(data, tmp_path, capsys):
    out = tmp_path / "out"
    assert check_data.main([str(data), "--output_dir", str(out)]) == 0
    assert capsys.readouterr().out.splitlines()[-2] == "fit"
    assert "Nothing was found" in (out / "index.html").read_text()
    before = (out / "index.html").read_bytes()
    assert check_data.main([str(data), "--output_dir", str(out)]) == 2  # never over an earlier page unasked
    assert "--overwrite" in capsys.readouterr().err and (out / "index.html").read_bytes() == before
    assert check_data.main([str(data), "--output_dir", str(out), "--overwrite"]) == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["nowhere"], "nowhere: no cap-img-pairs_"),
        ([], "pass the data folder"),
        (["DATA", "--against", "DATA"], "the same folder"),
        (["DATA", "--against", "nowhere"], "nowhere"),
        (["DATA", "--limit", "no_colour=1"], "--limit no_colour=1"),
        (["DATA", "--limit", "no_color=2"], "--limit no_color=2"),
        (["DATA", "--limit", "no_color=nan"], "--limit no_color=nan"),
        (["DATA", "--num_workers", "0"], "--num_workers 0"),
        (["DATA", "--max_aspect", "nan"], "--max_aspect nan"),
        (["DATA", "--distance", "8"], "--distance 8"),
    ],
)
def test_bad_arguments_have_status_2_and_name_the_flag(pristine, tmp_path, capsys, flags, words):
    flags = [str(pristine) if flag == "DATA" else flag for flag in flags]
    assert check_data.main([*flags, "--output_dir", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert message.startswith("check_data.py: ") and words in message and not (tmp_path / "out").exists()


def test_the_checks_are_listed_with_their_limits(capsys):
    assert check_data.main(["--list_checks"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CHECKS)


def test_a_page_without_a_single_picture_is_drawn(data, tmp_path):
    for split in COUNTS:
        (data / f"cap-img-pairs_{split}.json").write_text("[]")
    assert check_data.main([str(data), "--output_dir", str(tmp_path / "out")]) == 1
    assert "bad_list" in (tmp_path / "out/index.html").read_text()


@needs_shared("data/flickr8k-color")
def test_real_photographs_are_fit():
    _, places, findings = check_data.take_survey(SHARED / "data" / "flickr8k-color")
    assert findings == [] and len(places) == 5160
