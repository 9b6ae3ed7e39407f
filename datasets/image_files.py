"""Picture files of any kind as RGB."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from datasets.shards import PackedImage
from utils.errors import InputError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


def find_images(folder: Path) -> list[Path]:
    """Every picture in a folder and its sub-folders, by name, as whole paths. Raises InputError where there is none."""
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file())
    if not found:
        raise InputError(f"{folder}: no picture in this folder ({', '.join(IMAGE_SUFFIXES)}); pass another")
    return [path.resolve() for path in found]


def image_size(path: Path | PackedImage) -> tuple[int, int]:
    """(width, height) of the picture as it is seen (EXIF orientation applied), from its header alone."""
    with open_image(path) as image:
        return seen_size(image)


def read_image(path: Path | PackedImage, at_least: tuple[int, int] | None = None) -> Image.Image:
    """The picture as it is seen, RGB with 8 bits: EXIF orientation applied, 16-bit gray scaled, transparency on white.

    at_least: (width, height) that suffice; a JPEG is then decoded at the smallest scale not below (1/2, 1/4, 1/8).
    """
    with open_image(path) as image:
        return decode(image, path, at_least)


def decode(image: Image.Image, path: Path | PackedImage, at_least: tuple[int, int] | None) -> Image.Image:
    """`read_image` of an opened file, which it changes; path: for errors."""
    try:
        if at_least is not None and image.getexif().get(0x0112, 1) == 1:
            image.draft("RGB", at_least)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return _to_rgb(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: cannot be decoded ({error}); restore the file or take its pairs out") from error


def seen_size(image: Image.Image) -> tuple[int, int]:
    """`image_size` of an opened file."""
    turned = image.getexif().get(0x0112, 1) >= 5  # orientations 5 to 8 lie on their side
    return (image.height, image.width) if turned else image.size


def open_image(path: Path | PackedImage) -> Image.Image:
    """Its header alone is read. Raises InputError where it is no picture."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)  # more pixels than Pillow finds safe
            return Image.open(path if isinstance(path, Path) else io.BytesIO(path.content))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{path}: not a readable image ({error}); restore the file or take its pairs out") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # 16 or 32 bits; Pillow's own conversion would clip at 255
        values = np.asarray(image, dtype=np.float64)
        white = 65535.0 if image.mode != "F" else 1.0 if values.max(initial=0) <= 1 else 255.0
        image = Image.fromarray((values / white * 255).clip(0, 255).round().astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it
