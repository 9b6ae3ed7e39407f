"""Data sets and their loaders. Not Hugging Face's `datasets`: never install that package beside this one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from datasets.batch import Collate
from datasets.captioned_images import Augmentation, CaptionedImages
from datasets.scenes import Scenes
from utils import distributed
from utils.errors import InputError

DATA_SETS = ("captioned_images", "scenes")


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
) -> CaptionedImages | Scenes:
    """The data set `--data_set` names; `augmentation` only for training (of it, Scenes read `counter` alone).

    Raises InputError where data is missing.
    """
    if name not in DATA_SETS:
        raise InputError(f"--data_set {name}: unknown; pass one of {', '.join(DATA_SETS)}")
    if name == "scenes":
        if data_path is not None:
            raise InputError(f"--data_path {data_path}: scenes are made, not read; leave it out")
        scenes = scenes or SceneOptions()
        length = scenes.eval_length if augmentation is None else scenes.length
        counter = augmentation is not None and augmentation.counter
        narrowed = (*scenes.instances, scenes.colors, scenes.shapes)
        return Scenes(split, size, length, seed, *narrowed, counter=counter, curriculum=scenes.curriculum)
    if data_path is None:
        raise InputError("--data_path: pass the folder with cap-img-pairs_{train,val,test}.json and the images")
    return CaptionedImages(Path(data_path), split, size, augmentation, seed)


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
) -> DataLoader:
    """Batches of `batch_size` per process. Training: shuffled by (seed, epoch), the last incomplete batch dropped.

    Evaluation: rank r takes pairs r, r + W, ..., each exactly once, none repeated to fill up; not `shared`: all.
    Raises InputError where training would have no step.
    """
    if train:
        steps = len(dataset) // distributed.world_size() // batch_size
        if steps == 0:
            raise InputError(
                f"--batch_size {batch_size} on {distributed.world_size()} process(es): {len(dataset)} training pairs"
                " fill no batch; pass a smaller one"
            )
        sampler: Sampler = DistributedSampler(
            dataset, distributed.world_size(), distributed.rank(), shuffle=True, seed=seed, drop_last=True
        )
    else:
        sampler = _EveryPairOnce(len(dataset), shared)
    return DataLoader(
        dataset,
        batch_size,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=Collate(tokenize, counter),
        drop_last=train,
        pin_memory=pin_memory,
    )


def set_epoch(loader: DataLoader, epoch: int) -> None:
    """Shuffle and augment the next pass by (seed, epoch). Workers are started anew each pass, so they see it."""
    loader.sampler.set_epoch(epoch)
    loader.dataset.epoch = epoch


class _EveryPairOnce(Sampler):
    def __init__(self, length: int, shared: bool) -> None:
        first, stride = (distributed.rank(), distributed.world_size()) if shared else (0, 1)
        self.indices = range(first, length, stride)

    def __iter__(self) -> Iterator[int]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)
