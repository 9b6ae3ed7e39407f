"""How far colours are apart, and how colourful a picture is.  B batch; H, W image sides; images uint8 (B, 3, H, W).

Each metric of images gives one float64 per image, (B,), on the images' device.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from utils import color


class ColorErrors(NamedTuple):
    chroma_error: Tensor  # (B,) mean distance sqrt(da^2 + db^2) in the ab plane, CIE units
    ciede2000: Tensor  # (B,) mean CIEDE2000
    box_error: Tensor | None = None  # (B,) chroma_error of the pixels inside masks alone, NaN where there is none


def color_errors(a: Tensor, b: Tensor, masks: Tensor | None = None) -> ColorErrors:
    """Mean differences of each image from its partner, all 0 for equal images. masks: (B, H, W) bool."""
    check_images(a, b)
    lab_a, lab_b = (color.rgb_to_lab(images.double() / 255) for images in (a, b))
    chroma = (lab_a - lab_b)[:, 1:].square().sum(dim=1).sqrt()
    means = (pixels.mean(dim=(1, 2)) for pixels in (chroma, ciede2000(lab_a, lab_b, dim=1)))
    return ColorErrors(*means, None if masks is None else (chroma * masks).sum(dim=(1, 2)) / masks.sum(dim=(1, 2)))


def ciede2000(lab_a: Tensor, lab_b: Tensor, dim: int = -1) -> Tensor:
    """The CIEDE2000 colour difference, all k = 1: about 1 where two colours can just be told apart.

    Sharma, Wu, Dalal (2005), "The CIEDE2000 color-difference formula", eqs. 2-22. The rules for a neutral colour need
    no lines: all that its hue enters is times C'_1 C'_2 = 0.
    lab_a, lab_b: floating Lab, channels on `dim`, shapes that broadcast. Returns their shape without `dim`, float64.
    """
    (l_a, a_a, b_a), (l_b, a_b, b_b) = (color.at_least_float32(lab).double().unbind(dim) for lab in (lab_a, lab_b))
    stretch = 1.5 - 0.5 * _saturation((torch.hypot(a_a, b_a) + torch.hypot(a_b, b_b)) / 2)
    a_a, a_b = a_a * stretch, a_b * stretch
    c_a, c_b = torch.hypot(a_a, b_a), torch.hypot(a_b, b_b)
    h_a, h_b = torch.atan2(b_a, a_a) % math.tau, torch.atan2(b_b, a_b) % math.tau
    far = ((h_b - h_a).abs() > math.pi + 1e-9).double()  # opposite to rounding is not the long way round
    turn = h_b - h_a - far * (h_b - h_a).sign() * math.tau
    hue = ((h_a + h_b) / 2 + far * math.pi) % math.tau

    chroma, shade = (c_a + c_b) / 2, ((l_a + l_b) / 2 - 50).square()
    weight = 1 - 0.17 * torch.cos(hue - math.radians(30)) + 0.24 * torch.cos(2 * hue)
    weight += 0.32 * torch.cos(3 * hue + math.radians(6)) - 0.20 * torch.cos(4 * hue - math.radians(63))
    d_l = (l_b - l_a) / (1 + 0.015 * shade / (20 + shade).sqrt())
    d_c = (c_b - c_a) / (1 + 0.045 * chroma)
    d_h = 2 * (c_a * c_b).sqrt() * torch.sin(turn / 2) / (1 + 0.015 * chroma * weight)
    blue = math.radians(60) * torch.exp(-((torch.rad2deg(hue) - 275) / 25).square())
    rotation = -2 * _saturation(chroma) * torch.sin(blue)
    squared = d_l * d_l + d_c * d_c + d_h * d_h + rotation * d_c * d_h
    return squared.clamp(min=0.0).sqrt()  # rounding can leave a squared difference just below 0


def _saturation(chroma: Tensor) -> Tensor:
    """sqrt(C^7 / (C^7 + 25^7)), in [0, 1)."""
    seventh = chroma.pow(7)
    return (seventh / (seventh + 25.0**7)).sqrt()


class Colorfulness(NamedTuple):
    signed: Tensor  # (B,) of Hasler & Suesstrunk
    absolute: Tensor  # (B,) of most colorization papers


def colorfulness_both(rgb: Tensor) -> Colorfulness:
    """Hasler & Suesstrunk (2003): 0 for a gray image, about 15 slightly, 45 averagely, 109 extremely colourful.

        rg = R - G,  yb = (R + G) / 2 - B,  sqrt(var_rg + var_yb) + 0.3 sqrt(mean_rg^2 + mean_yb^2)

    Also the same of |rg| and |yb|, as most colorization papers compute it: another figure, whose variances are lower
    and whose means are higher. Never compare one with the other. ValueError unless rgb is uint8 images.
    """
    check_images(rgb)
    red, green, blue = rgb.flatten(2).double().unbind(1)
    signed = torch.stack([red - green, (red + green) / 2 - blue])  # (2, B, H W)
    return Colorfulness(
        *(
            axes.var(dim=2, correction=0).sum(dim=0).sqrt() + 0.3 * axes.mean(dim=2).square().sum(dim=0).sqrt()
            for axes in (signed, signed.abs())
        )
    )


def check_images(*images: Tensor) -> None:
    """ValueError unless all are uint8 (B, 3, H, W) of one shape."""
    shapes = [tuple(image.shape) for image in images]
    fit = all(image.dtype == torch.uint8 and image.ndim == 4 and image.shape[1] == 3 for image in images)
    if not fit or len(set(shapes)) > 1:
        raise ValueError(f"expected uint8 images (B, 3, H, W) of one shape, got {[i.dtype for i in images]} {shapes}")
