"""Where the things are that a caption's colour words colour.

    root/regions_{split}.json     {image: {caption: [[place, left, top, right, bottom], ...]}}

place: which of the caption's colour words (`color_words.find`), from 0; sides in [0, 1] of the picture. A word that
means two things has two entries. Pairs that the file does not name have no regions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.boxes import Box
from datasets.words import color_words
from utils.errors import InputError
from utils.text_files import read_json


class Region(NamedTuple):
    """A box that holds what a colour word means. Sides in [0, 1] of the picture; below 0 or above 1 lies outside."""

    place: int
    left: float
    top: float
    right: float
    bottom: float


Regions = dict[tuple[str, str], tuple[Region, ...]]  # (image name, caption) -> of its colour words


def read_regions(root: Path, split: str) -> Regions:
    """Empty where the split has no such file. Raises InputError on anything but the form above."""
    path = root / f"regions_{split}.json"
    if not path.is_file():
        return {}
    form = "{image: {caption: [[place, left, top, right, bottom], ...]}}"
    remedy = "make it again, or take it away to train without regions"
    content = read_json(path, f"so it is not {form}; {remedy}")
    try:
        found = {
            (name, caption): tuple(_region(caption, *numbers) for numbers in regions)
            for name, captions in content.items()
            for caption, regions in captions.items()
        }
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is not {form} ({error}); {remedy}") from error
    return found


def _region(caption: str, place: int, left: float, top: float, right: float, bottom: float) -> Region:
    count = len(color_words.find(caption))
    if not (isinstance(place, int) and 0 <= place < count):
        raise ValueError(f"{caption!r} has {count} colour words, so none at place {place}")
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(f"{caption!r} has a box {[left, top, right, bottom]}")
    return Region(place, left, top, right, bottom)


def mask(regions: Sequence[Region], height: int, width: int) -> NDArray:
    """(height, width) bool, True on the pixels whose middle lies in one of the boxes."""
    rows, columns = (np.arange(height)[:, None] + 0.5) / height, (np.arange(width) + 0.5) / width
    inside = np.zeros((height, width), bool)
    for _, left, top, right, bottom in regions:
        inside |= (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    return inside


def seen_in_crop(regions: Sequence[Region], crop: Box, flipped: bool) -> tuple[Region, ...]:
    """The regions in a crop of the picture, mirrored afterwards if `flipped`.

    crop: (left, top, right, bottom) in [0, 1] of the picture.
    """
    left, top, right, bottom = crop
    width, height = right - left, bottom - top
    seen = []
    for place, x0, y0, x1, y1 in regions:
        x0, x1 = (x0 - left) / width, (x1 - left) / width
        if flipped:
            x0, x1 = 1 - x1, 1 - x0
        seen.append(Region(place, x0, (y0 - top) / height, x1, (y1 - top) / height))
    return tuple(seen)
