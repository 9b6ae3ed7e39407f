"""Recolouring: a training photograph as it would be if it showed other colours, and captions that say so.

A photograph shows each thing in one colour, so a network may learn what colour things have and never need the word.
Recoloured, the bus of "a red bus" is blue under "a blue bus", green under "a green bus", and all else is as it was:
only the word tells. Luminance augmentation (Eq. 1, 2) takes away what brightness would tell, this what the thing itself
would. And the difference of two colourings of one gray photograph is the word's alone (`losses.word_loss`).

Which pixels the word means is known where the caption has regions (`datasets.regions`): those of the word's boxes that
have its name (`datasets.words.color_naming`), in their large connected pieces. Then up to three things take new colours
at once, and the two colourings differ in one of them, or two have exchanged theirs: only which colour is whose tells
them apart. Elsewhere it is not annotated. Ours: the pixels whose colour is nearest to the named one among the
palette's and gray, in large pieces. Where that is hardly anything or half of the picture, nothing is recoloured.

Only ab changes, whether or not sRGB has the new colour at the photograph's L: cut to what it has, colours would no more
lie in the direction that their word says.

Differs: the paper has no such augmentation; `--recolor 0`, the default, is without.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.regions import Region, mask
from datasets.scenes.palette import PALETTE
from datasets.words import color_words
from datasets.words.color_naming import NAMES, name_pixels
from utils.color import normalize_ab

SMALLEST, LARGEST = 0.01, 0.4  # share of the picture that is recoloured
PIECE = 0.25  # smallest connected piece that counts, of the largest
STRENGTH = (0.6, 1.0)  # mean chroma of the region after, of the palette's, drawn between
MOST, EXCHANGED = 3, 0.5  # things of a caption with regions; how often the second colouring exchanges two of theirs
STRONGEST = 3.0  # largest factor on a region's chroma: a stronger one would paint noise
_CENTERS = np.array([(0.0, 0.0), *PALETTE.values()], dtype=np.float32)  # gray first, then the palette
_NAMES = tuple(PALETTE)


class Recolored(NamedTuple):
    """Two colourings of one photograph, under two captions that differ in one colour, or in who has which of two."""

    ab: Tensor  # (2, 2, H, W) float32 in [-1, 1], the photograph's L unchanged
    captions: tuple[str, str]


class _Target(NamedTuple):
    """What takes another colour."""

    name: str  # of its colour now
    words: list[tuple[int, int]]  # spans of the caption that say so
    region: NDArray  # (H, W) float32, 1 there and 0 elsewhere


def recolor(rgb: Tensor, caption: str, draw: np.random.Generator, regions: Sequence[Region] = ()) -> Recolored | None:
    """The pair with colours replaced, in the picture and in the words that name them.

    rgb: (3, H, W) uint8; regions: of the caption's colour words. None where the caption names no colour of the palette
    by its plain word ("red", not "crimson" nor "blond"), or shows none of those in a region fit to be recoloured.
    """
    words = _plain_words(caption)
    if not words:
        return None
    lab = cv2.cvtColor(np.ascontiguousarray(rgb.permute(1, 2, 0), dtype=np.float32) / 255, cv2.COLOR_RGB2Lab)
    targets = _in_boxes(lab, words, regions, draw) if regions else _anywhere(lab, words, draw)
    others = [name for name in _NAMES if name not in {word.name for word in words}]
    new = _new_colors(min(len(targets), len(others) - 1), others, draw)
    if new is None:
        return None
    ab = lab[..., 1] + 1j * lab[..., 2]  # a turn of the hue is one factor
    strength = draw.uniform(*STRENGTH)
    change = np.zeros((2, *ab.shape), ab.dtype)
    targets = targets[: len(new[0])]
    for place, target in enumerate(targets):
        mean = (ab * target.region).sum() / target.region.sum()
        factors = np.array([strength * complex(*PALETTE[names[place]]) / mean for names in new])
        if np.abs(factors).max() > STRONGEST:
            return None
        alpha = cv2.GaussianBlur(target.region, (0, 0), sigmaX=max(rgb.shape[1:]) / 100)
        change += alpha * (factors[:, None, None] - 1)
    ab = ab * (1 + change)  # (2, H, W)
    pictures = torch.from_numpy(np.stack([ab.real, ab.imag], axis=1).astype(np.float32))
    return Recolored(normalize_ab(pictures), tuple(_say(caption, targets, names) for names in new))


def _anywhere(lab: NDArray, words: Sequence["_Word"], draw: np.random.Generator) -> list[_Target]:
    """One colour, wherever it shows, with all of its words; none where no region is fit."""
    for name in draw.permutation(list(dict.fromkeys(word.name for word in words))):
        region = find_region(lab[..., 1:], name)
        if region is not None:
            return [_Target(str(name), [word.span for word in words if word.name == name], region)]
    return []


def _in_boxes(
    lab: NDArray, words: Sequence["_Word"], regions: Sequence[Region], draw: np.random.Generator
) -> list[_Target]:
    """Up to MOST words whose regions do not touch."""
    names = name_pixels(lab)
    targets: list[_Target] = []
    most = draw.integers(1, MOST + 1)
    for place in draw.permutation(len(words)):
        word = words[place]
        boxes = mask([one for one in regions if one.place == word.place], *names.shape)
        region = _large_pieces((boxes & (names == NAMES.index(word.name))).astype(np.uint8))
        if region is None or any((region * target.region).any() for target in targets):
            continue
        targets.append(_Target(word.name, [word.span], region))
        if len(targets) == most:
            break
    return targets


def _new_colors(count: int, others: Sequence[str], draw: np.random.Generator) -> tuple[list[str], list[str]] | None:
    """The new names of `count` things in the two colourings; None where there is nothing, or nothing to choose from."""
    if count < 1:
        return None
    *first, another = (str(name) for name in draw.choice(others, size=count + 1, replace=False))
    second = list(first)
    one, two = draw.permutation(count)[:2] if count > 1 else (0, 0)
    if count > 1 and draw.random() < EXCHANGED:
        second[one], second[two] = first[two], first[one]
    else:
        second[one] = another
    return first, second


def find_region(ab: NDArray, name: str) -> NDArray | None:
    """Where a picture shows the colour `name`: (H, W) float32, 1 there and 0 elsewhere; None if too little or too much.

    ab: (H, W, 2) float32, CIE units.
    """
    nearness = ab @ (2 * _CENTERS.T) - (_CENTERS**2).sum(axis=1)  # (H, W, colours), |ab|^2 - distance^2
    return _large_pieces((nearness.argmax(axis=2) == 1 + _NAMES.index(name)).astype(np.uint8))


def _large_pieces(shown: NDArray) -> NDArray | None:
    """The large connected pieces as float32; None if too little or too much. shown: (H, W) uint8 of 0 and 1."""
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


class _Word(NamedTuple):
    """A colour word of the palette."""

    place: int  # among the caption's colour words
    span: tuple[int, int]
    name: str


def named_colors(caption: str) -> list[str]:
    """The palette's colours that the caption names by their plain words, in order, each once."""
    return list(dict.fromkeys(word.name for word in _plain_words(caption)))


def _plain_words(caption: str) -> list[_Word]:
    """The words that are a palette colour's own name, in any case."""
    found = enumerate(color_words.find(caption))
    words = [_Word(place, (start, end), caption[start:end].lower()) for place, (start, end) in found]
    return [word for word in words if word.name in PALETTE]


def _say(caption: str, targets: Sequence[_Target], names: Sequence[str]) -> str:
    """The caption with the targets' new names."""
    new = [(span, name) for target, name in zip(targets, names, strict=True) for span in target.words]
    for (start, end), name in sorted(new, reverse=True):
        caption = caption[:start] + name + caption[end:]
    return caption
