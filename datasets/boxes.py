"""Boxes of objects, for systems that colour them one by one.

    root/boxes_{split}.json     {image: [[left, top, right, bottom, score, class], ...]}

Sides in [0, 1] of the picture, best first; class of COCO's eighty, from 0. `scripts/detect_boxes.py` writes such a
file. An image without objects has an empty list: one that is not named was never looked at, and is an error.
M boxes of a batch; S side of the square that crops are squashed to.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from utils.errors import InputError
from utils.text_files import read_json

OUTSIDE = 0.01  # so far a side may lie outside the picture, as detectors round: it is moved to the edge
_FORM = "{image: [[left, top, right, bottom, score, class], ...]}, sides in [0, 1]"
_REMEDY = "make it again with scripts/detect_boxes.py"


@cache
def classes() -> tuple[str, ...]:
    """COCO's eighty, in the order of their numbers here."""
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights  # takes a while, which few runs should pay

    names = MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    return tuple(name for name in names if name not in ("__background__", "N/A"))


class Box(NamedTuple):
    """Sides in [0, 1] of the picture."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True)
class Wanted:
    """Which boxes a data set gives with its samples."""

    most: int = 8  # of a picture: the best
    least_score: float = 0.0
    alone: bool = False  # in training, one of them at random stands in the picture's place

    @classmethod
    def of(cls, inputs: frozenset[str], train: bool, most: int = 8, least_score: float = 0.0) -> "Wanted | None":
        """Of what a system reads (`models.System.inputs`); None where it reads no boxes."""
        alone = train and "one box" in inputs
        return cls(most, least_score, alone) if alone or "boxes" in inputs else None


@dataclass(frozen=True)
class Boxes:
    """Of a batch of pictures; M may be 0. Sides and places stay on the host, where crops are cut and pasted."""

    sides: Tensor  # (M, 4) float64: left, top, right, bottom in [0, 1] of the picture
    picture: Tensor  # (M,) int64: place in the batch
    crops: Tensor  # (M, 3, S, S) uint8 sRGB; in [0, 1] after `Batch.to`

    def __len__(self) -> int:
        return len(self.sides)

    @classmethod
    def of(cls, samples: Sequence[Sequence[tuple[Box, Tensor]]], size: int) -> "Boxes":
        """samples: of each picture its boxes and their crops (3, size, size) uint8."""
        held = [(place, box, crop) for place, own in enumerate(samples) for box, crop in own]
        return cls(
            torch.tensor([box for _, box, _ in held], dtype=torch.float64).reshape(-1, 4),
            torch.tensor([place for place, _, _ in held], dtype=torch.int64),
            torch.stack([crop for *_, crop in held]) if held else torch.empty(0, 3, size, size, dtype=torch.uint8),
        )

    def on_grid(self, height: int, width: int) -> list[tuple[int, int, int, int]]:
        """Left, top, right, bottom of each on a grid, whole cells, at least one wide and high."""
        return [
            (left, top, right, bottom)
            for x0, y0, x1, y1 in self.sides.tolist()
            for left, right in [_cells(x0, x1, width)]
            for top, bottom in [_cells(y0, y1, height)]
        ]

    def to(self, device: torch.device, non_blocking: bool = False) -> "Boxes":
        return dataclasses.replace(self, crops=self.crops.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Boxes":
        return dataclasses.replace(self, crops=self.crops.pin_memory())


def boxes_path(root: Path, split: str) -> Path:
    return root / f"boxes_{split}.json"


def read_boxes(path: Path, names: Iterable[str], wanted: Wanted) -> dict[str, list[Box]]:
    """The wanted boxes of each image, best first. Raises InputError naming the file, the image and the remedy."""
    content = read_json(path, f"write {_FORM}, or {_REMEDY}")
    if not isinstance(content, dict):
        raise InputError(f"{path}: is not {_FORM}; {_REMEDY}")
    names = list(dict.fromkeys(names))
    missing = [name for name in names if name not in content]
    if missing:
        raise InputError(
            f"{path}: names {len(names) - len(missing)} of the {len(names)} images, not {missing[0]}; it is of other"
            f" pictures, or not whole: {_REMEDY}"
        )
    return {name: best(content[name], wanted, f"{path}: {name}") for name in names}


def best(rows: object, wanted: Wanted, where: str) -> list[Box]:
    """rows: [left, top, right, bottom, score, ...] each, as a file or a detector has them; where: for the error."""
    if not isinstance(rows, list | tuple):
        raise InputError(f"{where} has {str(rows)[:100]}, not a list of boxes; write {_FORM}")
    scored = []
    for row in rows:
        if not (isinstance(row, list | tuple) and len(row) >= 5 and all(_is_number(side) for side in row[:5])):
            raise InputError(f"{where} has a box {str(row)[:100]}; write [left, top, right, bottom, score, class]")
        left, top, right, bottom, score = row[:5]
        if not (-OUTSIDE <= left < right <= 1 + OUTSIDE and -OUTSIDE <= top < bottom <= 1 + OUTSIDE):
            raise InputError(
                f"{where} has a box {list(row[:4])}; its sides are left < right and top < bottom, in [0, 1] of the"
                f" picture: divide pixels by its width and height, or {_REMEDY}"
            )
        box = Box(max(left, 0.0), max(top, 0.0), min(right, 1.0), min(bottom, 1.0))
        if score >= wanted.least_score and box.left < box.right and box.top < box.bottom:
            scored.append((score, box))
    return [box for _, box in sorted(scored, key=lambda pair: -pair[0])[: wanted.most]]


def cut(picture: Image.Image, box: Box) -> Image.Image:
    """What the box holds: whole pixels, at least one each way."""
    (left, right), (top, bottom) = (
        _pixels(box.left, box.right, picture.width),
        _pixels(box.top, box.bottom, picture.height),
    )
    return picture.crop((left, top, right, bottom))


def inside(boxes: Iterable[Box], height: int, width: int) -> Tensor:
    """(height, width) bool: the pixels of any box."""
    mask = torch.zeros(height, width, dtype=torch.bool)
    for box in boxes:
        (left, right), (top, bottom) = _pixels(box.left, box.right, width), _pixels(box.top, box.bottom, height)
        mask[top:bottom, left:right] = True
    return mask


def seen_in(boxes: Iterable[Box], part: Box) -> list[Box]:
    """The boxes of which a part of the picture shows half or more, cut down to it, in [0, 1] of the part."""
    width, height = part.right - part.left, part.bottom - part.top
    seen = []
    for box in boxes:
        left, top = max(box.left, part.left), max(box.top, part.top)
        right, bottom = min(box.right, part.right), min(box.bottom, part.bottom)
        area = max(right - left, 0) * max(bottom - top, 0)
        if area >= 0.5 * (box.right - box.left) * (box.bottom - box.top):
            sides = (left - part.left) / width, (top - part.top) / height
            seen.append(Box(*sides, (right - part.left) / width, (bottom - part.top) / height))
    return seen


def _pixels(start: float, end: float, count: int) -> tuple[int, int]:
    first = min(round(start * count), count - 1)
    return first, max(round(end * count), first + 1)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _cells(start: float, end: float, count: int) -> tuple[int, int]:
    first, last = int(start * count), int(end * count)
    if last - first >= 1:
        return first, last
    return (first, first + 1) if count - last > 1 else (last - 1, last)
