"""A coloured photograph as a file: 8 or 16 bits, with the profile and the metadata of the one it was made from."""

import os
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.pictures import exif, metadata
from datasets.pictures.metadata import Metadata
from datasets.pictures.stored_numbers import to_bytes
from utils.errors import InputError

_FORMATS = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WebP"}
SUFFIXES = tuple(_FORMATS)  # that `ColoredPhoto.save` writes
_LONGEST = {"JPEG": 65500, "WebP": 16383}  # side in pixels
_LEVEL = 4  # of zlib: 6 takes six times as long for no less
_HOW = {
    "JPEG": {"quality": 95, "subsampling": 0},  # colours at full size: their edges are the point
    "PNG": {"compress_level": _LEVEL},
    "WebP": {"lossless": True, "method": 0, "quality": 20},
}
_STRIP = 1 << 20  # bytes of a TIFF's strip, before it is compressed


@dataclass(frozen=True)
class ColoredPhoto:
    pixels: NDArray  # (H, W, 3), or 4 with alpha; uint8, or uint16 where the photograph had 16 bits
    profile: bytes | None = None
    metadata: Metadata = field(default_factory=Metadata)

    @property
    def image(self) -> Image.Image:
        """8 bits a channel, which is all that Pillow holds in colour; `save` writes 16."""
        image = Image.fromarray(to_bytes(self.pixels))
        extras = {"icc_profile": self.profile, "exif": self.metadata.packed_exif, "xmp": self.metadata.xmp}
        image.info |= {name: value for name, value in extras.items() if value}
        if self.metadata.resolution is not None:
            image.info["dpi"] = self.metadata.resolution
        return image

    def fitting(self, path: Path) -> tuple[Path, str]:
        """The path under which the picture can be saved: `path`, or with another ending where its format cannot hold
        it; and why, in words for the user, "" where nothing changes."""
        why = _unfit(path.suffix, self.pixels)
        if not why:
            return path, ""
        fit = path.with_suffix(".png")
        return fit, f"{path}: {why}; written as {fit.name}"

    def save(self, path: Path) -> list[str]:
        """Written to a temporary file, then renamed (atomic). Returns what the format has no place for, in words for
        the user. Raises InputError where it cannot hold the picture (see `fitting`) or the file cannot be written."""
        why = _unfit(path.suffix, self.pixels)
        if why:
            raise InputError(f"{path}: {why}; end the name in .png")
        notes: list[str] = []
        beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                lost = self._write(file, _FORMATS[path.suffix.lower()])
            os.replace(beside, path)
        except Exception as error:  # the disk's words, a format's, or those of whatever else is raised
            words = str(error).splitlines() or [type(error).__name__]
            raise InputError(f"{path}: cannot be written ({words[0]}); make room, or pass another name") from error
        finally:
            beside.unlink(missing_ok=True)
        notes += [f"{path}: {what} is not kept: {_FORMATS[path.suffix.lower()]} has no place for it" for what in lost]
        return notes

    def _write(self, file: BinaryIO, kind: str) -> list[str]:
        lost: list[str] = []
        if kind == "TIFF":
            _write_tiff(file, self.pixels, self.profile, metadata.for_tiff(self.metadata, lost.append))
            return lost
        told = {"JPEG": metadata.for_jpeg, "PNG": metadata.for_png, "WebP": metadata.for_webp}[kind]
        extras = told(self.metadata, lost.append) | ({"icc_profile": self.profile} if self.profile else {})
        if self.pixels.dtype == np.uint16:
            file.write(_png16(self.pixels, extras))
        else:
            Image.fromarray(self.pixels).save(file, kind.upper(), **_HOW[kind], **extras)
        return lost


def _unfit(suffix: str, pixels: NDArray) -> str:
    """Why a format cannot hold (H, W, 3 or 4) pixels; "" where it can."""
    kind = _FORMATS.get(suffix.lower())
    if kind is None:
        return f"cannot write {suffix or 'no ending'} ({', '.join(SUFFIXES)})"
    if kind == "JPEG" and pixels.shape[2] == 4:
        return "JPEG has no transparency and this photograph has"
    if kind not in ("PNG", "TIFF") and pixels.dtype == np.uint16:
        return f"{kind} has 8 bits and this photograph 16"
    longest = _LONGEST.get(kind, max(pixels.shape))
    return f"{kind} has no side beyond {longest} pixels" if max(pixels.shape) > longest else ""


def _write_tiff(file: BinaryIO, pixels: NDArray, profile: bytes | None, tags: exif.Directory) -> None:
    """Strips of differences, deflated, and every tag as it was in the file that it comes from."""
    height, width, channels = pixels.shape
    rows = max(1, _STRIP // pixels[0].nbytes)
    strips = []
    for start in range(0, height, rows):
        strip = pixels[start : start + rows].astype(pixels.dtype.newbyteorder(tags.order))
        strip[:, 1:] -= pixels[start : start + rows, :-1]
        strips.append(zlib.compress(strip.tobytes(), _LEVEL))
    bits = 8 * pixels.itemsize
    layout = {256: width, 257: height, 259: 8, 262: 2, 277: channels, 278: rows, 284: 1, 317: 2}
    for tag, value in layout.items():
        tags = tags.having(tag, 4 if tag in (256, 257, 278) else 3, value)
    tags = tags.having(258, 3, *[bits] * channels).having(279, 4, *map(len, strips)).having(273, 4, *[0] * len(strips))
    if channels == 4:
        tags = tags.having(338, 3, 2)  # alpha that the colours are not multiplied by
    if profile:
        fields = tags.fields | {metadata.ICC: exif.Field(7, len(profile), profile)}
        tags = exif.Directory(tags.order, fields, tags.parts)
    start = 8 + len(tags.tobytes())
    tags = tags.having(273, 4, *np.cumsum([start, *map(len, strips)])[:-1].tolist())
    file.write(exif.header(tags.order) + tags.tobytes())
    file.writelines(strips)


def _png16(pixels: NDArray, extras: dict[str, Any]) -> bytes:
    """OpenCV's PNG, with the chunks that it does not write behind the header; extras: as Pillow's `save` takes them."""
    order = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    content = cv2.imencode(".png", cv2.cvtColor(pixels, order))[1].tobytes()
    chunks = b""
    if "icc_profile" in extras:
        chunks += _chunk(b"iCCP", b"ICC\0\0" + zlib.compress(extras["icc_profile"]))
    if "dpi" in extras:
        chunks += _chunk(b"pHYs", struct.pack(">IIB", *(round(value / 0.0254) for value in extras["dpi"]), 1))
    if "exif" in extras:
        chunks += _chunk(b"eXIf", extras["exif"].removeprefix(exif.HEADER))
    for kind, data, *_ in getattr(extras.get("pnginfo"), "chunks", ()):
        chunks += _chunk(kind, data)
    header = 8 + 25  # the signature, and IHDR
    return content[:header] + chunks + content[header:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
