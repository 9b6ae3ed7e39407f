"""Scenes: pictures of several instances with exact masks, captions and counter captions, made and not read.

B scenes; N = 5 places for instances (a scene has two to five), index 0 at the back; H = W = size; C palette colours.

PSNR hardly tells whether a red ball and a green cone have changed their colours. Here every instance has a mask and a
colour that the caption gives it, so the claims of Fig. 1 can be counted, each by a test split that differs from `clear`
in one thing:

    train, val   L goes with the colour as in photographs (yellow bright, blue dark); no held-out colour-object pair
    clear        L is free of the colour; every noun once in a scene; no held-out pair
    instances    as clear, but a noun two or three times in a scene, in different colours; all instances are named
    unobserved   as clear, but of held-out pairs only
    luminance    as clear, but L goes against the colour: yellow dark, blue bright

The same (split, seed, index, rules) is the same scene on every machine, in every batch and, up to the raster, at every
size. Nothing is drawn from a generator that outlives a scene.

Differs: the paper has no such data; it shows these four claims by pictures.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from datasets.batch import Sample
from datasets.boxes import Wanted
from datasets.scenes.batch import SceneBatch, boxes_of, crops_of, masks_of, phrases_of
from datasets.scenes.captions import captions, sentences
from datasets.scenes.draws import Draws, draw, reword
from datasets.scenes.layout import PLACES, N
from datasets.scenes.options import FEWEST_SHAPES, check
from datasets.scenes.palette import lookup
from datasets.scenes.raster import rasterize
from datasets.scenes.rules import ALL, COLORS, SPARE, SPLITS, Rules
from datasets.scenes.shapes import SHAPES, backgrounds
from datasets.words import color_words
from datasets.words.color_phrases import propose
from datasets.words.levels import describe

TEST_SPLITS = ("clear", "instances", "unobserved", "luminance")  # the four claims


class Scenes(Dataset):
    """`length` scenes of a split, as a data set and (`render`) as batches with masks.

    Set `epoch` before each pass: epoch e of `train` is the scenes e * length, e * length + 1, ... of the stream, so
    training sees none twice. The other splits are the same in every epoch.
    """

    def __init__(
        self,
        split: str,
        size: int,
        length: int,
        seed: int = 0,
        rules: Rules = ALL,
        inputs: frozenset[str] = frozenset(),
        curriculum: int = 0,
        level: str = "complete",
    ) -> None:
        """size: side in pixels; inputs: of `models.System`: "boxes", and of `train` "counter", "one box",
        "correspondence" and "labels", of the other splits "instances"; curriculum: so many epochs of `train` begin with
        the fewest instances, colours and shapes there can be; level: of the captions, of
        `datasets.words.levels.LEVELS`. Raises InputError naming the value and the remedy."""
        check(split, size, length, seed, rules)
        fewest, train = rules.min_instances, split == "train"
        self._all, self._few = rules, Rules(fewest, fewest, fewest + SPARE, FEWEST_SHAPES, rules.favorites)
        self._few_epochs = curriculum if train else 0
        self.split, self.size, self.length, self.seed = split, size, length, seed
        self.counter, self.labels = train and "counter" in inputs, train and "labels" in inputs
        self.wanted = Wanted.of(inputs, train)
        # each caption's pairs are found when it is drawn
        self.correspondence = () if train and "correspondence" in inputs else None
        self.instances, self.level = not train and "instances" in inputs, level
        self.epoch = 0
        self._backgrounds = backgrounds(size)
        lookup()  # before workers are started: they share it

    @property
    def rules(self) -> Rules:
        """Those of the present epoch."""
        return self._few if self.epoch < self._few_epochs else self._all

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Sample:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """The samples of a whole batch: DataLoader calls this, and the batch is rendered at once."""
        stream, draws = self._draw(indices)
        rgb, labels = rasterize(draws, self.size, self._backgrounds)
        own, spans = self._told(draws, draws.color)
        other = self._told(draws, draws.counter_color)[0] if self.counter else [None] * len(own)
        samples = [
            Sample(picture, own[k], other[k], self._name(stream[k]), indices[k])
            for k, picture in enumerate(torch.from_numpy(rgb))
        ]
        if self.correspondence is not None:
            samples = [replace(sample, correspondence=propose(sample.caption)) for sample in samples]
        if self.labels:
            classes = _classes(draws, labels)
            samples = [replace(sample, labels=own) for sample, own in zip(samples, classes, strict=True)]
        if self.instances:
            masks = masks_of(torch.from_numpy(labels))
            held = [phrases_of(*pair) for pair in zip(masks, spans.tolist(), strict=True)]
            samples = [replace(sample, instances=own) for sample, own in zip(samples, held, strict=True)]
        if self.wanted is None:
            return samples
        return [self._boxed(*given) for given in zip(samples, rgb, labels, stream, strict=True)]

    def _boxed(self, sample: Sample, rgb: NDArray, labels: NDArray, place: int) -> Sample:
        """The sample with its boxes, or one of them alone, at random, as a picture of its own."""
        boxes = boxes_of(labels == np.arange(1, N + 1, dtype=np.uint8)[:, None, None])[: self.wanted.most]
        if not self.wanted.alone:
            return replace(sample, boxes=crops_of(rgb, boxes))
        draw = np.random.default_rng((self.seed, SPLITS.index(self.split), place, 3))
        ((_, crop),) = crops_of(rgb, [boxes[int(draw.integers(len(boxes)))]])
        return replace(sample, rgb=crop, boxes=[])

    def render(self, indices: Sequence[int]) -> SceneBatch:
        """The scenes `indices` (0 ... length - 1, of the present epoch) with all that is known of them."""
        stream, draws = self._draw(indices)
        rgb, labels = map(torch.from_numpy, rasterize(draws, self.size, self._backgrounds))
        tensors = {name: torch.from_numpy(value) for name, value in draws._asdict().items()}
        own, spans = self._told(draws, draws.color)
        counter, counter_spans = self._told(draws, draws.counter_color)
        named, background_named = self._given(draws, own)
        return SceneBatch(
            rgb=rgb,
            masks=masks_of(labels),
            colors=tensors["color"],
            counter_colors=tensors["counter_color"],
            named=named,
            shapes=tensors["shape"],
            places=tensors["place"],
            background_mask=labels == 0,
            background_color=tensors["background_color"],
            background=tensors["background"],
            background_named=background_named,
            spans=spans,
            counter_spans=counter_spans,
            captions=own,
            counter_captions=counter,
            names=[self._name(place) for place in stream],
        )

    def descriptions(self, indices: Sequence[int]) -> list[tuple[str, str]]:
        """Two sentences about each scene: its caption, and the same named instances in another order and form."""
        stream, draws = self._draw(indices)
        again = reword(draws, self.split, self.seed, stream)
        return list(zip(captions(draws, draws.color), captions(again, again.color), strict=True))

    def owners(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """What has each of COLORS in a scene: its noun and its place, (B, C) int64 each, of SHAPES and PLACES.

        One beyond the last of either is the ground, -1 nothing. A scene gives no colour twice.
        """
        _, draws = self._draw(indices)
        count = torch.from_numpy(draws.count)[:, None]
        colors = torch.from_numpy(np.concatenate([draws.color, draws.background_color[:, None]], axis=1))
        colors[colors < 0] = len(COLORS)  # no instance: a colour beyond
        owners = []
        for values, kinds in ((torch.from_numpy(draws.shape), SHAPES), (torch.from_numpy(draws.place), PLACES)):
            values = torch.cat([values, torch.full_like(count, len(kinds))], dim=1)
            owners.append(torch.full((len(count), len(COLORS) + 1), -1).scatter(1, colors, values)[:, :-1])
        return owners[0], owners[1]

    def recolored(self, index: int, count: int) -> list[tuple[str, list[int]]]:
        """`count` captions of one scene, its own first, with the colours (N) that each gives.

        The named colours and the palette's others but the ground's stand in a ring; every caption turns it one further.
        """
        _, draws = self._draw([index])
        own, named = draws.color[0].tolist(), draws.order[0][: draws.named.sum()].tolist()
        first = [own[k] for k in named]
        kept = {*first, draws.background_color[0], *(own[k] for k in range(draws.count[0]) if k not in named)}
        ring = first + [color for color in range(self.rules.num_colors) if color not in kept]
        turned = []
        for turn in range(count):
            colors = own.copy()
            for place, k in enumerate(named):
                colors[k] = ring[(place + turn) % len(ring)]
            turned.append((self._told(draws, np.array([colors]))[0][0], colors))
        return turned

    def spans(self, index: int, colors: Sequence[int]) -> Tensor:
        """(N, 2) int64: which characters of a caption of `recolored` with these colours speak of each instance."""
        _, draws = self._draw([index])
        return self._told(draws, np.array([colors]))[1][0]

    def _told(self, draws: Draws, colors: NDArray) -> tuple[list[str], Tensor]:
        """The captions at this data set's level, and their spans (B, N, 2) as in `SceneBatch`."""
        texts, spans = [], []
        for sentence in sentences(draws, colors):
            description = describe(sentence.caption, self.level)
            texts.append(description.caption)
            spans.append([(any(span) and description.moved(*span)) or (0, 0) for span in sentence.spans])
        return texts, torch.tensor(spans, dtype=torch.int64)

    def _given(self, draws: Draws, own: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Whose colours the captions name: of the instances (B, N), of the grounds (B,); bool. No two colours of a
        scene are the same, and its counter caption names those of the same things."""
        named, ground = torch.from_numpy(draws.named), torch.from_numpy(draws.say_background)
        if self.level == "complete":
            return named, ground
        words = [{caption[start:end] for start, end in color_words.find(caption)} for caption in own]
        told = torch.tensor([[name in held for name in COLORS] for held in words])  # (B, C)
        colors = torch.from_numpy(np.concatenate([draws.color, draws.background_color[:, None]], axis=1)).clamp(min=0)
        told = told.gather(1, colors)  # (B, N + 1)
        return named & told[:, :-1], ground & told[:, -1]

    def _draw(self, indices: Sequence[int]) -> tuple[list[int], Draws]:
        """The places of these scenes in the split's stream, and what they hold. IndexError outside 0 ... length - 1."""
        for index in indices:
            if not 0 <= index < self.length:
                raise IndexError(f"scene {index} of {self.length}")
        first = self.epoch * self.length if self.split == "train" else 0
        stream = [first + int(index) for index in indices]
        return stream, draw(self.split, self.seed, stream, self.rules)

    def _name(self, place: int) -> str:
        return f"{self.split}_{place:06d}.png"


def _classes(draws: Draws, labels: NDArray) -> Tensor:
    """labels: (B, H, W), 0 the ground, else 1 + instance. Returns (B, H, W) uint8: SHAPES, then BACKGROUNDS."""
    kinds = np.concatenate([len(SHAPES) + draws.background[:, None], draws.shape], axis=1)  # (B, 1 + N)
    own = np.take_along_axis(kinds, labels.reshape(len(labels), -1).astype(np.int64), axis=1)
    return torch.from_numpy(own.reshape(labels.shape).astype(np.uint8))
