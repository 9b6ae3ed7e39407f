"""Picture files: one way to open them, for every room.  Ill-formed metadata keep no pixels from being read."""

import contextlib
import functools
import io
import os
import re
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import ExifTags, Image

from datasets.pictures import exif, formats, tiff
from datasets.pictures.formats import REMEDY, TooLarge, max_pixels, naming, smaller
from utils.errors import InputError

_PNG = b"\x89PNG\r\n\x1a\n"
_PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # chunks of a PNG


class PictureFile:
    """An opened file, of which the header was read; to be closed, or used in `with`.

    Its methods raise InputError alone. H, W are the sides as stored, before `orientation` turns the picture.
    """

    def __init__(
        self, source: Path | bytes | BinaryIO | Image.Image, name: str, most: int | None = None, remedy: str = REMEDY
    ) -> None:
        """source: a file, or a picture that somebody opened or made; most: pixels that a file may have, `max_pixels()`
        where None is given."""
        self.name, self.remedy = name, remedy
        self.image: Image.Image | None = None  # None: a TIFF that Pillow does not know
        self.tiff: tiff.Tags | None = None
        self.bare = False  # its metadata kept Pillow from reading it, and is left out
        self._content: bytes | None = None
        with naming(name, remedy):
            if isinstance(source, Image.Image):
                self.image, self._file = source, getattr(source, "fp", None)
                if source.format == "TIFF" and self.content():
                    self._read_tiff()
                return
            self._file = io.BytesIO(source) if isinstance(source, bytes) else source
            if isinstance(source, Path):
                self._file = self._opened(source)
            try:
                self._read_header()
                width, height = self.size
                most = max_pixels() if most is None else most
                if width * height > most:
                    what = f"{width}x{height} are {width * height / 1e6:.0f} megapixels, the limit is {most / 1e6:.0f}"
                    raise TooLarge(f"{name}: {what}; {smaller(remedy)}")
            except BaseException:
                self.close()
                raise

    def __enter__(self) -> "PictureFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _opened(self, path: Path) -> BinaryIO:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):  # reading a pipe or a device may never end
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise InputError(f"{self.name}: is {what}; pass a picture file")
        if status.st_size == 0:
            raise InputError(f"{self.name}: is empty (0 bytes); {self.remedy}")
        return path.open("rb")

    def _read_header(self) -> None:
        start = self._file.tell()
        magic = self._file.read(4)
        self._file.seek(start)
        if magic in exif.TIFF_MAGIC:
            self._read_tiff()
            return
        try:
            self.image = self._open(self._file)
        except Exception as error:
            if isinstance(error, Image.DecompressionBombError) or not self._open_bare():
                raise

    def _open(self, file: BinaryIO) -> Image.Image:
        """By any of the formats but MPO, which JPEG's opens, and TGA, which nothing but its endings tells."""
        tga = formats.KINDS.get(Path(self.name).suffix.lower()) == "TGA"
        return Image.open(file, formats=[kind for kind in formats.FORMATS if kind != "MPO" and (kind != "TGA" or tga)])

    def _open_bare(self) -> bool:
        """Whether Pillow opens the file without its metadata."""
        content = _without_metadata(self.content())
        if content != self.content():
            with contextlib.suppress(Exception):
                self.image, self.bare = self._open(io.BytesIO(content)), True
        return self.bare

    def _read_tiff(self) -> None:
        """Pillow is shown the layout of the first page alone: it would turn the picture, and stumble over tags."""
        directory = exif.read(self.content())
        self.tiff = tiff.Tags(directory, self.name)
        with contextlib.suppress(Exception):  # `tiff` reads more kinds
            self.image = Image.open(io.BytesIO(directory.layout(self.content())), formats=("TIFF",))

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

    def load(self) -> None:
        """Decode Pillow's picture, of an animation the first frame. A TIFF's comes as stored, not as it is seen."""
        if self.image.tell():
            self.image.seek(0)
        try:
            self.image.load()
        except Exception:
            if self.bare or self._file is None or not self._open_bare():
                raise
            self.image.load()

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
        try:
            if self.tiff is not None and self.tiff.directory.following:
                with Image.open(io.BytesIO(self.content()), formats=("TIFF",)) as pages:
                    return pages.n_frames
            return 1 if self.format in ("MPO", "TIFF") else getattr(self.image, "n_frames", 1)
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
        with contextlib.suppress(Exception):
            if not data and "Raw profile type exif" in info:  # ImageMagick's way to write it into a PNG
                data = bytes.fromhex("".join(info["Raw profile type exif"].split("\n")[3:]))
            if not data and self._file is None:  # of a TIFF that somebody else has read
                data = self.image.getexif() and self.image.getexif().tobytes()
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
            return self.tiff.directory.data(exif.XMP)
        found = self.image.info.get("xmp") or self.image.info.get("XML:com.adobe.xmp") or b""
        return found.encode("utf-8", "replace") if isinstance(found, str) else bytes(found)

    @property
    def icc_profile(self) -> bytes:
        found = self.image.info.get("icc_profile") if self.tiff is None else self.tiff.directory.data(exif.ICC)
        return found if isinstance(found, bytes) else b""


def format_of(path: Path) -> str | None:
    """Pillow's name of a file's format, by its contents; None where it is no picture that can be opened."""
    try:
        with PictureFile(path, str(path)) as file:
            return file.format
    except InputError:
        return None


def _without_metadata(content: bytes) -> bytes:
    """A PNG or JPEG of the same pixels; others as they are. What is truncated stays so."""
    if content.startswith(_PNG):
        return _PNG + b"".join(chunk for kind, chunk in png_chunks(content) if kind in _PIXELS)
    kept, place = [content[:2]], 2
    while content.startswith(b"\xff\xd8\xff") and place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xDA:  # the pixels follow
            break
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big") if marker != 0xFF else place + 1
        if marker in (0xE0, 0xEE) or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(content[place:end])  # JFIF's and Adobe's segments say how the colours are stored
        place = end
    return b"".join([*kept, content[place:]])


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, the whole chunk) of a PNG; the last may be truncated."""
    place = len(_PNG)
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        yield kind, content[place : place + 12 + length]
        place += 12 + length
