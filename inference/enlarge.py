"""Colours at the network's size -> colours at the photograph's, under the photograph's own luminance.

H, W sides of the photograph; S side of the network's square; h, w of the grid on which ab is explained.
The guided filter (He, Sun and Tang, ECCV 2010) explains ab around every place by the luminance there, ab = A L + B;
A and B are enlarged bilinearly, and the photograph's own L puts the edges back (the fast form: He and Sun, 2015). What
that changes in the network's own pixels is added to B again (back-projection), so nothing it said is smoothed away.

Differs: the paper colours 224x224 only.
"""

import functools

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from utils import color
from utils.devices import side_by_side

GUIDE_SCALE = 2  # longer side of the grid, in sides of the network's square; a smaller photograph's own size
RADIUS = 1  # of the windows, in pixels of the grid
EVENNESS = 1.0  # variance of L, in squared units, below which a window counts as even: its ab are averaged
CORRECTIONS = 2  # rounds of back-projection
_BLACK, _WHITE = 24 / 255, 232 / 255  # of sRGB's gray: L of 8 and 92
_EXTREME = 0.9  # share of such pixels; of 1,500 photographs of COCO, ADE20K and Flickr8k the highest is 0.85
_LOOKED_AT = 1 << 20  # pixels that are enough to find it
_STRIP = 1 << 16  # pixels that are painted at once: what a core's cache holds
_LUMINANCE = color.XYZ_FROM_RGB[1]  # of linear light, Y


def gray_of(pixels: NDArray) -> NDArray:
    """What is painted on: the gray of the photograph's luminance, (H, W).

    pixels: sRGB, uint8 or uint16; gray (H, W) is its own, RGB (H, W, 3) becomes uint16, finer than its own steps.
    """
    if pixels.ndim == 2:
        return pixels
    out = np.empty(pixels.shape[:2], np.uint16)

    def strip(rows: slice) -> None:
        light = _linear_table(_torch(pixels.dtype))[torch.from_numpy(pixels[rows].astype(np.int32))]
        out[rows] = (color.linear_to_srgb(light @ light.new_tensor(_LUMINANCE)) * 65535).round().int().numpy()

    side_by_side(strip, _strips(*out.shape), torch.device("cpu"))
    return out


def hardly_colorable(gray: NDArray, alpha: NDArray | None = None) -> str:
    """Where nearly all that is seen is black or white, as in a line drawing: that hardly any colour can be shown, in
    words for the user; else "".

    gray: (H, W) of `gray_of`; alpha: of the same size and any kind, None where nothing is transparent. On average over
    hues, sRGB has a chroma of about 15 at the bounds and less beyond.
    """
    step = max(1, round((gray.size / _LOOKED_AT) ** 0.5))
    sample = gray[::step, ::step]
    white = np.iinfo(gray.dtype).max
    extreme = (sample <= _BLACK * white) | (sample >= _WHITE * white)
    seen = np.ones(sample.shape) if alpha is None else alpha[::step, ::step].astype(np.float64)
    share = float((extreme * seen).sum() / seen.sum().clip(min=1e-9))
    if share < _EXTREME:
        return ""
    return f"{100 * share:.0f} % of the picture is black or white or nearly so: nearly nothing can take colour"


def explain(gray: NDArray, ab: NDArray) -> Tensor:
    """A and B of ab = A L + B: slopes of a and b per unit of L, then their offsets in CIE units, (4, h, w) float32.

    gray: (H, W) uint8 or uint16 sRGB; ab: (2, S, S) float32 in CIE units, of the whole picture.
    """
    height, width = gray.shape
    side = ab.shape[-1]
    scale = min(1.0, GUIDE_SCALE * side / max(height, width))
    grid = max(1, round(width * scale)), max(1, round(height * scale))
    small = torch.from_numpy(cv2.resize(gray, grid, interpolation=cv2.INTER_AREA).astype(np.int32))
    lightness = _lightness_table(_torch(gray.dtype))[small].numpy()
    wanted = np.stack([cv2.resize(plane, grid, interpolation=cv2.INTER_CUBIC) for plane in ab])
    slope, offset = _guided(lightness, wanted)
    for _ in range(CORRECTIONS):
        for own, found, missing in zip(ab, slope * lightness + offset, offset, strict=True):
            lost = own - cv2.resize(found, (side, side), interpolation=cv2.INTER_AREA)
            missing += cv2.resize(lost, grid, interpolation=cv2.INTER_CUBIC)
    return torch.from_numpy(np.concatenate([slope, offset]))


def _guided(lightness: NDArray, ab: NDArray) -> tuple[NDArray, NDArray]:
    """A and B by least squares in every window, then their means over the windows: (2, h, w) each."""

    def mean(plane: NDArray) -> NDArray:
        return cv2.blur(plane, (2 * RADIUS + 1, 2 * RADIUS + 1), borderType=cv2.BORDER_REFLECT)

    mean_l = mean(lightness)
    variance = mean(lightness * lightness) - mean_l * mean_l
    slopes, offsets = [], []
    for plane in ab:
        mean_plane = mean(plane)
        slope = (mean(lightness * plane) - mean_l * mean_plane) / (variance + EVENNESS)
        slopes.append(mean(slope))
        offsets.append(mean(mean_plane - slope * mean_l))
    return np.stack(slopes), np.stack(offsets)


def paint(gray: NDArray, explained: Tensor, dtype: type[np.unsignedinteger]) -> NDArray:
    """The coloured picture, (H, W, 3) sRGB of `dtype`: np.uint8 or np.uint16.

    gray: (H, W), of `gray_of`; explained: (4, h, w), of `explain`. The luminance Y is the photograph's up to the
    rounding of green: where a colour lies outside sRGB its chroma gives way and not its luminance, and green is rounded
    after red and blue, to what their rounding has left of Y.
    """
    (height, width), (slope_a, slope_b, offset_a, offset_b) = gray.shape, explained
    # ab = A L + B as Lab's own roots of X and Z over white's, f = A' L + B': slope and offset of f_x, then of f_z.
    # Of fewer pixels than the photograph has, so that each of those has less to compute.
    f_x = (1.0 + slope_a * (116.0 / 500.0)) / 116.0, (16.0 + offset_a * (116.0 / 500.0)) / 116.0
    f_z = (1.0 - slope_b * (116.0 / 200.0)) / 116.0, (16.0 - offset_b * (116.0 / 200.0)) / 116.0
    roots = torch.stack([*f_x, *f_z])[None]
    (wide,) = interpolate(roots, size=(explained.shape[1], width), mode="bilinear", align_corners=False)
    out = np.empty((height, width, 3), dtype)

    def strip(rows: slice) -> None:
        for channel, plane in enumerate(_paint(torch.from_numpy(gray[rows].copy()), _rows(wide, rows, height), dtype)):
            out[rows, :, channel] = plane.numpy()

    side_by_side(strip, _strips(height, width), torch.device("cpu"))
    return out


def _paint(gray: Tensor, roots: Tensor, dtype: type[np.unsignedinteger]) -> tuple[Tensor, Tensor, Tensor]:
    """gray: (h, W); roots: (4, h, W) of the same rows. Returns red, green and blue (h, W) of `dtype`."""
    own, light = _linear_table(gray.dtype), _linear_table(_torch(dtype))
    y, lightness = (_look_up(table, gray) for table in (own, _lightness_table(gray.dtype)))
    f_x, f_z = (torch.addcmul(offset, slope, lightness) for slope, offset in roots.view(2, 2, *y.shape))
    t_x, t_z = color.cube(f_x), color.cube(f_z.clamp_(min=0.0))  # as `color.lab_to_rgb` does
    # What each channel has above or below the luminance; for grays t_x = t_z = y and nothing.
    red, green, blue = (y * (my - 1.0) + mx * t_x + mz * t_z for mx, my, mz in color.RGB_FROM_WHITE)

    least = 1e-9  # no division by 0: where there is no chroma, any factor of it will do
    to_white = (1.0 - y) / torch.maximum(torch.maximum(red, green), blue).clamp_(min=least)
    to_black = y / torch.minimum(torch.minimum(red, green), blue).neg_().clamp_(min=least)
    chroma = torch.minimum(to_white, to_black).clamp_(max=1.0)

    red, blue = (_encode(torch.addcmul(y, channel, chroma), dtype) for channel in (red, blue))
    green = (y - _LUMINANCE[0] * _look_up(light, red) - _LUMINANCE[2] * _look_up(light, blue)) / _LUMINANCE[1]
    return red, _encode(green, dtype), blue


def _encode(linear: Tensor, dtype: type[np.unsignedinteger]) -> Tensor:
    """Linear light (h, W), clipped to [0, 1] -> sRGB of `dtype`, rounded."""
    linear = linear.clamp(0.0, 1.0)
    if dtype == np.uint8:  # a table is as good here, and several times as fast
        return _look_up(_byte_table(), linear * (len(_byte_table()) - 1) + 0.5)
    return (color.linear_to_srgb(linear) * np.iinfo(dtype).max).round().to(_torch(dtype))


def _look_up(table: Tensor, place: Tensor) -> Tensor:
    return table.index_select(0, place.flatten().int()).view(place.shape)


@functools.cache
def _byte_table() -> Tensor:
    """The sRGB byte of linear light 0, 1 / 65535, ... 1: steps of a twentieth of a byte where bytes are densest."""
    return (color.linear_to_srgb(torch.arange(65536) / 65535) * 255).round().to(torch.uint8)


@functools.cache
def _linear_table(dtype: torch.dtype) -> Tensor:
    """The linear light of every whole number that a pixel may hold, float32."""
    white = torch.iinfo(dtype).max
    return color.srgb_to_linear(torch.arange(white + 1) / white)


@functools.cache
def _lightness_table(dtype: torch.dtype) -> Tensor:
    """The L of every gray."""
    return color.lightness(_linear_table(dtype))


def _torch(dtype: np.dtype | type) -> torch.dtype:
    return {np.dtype(np.uint8): torch.uint8, np.dtype(np.uint16): torch.uint16}[np.dtype(dtype)]


def _strips(height: int, width: int) -> list[slice]:
    count = max(1, _STRIP // width)
    return [slice(top, min(top + count, height)) for top in range(0, height, count)]


def _rows(wide: Tensor, rows: slice, height: int) -> Tensor:
    """`rows` of (4, h, W) enlarged linearly to (4, height, W)."""
    place = ((torch.arange(rows.start, rows.stop) + 0.5) * (wide.shape[1] / height) - 0.5).clamp(0, wide.shape[1] - 1)
    above = place.long()
    below = (above + 1).clamp(max=wide.shape[1] - 1)
    return torch.lerp(wide[:, above], wide[:, below], (place - above)[:, None])
