"""The small gray copy of a photograph that the page shows."""

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.colored_photo import to_bytes
from inference.enlarge import gray_of
from inference.photo import Photo, turn

PREVIEW = 1024  # pixels, longer side; the download has the photograph's own


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
