"""Picture files of any kind as RGB."""

from pathlib import Path

from PIL import Image

from datasets.shards import PackedImage
from utils import look
from utils.errors import InputError
from utils.picture_file import ENDINGS, PictureFile, openable

_REMEDY = "restore the file or take its pairs out"


def find_images(folder: Path) -> list[Path]:
    """Every picture in a folder and its sub-folders, by name, as whole paths. Raises InputError where there is none."""
    found = sorted(path for path in folder.rglob("*") if openable(path) and path.is_file())
    if not found:
        raise InputError(f"{folder}: no picture in this folder ({', '.join(ENDINGS)}); pass another")
    return [path.resolve() for path in found]


def image_size(path: Path | PackedImage) -> tuple[int, int]:
    """(width, height) of the picture as it is seen (EXIF orientation applied), from its header alone."""
    with open_image(path) as file:
        return file.seen_size


def read_image(path: Path | PackedImage, at_least: tuple[int, int] | None = None) -> Image.Image:
    """The picture as it is seen, by `look.seen`: upright, RGB with 8 bits, transparency on white.

    at_least: (width, height) that suffice; a JPEG is then decoded at the smallest scale not below (1/2, 1/4, 1/8).
    """
    with open_image(path) as file:
        return look.seen(file, at_least)


def open_image(path: Path | PackedImage) -> PictureFile:
    """Its header alone is read. Raises InputError where it is no picture."""
    return PictureFile(path if isinstance(path, Path) else path.content, str(path), remedy=_REMEDY)
