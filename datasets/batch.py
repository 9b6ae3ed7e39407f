"""What one training or evaluation step reads.  B batch; H, W image side; N_L words."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from datasets.boxes import Box, Boxes
from datasets.masks import Instance, Instances
from datasets.words.correspondence import Pairs, matrices
from utils import color

IGNORED = 255  # label of a pixel of no class


@dataclass(frozen=True)
class Sample:
    """One image-caption pair, as a data set gives it."""

    rgb: Tensor  # (3, H, W) uint8 sRGB
    caption: str
    counter_caption: str | None  # the caption with other colour words; None where it has none
    name: str  # image name within its split's folder
    index: int  # place of the pair in its file
    recolored: Tensor | None = None  # (2, 2, H, W) in [-1, 1]: the ab that caption and counter caption ask for instead
    correspondence: Pairs | None = None  # (object word, colour word) of the caption; None where nobody asked for them
    boxes: Sequence[tuple[Box, Tensor]] | None = None  # and their crops (3, H, W) uint8; None where nobody asked
    labels: Tensor | None = None  # (H, W) uint8, the class of every pixel, IGNORED of none; None where nobody asked
    instances: Sequence[Instance] | None = None  # phrases of the caption and masks (H, W); None where nobody asked


@dataclass(frozen=True)
class Batch:
    rgb: Tensor  # (B, 3, H, W) uint8 sRGB on the host; in [0, 1] after `to`
    words: Any  # models.text.Words: ids (B, N_L) int64, mask (B, N_L) bool
    counter_words: Any | None  # the same of the counter captions; None where nobody asked for them
    has_counter: Tensor  # (B,) bool: the counter caption reads differently
    captions: list[str]
    names: list[str]
    indices: list[int]
    recolored: Tensor | None = None  # (R, 2, 2, H, W) in [-1, 1] of R samples, see `Sample`; None where nothing is
    recolored_at: Tensor | None = None  # (R,) int64: their places in the batch
    correspondence: Tensor | None = None  # (B, N_L, N_L) bool, [b, object, colour]; see datasets.words.correspondence
    boxes: Boxes | None = None  # None where nobody asked for them
    labels: Tensor | None = None  # (B, H, W) uint8, see `Sample`; None where nobody asked or nobody has them
    instances: Instances | None = None  # None where nobody asked for them
    seed: int | None = None  # of what a system draws to paint it; None: the system's own
    counter_count: Tensor | None = None  # scalar: counter captions of a batch, the mean over an update's and all ranks'

    @classmethod
    def plain(
        cls,
        rgb: Tensor,
        captions: Sequence[str],
        words: Any,
        boxes: Boxes | None = None,
        instances: Instances | None = None,
        names: Sequence[str] | None = None,
        seed: int | None = None,
    ) -> "Batch":
        """Photographs with captions, to be coloured. rgb: as here, or already in [0, 1]."""
        names = [str(place) for place in range(len(rgb))] if names is None else list(names)
        has_counter = torch.zeros(len(rgb), dtype=torch.bool)
        held: dict[str, Any] = {"boxes": boxes, "instances": instances, "seed": seed}
        return cls(rgb, words, None, has_counter, list(captions), names, list(range(len(rgb))), **held)

    @property
    def color_counter(self) -> bool:
        """Whether it is known what some of the counter captions ask for, so that the network is to say it."""
        return self.recolored is not None and len(self.recolored) > 0 and self.counter_words is not None

    def asked(self, ab: Tensor) -> Tensor:
        """ab: of the pictures, (B, 2, H, W) in [-1, 1]. Returns what the captions ask for, which is what a system
        learns: the same, but for recoloured samples."""
        if self.recolored is None or self.recolored_at is None:
            return ab
        return ab.index_copy(0, self.recolored_at, self.recolored[:, 0].to(ab.dtype))

    def asked_rgb(self) -> Tensor:
        """The pictures that the captions ask for, (B, 3, H, W) in [0, 1], cut to what sRGB has. After `to`."""
        if self.recolored is None:
            return self.rgb
        gray, ab = color.split(self.rgb)
        return color.colorize(gray, self.asked(ab)).clamp(0, 1)

    def to(self, device: torch.device, dtype: torch.dtype = torch.float32) -> "Batch":
        """On `device`, RGB of `dtype` in [0, 1]: bytes cross the bus, not floats."""
        moved = self._each(lambda held: held.to(device, non_blocking=True))
        boxes = moved.boxes and dataclasses.replace(moved.boxes, crops=_unit(moved.boxes.crops, dtype))
        return dataclasses.replace(moved, rgb=_unit(moved.rgb, dtype), boxes=boxes)

    def pin_memory(self) -> "Batch":
        """The hook by which DataLoader(pin_memory=True) pins a batch type of our own."""
        return self._each(lambda held: held.pin_memory())

    def _each(self, change: Callable[[Any], Any]) -> "Batch":
        """With every tensor, and what holds tensors, changed."""
        names = ("rgb", "words", "counter_words", "has_counter", "recolored", "recolored_at", "correspondence")
        held = {name: getattr(self, name) for name in (*names, "boxes", "labels", "instances")}
        return dataclasses.replace(self, **{n: change(value) for n, value in held.items() if value is not None})


def _unit(rgb: Tensor, dtype: torch.dtype) -> Tensor:
    """In [0, 1]; as it is where it was so already."""
    return rgb.to(dtype) / 255 if rgb.dtype == torch.uint8 else rgb.to(dtype)


class Collate:
    """Samples -> Batch: tokenises in the worker and pads to the batch's own longest caption."""

    def __init__(
        self,
        tokenize: Callable[[list[str]], Any] | None,
        counter: bool = False,
        recolors: bool = False,
        encode: Callable[[list[str]], Sequence[Any]] | None = None,
    ) -> None:
        """tokenize: captions -> Words, None where nobody reads them; counter: whether counter captions are wanted
        (training with Eq. 15); recolors: whether samples may be recoloured; encode: captions -> the same tokens with
        their `offsets` in the caption, where the samples have correspondence."""
        self.tokenize, self.counter, self.recolors, self.encode = tokenize, counter, recolors, encode

    def __call__(self, samples: Sequence[Sample]) -> Batch:
        captions = [s.caption for s in samples]
        words, counter_words = None if self.tokenize is None else self.tokenize(captions), None
        has_counter = torch.zeros(len(samples), dtype=torch.bool)
        if self.counter:
            counter_words = self.tokenize([s.counter_caption or s.caption for s in samples])
            has_counter = words.differ(counter_words)  # not where the colour word was cut off
        correspondence = None
        if self.encode is not None:
            offsets = [encoding.offsets for encoding in self.encode(captions)]
            correspondence = matrices(captions, [s.correspondence for s in samples], offsets)
        rgb, recolored = torch.stack([s.rgb for s in samples]), None
        places = [place for place, s in enumerate(samples) if s.recolored is not None]
        if places:
            recolored = torch.stack([samples[place].recolored for place in places])
        elif self.recolors:
            recolored = torch.empty(0, 2, 2, *rgb.shape[2:])
        return Batch(
            rgb=rgb,
            words=words,
            counter_words=counter_words,
            has_counter=has_counter,
            captions=captions,
            names=[s.name for s in samples],
            indices=[s.index for s in samples],
            recolored=recolored,
            correspondence=correspondence,
            recolored_at=None if recolored is None else torch.tensor(places, dtype=torch.int64),
            labels=None if samples[0].labels is None else torch.stack([s.labels for s in samples]),
            boxes=None if samples[0].boxes is None else Boxes.of([s.boxes for s in samples], rgb.shape[-1]),
            instances=None
            if samples[0].instances is None
            else Instances.of([s.instances for s in samples], *rgb.shape[2:]),
        )
