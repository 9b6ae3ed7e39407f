"""What scenes may hold: their splits, which noun may have which colour, and what a curriculum narrows."""

from typing import NamedTuple

import numpy as np

from datasets.scenes.layout import N
from datasets.scenes.palette import PALETTE
from datasets.scenes.shapes import SHAPES

COLORS = tuple(PALETTE)
SPLITS = ("train", "val", "clear", "instances", "unobserved", "luminance")  # the place is the number of its stream
SPARE = 4  # colours beyond the instances': the background's, and three for counter captions

# Colour-object pairs that training never shows nor names, its counter captions included; `unobserved` shows no others.
# Every colour lacks three of the fifteen nouns, every noun two of the ten colours. The first five nouns and any five
# neighbouring colours have pairs on both sides, so a curriculum may begin with few.
HELD_OUT = {
    "red": ("star", "cup", "leaf"),
    "green": ("ring", "moon", "disc"),
    "blue": ("cone", "arrow", "pyramid"),
    "yellow": ("ball", "heart", "bottle"),
    "purple": ("box", "cross", "hat"),
    "orange": ("star", "cup", "leaf"),
    "turquoise": ("ring", "moon", "disc"),
    "pink": ("cone", "arrow", "pyramid"),
    "brown": ("ball", "heart", "bottle"),
    "tan": ("box", "cross", "hat"),
}
TRAINED = np.array([[noun not in HELD_OUT[color] for color in COLORS] for noun in SHAPES])  # (nouns, C)

# A colour that training shows with each noun, (nouns,) index into COLORS: for systems without words, `Rules.favorites`.
FAVORITE = np.array(
    [next(c for c in np.roll(np.arange(len(COLORS)), -noun) if allowed[c]) for noun, allowed in enumerate(TRAINED)]
)


class Rules(NamedTuple):
    """What a curriculum may narrow."""

    min_instances: int = 2
    max_instances: int = N
    num_colors: int = len(COLORS)  # of `COLORS`, from the first
    num_shapes: int = len(SHAPES)  # of `SHAPES`, from the first
    favorites: float = 0.0  # probability that an instance has its noun's FAVORITE colour, where no other has it already


ALL = Rules()
