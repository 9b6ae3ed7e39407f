"""Scenes as a batch with all that is known of them.

B scenes; N = 5 places for instances, index 0 at the back; H = W = size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from datasets.boxes import Box, Boxes, cut
from datasets.image_files import squash
from datasets.masks import Instance, Instances
from datasets.scenes.layout import N


@dataclass(frozen=True)
class SceneBatch:
    """Indices, int64, are into `COLORS` (= the names of `PALETTE`), SHAPES, PLACES, BACKGROUNDS; -1: no instance."""

    rgb: Tensor  # (B, 3, H, W) uint8 sRGB
    masks: Tensor  # (B, N, H, W) bool: the visible pixels of each instance; no pixel belongs to two
    colors: Tensor  # (B, N) index of the colour; all different within a scene
    counter_colors: Tensor  # (B, N) the colour that the counter caption gives; unnamed instances keep theirs
    named: Tensor  # (B, N) bool: the caption gives the instance a colour
    shapes: Tensor  # (B, N) index of the noun
    places: Tensor  # (B, N) index of the words for the place, into PLACES, said or not
    background_mask: Tensor  # (B, H, W) bool: the pixels of no instance
    background_color: Tensor  # (B,) index; the same under the counter caption, and no instance's in the picture
    background: Tensor  # (B,) index of the noun
    background_named: Tensor  # (B,) bool, as `named`
    spans: Tensor  # (B, N, 2): the caption's characters that speak of the instance, [0, 0) where none do
    counter_spans: Tensor  # the same of the counter caption
    captions: list[str]
    counter_captions: list[str]  # the same sentences with the counter colours
    names: list[str]  # such as clear_000123.png

    @property
    def boxes(self) -> Boxes:
        """Of the instances that can be seen, the largest first."""
        own = zip(self.rgb.numpy(), self.masks.numpy(), strict=True)
        return Boxes.of([crops_of(rgb, boxes_of(masks)) for rgb, masks in own], self.rgb.shape[-1])

    def instances(self, counter: bool = False) -> Instances:
        """The phrases of the captions, or of the counter captions, and exact masks of what can be seen."""
        return instances_of(self.masks, self.counter_spans if counter else self.spans)


def instances_of(masks: Tensor, spans: Tensor) -> Instances:
    """masks: (B, N, H, W) bool; spans: (B, N, 2), as in `SceneBatch`."""
    found = [phrases_of(*own) for own in zip(masks, spans.tolist(), strict=True)]
    return Instances.of(found, *masks.shape[2:])


def masks_of(labels: Tensor) -> Tensor:
    """labels: (B, H, W), 0 the ground, else 1 + instance. Returns (B, N, H, W) bool."""
    return labels[:, None] == torch.arange(1, N + 1, dtype=torch.uint8)[:, None, None]


def phrases_of(masks: Tensor, spans: Sequence[tuple[int, int]]) -> list[Instance]:
    """masks: (N, H, W) bool; spans: N of a caption. Those that are spoken of and can be seen."""
    seen = masks.flatten(1).any(dim=1).tolist()
    return [Instance(*span, mask) for span, mask, shows in zip(spans, masks, seen, strict=True) if any(span) and shows]


def boxes_of(masks: NDArray) -> list[Box]:
    """masks: (N, H, W) bool. Of what is seen of each instance, the largest first."""
    _, height, width = masks.shape
    found = []
    for mask in masks[masks.any(axis=(1, 2))]:
        rows, columns = np.nonzero(mask)
        top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
        found.append(Box(left / width, top / height, right / width, bottom / height))
    return sorted(found, key=lambda box: (box.left - box.right) * (box.bottom - box.top))


def crops_of(rgb: NDArray, boxes: Sequence[Box]) -> list[tuple[Box, Tensor]]:
    """rgb: (3, H, W) uint8, H = W."""
    picture = Image.fromarray(np.ascontiguousarray(rgb.transpose(1, 2, 0)))
    return [(box, squash(cut(picture, box), picture.width)) for box in boxes]
