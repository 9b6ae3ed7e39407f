"""What every pixel shows, for systems that learn it beside the colours.

`root/labels_{split}/<image stem>.png` is an 8-bit picture of the image's size: the class of every pixel from 0, 255 of
none. COCO-Stuff's maps are such files. An image without one has no class anywhere.
"""

from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from datasets.batch import IGNORED
from datasets.boxes import Box
from utils.errors import InputError


class LabelMaps:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def beside(cls, root: Path, split: str) -> Self | None:
        """None where there is no such folder."""
        folder = root / f"labels_{split}"
        return cls(folder) if folder.is_dir() else None

    def read(self, name: str, part: Box, size: int) -> Tensor:
        """(size, size) uint8: the part of the image `name` that a crop shows, nearest pixels. Raises InputError."""
        path = self.folder / Path(name).with_suffix(".png")
        if Path(name).is_absolute() or not path.is_file():  # a picture of another folder has whole its path
            return torch.full((size, size), IGNORED, dtype=torch.uint8)
        try:
            with Image.open(path) as file:
                if file.mode not in ("L", "P"):
                    raise InputError(f"{path}: is {file.mode}; a map of classes is an 8-bit picture of one channel")
                sides = (
                    part.left * file.width,
                    part.top * file.height,
                    part.right * file.width,
                    part.bottom * file.height,
                )
                own = file.resize((size, size), Image.Resampling.NEAREST, box=sides)
                return torch.from_numpy(np.array(own, dtype=np.uint8))
        except (UnidentifiedImageError, OSError) as error:
            raise InputError(f"{path}: cannot be read ({error}); restore it, or move it away") from error
