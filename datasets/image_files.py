"""Picture files of any kind as RGB."""

import logging
import os
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from datasets.pictures.decode import decode_rgb
from datasets.pictures.find_pictures import find_pictures, stored_as
from datasets.pictures.formats import ENDINGS
from datasets.pictures.picture_file import PictureFile
from datasets.shards import PackedImage
from utils.errors import InputError

logger = logging.getLogger(__name__)
_REMEDY = "restore the file or take its pairs out"


def find_images(folder: Path) -> list[Path]:
    """Every picture in a folder and its sub-folders (`pictures/find_pictures.py`), by name, as whole paths; what is
    left out is logged. Raises InputError where there is none, and where one cannot be a file of a picture."""
    found = find_pictures(folder.resolve())
    if found.unlisted and os.path.isdir(folder):
        raise InputError(f"{found.unlisted[0]}; change its permissions, or pass another folder")
    for line in [*found.failures(), *found.left_out()]:
        logger.warning("%s", line)
    if not found.pictures:
        raise InputError(f"{folder}: no picture in this folder ({', '.join(ENDINGS)}); pass another")
    check_usable(found.folder, [str(path.relative_to(found.folder)) for path in found.pictures])
    return found.pictures


def check_usable(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Every image is there, is a file, and holds something. Gives the names of files that are stored in another form
    of Unicode. Raises InputError."""
    bad, stored = [], {}
    for name in dict.fromkeys(names):
        own = stored_as(folder, name)
        if own != name:
            stored[name] = own
        try:
            status = os.stat(folder / own)
            why = "empty (0 bytes)" if status.st_size == 0 else ""
            why = why if stat.S_ISREG(status.st_mode) else "not a file"
        except OSError:
            why = "missing"
        if why:
            bad.append(f"{name} {why}")
    if bad:
        what = f"{len(bad)} image(s) cannot be used: {', '.join(bad[:5])}"
        raise InputError(f"{folder}: {what}; restore them or take their pairs out")
    return stored


def image_size(path: Path | PackedImage) -> tuple[int, int]:
    """(width, height) of the picture as it is seen (EXIF orientation applied), from its header alone."""
    with open_image(path) as file:
        return file.seen_size


def read_image(path: Path | PackedImage, at_least: tuple[int, int] | None = None) -> Image.Image:
    """The picture as it is seen, by `decode_rgb`: upright, RGB with 8 bits, transparency on white.

    at_least: (width, height) that suffice; a JPEG is then decoded at the smallest scale not below (1/2, 1/4, 1/8).
    """
    with open_image(path) as file:
        return decode_rgb(file, at_least)


def open_image(path: Path | PackedImage) -> PictureFile:
    """Its header alone is read. Raises InputError where it is no picture."""
    return PictureFile(path if isinstance(path, Path) else path.content, str(path), remedy=_REMEDY)


def squash(image: Image.Image, size: int, box: tuple[float, float, float, float] | None = None) -> Tensor:
    """Squashed to the square (from `box` alone, if given), antialiased bilinear: (3, size, size) uint8.

    The channels one by one: a picture's bytes, turned round by torch, take several times as long.
    """
    square = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return torch.from_numpy(np.stack([np.asarray(channel) for channel in square.split()]))


def leaves_folder(name: str) -> bool:
    """Whether an image name is empty or may lie outside its split's folder."""
    pure = PurePosixPath(name)
    return not name or pure.is_absolute() or ".." in pure.parts or "\\" in name or "\0" in name


def draw_crop(width: int, height: int, scale: tuple[float, float], seed: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a random resized crop that keeps a share of the area within `scale`; of all, where
    both are 1.

    torchvision draws from the global generator: it is lent ours. Not by torch.manual_seed, which would seed the GPUs
    too, and note a stack trace every time where CUDA is not in use yet.
    """
    if tuple(scale) == (1.0, 1.0):
        return 0, 0, height, width
    state = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(seed)
        return v2.RandomResizedCrop.get_params(torch.empty(0, height, width), list(scale), [3 / 4, 4 / 3])
    finally:
        torch.set_rng_state(state)
