"""The files of one visitor, in two folders of their own."""

import contextlib
import secrets
import shutil
from pathlib import Path

from numpy.typing import NDArray
from PIL import Image

from utils.errors import InputError

LIFETIME = 3600  # seconds that a photograph is kept after its visitor last did something
NOTHING = (
    "There is no photograph: upload one or take an example. One that was here is forgotten after"
    f" {LIFETIME // 60} minutes in which nothing is done with it, or earlier where many visitors come."
)
_JPEG = {"quality": 92, "subsampling": 0}  # colours at full size: their edges are looked at


class VisitFiles:
    """One of each kind: a new one takes the place of that before."""

    def __init__(self, originals: Path, pictures: Path) -> None:
        """originals: the visitor's folder for uploads; pictures: that in the one that is served: who does not know its
        name, finds nothing in it. Both are there."""
        self.originals, self.pictures = originals, pictures
        self.ended = False  # for good: there are no folders any more
        self._files: dict[str, Path] = {}  # by what they show

    def new(self, what: str, folder: Path, name: str) -> Path:
        """A new path for `what`, whose file before is removed: a browser never takes the old for the new."""
        if self.ended:
            raise InputError(NOTHING)
        if what in self._files:
            shutil.rmtree(self._files[what].parent, ignore_errors=True)
        self._files[what] = folder / secrets.token_urlsafe(8) / name
        self._files[what].parent.mkdir()
        return self._files[what]

    def keep(self, what: str, path: Path) -> None:
        """It was written. Of a visit that was ended in the meantime nothing is left, and InputError is raised."""
        self._files[what] = path
        if self.ended:
            shutil.rmtree(path.parents[1], ignore_errors=True)
            raise InputError(NOTHING)

    def save_picture(self, what: str, pixels: NDArray) -> Path:
        """As JPEG. pixels: (H, W) or (H, W, 3) uint8."""
        path = self.new(what, self.pictures, f"{what}.jpg")
        Image.fromarray(pixels).save(path, **_JPEG)
        self.keep(what, path)
        return path

    def end(self) -> None:
        self.ended = True
        for folder in (self.originals, self.pictures):
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def size(self) -> int:
        """Bytes."""
        size = 0
        for path in [*self._files.values()]:
            with contextlib.suppress(FileNotFoundError):
                size += path.stat().st_size
        return size
