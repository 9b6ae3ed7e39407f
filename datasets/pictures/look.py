"""What a picture file shows: its numbers by their meaning, in sRGB, and upright.  One truth for every room.

H, W sides as stored, before EXIF's orientation turns the picture for the eye.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.pictures import color_profile, metadata, stored_numbers
from datasets.pictures.bare_files import png_chunks
from datasets.pictures.color_profile import Curves, Profile, Unusable
from datasets.pictures.picture_file import PictureFile, naming
from datasets.pictures.stored_numbers import to_bytes

_HEAD = 4096  # bytes of a PNG in which a chunk cICP is looked for: the colours of video
_CICP_SRGB = b"\x01\x0d\x00"
_TURNS = {  # EXIF's orientation -> what Pillow does for it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Look:
    """A picture as it is seen, but for its orientation."""

    pixels: NDArray  # (H, W) or (H, W, 3), uint8 or uint16: sRGB
    alpha: NDArray | None = None  # (H, W) of the same kind
    orientation: int = 1  # EXIF's 1 ... 8
    profile: bytes | None = None  # ICC profile of the file that will be written: sRGB's own, or an RGB profile
    back: Profile | Curves | None = None  # leads `pixels` from sRGB back to `profile`; None where they stay

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


def seen(file: PictureFile, at_least: tuple[int, int] | None = None) -> Image.Image:
    """The picture as the eye sees it: upright, RGB with 8 bits, transparency on white. Raises InputError.

    at_least: (width, height) that suffice; a JPEG is then decoded at the smallest scale not below (1/2, 1/4, 1/8).
    """
    with naming(file.name, file.remedy):
        if at_least is not None and file.tiff is None and file.orientation == 1:
            file.image.draft("RGB", at_least)
        if _shown_by_pillow(file):
            file.load()
            image = file.image
        else:
            image = read_look(file, []).opaque()
        if file.orientation != 1:
            image = image.transpose(_TURNS[file.orientation])
        return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it


def _shown_by_pillow(file: PictureFile) -> bool:
    """What Pillow decodes is what is seen, as of most pictures: nothing has to be worked out."""
    image = file.image
    if file.tiff is not None or image.mode not in ("RGB", "L") or image.format in ("PPM", "JPEG2000", "AVIF", "HEIF"):
        return False
    info = image.info
    if "transparency" in info or (
        image.format == "PNG" and ("gamma" in info or "chromaticity" in info or _deep(image))
    ):
        return False
    profile = _profile(file, image.mode, [])
    return profile is None or profile.is_srgb


def _deep(image: Image.Image) -> bool:
    return any("16" in str(tile[-1]) for tile in getattr(image, "tile", ()))


def read_look(file: PictureFile, notes: list[str]) -> Look:
    """What every room sees of a file: its numbers by their meaning, brought to sRGB. `notes` is added to."""
    pixels, alpha = stored_numbers.planes(file, notes)
    mode = "RGB" if file.image is None and pixels.ndim == 3 else "L" if file.image is None else file.image.mode
    profile = _profile(file, mode, notes)
    kept: bytes | None = None
    back: Profile | Curves | None = None
    if profile is None:
        pixels = _by_png(file, pixels, notes)
    elif profile.space == "RGB ":
        pixels, kept, back = _rgb_to_srgb(file, pixels, profile, notes)
    else:  # the coloured picture is RGB: it cannot keep a profile of gray or of inks
        pixels, kept = _gray_or_inks_to_srgb(file, pixels, profile), color_profile.SRGB_BYTES
        notes.append(f"{file.name}: its {profile.space.strip()} profile is replaced by sRGB, the coloured picture's")
    if alpha is not None and alpha.dtype != pixels.dtype:
        alpha = to_bytes(alpha)
    return Look(pixels, alpha, file.orientation, kept, back)


def _profile(file: PictureFile, mode: str, notes: list[str]) -> Profile | None:
    """The ICC profile, where the file has one that says what its colours mean."""
    if file.tiff is not None:
        data = file.tiff.directory.fields.get(metadata.ICC, (0, 0, b""))[2]
    else:
        data = file.image.info.get("icc_profile")
    if not data or not isinstance(data, bytes) or mode == "LAB":  # which says itself what its numbers mean
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


def _rgb_to_srgb(
    file: PictureFile, pixels: NDArray, profile: Profile, notes: list[str]
) -> tuple[NDArray, bytes | None, Profile | Curves | None]:
    """Pixels in sRGB, the profile of the picture that will be written, and the way back to it."""
    if profile.is_srgb or pixels.ndim == 2:
        return pixels, profile.data, None
    if pixels.dtype == np.uint16 and profile.curves is not None:
        return profile.curves.to_srgb(pixels), profile.data, profile.curves
    if pixels.dtype == np.uint16:
        notes.append(f"{file.name}: its profile is a lookup table, applied in 8 bits; the coloured picture has 8")
    pixels = np.asarray(profile.to_srgb(Image.fromarray(to_bytes(pixels))))
    if profile.returns:
        return pixels, profile.data, profile
    notes.append(f"{file.name}: its profile leads one way, as a scanner's does; the coloured picture is in sRGB")
    return pixels, color_profile.SRGB_BYTES, None


def _gray_or_inks_to_srgb(file: PictureFile, pixels: NDArray, profile: Profile) -> NDArray:
    """Gray (H, W) stays gray; CMYK becomes RGB (H, W, 3)."""
    if profile.space == "CMYK":
        return np.asarray(profile.to_srgb(file.image))
    if pixels.dtype == np.uint16 and profile.curves is not None:
        return profile.curves.to_srgb(pixels)
    return np.ascontiguousarray(np.asarray(profile.to_srgb(Image.fromarray(to_bytes(pixels))))[..., 1])


def _by_png(file: PictureFile, pixels: NDArray, notes: list[str]) -> NDArray:
    """By the chunks gAMA and cHRM, which count where there is neither a profile nor sRGB."""
    if file.format != "PNG":
        return pixels
    info = file.image.info
    for kind, chunk in png_chunks(file.content()[:_HEAD]):
        if kind == b"cICP" and chunk[8:11] != _CICP_SRGB:
            notes.append(f"{file.name}: its chunk cICP is not read: colours of video, or beyond white, may be off")
    if "srgb" in info or info.get("icc_profile"):
        return pixels
    gamma, chromaticity = info.get("gamma"), info.get("chromaticity")
    try:
        curves = color_profile.of_png(gamma, chromaticity, gray=pixels.ndim == 2)
    except Unusable as error:
        notes.append(f"{file.name}: {error}; the picture is taken for sRGB")
        return pixels
    if curves is None:
        return pixels
    what = "primaries are" if gamma is None else f"gamma of {gamma:g} is"
    notes.append(f"{file.name}: its {what} applied; the coloured picture is in sRGB, rounded to its own bits")
    return curves.to_srgb(pixels)
