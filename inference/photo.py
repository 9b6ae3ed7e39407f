"""A photograph that is to be coloured, and everything of its file that comes back as it was.

H, W sides as stored, before EXIF's orientation turns the picture for the eye.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from datasets.pictures import metadata
from datasets.pictures.decode import Decoded, decode, turn, turn_rgb
from datasets.pictures.formats import max_pixels, naming
from datasets.pictures.metadata import Metadata
from datasets.pictures.picture_file import PictureFile
from inference.colored_photo import ColoredPhoto

MAX_PIXELS = max_pixels()


@dataclass(frozen=True)
class Photo(Decoded):
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()  # what could not be kept, in words for the user

    def square(self, side: int) -> NDArray:
        """As the network is trained on it: upright, transparency on white, squashed. (side, side, 3) uint8 sRGB."""
        small = np.asarray(self.opaque().resize((side, side), Image.Resampling.BILINEAR).convert("RGB"))
        return turn_rgb(small, self.orientation)

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) as the eye sees it."""
        return self.size[::-1] if self.orientation >= 5 else self.size

    def upright(self) -> Image.Image:
        """As the eye sees it, transparency on white: 8-bit RGB."""
        return Image.fromarray(turn_rgb(np.asarray(self.opaque().convert("RGB")), self.orientation))

    def colored(self, rgb: NDArray) -> ColoredPhoto:
        """The finished picture. rgb: (H, W, 3) sRGB of the kind of `pixels`."""
        if self.back is not None:
            rgb = self.back.from_srgb(rgb)
        if self.alpha is not None:
            rgb = np.concatenate([rgb, self.alpha[..., None]], axis=2)
        return ColoredPhoto(rgb, self.profile, self.metadata)


def read_photo(source: Path | bytes | BinaryIO, name: str | None = None, max_pixels: int | None = None) -> Photo:
    """source: a file's path, or its content, called `name` in messages.

    Raises InputError, naming the file, where it is not an image, is broken or has more than `max_pixels` (None: what
    Pillow finds safe); the size is read from the header, so a small file that claims to be huge is never decoded.
    """
    with PictureFile(source, str(source) if name is None else name, max_pixels) as file:
        return _read(file)


def from_image(image: Image.Image, name: str = "image") -> Photo:
    """A picture of any of Pillow's modes; of an animation the first frame."""
    return _read(PictureFile(image, name))


def _read(file: PictureFile) -> Photo:
    notes: list[str] = []
    with naming(file.name, file.remedy):
        if file.frames > 1:
            notes.append(f"{file.name}: has {file.frames} frames or pages; the first is coloured")
        decoded = decode(file, notes)
        found = metadata.read(file, notes)
    return Photo(**vars(decoded), metadata=found, notes=tuple(dict.fromkeys(notes)))


def turn_back(planes: NDArray, orientation: int) -> NDArray:
    """The inverse of `turn`."""
    return turn(planes, {6: 8, 8: 6}.get(orientation, orientation))
