"""Luminance augmentation (Sec. 3.2, Eq. 1, 2), on the batch, on its device.  B batch; H, W image sides.

Only the gray input is augmented. The target is the colour of the photo as it was, `utils.color.split(rgb)[1]`, and
the caption stays the caption of that photo: a network that read colour off the luminance would be wrong.
"""

import torch
from torch import Tensor, nn

from utils.color import L_MAX, at_least_float32, luminance, normalize_luminance, split
from utils.errors import InputError


def rotate_hue(rgb: Tensor, degrees: Tensor) -> Tensor:
    """Eq. 1: hue' = (hue + lambda) mod 360 degrees; the saturation and value of the HSV image stay.

    With h in sixths of a turn, V = max(R, G, B) and C = V - min(R, G, B), the way back from HSV is, for each channel,
    V - C * clamp(min(k, 4 - k), 0, 1),  k = (n + h) mod 6,  n = 5, 3, 1 for R, G, B.  Grays have C = 0: unchanged.
    torchvision's `adjust_hue` takes one angle a call; here each image has its own, in one pass.

    rgb: (B, 3, H, W) in [0, 1]; degrees: (B,), any angle. Returns (B, 3, H, W) in [0, 1], at least float32.
    """
    rgb = at_least_float32(rgb)
    red, green, blue = rgb.unbind(1)  # (B, H, W) each
    value, chroma = rgb.amax(dim=1), rgb.amax(dim=1) - rgb.amin(dim=1)
    unit = torch.where(chroma > 0, chroma, 1.0)  # a gray has no hue: any will do, but not 0 / 0
    hue = torch.where(
        value == red,
        (green - blue) / unit,
        torch.where(value == green, (blue - red) / unit + 2.0, (red - green) / unit + 4.0),
    )
    hue = hue + (degrees.to(rgb.dtype) / 60.0)[:, None, None]
    turned = []
    for n in (5.0, 3.0, 1.0):
        k = torch.remainder(hue + n, 6.0)
        turned.append(value - chroma * torch.minimum(k, 4.0 - k).clamp(0.0, 1.0))
    return torch.stack(turned, dim=1)


def gamma_correct(luminance: Tensor, gamma: Tensor) -> Tensor:
    """Eq. 2: A * luminance ^ gamma, A = 1. Black stays black, and its gradient is 0 where the slope is infinite.

    luminance: (B, 1, H, W) in [0, 1] (rounding below 0 counts as 0); gamma: (B,), positive. Returns (B, 1, H, W) in
    [0, 1], at least float32.
    """
    luminance = at_least_float32(luminance)
    positive = luminance.clamp(min=torch.finfo(luminance.dtype).tiny)
    return torch.where(luminance > 0, positive.pow(gamma.to(luminance.dtype)[:, None, None, None]), 0.0)


class Luminance(nn.Module):
    """The gray of a photo as it is: for evaluation, and for training without luminance augmentation (Table 1, w/o LA).

    rgb (B, 3, H, W) in [0, 1] -> gray (B, 1, H, W) in [-1, 1].
    """

    def forward(self, rgb: Tensor) -> Tensor:
        return normalize_luminance(luminance(rgb))


class LuminanceAugmentation(nn.Module):
    """The gray of a photo whose hues were turned (Eq. 1) and whose luminance was bent (Eq. 2), for training.

        lambda ~ U[-max_degrees, max_degrees];  gamma ~ U[1, max_gamma], replaced by 1 / gamma with probability 1/2

    Open in the paper: how often; here every image of every batch, each with its own draws. They come from torch's
    default generator of the tensor's device: seed that, and restore its state on resume. The mode of the module
    (`train`, `eval`) changes nothing; give evaluation `Luminance` instead.

    max_degrees: in [0, 180]; max_gamma: at least 1. Others raise InputError.
    """

    def __init__(self, max_degrees: float = 180.0, max_gamma: float = 5.0) -> None:
        super().__init__()
        if not 0.0 <= max_degrees <= 180.0:
            raise InputError(f"the largest hue rotation must be 0 to 180 degrees, not {max_degrees}")
        if not 1.0 <= max_gamma < float("inf"):
            raise InputError(f"the largest gamma must be a number of at least 1, not {max_gamma}")
        self.max_degrees = max_degrees
        self.max_gamma = max_gamma

    def forward(self, rgb: Tensor) -> Tensor:
        """rgb: (B, 3, H, W) in [0, 1]. Returns gray (B, 1, H, W) in [-1, 1]."""
        degrees, gamma = self.draw(rgb.shape[0], rgb.device)
        unit = luminance(rotate_hue(rgb, degrees)) / L_MAX  # (B, 1, H, W) in [0, 1]
        return normalize_luminance(L_MAX * gamma_correct(unit, gamma))

    def draw(self, batch: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """lambda in degrees and gamma, (batch,) float32 each."""
        degrees = torch.empty(batch, device=device).uniform_(-self.max_degrees, self.max_degrees)
        gamma = torch.empty(batch, device=device).uniform_(1.0, self.max_gamma)
        return degrees, torch.where(torch.rand(batch, device=device) < 0.5, 1.0 / gamma, gamma)


class InputAndTarget(nn.Module):
    """What a training step shows the network and what it asks of it; one graph where it is compiled.

    rgb (B, 3, H, W) in [0, 1] -> gray (B, 1, H, W), augmented, and ab (B, 2, H, W), as it was; both in [-1, 1].
    """

    def __init__(self, augment: nn.Module) -> None:
        """augment: `Luminance` or `LuminanceAugmentation`."""
        super().__init__()
        self.augment = augment

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        return self.augment(rgb), split(rgb)[1]
