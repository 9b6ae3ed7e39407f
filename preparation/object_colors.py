"""Which colour a detected thing shows: the name that fills its box and not its surroundings.

H, W sides of the picture; boxes are (left, top, right, bottom) in [0, 1] of it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.boxes import Box, classes
from datasets.words.color_naming import NAMELESS, NAMES, SHADES, name_pixels
from datasets.words.vocabulary import ACHROMATIC

CLASSES = classes()
SCENERY = ("sky", "grass", "trees", "water", "background", "foreground")
# Mostly holes, many colours, or what stands on them: their boxes tell no colour of their own.
_NO_COLOR = {"bicycle", "traffic light", "dining table", "fork", "knife", "spoon", "tennis racket", "skis", "scissors"}
_NO_COLOR |= {"wine glass", "baseball bat", "sandwich", "hot dog", "pizza", "orange", "zebra", "hair drier", "sink"}
_NO_COLOR |= {"toothbrush", "skateboard", "tv", "oven", "microwave"}

_SMALLEST, _GRAY_SMALLEST = 0.005, 0.012  # share of the picture of a box that has a colour, and a colour without hue
_RING = 0.06  # width of the surroundings, of the picture's side
_OWN = {"gray": 0.6, "black": 0.5, "white": 0.45, "brown": 0.5, "tan": 0.5}  # least share of the pixels; others 0.4
_LEAST, _SECOND, _BOTH = 0.4, 0.27, 0.7  # of one colour; of the second, and of both, of a thing of two
_EXCESS = 0.2  # by which a name is more frequent inside than around
# One thing in light and shade, or two names of one colour: the second is no colour of its own.
_SHADED = [{"gray", "black"}, {"gray", "white"}, {"gray", "blue"}, {"gray", "tan"}, {"gray", "brown"}, {"brown", "tan"}]
_SHADED += [{"brown", "black"}, {"brown", "red"}, {"brown", "orange"}, {"red", "pink"}, {"yellow", "orange"}]
_SHADED += [{"blue", "turquoise"}, {"blue", "purple"}, {"blue", "black"}, {"green", "black"}, {"tan", "white"}]
_OF_SKIN = ("tan", "brown", "orange", "pink")

_GRID = 56  # side of the square on which scenery is looked for
_LARGE = 0.06  # share of the picture of the smallest piece of scenery


class Painted(NamedTuple):
    """A colour, and where."""

    names: tuple[str, ...]  # one or two of NAMES, the larger first
    shade: str  # "light", "dark" or ""; only of one chromatic colour
    box: Box


class Thing(NamedTuple):
    """What a box holds."""

    kind: str  # of CLASSES, or of SCENERY
    box: Box
    colors: dict[str, Painted]  # "" of the whole thing; "upper", "lower" of a person's clothes


def find_things(rgb: NDArray, boxes: Sequence[Sequence[float]], least_score: float) -> list[Thing]:
    """The things of a picture with the colours that are plain to see, largest first; some have none.

    rgb: (H, W, 3) uint8; boxes: [left, top, right, bottom, score, class].
    """
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    lab = cv2.GaussianBlur(lab, (0, 0), sigmaX=max(rgb.shape) / 150)
    names = name_pixels(lab)
    held = [(CLASSES[int(box[5])], Box(*box[:4])) for box in boxes if box[4] >= least_score]
    held.sort(key=lambda one: -_area(one[1]))
    things = []
    for place, (kind, box) in enumerate(held):
        inner = [other for _, other in held[place + 1 :]]  # lie before it where they overlap
        colors = {}
        for part, where in _parts(kind, box).items():
            painted = _measure(lab, names, where, box, inner, clothes=kind == "person")
            if painted is not None:
                colors[part] = painted
        things.append(Thing(kind, box, colors))
    return things


def find_scenery(rgb: NDArray, things: Sequence[Thing]) -> list[Thing]:
    """What has no box: large pieces of one chromatic colour outside of the things', called by where they lie."""
    lab = cv2.cvtColor(
        cv2.resize(rgb, (_GRID, _GRID), interpolation=cv2.INTER_AREA).astype(np.float32) / 255, cv2.COLOR_RGB2Lab
    )
    names = name_pixels(lab)
    for thing in things:
        names[_filled(names.shape, thing.box)] = NAMELESS
    found = {}
    for place, name in enumerate(NAMES):
        if name in ACHROMATIC:
            continue
        count, pieces, figures, centers = cv2.connectedComponentsWithStats(
            (names == place).astype(np.uint8), connectivity=4
        )
        for piece in range(1, count):
            left, top, width, height, area = figures[piece]
            if area < _LARGE * names.size or area < 0.35 * width * height:
                continue
            own = lab[pieces == piece]  # (n, 3)
            kind = _scenery(name, own, (top == 0, top + height == _GRID), width / _GRID, centers[piece][1] / _GRID)
            shade, box = _shade(name, own), (left / _GRID, top / _GRID, (left + width) / _GRID, (top + height) / _GRID)
            if kind is not None and area > found.get(kind, (0,))[0]:
                found[kind] = area, Thing(kind, box, {"": Painted((name,), shade, box)})
    return [thing for _, thing in sorted(found.values(), key=lambda one: -one[0])]


def _scenery(name: str, lab: NDArray, touches: tuple[bool, bool], width: float, height: float) -> str | None:
    """A word that is safe: sky, grass, trees and water only where shape and texture say so as well.

    lab: (n, 3), its pixels; touches: the top and the bottom of the picture; width: of its box; height: of its middle, 0
    at the top of the picture, 1 at its bottom.
    """
    lightness, (a, b) = lab[:, 0], np.median(lab[:, 1:], axis=0)
    top, bottom = touches
    if top and not bottom and height < 0.45:
        if name == "blue" and width > 0.5 and np.median(lightness) > 50 and lightness.std() < 16:
            return "sky"
        return "trees" if name == "green" and lightness.std() > 11 else "background"
    if bottom and not top and height > 0.55:
        if name == "green" and width > 0.6:
            return "grass"
        return "water" if name in ("blue", "turquoise") and width > 0.6 and np.hypot(a, b) > 18 else "foreground"
    return None


def _parts(kind: str, box: Box) -> dict[str, Box]:
    """The parts whose colour is said, and where they are."""
    if kind in _NO_COLOR or _area(box) < _SMALLEST:
        return {}
    if kind != "person":
        return {"": box}
    left, top, right, bottom = box
    width, height = right - left, bottom - top

    def part(low: float, high: float, side: float) -> Box:
        return left + side * width, top + low * height, right - side * width, top + high * height

    if height > 1.6 * width and bottom < 0.98:  # upright, down to the feet
        found = {"upper": part(0.18, 0.46, 0.2), "lower": part(0.55, 0.85, 0.2)}
    elif bottom >= 0.98 and height > 0.8 * width:  # cut off at the waist or thereabouts
        found = {"upper": part(0.5, 0.95, 0.15)}
    elif height > width:  # sits or crouches
        found = {"upper": part(0.25, 0.55, 0.25)}
    else:
        return {}
    return {name: where for name, where in found.items() if _area(where) >= _SMALLEST / 2}


def _measure(lab: NDArray, names: NDArray, box: Box, whole: Box, inner: Sequence[Box], clothes: bool) -> Painted | None:
    """box: of the part; whole: of the thing, beyond which its surroundings begin."""
    height, width = names.shape
    inside = np.zeros(names.shape, np.uint8)
    left, top, right, bottom = box[0] * width, box[1] * height, box[2] * width, box[3] * height
    center, axes = ((left + right) / 2, (top + bottom) / 2), ((right - left) * 0.46, (bottom - top) * 0.46)
    cv2.ellipse(inside, (center, (2 * axes[0], 2 * axes[1]), 0.0), 1, -1)
    around = _filled(names.shape, (whole[0] - _RING, whole[1] - _RING, whole[2] + _RING, whole[3] + _RING))
    around &= ~_filled(names.shape, whole)
    if clothes:  # only beside the part: what is above and below is the sky and the ground
        around &= _filled(names.shape, (0.0, box[1], 1.0, box[3]))
    inside = inside.astype(bool)
    for other in inner:
        inside &= ~_filled(names.shape, other)
    area = box[2] - box[0], box[3] - box[1]
    if inside.sum() < 0.3 * area[0] * area[1] * names.size or inside.sum() < 30:
        return None
    own = np.bincount(names[inside], minlength=len(NAMES) + 1)[: len(NAMES)] / inside.sum()
    other = np.bincount(names[around], minlength=len(NAMES) + 1)[: len(NAMES)] / max(around.sum(), 1)
    first, second = np.argsort(-own)[:2]
    name, other_name = NAMES[first], NAMES[second]
    if own[first] < _OWN.get(name, _LEAST) or own[first] - other[first] < _EXCESS:
        return None
    if (name in ACHROMATIC and _area(whole) < _GRAY_SMALLEST) or (clothes and name in _OF_SKIN and _skin(lab[inside])):
        return None
    both = own[second] >= _SECOND and own[first] + own[second] >= _BOTH and own[second] - other[second] >= _EXCESS / 2
    if both and {name, other_name} not in _SHADED:
        return Painted((name, other_name), "", box)
    return Painted((name,), _shade(name, lab[inside & (names == first)]), box)


def _shade(name: str, lab: NDArray) -> str:
    """Of the pixels (n, 3) that have the name."""
    if name in ACHROMATIC or name in ("brown", "tan", "pink"):  # are light or dark by themselves
        return ""
    lightness = np.median(lab[:, 0])
    if lightness <= SHADES["dark"]:
        return "dark"
    return "light" if lightness >= SHADES["light"] and name not in ("yellow", "orange") else ""


def _skin(lab: NDArray) -> bool:
    """Whether pixels (n, 3) look like bare arms as much as like clothes."""
    median = np.median(lab, axis=0)
    chroma, hue = np.hypot(median[1], median[2]), np.degrees(np.arctan2(median[2], median[1]))
    return 10 < chroma < 42 and 15 < hue < 80


def _filled(shape: tuple[int, int], box: Box) -> NDArray:
    """(H, W) bool, True in the box."""
    mask = np.zeros(shape, bool)
    height, width = shape
    rows = slice(max(0, round(box[1] * height)), max(0, round(box[3] * height)))
    mask[rows, max(0, round(box[0] * width)) : max(0, round(box[2] * width))] = True
    return mask


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
