"""A photograph that is to be coloured, and everything of its file that comes back as it was.

H, W sides as stored, before EXIF's orientation turns the picture for the eye.
"""

import io
import struct
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms

from utils.colored_photo import ColoredPhoto, to_bytes
from utils.errors import InputError

MAX_PIXELS = Image.MAX_IMAGE_PIXELS  # what Pillow finds safe to decode, 89 million
_DECODING_ERRORS = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)
_LAYOUT = frozenset(  # EXIF's tags of how a file's own pixels are stored: a TIFF has them, and no other file may
    ExifTags.Base[name]
    for name in (
        *("ImageWidth", "ImageLength", "BitsPerSample", "Compression", "PhotometricInterpretation", "FillOrder"),
        *("StripOffsets", "SamplesPerPixel", "RowsPerStrip", "StripByteCounts", "PlanarConfiguration", "Predictor"),
        *("ColorMap", "TileWidth", "TileLength", "TileOffsets", "TileByteCounts", "SubIFDs", "InkSet", "NumberOfInks"),
        *("ExtraSamples", "SampleFormat", "JPEGTables", "JPEGProc", "JpegIFOffset", "JpegIFByteCount"),
        *("YCbCrCoefficients", "YCbCrSubSampling", "YCbCrPositioning", "ReferenceBlackWhite", "InterColorProfile"),
    )
)
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


@dataclass(frozen=True)
class Photo:
    pixels: NDArray  # (H, W) or (H, W, 3), uint8 or uint16: sRGB
    alpha: NDArray | None = None  # (H, W) of the same kind
    orientation: int = 1  # EXIF's 1 ... 8
    profile: bytes | None = None  # ICC profile of the file that will be written: sRGB's own, or an RGB profile
    converted: bool = False  # `pixels` were brought from `profile` to sRGB, and go back
    exif: bytes | None = None
    notes: tuple[str, ...] = field(default=())  # what could not be kept, in words for the user

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as stored."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def square(self, side: int) -> NDArray:
        """As the network is trained on it: upright, transparency on white, squashed. (side, side, 3) uint8 sRGB."""
        image = Image.fromarray(to_bytes(self.pixels))
        if self.alpha is not None:
            white = Image.new(image.mode, image.size, "white")
            image = Image.composite(image, white, Image.fromarray(to_bytes(self.alpha)))
        small = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR).convert("RGB"))
        return turn(small.transpose(2, 0, 1), self.orientation).transpose(1, 2, 0)

    def colored(self, rgb: NDArray) -> "ColoredPhoto":
        """The finished picture. rgb: (H, W, 3) sRGB of the kind of `pixels`."""
        if self.converted:
            back = ImageCms.profileToProfile(
                Image.fromarray(rgb), _SRGB, ImageCms.ImageCmsProfile(io.BytesIO(self.profile)), outputMode="RGB"
            )
            rgb = np.asarray(back)
        if self.alpha is not None:
            rgb = np.concatenate([rgb, self.alpha[..., None]], axis=2)
        return ColoredPhoto(rgb, self.profile, self.exif)


def read_photo(source: Path | BinaryIO, name: str | None = None, max_pixels: int = MAX_PIXELS) -> Photo:
    """source: a file's path, or its content, called `name` in messages.

    Raises InputError, naming the file, where it is not an image, is broken or has more than `max_pixels`; the size is
    read from the header, so a small file that claims to be huge is never decoded.
    """
    name = str(source) if name is None else name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `max_pixels` decides
            with Image.open(source) as image:
                _check_size(image, name, max_pixels)
                return from_image(image, name)
    except Image.DecompressionBombError as error:  # twice Pillow's limit: not even opened
        raise InputError(f"{name}: {error}; pass a smaller copy") from error
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; check its path") from error
    except _DECODING_ERRORS as error:
        reason = "not a picture" if isinstance(error, Image.UnidentifiedImageError) else f"cannot be decoded ({error})"
        raise InputError(f"{name}: {reason}; pass a whole JPEG, PNG, TIFF, WebP, GIF or BMP file") from error


def _check_size(image: Image.Image, name: str, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise InputError(
            f"{name}: {image.width}x{image.height} are {image.width * image.height / 1e6:.0f} megapixels, the limit is"
            f" {max_pixels / 1e6:.0f}; pass a smaller copy or a higher limit"
        )


def from_image(image: Image.Image, name: str = "image") -> Photo:
    """A picture of any of Pillow's modes; of an animation the first frame."""
    notes = []
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # of a telephone: its second picture is a copy of the first
        image.seek(0)
        notes.append(f"{name}: has {frames} frames or pages; the first is coloured")
    image.load()
    exif = image.getexif()
    for tag in [tag for tag in exif if tag in _LAYOUT]:
        del exif[tag]
    orientation = exif.get(ExifTags.Base.Orientation, 1)
    profile, kind = _profile(image, name, notes)
    pixels, alpha = _planes(image, name, notes)

    converted = False
    if kind == "RGB " and pixels.ndim == 3 and pixels.dtype == np.uint8:
        pixels, converted = _to_srgb(pixels, profile), True
    elif kind in ("GRAY", "CMYK"):  # the coloured picture is RGB: it cannot keep a profile of gray or of inks
        if pixels.dtype == np.uint8:
            pixels = _ink_to_srgb(image, profile, pixels)
        notes.append(f"{name}: its {kind.strip()} profile is replaced by sRGB, the coloured picture's")
        profile = _SRGB.tobytes()
    return Photo(
        pixels,
        alpha,
        orientation if orientation in range(1, 9) else 1,
        profile,
        converted,
        exif.tobytes() if len(exif) else None,
        tuple(notes),
    )


def _profile(image: Image.Image, name: str, notes: list[str]) -> tuple[bytes | None, str]:
    """The ICC profile and its colour space, "" where there is none to convert: none at all, or sRGB."""
    data = image.info.get("icc_profile")
    if not data:
        return None, ""
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        kind = profile.profile.xcolor_space
        srgb = "sRGB" in ImageCms.getProfileDescription(profile)
    except (OSError, ImageCms.PyCMSError):
        notes.append(f"{name}: its ICC profile is broken and left out; the picture is taken for sRGB")
        return None, ""
    fitting = {"GRAY": ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "F"), "CMYK": ("CMYK",)}
    if kind in fitting and image.mode in fitting[kind]:
        return data, kind
    if kind == "RGB " and image.mode not in (*fitting["GRAY"], *fitting["CMYK"]):
        return data, "" if srgb else kind
    if kind == "RGB " and srgb:
        return data, ""  # gray in sRGB
    notes.append(f"{name}: its ICC profile is of {kind.strip()}, not of {image.mode}, and left out")
    return None, ""


def _planes(image: Image.Image, name: str, notes: list[str]) -> tuple[NDArray, NDArray | None]:
    """Pixels (H, W) or (H, W, 3), and alpha (H, W) or None."""
    mode = image.mode
    if mode.startswith("I") or mode == "F":
        if "transparency" in image.info:
            notes.append(f"{name}: its transparent gray value is not kept")
        return _deep(np.asarray(image), mode, name), None
    transparent = mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info
    if mode in ("1", "L", "LA", "La"):
        if not transparent:
            return np.asarray(image.convert("L")), None
        gray = image.convert("RGBA") if mode in ("1", "L") else image.convert("LA")
        return np.asarray(gray.getchannel(0)), np.asarray(gray.getchannel("A"))
    if transparent:
        planes = np.asarray(image.convert("RGBA"))
        return planes[..., :3], planes[..., 3]
    if mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return np.asarray(ImageCms.profileToProfile(image, lab, _SRGB, outputMode="RGB")), None
    return np.asarray(image.convert("RGB")), None


def _deep(values: NDArray, mode: str, name: str) -> NDArray:
    """Gray of 16 bits, of 32, or of floating numbers -> uint16."""
    lowest, highest = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    if not (np.isfinite(lowest) and np.isfinite(highest)) or lowest < 0 or highest > 65535:
        raise InputError(f"{name}: gray from {lowest:g} to {highest:g}; scale it to 0 ... 65535 and save it again")
    if mode != "F":
        return values.astype(np.uint16)
    white = next(white for white in (1.0, 255.0, 65535.0) if highest <= white)
    return np.rint(values * (65535.0 / white)).astype(np.uint16)


def _to_srgb(rgb: NDArray, profile: bytes) -> NDArray:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return np.asarray(ImageCms.profileToProfile(Image.fromarray(rgb), source, _SRGB, outputMode="RGB"))


def _ink_to_srgb(image: Image.Image, profile: bytes, pixels: NDArray) -> NDArray:
    """Gray (H, W) stays gray; CMYK becomes RGB (H, W, 3)."""
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if pixels.ndim == 2:
        return np.asarray(ImageCms.profileToProfile(Image.fromarray(pixels), source, _SRGB, outputMode="RGB"))[..., 1]
    return np.asarray(ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB"))


def turn(planes: NDArray, orientation: int) -> NDArray:
    """(..., H, W) as stored -> as the eye sees it, by EXIF's orientation."""
    if orientation >= 5:
        planes = planes.swapaxes(-1, -2)
    if orientation in (2, 3, 6, 7):
        planes = planes[..., ::-1]
    if orientation in (3, 4, 7, 8):
        planes = planes[..., ::-1, :]
    return np.ascontiguousarray(planes)


def turn_back(planes: NDArray, orientation: int) -> NDArray:
    """The inverse of `turn`."""
    return turn(planes, {6: 8, 8: 6}.get(orientation, orientation))
