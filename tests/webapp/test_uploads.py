"""What the page takes, judged before it is decoded, and what it calls the result."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from utils.errors import InputError
from webapp.limits import Limits
from webapp.uploads import colored_name, read_header


def write_png_header(path, width, height):
    """A PNG that claims a size, and has no pixels."""
    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", size), (b"IDAT", b""))
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


def refusal(path, limit=24.0):
    with pytest.raises(InputError) as caught:
        read_header(path, "my photo.png", limit)
    assert "my photo.png" in str(caught.value) and str(path) not in str(caught.value)  # no path of the server's
    return str(caught.value)


def test_a_picture_s_size_and_format_are_read_and_not_its_pixels(tmp_path):
    path = write_png_header(tmp_path / "a.png", 4000, 3000)
    assert read_header(path, "a.png", 24) == (4000, 3000, "PNG")
    assert read_header(path, "a.png", 12) == (4000, 3000, "PNG")  # not more than the limit


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"])
def test_every_kind_that_the_page_names_is_taken(tmp_path, kind):
    Image.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7)).save(tmp_path / "a", kind)
    assert read_header(tmp_path / "a", "a", 24) == (7, 5, kind)


def test_too_many_pixels_are_refused_with_their_number(tmp_path):
    assert "100 megapixels (10000×10000)" in refusal(write_png_header(tmp_path / "a", 10_000, 10_000))
    assert "up to 11.5" in refusal(write_png_header(tmp_path / "a", 4000, 3000), 11.5)


def test_a_decompression_bomb_is_refused_unopened(tmp_path):
    assert "more than" in (said := refusal(write_png_header(tmp_path / "a", 200_000, 200_000)))
    assert "up to 24" in said


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0"])
def test_what_is_no_picture_is_refused(tmp_path, content):
    """Nor kinds that Pillow reads by starting another program."""
    (tmp_path / "a").write_bytes(content)
    assert "not a picture" in refusal(tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "format", "expected"),
    [
        ("beach.jpg", "JPEG", "beach_colored.jpg"),
        ("Beach.2.JPEG", "MPO", "Beach.2_colored.JPEG"),
        ("scan.tiff", "TIFF", "scan_colored.tiff"),
        ("a.webp", "WEBP", "a_colored.webp"),
        ("dance.gif", "GIF", "dance_colored.png"),
        ("old.bmp", "BMP", "old_colored.png"),
        ("png really.jpg", "PNG", "png really_colored.png"),
        ("no ending", "PNG", "no ending_colored.png"),
        ("фото 🙂.png", "PNG", "фото 🙂_colored.png"),
        ("../../etc/passwd", "JPEG", "passwd_colored.jpg"),
        ("C:\\photos\\a.png", "PNG", "a_colored.png"),
        ('a"b\r\n.png', "PNG", "ab_colored.png"),
        ("...", "PNG", "photo_colored.png"),
        ("", "PNG", "photo_colored.png"),
        ("x" * 300 + ".png", "PNG", "x" * 100 + "_colored.png"),
    ],
)
def test_the_result_has_the_visitor_s_name_and_an_ending_of_its_format(name, format, expected):
    assert colored_name(name, format) == expected


@pytest.mark.parametrize(
    ("number", "flag"),
    [
        ({"megapixels": 0}, "--max_megapixels 0"),
        ({"megapixels": 200}, "--max_megapixels 200"),
        ({"megabytes": float("nan")}, "--max_megabytes nan"),
        ({"waiting": -1}, "--queue -1"),
        ({"at_once": 0}, "--concurrency 0"),
    ],
)
def test_limits_that_make_no_sense_are_refused_by_their_flags(number, flag):
    with pytest.raises(InputError, match=flag):
        Limits(**number)
    assert Limits().upload == 40_000_000
