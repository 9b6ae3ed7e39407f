"""Image tokens -> ab (Sec. 3.5).  B batch; N_I image tokens; C token width; P patch side; H, W image side."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn


class Upsampler(nn.Module):
    """F_up(F_rsp(Z_image)) of Eq. (10): the square token grid, doubled log2(P) times.

    Open in the paper: the layers. Ours follow the authors' released architecture: every stage doubles the side with
    a transposed convolution and refines it; all but the last normalise, and the last ends in tanh.
    """

    def __init__(self, dim: int, channels: Sequence[int], normalize: bool = True) -> None:
        """`channels`: the width of the grid, then of each stage, e.g. (512, 256, 128, 64, 32) for P = 16.

        normalize: InstanceNorm in every stage but the last. It takes away each channel's mean over the picture, and
        with it what all pixels have in common, such as the colour of a named ground (docs/RESULTS.md).
        """
        super().__init__()
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.head = nn.Linear(dim, channels[0])
        *stages, last = pairwise(channels)
        self.stages = nn.Sequential(*(_stage(*widths, normalize) for widths in stages))
        self.last = nn.Sequential(_double(*last), nn.ReLU(), nn.Conv2d(last[1], 2, 3, padding=1), nn.Tanh())

    def forward(self, image: Tensor) -> Tensor:
        """image: (B, N_I, C), N_I a square number. Returns ab (B, 2, H, W) in [-1, 1], that is ab / 110."""
        side = round(image.shape[1] ** 0.5)
        grid = self.head(self.norm(image)).transpose(1, 2).unflatten(2, (side, side))  # (B, channels[0], side, side)
        return self.last(self.stages(grid))


def _double(width: int, new_width: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(width, new_width, kernel_size=4, stride=2, padding=1)


def _stage(width: int, new_width: int, normalize: bool) -> nn.Sequential:
    return nn.Sequential(
        _double(width, new_width),
        nn.ReLU(),
        nn.Conv2d(new_width, new_width, 3, padding=1),
        nn.InstanceNorm2d(new_width) if normalize else nn.Identity(),
        nn.ReLU(),
    )
