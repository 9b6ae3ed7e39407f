"""What stored colours mean, and back: ICC profiles, and the gamma and primaries of PNG.  To sRGB and from it.

8 bits are converted by LittleCMS. It has no 16 bits here, so a profile of curves and a matrix is computed by itself:

    light = curve(stored),  XYZ = matrix light,  sRGB = encode(matrix_sRGB^-1 XYZ)      ICC.1, annex F.3
"""

import contextlib
import functools
import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms

from utils import color

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
SRGB_BYTES = SRGB.tobytes()[:24] + struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + SRGB.tobytes()[36:]
"""Without the time at which it was made: the same photograph makes the same file."""
_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_GRAYS = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F")
_SAME = 2  # levels of 255 by which a profile may differ from sRGB and still be it
_LIKE_SRGB = 0.05  # share by which gamma may miss 1 / 2.2: libpng's own threshold
_SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)  # white, red, green, blue: x, y
_STRIP = 1 << 18  # pixels that are converted at once
_FINE = 1 << 18  # steps of light's square root: four to a step of 16 bits


class Unusable(ValueError):
    """A profile that converts nothing; says why, in words for the user."""


@dataclass(frozen=True)
class Curves:
    """Colours as curves of light and a matrix. Channels c; one of gray, three of RGB."""

    light: NDArray  # (c, 65536) float64: linear light of each stored value of 16 bits
    matrix: NDArray | None  # (3, 3): light -> linear sRGB; None of gray

    def to_srgb(self, stored: NDArray) -> NDArray:
        """(H, W) or (H, W, 3), uint8 or uint16 -> the same kind, sRGB."""
        white = np.iinfo(stored.dtype).max
        tables = self.light[:, :: 65535 // white]
        if self.matrix is None:
            return np.rint(_encoded(tables[0]) * white).astype(stored.dtype)[stored]
        return _mixed(stored, tables, self.matrix, [_steps(_encoded, stored.dtype)] * 3)

    def from_srgb(self, rgb: NDArray) -> NDArray:
        """(H, W, 3) sRGB -> what is stored."""
        linear = _decoded(np.linspace(0, 1, np.iinfo(rgb.dtype).max + 1))
        places = np.linspace(0, 1, self.light.shape[1])
        back = [_steps(functools.partial(np.interp, xp=light, fp=places), rgb.dtype) for light in self.light]
        return _mixed(rgb, np.stack([linear] * 3), np.linalg.inv(self.matrix), back)


def _steps(function: Callable[[NDArray], NDArray], dtype: np.dtype) -> NDArray:
    """What is stored for the light of (n / _FINE)^2: as evenly spaced as what is stored."""
    light = np.linspace(0, 1, _FINE + 1) ** 2
    return np.rint(function(light) * np.iinfo(dtype).max).astype(dtype)


def _mixed(values: NDArray, light: NDArray, matrix: NDArray, stored: Sequence[NDArray]) -> NDArray:
    """(H, W, 3) by the light of every value (3, n), the matrix, and what is stored for light, of `_steps`."""
    flat, out = values.reshape(-1, 3), np.empty((values.size // 3, 3), values.dtype)
    light, matrix = light.astype(np.float32), matrix.astype(np.float32)
    for start in range(0, len(flat), _STRIP):
        strip = flat[start : start + _STRIP]
        linear = matrix @ np.stack([light[channel][strip[:, channel]] for channel in range(3)])
        places = np.rint(np.sqrt(linear.clip(0, 1)) * _FINE).astype(np.int32)
        for channel in range(3):
            out[start : start + _STRIP, channel] = stored[channel][places[channel]]
    return out.reshape(values.shape)


@dataclass(frozen=True)
class Profile:
    """An ICC profile that brings pictures of its space to sRGB."""

    data: bytes
    space: str  # "RGB ", "GRAY" or "CMYK"
    is_srgb: bool  # as good as
    returns: bool  # it also leads from sRGB back
    curves: Curves | None  # for 16 bits; None where it is a lookup table

    def fits(self, mode: str) -> bool:
        """A picture of this mode of Pillow's may have it."""
        if self.space == "RGB ":
            return mode not in ("CMYK", "LAB") and (self.is_srgb or mode not in _GRAYS)
        return mode in _GRAYS if self.space == "GRAY" else mode == "CMYK"

    def to_srgb(self, pixels: NDArray | Image.Image) -> NDArray:
        """(H, W), (H, W, 3) or a picture of inks -> sRGB, gray stays (H, W): 16 bits where it has curves, or else 8."""
        if isinstance(pixels, Image.Image):
            return np.asarray(ImageCms.applyTransform(pixels, _transform(self.data, None, _MODES[self.space])))
        if pixels.dtype == np.uint16 and self.curves is not None:
            return self.curves.to_srgb(pixels)
        rgb = self.to_srgb(Image.fromarray(to_bytes(pixels)))
        return rgb if pixels.ndim == 3 else np.ascontiguousarray(rgb[..., 1])

    def from_srgb(self, rgb: NDArray) -> NDArray:
        """(H, W, 3) of what `to_srgb` made."""
        if rgb.dtype == np.uint16:
            return self.curves.from_srgb(rgb)
        return np.asarray(ImageCms.applyTransform(Image.fromarray(rgb), _transform(None, self.data, "RGB")))


def to_bytes(values: NDArray) -> NDArray:
    """uint16 -> uint8, rounded; uint8 as it is."""
    return values if values.dtype == np.uint8 else ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


@functools.lru_cache(64)
def read(data: bytes) -> Profile:
    """Raises Unusable."""
    try:
        core = ImageCms.ImageCmsProfile(io.BytesIO(data)).profile
        space = core.xcolor_space
    except Exception as error:
        raise Unusable("its ICC profile is broken and left out") from error
    if space not in _MODES:
        raise Unusable(f"its ICC profile is of {space.strip()} and left out")
    try:
        _transform(data, None, _MODES[space])
    except Exception as error:
        raise Unusable("its ICC profile does not convert and is left out") from error
    try:
        curves = _curves(data, core)
    except (struct.error, ValueError, KeyError, IndexError, TypeError, np.linalg.LinAlgError):
        curves = None
    profile = Profile(data, space, False, False, curves)
    if space != "RGB ":
        return profile
    try:
        _transform(None, data, "RGB")
    except Exception:  # a scanner's profile leads one way
        return profile
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(9, 81, 3)
    apart = np.abs(profile.to_srgb(cube).astype(int) - cube).max()
    return Profile(data, space, bool(apart <= _SAME), True, curves)


@functools.lru_cache(64)
def _transform(source: bytes | None, target: bytes | None, mode: str) -> ImageCms.ImageCmsTransform:
    """From pictures of a mode to RGB; None: sRGB. Threads may share one."""
    profiles = (SRGB if data is None else ImageCms.ImageCmsProfile(io.BytesIO(data)) for data in (source, target))
    return ImageCms.buildTransform(*profiles, mode, "RGB")


def lab_to_srgb(image: Image.Image) -> Image.Image:
    return ImageCms.profileToProfile(image, ImageCms.createProfile("LAB"), SRGB, outputMode="RGB")


def of_png(gamma: float | None, chromaticity: Sequence[float] | None, gray: bool) -> Curves | None:
    """gamma: gAMA, the exponent of the file's curve; chromaticity: cHRM, of white, red, green and blue. None where they
    mean sRGB, or nothing. Raises Unusable."""
    plain = gamma is None or abs(gamma * 2.2 - 1) <= _LIKE_SRGB
    same = gray or chromaticity is None or np.allclose(chromaticity, _SRGB_PRIMARIES, atol=0.005)
    if plain and same:
        return None
    if not plain and not 0 < gamma < 100:
        raise Unusable(f"its gamma of {gamma:g} has no meaning and is left out")
    stored = np.linspace(0, 1, 65536)
    light = _decoded(stored) if plain else stored ** (1 / gamma)
    if gray:
        return Curves(light[None], None)
    matrix = np.eye(3) if same else np.zeros((3, 3))
    if not same and min(chromaticity[1::2]) > 0:
        with contextlib.suppress(np.linalg.LinAlgError):
            matrix = np.linalg.inv(_from_primaries(_SRGB_PRIMARIES)) @ _from_primaries(chromaticity)
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-6:
        raise Unusable("its primaries have no meaning and are left out")
    return Curves(np.repeat(light[None], 3, axis=0), matrix)


def _from_primaries(xy: Sequence[float]) -> NDArray:
    """Light of the primaries -> XYZ relative to white, by von Kries in Bradford's cones."""
    (white, *primaries) = np.array(xy, float).reshape(4, 2)

    def xyz(point: NDArray) -> NDArray:
        return np.array([point[0] / point[1], 1.0, (1 - point.sum()) / point[1]])

    columns = np.stack([xyz(primary) for primary in primaries], axis=1)
    columns = columns * np.linalg.solve(columns, xyz(white))
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    return np.diag(1 / (bradford @ xyz(white))) @ bradford @ columns


def _curves(data: bytes, profile: ImageCms.core.CmsProfile) -> Curves:
    """Raises struct.error, ValueError, KeyError or TypeError where the profile has none."""
    (count,) = struct.unpack_from(">I", data, 128)
    tags = {}
    for tag, offset, size in struct.iter_unpack(">4sII", data[132 : 132 + 12 * min(count, 100)]):
        tags[tag] = data[offset : offset + size]
    if data[20:24] != b"XYZ ":
        raise ValueError("its curves do not lead to light")
    if profile.xcolor_space == "GRAY":
        return Curves(_curve(tags[b"kTRC"])[None], None)
    light = np.stack([_curve(tags[tag]) for tag in (b"rTRC", b"gTRC", b"bTRC")])
    return Curves(light, np.linalg.inv(_colorants(SRGB.profile)) @ _colorants(profile))


def _colorants(profile: ImageCms.core.CmsProfile) -> NDArray:
    """Light of the primaries -> XYZ of white D50."""
    return np.array([profile.red_colorant[0], profile.green_colorant[0], profile.blue_colorant[0]]).T


def _curve(tag: bytes) -> NDArray:
    """'curv' or 'para' -> (65536,) linear light in [0, 1]."""
    x = np.linspace(0, 1, 65536)
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return x
        values = np.array(struct.unpack_from(f">{count}H", tag, 12), float)
        return x ** (values[0] / 256) if count == 1 else np.interp(x, np.linspace(0, 1, count), values / 65535)
    if tag[:4] != b"para":
        raise ValueError("no curve")
    (kind,) = struct.unpack_from(">H", tag, 8)
    given = np.array(struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12)) / 65536
    g, a, b, c, d, e, f = (*given, *(1, 1, 0, 0, 0, 0, 0)[len(given) :])
    if kind in (1, 2):
        bent = np.where(x >= -b / a, np.maximum(a * x + b, 0) ** g + c, c)
    else:
        bent = np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f)
    return bent.clip(0, 1)


def _encoded(light: NDArray) -> NDArray:
    """Linear light -> sRGB in [0, 1]."""
    return color.linear_to_srgb(torch.from_numpy(light.clip(0, 1))).numpy()


def _decoded(srgb: NDArray) -> NDArray:
    return color.srgb_to_linear(torch.from_numpy(srgb)).numpy()
