"""Recolouring: a training photograph as it would be if it showed other colours, and captions that say so.

A photograph shows each thing in one colour, so a network may learn what colour things have and never need the word.
Recoloured, the bus of "a red bus" is blue under "a blue bus", green under "a green bus", and all else is as it was:
only the word tells. Luminance augmentation (Eq. 1, 2) takes away what brightness would tell, this what the thing itself
would. And the difference of two colourings of one gray photograph is the word's alone (`losses.word_loss`).

Which pixels the word means is not annotated. Ours: those whose colour is nearest to the named one among the palette's
and gray, in its large connected pieces. Where that is hardly anything or half of the picture, nothing is recoloured.
Only ab changes, whether or not sRGB has the new colour at the photograph's L: cut to what it has, colours would no more
lie in the direction that their word says.

Differs: the paper has no such augmentation; `--recolor 0`, the default, is without.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets import color_words
from datasets.scene_palette import PALETTE
from utils.color import normalize_ab

SMALLEST, LARGEST = 0.01, 0.4  # share of the picture that is recoloured
PIECE = 0.25  # smallest connected piece that counts, of the largest
STRENGTH = (0.6, 1.0)  # mean chroma of the region after, of the palette's, drawn between
STRONGEST = 3.0  # largest factor on a region's chroma: a stronger one would paint noise
_CENTERS = np.array([(0.0, 0.0), *PALETTE.values()], dtype=np.float32)  # gray first, then the palette
_NAMES = tuple(PALETTE)


class Recolored(NamedTuple):
    """Two colourings of one photograph, under two captions that differ in one colour."""

    ab: Tensor  # (2, 2, H, W) float32 in [-1, 1], the photograph's L unchanged
    captions: tuple[str, str]


def recolor(rgb: Tensor, caption: str, draw: np.random.Generator) -> Recolored | None:
    """The pair with one of its colours replaced by two others, in the picture and in every word that names it.

    rgb: (3, H, W) uint8. None where the caption names no colour of the palette by its plain word ("red", not "crimson"
    nor "blond"), or shows none of those in a region fit to be recoloured.
    """
    named = named_colors(caption)
    others = [name for name in _NAMES if name not in named]
    if not named or len(others) < 2:
        return None
    new = draw.choice(others, size=2, replace=False)
    strength = draw.uniform(*STRENGTH)
    lab = cv2.cvtColor(np.ascontiguousarray(rgb.permute(1, 2, 0), dtype=np.float32) / 255, cv2.COLOR_RGB2Lab)
    regions = ((name, find_region(lab[..., 1:], name)) for name in draw.permutation(named))
    old, region = next(((name, region) for name, region in regions if region is not None), (None, None))
    if region is None:
        return None
    ab = lab[..., 1] + 1j * lab[..., 2]  # a turn of the hue is one factor
    mean = (ab * region).sum() / region.sum()
    factors = np.array([strength * complex(*PALETTE[name]) / mean for name in new])
    if np.abs(factors).max() > STRONGEST:
        return None
    alpha = cv2.GaussianBlur(region, (0, 0), sigmaX=max(rgb.shape[1:]) / 100)
    ab = ab * (1 + alpha * (factors[:, None, None] - 1))  # (2, H, W)
    pictures = torch.from_numpy(np.stack([ab.real, ab.imag], axis=1).astype(np.float32))
    return Recolored(normalize_ab(pictures), (_say(caption, old, new[0]), _say(caption, old, new[1])))


def find_region(ab: NDArray, name: str) -> NDArray | None:
    """Where a picture shows the colour `name`: (H, W) float32, 1 there and 0 elsewhere; None if too little or too much.

    ab: (H, W, 2) float32, CIE units.
    """
    nearness = ab @ (2 * _CENTERS.T) - (_CENTERS**2).sum(axis=1)  # (H, W, colours), |ab|^2 - distance^2
    shown = (nearness.argmax(axis=2) == 1 + _NAMES.index(name)).astype(np.uint8)
    shown = cv2.morphologyEx(shown, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, pieces, figures, _ = cv2.connectedComponentsWithStats(shown, connectivity=8)
    if count == 1:
        return None
    areas = figures[:, cv2.CC_STAT_AREA]
    areas[0] = 0  # what is not shown
    kept = areas >= PIECE * areas.max()
    kept[0] = False
    region = kept[pieces].astype(np.float32)
    return region if SMALLEST <= region.mean() <= LARGEST else None


def named_colors(caption: str) -> list[str]:
    """The palette's colours that the caption names by their plain words, in order, each once."""
    return list(dict.fromkeys(word for _, _, word in _plain_words(caption)))


def _plain_words(caption: str) -> list[tuple[int, int, str]]:
    """(start, end, colour) of the words that are a palette colour's own name, in any case."""
    spans = [(start, end, caption[start:end].lower()) for start, end in color_words.find(caption)]
    return [span for span in spans if span[2] in PALETTE]


def _say(caption: str, old: str, new: str) -> str:
    for start, end, word in reversed(_plain_words(caption)):
        if word == old:
            caption = caption[:start] + new + caption[end:]
    return caption
