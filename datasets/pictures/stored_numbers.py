"""Pixels of a picture file as the file means them, at its own depth.  H, W sides as stored.

Pillow decodes; where it would give 8 bits of 16, OpenCV or this module does, and where nothing does, it is said.
"""

import struct

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.pictures import tiff_numbers
from datasets.pictures.color_profile import lab_to_srgb
from datasets.pictures.picture_file import PictureFile
from utils.errors import InputError

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what fails is told by name, not on stderr
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")


def planes(file: PictureFile, notes: list[str]) -> tuple[NDArray, NDArray | None]:
    """Pixels (H, W) or (H, W, 3) and alpha (H, W) or None, uint8 or uint16. Of inks: as Pillow makes RGB of them."""
    image, name = file.image, file.name
    if file.tiff is not None and not (file.tiff.plain and image is not None):
        try:
            return tiff_numbers.read(file.content(), file.tiff, notes)
        except InputError:
            known = (tiff_numbers.WHITE_IS_ZERO, tiff_numbers.BLACK_IS_ZERO, tiff_numbers.RGB)
            if image is None or file.tiff.format != tiff_numbers.UNSIGNED or file.tiff.photometric in known:
                raise  # others, inks or Lab, are read in 8 bits
    deep = _deep_color(file, notes)
    file.load()
    if deep is not None:
        return deep()
    if image.mode.startswith("I") or image.mode == "F":
        return _deep_gray(image, name)
    return _bytes(image)


def _bytes(image: Image.Image) -> tuple[NDArray, NDArray | None]:
    mode = image.mode
    transparent = mode in _ALPHA or "transparency" in image.info
    if mode in ("1", "L", "LA", "La"):
        if not transparent:
            return np.asarray(image.convert("L")), None
        gray = image.convert("RGBA") if mode in ("1", "L") else image.convert("LA")
        return np.asarray(gray.getchannel(0)), np.asarray(gray.getchannel("A"))
    if transparent:
        rgba = np.asarray(image.convert("RGBA"))
        return rgba[..., :3], rgba[..., 3]
    return np.asarray(lab_to_srgb(image) if mode == "LAB" else image.convert("RGB")), None


def _deep_gray(image: Image.Image, name: str) -> tuple[NDArray, NDArray | None]:
    """Gray of 16 bits, of 32 that hold 16, or of floating numbers from 0 to 1 -> uint16."""
    values = np.asarray(image)
    lowest, highest = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    white = 1 if image.mode == "F" else 65535
    if not (lowest >= 0 and highest <= white):
        raise InputError(f"{name}: gray from {lowest:g} to {highest:g}; scale it to 0 ... {white} and save it again")
    gray = np.rint(values * 65535.0).astype(np.uint16) if image.mode == "F" else values.astype(np.uint16)
    return gray, _keyed(gray[..., None], image)


def _keyed(pixels: NDArray, image: Image.Image) -> NDArray | None:
    """Alpha (H, W) of the one colour that is transparent; pixels: (H, W, c) uint16."""
    key = image.info.get("transparency")
    if key is None or isinstance(key, bytes):
        return None
    return np.where((pixels == np.atleast_1d(key)).all(axis=2), 0, 65535).astype(np.uint16)


def _deep_color(file: PictureFile, notes: list[str]):
    """What decodes more than the 8 bits a channel that Pillow does, to be called when Pillow has found the file whole;
    None where there is no more. Looks at the tiles, which are gone once the picture is decoded."""
    image, name = file.image, file.name
    tiles = getattr(image, "tile", None)
    if not tiles:
        return None
    codec, _, offset, args = tiles[0]
    raw = args if isinstance(args, str) else next((arg for arg in args or () if isinstance(arg, str)), "")
    if image.format == "PNG" and raw in ("RGB;16B", "RGBA;16B", "LA;16B"):
        return lambda: _png(file, gray=raw == "LA;16B")
    white = args[-1] if image.format == "PPM" and raw == "RGB" and isinstance(args, tuple) else 255
    if codec == "ppm" and isinstance(white, int) and white > 255:
        return lambda: (_ppm(file, offset, white), None)
    if image.format == "JPEG2000":
        bits = _jpeg2000_bits(file.content())
        if bits and max(bits) > 8 and len(set(bits)) == 1:
            return lambda: _jpeg2000(file, bits, notes)
    deep = ("16" in raw and image.mode[:1] != "I") or white > 255
    bits = 16 if deep else _avif_bits(file.content()) if image.format == "AVIF" else 8
    bits = max(bits, image.info.get("bit_depth", 8) if image.format == "HEIF" else 8)
    if bits > 8:
        notes.append(f"{name}: its {bits} bits a channel are read as 8; {image.format} is not read deeper")
    return None


def _opencv(file: PictureFile) -> NDArray:
    """(H, W, c) uint16, its colours in the order red, green, blue."""
    values = cv2.imdecode(np.frombuffer(file.content(), np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.shape[:2] != file.size[::-1]:
        raise InputError(f"{file.name}: its 16 bits cannot be decoded; save it as a plain 16-bit PNG or TIFF")
    values = values.reshape(*values.shape[:2], -1)
    return np.concatenate([values[..., 2::-1], values[..., 3:]], axis=2) if values.shape[2] >= 3 else values


def _png(file: PictureFile, gray: bool) -> tuple[NDArray, NDArray | None]:
    values = _opencv(file)
    if gray:
        return np.ascontiguousarray(values[..., 0]), np.ascontiguousarray(values[..., -1])
    pixels = np.ascontiguousarray(values[..., :3])
    if file.image.mode == "RGBA":
        return pixels, np.ascontiguousarray(values[..., 3])
    return pixels, _keyed(pixels, file.image)


def _ppm(file: PictureFile, offset: int, white: int) -> NDArray:
    width, height = file.size
    values = np.frombuffer(file.content(), ">u2", width * height * 3, offset).reshape(height, width, 3)
    return values.astype(np.uint16) if white == 65535 else np.rint(values * (65535.0 / white)).astype(np.uint16)


def _jpeg2000(file: PictureFile, bits: list[int], notes: list[str]) -> tuple[NDArray, NDArray | None]:
    """bits: of each component."""
    if len(bits) == 1:  # Pillow shifts them to the upper end of 16
        values = np.asarray(file.image)[..., None] >> (16 - min(16, bits[0]))
    elif len(bits) in (3, 4):
        values = _opencv(file)
    else:
        notes.append(f"{file.name}: its {bits[0]} bits a channel are read as 8")
        return _bytes(file.image)
    if bits[0] < 16:
        values = np.rint(values * (65535.0 / (2 ** bits[0] - 1))).astype(np.uint16)
    pixels = values[..., 0] if len(bits) == 1 else values[..., :3]
    return np.ascontiguousarray(pixels), np.ascontiguousarray(values[..., 3]) if len(bits) == 4 else None


def _jpeg2000_bits(content: bytes) -> list[int]:
    """Of each component, by the codestream's header; [] where it cannot be found."""
    place = content.find(b"\xff\x4f\xff\x51")
    try:
        (count,) = struct.unpack_from(">H", content, place + 40)
        return [(content[place + 42 + 3 * k] & 0x7F) + 1 for k in range(count)] if place >= 0 else []
    except (struct.error, IndexError):
        return []


def _avif_bits(content: bytes) -> int:
    """By the first av1C box."""
    place = content.find(b"av1C")
    flags = content[place + 6] if 0 <= place < len(content) - 6 else 0
    return 12 if flags & 0x20 else 10 if flags & 0x40 else 8


def to_bytes(values: NDArray) -> NDArray:
    """uint16 -> uint8, rounded; uint8 as it is."""
    return values if values.dtype == np.uint8 else ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)
