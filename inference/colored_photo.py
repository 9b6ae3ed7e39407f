"""A coloured photograph as a file: 8 or 16 bits, with the profile and the metadata of the one it was made from."""

import io
import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.pictures import exif, metadata
from datasets.pictures.decode import to_bytes
from datasets.pictures.metadata import Metadata
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
_PNG_HEADER = 8 + 25  # bytes of the signature, and of IHDR
_STRIP = 1 << 20  # bytes of a TIFF's strip, before it is compressed


@dataclass(frozen=True)
class ColoredPhoto:
    pixels: NDArray  # (H, W, 3), or 4 with alpha; uint8, or uint16 where the photograph had 16 bits
    profile: bytes | None = None
    metadata: Metadata = field(default_factory=Metadata)

    @property
    def image(self) -> Image.Image:
        """8 bits a channel, which is all that Pillow holds in colour; `save` writes 16."""
        image, found = Image.fromarray(to_bytes(self.pixels)), self.metadata
        extras = {"icc_profile": self.profile, "exif": found.packed_exif, "xmp": found.xmp, "dpi": found.resolution}
        image.info |= {name: value for name, value in extras.items() if value}
        return image

    def fitting(self, path: Path) -> tuple[Path, str]:
        """The path under which the picture can be saved: `path`, or with another ending where its format cannot hold
        it; and why, in words for the user, "" where nothing changes."""
        why = _unfit(path.suffix, self.pixels)
        fit = path.with_suffix(".png") if why else path
        return fit, why and f"{path}: {why}; written as {fit.name}"

    def save(self, path: Path) -> list[str]:
        """Written to a temporary file, then renamed (atomic). Returns what the format has no place for, in words for
        the user. Raises InputError where it cannot hold the picture (see `fitting`) or the file cannot be written."""
        why = _unfit(path.suffix, self.pixels)
        if why:
            raise InputError(f"{path}: {why}; end the name in .png")
        kind = _FORMATS[path.suffix.lower()]
        temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
        lost: list[str] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                self._write(file, kind, lost)
            os.replace(temporary, path)
        except Exception as error:  # the disk's words, a format's, or those of whatever else is raised
            words = str(error).splitlines() or [type(error).__name__]
            raise InputError(f"{path}: cannot be written ({words[0]}); make room, or pass another name") from error
        finally:
            temporary.unlink(missing_ok=True)
        return [f"{path}: {what} is not kept: {kind} has no place for it" for what in lost]

    def _write(self, file: BinaryIO, kind: str, lost: list[str]) -> None:
        if kind == "TIFF":
            _write_tiff(file, self.pixels, self.profile, metadata.for_tiff(self.metadata, lost))
            return
        extras = metadata.for_pillow(self.metadata, kind, lost)
        if self.profile:
            extras["icc_profile"] = self.profile
        if self.pixels.dtype == np.uint16:
            file.write(_png16(self.pixels, extras))
        else:
            Image.fromarray(self.pixels).save(file, kind.upper(), **_HOW[kind], **extras)


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
    layout = {256: width, 257: height, 259: 8, 262: 2, 277: channels, 278: rows, 284: 1, 317: 2}
    for tag, value in layout.items():
        tags = tags.having(tag, 4 if tag in (256, 257, 278) else 3, value)
    tags = tags.having(258, 3, *[8 * pixels.itemsize] * channels).having(279, 4, *map(len, strips))
    if channels == 4:
        tags = tags.having(338, 3, 2)  # alpha that the colours are not multiplied by
    if profile:
        tags = tags.holding(exif.ICC, 7, profile)
    start = 8 + len(tags.having(273, 4, *[0] * len(strips)).tobytes())
    tags = tags.having(273, 4, *np.cumsum([start, *map(len, strips)])[:-1].tolist())
    file.write(exif.header(tags.order) + tags.tobytes())
    file.writelines(strips)


def _png16(pixels: NDArray, extras: dict[str, Any]) -> bytes:
    """OpenCV's PNG, with the chunks that Pillow makes of what its `save` takes behind the header."""
    order = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    content = cv2.imencode(".png", cv2.cvtColor(pixels, order))[1].tobytes()
    small = io.BytesIO()
    Image.new("L", (1, 1)).save(small, "PNG", **extras)
    chunks = small.getvalue()[_PNG_HEADER : small.getvalue().rindex(b"IDAT") - 4]
    return content[:_PNG_HEADER] + chunks + content[_PNG_HEADER:]
