"""The colours of the scenes, and their bytes.  C colours; P points of a cloud; T = 256 luminance levels.

Every instance takes one point of its colour's cloud and shows it at many luminances. Where sRGB has no such colour at a
luminance, chroma is reduced until it does, hue and L kept: clipping RGB would turn the hue.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.words.color_words import CHROMATIC
from utils.color import L_MAX, lab_to_rgb, rgb_to_lab, to_uint8

# Name -> (a, b), CIE units: the centres of the clouds. Two are at least 23.0 apart, 4.6 times CLOUD_RADIUS; the nearest
# to gray is 22.2 from it. The order is a curriculum's: the first ones are the easiest to tell apart.
PALETTE = {
    "red": (46.0, 29.0),
    "green": (-37.0, 28.0),
    "blue": (8.0, -44.0),
    "yellow": (-10.0, 47.0),
    "purple": (37.0, -37.0),
    "orange": (23.0, 48.0),
    "turquoise": (-28.0, -10.0),
    "pink": (46.0, -6.0),
    "brown": (20.0, 18.0),
    "tan": (-3.0, 22.0),
}
assert set(PALETTE) == set(CHROMATIC)
CLOUD_RADIUS = 5.0
CLOUD = np.array([(a, b) for a in range(-5, 6) for b in range(-5, 6) if a * a + b * b <= CLOUD_RADIUS**2])  # (P, 2)

# Mean L of an instance before shading. Each colour's own is where photographs have it: yellow bright, blue dark.
DARKEST, LIGHTEST = 38.0, 70.0
_NATURAL = {"yellow": 66, "tan": 62, "orange": 60, "turquoise": 58, "pink": 58}
_NATURAL |= {"green": 50, "red": 46, "purple": 43, "brown": 42, "blue": 42}
NATURAL = np.array([float(_NATURAL[name]) for name in PALETTE])  # (C,)

LEVELS = 256
LEVEL_STEP = L_MAX / (LEVELS - 1)  # L of one level: level 0 is black, level 255 white
_HALVINGS = 8  # the share of chroma that is kept is known to 1/256
_IN_GAMUT = 0.05  # CIE units that a colour may move when it is turned to RGB and back


def row(color: NDArray, cloud: NDArray) -> NDArray:
    """The row of `lookup` for a colour and a point of its cloud, both indices of one shape."""
    return color * len(CLOUD) + cloud


@lru_cache(maxsize=1)
def lookup() -> NDArray:
    """sRGB of every colour, cloud point and level: (3, C * P * T) uint8, entry `row * T + level`.

    A table and not arithmetic on pixels: float64 rounds to the same bytes on every machine, and one table serves all
    pictures.
    """
    return to_uint8(srgb(), rounded=True)[0, :, :, 0].contiguous().numpy()


def srgb() -> Tensor:
    """The table before it is rounded: (1, 3, C * P * T, 1) float64 in [0, 1]."""
    centers = np.array(list(PALETTE.values()))
    ab = torch.from_numpy((centers[:, None] + CLOUD).reshape(-1, 2).T.copy())  # (2, C * P)
    ab = ab[:, :, None].expand(-1, -1, LEVELS).reshape(1, 2, -1, 1)  # (1, 2, C * P * T, 1)
    lightness = (torch.arange(LEVELS, dtype=torch.float64) * LEVEL_STEP).repeat(ab.shape[2] // LEVELS)
    lab = torch.cat([lightness.view(1, 1, -1, 1), ab], dim=1)
    outside = (~_in_gamut(lab)).flatten()
    reduced = lab[:, :, outside]
    low, high = torch.zeros_like(reduced[:, :1]), torch.ones_like(reduced[:, :1])
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        fits = _in_gamut(_with_chroma(reduced, middle))[:, None]
        low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
    lab[:, :, outside] = _with_chroma(reduced, low)
    return lab_to_rgb(lab)


def _with_chroma(lab: Tensor, share: Tensor) -> Tensor:
    return torch.cat([lab[:, :1], lab[:, 1:] * share], dim=1)


def _in_gamut(lab: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, H, W) bool: sRGB has the colour."""
    return (rgb_to_lab(lab_to_rgb(lab)) - lab).abs().amax(dim=1) < _IN_GAMUT
