"""What can be opened, and that whatever a file raises names it."""

import io
import os
import socket
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.image_files import image_size, read_image
from datasets.pictures import formats as picture_formats
from datasets.pictures.formats import ENDINGS, TooLarge, naming, openable
from datasets.pictures.picture_file import PictureFile, format_of, png_chunks
from inference.photo import read_photo
from utils.errors import InputError

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3)).astype(np.uint8)
PICTURE = Image.fromarray(RGB)
WRITTEN = [
    e for e in ENDINGS if Image.registered_extensions().get(e) in Image.SAVE and e not in (".pbm", ".pgm", ".bw")
]
WRITTEN.remove(".pfm")  # of floating numbers; the others of gray alone


def content(kind, **how):
    file = io.BytesIO()
    PICTURE.save(file, kind, **how)
    return file.getvalue()


@pytest.mark.parametrize("ending", WRITTEN)
def test_what_is_listed_is_opened(tmp_path, ending):
    path = tmp_path / f"a{ending.upper()}"
    path.write_bytes(content(Image.registered_extensions()[ending]))
    assert openable(path) and read_photo(path).size == (9, 6) and read_image(path).size == (9, 6)


def test_the_list_has_what_people_bring_and_nothing_that_runs_programs():
    assert {".jpg", ".heic", ".jpe", ".jfif", ".png", ".tif", ".webp", ".gif", ".bmp", ".pnm", ".j2k", ".jp2"} <= set(
        ENDINGS
    )
    assert not {".pdf", ".eps", ".ps", ".wmf", ".mpg", ".h5", ".txt", ".json"} & set(ENDINGS)
    assert not openable(Path("a.jpg.bak")) and not openable(Path("jpg")) and openable(Path("x/.b.JPG"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "QOI", "HEIF"])
def test_contents_decide_and_not_the_name(tmp_path, kind):
    for name in ("a.jpg", "a.png", "a.tif", "a", "a.txt"):
        (tmp_path / name).write_bytes(content(kind))
        assert format_of(tmp_path / name) == kind
        assert read_photo(tmp_path / name).size == image_size(tmp_path / name) == (9, 6)
    (tmp_path / "a.jpg").write_text("hello world")
    assert format_of(tmp_path / "a.jpg") is None and format_of(tmp_path) is None and format_of(tmp_path / "no") is None


def test_a_format_without_its_plugin_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_formats, "FORMATS", ("JPEG", "PNG"))
    (tmp_path / "a.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    (tmp_path / "a.avif").write_bytes(b"\0\0\0\x18ftypavif\0\0\0\0mif1avif")
    with pytest.raises(InputError, match=r"a\.HEIC: HEIF cannot be opened here"):
        read_photo(tmp_path / "a.HEIC")
    with pytest.raises(InputError, match=r"a\.avif: AVIF cannot be opened here"):
        read_image(tmp_path / "a.avif")


def test_what_is_no_file_is_named_and_never_waited_for(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.jpg"))
    (tmp_path / "nowhere.jpg").symlink_to(tmp_path / "gone.jpg")
    words = {"folder": "is a folder", "empty": "is empty", "pipe": "no regular file", "socket": "no regular file"}
    words |= {"nowhere": "no such file", "absent": "no such file"}
    for name, word in words.items():
        for read in (read_photo, read_image, image_size):
            with pytest.raises(InputError, match=rf"{name}\.jpg: .*{word}"):
                read(tmp_path / f"{name}.jpg")
    with pytest.raises(InputError, match=r"/dev/zero: is no regular file"):
        read_photo(Path("/dev/zero"))


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), RuntimeError(""), MemoryError(), KeyError("x")]
)
def test_whatever_is_raised_names_the_file(tmp_path, monkeypatch, error):
    (tmp_path / "a.jpg").write_bytes(content("JPEG"))

    def raising(*_, **__):
        raise error

    monkeypatch.setattr(Image, "open", raising)
    for read in (read_photo, read_image):
        with pytest.raises(InputError, match=r"a\.jpg: \S+ ") as caught:
            read(tmp_path / "a.jpg")
        assert caught.value.__cause__ is error
        assert "not enough memory; pass a smaller copy" in str(caught.value) or not isinstance(error, MemoryError)


def test_an_interruption_is_none():
    with pytest.raises(KeyboardInterrupt), naming("a.jpg"):
        raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_truncated_file_is_named(kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8))
    file = io.BytesIO()
    noise.save(file, kind)
    data = file.getvalue()
    for share in (0.3, 0.8):
        with pytest.raises(InputError, match=r"cut: "):
            read_photo(data[: int(len(data) * share)], "cut")


def test_too_many_pixels_are_named_before_they_are_decoded(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    for kind in ("JPEG", "PNG", "TIFF"):
        with pytest.raises(TooLarge, match=r"a: 9x6 are 0 megapixels"):
            PictureFile(content(kind), "a")
    assert PictureFile(content("PNG"), "a", most=54).size == (9, 6)


def test_threads_leave_the_process_s_warnings_alone(tmp_path):
    """Filters are the process's: two threads that set and restore them leave the one's behind for good."""
    (tmp_path / "a.png").write_bytes(content("PNG"))
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(read_image, [tmp_path / "a.png"] * 200))
    assert warnings.filters == before


# ---- metadata that keeps Pillow from reading


def chunk(kind, data, crc=None):
    crc = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


ILL_CHUNKS = {
    "a wrong checksum": chunk(b"tEXt", b"Title\0Box", crc=1),
    "an unknown compression": chunk(b"zTXt", b"Title\0\x07xxxx"),
    "text without end": chunk(b"tEXt", b"no zero in it"),
    "a resolution cut": chunk(b"pHYs", b"\0\0"),
    "primaries cut": chunk(b"cHRM", b"\0\0\0"),
    "gamma cut": chunk(b"gAMA", b"\0"),
    "EXIF of nothing": chunk(b"eXIf", b""),
    "a profile of nothing": chunk(b"iCCP", b"x\0\0nonsense"),
    "international text cut": chunk(b"iTXt", b"a\0\1\0"),
}


@pytest.mark.parametrize("place", ["before", "behind"])
@pytest.mark.parametrize("kind", ILL_CHUNKS)
def test_no_chunk_of_a_png_keeps_its_pixels_from_being_read(kind, place):
    data = content("PNG")
    at = 33 if place == "before" else len(data) - 12
    data = data[:at] + ILL_CHUNKS[kind] + data[at:]
    assert np.array_equal(read_photo(data, "a").pixels, RGB)


def test_pixels_of_a_png_are_still_checked():
    data = content("PNG")
    place = data.index(b"IDAT") + 6
    broken = data[:place] + bytes([data[place] ^ 255]) + data[place + 1 :]
    with pytest.raises(InputError, match="a: cannot be decoded"):
        read_photo(broken, "a")
    assert [kind for kind, _ in png_chunks(data)] == [b"IHDR", b"IDAT", b"IEND"]


@pytest.mark.parametrize("marker", [0xE1, 0xE2, 0xED, 0xFE])
@pytest.mark.parametrize(
    "data", [b"", b"\0", b"Exif\0\0", b"MPF\0II*\0\xff\xff", b"ICC_PROFILE\0\0\0", b"Photoshop 3.0\0" + b"8BIM" * 3]
)
def test_no_segment_of_a_jpeg_keeps_its_pixels_from_being_read(marker, data):
    plain = content("JPEG")
    odd = plain[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data + plain[2:]
    assert np.array_equal(read_photo(odd, "a").pixels, read_photo(plain, "a").pixels)


@pytest.mark.parametrize("tag", [34665, 34853, 270, 274, 282, 315, 700, 33723, 34377, 34675])
@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 99])
def test_no_tag_of_a_tiff_keeps_its_pixels_from_being_read(tag, kind):
    """A count and an offset beyond the end, in every type."""
    plain = content("TIFF", compression="tiff_lzw")
    (start,) = struct.unpack_from("<I", plain, 4)
    (count,) = struct.unpack_from("<H", plain, start)
    entries = [plain[start + 2 + 12 * k : start + 14 + 12 * k] for k in range(count)]
    entries = sorted(
        [e for e in entries if e[:2] != struct.pack("<H", tag)] + [struct.pack("<HHII", tag, kind, 99, 9**9)]
    )
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + b"\xff\xff\xff\x7f"  # and a page beyond it
    odd = plain[:4] + struct.pack("<I", len(plain)) + plain[8:] + directory
    assert np.array_equal(read_photo(odd, "a").pixels, RGB)
