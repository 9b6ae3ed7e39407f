"""TIFF files of every depth, layout and meaning, written by tifffile and OpenCV, read by their own tags."""

import io

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from inference.photo import read_photo
from utils.errors import InputError

H, W = 37, 51  # no multiple of a tile's side
RGB = np.random.default_rng(0).integers(0, 65536, (H, W, 3)).astype(np.uint16)
GRAY, ALPHA = RGB[..., 0], RGB[..., 1]
RAMP = np.linspace(0, 1, H * W).reshape(H, W)


def written(values, **how):
    file = io.BytesIO()
    tifffile.imwrite(file, values, **({"photometric": "rgb" if values.ndim == 3 else "minisblack"} | how))
    return file.getvalue()


def by_opencv(values, compression, *more):
    order = {2: None, 3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}[values.shape[2] if values.ndim == 3 else 2]
    values = values if order is None else cv2.cvtColor(values, order)
    return cv2.imencode(".tiff", values, [cv2.IMWRITE_TIFF_COMPRESSION, compression, *more])[1].tobytes()


def read(content):
    return read_photo(content, "odd.tif")


LAYOUTS = {
    "plain": {},
    "deflated, differences": {"compression": "zlib", "predictor": True},
    "strips": {"rowsperstrip": 7, "compression": "zlib"},
    "tiles": {"tile": (16, 16)},
    "tiles, deflated, differences": {"tile": (32, 16), "compression": "zlib", "predictor": True},
    "big-endian": {"byteorder": ">"},
    "big-endian, differences": {"byteorder": ">", "compression": "zlib", "predictor": True},
    "BigTIFF": {"bigtiff": True},
    "planes": {"planarconfig": "separate"},
    "planes, tiles": {"planarconfig": "separate", "tile": (16, 16), "compression": "zlib", "predictor": True},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bits_in_colour_are_kept_in_every_layout(layout, channels):
    values = RGB if channels == 3 else np.dstack([RGB, ALPHA])
    more = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    planes = values.transpose(2, 0, 1) if "planes" in layout else values
    photo = read(written(planes, **LAYOUTS[layout], photometric="rgb", **more))
    np.testing.assert_array_equal(photo.pixels, RGB)
    assert photo.pixels.dtype == np.uint16 and not photo.notes
    assert photo.alpha is None if channels == 3 else np.array_equal(photo.alpha, ALPHA)


@pytest.mark.parametrize("compression", [1, 5, 8, 32773])  # none, LZW, deflate, PackBits
@pytest.mark.parametrize("values", [GRAY, RGB, np.dstack([RGB, ALPHA])], ids=["gray", "RGB", "RGBA"])
def test_16_bits_are_kept_by_every_compression(compression, values):
    photo = read(by_opencv(values, compression))
    np.testing.assert_array_equal(photo.pixels, values[..., :3] if values.ndim == 3 else values)


def test_gray_with_transparency_of_16_bits():
    values = np.dstack([GRAY, ALPHA])
    photo = read(written(values, photometric="minisblack", extrasamples=["unassalpha"], planarconfig="contig"))
    np.testing.assert_array_equal(photo.pixels, GRAY)
    np.testing.assert_array_equal(photo.alpha, ALPHA)


def test_colours_multiplied_by_alpha_are_divided():
    half = np.full((H, W), 32768, np.uint16)
    photo = read(written(np.dstack([RGB // 2, half]), extrasamples=["assocalpha"]))
    assert np.abs(photo.pixels.astype(int) - RGB).max() <= 2 and (photo.alpha == 32768).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
def test_white_as_zero_is_no_negative_at_any_depth(dtype):
    """Brighter is brighter: what the file stores as the largest number is black."""
    most = np.iinfo(dtype).max
    stored = np.rint((1 - RAMP) * most).astype(np.float64).clip(0, most).astype(dtype)
    photo = read(written(stored, photometric="miniswhite"))
    white = 255 if photo.pixels.dtype == np.uint8 else 65535
    assert np.abs(photo.pixels / white - RAMP).max() <= 1 / white
    negative = read(written(stored))  # the same numbers, black as zero
    assert np.abs(negative.pixels / white - (1 - RAMP)).max() <= 1 / white


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_white_is_what_the_tags_say(photometric):
    stored = np.rint(RAMP * 4095).astype(np.uint16)
    meant = RAMP if photometric == "minisblack" else 1 - RAMP
    for tags in ([(281, "H", 1, 4095, True)], [(340, "H", 1, 0, True), (341, "H", 1, 4095, True)]):
        photo = read(written(stored, extratags=tags, photometric=photometric))
        assert np.abs(photo.pixels / 65535 - meant).max() <= 1 / 4095
        assert not photo.notes


def test_a_largest_value_that_is_no_depth_is_a_statistic():
    """By the standard MaxSampleValue says nothing of the look; most programs write what they found."""
    stored = np.rint(RAMP * 50_000).astype(np.uint16)
    np.testing.assert_array_equal(read(written(stored, extratags=[(281, "H", 1, 50_000, True)])).pixels, stored)


def test_dark_16_bits_are_taken_as_they_are_and_it_is_said():
    stored = np.rint(RAMP * 4095).astype(np.uint16)
    photo = read(written(stored))
    np.testing.assert_array_equal(photo.pixels, stored)
    assert "brightest value is 4095 of 65535" in photo.notes[0]


def test_signed_numbers_need_their_bounds():
    stored = np.rint(RAMP * 32767).astype(np.int16)
    with pytest.raises(InputError, match=r"odd\.tif: 16 bits, signed numbers, from 0 to 32767: nothing says"):
        read(written(stored))
    photo = read(written(stored, extratags=[(340, "h", 1, 0, True), (341, "h", 1, 32767, True)]))
    assert np.abs(photo.pixels / 65535 - RAMP).max() <= 1 / 32767
    with pytest.raises(InputError, match="8 bits, signed"):
        read(written((stored >> 8).astype(np.int8)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 3])
def test_floating_numbers_go_from_0_to_1(dtype, channels):
    values = RAMP.astype(dtype) if channels == 1 else np.stack([RAMP] * 3, axis=2).astype(dtype)
    photo = read(written(values))
    assert photo.pixels.dtype == np.uint16
    assert np.abs(photo.pixels.reshape(H, W, -1)[..., 0] / 65535 - RAMP).max() <= (
        1e-3 if dtype == np.float16 else 1e-5
    )


@pytest.mark.parametrize("scale", [1.5, 255.0, -1.0, np.nan])
def test_floating_numbers_beyond_are_refused_and_not_guessed(scale):
    with pytest.raises(InputError, match=r"odd\.tif: 32 bits, floating numbers.*scale it"):
        read(written((RAMP * scale).astype(np.float32)))


def test_floating_numbers_with_bounds_are_taken():
    photo = read(
        written((RAMP * 255).astype(np.float32), extratags=[(340, "f", 1, 0.0, True), (341, "f", 1, 255.0, True)])
    )
    assert np.abs(photo.pixels / 65535 - RAMP).max() <= 1e-4


def test_floating_numbers_by_their_own_predictor():
    photo = read(by_opencv(np.stack([RAMP.astype(np.float32)] * 3, axis=2), 8))
    assert np.abs(photo.pixels[..., 0] / 65535 - RAMP).max() <= 1e-5


def test_32_bits_reach_white_or_are_refused():
    photo = read(written(np.rint(RAMP * (2**32 - 1)).astype(np.uint32)))
    assert np.abs(photo.pixels / 65535 - RAMP).max() <= 1 / 65535
    with pytest.raises(InputError, match="32 bits, whole numbers, from 0 to 65535: nothing says what is white"):
        read(written(np.rint(RAMP * 65535).astype(np.uint32)))


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_packed_bits(bits):
    """Three values of 12 bits and the like, row by row, as no library here writes them."""
    values = np.rint(np.linspace(0, 1, H * 16).reshape(H, 16) * (2**bits - 1)).astype(np.int64)
    rows = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    packed = np.packbits(rows.reshape(H, -1).astype(np.uint8), axis=1)
    content = bytearray(written(packed))
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as file:
        for code, value in ((256, 16), (258, bits)):
            tag = file.pages[0].tags[code]
            content[tag.valueoffset : tag.valueoffset + 2] = value.to_bytes(2, "little")
    photo = read(bytes(content))
    assert np.abs(photo.pixels - values * (65535 / (2**bits - 1))).max() <= 0.5


def test_inks_of_16_bits_become_8_and_it_is_said():
    photo = read(written(np.dstack([RGB, ALPHA]), photometric="separated"))
    assert photo.pixels.dtype == np.uint8 and photo.pixels.shape == (H, W, 3)
    assert photo.notes == ("odd.tif: its 16 bits a channel are read as 8; TIFF is not read deeper",)


def test_of_several_pages_the_first():
    photo = read(written(np.stack([GRAY, GRAY // 2, GRAY]), photometric="minisblack"))
    np.testing.assert_array_equal(photo.pixels, GRAY)
    assert photo.notes == ("odd.tif: has 3 frames or pages; the first is coloured",)


@pytest.mark.parametrize(
    "content, words",
    [
        (written(RGB)[:-9], "is truncated"),
        (written(RGB, compression="zlib")[:-9], "is truncated"),
        (written(RGB.astype(np.complex64)[..., 0]), "sample format 6, cannot be read"),
        (written(np.dstack([RGB] * 5), photometric="minisblack", planarconfig="contig"), "15 samples a pixel"),
        (b"II*\0" + b"\xff" * 50, "is 0x0 pixels"),
        (b"MM\0*\0\0\0\x08\0\0", "is 0x0 pixels"),
    ],
)
def test_what_cannot_be_read_is_named(content, words):
    with pytest.raises(InputError, match=rf"odd\.tif: .*{words}"):
        read(content)


def test_broken_compression_is_named():
    content = bytearray(written(RGB, compression="zlib"))
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as file:
        start = file.pages[0].dataoffsets[0]
    content[start : start + 40] = b"\xff" * 40
    with pytest.raises(InputError, match=r"odd\.tif: cannot be decompressed \(.*eflate"):
        read(bytes(content))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "group4", "jpeg"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_8_bits_are_read_as_stored_with_their_orientation(compression, orientation):
    mode = {"group4": "1", "jpeg": "YCbCr"}.get(compression, "RGB")
    image = Image.fromarray((RGB >> 8).astype(np.uint8)).convert(mode)
    exif, file = Image.Exif(), io.BytesIO()
    exif[274] = orientation
    image.save(file, "TIFF", compression=compression, exif=exif)
    photo = read(file.getvalue())
    assert photo.size == (W, H) and photo.orientation == orientation and photo.pixels.dtype == np.uint8
    if mode == "RGB":
        np.testing.assert_array_equal(photo.pixels, np.asarray(image))
