"""Data sets and their loaders. Not Hugging Face's `datasets`: never install that package beside this one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from datasets.batch import Collate
from datasets.captioned_images import Augmentation, CaptionedImages
from datasets.scenes import Scenes
from utils import distributed, seeds
from utils.errors import InputError

DATA_SETS = ("captioned_images", "scenes")
_BLOCKS = 8  # of a window


class SceneOptions(NamedTuple):
    """What `--data_set scenes` may narrow; see `datasets.scenes.Scenes`."""

    length: int = 20000  # scenes of an epoch of training
    eval_length: int = 500  # scenes of every other split
    instances: tuple[int, int] = (2, 5)  # fewest, most
    colors: int | None = None  # of COLORS, from the first; None: all
    shapes: int | None = None  # of SHAPES, from the first; None: all
    curriculum: int = 0  # epochs of training that begin with the fewest of all these


def build_dataset(
    name: str,
    data_path: str | None,
    split: str,
    size: int,
    augmentation: Augmentation | None = None,
    seed: int = 0,
    scenes: SceneOptions | None = None,
    correspondence: str | None = None,
    uncaptioned: str | None = None,
) -> CaptionedImages | Scenes:
    """The data set `--data_set` names; `augmentation` only for training (of it, Scenes read `counter` alone).

    correspondence: file of `datasets.words.correspondence` for this split's captions, for the batches' matrices;
    uncaptioned: folder of photographs that join the pairs with empty captions.
    Raises InputError where data is missing.
    """
    if name not in DATA_SETS:
        raise InputError(f"--data_set {name}: unknown; pass one of {', '.join(DATA_SETS)}")
    if name == "scenes":
        if data_path is not None:
            raise InputError(f"--data_path {data_path}: scenes are made, not read; leave it out")
        if correspondence is not None:
            raise InputError(f"--correspondence {correspondence}: is for captions that are read; scenes are made")
        if uncaptioned is not None or (
            augmentation is not None and max(augmentation.caption_dropout, augmentation.recolor) > 0
        ):
            raise InputError(
                "--uncaptioned, --caption_dropout, --recolor: are for captions that are read; scenes are made"
            )
        scenes = scenes or SceneOptions()
        length = scenes.eval_length if augmentation is None else scenes.length
        counter = augmentation is not None and augmentation.counter
        narrowed = (*scenes.instances, scenes.colors, scenes.shapes)
        return Scenes(split, size, length, seed, *narrowed, counter=counter, curriculum=scenes.curriculum)
    if data_path is None:
        raise InputError("--data_path: pass the folder with cap-img-pairs_{train,val,test}.json and the images")
    metadata = None if correspondence is None else Path(correspondence)
    photographs = None if uncaptioned is None else Path(uncaptioned)
    return CaptionedImages(Path(data_path), split, size, augmentation, seed, metadata, photographs)


def build_loader(
    dataset: Dataset,
    tokenize: Callable[[list[str]], Any],
    batch_size: int,
    num_workers: int,
    train: bool,
    counter: bool = False,
    shared: bool = True,
    seed: int = 0,
    pin_memory: bool = False,
    shuffle_window: int = 0,
) -> DataLoader:
    """Batches of `batch_size` per process. Training: shuffled by (seed, epoch), the last incomplete batch dropped.

    Evaluation: rank r takes pairs r, r + W, ..., each exactly once, none repeated to fill up; not `shared`: rank 0
    takes all.
    shuffle_window: pairs among which training shuffles (`shuffled`); 0: all of them.
    tokenize: a `CaptionTokenizer`, or, for a data set without correspondence, any function of captions.
    Raises InputError where training would have no step.
    """
    if train:
        steps = len(dataset) // distributed.world_size() // batch_size
        if steps == 0:
            raise InputError(
                f"--batch_size {batch_size} on {distributed.world_size()} process(es): {len(dataset)} training pairs"
                " fill no batch; pass a smaller one"
            )
        sampler: Sampler = _Shuffled(len(dataset), batch_size, seed, shuffle_window)
    else:
        sampler = _EveryPairOnce(len(dataset), shared)
    dataset.near_file_order = not train or shuffle_window > 0
    with_pairs = getattr(dataset, "correspondence", None) is not None
    encode = tokenize.tokenizer.encode_batch if with_pairs else None
    return DataLoader(
        dataset,
        batch_size,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=Collate(tokenize, counter, encode),
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

    def __init__(self, length: int, batch_size: int, seed: int, window: int = 0) -> None:
        self.length, self.batch_size, self.seed, self.window = length, batch_size, seed, window
        self.epoch = self.seen = 0

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(seeds.derive(self.seed, seeds.ORDER, self.epoch))
        order = shuffled(self.length, self.window, generator)
        ranks = distributed.world_size()
        together = ranks * self.batch_size
        end = self.seen + (self.length - self.seen) // together * together
        return iter(order[self.seen + distributed.rank() : end : ranks].tolist())

    def __len__(self) -> int:
        """Of a whole epoch."""
        return self.length // (distributed.world_size() * self.batch_size) * self.batch_size


class _EveryPairOnce(Sampler):
    def __init__(self, length: int, shared: bool) -> None:
        self.indices = distributed.share(length, shared)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)
