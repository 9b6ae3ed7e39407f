"""Colours at the photograph's size."""

import io

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from conftest import SHARED, needs_shared
from PIL import Image, ImageDraw

from inference.enlarge import explain, gray_of, hardly_colorable, paint
from utils import color


def lab(rgb):
    return color.rgb_to_lab(torch.from_numpy(rgb / np.float32(255)).permute(2, 0, 1)[None])[0].numpy()


def luminance(rgb, white=255):
    linear = color.srgb_to_linear(torch.from_numpy(rgb.astype(np.float64) / white))
    return linear @ linear.new_tensor(color.XYZ_FROM_RGB[1])


def painted(pixels, ab):
    gray = gray_of(pixels)
    return paint(gray, explain(gray, ab), pixels.dtype)


def waves(side, strength=40.0):
    rng = np.random.default_rng(0)
    coarse = rng.normal(size=(2, 5, 5)).astype(np.float32) * strength
    return np.stack([cv2.resize(plane, (side, side), interpolation=cv2.INTER_CUBIC) for plane in coarse])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_luminance_stays_to_the_last_bit(dtype, channels):
    """The gray of the result, rounded as the photograph's was, is the photograph's gray."""
    white = np.iinfo(dtype).max
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, white + 1, (61, 83, *channels)).astype(dtype)
    out = painted(pixels, waves(16))
    assert out.shape == (61, 83, 3) and out.dtype == dtype
    before = luminance(pixels if channels else np.repeat(pixels[..., None], 3, axis=2), white)
    gray = [np.rint(color.linear_to_srgb(y).numpy() * white) for y in (before, luminance(out, white))]
    assert np.abs(gray[0] - gray[1]).max() <= (0 if dtype == np.uint8 and not channels else 1)
    assert np.abs(out[..., 0].astype(int) - out[..., 2]).max() > 50  # and it is coloured


def test_no_chroma_gives_the_photograph_back():
    gray = skimage.data.camera()
    out = painted(gray, np.zeros((2, 32, 32), np.float32))
    np.testing.assert_array_equal(out, np.repeat(gray[..., None], 3, axis=2))


def test_one_colour_everywhere_is_that_colour_where_srgb_holds_it():
    gray = np.full((40, 60), 128, np.uint8)
    ab = np.stack([np.full((16, 16), 30, np.float32), np.full((16, 16), -20, np.float32)])
    found = lab(painted(gray, ab))
    np.testing.assert_allclose(found[1], 30, atol=0.6)
    np.testing.assert_allclose(found[2], -20, atol=0.6)


def test_what_srgb_does_not_hold_loses_chroma_and_keeps_hue():
    gray = np.full((8, 8), 200, np.uint8)
    ab = np.stack([np.full((8, 8), -90, np.float32), np.full((8, 8), 60, np.float32)])
    _, a, b = lab(painted(gray, ab))[:, 4, 4]
    assert np.hypot(a, b) < 100 and abs(np.degrees(np.arctan2(b, a)) - np.degrees(np.arctan2(60, -90))) < 12


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket"])
def test_edges_are_the_photograph_s(name):
    """True ab, shrunk to 64 pixels and enlarged: nearer the truth than bicubic, most of all where colours change."""
    photo = getattr(skimage.data, name)()[..., :3]
    height, width = photo.shape[:2]
    truth = lab(photo)
    small = np.stack([cv2.resize(plane, (64, 64), interpolation=cv2.INTER_AREA) for plane in truth[1:]])
    slope_a, slope_b, offset_a, offset_b = (
        cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR)
        for plane in explain(gray_of(photo), small).numpy()
    )
    guided = np.stack([slope_a * truth[0] + offset_a, slope_b * truth[0] + offset_b])
    cubic = np.stack([cv2.resize(plane, (width, height), interpolation=cv2.INTER_CUBIC) for plane in small])
    change = sum(np.hypot(cv2.Sobel(p, cv2.CV_32F, 1, 0), cv2.Sobel(p, cv2.CV_32F, 0, 1)) for p in truth[1:])
    edge = change > np.quantile(change, 0.9)
    errors = [np.hypot(*(ab - truth[1:])) for ab in (guided, cubic)]
    assert errors[0].mean() < errors[1].mean()
    assert errors[0][edge].mean() < 0.95 * errors[1][edge].mean()


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 1), (3, 2000), (5, 7)])
def test_any_shape(size):
    pixels = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)
    out = painted(pixels, waves(16))
    assert out.shape == (*size, 3)


def test_strips_do_not_show(monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 256, (97, 61)).astype(np.uint8)
    for photo in (pixels, np.stack([pixels, pixels[::-1], pixels], axis=2)):
        monkeypatch.setattr("inference.enlarge._STRIP", 1 << 16)
        whole = painted(photo, waves(16))
        monkeypatch.setattr("inference.enlarge._STRIP", 61 * 3)
        np.testing.assert_array_equal(painted(photo, waves(16)), whole)


def drawing(size=(400, 300), paper=255, ink=0, width=3):
    """Lines and a ring."""
    image = Image.new("L", size, paper)
    draw = ImageDraw.Draw(image)
    for k in range(12):
        draw.line((k * 37 % size[0], k * 91 % size[1], k * 211 % size[0], k * 53 % size[1]), fill=ink, width=width)
    draw.ellipse((100, 80, 250, 200), outline=ink, width=4)
    return image


def as_jpeg(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=60)
    return Image.open(file)


def test_a_line_drawing_can_hardly_take_colour():
    photo = skimage.data.camera()
    drawings = {
        "lines": drawing(),
        "white on black": drawing(paper=0, ink=255),
        "smoothed": drawing().resize((200, 150), Image.Resampling.LANCZOS),
        "JPEG": as_jpeg(drawing()),
        "cream paper": drawing(paper=240, ink=20),
        "edges": Image.fromarray(255 - cv2.Canny(photo, 80, 160)),
        "halftone": Image.fromarray(photo).convert("1").convert("L"),
        "large": drawing((4000, 3000), width=20),
    }
    for name, image in drawings.items():
        gray = np.asarray(image)
        assert "nearly nothing can take colour" in hardly_colorable(gray), name
        assert "nearly nothing can take colour" in hardly_colorable(gray.astype(np.uint16) * 257), name
    others = [photo, skimage.data.moon(), gray_of(skimage.data.coffee()), np.asarray(drawing(paper=200, ink=90))]
    assert [hardly_colorable(gray) for gray in others] == [""] * 4


def test_what_is_transparent_is_not_looked_at():
    alpha = np.zeros((300, 400), np.uint8)
    gray = np.full((300, 400), 128, np.uint8)
    alpha[:20] = 255
    gray[:20] = 0
    assert "100 %" in hardly_colorable(gray, alpha) and not hardly_colorable(gray)
    gray[:], gray[:20] = 0, 128
    assert not hardly_colorable(gray, alpha) and hardly_colorable(gray)
    assert not hardly_colorable(gray, np.zeros_like(gray))


@needs_shared("data/photos")
def test_no_photograph_is_taken_for_a_line_drawing():
    paths = sorted((SHARED / "data" / "photos" / "train").rglob("*.jpg"))[:: 8253 // 500]
    assert len(paths) >= 500
    assert not [path.name for path in paths if hardly_colorable(gray_of(np.asarray(Image.open(path).convert("RGB"))))]
