"""Phrases of captions and the masks of the objects they mean, for systems that sample instance by instance.

    root/masks_{split}.json    {image: [[phrase, file], ...]}
    root/masks_{split}/        the files, such as <image stem>/0.png: of the image's size, white inside of the object

A phrase stands in a caption of its image; captions that do not hold it are without it. An image that is not named has
none. M instances of a batch; H, W sides of its pictures.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import max_pool2d

from datasets.image_files import leaves_folder
from utils.errors import InputError, reason
from utils.text_files import read_json

SAME = 0.5  # of the smaller of two masks: where they share more, one of them is wrong
_FORM = "{image: [[phrase, file], ...]}"
CHANGES = ("grow", "shrink", "shift")
Mask = Image.Image | NDArray | Path  # of a picture as it is seen: of its size, white (or True) inside of the object
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
    path = root / f"masks_{split}.json"
    if not path.is_file():
        return None
    content = read_content(path)
    captions: dict[str, list[str]] = {}
    for name, caption in pairs:
        captions.setdefault(name, []).append(caption)
    return {name: check_rows(path, name, content[name], captions[name]) for name in content.keys() & captions.keys()}


def read_content(path: Path) -> Mapping[str, object]:
    """Image name -> its rows, not checked yet. Raises InputError."""
    content = read_json(path, f"write {_FORM}")
    if not isinstance(content, dict):
        raise InputError(f"{path}: is not {_FORM}; write that")
    return content


def check_rows(path: Path, name: str, rows: object, captions: Sequence[str]) -> list[tuple[str, Path]]:
    """An image's phrases and mask files. The files of X.json lie in the folder X beside it. captions: of the image.
    Raises InputError."""
    if not isinstance(rows, list):
        raise InputError(f"{path}: {name} has {str(rows)[:100]}, not a list; write {_FORM}")
    return [_row(row, captions, path.with_suffix(""), f"{path}: {name}") for row in rows]


def _row(row: object, captions: Sequence[str], folder: Path, where: str) -> tuple[str, Path]:
    if not (isinstance(row, list) and len(row) == 2 and all(isinstance(part, str) and part.strip() for part in row)):
        raise InputError(f"{where} has {str(row)[:100]}; write [phrase, file]")
    phrase, file = row
    if leaves_folder(file) or not (folder / file).is_file():
        raise InputError(f"{where}, {phrase!r}: {folder / file} is no file in {folder}; restore it, or take it out")
    check_phrase(phrase, captions, where)
    return phrase, folder / file


def check_phrase(phrase: str, captions: Sequence[str], where: str) -> None:
    """Raises InputError unless one of the captions holds it."""
    if not any(_found(phrase, caption) for caption in captions):
        raise InputError(
            f"{where}: no caption holds the phrase {phrase!r}; write it as the caption does ({captions[0]!r})"
        )


def _found(phrase: str, caption: str) -> list[tuple[int, int]]:
    """Where the caption holds it, whole words."""
    pattern = rf"(?<!\w){re.escape(phrase.strip())}(?!\w)"
    return [match.span() for match in re.finditer(pattern, caption, re.IGNORECASE)]


def instances_of(
    rows: Sequence[tuple[str, Path]], caption: str, size: tuple[int, int], side: int, name: str
) -> list[Instance]:
    """The instances of a picture under one of its captions; masks of other captions are not read.

    rows: phrases and mask files; size: width and height of the picture; side: of the square that it is squashed to;
    name: for errors. Raises InputError for a mask of another size, an empty one, two of the same object.
    """
    spans = places([phrase for phrase, _ in rows], caption)
    held = [(span, path) for span, (_, path) in zip(spans, rows, strict=True) if span is not None]
    masks = [fit_mask(path, size, side, str(path)) for _, path in held]
    check_apart(masks, [str(path) for _, path in held], name)
    return [Instance(*span, mask) for (span, _), mask in zip(held, masks, strict=True)]


def places(phrases: Sequence[str], caption: str) -> list[tuple[int, int] | None]:
    """Where the caption holds each: one that is given twice takes its places one after the other, and none a place that
    belongs to a phrase before it. None where there is no such place."""
    found: list[tuple[int, int] | None] = []
    for phrase in phrases:
        taken = [span for span in found if span is not None]
        free = (span for span in _found(phrase, caption) if not any(_meet(span, other) for other in taken))
        found.append(next(free, None))
    return found


def _meet(span: tuple[int, int], other: tuple[int, int]) -> bool:
    return span[0] < other[1] and other[0] < span[1]


def placed(caption: str, masks: Sequence[tuple[str, Tensor | None]]) -> list[Instance]:
    """The instances of a caption. masks: phrases and their masks (H, W) bool, None: this place of the phrase has none.
    Phrases that the caption does not hold are left out."""
    spans = places([phrase for phrase, _ in masks], caption)
    pairs = zip(spans, (mask for _, mask in masks), strict=True)
    return [Instance(*span, mask) for span, mask in pairs if span is not None and mask is not None]


def check_apart(masks: Sequence[Tensor], labels: Sequence[str], name: str) -> None:
    """Raises InputError where two masks are of the same object. masks: (H, W) bool."""
    for place, (mask, label) in enumerate(zip(masks, labels, strict=True)):
        for other, before in zip(masks[:place], labels[:place], strict=True):
            smaller = min(int(mask.sum()), int(other.sum()))
            if int((mask & other).sum()) > SAME * smaller:
                raise InputError(f"{name}: the masks {label} and {before} overlap; each object has one, take one out")


def open_mask(path: Path) -> Image.Image:
    """Raises InputError."""
    try:
        with Image.open(path) as file:
            return file.convert("L")
    except OSError as error:
        raise InputError(f"{path}: not a readable picture ({reason(error)}); make the mask again") from error


def fit_mask(mask: Mask, size: tuple[int, int], side: int, label: str) -> Tensor:
    """(side, side) bool. size: of the picture. Raises InputError naming the label."""
    if isinstance(mask, Path):
        mask = open_mask(mask)
    mask = (mask if isinstance(mask, Image.Image) else Image.fromarray(mask)).convert("L")
    if mask.size != size:
        raise InputError(
            f"{label}: is {mask.width} x {mask.height}, its picture {size[0]} x {size[1]}; make the mask of that size"
        )
    inside = torch.from_numpy(np.array(mask.resize((side, side), Image.Resampling.NEAREST)) >= 128)
    if not inside.any():
        raise InputError(f"{label}: is empty at {side} x {side} pixels; make the mask again, or take it out")
    return inside


def parse_change(flag: str, text: str) -> tuple[str, int]:
    """ "grow=2" -> one of CHANGES, and pixels. Raises InputError naming the flag."""
    kind, _, pixels = text.partition("=")
    if kind not in CHANGES or not pixels.isdecimal() or not pixels.isascii() or int(pixels) == 0:
        raise InputError(f"{flag} {text}: pass grow=N, shrink=N or shift=N, with N pixels of 1 or more")
    return kind, int(pixels)


def changed(masks: Tensor, kind: str, pixels: int) -> Tensor:
    """Rough masks, to see what exact ones are worth. masks: (M, H, W) bool.

    grow, shrink: by so many pixels to every side, corners included; the picture's edge takes nothing away; shift: to
    the right and down. A mask of which nothing is left is empty.
    """
    if len(masks) == 0:
        return masks
    if kind == "shift":
        moved = torch.zeros_like(masks)
        moved[:, pixels:, pixels:] = masks[:, :-pixels, :-pixels]
        return moved
    inside = masks if kind == "grow" else ~masks
    grown = max_pool2d(inside[:, None].float(), 2 * pixels + 1, stride=1, padding=pixels)[:, 0] > 0
    return grown if kind == "grow" else ~grown
