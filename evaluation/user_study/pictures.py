"""The pictures of the user study's page."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from datasets.image_files import read_image
from utils.log import progress


class Picture(NamedTuple):
    """What a choice shows: a file, and the size that it is brought to, (width, height) in pixels."""

    path: Path
    size: tuple[int, int]
    resample: Image.Resampling


def save_pictures(folder: Path, pictures: dict[str, Picture]) -> str:
    """Each choice as a PNG of pixels alone, in the order of the ids, so that not even the files' times tell systems
    apart. Returns a digest of all."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("c*.png"):  # with --overwrite: of another page
        old.unlink()
    digest = hashlib.sha256()
    for choice, (path, size, resample) in progress(sorted(pictures.items()), "pictures", "picture"):
        image = read_image(path).resize(size, resample)
        digest.update(image.tobytes())
        Image.fromarray(np.asarray(image)).save(folder / f"{choice}.png")
    return digest.hexdigest()
