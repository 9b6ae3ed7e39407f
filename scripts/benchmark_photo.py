"""Row `photo` of scripts/benchmark.py: a photograph of 12 megapixels coloured, and where the time and the memory go."""

import io
from collections.abc import Callable
from statistics import median

import cv2
import numpy as np
import torch
from PIL import Image

from inference import DEFAULT_CHECKPOINT, Colorizer
from inference.photo import read_photo
from scripts.benchmark_timing import Figures, forget_largest_memory, largest_memory, ratio, timed
from utils.devices import autocast

WIDTH, HEIGHT = 4000, 3000
CAPTION = "a red ball on the left and a blue box on the right"
CPU = torch.device("cpu")


def photo_row(repeats: int) -> Figures:
    """From JPEG bytes to coloured pixels, with the repository's checkpoint, on the CPU.

    first: read, encoded and coloured; second: another caption for the photograph that is encoded already; rest: all of
    the first but the network. Memory is what colouring takes beside the photograph's own pixels.
    """
    jpeg = _jpeg()
    colorizer = Colorizer.from_checkpoint(DEFAULT_CHECKPOINT, "cpu")
    encoded = colorizer.encode(read_photo(io.BytesIO(jpeg)))
    square = torch.zeros(1, 1, colorizer.network.img_size, colorizer.network.img_size)
    words = colorizer.tokenizer([CAPTION])

    forget_largest_memory()
    before = largest_memory(CPU)
    colorizer.colorize(encoded, [CAPTION])
    memory = largest_memory(CPU) - before

    def network() -> None:
        with autocast(CPU, colorizer.amp):
            colorizer.network(square, words)

    calls: dict[str, Callable[[], object]] = {
        "first": lambda: colorizer.colorize(colorizer.encode(read_photo(io.BytesIO(jpeg))), [CAPTION]),
        "second": lambda: colorizer.colorize(encoded, [CAPTION]),
        "network": network,
    }
    seconds = timed(calls, repeats, CPU)
    rest = [first - network for first, network in zip(seconds["first"], seconds["network"], strict=True)]
    return {
        "megapixels": WIDTH * HEIGHT / 1e6,
        "first_seconds": median(seconds["first"]),
        "rest_seconds": median(rest),
        "second_of_first": ratio(seconds["second"], seconds["first"]),
        "memory_mb": memory / 1e6,
    }


def _jpeg() -> bytes:
    """Clouds of every size in gray, as photographs have them."""
    noise, picture = np.random.default_rng(0), np.zeros((HEIGHT, WIDTH), np.float32)
    for side in (8, 40, 200, 1000):
        coarse = noise.normal(size=(side * 3 // 4, side)).astype(np.float32)
        picture += cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC) * (20 / side**0.25)
    file = io.BytesIO()
    Image.fromarray((picture + 128).clip(0, 255).astype(np.uint8)).convert("RGB").save(file, "JPEG", quality=90)
    return file.getvalue()
