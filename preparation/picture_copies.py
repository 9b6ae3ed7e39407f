"""Pictures into a data folder: found in the sources, measured for chroma, linked or copied smaller, in parallel.

Every file is written beside its place and then moved there, so an interruption leaves whole files only.
"""

import math
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

import cv2
import numpy as np
from PIL import Image

from datasets.image_files import read_image
from datasets.pictures.find_pictures import composed, find_pictures
from datasets.pictures.picture_file import PictureFile
from utils.errors import InputError

MIN_CHROMA = 4.0
"""A picture of less `chroma` is one without. Gray photographs saved as JPEG have up to 2, a brown dog on snow has 4 or
more. Sepia ones have 10 and more: they are left to the rule for captions."""

ENDINGS = {  # under which smaller copies can be written: Pillow's names of the formats
    **dict.fromkeys((".jpg", ".jpeg", ".jpe", ".jfif"), "JPEG"),
    **dict.fromkeys((".tif", ".tiff"), "TIFF"),
    **{".png": "PNG", ".webp": "WEBP", ".bmp": "BMP"},
}
_SIDE = 64  # pixels; chroma is measured on a copy so small that the noise of single pixels is gone
_PERCENTILE = 99  # a small red bus in a gray street is colour enough
_AHEAD = 32  # pictures under way per worker; no more are begun after an interruption


class Copied(NamedTuple):
    name: str
    chroma: float  # 0 where `error`; infinite where it was copied before, and had enough
    error: str = ""  # why the picture cannot be read


class ImageFolders:
    """Where the pictures of one source lie: all below the given folders, by their names. Raises InputError."""

    def __init__(self, folders: Iterable[Path], flag: str, origin: str) -> None:
        self.paths: dict[str, Path] = {}
        for folder in folders:
            if not folder.is_dir():
                remedy = "unpack it and pass the folder" if folder.is_file() else f"expected the pictures of {origin}"
                raise InputError(f"{flag} {folder}: no folder; {remedy}")
            found = find_pictures(folder)
            if found.unlisted:
                raise InputError(f"{flag} {found.unlisted[0]}; change its permissions")
            for path in found.pictures:
                self.paths.setdefault(composed(path.name), path)
        if not self.paths:
            raise InputError(
                f"{flag} {' '.join(map(str, folders))}: holds no .jpg or other picture; expected those of {origin}"
            )

    def find(self, names: Iterable[str]) -> Path | None:
        """The file with the first of these names that is there and holds something."""
        for name in names:
            path = self.paths.get(composed(Path(name).name))
            if path is not None and path.is_file() and path.stat().st_size > 0:
                return path
        return None


def chroma(image: Image.Image) -> float:
    """99th percentile over the pixels of a 64 x 64 copy of sqrt(a^2 + b^2), CIE Lab: 0 for gray, 100 for vivid red."""
    small = image.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    lab = cv2.cvtColor(np.asarray(small, dtype=np.float32) / 255, cv2.COLOR_RGB2LAB)
    return float(np.percentile(np.hypot(lab[..., 1], lab[..., 2]), _PERCENTILE))


def copy_all(
    wanted: dict[str, Path], folder: Path, side: int | None, min_chroma: float, workers: int
) -> Iterator[Copied]:
    """Measures every picture and puts those of enough chroma into `folder`, in the order of `wanted` (name: source).

    side: pixels of the copy's shorter side, None for links to the sources. What is in `folder` already stays as it is.
    """

    def work(item: tuple[str, Path]) -> Copied:
        name, source = item
        there = (folder / name).exists()
        return Copied(name, math.inf) if there else _copy(source, folder / name, name, side, min_chroma)

    items = list(wanted.items())
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(items), _AHEAD * workers):
            yield from pool.map(work, items[start : start + _AHEAD * workers])


def _copy(source: Path, target: Path, name: str, side: int | None, min_chroma: float) -> Copied:
    try:
        image = read_image(source, at_least=(2 * (side or _SIDE),) * 2)  # a JPEG is read at half its size, or less
    except InputError as error:
        return Copied(name, 0.0, str(error))
    measured = round(chroma(image), 3)
    if measured >= min_chroma:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        part.unlink(missing_ok=True)
        try:
            _write(source, image, part, target.suffix.lower(), side)
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)
    return Copied(name, measured)


def _write(source: Path, image: Image.Image, part: Path, ending: str, side: int | None) -> None:
    if side is None:
        part.symlink_to(source.resolve())
        return
    with PictureFile(source, str(source)) as file:
        small = min(file.size) <= side and file.mode == "RGB" and file.format == ENDINGS[ending]
    if small:
        shutil.copyfile(source, part)  # nothing to gain from compressing it once more
        return
    save_reduced(image, part, ENDINGS[ending], side)


def save_reduced(image: Image.Image, file: Path | BinaryIO, kind: str, side: int) -> None:
    """Writes a copy whose shorter side has at most `side` pixels; kind: Pillow's name of the format."""
    share = min(1.0, side / min(image.size))
    size = tuple(max(1, round(length * share)) for length in image.size)
    look = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(kind, {})
    image.resize(size, Image.Resampling.LANCZOS).save(file, kind, **look)
