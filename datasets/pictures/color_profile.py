"""What stored colours mean, and back: ICC profiles, gamma and primaries of PNG, by LittleCMS at 8 and 16 bits."""

import functools
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import ImageCms

from utils import color

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
SRGB_BYTES = SRGB.tobytes()[:24] + struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + SRGB.tobytes()[36:]
"""Without the time at which it was made: the same photograph makes the same file."""
_PIXEL = {"RGB ": (1, 1, 3), "GRAY": (1, 1), "CMYK": (1, 1, 4)}  # the shape of a picture of one pixel
_GRAYS = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F")
_SAME = 2  # levels of 255 by which a profile may differ from sRGB and still be it
_LIKE_SRGB = 0.05  # share by which gamma may miss 1 / 2.2: libpng's own threshold
_SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # white, red, green, blue: x, y


class Unusable(ValueError):
    """A profile that converts nothing; says why, in words for the user."""


@dataclass(frozen=True)
class Profile:
    """An ICC profile that brings pictures of its space to sRGB."""

    data: bytes
    space: str  # "RGB ", "GRAY" or "CMYK"
    is_srgb: bool = False  # as good as
    returns: bool = False  # it also leads from sRGB back

    def fits(self, mode: str) -> bool:
        """A picture of this mode of Pillow's may have it."""
        if self.space == "RGB ":
            return mode not in ("CMYK", "LAB") and (self.is_srgb or mode not in _GRAYS)
        return mode in _GRAYS if self.space == "GRAY" else mode == "CMYK"

    def to_srgb(self, stored: NDArray) -> NDArray:
        """(H, W), (H, W, 3) or inks (H, W, 4), uint8 or uint16 -> sRGB of the same kind; gray stays (H, W)."""
        rgb = _converted(stored, self.data, SRGB_BYTES, self.space)
        return rgb if stored.ndim == 3 else np.ascontiguousarray(rgb[..., 1])

    def from_srgb(self, rgb: NDArray) -> NDArray:
        """(H, W, 3) of what `to_srgb` made."""
        return _converted(rgb, SRGB_BYTES, self.data, "RGB ")


def _converted(values: NDArray, source: bytes, target: bytes, space: str) -> NDArray:
    """From one profile to another, of RGB. 16 bits unoptimized: LittleCMS would take them through a coarse table."""
    import imagecodecs  # takes a tenth of a second, which pictures in sRGB need not pay for

    flags = imagecodecs.CMS.FLAGS.NOOPTIMIZE if values.dtype == np.uint16 else 0
    spaces = {"colorspace": space.strip().lower(), "outcolorspace": "rgb"}
    return imagecodecs.cms_transform(np.ascontiguousarray(values), source, target, flags=int(flags), **spaces)


def to_bytes(values: NDArray) -> NDArray:
    """uint16 -> uint8, rounded; uint8 as it is."""
    return values if values.dtype == np.uint8 else ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


@functools.lru_cache(64)
def read(data: bytes) -> Profile:
    """Raises Unusable."""
    space = data[16:20].decode("latin-1")
    if data[36:40] != b"acsp":
        raise Unusable("its ICC profile is broken and left out")
    if space not in _PIXEL:
        raise Unusable(f"its ICC profile is of {space.strip()} and left out")
    profile = Profile(data, space)
    try:
        profile.to_srgb(np.zeros(_PIXEL[space], np.uint8))
    except Exception as error:
        raise Unusable("its ICC profile does not convert and is left out") from error
    if space != "RGB ":
        return profile
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(9, 81, 3)
    try:
        profile.from_srgb(cube)
    except Exception:  # a scanner's profile leads one way
        return profile
    apart = np.abs(profile.to_srgb(cube).astype(int) - cube).max()
    return Profile(data, space, bool(apart <= _SAME), True)


def of_png(gamma: float | None, chromaticity: Sequence[float] | None, gray: bool) -> Profile | None:
    """gamma: gAMA, the exponent of the file's curve; chromaticity: cHRM, of white, red, green and blue. None where they
    mean sRGB, or nothing. Raises Unusable."""
    plain = gamma is None or abs(gamma * 2.2 - 1) <= _LIKE_SRGB
    same = gray or chromaticity is None or np.allclose(chromaticity, _SRGB_PRIMARIES, atol=0.005)
    if plain and same:
        return None
    if not plain and not 0 < gamma < 100:
        raise Unusable(f"its gamma of {gamma:g} has no meaning and is left out")
    import imagecodecs

    white, primaries = np.split(np.array(_SRGB_PRIMARIES if same else chromaticity, float), [2])
    curve = color.srgb_to_linear(torch.linspace(0, 1, 4096)).numpy() if plain else None
    how = {"gamma": None if plain else 1 / gamma, "transferfunction": curve}
    if gray:
        return Profile(imagecodecs.cms_profile("gray", **how), "GRAY")
    try:
        if min(white[1], *primaries[1::2]) <= 0:
            raise ValueError("no light")
        return Profile(imagecodecs.cms_profile("rgb", whitepoint=white, primaries=primaries, **how), "RGB ")
    except (ValueError, RuntimeError) as error:
        raise Unusable("its primaries have no meaning and are left out") from error
