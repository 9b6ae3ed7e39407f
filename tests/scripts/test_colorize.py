"""scripts/colorize.py: files, folders, patterns; captions; names that never meet; one bad file among good ones."""

import json

import cv2
import numpy as np
import odd_photos
import pytest
import tifffile
from conftest import ROOT
from PIL import ExifTags, Image

from inference import Colorizer, coloring_plan
from inference.enlarge import gray_of
from inference.photo import read_photo
from scripts import colorize

GRAY = np.random.default_rng(0).integers(0, 256, (40, 60)).astype(np.uint8)


@pytest.fixture(scope="module")
def colorizer():
    return Colorizer.from_checkpoint(device="cpu")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(GRAY).save(folder / "a.jpg", exif=exif)
    Image.fromarray(GRAY).save(folder / "a.gif")
    Image.fromarray(np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16)).save(folder / "sub" / "deep.png")
    return folder


def test_a_folder_is_coloured_and_a_broken_file_does_not_stop_it(photos, tmp_path, capsys):
    (photos / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    out = tmp_path / "out"
    assert colorize.main([str(photos), "--caption", "a red ball", "--output", str(out)]) == 1
    said = capsys.readouterr().err
    assert "broken.png: not a picture" in said and "3 of 4 photographs coloured" in said
    written = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    assert written == ["a_gif.png", "a_jpg.jpg", "sub/deep.png"]
    with Image.open(out / "a_jpg.jpg") as image:
        assert image.size == (60, 40) and image.mode == "RGB" and image.getexif()[ExifTags.Base.Orientation] == 6
    with Image.open(out / "a_gif.png") as image:
        pixels = np.asarray(image)
    assert np.ptp(pixels.astype(int), axis=2).max() > 20


def test_one_file_with_the_default_checkpoint_to_a_named_file(photos, tmp_path):
    out = tmp_path / "new" / "result.png"
    assert colorize.main([str(photos / "a.gif"), "--caption", "a red ball", "--output", str(out)]) == 0
    assert Image.open(out).size == (60, 40) and colorize.DEFAULT_CHECKPOINT.is_file()


def test_variants_give_a_picture_each_and_a_sheet(tmp_path):
    with Image.open(ROOT / "webapp" / "examples" / "astronaut.jpg") as image:
        image.resize((60, 40)).save(tmp_path / "a.gif")
    captions = ["a smiling woman in an orange suit", "a smiling woman in a blue suit"]
    words = [str(tmp_path / "a.gif"), "--captions-variants", *captions, "--output", str(tmp_path / "o")]
    assert colorize.main([*words, "--explain"]) == 0
    names = sorted(p.name for p in (tmp_path / "o").iterdir())
    assert names == ["a_0.png", "a_0_explained.png", "a_1.png", "a_1_explained.png", "a_variants.png"]
    assert Image.open(tmp_path / "o" / "a_variants.png").width > 3 * 60
    orange, blue = (np.asarray(Image.open(tmp_path / "o" / f"a_{k}.png")).astype(int) for k in (0, 1))
    assert np.abs(orange - blue).max() > 20


def test_what_is_there_is_never_overwritten_unasked(photos, tmp_path, capsys):
    words = [str(photos / "a.gif"), "--caption", "a red ball", "--output", str(tmp_path / "o")]
    assert colorize.main(words) == 0
    target = tmp_path / "o" / "a.png"
    target.write_bytes(b"mine")
    assert colorize.main(words) == 2
    assert "is there already; pass --existing skip or overwrite" in capsys.readouterr().err
    assert colorize.main([*words, "--existing", "skip"]) == 0 and target.read_bytes() == b"mine"
    assert colorize.main([*words, "--existing", "overwrite"]) == 0 and target.read_bytes() != b"mine"


def test_no_caption_is_said(photos, tmp_path, capsys):
    assert colorize.main([str(photos / "a.gif"), "--output", str(tmp_path / "o")]) == 0
    assert "a.gif: the caption is empty" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["csv", "json list", "json object"])
def test_captions_from_a_file(photos, tmp_path, kind):
    lists = [["a.gif", "a red, round ball"], ["a.gif", "a blue ball"], ["a.jpg", "a cup"], ["sub/deep.png", ""]]
    file = tmp_path / ("captions.csv" if kind == "csv" else "captions.json")
    if kind == "csv":
        file.write_text("image,caption\n" + "".join(f'{name},"{caption}"\n' for name, caption in lists))
    elif kind == "json list":
        file.write_text(json.dumps(lists))
    else:
        file.write_text(
            json.dumps({"a.gif": ["a red, round ball", "a blue ball"], "a.jpg": "a cup", "sub/deep.png": ""})
        )
    options = colorize.parse([str(photos), "--captions", str(file), "--output", "o"])
    jobs = {str(job.path.relative_to(photos)): job for job in colorize.plan(options)[0]}
    assert jobs["a.gif"].captions == ["a red, round ball", "a blue ball"]
    assert [p.name for p in jobs["a.gif"].outputs] == ["a_gif_0.png", "a_gif_1.png"]
    assert jobs["a.jpg"].captions == ["a cup"] and jobs["sub/deep.png"].captions == [""]


@pytest.mark.parametrize(
    "name, text, message",
    [
        ("c.csv", "a.gif,red\na.jpg,blue\n", "has none for sub/deep.png"),
        ("c.csv", "a.gif,r\na.jpg,b\nsub/deep.png,c\nb.jpg,d\n", "names b.jpg, which is not among"),
        ("c.csv", "a.gif\n", "line 1 is"),
        ("c.json", "{", "not valid JSON"),
        ("c.json", '[["a.gif", 3]]', "entry 0 is"),
        ("c.json", '"text"', "entry 0 is"),
        ("c.csv", f"a.gif,{'red ' * 3000}\n", "c.csv: line 1 has 12,000 characters ('red red"),
    ],
)
def test_captions_that_do_not_fit_are_named(photos, tmp_path, capsys, name, text, message):
    (tmp_path / name).write_text(text)
    assert colorize.main([str(photos), "--captions", str(tmp_path / name)]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, message",
    [
        (["nothing.jpg"], "nothing.jpg: no such file or folder"),
        (["{photos}/*.xyz"], "no such file or folder, nor does a file match"),
        (["{photos}", "--output", "one.png"], "a file holds one result"),
        (["{empty}"], "no photograph in this folder"),
        (["{photos}/a.gif", "--checkpoint", "nothing.pth"], "nothing.pth: no such checkpoint"),
        (["{photos}", "--caption", "red " * 3000], "--caption has 12,000 characters ('red red"),
        (["{photos}", "--captions_variants", "red", "red " * 3000], "--captions_variants has 12,000 characters"),
    ],
)
def test_what_cannot_be_begun_is_named(photos, tmp_path, capsys, words, message):
    (tmp_path / "empty").mkdir()
    words = [word.format(photos=photos, empty=tmp_path / "empty") for word in words]
    assert colorize.main(words) == 2
    assert message in capsys.readouterr().err


def test_names_never_meet():
    names = ["a.jpg", "a.png", "A.JPG", "b/a.jpg", "c.gif", "c.bmp", "d.tif"]
    out = coloring_plan.output_names(names)
    assert len({name.lower() for name in out}) == len(names)
    assert out[3] == "b/a.jpg" and out[6] == "d.tif" and out[4] == "c_gif.png" and out[5] == "c_bmp.png"


def test_a_pattern_and_a_folder_give_no_photograph_twice(photos):
    found = colorize.find_photos([str(photos), str(photos / "*.gif"), str(photos / "a.jpg")], photos / "o")
    assert [name for _, name in found.named] == ["a.gif", "a.jpg", "sub/deep.png"]


def test_a_strength_that_is_none_is_told_for_the_photograph(photos, tmp_path, capsys):
    words = [str(photos / "a.gif"), "--caption", "red", "--strength", "-1", "--output", str(tmp_path / "o")]
    assert colorize.main(words) == 1
    assert "strength -1" in capsys.readouterr().err


def test_every_odd_kind_of_photograph_passes(tmp_path, colorizer):
    """By the command line and by Python: size, orientation, transparency and luminance are the photograph's."""
    folder, out = tmp_path / "odd", tmp_path / "out"
    folder.mkdir()
    paths = odd_photos.write(folder)
    assert len(paths) >= 28
    assert colorize.main([str(folder), "--caption", "a red cup on a blue table", "--output", str(out)]) == 0
    for path in paths:
        (target,) = out.glob(f"{path.stem}.*")
        before, after = read_photo(path), read_photo(target)
        assert after.size == before.size and after.orientation == before.orientation, path.name
        assert (before.alpha is None) == (after.alpha is None), path.name
        deep = path.stem.startswith(("deep", "float"))
        assert before.pixels.dtype == (np.uint16 if deep else np.uint8), path.name
        by_hand = colorizer.colorize(colorizer.encode(before), ["a red cup on a blue table"])[0].photo.pixels
        if target.suffix != ".jpg":
            stored = read_pixels(target)
            np.testing.assert_array_equal(stored[..., :3], by_hand[..., :3], err_msg=path.name)
            scale = 257 if stored.dtype == np.uint16 else 1
            wanted, found = (
                gray_of(pixels[..., :3] if pixels.ndim == 3 else pixels) for pixels in (before.pixels, stored)
            )
            wanted = wanted.astype(float) * (257 if wanted.dtype == np.uint8 else 1)
            assert np.abs(found - wanted).max() <= 400 / scale, path.name  # of 65535: less than a step of 8 bits


def read_pixels(path):
    pixels = tifffile.imread(path) if path.suffix == ".tif" else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return pixels if path.suffix == ".tif" else pixels[..., [2, 1, 0, *range(3, pixels.shape[2])]]
