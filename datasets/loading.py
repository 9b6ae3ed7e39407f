"""Batches of a data set: who gets which pairs, in which order."""

import signal
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from datasets.batch import Collate
from utils import distributed, seeds
from utils.errors import InputError

_BLOCKS = 8  # of a window


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
        worker_init_fn=_leave_signals,
        generator=torch.Generator(),  # of the workers' seeds: the process's own generator stays as it is
    )


def _leave_signals(_: int) -> None:
    """In a loader process. What asks a training to end goes to all of its processes under torchrun and on clusters; the
    one that trains ends the others itself, after its step."""
    for number in distributed.SIGNALS:
        signal.signal(number, signal.SIG_IGN)


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
