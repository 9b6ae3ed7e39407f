"""What explains a picture: its groups, and what each word of the caption does; and their drawing.

N_G group tokens; G side of the grid of image tokens; S side of the network's square.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from datasets.pictures.drawing import captioned_grid, group_map

PANEL_SIDE = 224  # pixels
STRONGEST = 40.0  # distance of ab, CIE units, that is drawn as the strongest effect of a word
COLUMNS = 6
_WORD = re.compile(r"\w+(?:['-]\w+)*|[^\w\s]+")


class WordEffect(NamedTuple):
    """What a word of the caption does: the distance between the colours with it and with it hidden from the network."""

    start: int  # place of the word in the caption: caption[start:end]
    end: int
    change: NDArray  # (S, S) float32, upright: distance of ab, CIE units


@dataclass(frozen=True)
class Explanation:
    """Everything upright, as the eye sees the photograph."""

    ab: NDArray  # (2, S, S) float32, CIE units
    groups: NDArray  # (G, G) int64: the group of each image token, Eq. (11); empty where there are no groups
    soft: NDArray  # (N_G, G, G) float32: the soft assignment that decided
    words: list[WordEffect]


def words_of(caption: str) -> Iterator[tuple[int, int]]:
    """[start, end) of its words and marks."""
    return (match.span() for match in _WORD.finditer(caption))


def upright(image: Image.Image, side: int) -> NDArray:
    """As the eye sees it, transparency on white, the longer side at most `side`. (h, w, 3) uint8."""
    image = ImageOps.exif_transpose(image)
    image.thumbnail((side, side))
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image.convert("RGB"))


def explained(image: Image.Image, caption: str, explanation: Explanation) -> NDArray:
    """image: the result. (H', W', 3) uint8, rows of panels with their words."""
    result = upright(image, PANEL_SIDE)
    gray = cv2.cvtColor(cv2.cvtColor(result, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    panels = [(result, caption)]
    if len(explanation.soft):
        panels.append((group_map(explanation.soft.reshape(len(explanation.soft), -1), gray), "groups"))
    for word in explanation.words:
        panels.append((effect(word.change, gray), caption[word.start : word.end]))
    return captioned_grid([panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)], 1)


def effect(change: NDArray, gray: NDArray) -> NDArray:
    """The gray picture (h, w, 3), in red where a word changes the colours; change: (S, S) distance of ab, CIE units."""
    strength = cv2.resize(change, gray.shape[1::-1], interpolation=cv2.INTER_LINEAR).clip(0, STRONGEST) / STRONGEST
    red = np.array([230, 40, 30], np.float32)
    return np.rint(gray + (red - gray) * strength[..., None]).astype(np.uint8)
