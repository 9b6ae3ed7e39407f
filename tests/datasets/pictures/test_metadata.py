"""What a file says beside its pixels: from every format into every other, at 8 and 16 bits."""

import io
from fractions import Fraction

import cv2
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, PngImagePlugin

from datasets.pictures import exif, metadata
from datasets.pictures.metadata import Metadata
from inference.colored_photo import ColoredPhoto
from inference.photo import read_photo

H, W = 6, 8
GRAY = np.arange(H * W, dtype=np.uint8).reshape(H, W) * 5
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><Title>Box 7</Title></x:xmpmeta>'
IPTC = b"\x1c\x02\x05\x00\x05Title"
ARTIST = "José Núñez, archive"
SOURCES = ("jpeg", "png", "png16", "tiff", "tiff16", "tiff16 big-endian", "webp")
TARGETS = (".jpg", ".png", ".tif", ".webp")


def text(directory, tag):
    return directory.data(tag).split(b"\0")[0].decode()


def told():
    tags = {315: ARTIST, 33432: "Town archive", 270: "Negative 42, box 7", 306: "2020:01:02 03:04:05"}
    fields = {tag: exif.Field(2, len(text.encode()) + 1, text.encode() + b"\0") for tag, text in tags.items()}
    camera = exif.Directory("<", {36867: exif.Field(2, 5, b"2019\0")}).having(33434, 5, Fraction(1, 100))
    gps = exif.Directory("<", {1: exif.Field(2, 2, b"N\0")}).having(2, 5, 1, 2, 3)
    whole = exif.Directory("<", fields, {34665: camera, 34853: gps}).having(274, 3, 6)
    return whole.having(282, 5, 300).having(283, 5, 300).having(296, 3, 2)


def source(kind):
    """A file of gray pixels that says all that `told` has, and XMP; where it can, IPTC too."""
    file, packed = io.BytesIO(), exif.packed(told())
    image = Image.fromarray(GRAY)
    if kind == "jpeg":
        segment = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + len(IPTC).to_bytes(4, "big") + IPTC
        extra = b"\xff\xed" + (len(segment) + 2).to_bytes(2, "big") + segment
        image.save(file, "JPEG", exif=packed, xmp=XMP, dpi=(300, 300), comment=b"Negative 42", extra=extra)
    elif kind == "webp":
        image.save(file, "WEBP", exif=packed, xmp=XMP, lossless=True)
    elif kind.startswith("png"):
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        info.add_text("Title", "Box 7")
        image = image if kind == "png" else Image.fromarray(GRAY.astype(np.uint16) * 257)
        image.save(file, "PNG", exif=packed, dpi=(300, 300), pnginfo=info)
    else:
        bits, order = (8 if kind == "tiff" else 16), (">" if "big" in kind else "<")
        pixels = GRAY if bits == 8 else GRAY.astype(np.uint16) * 257
        whole = told()
        texts = [(tag, 2, None, text(whole, tag).encode(), True) for tag in (315, 33432, 270, 306)]
        others = [(274, 3, 1, 6, True), (700, 1, len(XMP), XMP, True), (33723, 7, len(IPTC), IPTC, True)]
        how = {"resolution": (300, 300), "resolutionunit": 2, "metadata": None, "software": False, "byteorder": order}
        tifffile.imwrite(file, pixels, photometric="minisblack", extratags=texts + others, **how)
    return file.getvalue()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", SOURCES)
def test_what_is_carried_over_depends_on_neither_format_nor_depth(tmp_path, kind, target):
    photo = read_photo(source(kind), "in")
    assert photo.orientation == 6 and not photo.notes
    colored = photo.colored(np.zeros((H, W, 3), photo.pixels.dtype))
    path, why = colored.fitting(tmp_path / f"out{target}")
    assert (path.suffix == target) == (not why) == ("16" not in kind or target in (".png", ".tif"))
    lost = colored.save(path)

    with Image.open(path) as image:
        resolution = image.info.get("dpi") or (image.getexif()[282], image.getexif()[283])
        np.testing.assert_allclose(list(map(float, resolution)), 300, atol=0.01)
    again = read_photo(path)
    assert again.orientation == 6 and again.size == (W, H) and not again.notes
    found = again.metadata
    assert text(found.exif, 315) == ARTIST and text(found.exif, 33432) == "Town archive"
    assert text(found.exif, 270) == "Negative 42, box 7" and text(found.exif, 306) == "2020:01:02 03:04:05"
    if not kind.startswith("tiff"):  # which tifffile writes without these parts
        assert found.exif.parts[34665].numbers(33434) == (0.01,) and text(found.exif.parts[34665], 36867) == "2019"
        assert found.exif.parts[34853].numbers(2) == (1, 2, 3)
    assert found.xmp == XMP and found.resolution == pytest.approx((300, 300), abs=0.01)

    has = {
        "iptc": photo.metadata.iptc,
        "comment": photo.metadata.comment,
        "text": dict(photo.metadata.texts).get("Title"),
    }
    assert bool(has["iptc"]) == (kind == "jpeg" or "tiff" in kind) and bool(has["text"]) == kind.startswith("png")
    for what, value in has.items():
        kept = {"iptc": found.iptc, "comment": found.comment, "text": dict(found.texts).get("Title")}[what]
        kept = kept or (dict(found.texts).get("Comment") if what == "comment" else kept)
        named = any({"iptc": "IPTC", "comment": "comment", "text": "Title"}[what] in note for note in lost)
        assert not value or (kept == value) != named, (what, value, kept, lost)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_a_tiff_s_parts_lie_where_other_readers_look(tmp_path, depth):
    colored = read_photo(source("jpeg"), "in").colored(np.zeros((H, W, 3), depth))
    colored.save(tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        tags = file.pages[0].tags
        assert tags[34665].value["ExposureTime"] == (1, 100) and tags[34853].value["GPSLatitudeRef"] == "N"
        assert tags[282].value == (300, 1) and tags[700].value == XMP
    with Image.open(tmp_path / "a.tif") as image:
        assert image.getexif().get_ifd(ExifTags.IFD.Exif)[33434] == Fraction(1, 100)


@pytest.mark.parametrize("depth, unit, expected", [(8, 3, 600 * 2.54), (16, 2, 600)])
def test_resolution_in_centimetres_and_of_a_16_bit_tiff(tmp_path, depth, unit, expected):
    file, pixels = io.BytesIO(), GRAY.astype(np.uint16 if depth == 16 else np.uint8)
    tifffile.imwrite(file, pixels, resolution=(600, 600), resolutionunit=unit, metadata=None, photometric="minisblack")
    colored = read_photo(file.getvalue(), "in").colored(np.zeros((H, W, 3), pixels.dtype))
    for name in ("a.png", "a.tif"):
        colored.save(tmp_path / name)
        with Image.open(tmp_path / name) as image:
            assert image.info["dpi"] == pytest.approx((expected, expected), abs=0.05)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP"])
def test_a_resolution_that_exif_does_not_tell(tmp_path, kind, target):
    """JFIF's, PNG's and BMP's own: in EXIF where a format has no other place."""
    file = io.BytesIO()
    Image.fromarray(GRAY).save(file, kind, dpi=(600, 300))
    read_photo(file.getvalue(), "in").colored(np.zeros((H, W, 3), np.uint8)).save(tmp_path / f"a{target}")
    found = read_photo(tmp_path / f"a{target}").metadata
    assert found.resolution == pytest.approx((600, 300), abs=0.02)
    if target == ".webp":
        assert found.exif.numbers(282) == pytest.approx((600,), abs=0.02) and found.exif.numbers(296) == (2,)


def test_a_thumbnail_of_the_gray_picture_is_left_out_and_said():
    directory = told()
    data = bytearray(exif.packed(directory))
    place = 6 + 8 + 2 + 12 * (len(directory.fields) + len(directory.parts))
    data[place : place + 4] = len(data).to_bytes(4, "little")  # another directory follows
    file = io.BytesIO()
    Image.fromarray(GRAY).save(file, "JPEG", exif=bytes(data) + b"\0" * 6)
    assert read_photo(file.getvalue(), "in").notes == ("in: its thumbnail shows the gray picture and is left out",)


def test_pixels_that_are_no_squares_are_said():
    file = io.BytesIO()
    Image.fromarray(GRAY).save(file, "JPEG")
    data = bytearray(file.getvalue())
    data[14:18] = b"\0\2\0\1"  # JFIF's density without a unit
    assert "its pixels are 2:1" in read_photo(bytes(data), "in").notes[0]


def test_what_is_too_long_for_jpeg_is_named(tmp_path):
    long = exif.Directory("<", {37510: exif.Field(7, 70_000, b"x" * 70_000)})
    colored = read_photo(source("png"), "in").colored(np.zeros((H, W, 3), np.uint8))
    all_long = Metadata(exif=long, xmp=b"x" * 70_000, iptc=b"x" * 70_000)
    notes = ColoredPhoto(colored.pixels, None, all_long).save(tmp_path / "a.jpg")
    assert len(notes) == 3 and all("is not kept: JPEG has no place for it" in note for note in notes)
    assert not ColoredPhoto(colored.pixels, None, all_long).save(tmp_path / "a.tif")


@pytest.mark.parametrize("part", ["_exif", "_resolution", "_others"])
def test_whatever_metadata_raises_the_pixels_are_read(monkeypatch, part):
    def raising(*_):
        raise RuntimeError("odd")

    monkeypatch.setattr(metadata, part, raising)
    photo = read_photo(source("jpeg"), "in")
    assert photo.size == (W, H) and len(photo.notes) == 1 and "cannot be read" in photo.notes[0]


def test_text_in_a_16_bit_png_is_seen_by_opencv_and_pillow(tmp_path):
    colored = read_photo(source("png16"), "in").colored(np.full((H, W, 3), 40_000, np.uint16))
    colored.save(tmp_path / "a.png")
    assert (cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED) == 40_000).all()
    with Image.open(tmp_path / "a.png") as image:
        image.load()
        assert image.text["Title"] == "Box 7" and image.info["dpi"] == pytest.approx((300, 300), abs=0.01)
