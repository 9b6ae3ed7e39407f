"""The picture formats that can be opened on this machine, and how what a file raises is told: for every room."""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pillow_heif
from PIL import Image

from utils.errors import InputError

# Pillow's modules of the formats below: all that it has take a quarter of a second to load.
_MODULES = "Jpeg Png Tiff WebP Avif Jpeg2K Gif Bmp Ppm Mpo Tga Psd Qoi Pcx Sgi Sun"
for _module in _MODULES.split():
    with contextlib.suppress(ImportError):  # AVIF came with Pillow 11.3
        import_module(f"PIL.{_module}ImagePlugin")
pillow_heif.register_heif_opener()  # HEIC, what iPhones write
KINDS = Image.EXTENSION | {".jif": "JPEG", ".btf": "TIFF", ".tf8": "TIFF"}
"""Ending of a file, lower case -> Pillow's name of its format."""
_READ = "JPEG PNG TIFF WEBP AVIF HEIF JPEG2000 GIF BMP DIB PPM MPO TGA PSD QOI PCX SGI SUN"  # none starts a program
FORMATS = tuple(kind for kind in _READ.split() if kind in KINDS.values())
"""That Pillow opens for us here."""
ENDINGS = tuple(sorted((ending for ending in KINDS if KINDS[ending] in FORMATS), key=lambda e: FORMATS.index(KINDS[e])))
"""Of every file that can be opened here, lower case: the one list of them."""
REMEDY = "pass a whole JPEG, PNG, TIFF, WebP, GIF or BMP file"

# Pillow's remarks on odd files are no errors, and are said in our own words. Set once, when this is imported: a filter
# is the whole process's, and threads that set and restore it would restore each other's.
warnings.filterwarnings("ignore", module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)


class TooLarge(InputError):
    """More pixels than are safe to decode."""


def max_pixels() -> int:
    """What Pillow finds safe to decode: 89 million, where nobody changed it."""
    return Image.MAX_IMAGE_PIXELS or 2**62


def openable(path: Path) -> bool:
    """By its name's ending."""
    return path.suffix.lower() in ENDINGS


@contextlib.contextmanager
def naming(name: str, remedy: str = REMEDY) -> Iterator[None]:
    """Whatever is raised becomes an InputError that names the file."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise TooLarge(f"{name}: not enough memory; pass a smaller copy") from error
    except Image.DecompressionBombError as error:  # twice Pillow's limit: not even opened
        raise TooLarge(f"{name}: {error}; {smaller(remedy)}") from error
    except Image.UnidentifiedImageError as error:
        kind = KINDS.get(Path(name).suffix.lower(), FORMATS[0])
        why = "not a picture" if kind in FORMATS else f"{kind} cannot be opened here"
        raise InputError(f"{name}: {why}; {remedy}") from error
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; check its path") from error
    except PermissionError as error:
        raise InputError(f"{name}: may not be read ({error.strerror}); change its permissions") from error
    except Exception as error:  # what a broken file makes decoders raise is not limited to anything
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{name}: cannot be decoded ({lines[0]}); {remedy}") from error


def smaller(remedy: str) -> str:
    return "pass a smaller copy or a higher limit" if remedy == REMEDY else f"make a smaller copy, or {remedy}"
