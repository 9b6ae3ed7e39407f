"""Pixels of a picture file as they are meant: in sRGB, at the file's own depth.  One truth for every room.

Pillow decodes; where it would give 8 bits of 16, OpenCV or tiff.py does, and where nothing does, it is said.
H, W sides as stored, before EXIF's orientation turns the picture for the eye.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from datasets.pictures import color_profile, tiff
from datasets.pictures.color_profile import Profile, Unusable, to_bytes
from datasets.pictures.formats import naming
from datasets.pictures.picture_file import PictureFile
from utils.errors import InputError

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what fails is told by name, not on stderr
_ALPHA = ("LA", "La", "PA", "RGBA", "RGBa")
_BY_OPENCV = ("PNG", "PPM", "JPEG2000")  # where these have more than 8 bits
_HEAD = 4096  # bytes of a PNG in which a chunk cICP is looked for: the colours of video
_CICP_SRGB = b"\x01\x0d\x00"


@dataclass(frozen=True)
class Decoded:
    """A picture as it is seen, but for its orientation."""

    pixels: NDArray  # (H, W) or (H, W, 3), uint8 or uint16: sRGB
    alpha: NDArray | None = None  # (H, W) of the same kind
    orientation: int = 1  # EXIF's 1 ... 8
    profile: bytes | None = None  # ICC profile of the file that will be written: sRGB's own, or an RGB profile
    back: Profile | None = None  # leads `pixels` from sRGB back to `profile`; None where they stay

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as stored."""
        return self.pixels.shape[1], self.pixels.shape[0]

    def opaque(self) -> Image.Image:
        """Of 8 bits, L or RGB, as stored, transparency on white."""
        image = Image.fromarray(to_bytes(self.pixels))
        if self.alpha is None:
            return image
        white = Image.new(image.mode, image.size, "white")
        return Image.composite(image, white, Image.fromarray(to_bytes(self.alpha)))


def decode_rgb(file: PictureFile, at_least: tuple[int, int] | None = None) -> Image.Image:
    """The picture as the eye sees it: upright, RGB with 8 bits, transparency on white. Raises InputError.

    at_least: (width, height) that suffice; a JPEG is then decoded at the smallest scale not below (1/2, 1/4, 1/8).
    """
    with naming(file.name, file.remedy):
        if at_least is not None and file.tiff is None and file.orientation == 1:
            file.image.draft("RGB", at_least)
        image = file.image
        plain = file.format in ("JPEG", "MPO", "PNG", "WEBP") and image.mode in ("RGB", "L") and _white(file) == 255
        plain = plain and not {"transparency", "gamma", "chromaticity"} & image.info.keys()
        profile = _profile(file, image.mode, []) if plain else None
        if plain and (profile is None or profile.is_srgb):  # as most pictures: nothing has to be worked out
            file.load()
            image = file.image
        else:
            image = decode(file, []).opaque()
        image = image if image.mode == "RGB" else image.convert("RGB")  # which would copy it
        return Image.fromarray(turn_rgb(np.asarray(image), file.orientation)) if file.orientation != 1 else image


def turn(planes: NDArray, orientation: int) -> NDArray:
    """(..., H, W) as stored -> as the eye sees it, by EXIF's orientation."""
    if orientation >= 5:
        planes = planes.swapaxes(-1, -2)
    if orientation in (2, 3, 6, 7):
        planes = planes[..., ::-1]
    if orientation in (3, 4, 7, 8):
        planes = planes[..., ::-1, :]
    return np.ascontiguousarray(planes)


def turn_rgb(pixels: NDArray, orientation: int) -> NDArray:
    """The same of (H, W, 3)."""
    return np.ascontiguousarray(turn(pixels.transpose(2, 0, 1), orientation).transpose(1, 2, 0))


def decode(file: PictureFile, notes: list[str]) -> Decoded:
    """What every room sees of a file: its numbers by their meaning, brought to sRGB. `notes` is added to."""
    pixels, alpha = _planes(file, notes)
    mode = "RGB" if file.image is None and pixels.ndim == 3 else "L" if file.image is None else file.image.mode
    profile = _profile(file, mode, notes)
    kept, back = None if profile is None else profile.data, None
    if profile is None:
        pixels = _by_gamma(file, pixels, notes)
    elif profile.space != "RGB ":  # the coloured picture is RGB: it cannot keep a profile of gray or of inks
        pixels = profile.to_srgb(np.asarray(file.image) if profile.space == "CMYK" else pixels)
        kept = color_profile.SRGB_BYTES
        notes.append(f"{file.name}: its {profile.space.strip()} profile is replaced by sRGB, the coloured picture's")
    elif not profile.is_srgb and pixels.ndim == 3:
        pixels, back = profile.to_srgb(pixels), profile
        if not profile.returns:
            notes.append(
                f"{file.name}: its profile leads one way, as a scanner's does; the coloured picture is in sRGB"
            )
            kept, back = color_profile.SRGB_BYTES, None
    if alpha is not None and alpha.dtype != pixels.dtype:
        alpha = to_bytes(alpha)
    return Decoded(pixels, alpha, file.orientation, kept, back)


# ---- numbers as they are stored


def _planes(file: PictureFile, notes: list[str]) -> tuple[NDArray, NDArray | None]:
    """Pixels (H, W) or (H, W, 3) and alpha (H, W) or None, uint8 or uint16. Of inks: as Pillow makes RGB of them."""
    image = file.image
    if file.tiff is not None and not (file.tiff.plain and image is not None):
        try:
            return tiff.read(file.content(), file.tiff, notes)
        except InputError:
            known = (tiff.WHITE_IS_ZERO, tiff.BLACK_IS_ZERO, tiff.RGB)
            if image is None or file.tiff.format != tiff.UNSIGNED or file.tiff.photometric in known:
                raise  # others, inks or Lab, are read in 8 bits
    white = _white(file)  # before the picture is decoded: Pillow then forgets its tiles
    file.load()  # which finds out whether the file is whole
    if white > 255 and image.format in _BY_OPENCV and file.content()[:2] not in (b"P2", b"P3"):  # a PPM of digits
        return _by_opencv(file, white)
    if image.mode[:1] in "IF":
        return _deep_gray(image, file.name)
    if white > 255:
        bits = white.bit_length()
        notes.append(f"{file.name}: its {bits} bits a channel are read as 8; {image.format} is not read deeper")
    return _bytes(image)


def _white(file: PictureFile) -> int:
    """The largest number of a channel, by the file's header."""
    image = file.image
    if image.format == "HEIF":
        return 2 ** image.info.get("bit_depth", 8) - 1
    if image.format == "AVIF":
        return 2 ** avif_bits(file.content()) - 1
    if image.format == "JPEG2000":
        content = file.content()
        place = content.find(b"\xff\x4f\xff\x51") + 42  # of the first component, in the codestream's header
        return 2 ** ((content[place] & 0x7F) + 1) - 1 if 42 <= place < len(content) else 255
    tiles = getattr(image, "tile", None)
    given = tiles[0][-1] if tiles else ()
    if image.format == "PPM" and isinstance(given, tuple) and len(given) == 2:
        return given[1]
    raw = given if isinstance(given, str) else next((word for word in given or () if isinstance(word, str)), "")
    return 65535 if "16" in raw else 255


def avif_bits(content: bytes) -> int:
    """Bits a channel, by the first av1C box."""
    place = content.find(b"av1C")
    flags = content[place + 6] if 0 <= place < len(content) - 6 else 0
    return 12 if flags & 0x20 else 10 if flags & 0x40 else 8


def _by_opencv(file: PictureFile, white: int) -> tuple[NDArray, NDArray | None]:
    """Of a picture of more than 8 bits a channel; white: its largest number."""
    image, values = file.image, cv2.imdecode(np.frombuffer(file.content(), np.uint8), cv2.IMREAD_UNCHANGED)
    transparent = image.mode in _ALPHA
    if values is not None:
        values = values.reshape(*values.shape[:2], -1)
    if values is None or values.dtype != np.uint16 or (transparent and values.shape[2] != 4):
        raise InputError(f"{file.name}: its 16 bits cannot be decoded; save it as a plain 16-bit PNG or TIFF")
    if white != 65535:
        values = np.rint(values * (65535.0 / white)).astype(np.uint16)
    gray = image.mode[:3] != "RGB" or (image.format == "PNG" and file.content()[25] == 4)  # with transparency
    pixels = np.ascontiguousarray(values[..., 0] if gray else values[..., 2::-1])
    return pixels, np.ascontiguousarray(values[..., 3]) if transparent else _keyed(pixels, image)


def _deep_gray(image: Image.Image, name: str) -> tuple[NDArray, NDArray | None]:
    """Gray of 16 bits, of 32 that hold 16, or of floating numbers from 0 to 1 -> uint16."""
    values = np.asarray(image)
    lowest, highest = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    white = 1 if image.mode == "F" else 65535
    if not (lowest >= 0 and highest <= white):
        raise InputError(f"{name}: gray from {lowest:g} to {highest:g}; scale it to 0 ... {white} and save it again")
    gray = np.rint(values * 65535.0).astype(np.uint16) if image.mode == "F" else values.astype(np.uint16)
    return gray, _keyed(gray, image)


def _keyed(pixels: NDArray, image: Image.Image) -> NDArray | None:
    """Alpha (H, W) of the one colour that is transparent; pixels: (H, W) or (H, W, 3), uint16."""
    key = image.info.get("transparency")
    if key is None or isinstance(key, bytes):
        return None
    same = pixels.reshape(*pixels.shape[:2], -1) == np.atleast_1d(key)
    return np.where(same.all(axis=2), 0, 65535).astype(np.uint16)


def _bytes(image: Image.Image) -> tuple[NDArray, NDArray | None]:
    mode, gray = image.mode, image.mode in ("1", "L", "LA", "La")
    if mode in _ALPHA or "transparency" in image.info:
        image = image.convert("LA") if mode == "La" else image
        rgba = np.asarray(image.convert("RGBA"))
        return rgba[..., 0] if gray else rgba[..., :3], rgba[..., 3]
    if mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        return np.asarray(ImageCms.profileToProfile(image, lab, color_profile.SRGB, outputMode="RGB")), None
    return np.asarray(image.convert("L" if gray else "RGB")), None


# ---- what they mean


def _profile(file: PictureFile, mode: str, notes: list[str]) -> Profile | None:
    """The ICC profile, where the file has one that says what its colours mean."""
    data = file.icc_profile
    if not data or mode == "LAB":  # which says itself what its numbers mean
        return None
    try:
        profile = color_profile.read(data)
    except Unusable as error:
        notes.append(f"{file.name}: {error}; the picture is taken for sRGB")
        return None
    if profile.fits(mode):
        return profile
    notes.append(f"{file.name}: its ICC profile is of {profile.space.strip()}, not of {mode}, and left out")
    return None


def _by_gamma(file: PictureFile, pixels: NDArray, notes: list[str]) -> NDArray:
    """By a PNG's chunks gAMA and cHRM, which count where there is neither a profile nor sRGB."""
    if file.format != "PNG":
        return pixels
    info = file.image.info
    _, video, colors = file.content()[:_HEAD].partition(b"IDAT")[0].partition(b"cICP")
    if video and not colors.startswith(_CICP_SRGB):
        notes.append(f"{file.name}: its chunk cICP is not read: colours of video, or beyond white, may be off")
    if "srgb" in info or info.get("icc_profile"):
        return pixels
    gamma, chromaticity = info.get("gamma"), info.get("chromaticity")
    try:
        profile = color_profile.of_png(gamma, chromaticity, gray=pixels.ndim == 2)
    except Unusable as error:
        notes.append(f"{file.name}: {error}; the picture is taken for sRGB")
        return pixels
    if profile is None:
        return pixels
    what = "primaries are" if gamma is None else f"gamma of {gamma:g} is"
    notes.append(f"{file.name}: its {what} applied; the coloured picture is in sRGB, rounded to its own bits")
    return profile.to_srgb(pixels)
