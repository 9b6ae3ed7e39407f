"""Image tokens on a grid -> ab, as the released systems do it, under their files' names."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class ConvUpsample(nn.Module):
    """Each stage doubles the side and refines it; the last ends in tanh."""

    def __init__(self, channels: Sequence[int]) -> None:
        """channels: the width of the grid, then of each stage."""
        super().__init__()
        self.stages = len(channels) - 1
        for place, (width, new_width) in enumerate(pairwise(channels), start=1):
            last = place == self.stages
            self.add_module(f"up{place}", double(width, new_width))
            end = nn.Sequential(nn.Conv2d(new_width, 2, 3, padding=1), nn.Tanh()) if last else refine(new_width)
            self.add_module(f"c{place}", end)

    def forward(self, grid: Tensor) -> Tensor:
        """(B, channels[0], side, side) -> (B, 2, side 2^stages, side 2^stages) in [-1, 1]."""
        for place in range(1, self.stages + 1):
            grid = getattr(self, f"c{place}")(getattr(self, f"up{place}")(grid).relu())
        return grid


def double(width: int, new_width: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(width, new_width, kernel_size=4, stride=2, padding=1)


def refine(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.InstanceNorm2d(width), nn.ReLU())
