"""Visitors: each has a photograph, what they see of it, and files that nobody else is shown.

H, W sides of the preview.
"""

import contextlib
import secrets
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.batch import Batch
from inference import Colorizer, EncodedPhoto, Explanation
from inference.colored_photo import to_bytes
from inference.enlarge import gray_of
from inference.photo import Photo, read_photo, turn
from utils.errors import InputError
from webapp.limits import Share, Shares
from webapp.uploads import SMALL, Header, colored_name, read_header

PREVIEW = 1024  # pixels, longer side of what the page shows; the download has the photograph's own
LIFETIME = 3600  # seconds that a photograph is kept after its visitor last did something
NOTHING = (
    "There is no photograph: upload one or take an example. One that was here is forgotten after"
    f" {LIFETIME // 60} minutes in which nothing is done with it, or earlier where many visitors come."
)
_THINNEST = 0.02  # a side of a box, of the picture's
_EACH = 4  # one address may have one in so many of the visits, and of their bytes
_JPEG = {"quality": 92, "subsampling": 0}  # colours at full size: their edges are looked at
_POINT = Photo(np.zeros((1, 1), np.uint8))  # painted where only the explanation is asked for


class Opened(NamedTuple):
    """A visitor's photograph."""

    path: Path  # the file as it was uploaded, where no address leads
    name: str  # as the visitor calls it
    header: Header
    size: tuple[int, int]  # (width, height), upright
    notes: tuple[str, ...]
    preview: EncodedPhoto  # upright, gray, 8 bits: what the network sees of it; encoded once, for every caption


class Shown(NamedTuple):
    """What the visitor sees of it now."""

    caption: str
    strength: float
    explanation: Explanation | None  # None until it is asked for


@dataclass(eq=False)
class Visit:
    """What one visitor asks for is done one after another: the methods wait for each other.

    They raise InputError, in words for the visitor, for what cannot be done.
    """

    colorizer: Colorizer
    originals: Path  # the visitor's folder for uploads
    pictures: Path  # the visitor's folder in the one that is served: who does not know its name, finds nothing in it
    used: Callable[["Visit"], None]  # is called whenever it is
    opened: Opened | None = None
    shown: Shown | None = None
    corner: tuple[float, float] | None = None  # of a box whose other corner is not clicked yet
    ended: bool = False  # for good: there are no folders any more
    _files: dict[str, Path] = field(default_factory=dict)  # what is in the two folders, by what it shows
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def open(self, path: Path, name: str, max_megapixels: float) -> None:
        """Take a copy of the file `path` for the photograph. Where it cannot be taken, the one before stays."""
        with self._lock:
            header = read_header(path, name, max_megapixels)
            photo = read_photo(path, name, max_pixels=header.width * header.height)
            photo, _, seen = self.colorizer.encode(photo)
            small = preview(photo)
            kept = self._file("original", self.originals, "original")
            shutil.copyfile(path, kept)
            self._written(kept)
            size = photo.size[::-1] if photo.orientation >= 5 else photo.size
            self.opened = Opened(kept, name, header, size, photo.notes, EncodedPhoto(small, small.pixels, seen))
            self.shown = self.corner = None

    @property
    def boxes(self) -> list[list[float]]:
        """Sides in [0, 1] of the objects that are coloured one by one."""
        seen = self._photograph().preview.seen
        return seen.boxes.sides.tolist() if isinstance(seen, Batch) and seen.boxes is not None else []

    def add_corner(self, x: float, y: float) -> bool:
        """A corner of a box, in [0, 1] of the picture; True with the second, which makes it one of `boxes`."""
        with self._lock:
            first, self.corner = self.corner, None
            if first is None:
                self.corner = x, y
                return False
            (left, right), (top, bottom) = sorted((first[0], x)), sorted((first[1], y))
            if min(right - left, bottom - top) < _THINNEST:
                raise InputError("A box has two opposite corners: click them apart from each other.")
            self.take_boxes([[left, top, right, bottom], *self.boxes])
            return True

    def take_boxes(self, boxes: list[list[float]]) -> None:
        """These alone, the first where they are more than the network takes."""
        with self._lock:
            opened = self._photograph()
            photo = read_photo(opened.path, opened.name, max_pixels=opened.header.width * opened.header.height)
            photo, _, seen = self.colorizer.encode(photo, [[*sides, 1.0] for sides in boxes])
            self.corner = None
            self.opened = opened._replace(notes=photo.notes, preview=opened.preview._replace(seen=seen))

    @property
    def title(self) -> str:
        opened = self._photograph()
        return "{}, {}×{} pixels".format(opened.name, *opened.size)

    @property
    def preview_size(self) -> tuple[int, int]:
        """(width, height)."""
        return self._photograph().preview.photo.size

    def color(self, caption: str, strength: float) -> tuple[Path, Path, list[str]]:
        """The preview in gray and in colour, and notes for the visitor."""
        with self._lock:
            opened = self._photograph()
            colored = self.colorizer.colorize(opened.preview, [caption], strength)[0]
            known = self.shown.explanation if self.shown is not None and self.shown.caption == caption else None
            self.shown = Shown(caption, strength, known)
            gray = self._save("gray", opened.preview.gray)
            return gray, self._save("colored", colored.photo.pixels), [*opened.notes, *_small(opened), *colored.notes]

    def explain(self) -> tuple[Explanation, str]:
        """Of what is shown, with its caption. Found once for a caption: the network runs once for each word."""
        with self._lock:
            opened, shown = self._photograph(), self._result()
            if shown.explanation is None:
                point = EncodedPhoto(_POINT, _POINT.pixels, opened.preview.seen)
                colored = self.colorizer.colorize(point, [shown.caption], explain_words=True)[0]
                self.shown = shown = shown._replace(explanation=colored.explanation)
            return shown.explanation, shown.caption

    def draw(self, draw: Callable[[NDArray], NDArray]) -> Path:
        """The picture that `draw` makes of the gray preview, (H, W, 3) uint8 both."""
        with self._lock:
            gray = self._photograph().preview.gray
            return self._save("groups", draw(np.repeat(gray[..., None], 3, axis=2)))

    def full_size(self) -> tuple[Path, list[str]]:
        """What is shown, at the photograph's own size and in its own format, under the visitor's name for it; and notes
        for the visitor on what that format could not hold."""
        with self._lock:
            opened, shown = self._photograph(), self._result()
            photo = read_photo(opened.path, opened.name, max_pixels=opened.header.width * opened.header.height)
            whole = EncodedPhoto(photo, gray_of(photo.pixels), opened.preview.seen)
            colored = self.colorizer.colorize(whole, [shown.caption], shown.strength)[0]
            path = self._file("full size", self.pictures, colored_name(opened.name, opened.header.format))
            folder = f"{path.parent}/"
            path, why = colored.photo.fitting(path)
            self._files["full size"] = path
            try:
                notes = [why] * bool(why) + colored.photo.save(path)
            except InputError as error:
                raise InputError(str(error).replace(folder, "")) from error
            self._written(path)
            return path, [note.replace(folder, "") for note in notes]

    def end(self) -> None:
        """Remove the photograph and every file. Does not wait for what is being done."""
        self.ended = True
        self.opened = self.shown = None
        for folder in (self.originals, self.pictures):
            shutil.rmtree(folder, ignore_errors=True)

    def _photograph(self) -> Opened:
        opened = self.opened
        if opened is None:
            raise InputError(NOTHING)
        self.used(self)
        return opened

    def _result(self) -> Shown:
        if self.shown is None:
            raise InputError(NOTHING)
        return self.shown

    def _save(self, what: str, pixels: NDArray) -> Path:
        path = self._file(what, self.pictures, f"{what}.jpg")
        Image.fromarray(pixels).save(path, **_JPEG)
        self._written(path)
        return path

    def _file(self, what: str, folder: Path, name: str) -> Path:
        """A new path for `what`, whose file before is removed: a browser never takes the old for the new."""
        if self.ended:
            raise InputError(NOTHING)
        if what in self._files:
            shutil.rmtree(self._files[what].parent, ignore_errors=True)
        self._files[what] = folder / secrets.token_urlsafe(8) / name
        self._files[what].parent.mkdir()
        return self._files[what]

    def _written(self, path: Path) -> None:
        """One that was made room for in the meantime leaves nothing."""
        self.used(self)
        if self.ended:
            shutil.rmtree(path.parents[1], ignore_errors=True)
            raise InputError(NOTHING)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        size = 0
        for path in [*self._files.values()]:
            with contextlib.suppress(FileNotFoundError):
                size += path.stat().st_size
        return size


class Visits:
    """A bounded number, of bounded bytes: who has done nothing for the longest time, makes room."""

    def __init__(
        self, colorizer: Colorizer, originals: Path, pictures: Path, most: int, size: float = float("inf")
    ) -> None:
        """most: visits at a time; size: bytes of all of their files. One address has a quarter of both."""
        self.colorizer, self.originals, self.pictures = colorizer, originals, pictures
        each = Share(max(1, most // _EACH), size / _EACH)
        self._visits: Shares[Visit] = Shares(each, Share(most, size), Visit.end)

    def __len__(self) -> int:
        return len(self._visits)

    def begin(self, owner: str) -> Visit:
        """owner: the address that it is counted for."""
        key = secrets.token_urlsafe()
        originals, pictures = self.originals / key, self.pictures / key
        for folder in (originals, pictures):
            folder.mkdir()
        visit = Visit(self.colorizer, originals, pictures, lambda visit: self._hold(visit, owner))
        self._hold(visit, owner)
        return visit

    def _hold(self, visit: Visit, owner: str) -> None:
        if not visit.ended:
            self._visits.hold(visit, owner, visit.size)

    def end(self, visit: Visit | None) -> None:
        """None: somebody who never had a photograph."""
        if visit is not None:
            self._visits.let_go(visit)
            visit.end()


def _small(opened: Opened) -> list[str]:
    """A note, where it is."""
    width, height = opened.header.width, opened.header.height
    return [f"{opened.name}: only {width}×{height} pixels; there is hardly anything to colour"] * (
        min(width, height) < SMALL
    )


def preview(photo: Photo) -> Photo:
    """In gray, upright, of 8 bits, transparency on white, its longer side at most PREVIEW pixels."""
    width, height = photo.size
    scale = min(1.0, PREVIEW / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))

    def small(planes: NDArray) -> NDArray:
        return cv2.resize(to_bytes(planes), size, interpolation=cv2.INTER_AREA)

    gray = to_bytes(gray_of(small(photo.pixels)))
    if photo.alpha is not None:
        opaque = small(photo.alpha) / np.float32(255)
        gray = np.rint(255 + opaque * (gray - np.float32(255))).astype(np.uint8)
    return Photo(turn(gray, photo.orientation))
