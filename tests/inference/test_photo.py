"""Photographs of every odd kind: read, given colours, written, and found as they were."""

import io
import struct

import cv2
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, ImageDraw, PngImagePlugin

from datasets.pictures import exif as exif_fields
from datasets.pictures.decode import to_bytes
from datasets.pictures.metadata import Metadata
from inference.colored_photo import ColoredPhoto
from inference.photo import from_image, read_photo, turn, turn_back
from utils.errors import InputError

W, H = 7, 5
GRAY = np.arange(W * H, dtype=np.uint8).reshape(H, W) * 7
RGB = np.stack([GRAY, GRAY[::-1], GRAY[:, ::-1]], axis=2)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def saved(image, kind="PNG", **extras):
    file = io.BytesIO()
    image.save(file, kind, **extras)
    file.seek(0)
    return file


def wide_gamut():
    """An RGB profile that is not sRGB: its primaries exchanged for the test, red for green."""
    profile = bytearray(SRGB)
    count = struct.unpack(">I", profile[128:132])[0]
    entries = {bytes(profile[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    profile[red + 4 : red + 12], profile[green + 4 : green + 12] = (
        profile[green + 4 : green + 12],
        profile[red + 4 : red + 12],
    )
    text = bytes(profile).replace("sRGB".encode("utf-16-be"), "odd ".encode("utf-16-be"))
    return text.replace(b"sRGB b", b"odd  b")


# ---- reading


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"])
def test_opaque_modes_show_what_they_show(mode):
    image = Image.fromarray(RGB).convert(mode) if mode != "LAB" else lab_image()
    photo = from_image(image)
    shown = RGB if mode == "LAB" else np.asarray(image.convert("RGB"))
    pixels = photo.pixels if photo.pixels.ndim == 3 else np.repeat(photo.pixels[..., None], 3, axis=2)
    assert photo.alpha is None and photo.size == (W, H)
    np.testing.assert_allclose(pixels.astype(int), shown.astype(int), atol=24 if mode == "LAB" else 0)


def lab_image():
    lab = ImageCms.createProfile("LAB")
    return ImageCms.profileToProfile(Image.fromarray(RGB), ImageCms.createProfile("sRGB"), lab, outputMode="LAB")


@pytest.mark.parametrize("mode", ["LA", "La", "PA", "RGBA", "RGBa"])
def test_alpha_is_kept_beside_the_colours(mode):
    alpha = np.full((H, W), 255, np.uint8)
    alpha[1, 2] = 0
    image = Image.fromarray(np.dstack([RGB, alpha])).convert("LA" if mode in ("LA", "La") else "RGBA")
    if mode == "PA":
        image = Image.fromarray(GRAY).convert("P")
        image.putalpha(Image.fromarray(alpha))
        assert image.mode == "PA"
    elif mode.endswith("a"):
        image = image.convert(mode)
    photo = from_image(image)
    np.testing.assert_array_equal(photo.alpha, alpha)


@pytest.mark.parametrize("mode, key", [("L", int(GRAY[2, 3])), ("RGB", tuple(map(int, RGB[2, 3]))), ("P", 3)])
def test_a_transparent_colour_becomes_alpha(mode, key):
    image = Image.fromarray(GRAY, "L") if mode == "L" else Image.fromarray(RGB)
    image = image.quantize(16) if mode == "P" else image
    photo = read_photo(saved(image, transparency=key), "key.png")
    assert 0 < (photo.alpha == 0).sum() < H * W
    if mode != "P":
        assert photo.alpha[2, 3] == 0


@pytest.mark.parametrize("kind", ["I;16", "I;16B", "I", "F"])
def test_deep_gray_keeps_its_16_bits(kind):
    values = np.linspace(0, 65535, W * H).reshape(H, W).round().astype(np.uint16)
    if kind == "I;16B":
        image = Image.frombytes("I;16B", (W, H), values.astype(">u2").tobytes())
    elif kind.startswith("F"):
        image = Image.fromarray((values / 65535).astype(np.float32))
    else:
        image = Image.fromarray(values.astype(np.int32)) if kind == "I" else Image.fromarray(values)
    photo = from_image(image)
    assert photo.pixels.dtype == np.uint16
    np.testing.assert_allclose(photo.pixels.astype(int), values.astype(int), atol=1)


@pytest.mark.parametrize("value", [-1, 70000])
def test_gray_beyond_16_bits_is_refused(value):
    image = Image.fromarray(np.full((H, W), value, np.int32))
    with pytest.raises(InputError, match=rf"odd\.tif: gray from {value}.*scale it"):
        from_image(image, "odd.tif")


@pytest.mark.parametrize("highest", [1.5, 255, float("nan")])
def test_floating_gray_beyond_1_is_refused_and_not_guessed(highest):
    image = Image.fromarray(np.linspace(0, highest, W * H, dtype=np.float32).reshape(H, W))
    with pytest.raises(InputError, match=r"odd\.tif: gray from .*scale it to 0 \.\.\. 1 and"):
        from_image(image, "odd.tif")


def test_of_an_animation_the_first_frame_and_it_is_said():
    frames = [Image.fromarray(np.full((H, W), value, np.uint8)) for value in (10, 200)]
    photo = read_photo(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]), "two.gif")
    assert photo.pixels.max() == 10
    assert photo.notes == ("two.gif: has 2 frames or pages; the first is coloured",)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_network_sees_the_picture_as_the_eye_does(orientation):
    big = Image.new("L", (40, 20))
    ImageDraw.Draw(big).rectangle((0, 0, 9, 9), fill=255)  # the stored picture's upper left
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    photo = read_photo(saved(big, exif=exif))
    assert photo.orientation == orientation and photo.size == (40, 20)
    transposed = np.asarray(Image.open(saved(big, exif=exif)))
    square = photo.square(8)
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
    seen = Image.fromarray(transposed) if method is None else Image.fromarray(transposed).transpose(method)
    np.testing.assert_array_equal(
        square[..., 0] > 127, np.asarray(seen.resize((8, 8), Image.Resampling.BILINEAR)) > 127
    )
    planes = np.arange(2 * 3 * 5).reshape(2, 3, 5)
    np.testing.assert_array_equal(turn_back(turn(planes, orientation), orientation), planes)


def test_transparency_is_white_for_the_network():
    alpha = np.zeros((H, W), np.uint8)
    assert from_image(Image.fromarray(np.dstack([RGB, alpha]))).square(4).min() == 255


# ---- what comes back


def test_an_rgb_profile_goes_in_and_comes_back():
    profile = wide_gamut()
    image = Image.fromarray(np.full((H, W, 3), (200, 60, 30), np.uint8))
    photo = read_photo(saved(image, icc_profile=profile))
    assert photo.back is not None and photo.pixels[0, 0, 1] > photo.pixels[0, 0, 0]  # it calls green red
    back = photo.colored(photo.pixels)
    assert back.image.info["icc_profile"] == profile
    np.testing.assert_allclose(back.pixels[0, 0].astype(int), (200, 60, 30), atol=6)


def test_an_srgb_profile_changes_nothing():
    photo = read_photo(saved(Image.fromarray(RGB), icc_profile=SRGB))
    assert photo.back is None and photo.profile == SRGB
    np.testing.assert_array_equal(photo.colored(RGB).pixels, RGB)


def test_a_broken_profile_is_left_out_and_said():
    photo = read_photo(saved(Image.fromarray(RGB), icc_profile=b"nonsense" * 20), "p.png")
    assert photo.profile is None and "ICC profile is broken" in photo.notes[0]


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_exif_and_profile_are_in_the_file(tmp_path, suffix):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation], exif[ExifTags.Base.Artist] = 6, "A. Photographer"
    path = tmp_path / f"out{suffix}"
    ColoredPhoto(RGB, SRGB, Metadata(exif_fields.read(exif.tobytes()))).save(path)
    with Image.open(path) as image:
        assert image.info["icc_profile"] == SRGB
        assert image.getexif()[ExifTags.Base.Orientation] == 6
        assert image.getexif()[ExifTags.Base.Artist] == "A. Photographer"
        if suffix != ".jpg":
            shown = turn(RGB.transpose(2, 0, 1), 6 if suffix == ".tif" else 1).transpose(1, 2, 0)  # Pillow turns TIFF
            np.testing.assert_array_equal(np.asarray(image.convert("RGB")), shown)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("channels", [3, 4])
def test_16_bits_are_written_with_exif_and_profile(tmp_path, channels):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 8
    pixels = np.random.default_rng(0).integers(0, 65536, (H, W, channels)).astype(np.uint16)
    photo = ColoredPhoto(pixels, SRGB, Metadata(exif_fields.read(exif.tobytes())))
    for suffix in (".png", ".tif"):
        photo.save(tmp_path / f"deep{suffix}")
        with Image.open(tmp_path / f"deep{suffix}") as image:
            assert image.info["icc_profile"] == SRGB and image.getexif()[ExifTags.Base.Orientation] == 8
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "deep.tif"), pixels)
    order = cv2.COLOR_BGR2RGB if channels == 3 else cv2.COLOR_BGRA2RGBA
    read = cv2.cvtColor(cv2.imread(str(tmp_path / "deep.png"), cv2.IMREAD_UNCHANGED), order)
    np.testing.assert_array_equal(read, pixels)
    np.testing.assert_array_equal(np.asarray(photo.image), to_bytes(pixels))


@pytest.mark.parametrize(
    "pixels, name, words",
    [
        (np.zeros((2, 2, 4), np.uint8), "a.jpg", "JPEG has no transparency"),
        (np.zeros((2, 2, 3), np.uint16), "a.webp", "has 8 bits and this photograph 16"),
        (np.zeros((2, 2, 4), np.uint16), "a.jpeg", "JPEG has no transparency"),
        (np.zeros((2, 2, 3), np.uint16), "a.JPG", "has 8 bits and this photograph 16"),
        (np.zeros((2, 2, 3), np.uint8), "a.xyz", "cannot write .xyz"),
        (np.zeros((2, 2, 3), np.uint8), "a.gif", "cannot write .gif"),
        (np.zeros((2, 2, 3), np.uint8), "a", "cannot write no ending"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_and_one_that_fits_is_told(tmp_path, pixels, name, words):
    photo = ColoredPhoto(pixels)
    with pytest.raises(InputError, match=rf"{name}: .*{words}"):
        photo.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    path, why = photo.fitting(tmp_path / name)
    assert path == tmp_path / "a.png" and words in why and why.endswith("written as a.png")
    photo.save(path)
    assert photo.fitting(path) == (path, "")


def test_a_side_that_the_format_does_not_take_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"wide\.webp: WebP has no side beyond 16383 pixels; end the name in \.png"):
        ColoredPhoto(np.zeros((1, 20000, 3), np.uint8)).save(tmp_path / "wide.webp")
    assert not list(tmp_path.iterdir())


def test_a_picture_that_cannot_be_written_leaves_the_former(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_bytes(b"former")

    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(InputError, match="cannot be written"):
        ColoredPhoto(RGB).save(path)
    assert path.read_bytes() == b"former" and len(list(tmp_path.iterdir())) == 1


# ---- bad input


def test_what_is_no_photograph_is_named(tmp_path):
    text, broken, bomb = tmp_path / "a.jpg", tmp_path / "b.jpg", tmp_path / "c.png"
    text.write_text("not a picture")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    broken.write_bytes(saved(Image.fromarray(noise), "JPEG").read()[:900])
    bomb.write_bytes(huge_png(50000, 50000))
    for path, words in ((text, "not a picture"), (broken, "cannot be decoded"), (bomb, "pass a smaller copy")):
        with pytest.raises(InputError, match=f"{path.name}: .*{words}"):
            read_photo(path)
    with pytest.raises(InputError, match="no such file"):
        read_photo(tmp_path / "nothing.jpg")


def huge_png(width, height):
    """A header that claims so many pixels, and none of them."""
    header = PngImagePlugin.o32(width) + PngImagePlugin.o32(height) + b"\x08\x00\x00\x00\x00"
    file = io.BytesIO(b"\x89PNG\r\n\x1a\n")
    file.seek(0, io.SEEK_END)
    PngImagePlugin.putchunk(file, b"IHDR", header)
    PngImagePlugin.putchunk(file, b"IDAT", b"")
    return file.getvalue()


def test_the_limit_is_read_from_the_header():
    with pytest.raises(InputError, match=r"big\.png: 10000x10000 are 100 megapixels, the limit is 89"):
        read_photo(io.BytesIO(huge_png(10000, 10000)), "big.png")
    with pytest.raises(InputError, match=r"are 100 megapixels, the limit is 50"):
        read_photo(io.BytesIO(huge_png(10000, 10000)), "big.png", max_pixels=50_000_000)
