"""Phrases of captions and the masks of the objects they mean, for systems that sample instance by instance.

    root/masks_{split}.json    {image: [[phrase, file], ...]}
    root/masks_{split}/        the files, such as <image stem>/0.png: of the image's size, white inside of the object

A phrase stands in a caption of its image; captions that do not hold it are without it. An image that is not named has
none. M instances of a batch; H, W sides of its pictures.
"""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from datasets.image_files import leaves_folder
from utils.errors import InputError, reason
from utils.text_files import read_json

SAME = 0.5  # of the smaller of two masks: where they share more, one of them is wrong
_FORM = "{image: [[phrase, file], ...]}"
Phrases = dict[str, list[tuple[str, Path]]]  # image name -> phrases and mask files


class Instance(NamedTuple):
    """A phrase, as a place in its caption, and its object."""

    start: int  # characters of the caption: [start, end)
    end: int
    mask: Tensor  # (H, W) bool


@dataclass(frozen=True)
class Instances:
    """Of a batch of pictures; M may be 0. Places stay on the host, where the captions are."""

    masks: Tensor  # (M, H, W) bool
    picture: Tensor  # (M,) int64: place in the batch
    spans: Tensor  # (M, 2) int64: characters of its caption, [start, end)

    def __len__(self) -> int:
        return len(self.masks)

    @classmethod
    def of(cls, samples: Sequence[Sequence[Instance]], height: int, width: int) -> "Instances":
        """samples: of each picture its instances, with masks of height x width."""
        held = [(place, instance) for place, own in enumerate(samples) for instance in own]
        masks = [instance.mask for _, instance in held]
        return cls(
            torch.stack(masks) if masks else torch.empty(0, height, width, dtype=torch.bool),
            torch.tensor([place for place, _ in held], dtype=torch.int64),
            torch.tensor([(i.start, i.end) for _, i in held], dtype=torch.int64).reshape(-1, 2),
        )

    def to(self, device: torch.device, non_blocking: bool = False) -> "Instances":
        return dataclasses.replace(self, masks=self.masks.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Instances":
        return dataclasses.replace(self, masks=self.masks.pin_memory())


def read_masks(root: Path, split: str, pairs: Iterable[tuple[str, str]]) -> Phrases | None:
    """None where the split has no such file. pairs: (image name, caption). Raises InputError for another form, a file
    that is not there, a phrase that no caption of its image holds."""
    path, folder = root / f"masks_{split}.json", root / f"masks_{split}"
    if not path.is_file():
        return None
    content = read_json(path, f"write {_FORM}")
    if not isinstance(content, dict):
        raise InputError(f"{path}: is not {_FORM}; write that")
    captions: dict[str, list[str]] = {}
    for name, caption in pairs:
        captions.setdefault(name, []).append(caption)
    found: Phrases = {}
    for name in content.keys() & captions.keys():
        found[name] = [_row(row, captions[name], folder, f"{path}: {name}") for row in _rows(content[name], path, name)]
    return found


def _rows(rows: object, path: Path, name: str) -> list[object]:
    if not isinstance(rows, list):
        raise InputError(f"{path}: {name} has {str(rows)[:100]}, not a list; write {_FORM}")
    return rows


def _row(row: object, captions: Sequence[str], folder: Path, where: str) -> tuple[str, Path]:
    if not (isinstance(row, list) and len(row) == 2 and all(isinstance(part, str) and part.strip() for part in row)):
        raise InputError(f"{where} has {str(row)[:100]}; write [phrase, file]")
    phrase, file = row
    if leaves_folder(file) or not (folder / file).is_file():
        raise InputError(f"{where}, {phrase!r}: {folder / file} is no file in {folder}; restore it, or take it out")
    if not any(_found(phrase, caption) for caption in captions):
        raise InputError(
            f"{where}: no caption holds the phrase {phrase!r}; write it as the caption does ({captions[0]!r})"
        )
    return phrase, folder / file


def _found(phrase: str, caption: str) -> list[tuple[int, int]]:
    """Where the caption holds it, whole words."""
    pattern = rf"(?<!\w){re.escape(phrase.strip())}(?!\w)"
    return [match.span() for match in re.finditer(pattern, caption, re.IGNORECASE)]


def instances_of(
    rows: Sequence[tuple[str, Path]], caption: str, size: tuple[int, int], side: int, name: str
) -> list[Instance]:
    """The instances of a picture under one of its captions.

    rows: phrases and mask files; a phrase that is given twice takes its places one after the other, and no place that
    belongs to a phrase before it; size: width and height of the picture; side: of the square that it is squashed to;
    name: for errors. Raises InputError for a mask of another size, an empty one, two of the same object.
    """
    instances, masks = [], []
    for phrase, path in rows:
        taken = [(instance.start, instance.end) for instance in instances]
        free = [span for span in _found(phrase, caption) if not any(_meet(span, other) for other in taken)]
        if not free:
            continue
        mask = _read_mask(path, size, side)
        for other, file in masks:
            smaller = min(int(mask.sum()), int(other.sum()))
            if int((mask & other).sum()) > SAME * smaller:
                raise InputError(f"{name}: the masks {path} and {file} overlap; each object has one, take one out")
        masks.append((mask, path))
        instances.append(Instance(*free[0], mask))
    return instances


def _meet(span: tuple[int, int], other: tuple[int, int]) -> bool:
    return span[0] < other[1] and other[0] < span[1]


def fit(instances: Sequence[Instance], size: tuple[int, int], side: int, name: str) -> Instances:
    """Of one picture, as a network reads them. instances: with masks of the picture's `size` (width, height), or of
    side x side already; name: for errors. Raises InputError for a mask of another size or an empty one."""
    fitted = []
    for instance in instances:
        height, width = instance.mask.shape
        if (width, height) not in (size, (side, side)):
            raise InputError(
                f"{name}: a mask is {width} x {height}, the picture {size[0]} x {size[1]}; make the mask of that size"
            )
        mask = _squash(Image.fromarray(instance.mask.cpu().numpy()), side)
        if not mask.any():
            raise InputError(f"{name}: a mask is empty at {side} x {side} pixels; make it larger, or leave it out")
        fitted.append(instance._replace(mask=mask))
    return Instances.of([fitted], side, side)


def _squash(mask: Image.Image, side: int) -> Tensor:
    """Of mode 1 or L -> (side, side) bool."""
    return torch.from_numpy(np.array(mask.convert("L").resize((side, side), Image.Resampling.NEAREST)) >= 128)


def _read_mask(path: Path, size: tuple[int, int], side: int) -> Tensor:
    """(side, side) bool."""
    try:
        with Image.open(path) as file:
            mask = file.convert("L")
    except OSError as error:
        raise InputError(f"{path}: not a readable picture ({reason(error)}); make the mask again") from error
    if mask.size != size:
        raise InputError(
            f"{path}: is {mask.width} x {mask.height}, its picture {size[0]} x {size[1]}; make the mask of that size"
        )
    inside = _squash(mask, side)
    if not inside.any():
        raise InputError(f"{path}: is empty at {side} x {side} pixels; make the mask again, or take it out")
    return inside
