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
from utils.side_by_side import side_by_side

GUIDE_SCALE = 2  # longer side of the grid, in sides of the network's square; a smaller photograph's own size
RADIUS = 1  # of the windows, in pixels of the grid
EVENNESS = 1.0  # variance of L, in squared units, below which a window counts as even: its ab are averaged
CORRECTIONS = 2  # rounds of back-projection
_STRIP = 1 << 16  # pixels that are painted at once: what a core's cache holds
_LUMINANCE = color.XYZ_FROM_RGB[1]  # of linear light, Y


def explain(pixels: NDArray, ab: NDArray) -> Tensor:
    """A and B of ab = A L + B: slopes of a and b per unit of L, then their offsets in CIE units, (4, h, w) float32.

    pixels: (H, W) or (H, W, 3), uint8 or uint16 sRGB; ab: (2, S, S) float32 in CIE units, of the whole picture.
    """
    height, width = pixels.shape[:2]
    side = ab.shape[-1]
    scale = min(1.0, GUIDE_SCALE * side / max(height, width))
    grid = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.resize(pixels, grid, interpolation=cv2.INTER_AREA).reshape(grid[1], grid[0], -1)
    rgb = torch.from_numpy(small / np.float32(np.iinfo(pixels.dtype).max)).permute(2, 0, 1)[None]
    lightness = color.luminance(rgb.expand(-1, 3, -1, -1))[0, 0].numpy()
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


def paint(pixels: NDArray, explained: Tensor) -> NDArray:
    """The coloured picture, (H, W, 3) sRGB of the kind of `pixels`. explained: (4, h, w), of `explain`.

    Its luminance Y is the photograph's up to the rounding of green: where a colour lies outside sRGB its chroma gives
    way and not its luminance, and green is rounded after red and blue, to what their rounding has left of Y.
    """
    height, width = pixels.shape[:2]
    wide = interpolate(explained[None], size=(explained.shape[1], width), mode="bilinear", align_corners=False)[0]
    out = np.empty((height, width, 3), pixels.dtype)

    def strip(rows: slice) -> None:
        out[rows] = _paint(torch.from_numpy(pixels[rows].copy()), _rows(wide, rows, height)).permute(1, 2, 0).numpy()

    count = max(1, _STRIP // width)
    strips = [slice(top, min(top + count, height)) for top in range(0, height, count)]
    side_by_side(strip, strips, torch.device("cpu"))
    return out


def _paint(pixels: Tensor, explained: Tensor) -> Tensor:
    """pixels: (h, W) or (h, W, 3); explained: (4, h, W), of the same rows. Returns (3, h, W)."""
    white = torch.iinfo(pixels.dtype).max
    light = _linear_table(pixels.dtype)
    if pixels.ndim == 2:
        place = pixels.flatten().int()
        y, lightness = (table[place].view(pixels.shape) for table in (light, _lightness_table(pixels.dtype)))
    else:
        y = light[pixels.int()] @ light.new_tensor(_LUMINANCE)
        lightness = color.lightness(y)
    ab = explained[:2] * lightness + explained[2:]
    linear = color.lab_to_linear(torch.cat([lightness[None], ab])[None])[0]  # (3, h, W)

    chroma = linear - y
    chroma = torch.where(chroma == 0, 1e-9, chroma)
    room = torch.maximum((1.0 - y) / chroma, -y / chroma)  # up to white, or down to black
    linear = y + chroma * room.amin(dim=0).clamp(max=1.0)

    red, blue = (color.linear_to_srgb(linear[::2]) * white).round().int().clamp(0, white)
    weight = _LUMINANCE
    green = (y - weight[0] * light[red] - weight[2] * light[blue]) / weight[1]
    green = (color.linear_to_srgb(green) * white).round().int().clamp(0, white)
    return torch.stack([red, green, blue]).to(pixels.dtype)


@functools.cache
def _linear_table(dtype: torch.dtype) -> Tensor:
    """The linear light of every whole number that a pixel may hold, float32."""
    white = torch.iinfo(dtype).max
    return color.srgb_to_linear(torch.arange(white + 1) / white)


@functools.cache
def _lightness_table(dtype: torch.dtype) -> Tensor:
    """The L of every gray."""
    return color.lightness(_linear_table(dtype))


def _rows(wide: Tensor, rows: slice, height: int) -> Tensor:
    """`rows` of (4, h, W) enlarged linearly to (4, height, W)."""
    place = ((torch.arange(rows.start, rows.stop) + 0.5) * (wide.shape[1] / height) - 0.5).clamp(0, wide.shape[1] - 1)
    above = place.long()
    below = (above + 1).clamp(max=wide.shape[1] - 1)
    return torch.lerp(wide[:, above], wide[:, below], (place - above)[:, None])
