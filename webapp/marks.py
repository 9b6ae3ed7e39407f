"""Objects that a visitor points out on the photograph: boxes of two corners, and the places of a caption's phrases.

H, W sides of the preview.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from datasets.boxes import Box, inside
from datasets.pictures.drawing import cross, labelled, outline
from inference.phrases import Phrase, phrases_of
from utils.errors import InputError

_THINNEST = 0.02  # a side of a box, of the picture's
Key = tuple[str, int]  # the thing of a phrase, and its number among those alike: another colour changes neither
Corner = tuple[float, float]  # x, y in [0, 1]


def box_between(first: Corner, second: Corner) -> Box:
    """Raises InputError, for the visitor."""
    (left, right), (top, bottom) = sorted((first[0], second[0])), sorted((first[1], second[1]))
    if min(right - left, bottom - top) < _THINNEST:
        raise InputError("A box has two opposite corners: click them apart from each other.")
    return Box(left, top, right, bottom)


def box_mask(box: Box, height: int, width: int) -> NDArray:
    """(H, W) bool: a rough mask of what it holds."""
    return inside([box], height, width).numpy()


def keyed(caption: str) -> dict[Key, Phrase]:
    """The colour phrases of the caption, in order."""
    counts: Counter[str] = Counter()
    found = {}
    for phrase in phrases_of(caption):
        found[phrase.noun, counts[phrase.noun]] = phrase
        counts[phrase.noun] += 1
    return found


def labels(caption: str) -> list[str]:
    """Each colour phrase as the caption writes it: what a visitor chooses from. Those alike are numbered."""
    texts = [caption[phrase.start : phrase.end] for phrase in keyed(caption).values()]
    several, counts = Counter(texts), Counter[str]()
    named = []
    for text in texts:
        counts[text] += 1
        named.append(text if several[text] == 1 else f"{text} ({counts[text]})")
    return named


def masks_of(caption: str, places: Mapping[Key, NDArray]) -> list[tuple[str, NDArray | None]]:
    """Every colour phrase of the caption with its mask, (H, W) bool; None without a place. Nothing without any."""
    masks = [(caption[phrase.start : phrase.end], places.get(key)) for key, phrase in keyed(caption).items()]
    return masks if any(mask is not None for _, mask in masks) else []


def draw_places(gray: NDArray, caption: str, places: Mapping[Key, NDArray], corner: Corner | None) -> NDArray:
    """The outlines of the caption's placed phrases with their words, and a cross at a corner. gray: (H, W, 3) uint8."""
    picture = gray.copy()
    names = []
    for key, label in zip(keyed(caption), labels(caption), strict=True):
        if key in places:
            outline(picture, places[key])
            rows, columns = np.nonzero(places[key])
            names.append((label, (float(columns.mean()), float(rows.min()))))
    picture = labelled(picture, names)
    if corner is not None:
        cross(picture, corner)
    return picture
