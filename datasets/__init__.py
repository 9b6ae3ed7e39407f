"""Data sets and their loaders. Not Hugging Face's `datasets`: never install that package beside this one."""

import dataclasses
import logging
from pathlib import Path
from typing import Any, Protocol

from torch.utils.data import DataLoader

from datasets.boxes import Wanted
from datasets.captioned_images import CaptionedImages
from datasets.captioned_options import CaptionedOptions
from datasets.loading import build_loader
from datasets.pair_list import list_path
from datasets.scenes import Rules, SceneOptions, Scenes
from utils import distributed
from utils.errors import InputError

logger = logging.getLogger(__name__)
DATA_SETS = {"captioned_images": CaptionedOptions, "scenes": SceneOptions}  # --data_set: its flags
Options = CaptionedOptions | SceneOptions


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
        if options.recolor > 0 and tokenizer is None:
            logger.warning("--recolor %g: captions are not read, so nothing is recoloured", options.recolor)
        elif options.recolor > 0 and "counter" not in inputs:
            logger.warning("--recolor without counter captions: L_word (L-CoIns), which compares the two, is left out")
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
