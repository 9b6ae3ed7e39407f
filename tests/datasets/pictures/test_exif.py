"""EXIF as a file has it: fields keep their bytes, and ill-formed ones are named."""

import struct

import pytest
from PIL import ExifTags, Image

from datasets.pictures import exif

ORIENTATION, ARTIST, X_RESOLUTION, EXPOSURE = 274, 315, 282, 37380


def block(*entries, order="<", behind=b""):
    """EXIF of (tag, type, count, four bytes or a number); `behind` follows the directory."""
    data = struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        value = struct.pack(f"{order}I", value) if isinstance(value, int) else value
        data += struct.pack(f"{order}HHI", tag, kind, count) + value
    return exif.HEADER + exif.header(order) + data + b"\0" * 4 + behind


def short(value, order="<"):
    return struct.pack(f"{order}HH", value, 0)


UPRIGHT, BOTH = (ORIENTATION, 3, 1, short(6)), {ORIENTATION, EXPOSURE}
ILL_FORMED = {  # EXIF, what is kept of it and what is named
    "nothing at all": (b"", {}, ()),
    "a header alone": (exif.HEADER, {}, ()),
    "two headers": (exif.HEADER + block(UPRIGHT), {ORIENTATION}, ()),
    "no header of TIFF": (exif.HEADER + b"hello world", {}, ("all of it",)),
    "cut in its header": (block(UPRIGHT)[:12], {}, ("all of it",)),
    "cut in a field": (block(UPRIGHT, UPRIGHT)[:-10], {ORIENTATION}, ("what follows its end",)),
    "a text cut": (block(UPRIGHT, (ARTIST, 2, 40, 38)), {ORIENTATION}, ("Artist",)),
    "a text as a number": (block(UPRIGHT, (ARTIST, 3, 1, short(7))), {ORIENTATION}, ("Artist",)),
    "an unknown type": (block(UPRIGHT, (ARTIST, 99, 1, 7)), {ORIENTATION}, ("Artist",)),
    "a part as text": (block(UPRIGHT, (34665, 2, 3, b"ab\0\0")), {ORIENTATION}, ("ExifOffset",)),
    "a part beyond the end": (block(UPRIGHT, (34665, 4, 1, 999_999)), {ORIENTATION}, ("ExifOffset",)),
    "a part that is its own": (block(UPRIGHT, (34665, 4, 1, 8)), {ORIENTATION}, None),
    "GPS as a ratio": (block(UPRIGHT, (34853, 5, 1, 38), behind=b"\1\0\0\0\1\0\0\0"), {ORIENTATION}, ("GPSInfo",)),
    "two resolutions": (
        block(UPRIGHT, (X_RESOLUTION, 5, 2, 38), behind=b"\1\0\0\0" * 4),
        {ORIENTATION},
        ("XResolution",),
    ),
    "orientation as text": (block((ORIENTATION, 2, 2, b"6\0\0\0")), {}, ("Orientation",)),
    "a ratio of -1 and 0": (
        block(UPRIGHT, (EXPOSURE, 10, 1, 38), behind=b"\xff" * 4 + b"\0" * 4),
        {ORIENTATION, EXPOSURE},
        (),
    ),
    "65535 fields": (exif.HEADER + exif.header("<") + b"\xff\xff" + b"\0" * 99, {}, ("all of it",)),
}


@pytest.mark.parametrize("case", ILL_FORMED)
def test_what_can_be_read_is_kept_and_the_rest_is_named(case):
    data, kept, damaged = ILL_FORMED[case]
    found = exif.read(data)
    assert set(found.fields) == set(kept)
    assert damaged is None or found.damaged == damaged
    again = exif.read(exif.packed(found))
    assert again.fields == found.fields and again.parts == found.parts and not again.damaged


@pytest.mark.parametrize("order", "<>")
def test_parts_and_letters_beyond_ascii_come_back_byte_by_byte(order):
    name = "José Núñez".encode() + b"\0"
    gps = exif.Directory(order, {1: exif.Field(2, 2, b"N\0")}).having(2, 5, 1, 2, 3)
    interop = exif.Directory(order, {1: exif.Field(2, 4, b"R98\0")})
    own = exif.Directory(order, {37500: exif.Field(7, 9, b"Nikon\0\1\2\3")}, {40965: interop})
    whole = exif.Directory(order, {ARTIST: exif.Field(2, len(name), name)}, {34665: own, 34853: gps})
    whole = whole.having(ORIENTATION, 3, 8).having(X_RESOLUTION, 5, 300)
    found = exif.read(exif.packed(whole))
    assert found == whole
    assert found.data(ARTIST) == name and found.numbers(X_RESOLUTION) == (300.0,)
    pillow = Image.Exif()
    pillow.load(exif.packed(whole))
    assert pillow[ORIENTATION] == 8 and pillow.get_ifd(ExifTags.IFD.Exif)[37500] == b"Nikon\0\1\2\3"
    assert pillow.get_ifd(ExifTags.IFD.GPSInfo)[2] == (1.0, 2.0, 3.0)
    assert pillow.get_ifd(ExifTags.IFD.Interop)[1] == "R98"


def test_a_camera_s_exif_loses_nothing():
    """As Pillow writes it."""
    source = Image.Exif()
    source[271], source[ORIENTATION], source[X_RESOLUTION], source[296] = "Canon", 1, 72.0, 2
    source._ifds[ExifTags.IFD.Exif] = {33434: 0.01, 36867: "2020:01:02 03:04:05", 37500: b"\0\1\2", 41486: 12.5}
    source._ifds[ExifTags.IFD.GPSInfo] = {1: "N", 2: (1.0, 2.0, 3.0), 0: b"\2\3\0\0"}
    found = exif.read(source.tobytes())
    assert not found.damaged
    assert set(found.parts[ExifTags.IFD.Exif].fields) == {33434, 36867, 37500, 41486}
    assert set(found.parts[ExifTags.IFD.GPSInfo].fields) == {0, 1, 2}
