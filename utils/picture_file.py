"""Picture files: what can be opened here, and one way to open it, for every room.

Whatever a file raises becomes one InputError that names it.
"""

import contextlib
import functools
import io
import os
import re
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from PIL import ExifTags, Image, features

from utils import exif, tiff_numbers
from utils.errors import InputError

try:  # of iPhones; nothing else of this project needs it
    import pillow_heif

    pillow_heif.register_heif_opener()
except ImportError:
    pillow_heif = None

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
_NO_SIGNATURE = ("TGA", "PCX")  # nothing at the beginning tells them: known by their endings alone

FORMATS = tuple(  # what Pillow opens for us here; none of them starts another program
    kind
    for kind in _ENDINGS
    if (kind != "HEIF" or pillow_heif is not None) and (kind not in _LIBRARIES or features.check(_LIBRARIES[kind]))
)
_OPENERS = tuple(kind for kind in FORMATS if kind != "MPO")  # which the JPEG reader finds
ENDINGS = tuple(ending for kind in FORMATS for ending in _ENDINGS[kind])
"""Of every file that can be opened here, lower case: the one list of them."""
_WHOLE = "pass a whole JPEG, PNG, TIFF, WebP, GIF or BMP file"

# Pillow's remarks on odd files are no errors, and are said in our own words. Set once, when this is imported: a filter
# is the whole process's, and threads that set and restore it would restore each other's.
warnings.filterwarnings("ignore", module=r"PIL\.")


class TooLarge(InputError):
    """More pixels than are safe to decode."""


def max_pixels() -> int:
    """What Pillow finds safe to decode: 89 million, where nobody changed it."""
    return Image.MAX_IMAGE_PIXELS or 2**62


def openable(path: Path) -> bool:
    """By its name's ending."""
    return path.suffix.lower() in ENDINGS


def format_of(source: Path | bytes) -> str | None:
    """Pillow's name of a file's format, by its contents; None where it is none of `FORMATS`, or cannot be read."""
    try:
        with PictureFile(source, str(source) if isinstance(source, Path) else "picture") as file:
            return file.format if file.format not in _NO_SIGNATURE else None
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
        raise InputError(f"{name}: {_not_opened(name)}; {remedy}") from error
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; check its path") from error
    except PermissionError as error:
        raise InputError(f"{name}: may not be read ({error.strerror}); change its permissions") from error
    except Exception as error:  # what a broken file makes decoders raise is not limited to anything
        lines = str(error).splitlines() or [type(error).__name__]
        raise InputError(f"{name}: cannot be decoded ({lines[0]}); {remedy}") from error


def _smaller(remedy: str) -> str:
    return "pass a smaller copy or a higher limit" if remedy == _WHOLE else f"make a smaller copy, or {remedy}"


def _not_opened(name: str) -> str:
    ending = Path(name).suffix.lower()
    absent = [kind for kind in _ENDINGS if ending in _ENDINGS[kind] and kind not in FORMATS]
    if absent == ["HEIF"]:
        return "HEIC cannot be opened here (pip install pillow-heif)"
    return f"{absent[0]} cannot be opened here" if absent else "not a picture"


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
        file.name, file.remedy, file.image, file.tiff, file._content = name, _WHOLE, image, None, None
        file._file = getattr(image, "fp", None)
        if image.format == "TIFF" and file._file is not None:
            file.tiff = tiff_numbers.Tags(exif.read(file.content()), name)
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
        kind = os.stat(source).st_mode
        if not stat.S_ISREG(kind):  # reading a pipe or a device may never end
            what = "a folder" if stat.S_ISDIR(kind) else "no regular file"
            raise InputError(f"{self.name}: is {what}; pass a picture file")
        return source.open("rb")

    def _read_header(self) -> None:
        start = self._file.tell()
        magic = self._file.read(4)
        self._file.seek(start)
        if magic in exif.TIFF_MAGIC:
            self.tiff = tiff_numbers.Tags(exif.read(self.content()), self.name)
        try:
            self.image = Image.open(self._file, formats=_OPENERS)
        except Image.DecompressionBombError:
            raise
        except Exception:
            if self.tiff is None:
                raise

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
        with naming(self.name, self.remedy):
            return 1 if self.format == "MPO" else getattr(self.image, "n_frames", 1)

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
        image = self.image
        if image.tell():
            image.seek(0)
        if self.tiff is None:
            image.load()
            return
        turning = image.getexif()  # Pillow turns a TIFF while it decodes it, unless there is no word of it
        turning.pop(ExifTags.Base.Orientation, None)
        image._size = self.size
        image.load()
