"""A coloured photograph as a file: 8 or 16 bits, with the profile and the EXIF of the one it was made from."""

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import ExifTags, Image

from utils.errors import InputError

SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp")  # that `ColoredPhoto.save` writes


@dataclass(frozen=True)
class ColoredPhoto:
    pixels: NDArray  # (H, W, 3), or 4 with alpha; uint8, or uint16 where the photograph had 16 bits
    profile: bytes | None
    exif: bytes | None

    @property
    def image(self) -> Image.Image:
        """8 bits a channel, which is all that Pillow holds in colour; `save` writes 16."""
        image = Image.fromarray(to_bytes(self.pixels))
        image.info |= self._extras()
        return image

    def save(self, path: Path) -> None:
        """Written beside and renamed. Raises InputError where the format of `path` cannot hold the picture."""
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            raise InputError(f"{path}: cannot write {suffix or 'no ending'}; end the name in {', '.join(SUFFIXES)}")
        if suffix in (".jpg", ".jpeg") and self.pixels.shape[2] == 4:
            raise InputError(f"{path}: JPEG has no transparency and this photograph has; end the name in .png")
        if suffix not in (".png", ".tif", ".tiff") and self.pixels.dtype == np.uint16:
            raise InputError(f"{path}: {suffix} has 8 bits and this photograph 16; end the name in .png or .tif")
        beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with beside.open("wb") as file:
                self._write(file, suffix)
            os.replace(beside, path)
        except (OSError, ValueError) as error:  # the disk's words, and a format's: too wide, too much EXIF
            raise InputError(f"{path}: cannot be written ({error}); make room, or pass another name") from error
        finally:
            beside.unlink(missing_ok=True)

    def _write(self, file: BinaryIO, suffix: str) -> None:
        if self.pixels.dtype == np.uint16 and suffix == ".png":
            file.write(_png16(self.pixels, self.profile, self.exif))
        elif self.pixels.dtype == np.uint16:
            alpha = ["unassalpha"] if self.pixels.shape[2] == 4 else None
            orientation = (ExifTags.Base.Orientation, "H", 1, _orientation(self.exif), True)
            tifffile.imwrite(
                file,
                self.pixels,
                photometric="rgb",
                extrasamples=alpha,
                compression="zlib",
                predictor=True,
                iccprofile=self.profile,
                extratags=[orientation],
                metadata=None,
            )
        else:
            kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}.get(suffix, "TIFF")
            how = {
                "JPEG": {"quality": 95, "subsampling": 0},  # colours at full size: their edges are the point
                "PNG": {"compress_level": 4},
                "WEBP": {"lossless": True, "method": 0, "quality": 20},
                "TIFF": {"compression": "tiff_adobe_deflate"},
            }[kind]
            Image.fromarray(self.pixels).save(file, kind, **how, **self._extras())

    def _extras(self) -> dict[str, bytes]:
        extras = {"icc_profile": self.profile, "exif": self.exif}
        return {name: value for name, value in extras.items() if value is not None}


def to_bytes(values: NDArray) -> NDArray:
    """uint16 -> uint8, rounded; uint8 as it is."""
    return values if values.dtype == np.uint8 else ((values.astype(np.uint32) + 128) // 257).astype(np.uint8)


def _orientation(exif: bytes | None) -> int:
    tags = Image.Exif()
    tags.load(exif or b"")
    return tags.get(ExifTags.Base.Orientation, 1)


def _png16(pixels: NDArray, profile: bytes | None, exif: bytes | None) -> bytes:
    """OpenCV's PNG, with the chunks iCCP and eXIf, which it does not write, behind the header."""
    order = cv2.COLOR_RGB2BGR if pixels.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    content = cv2.imencode(".png", cv2.cvtColor(pixels, order))[1].tobytes()
    chunks = b""
    if profile is not None:
        chunks += _chunk(b"iCCP", b"ICC\0\0" + zlib.compress(profile))
    if exif is not None:
        chunks += _chunk(b"eXIf", exif.removeprefix(b"Exif\0\0"))
    header = 8 + 25  # the signature, and IHDR
    return content[:header] + chunks + content[header:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
