"""Photographs and captions that the benchmark makes for itself."""

import io
import json
import shutil
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

PHOTOGRAPHS = 48  # files that the loader reads over and over
COPY_SIDE = 256  # pixels of the shorter side of the copies
SENTENCE = "a {} ball beside a {} box near the {} cup on the {} sand under"
COLORS = ("red", "blue", "green", "yellow", "black", "white", "orange", "purple")


def write_photographs(root: Path, pairs: int, words: int, split: str = "train") -> float:
    """A split of at least `pairs` pairs over PHOTOGRAPHS files of 640 x 480, smooth colours with grain.

    Returns the mean size of a file in kilobytes: the grain brings it near that of COCO's photographs.
    """
    draw = np.random.default_rng(0)
    (root / split).mkdir()
    for place in range(PHOTOGRAPHS):
        smooth = Image.fromarray(draw.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((640, 480))
        pixels = (np.asarray(smooth) + draw.normal(0.0, 12.0, (480, 640, 1))).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / split / f"{place}.jpg", quality=90)
    listed = []
    for place in range(max(pairs, PHOTOGRAPHS)):
        colors = islice(cycle(COLORS), place % len(COLORS), None)
        caption = islice(cycle(SENTENCE.format(*islice(colors, 4)).split()), words)
        listed.append([f"{place % PHOTOGRAPHS}.jpg", " ".join(caption)])
    (root / f"cap-img-pairs_{split}.json").write_text(json.dumps(listed))
    return sum(path.stat().st_size for path in (root / split).iterdir()) / PHOTOGRAPHS / 1000


def write_copies(root: Path, copies: Path) -> None:
    """The same training split with pictures whose shorter side has COPY_SIDE pixels."""
    (copies / "train").mkdir()
    for path in (root / "train").iterdir():
        with Image.open(path) as image:
            scale = COPY_SIDE / min(image.size)
            sides = tuple(round(side * scale) for side in image.size)
            image.resize(sides, Image.Resampling.LANCZOS).save(copies / "train" / path.name, quality=90)
    shutil.copy(root / "cap-img-pairs_train.json", copies)


def gray_jpeg(width: int, height: int) -> bytes:
    """Clouds of every size in gray, as photographs have them."""
    noise, picture = np.random.default_rng(0), np.zeros((height, width), np.float32)
    for side in (8, 40, 200, 1000):
        coarse = noise.normal(size=(side * 3 // 4, side)).astype(np.float32)
        picture += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * (20 / side**0.25)
    file = io.BytesIO()
    Image.fromarray((picture + 128).clip(0, 255).astype(np.uint8)).convert("RGB").save(file, "JPEG", quality=90)
    return file.getvalue()
