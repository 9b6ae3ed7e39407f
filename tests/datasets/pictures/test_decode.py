"""One look for every room: orientation, depth and meaning of a picture's numbers."""

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import odd_photos
import profiles
import pytest
from PIL import Image, PngImagePlugin

from datasets.image_files import image_size, read_image
from datasets.pictures import exif as exif_fields
from datasets.pictures.color_profile import SRGB_BYTES
from datasets.pictures.decode import avif_bits
from datasets.pictures.metadata import Metadata
from datasets.shards import PackedImage
from inference.colored_photo import ColoredPhoto
from inference.enlarge import explain, gray_of, paint
from inference.photo import read_photo, turn
from preparation.picture_checks import Picture, examine
from scripts.make_shards import encoded

W, H = 7, 5
GRAY = np.arange(W * H, dtype=np.uint8).reshape(H, W) * 7
RGB = np.stack([GRAY, GRAY[::-1], GRAY[:, ::-1]], axis=2)


def saved(image, kind="PNG", **extras):
    file = io.BytesIO()
    image.save(file, kind, **extras)
    file.seek(0)
    return file


# ---- one reader for every room


def test_every_room_sees_the_same(tmp_path):
    """What `colorize` and the page are shown is what training, evaluation, shards and check_data read."""
    for path in odd_photos.write(tmp_path):
        photo, read = read_photo(path), read_image(path)
        seen = turn(np.asarray(photo.opaque().convert("RGB")).transpose(2, 0, 1), photo.orientation).transpose(1, 2, 0)
        np.testing.assert_array_equal(np.asarray(read), seen, err_msg=path.name)
        assert image_size(path) == read.size, path.name
        assert isinstance(examine(path), Picture), path.name
        packed = PackedImage(path.name, path.read_bytes())
        np.testing.assert_array_equal(np.asarray(read_image(packed)), seen, err_msg=path.name)
        assert encoded(path, None)[1] == path.read_bytes()


ILL_ORIENTATIONS = {
    "as BYTE": exif_fields.Field(1, 1, b"\6"),
    "as text": exif_fields.Field(2, 2, b"6\0"),
    "as RATIONAL": exif_fields.Field(5, 1, b"\6\0\0\0\1\0\0\0"),
    "of -1/0": exif_fields.Field(10, 1, b"\xff\xff\xff\xff\0\0\0\0"),
    "of two values": exif_fields.Field(3, 2, b"\6\0\0\0"),
    "0": exif_fields.Field(3, 1, b"\0\0"),
    "9": exif_fields.Field(3, 1, b"\x09\0"),
    "70000": exif_fields.Field(4, 1, b"\x70\x11\x01\0"),
}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("case", ILL_ORIENTATIONS)
def test_an_orientation_that_cannot_be_read_is_upright_in_every_room(tmp_path, kind, case):
    path = tmp_path / f"a.{kind.lower()}"
    fields = exif_fields.Directory("<", {274: ILL_ORIENTATIONS[case]})
    if kind == "TIFF":
        ColoredPhoto(RGB, None, Metadata(fields)).save(path.with_suffix(".tif"))
        path = path.with_suffix(".tif")
    else:
        Image.fromarray(RGB).save(path, kind, exif=exif_fields.packed(fields))
    photo = read_photo(path)
    assert photo.orientation == 1 and photo.size == read_image(path).size == image_size(path) == (W, H)
    assert any("orientation cannot be read; it is taken for upright" in note for note in photo.notes)
    assert photo.metadata.exif.numbers(274) == (1,)  # the result says so, too: no viewer turns it
    assert isinstance(examine(path), Picture)


def test_an_orientation_of_xmp_counts_where_exif_has_none(tmp_path):
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    Image.fromarray(RGB).save(tmp_path / "a.jpg", xmp=xmp)
    assert read_photo(tmp_path / "a.jpg").orientation == 6 and read_image(tmp_path / "a.jpg").size == (H, W)


# ---- 16 bits

DEEP = np.random.default_rng(0).integers(0, 65536, (H, W, 3)).astype(np.uint16)


def png16(channels, color_type, *chunks):
    """A PNG of 16 bits as no library here writes every kind of it."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in channels)
    file = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    file.seek(0, io.SEEK_END)
    header = struct.pack(">IIBBBBB", channels.shape[1], channels.shape[0], 16, color_type, 0, 0, 0)
    for kind, data in ((b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        PngImagePlugin.putchunk(file, kind, data)
    return file.getvalue()


def test_png_of_16_bits_keeps_them_in_every_kind():
    four = np.dstack([DEEP, DEEP[::-1, :, 0]])
    for channels, color_type in ((DEEP[..., 0], 0), (DEEP, 2), (DEEP[..., :2], 4), (four, 6)):
        photo = read_photo(png16(channels, color_type), "a.png")
        assert photo.pixels.dtype == np.uint16 and not photo.notes
        planes = photo.pixels if photo.pixels.ndim == 3 else photo.pixels[..., None]
        kept = planes if photo.alpha is None else np.dstack([planes, photo.alpha])
        np.testing.assert_array_equal(kept.squeeze(), channels)


@pytest.mark.parametrize("color_type", [0, 2])
def test_a_transparent_colour_of_16_bits_becomes_alpha(color_type):
    channels = DEEP if color_type == 2 else DEEP[..., 0]
    key = np.atleast_1d(channels[2, 3])
    photo = read_photo(png16(channels, color_type, (b"tRNS", key.astype(">u2").tobytes())), "a.png")
    assert photo.alpha.dtype == np.uint16 and photo.alpha[2, 3] == 0 and (photo.alpha == 0).sum() == 1


@pytest.mark.parametrize("white", [1023, 4095, 65535])
def test_ppm_of_16_bits_by_its_own_white(white):
    stored = (DEEP.astype(np.uint32) % (white + 1)).astype(np.uint16)
    photo = read_photo(b"P6 7 5 %d\n" % white + stored.astype(">u2").tobytes(), "a.ppm")
    np.testing.assert_allclose(photo.pixels, stored * (65535 / white), atol=0.5)


def test_ppm_of_16_bits_in_digits():
    gray = read_photo(b"P2 7 5 65535\n" + b" ".join(b"%d" % value for value in DEEP[..., 0].flat), "a.pgm")
    np.testing.assert_array_equal(gray.pixels, DEEP[..., 0])
    photo = read_photo(b"P3 7 5 65535\n" + b" ".join(b"%d" % value for value in DEEP.flat), "a.ppm")
    assert photo.notes == ("a.ppm: its 16 bits a channel are read as 8; PPM is not read deeper",)


def test_jpeg_2000_of_16_bits_keeps_them():
    big = np.random.default_rng(0).integers(0, 65536, (40, 50, 3)).astype(np.uint16)
    lossless = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000]
    content = cv2.imencode(".jp2", big[..., ::-1], lossless)[1].tobytes()
    np.testing.assert_array_equal(read_photo(content, "a.jp2").pixels, big)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("profile", [None, "Adobe's"])
def test_16_bits_in_colour_keep_their_luminance_to_the_last_bit(tmp_path, suffix, profile):
    """Of 65536 steps, through the whole of colouring: more levels than 8 bits have, and each the photograph's own."""
    side = 96
    ramp = np.linspace(3000, 62000, side * side).reshape(side, side)
    stored = np.stack([ramp, ramp * 0.9, ramp * 0.8], axis=2).astype(np.uint16)
    data = None if profile is None else profiles.matrix()
    path, out = tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    ColoredPhoto(stored, data).save(path)
    photo = read_photo(path)
    gray = gray_of(photo.pixels)
    ab = np.stack([np.full((16, 16), 12, np.float32), np.full((16, 16), -9, np.float32)])
    rgb = paint(gray, explain(gray, ab), photo.pixels.dtype)
    assert not photo.colored(rgb).save(out)
    after = read_photo(out)
    assert after.pixels.dtype == np.uint16 and after.profile == data
    apart = np.abs(gray_of(after.pixels).astype(int) - gray).max()
    assert apart <= (1 if profile is None else 3)  # the way there and back rounds twice more
    assert len(np.unique(after.pixels[..., 1])) > 5000


# ---- profiles and gamma


def test_a_profile_that_leads_one_way_becomes_srgb_and_it_is_said(tmp_path):
    photo = read_photo(saved(Image.fromarray(RGB), icc_profile=profiles.scanner()), "scan")
    assert photo.notes == ("scan: its profile leads one way, as a scanner's does; the coloured picture is in sRGB",)
    photo.colored(RGB).save(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png").profile == SRGB_BYTES


@pytest.mark.parametrize("data", [profiles.no_primaries(), profiles.matrix()[:150], profiles.icc(b"Lab ", {})])
def test_a_profile_that_does_not_convert_is_left_out_and_it_is_said(tmp_path, data):
    photo = read_photo(saved(Image.fromarray(RGB), icc_profile=data), "odd")
    assert "left out; the picture is taken for sRGB" in photo.notes[0] and photo.profile is None
    np.testing.assert_array_equal(photo.pixels, RGB)
    photo.colored(RGB).save(tmp_path / "a.jpg")


def test_a_gray_profile_on_colours_and_one_of_colours_on_gray():
    gray, rgb = profiles.gray(profiles.gamma(1.8)), profiles.matrix()
    assert "is of GRAY, not of RGB" in read_photo(saved(Image.fromarray(RGB), icc_profile=gray), "a").notes[0]
    assert "is of RGB, not of L" in read_photo(saved(Image.fromarray(GRAY), icc_profile=rgb), "a").notes[0]


@pytest.mark.parametrize("deep", [False, True])
def test_a_gray_profile_is_applied_at_any_depth(deep):
    """A gamma of 1.0: half the number is 0.7354 of sRGB's."""
    value = np.full((H, W), 32768 if deep else 128, np.uint16 if deep else np.uint8)
    photo = read_photo(saved(Image.fromarray(value), icc_profile=profiles.gray(profiles.gamma(1.0))), "a")
    assert photo.pixels.dtype == value.dtype and photo.profile == SRGB_BYTES
    assert abs(photo.pixels[0, 0] / np.iinfo(value.dtype).max - 0.7354) < 0.003


def test_inks_by_their_profile():
    file = saved(Image.fromarray(RGB).convert("CMYK"), "TIFF", icc_profile=profiles.scanner(4))
    photo = read_photo(file, "a")
    assert photo.pixels.shape == (H, W, 3) and np.ptp(photo.pixels.astype(int), axis=2).max() <= 6  # the profile's gray


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_linear_light_of_a_png_is_seen_as_it_is_meant(depth, channels):
    white = 2**depth - 1
    value = np.full((H, W) if channels == 1 else (H, W, 3), round(0.2157 * white), np.uint16)
    gama = (b"gAMA", (100_000).to_bytes(4, "big"))
    content = png16(value, 0 if channels == 1 else 2, gama)
    if depth == 8:
        info = PngImagePlugin.PngInfo()
        info.add(*gama)
        content = saved(Image.fromarray(value.astype(np.uint8)), pnginfo=info).getvalue()
    photo = read_photo(content, "a.png")
    assert abs(photo.pixels.flat[0] / white - 0.5020) < 0.003
    assert "its gamma of 1 is applied" in photo.notes[0]
    assert abs(np.asarray(read_image(PackedImage("a.png", content)))[0, 0, 0] - 128) <= 1


def test_gamma_does_not_count_beside_srgb_or_a_profile():
    for extra in ({"pnginfo": (b"sRGB", b"\0")}, {"icc_profile": SRGB_BYTES}):
        info = PngImagePlugin.PngInfo()
        info.add(b"gAMA", (100_000).to_bytes(4, "big"))
        if "pnginfo" in extra:
            info.add(*extra["pnginfo"])
        photo = read_photo(saved(Image.fromarray(RGB), **(extra | {"pnginfo": info})), "a.png")
        np.testing.assert_array_equal(photo.pixels, RGB)


@pytest.mark.parametrize("data, said", [(b"\x09\x10\0\1", True), (b"\x01\x0d\0\1", False)])
def test_the_colours_of_video_are_said(data, said):
    """PQ of BT.2020, and sRGB."""
    photo = read_photo(png16(DEEP, 2, (b"cICP", data)), "a.png")
    assert any("cICP is not read" in note for note in photo.notes) == said


def test_avif_of_10_bits_is_said():
    content = saved(Image.fromarray(RGB), "AVIF").getvalue()
    assert not read_photo(content, "a.avif").notes
    place = content.index(b"av1C") + 6  # Pillow writes no more than 8: the decoder finds a box that lies
    for flags, bits in ((0x00, 8), (0x40, 10), (0x60, 12)):
        assert avif_bits(content[:place] + bytes([flags]) + content[place + 1 :]) == bits


def test_check_data_goes_on_where_a_file_cannot_be_read(tmp_path, monkeypatch):
    Image.fromarray(RGB).save(tmp_path / "a.png")
    assert examine(tmp_path)[0] == examine(tmp_path / "no.png")[0] == "unreadable_image"
    for error in (PermissionError(13, "denied"), OSError(5, "Input/output error")):

        def raising(*_, error=error):
            raise error

        monkeypatch.setattr(Path, "read_bytes", raising)
        check, detail = examine(tmp_path / "a.png")
        assert check == "unreadable_image" and error.strerror in detail
