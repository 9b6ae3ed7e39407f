"""What the guided enlargement of colours gains over plain interpolation, on photographs at their original size.

    python scripts/enlargement.py [photos/ ...]

The true ab of each photograph is shrunk to the network's square, enlarged again, and joined with the photograph's own
luminance: an error is the enlargement's alone. Without photographs, scikit-image's four are taken. Prints a table:
PSNR of the picture; the mean distance of ab where it changes most (a tenth of the pixels).
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import skimage.data
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from evaluation.metrics import psnr
from inference.coloring_plan import find_photos
from inference.enlarge import explain, gray_of
from inference.photo import read_photo
from utils import color
from utils.errors import InputError
from utils.progress import progress

SIDES = (64, 112, 224)  # of the networks' squares
NOWHERE = Path(os.devnull)  # nothing is written
EDGES = 0.1  # share of the pixels where ab changes most

Enlarge = Callable[[NDArray, NDArray], NDArray]  # photograph (H, W, 3) uint8, ab (2, S, S) -> ab (2, H, W)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", help="files, folders or patterns")
    options = parser.parse_args(words)
    try:
        named = find_photos(options.photos, NOWHERE).named if options.photos else []
        photos = [read_photo(path).pixels for path, _ in named]
    except InputError as error:
        print(f"enlargement.py: {error}", file=sys.stderr)
        return 2
    photos = [pixels for pixels in photos if pixels.ndim == 3 and pixels.dtype == np.uint8]
    if options.photos and not photos:
        print("enlargement.py: no photograph has colours of 8 bits; pass others", file=sys.stderr)
        return 2
    if not photos:
        photos = [skimage.data.astronaut(), skimage.data.chelsea(), skimage.data.coffee(), skimage.data.rocket()]
    print(markdown(photos))
    return 0


def markdown(photos: Sequence[NDArray]) -> str:
    """photos: (H, W, 3) uint8 each."""
    rows = [("network", "enlargement", "PSNR, dB", "error of ab at edges"), ("---",) * 4]
    for side in SIDES:
        for name, enlarge in ENLARGEMENTS.items():
            shown = progress(photos, f"{side} pixels, {name}", "photo")
            figures = np.mean([quality(photo, side, enlarge) for photo in shown], axis=0)
            rows.append((f"{side}×{side}", name, f"{figures[0]:.2f}", f"{figures[1]:.2f}"))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def quality(photo: NDArray, side: int, enlarge: Enlarge) -> tuple[float, float]:
    """PSNR in dB, and the mean distance of ab at edges, CIE units."""
    lab = color.rgb_to_lab(torch.from_numpy(photo / np.float32(255)).permute(2, 0, 1)[None])[0].numpy()
    truth = lab[1:]
    found = enlarge(photo, np.stack([cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in truth]))
    change = sum(np.hypot(cv2.Sobel(p, cv2.CV_32F, 1, 0), cv2.Sobel(p, cv2.CV_32F, 0, 1)) for p in truth)
    edge = change >= np.quantile(change, 1 - EDGES)
    rgb = color.lab_to_rgb(torch.from_numpy(np.concatenate([lab[:1], found]))[None])
    pair = color.to_uint8(rgb, rounded=True), torch.from_numpy(photo).permute(2, 0, 1)[None]
    return psnr(*pair).item(), float(np.hypot(*(found - truth))[edge].mean())


def plain(interpolation: int) -> Enlarge:
    def enlarge(photo: NDArray, ab: NDArray) -> NDArray:
        return np.stack([cv2.resize(plane, photo.shape[1::-1], interpolation=interpolation) for plane in ab])

    return enlarge


def guided(photo: NDArray, ab: NDArray) -> NDArray:
    """inference/enlarge.py, without what `paint` does for sRGB."""
    planes = [cv2.resize(plane, photo.shape[1::-1]) for plane in explain(gray_of(photo), ab).numpy()]
    lightness = color.luminance(torch.from_numpy(photo / np.float32(255)).permute(2, 0, 1)[None])[0, 0].numpy()
    return np.stack([planes[0] * lightness + planes[2], planes[1] * lightness + planes[3]])


ENLARGEMENTS = {
    "nearest": plain(cv2.INTER_NEAREST),
    "bilinear": plain(cv2.INTER_LINEAR),
    "bicubic": plain(cv2.INTER_CUBIC),
    "guided (ours)": guided,
}

if __name__ == "__main__":
    sys.exit(main())
