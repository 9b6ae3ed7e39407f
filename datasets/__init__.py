"""Data sets and their loaders. Not Hugging Face's `datasets`: never install that package beside this one."""

import dataclasses
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from datasets.batch import Collate
from datasets.boxes import Wanted
from datasets.captioned_images import CaptionedImages
from datasets.captioned_options import CaptionedOptions
from datasets.pair_list import list_path
from datasets.scenes import Rules, SceneOptions, Scenes
from utils import distributed, seeds
from utils.errors import InputError

logger = logging.getLogger(__name__)
DATA_SETS = {"captioned_images": CaptionedOptions, "scenes": SceneOptions}  # --data_set: its flags
Options = CaptionedOptions | SceneOptions
_BLOCKS = 8  # of a window


def options_of(name: str) -> type:
    """The dataclass of a data set's flags. Raises InputError for an unknown name."""
    if name not in DATA_SETS:
        raise InputError(f"--data_set {name}: unknown; pass one of {', '.join(DATA_SETS)}")
    return DATA_SETS[name]


def build_dataset(
    options: Options,
    data_path: str | None,
    split: str,
    size: int,
    train: bool = False,
    inputs: frozenset[str] = frozenset(),
    seed: int = 0,
    captions: bool = True,
    level: str = "complete",
) -> CaptionedImages | Scenes:
    """The data set that `options` are of, augmented where it is to `train`.

    inputs: of `models.System`, of which "boxes", in training "counter" (captions, for Eq. 15), "one box",
    "correspondence" and "labels", and otherwise "instances" are heeded; captions: not for a system that reads none;
    level: of the captions outside of training, of `datasets.words.levels.LEVELS`. Raises InputError where data is
    missing.
    """
    if isinstance(options, SceneOptions):
        if data_path is not None:
            raise InputError(f"--data_path {data_path}: scenes are made, not read; leave it out")
        length = options.scenes if train else options.eval_scenes
        rules = Rules(*options.scene_instances, options.scene_colors, options.scene_shapes, options.scene_favorites)
        if train:
            return Scenes(split, size, length, seed, rules, inputs, options.scene_curriculum)
        return Scenes(split, size, length, 0, rules, inputs, level=level)
    if data_path is None:
        raise InputError("--data_path: pass the folder with cap-img-pairs_{train,val,test}.json and the images")
    boxes = Wanted.of(inputs, train, options.max_boxes, options.box_score)
    if boxes is not None and train and options.uncaptioned is not None:
        raise InputError(
            f"--uncaptioned {options.uncaptioned}: has no boxes; move its pictures into {Path(data_path) / split}, and"
            f" their boxes into boxes_{split}.json"
        )
    if train and "correspondence" in inputs and options.correspondence is None:
        options = dataclasses.replace(options, correspondence=str(_correspondence(Path(data_path), split)))
    given = options if train else None
    return CaptionedImages(Path(data_path), split, size, given, inputs, seed, captions, boxes, level)


def _correspondence(root: Path, split: str) -> Path:
    path = root / f"correspondence_{split}.json"
    if not path.is_file():
        raise InputError(
            f"{path}: not there, and --correspondence is not given; this system learns from object-colour pairs: write"
            f" them with: python scripts/correspondence.py {list_path(root, split)} {path}"
        )
    return path


class Reader(Protocol):
    """Whom the batches are for: a `models.System`."""

    img_size: int
    inputs: frozenset[str]
    tokenizer: Any  # of captions; None where it reads none
    training_tokenizer: Any  # the same, in training


def build_train_loader(
    options: Options,
    data_path: str | None,
    reader: Reader,
    batch_size: int,
    num_workers: int,
    seed: int,
    pin_memory: bool,
) -> DataLoader:
    """Of the split `train`, without images that cannot be read, as far as the options allow. Raises InputError."""
    tokenizer, inputs = reader.training_tokenizer, reader.inputs
    dataset = build_dataset(options, data_path, "train", reader.img_size, True, inputs, seed, tokenizer is not None)
    window = epoch_length = 0
    if isinstance(options, CaptionedOptions):
        window, epoch_length = options.shuffle_window, options.epoch_pairs
        if options.recolor > 0 and "counter" not in inputs:
            logger.warning("--recolor without counter captions (w/o CL): L_word compares the two, and is left out")
        broken = _unreadable(dataset, options.skip_unreadable, f", --skip_unreadable allows {options.skip_unreadable}")
        if broken:
            logger.warning("left out as unreadable (%d): %s", len(broken), ", ".join(broken))
            dataset.leave_out(broken)
    order = {"seed": seed, "shuffle_window": window, "epoch_length": epoch_length}
    return build_loader(dataset, tokenizer, batch_size, num_workers, train=True, pin_memory=pin_memory, **order)


def build_eval_loader(
    options: Options,
    data_path: str | None,
    split: str,
    reader: Reader,
    batch_size: int,
    num_workers: int,
    shared: bool = True,
    level: str = "complete",
) -> DataLoader:
    """Every pair of the split, none left out: a broken image is an error before anything is computed. level: of the
    captions, of `datasets.words.levels.LEVELS`."""
    captions = reader.tokenizer is not None
    dataset = build_dataset(
        options, data_path, split, reader.img_size, inputs=reader.inputs, captions=captions, level=level
    )
    if isinstance(dataset, CaptionedImages):
        _unreadable(dataset, 0)
    return build_loader(dataset, reader.tokenizer, batch_size, num_workers, train=False, shared=shared)


def _unreadable(dataset: CaptionedImages, most: int, allowed: str = "") -> list[str]:
    """The images that cannot be decoded. Raises InputError where they are more than `most`."""
    broken = distributed.on_main(dataset.unreadable)
    if len(broken) > most:
        names = ", ".join(broken[:20])
        what = f"{len(broken)} unreadable images{allowed}: {names}"
        raise InputError(f"{dataset.folder}: {what}; restore them{' or allow more' if allowed else ' or their pairs'}")
    return broken


def build_loader(
    dataset: Dataset,
    tokenize: Callable[[list[str]], Any] | None,
    batch_size: int,
    num_workers: int,
    train: bool,
    shared: bool = True,
    seed: int = 0,
    pin_memory: bool = False,
    shuffle_window: int = 0,
    epoch_length: int = 0,
) -> DataLoader:
    """Batches of `batch_size` per process. Training: shuffled by (seed, epoch), the last incomplete batch dropped.

    Evaluation: rank r takes pairs r, r + W, ..., each exactly once, none repeated to fill up; not `shared`: rank 0
    takes all.
    shuffle_window: pairs among which training shuffles (`shuffled`); 0: all of them.
    epoch_length: pairs of an epoch of training; 0: all. The next epoch goes on where it ends, in an order of all pairs.
    tokenize: a `CaptionTokenizer`, or, for a data set without correspondence, any function of captions.
    Raises InputError where training would have no step.
    """
    if train:
        pairs = epoch_length or len(dataset)
        if pairs // distributed.world_size() // batch_size == 0:
            raise InputError(
                f"--batch_size {batch_size} on {distributed.world_size()} process(es): {pairs} training pairs"
                " fill no batch; pass a smaller one"
            )
        sampler: Sampler | range = _Shuffled(len(dataset), batch_size, seed, shuffle_window, epoch_length)
    else:
        sampler = distributed.share(len(dataset), shared)
    dataset.near_file_order = not train or shuffle_window > 0
    recolors = getattr(getattr(dataset, "options", None), "recolor", 0) > 0
    with_pairs = getattr(dataset, "correspondence", None) is not None
    encode = tokenize.tokenizer.encode_batch if with_pairs else None
    return DataLoader(
        dataset,
        batch_size,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=Collate(tokenize, getattr(dataset, "counter", False), recolors, encode),
        drop_last=train,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # of the workers' seeds: the process's own generator stays as it is
    )


def set_epoch(loader: DataLoader, epoch: int, seen: int = 0) -> None:
    """Shuffle and augment the next pass by (seed, epoch), and begin it behind the first `seen` samples of all ranks.

    Workers are started anew each pass, so they see it. Samples are drawn by (seed, epoch, index); what else a worker
    might draw depends on (seed, epoch, rank).
    """
    loader.generator.manual_seed(seeds.derive(loader.sampler.seed, seeds.WORKERS, epoch, distributed.rank()))
    loader.sampler.epoch, loader.sampler.seen = epoch, seen
    loader.dataset.epoch = epoch


def shuffled(length: int, window: int, generator: torch.Generator) -> Tensor:
    """An order of `length` pairs, (length,) int64. Window 0: any.

    Else blocks of window / 8 neighbours are shuffled, and then every pair falls back at random by up to 8 blocks: what
    is read at any time lies in 9 stretches of the disk, one of them new. Files and shards have the same order.
    """
    if window == 0:
        return torch.randperm(length, generator=generator)
    block = torch.arange(length) // max(1, window // _BLOCKS)
    turn = torch.randperm(int(block[-1]) + 1, generator=generator)[block]
    return (turn + _BLOCKS * torch.rand(length, generator=generator, dtype=torch.float64)).argsort(stable=True)


class _Shuffled(Sampler):
    """The order of (seed, epoch), dealt out to the ranks in turn; a rest that fills no batch of all ranks is left out.

    What the ranks have seen is always the head of that order, so an epoch goes on where it stopped with any number of
    processes.
    """

    def __init__(self, length: int, batch_size: int, seed: int, window: int = 0, epoch_length: int = 0) -> None:
        """length: of the data set; epoch_length: samples of an epoch, 0: all."""
        self.length, self.batch_size, self.seed, self.window = length, batch_size, seed, window
        self.epoch_length = epoch_length or length
        self.epoch = self.seen = 0

    def __iter__(self) -> Iterator[int]:
        order = self._order()
        ranks = distributed.world_size()
        together = ranks * self.batch_size
        end = self.seen + (self.epoch_length - self.seen) // together * together
        return iter(order[self.seen + distributed.rank() : end : ranks].tolist())

    def _order(self) -> Tensor:
        """(epoch_length,) int64: of one pass over all samples after another, the present epoch's part."""
        first, offset = divmod(self.epoch * self.epoch_length, self.length)
        passes = range(first, first + -(-(offset + self.epoch_length) // self.length))
        generators = (torch.Generator().manual_seed(seeds.derive(self.seed, seeds.ORDER, turn)) for turn in passes)
        orders = [shuffled(self.length, self.window, generator) for generator in generators]
        return torch.cat(orders)[offset : offset + self.epoch_length]

    def __len__(self) -> int:
        """Of a whole epoch."""
        return self.epoch_length // (distributed.world_size() * self.batch_size) * self.batch_size
