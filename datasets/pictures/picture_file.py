"""Picture files: one way to open them, for every room.

Whatever a file raises becomes one InputError that names it.
"""

import contextlib
import functools
import io
import logging
import os
import re
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from PIL import ExifTags, Image

from datasets.pictures import bare_files, exif, tiff_numbers
from datasets.pictures.formats import ENDINGS, openers, why_not_opened
from utils.errors import InputError

_WHOLE = "pass a whole JPEG, PNG, TIFF, WebP, GIF or BMP file"

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


def format_of(source: Path | bytes) -> str | None:
    """Pillow's name of a file's format, by its contents; None where it is no picture that can be opened."""
    try:
        with PictureFile(source, str(source) if isinstance(source, Path) else "picture") as file:
            return file.format
    except InputError:
        return None


@contextlib.contextmanager
def naming(name: str, remedy: str = _WHOLE) -> Iterator[None]:
    """Whatever is raised becomes an InputError that names the file."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise TooLarge(f"{name}: not enough memory; pass a smaller copy") from error
    except Image.DecompressionBombError as error:  # twice Pillow's limit: not even opened
        raise TooLarge(f"{name}: {error}; {_smaller(remedy)}") from error
    except Image.UnidentifiedImageError as error:
        raise InputError(f"{name}: {why_not_opened(name)}; {remedy}") from error
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; check its path") from error
    except PermissionError as error:
        raise InputError(f"{name}: may not be read ({error.strerror}); change its permissions") from error
    except Exception as error:  # what a broken file makes decoders raise is not limited to anything
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{name}: cannot be decoded ({lines[0]}); {remedy}") from error


def _smaller(remedy: str) -> str:
    return "pass a smaller copy or a higher limit" if remedy == _WHOLE else f"make a smaller copy, or {remedy}"


class PictureFile:
    """An opened file, of which the header was read; to be closed, or used in `with`.

    Its methods raise InputError alone. H, W are the sides as stored, before `orientation` turns the picture.
    """

    def __init__(
        self, source: Path | bytes | BinaryIO, name: str, most: int | None = None, remedy: str = _WHOLE
    ) -> None:
        """most: pixels that it may have, `max_pixels()` where None is given."""
        self.name, self.remedy = name, remedy
        self.image: Image.Image | None = None  # None: a TIFF that Pillow does not know
        self.tiff: tiff_numbers.Tags | None = None
        self.bare = False  # its metadata kept Pillow from reading it, and is left out
        self._content: bytes | None = None
        with naming(name, remedy):
            self._file = self._opened(source)
            try:
                self._read_header()
                self._check_size(max_pixels() if most is None else most)
            except BaseException:
                self.close()
                raise

    @classmethod
    def of(cls, image: Image.Image, name: str) -> "PictureFile":
        """A picture that somebody opened, or made."""
        file = cls.__new__(cls)
        file.name, file.remedy, file.image, file.tiff, file.bare, file._content = name, _WHOLE, image, None, False, None
        file._file = getattr(image, "fp", None)
        if image.format == "TIFF" and file.content():
            with naming(name):
                file._read_tiff()
        return file

    def __enter__(self) -> "PictureFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _opened(self, source: Path | bytes | BinaryIO) -> BinaryIO:
        if isinstance(source, bytes):
            return io.BytesIO(source)
        if not isinstance(source, Path):
            return source
        status = os.stat(source)
        kind = status.st_mode
        if not stat.S_ISREG(kind):  # reading a pipe or a device may never end
            what = "a folder" if stat.S_ISDIR(kind) else "no regular file"
            raise InputError(f"{self.name}: is {what}; pass a picture file")
        if status.st_size == 0:
            raise InputError(f"{self.name}: is empty (0 bytes); {self.remedy}")
        return source.open("rb")

    def _read_header(self) -> None:
        start = self._file.tell()
        magic = self._file.read(4)
        self._file.seek(start)
        if magic in exif.TIFF_MAGIC:
            self._read_tiff()
            return
        try:
            self.image = Image.open(self._file, formats=openers(self.name))
        except Image.DecompressionBombError:
            raise
        except Exception:
            if not self._opened_bare():
                raise

    def _read_tiff(self) -> None:
        """Pillow is shown the layout of the first page alone: it would turn the picture, and stumble over tags."""
        directory = exif.read(self.content())
        self.tiff = tiff_numbers.Tags(directory, self.name)
        big = self.content()[2:4] in (b"+\0", b"\0+")
        shown = self.content() if big else bare_files.bare_tiff(self.content(), directory)
        with contextlib.suppress(Exception):  # `tiff_numbers` reads more kinds
            self.image = Image.open(io.BytesIO(shown), formats=("TIFF",))

    def _opened_bare(self) -> bool:
        """Whether Pillow opens the file without its metadata."""
        content = bare_files.bare(self.content())
        if content == self.content():
            return False
        try:
            self.image = Image.open(io.BytesIO(content), formats=openers(self.name))
        except Exception:
            return False
        self.bare = True
        return True

    def _check_size(self, most: int) -> None:
        width, height = self.size
        if width * height > most:
            raise TooLarge(
                f"{self.name}: {width}x{height} are {width * height / 1e6:.0f} megapixels, the limit is"
                f" {most / 1e6:.0f}; {_smaller(self.remedy)}"
            )

    def content(self) -> bytes:
        """All of the file; b"" where there is none, as of a picture that was made."""
        if self._content is None:
            if self._file is None or self._file.closed:
                return b""
            place = self._file.tell()
            self._file.seek(0)
            self._content = self._file.read()
            self._file.seek(place)
        return self._content

    @property
    def format(self) -> str:
        return "TIFF" if self.tiff is not None else self.image.format or ""

    @property
    def mode(self) -> str:
        """As Pillow calls it."""
        return self.image.mode if self.image is not None else f"{self.tiff.samples} x {self.tiff.bits} bits"

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) as stored."""
        return (self.tiff.width, self.tiff.height) if self.tiff is not None else self.image.size

    @property
    def seen_size(self) -> tuple[int, int]:
        """(width, height) as the eye sees it."""
        with naming(self.name, self.remedy):
            return self.size[::-1] if self.orientation >= 5 else self.size

    @property
    def frames(self) -> int:
        """Frames or pages. A telephone's second picture is a copy of the first."""
        if self.tiff is not None:
            return exif.pages(self.content())
        try:
            return 1 if self.format == "MPO" else getattr(self.image, "n_frames", 1)
        except Exception:  # the later ones are broken
            return 1

    @functools.cached_property
    def tags(self) -> exif.Directory:
        """EXIF as the file has it; of a TIFF its first directory."""
        if self.tiff is not None:
            return self.tiff.directory
        info = self.image.info
        if self.format == "PNG" and "exif" not in info:
            self.image.load()  # it may stand behind the pixels
        data = info.get("exif") or b""
        if not data and "Raw profile type exif" in info:  # ImageMagick's way to write it into a PNG
            with contextlib.suppress(ValueError):
                data = bytes.fromhex("".join(info["Raw profile type exif"].split("\n")[3:]))
        if not data and self._file is None:  # of a TIFF that somebody else has read
            with contextlib.suppress(Exception):
                data = self.image.getexif().tobytes() if self.image.getexif() else b""
        return exif.read(data if isinstance(data, bytes) else b"")

    @functools.cached_property
    def orientation(self) -> int:
        """EXIF's 1 ... 8, or XMP's where EXIF says nothing; upright where it cannot be read."""
        tag = ExifTags.Base.Orientation
        if tag in self.tags.fields or exif.name_of(tag) in self.tags.damaged:
            kind, values = self.tags.fields.get(tag, (0,))[0], self.tags.numbers(tag)
            return values[0] if kind in (3, 4) and len(values) == 1 and 1 <= values[0] <= 8 else 1
        found = re.search(rb'tiff:Orientation(?:="|>)([1-8])\b', self.xmp)
        return int(found[1]) if found else 1

    @property
    def xmp(self) -> bytes:
        if self.tiff is not None:
            return self.tiff.directory.fields[700].data if 700 in self.tiff.directory.fields else b""
        found: Any = self.image.info.get("xmp") or self.image.info.get("XML:com.adobe.xmp") or b""
        return found.encode("utf-8", "replace") if isinstance(found, str) else bytes(found)

    def load(self) -> None:
        """Decode Pillow's picture, of an animation the first frame. A TIFF's comes as stored, not as it is seen."""
        if self.image.tell():
            self.image.seek(0)
        try:
            self.image.load()
        except Exception:
            if self.bare or self._file is None or not self._opened_bare():
                raise
            self.image.load()
