"""A visitor: a photograph, what they see of it, and files that nobody else is shown."""

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.batch import Batch
from inference import Colorizer, EncodedPhoto, Explanation
from inference.enlarge import gray_of
from inference.photo import Photo, read_photo
from inference.segmentation import Embedded, Segmenter
from utils.errors import InputError
from webapp import marks
from webapp.preview import preview
from webapp.uploads import Header, colored_name, read_header, small_notes
from webapp.visit_files import NOTHING, VisitFiles

MOST_PLACES = 16  # of phrases, the newest: a mask has up to a megabyte
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
    given: EncodedPhoto  # the preview, as the network was given it
    seed: int | None
    explanation: Explanation | None = None  # None until it is asked for

    def like(self, other: "Shown") -> bool:
        """Whether the network paints the same for both."""
        same = self.given.seen is other.given.seen and self.given.masks is other.given.masks
        return same and (self.caption, self.seed) == (other.caption, other.seed)


@dataclass(eq=False)
class Visit:
    """What one visitor asks for is done one after another: the methods wait for each other.

    They raise InputError, in words for the visitor, for what cannot be done.
    """

    colorizer: Colorizer
    files: VisitFiles
    used: Callable[["Visit"], None]  # is called whenever it is
    segmenter: Segmenter | None = None  # finds the object at a click; None: a box stands for it
    opened: Opened | None = None
    shown: Shown | None = None
    corner: marks.Corner | None = None  # of a box whose other corner is not clicked yet
    places: dict[marks.Key, NDArray] = field(default_factory=dict)  # masks of phrases, (H, W) bool of the preview
    seed: int | None = None  # of a system that draws what it paints; None: the system's own
    _embedded: Embedded | None = None  # the preview, as the segmenter reads it
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def open(self, path: Path, name: str, max_megapixels: float) -> None:
        """Take a copy of the file `path` for the photograph. Where it cannot be taken, the one before stays."""
        with self._lock:
            header = read_header(path, name, max_megapixels)
            photo = read_photo(path, name, max_pixels=header.width * header.height)
            encoded = self.colorizer.encode(photo)
            photo, small = encoded.photo, preview(encoded.photo)
            kept = self.files.new("original", self.files.originals, "original")
            shutil.copyfile(path, kept)
            self.used(self)
            self.files.keep("original", kept)
            shown = encoded._replace(photo=small, gray=small.pixels)
            self.opened = Opened(kept, name, header, photo.upright_size, photo.notes, shown)
            self.shown = self.corner = self.seed = self._embedded = None
            self.places = {}

    # ---- objects that the visitor points out

    @property
    def boxes(self) -> list[list[float]]:
        """Sides in [0, 1] of the objects that are coloured one by one."""
        seen = self._photograph().preview.seen
        return seen.boxes.sides.tolist() if isinstance(seen, Batch) and seen.boxes is not None else []

    def add_corner(self, x: float, y: float) -> bool:
        """A corner of a box, in [0, 1] of the picture; True with the second, which makes it one of `boxes`."""
        with self._lock:
            box = self._box(x, y)
            if box is not None:
                self.take_boxes([[*box], *self.boxes])
            return box is not None

    def take_boxes(self, boxes: list[list[float]]) -> None:
        """These alone, the first where they are more than the network takes."""
        with self._lock:
            opened = self._photograph()
            photo = read_photo(opened.path, opened.name, max_pixels=opened.header.width * opened.header.height)
            encoded = self.colorizer.encode(photo, [[*sides, 1.0] for sides in boxes])
            self.corner = None
            self.opened = opened._replace(notes=encoded.photo.notes, preview=opened.preview._replace(seen=encoded.seen))

    def place(self, caption: str, number: int, x: float, y: float) -> bool:
        """A click for a colour phrase of the caption, `number` in their order: on its object, or, without segmenter, on
        a corner of its box. True with what gives the phrase its place."""
        with self._lock:
            opened, keys = self._photograph(), [*marks.keyed(caption)]
            if self.segmenter is None:
                box = self._box(x, y)
                if box is None:
                    return False
                mask = marks.box_mask(box, *opened.preview.gray.shape)
            else:
                mask = self._segment(x, y)
            places = {keys[number]: mask}
            self.colorizer.with_masks(opened.preview, marks.masks_of(caption, places))  # large enough, or raises
            self.places = dict([*(self.places | places).items()][-MOST_PLACES:])
            return True

    def clear_places(self) -> None:
        with self._lock:
            self.places, self.corner = {}, None

    def _box(self, x: float, y: float) -> marks.Box | None:
        """With the second corner."""
        first, self.corner = self.corner, None
        if first is None:
            self.corner = x, y
            return None
        return marks.box_between(first, (x, y))

    def _segment(self, x: float, y: float) -> NDArray:
        if self._embedded is None:
            self._embedded = self.segmenter.embed([Image.fromarray(self._photograph().preview.gray).convert("RGB")])
        mask = self.segmenter.at(self._embedded, 0, x, y)
        if not mask.any():
            raise InputError("No object was found there: click another place of it.")
        return mask

    # ---- pictures

    @property
    def title(self) -> str:
        return "{}, {}×{} pixels".format(self._photograph().name, *self._photograph().size)

    @property
    def preview_size(self) -> tuple[int, int]:
        """(width, height)."""
        return self._photograph().preview.photo.size

    def color(self, caption: str, strength: float) -> tuple[Path, Path, list[str]]:
        """The preview in gray and in colour, and notes for the visitor."""
        with self._lock:
            opened = self._photograph()
            given = opened.preview
            if masks := marks.masks_of(caption, self.places):
                given = self.colorizer.with_masks(given, masks)
            colored = self.colorizer.colorize(given, [caption], strength, seed=self.seed)[0]
            before, now = self.shown, Shown(caption, strength, given, self.seed)
            self.shown = now._replace(explanation=before.explanation) if before and before.like(now) else now
            gray = self._save("gray", opened.preview.gray)
            return (
                gray,
                self._save("colored", colored.photo.pixels),
                [*opened.notes, *small_notes(opened.name, opened.header), *colored.notes],
            )

    def vary(self, count: int) -> list[Path]:
        """What is shown, as the seeds from 0 to count - 1 paint it."""
        with self._lock:
            shown, paths = self._result(), []
            for seed in range(count):
                colored = self.colorizer.colorize(shown.given, [shown.caption], shown.strength, seed=seed)[0]
                paths.append(self._save(f"variant {seed}", colored.photo.pixels))
            return paths

    def explain(self) -> tuple[Explanation, str]:
        """Of what is shown, with its caption. Found once for a caption: the network runs once for each word."""
        with self._lock:
            shown = self._result()
            if shown.explanation is None:
                point = shown.given._replace(photo=_POINT, gray=_POINT.pixels)
                colored = self.colorizer.colorize(point, [shown.caption], explain_words=True, seed=shown.seed)[0]
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
            whole = shown.given._replace(photo=photo, gray=gray_of(photo.pixels))
            colored = self.colorizer.colorize(whole, [shown.caption], shown.strength, seed=shown.seed)[0]
            path = self.files.new("full size", self.files.pictures, colored_name(opened.name, opened.header.format))
            folder = f"{path.parent}/"
            path, why = colored.photo.fitting(path)
            try:
                notes = [why] * bool(why) + colored.photo.save(path)
            except InputError as error:
                raise InputError(str(error).replace(folder, "")) from error
            self.files.keep("full size", path)
            self.used(self)
            return path, [note.replace(folder, "") for note in notes]

    def end(self) -> None:
        """Remove the photograph and every file. Does not wait for what is being done."""
        self.opened = self.shown = None
        self.files.end()

    @property
    def ended(self) -> bool:
        return self.files.ended

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
        path = self.files.save_picture(what, pixels)
        self.used(self)
        return path
