"""What the scenes are drawn with: outlines, textures, patterns of the background.  M instances; p patch side.

u (to the right) and v (down) are an instance's own coordinates, its radius being 1. Everything here is exactly rounded
arithmetic (+ - * /, square root, floor, comparisons) and constants of few digits, so that every
machine draws the same picture; no sine, no power, and no two operations fused into one.

A shape is a function (u, v) -> (depth, relief): depth is about the distance to the outline, positive inside; relief, in
about [-1, 1], is how much lighter or darker than its mean the shape is there. No shape goes beyond [-1, 1] in u or v.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RIM = 0.08  # width of the dark line along the outline, in radii
RIM_DARKER, RELIEF_STEP, TEXTURE_STEP = 12.0, 8.0, 6.0  # L


def _light(u: NDArray, v: NDArray) -> NDArray:
    """A flat thing under a lamp at the top left."""
    return u * -0.35 + v * -0.45


def _length(u: NDArray, v: NDArray) -> NDArray:
    return np.sqrt(u * u + v * v)


def _ball(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    shine_u, shine_v = u + 0.35, v + 0.4
    return 1.0 - _length(u, v), 0.9 - 1.1 * (shine_u * shine_u + shine_v * shine_v)


def _box(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    """A packet: a lid, and a ribbon over it."""
    lid = v < -0.35
    depth = np.minimum(np.where(lid, 0.9, 0.78) - np.abs(u), 0.8 - np.abs(v))
    return depth, np.where(lid, 0.55, -0.25) + np.where(np.abs(u) < 0.14, 0.6, 0.0)


_RAYS = ((0.0, -1.0), (0.951057, -0.309017), (0.587785, 0.809017), (-0.587785, 0.809017), (-0.951057, -0.309017))


def _star(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    """Inside all, or all but one, of the five half-planes whose borders are the lines of the pentagram; blunt tips."""
    depth = np.sort(np.stack([0.36 - (u * x + v * y) for x, y in _RAYS]), axis=0)[1]
    return np.minimum(depth, 1.0 - _length(u, v)), _light(u, v) + 0.8 * np.minimum(depth * 3.0, 1.0) - 0.3


def _ring(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    radius = _length(u, v)
    across = (radius - 0.74) * 4.0
    return np.minimum(1.0 - radius, radius - 0.48), 0.6 - across * across + _light(u, v)


def _cone(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    side = np.minimum((v + 1.0) * 0.36 - np.abs(u) * 0.94, 0.75 - v)
    foot = 0.22 * (1.0 - _length(u / 0.66, (v - 0.73) / 0.22))
    return np.maximum(side, foot), 0.1 - u * 1.6


_HEART = 0.8  # half the diagonal of the tilted square that carries the two half-discs


def _heart(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    aside, down = np.abs(u), v - 0.08
    square = (_HEART - aside - np.abs(down)) * 0.707107
    lobe = _HEART * 0.707107 - _length(aside - _HEART / 2, down + _HEART / 2)
    return np.maximum(square, lobe), 1.2 * _light(u, v) + 0.1


def _cross(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    across, along = np.abs(u), np.abs(v)
    return np.maximum(np.minimum(0.32 - across, 0.95 - along), np.minimum(0.95 - across, 0.32 - along)), _light(u, v)


def _cup(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    across = u + 0.2
    body = np.minimum(0.66 - 0.14 * (v + 0.6) - np.abs(across), np.minimum(v + 0.6, 0.85 - v))
    mouth = 0.2 * (1.0 - _length(across / 0.66, (v + 0.6) / 0.2))
    handle = _length((u - 0.42) / 0.52, v / 0.46)
    depth = np.maximum(np.maximum(body, mouth), 0.5 * np.minimum(1.0 - handle, handle - 0.55))
    return depth, np.where(mouth > 0.03, -0.9, 0.2 - 1.1 * across)


def _moon(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    right = u - 0.17
    return np.minimum(0.97 - _length(right, v), _length(right - 0.45, v + 0.15) - 0.76), 0.2 + _light(u, v) - 0.3 * u


def _arrow(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    """It points to the right."""
    height = np.abs(v)
    shaft = np.minimum(0.26 - height, np.minimum(u + 0.95, 0.3 - u))
    head = np.minimum(((0.97 - u) * 0.85 - height) * 0.76, u - 0.05)
    return np.maximum(shaft, head), 0.2 - v * 0.9


def _bottle(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    across = np.abs(u)
    body = np.maximum(np.minimum(0.54 - across, np.minimum(v + 0.05, 0.95 - v)), 0.54 - _length(u, v + 0.05))
    neck = np.minimum(0.22 - across, np.minimum(v + 0.95, 0.2 - v))
    cap = np.minimum(0.3 - across, np.minimum(v + 0.95, -0.72 - v))
    label = (v > 0.15) & (v < 0.6)
    relief = np.where(v < -0.72, -0.7, np.where(label, 0.9, 0.1 - 1.4 * u))
    return np.maximum(body, np.maximum(neck, cap)), relief


def _hat(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    brim = 0.25 * (1.0 - _length(u, (v - 0.5) / 0.26))
    crown = np.minimum(0.55 - 0.08 * v - np.abs(u), np.minimum(v + 0.6, 0.55 - v))
    top = 0.15 * (1.0 - _length(u / 0.6, (v + 0.6) / 0.15))
    band = (crown > 0.0) & (v > 0.12) & (v < 0.4)
    return np.maximum(brim, np.maximum(crown, top)), np.where(band, -1.0, 0.3 - 0.7 * u)


def _leaf(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    """Two arcs that meet in a tip at the top right, a vein, and a stalk."""
    along, across = (u - v) * 0.6, np.abs(u + v) * 0.6
    blade = 1.2 - _length(along - 0.1, across + 0.7)
    stalk = np.minimum(0.07 - across, np.minimum(along + 1.0, 0.3 - along))
    return np.maximum(blade, stalk), np.where(across < 0.06, -0.9, 0.3 - 0.4 * (u + v))


def _disc(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    """A plate that lies flat: an ellipse with a groove."""
    radius = _length(u, v / 0.5)
    return 0.5 * (1.0 - radius), np.where(np.abs(radius - 0.62) < 0.09, -0.9, np.where(radius < 0.62, 0.5, 0.1))


def _pyramid(u: NDArray, v: NDArray) -> tuple[NDArray, NDArray]:
    """A light and a dark face."""
    down = v + 0.8
    depth = np.minimum((down * 0.66 - np.abs(u)) * 0.83, 0.7 - v)
    return depth, np.where(u > down * 0.22, -0.9, 0.5)


Shape = Callable[[NDArray, NDArray], tuple[NDArray, NDArray]]
_ORDER = [_ball, _box, _star, _ring, _cone, _heart, _cross, _cup]  # a curriculum's
_ORDER += [_moon, _arrow, _bottle, _hat, _leaf, _disc, _pyramid]
SHAPES: dict[str, Shape] = {shape.__name__[1:]: shape for shape in _ORDER}  # by noun
TEXTURES = ("plain", "stripes", "dots", "checks")
_DIRECTIONS = np.array([(1.0, 0.0), (0.0, 1.0), (0.707107, 0.707107), (0.707107, -0.707107)], dtype=np.float32)


def paint(
    shape: Shape, u: NDArray, v: NDArray, texture: NDArray, turn: NDArray, phase: NDArray
) -> tuple[NDArray, NDArray]:
    """u: (M, 1, p), v: (M, p, 1) float32; texture, turn: (M,) indices; phase: (M,) in [0, 1).

    Returns inside (M, p, p) bool, and L (M, p, p) float32 to be added to the instance's mean.
    """
    depth, relief = shape(u, v)
    change = relief.astype(np.float32) * RELIEF_STEP - (depth < RIM) * np.float32(RIM_DARKER)
    for number, draw in ((1, _stripes), (2, _dots), (3, _checks)):
        chosen = np.flatnonzero(texture == number)
        if len(chosen):
            shift = phase[chosen].astype(np.float32)[:, None, None]
            change[chosen] += draw(u[chosen], v[chosen], turn[chosen], shift)
    return depth > 0.0, change


def _stripes(u: NDArray, v: NDArray, turn: NDArray, phase: NDArray) -> NDArray:
    x, y = (_DIRECTIONS[turn, axis][:, None, None] for axis in (0, 1))
    t = (u * x + v * y) * 2.2 + phase
    return np.where(t - np.floor(t) < 0.5, np.float32(TEXTURE_STEP), np.float32(-TEXTURE_STEP))


def _dots(u: NDArray, v: NDArray, turn: NDArray, phase: NDArray) -> NDArray:
    x, y = u * 2.0 + phase, v * 2.0 + phase
    x, y = x - np.floor(x) - 0.5, y - np.floor(y) - 0.5
    return np.where(x * x + y * y < 0.09, np.float32(-2.0 * TEXTURE_STEP), np.float32(0.5 * TEXTURE_STEP))


def _checks(u: NDArray, v: NDArray, turn: NDArray, phase: NDArray) -> NDArray:
    t = (np.floor(u * 2.0 + phase) + np.floor(v * 2.0 + phase)) * 0.5
    return np.where(t == np.floor(t), np.float32(TEXTURE_STEP), np.float32(-TEXTURE_STEP))


BACKGROUNDS = ("ground", "wall", "sky", "grass", "table", "floor")


def backgrounds(size: int) -> NDArray:
    """(len(BACKGROUNDS), 2 size, 2 size) float32, L to be added to the mean: scenes cut their size out of it."""
    x = ((np.arange(2 * size) + 0.5) / size).astype(np.float32)[None, :]
    y = x.T
    course = np.floor(y * 6.0)
    brick = x * 3.0 + course * 0.5
    joint = (_part(y * 6.0) < 0.14) | (_part(brick) < 0.07)
    plank = y * 4.0
    grain = _part(y * 22.0 + 2.0 * np.abs(_part(x) - 0.5))
    tile = (np.floor(x * 4.0) + np.floor(y * 4.0)) * 0.5
    patterns = {
        "ground": 4.0 * _noise(x, y, 9.0, 7.0) + 3.0 * _noise(x, y, 31.0, 31.0),
        "wall": np.where(joint, -7.0, 1.0 + 2.0 * _noise(brick, course, 1.0, 1.0)),
        "sky": 12.0 * np.abs(_part(y * 0.5) - 0.5) - 3.0 + 0.0 * x,
        "grass": 6.0 * _noise(x, y, 48.0, 14.0),
        "table": np.where(_part(plank) < 0.06, -8.0, 4.0 * np.abs(grain - 0.5) - 1.0 + 2.0 * _noise(y, y, 4.0, 4.0)),
        "floor": np.where(tile == np.floor(tile), 4.0, -4.0),
    }
    return np.stack([np.broadcast_to(patterns[name], (2 * size, 2 * size)) for name in BACKGROUNDS]).astype(np.float32)


def _part(t: NDArray) -> NDArray:
    """What is behind the point."""
    return t - np.floor(t)


def _noise(x: NDArray, y: NDArray, columns: float, rows: float) -> NDArray:
    """In [-1, 1), one number for each cell: a hash of its place in whole numbers."""
    i, j = (np.floor(t).astype(np.uint32) for t in (x * np.float32(columns), y * np.float32(rows)))
    h = i * np.uint32(374761393) + j * np.uint32(668265263)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(1274126177)
    return ((h ^ (h >> np.uint32(16))) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-23) - 1.0
