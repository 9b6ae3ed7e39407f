"""What the page takes: a picture file, judged by its name, its length and its header before it is decoded."""

from pathlib import Path
from typing import NamedTuple

from datasets.pictures.formats import TooLarge, max_pixels
from datasets.pictures.picture_file import PictureFile
from utils.errors import InputError

SMALL = 16  # pixels: a picture with a shorter side has hardly anything in it to colour
_ENDINGS = {  # what Pillow calls a format: the endings that `ColoredPhoto.save` writes it under, the usual one first
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg"),  # of a telephone, found by the JPEG reader
    "PNG": (".png",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
_LONGEST_STEM = 100  # characters of a file's name that the coloured file's keeps


class Header(NamedTuple):
    width: int  # pixels, as stored
    height: int
    format: str  # as Pillow calls it

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6


def read_header(path: Path, name: str, max_megapixels: float) -> Header:
    """Raises InputError, in words for the visitor who called the file `name`, where it is no picture or too large."""
    try:
        with PictureFile(path, name, most=2**62) as file:
            header = Header(*file.size, file.format)
    except TooLarge as error:  # twice what Pillow finds safe: its size is not even told
        raise InputError(
            f"{name} says that it has more than {2 * max_pixels() / 1e6:.0f} megapixels. This page takes up"
            f" to {max_megapixels:g}: make it smaller and upload it again."
        ) from error
    except InputError as error:
        raise InputError(
            f"{name} is not a picture that this page can read. Upload a JPEG, PNG, TIFF, WebP, GIF or BMP file."
        ) from error
    if header.megapixels > max_megapixels:
        raise InputError(
            f"{name} has {header.megapixels:.0f} megapixels ({header.width}×{header.height}). This page takes up to"
            f" {max_megapixels:g}: make it smaller and upload it again."
        )
    return header


def colored_name(name: str, format: str) -> str:
    """ "beach.jpeg" -> "beach_colored.jpeg". The ending tells the format, and is .png where that cannot be written."""
    path = Path(name.replace("\\", "/"))
    endings = _ENDINGS.get(format, (".png",))
    ending = path.suffix if path.suffix.lower() in endings else endings[0]
    stem = "".join(c for c in path.stem if c.isprintable() and c not in '<>:"/|?*').strip(". ")[:_LONGEST_STEM]
    return f"{stem or 'photo'}_colored{ending}"
