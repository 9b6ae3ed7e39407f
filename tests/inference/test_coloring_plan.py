"""inference/coloring_plan.py, and scripts/colorize.py over many photographs: what is found, its names, what stops."""

import errno
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from inference import Colorizer, colored_photo, coloring_plan
from inference.coloring_plan import find_photos, jobs_of, match, output_names, read_captions
from scripts import colorize
from utils.errors import InputError

GRAY = Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30)).astype(np.uint8))
CLEAR = Image.merge("LA", [GRAY, Image.new("L", GRAY.size, 100)])
DEEP = Image.fromarray(np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16))


@pytest.fixture(scope="module")
def colorizer():
    return Colorizer.from_checkpoint(device="cpu")


@pytest.fixture(autouse=True)
def _one_network(request, monkeypatch):
    colorizer = request.getfixturevalue("colorizer")
    monkeypatch.setattr(colorize.Colorizer, "from_checkpoint", lambda *words: colorizer)


def fill(folder, **contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, (image, kind) in contents.items():
        image.save(folder / name.replace("__", "."), kind)
    return folder


def color(*words):
    return colorize.main([str(word) for word in words])


def written(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_contents_decide_and_the_ending_changes_where_it_cannot_hold_them(tmp_path, capsys):
    contents = {"png": (GRAY, "PNG"), "clear": (CLEAR, "PNG"), "webp": (CLEAR, "WEBP"), "deep": (DEEP, "PNG")}
    contents["gif"] = Image.new("P", (9, 9)), "GIF"
    folder = fill(tmp_path / "in", **{f"{name}__jpg": content for name, content in contents.items()})
    contents["gif"][0].save(folder / "gif.jpg", "GIF", transparency=0)
    GRAY.save(folder / "jpeg.png", "JPEG")
    GRAY.save(folder / "none", "JPEG")
    out = tmp_path / "out"
    assert color(folder, "--caption", "a red ball", "--output", out) == 0
    wanted = ["clear.png", "deep.png", "gif.png", "jpeg.png", "none.png", "png.jpg", "webp.png"]
    assert written(out) == wanted
    said = capsys.readouterr().err
    assert "clear.jpg: JPEG has no transparency" in said and "written as clear.png" in said
    assert "deep.jpg: JPEG has 8 bits and this photograph 16; written as deep.png" in said
    before = {name: (out / name).read_bytes() for name in wanted}
    assert color(folder, "--caption", "a blue ball", "--output", out, "--existing", "skip") == 0
    assert {name: (out / name).read_bytes() for name in wanted} == before
    assert "0 of 7 photographs coloured, 7 were there already" in capsys.readouterr().err
    (out / "png.jpg").unlink()
    Image.open(out / "none.png").close()
    shutil.rmtree(out)
    fill(out, clear__png=(GRAY, "PNG"))
    mine = (out / "clear.png").read_bytes()
    assert color(folder, "--caption", "a red ball", "--output", out) == 1  # nobody's file is overwritten unasked
    assert (out / "clear.png").read_bytes() == mine and "clear.png: is there already" in capsys.readouterr().err
    assert color(folder, "--caption", "a red ball", "--output", out, "--existing", "overwrite") == 0
    assert (out / "clear.png").read_bytes() != mine


def test_a_file_for_one_result_changes_its_ending_too(tmp_path, capsys):
    folder = fill(tmp_path / "in", clear__png=(CLEAR, "PNG"))
    for name in ("r.jpg", "s.gif"):
        assert color(folder, "--caption", "red", "--output", tmp_path / "out" / name, "--explain") == 0
    assert written(tmp_path / "out") == ["r.png", "r_explained.png", "s.png", "s_explained.png"]
    assert "written as r.png" in capsys.readouterr().err


def test_whatever_one_photograph_raises_the_others_go_on(tmp_path, capsys, monkeypatch, colorizer):
    folder = fill(
        tmp_path / "in", a__png=(GRAY, "PNG"), b__png=(GRAY, "PNG"), c__png=(GRAY, "PNG"), d__png=(GRAY, "PNG")
    )
    (folder / "e.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (folder / "f.png").symlink_to("nowhere.png")
    os.mkfifo(folder / "g.png")
    real_read, real_color, real_save = colorize.read_photo, colorizer.colorize, colorize.ColoredPhoto.save

    def read(path, **how):
        if path.name == "a.png":
            raise RecursionError("reading\nfails")
        return real_read(path, **how)

    def colorize_one(encoded, captions, *more):
        if colorize_one.calls == 0:
            colorize_one.calls = 1
            raise RuntimeError("colouring fails\nin lines")
        return real_color(encoded, captions, *more)

    def save(self, path):
        if path.name == "c.png":
            raise KeyError("saving fails")
        return real_save(self, path)

    colorize_one.calls = 0
    monkeypatch.setattr(colorize, "read_photo", read)
    monkeypatch.setattr(colorizer, "colorize", colorize_one)
    monkeypatch.setattr(colorize.ColoredPhoto, "save", save)
    assert color(folder, "--caption", "a red ball", "--output", tmp_path / "out") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("colorize.py: ")]
    expected = ("RecursionError: reading fails", "RuntimeError: colouring fails in lines", "KeyError: 'saving fails'")
    for line, name, words in zip(lines, "abc", expected, strict=False):
        assert line == f"colorize.py: {folder / name}.png: {words}"
    assert ["e.png" in lines[3], "f.png: no such file" in lines[4], "g.png: is no regular file" in lines[5]] == [
        True
    ] * 3
    assert len(lines) == 6 and written(tmp_path / "out") == ["d.png"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_ends_the_run_with_one_line(tmp_path, capsys, monkeypatch, number):
    folder = fill(tmp_path / "in", **{f"{i}__png": (GRAY, "PNG") for i in range(5)})
    real = os.replace

    def replace(source, target):
        if str(target).endswith("2.png"):
            raise OSError(number, os.strerror(number))
        real(source, target)

    monkeypatch.setattr(colored_photo.os, "replace", replace)
    assert color(folder, "--caption", "a red ball", "--output", tmp_path / "out") == 1
    said = capsys.readouterr().err.splitlines()
    assert [line for line in said if "cannot be written" in line] == [line for line in said if "2.png" in line]
    assert written(tmp_path / "out") == ["0.png", "1.png"] and "2 of 5 photographs coloured" in said[-1]


def test_an_interruption_keeps_what_is_written(tmp_path, capsys, monkeypatch):
    folder = fill(tmp_path / "in", **{f"{i}__png": (GRAY, "PNG") for i in range(4)})
    real = os.replace

    def replace(source, target):
        if str(target).endswith("2.png"):
            raise KeyboardInterrupt
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(colored_photo.os, "replace", replace)
        assert color(folder, "--caption", "a red ball", "--output", tmp_path / "out") == 130
    assert written(tmp_path / "out") == ["0.png", "1.png"]  # and no temporary file
    assert "interrupted" in capsys.readouterr().err
    assert color(folder, "--caption", "a red ball", "--output", tmp_path / "out", "--existing", "skip") == 0
    assert "2 of 4 photographs coloured, 2 were there already" in capsys.readouterr().err


def test_what_lies_in_the_output_folder_is_no_input(tmp_path, capsys, monkeypatch):
    folder = fill(tmp_path / "in", a__jpg=(GRAY, "JPEG"), b__jpg=(GRAY, "JPEG"))
    for _ in range(3):
        assert color(folder, "--caption", "red", "--output", folder / "out", "--existing", "skip", "--explain") == 0
    wanted = ["a.jpg", "a_explained.png", "b.jpg", "b_explained.png"]
    assert written(folder / "out") == wanted
    monkeypatch.chdir(folder)
    (folder / "link").symlink_to("out")
    (folder / "one.jpg").symlink_to("out/a.jpg")
    (tmp_path / "way").symlink_to(folder / "out")
    for source in (".", folder, "*", "**/*.jpg", "../in"):
        for output in ("out", "link", "./out/../out", tmp_path / "way"):
            assert color(source, "--caption", "red", "--output", output, "--existing", "skip", "--explain") == 0, source
            assert written(folder / "out") == wanted, (source, output)
    everything = sorted(str(path) for path in folder.rglob("*.jpg") if path.is_file() and "link" not in path.parts)
    assert color(*everything, "out", "--caption", "red", "--output", "out", "--existing", "skip", "--explain") == 0
    assert written(folder / "out") == wanted
    assert "are results of the other photographs" in capsys.readouterr().err
    for _ in range(2):  # a file for the result, in the folder itself
        (folder / "b.jpg").unlink(missing_ok=True)
        (folder / "one.jpg").unlink(missing_ok=True)
        shutil.rmtree(folder / "out", ignore_errors=True)
        words = (".", "--caption", "red", "--output", "r.jpg", "--existing", "overwrite", "--explain")
        assert color(*words) == 0


def test_no_photograph_is_ever_written_over(tmp_path, capsys, monkeypatch):
    folder = fill(tmp_path / "in", a__png=(GRAY, "PNG"))
    mine = (folder / "a.png").read_bytes()
    monkeypatch.chdir(folder)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "a.png").symlink_to(folder / "a.png")
    cases = [("a.png", "--output", "."), ("a.png", "--output", "a.png"), (".", "--output", ".")]
    cases += [(tmp_path / "linked", "--output", folder), (folder, "--output", tmp_path / "linked")]
    for words in cases:
        assert color(*words, "--caption", "red", "--existing", "overwrite") == 2
    said = capsys.readouterr().err
    assert said.count("is one of the photographs; pass another --output") == 3
    assert "is the folder of the results" in said and (folder / "a.png").read_bytes() == mine


def test_a_folder_inside_the_output_folder_can_be_named(tmp_path, monkeypatch):
    fill(tmp_path / "originals", a__png=(GRAY, "PNG"))
    monkeypatch.chdir(tmp_path)
    assert color("originals", "--caption", "red", "--output", ".") == 0
    assert written(tmp_path) == ["a.png", "originals/a.png"]


def test_formats_that_cannot_be_opened_are_told_and_count(tmp_path, capsys):
    folder = fill(tmp_path / "in", a__png=(GRAY, "PNG"))
    (folder / "b.cr3").write_bytes(b"raw")
    (folder / "notes.txt").write_text("no picture")
    captions = tmp_path / "c.csv"
    captions.write_text("a.png,a red ball\nb.cr3,a blue ball\n")
    assert color(folder, "--captions", captions, "--output", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert f"{folder}: left out 1 .txt" in said and "left out 1 .cr3, which cannot be opened here (b.cr3)" in said
    assert "1 of 2 photographs coloured" in said and written(tmp_path / "out") == ["a.png"]
    (folder / "a.png").unlink()
    assert color(folder, "--caption", "red", "--output", tmp_path / "o") == 2 and ".cr3" in capsys.readouterr().err


def test_hidden_photographs_count_where_they_are_named(tmp_path):
    folder = fill(tmp_path / "in", a__png=(GRAY, "PNG"))
    for name in (".h.png", ".sub/b.png", "__MACOSX/._a.png", "__MACOSX/c.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        GRAY.save(folder / name)

    def found(*sources):
        return [name for _, name in find_photos([str(folder / source) for source in sources], tmp_path / "out").named]

    assert found("") == found("**/*") == found("*") == found("**/*.png") == ["a.png"]
    assert found(".h.png", ".sub", "__MACOSX/._a.png") == [".h.png", "b.png", "._a.png"]
    assert found("__MACOSX") == found("__MACOSX/*.png") == ["c.png"] and found(".h*") == [".h.png"]


def test_one_photograph_by_several_ways_is_coloured_once(tmp_path, monkeypatch):
    folder = fill(tmp_path / "in", a__png=(GRAY, "PNG"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "way").symlink_to(folder)
    sources = ["in", "in/a.png", str(folder), "in/../in/a.png", "way", "in/*.png", "way/a.png"]
    assert [name for _, name in find_photos(sources, tmp_path / "out").named] == ["a.png"]


def test_results_never_meet_whatever_is_added_to_their_names(tmp_path):
    photos = ["a.jpg", "a_0.jpg", "a_explained.png", "a_0_explained.png", "a_variants.png", "A.PNG", "b_jpg.png"]
    photos += ["b.jpg", "b.gif", "c.png/d.jpg", "c.gif", "caf\u00e9.jpg", "cafe\u0301.png", "x", "x.tif", "x.y.bmp"]
    captions = [["one", "two"]] * 5 + [["one"]] * (len(photos) - 5)
    for explain in (False, True):
        for sheet in (False, True):
            jobs = jobs_of([(tmp_path / name, name) for name in photos], captions, tmp_path, explain, sheet)
            stems = [os.path.splitext(path)[0] for job in jobs for path in job.written]
            stems = [coloring_plan.composed(stem).lower() for stem in stems]
            assert len({*stems}) == len(stems)
            folders = {str(path.parent) for job in jobs for path in job.written}
            assert not folders & {
                str(path.with_suffix(end)) for job in jobs for path in job.written for end in (".png",)
            }


@pytest.mark.parametrize("captions", [1, 3])
def test_planning_takes_linear_time(tmp_path, monkeypatch, captions):
    real, calls = coloring_plan._key, []
    monkeypatch.setattr(coloring_plan, "_key", lambda path: calls.append(0) or real(path))

    def steps(number):
        calls.clear()
        photos = [(tmp_path / str(i) / "IMG.jpg", "IMG.jpg") for i in range(number)]
        jobs = jobs_of(photos, [["red"] * captions] * number, tmp_path, False, False)
        assert len({path for job in jobs for path in job.written}) == captions * number
        return len(calls)

    assert steps(2000) < 4.1 * steps(500)


def test_names_are_matched_in_either_form_of_unicode(tmp_path):
    composed, decomposed = "caf\u00e9.jpg", "cafe\u0301.jpg"
    folder = tmp_path / "in"
    folder.mkdir()
    GRAY.save(folder / decomposed)
    (tmp_path / "c.csv").write_text(f"{composed},a red cup\n")
    photos = find_photos([str(folder)], tmp_path / "out")
    assert match("--captions", tmp_path / "c.csv", read_captions(tmp_path / "c.csv"), photos) == [["a red cup"]]
    GRAY.save(folder / composed)  # two photographs, of which each has its own
    photos = find_photos([str(folder)], tmp_path / "out")
    both = {decomposed: ["one"], composed: ["two"]}
    assert match("--captions", tmp_path / "c.csv", both, photos) == [both[name] for _, name in photos.named]
    with pytest.raises(InputError, match="names other"):
        match("--captions", tmp_path / "c.csv", both | {"other.jpg": ["x"]}, photos)


def test_names_keep_their_numbers_apart():
    assert output_names(["IMG.jpg"] * 4) == ["IMG_jpg.jpg", "IMG_jpg_2.jpg", "IMG_jpg_3.jpg", "IMG_jpg_4.jpg"]


def test_a_name_too_long_for_what_is_added_to_it_is_told_alone(tmp_path, capsys):
    folder = fill(tmp_path / "in", a__png=(GRAY, "PNG"))
    GRAY.save(folder / f"{'n' * 250}.png")
    assert color(folder, "--caption", "a red ball", "--output", tmp_path / "out", "--explain") == 1
    assert written(tmp_path / "out") == ["a.png", "a_explained.png"]
    said = capsys.readouterr().err.splitlines()
    assert len([line for line in said if "File name too long" in line]) == 1
