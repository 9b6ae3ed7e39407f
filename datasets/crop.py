"""Random crops, and pictures as square tensors."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2


def draw_crop(width: int, height: int, scale: tuple[float, float], seed: int) -> tuple[int, int, int, int]:
    """(top, left, height, width) of a random resized crop that keeps a share of the area within `scale`.

    torchvision draws from the global generator: it is lent ours. Not by torch.manual_seed, which would seed the GPUs
    too, and note a stack trace every time where CUDA is not in use yet.
    """
    state = torch.get_rng_state()
    try:
        torch.default_generator.manual_seed(seed)
        return v2.RandomResizedCrop.get_params(torch.empty(0, height, width), list(scale), [3 / 4, 4 / 3])
    finally:
        torch.set_rng_state(state)


def squash(image: Image.Image, size: int, box: tuple[float, float, float, float] | None = None) -> Tensor:
    """Squashed to the square (from `box` alone, if given), antialiased bilinear: (3, size, size) uint8.

    The channels one by one: a picture's bytes, turned round by torch, take several times as long.
    """
    square = image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    return torch.from_numpy(np.stack([np.asarray(channel) for channel in square.split()]))
