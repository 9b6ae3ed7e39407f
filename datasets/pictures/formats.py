"""The picture formats that can be opened on this machine: one list, for every room."""

from pathlib import Path

import pillow_heif
from PIL import features

pillow_heif.register_heif_opener()  # HEIC, what iPhones write

_ENDINGS = {  # Pillow's name of a format: the endings of its files, the usual one first
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".jif"),
    "PNG": (".png", ".apng"),
    "TIFF": (".tif", ".tiff", ".btf", ".tf8"),
    "WEBP": (".webp",),
    "AVIF": (".avif", ".avifs"),
    "HEIF": (".heic", ".heif", ".hif", ".heics", ".heifs"),
    "JPEG2000": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "GIF": (".gif",),
    "BMP": (".bmp",),
    "DIB": (".dib",),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm", ".pfm"),
    "MPO": (".mpo",),
    "TGA": (".tga", ".icb", ".vda", ".vst"),
    "PSD": (".psd",),
    "QOI": (".qoi",),
    "PCX": (".pcx",),
    "SGI": (".sgi", ".rgb", ".rgba", ".bw"),
    "SUN": (".ras",),
}
_LIBRARIES = {"JPEG": "jpg", "MPO": "jpg", "PNG": "zlib", "WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}
_NO_SIGNATURE = "TGA"  # nothing at the beginning tells it: known by its endings alone

FORMATS = tuple(  # what Pillow opens for us here; none of them starts another program
    kind for kind in _ENDINGS if kind not in _LIBRARIES or features.check(_LIBRARIES[kind])
)
ENDINGS = tuple(ending for kind in FORMATS for ending in _ENDINGS[kind])
"""Of every file that can be opened here, lower case: the one list of them."""


def openers(name: str) -> tuple[str, ...]:
    """What Pillow tries on a file of this name."""
    unsigned = Path(name).suffix.lower() in _ENDINGS[_NO_SIGNATURE]
    return tuple(kind for kind in FORMATS if kind != "MPO" and (kind != _NO_SIGNATURE or unsigned))  # MPO by JPEG's


def why_not_opened(name: str) -> str:
    """Of a file that Pillow does not know, in words for the user."""
    ending = Path(name).suffix.lower()
    absent = [kind for kind in _ENDINGS if ending in _ENDINGS[kind] and kind not in FORMATS]
    return f"{absent[0]} cannot be opened here" if absent else "not a picture"
