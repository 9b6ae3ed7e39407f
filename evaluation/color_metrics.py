"""How far colours are apart, and how colourful a picture is.  B batch; H, W image sides; images uint8 (B, 3, H, W).

Each metric of images gives one float64 per image, (B,), on the images' device; all arithmetic is float64 or exact.
"""

import math
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from utils import color

_Channels = tuple[Tensor, Tensor, Tensor]  # L in [0, 100], a, b in CIE units, each of the pixels' shape


class ColorErrors(NamedTuple):
    chroma_error: Tensor  # (B,) mean distance sqrt(da^2 + db^2) in the ab plane, CIE units
    ciede2000: Tensor  # (B,) mean CIEDE2000


class LabBytes:
    """A batch of images, ready to be compared in Lab: one conversion serves several comparisons."""

    def __init__(self, images: Tensor) -> None:
        """images: uint8 (B, 3, H, W)."""
        self.pixels = _lab_of_bytes(images)  # three (B, H, W) float64

    def errors(self, other: "LabBytes") -> ColorErrors:
        """Mean differences of each image from its partner in `other`, both 0 for equal images."""
        (_, a_a, b_a), (_, a_b, b_b) = self.pixels, other.pixels
        chroma = (a_b - a_a).square().add_((b_b - b_a).square()).sqrt_()
        return ColorErrors(_mean(chroma), _mean(_ciede2000(self.pixels, other.pixels)))


def ciede2000(lab_a: Tensor, lab_b: Tensor, dim: int = -1) -> Tensor:
    """The CIEDE2000 colour difference, all k = 1: about 1 where two colours can just be told apart.

    lab_a, lab_b: floating Lab, channels on `dim`, shapes that broadcast. Returns their shape without `dim`, float64.
    """
    lab_a, lab_b = (color.at_least_float32(lab).double() for lab in (lab_a, lab_b))
    return _ciede2000(lab_a.unbind(dim), lab_b.unbind(dim))


def _ciede2000(lab_a: _Channels, lab_b: _Channels) -> Tensor:
    """Sharma, Wu, Dalal (2005), "The CIEDE2000 color-difference formula", eqs. 2-22, in the dtype of the pixels.

    Hues are kept as vectors: with z_i = (a'_i, b'_i) of length C'_i, (x, y) the direction of C'_2 z_1 + C'_1 z_2,

        mean hue h = angle of (x, y)        cos 2h, cos 3h, ... are polynomials in x = cos h and y = sin h
        |dH'| = |C'_1 z_2 - C'_2 z_1| / sqrt(C'_1 C'_2) = 2 sqrt(C'_1 C'_2) |sin(dh' / 2)|

    which needs one arc tangent in place of two, and no cosine. That direction turns the short way round by itself, as
    eq. 14 asks; for opposite hues (to rounding) eq. 14 takes the hue a quarter turn after the one below 180 degrees.
    The rules for a neutral colour need no lines: all that its hue enters is times C'_1 C'_2 = 0. Between colours of
    equal L, that L has no effect.
    """
    (l_a, a_a, b_a), (l_b, a_b, b_b) = lab_a, lab_b
    stretch = 1.5 - 0.5 * _saturation((_length(a_a, b_a) + _length(a_b, b_b)) * 0.5)
    a_a, a_b = a_a * stretch, a_b * stretch
    c_a, c_b = _length(a_a, b_a), _length(a_b, b_b)
    product, chroma = c_a * c_b, (c_a + c_b) * 0.5
    u_a, v_a, u_b, v_b = a_a * c_b, b_a * c_b, a_b * c_a, b_b * c_a  # C'_2 z_1 and C'_1 z_2, both C'_1 C'_2 long
    across, up, x, y = u_b - u_a, v_b - v_a, u_a + u_b, v_a + v_b
    tiny = torch.finfo(x.dtype).tiny
    opposite = torch.copysign((x * x + y * y <= 1e-18 * product * product).to(x.dtype), b_a + 1e-12 * a_a)
    x, y = x - opposite * b_a, y + opposite * a_a
    scale = torch.rsqrt((x * x + y * y).clamp_(min=tiny))
    degrees = torch.atan2(-y, -x).mul_(180 / math.pi).add_(180)  # [0, 360]
    x, y = x * scale, y * scale

    d_l = (l_b - l_a) / _lightness_weight((l_a + l_b) * 0.5)
    d_c = (c_b - c_a) / (1.0 + 0.045 * chroma)
    d_h = ((across * across + up * up) / product.clamp(min=tiny)).sqrt_()
    d_h = torch.copysign(d_h, x * up - y * across) / (1.0 + 0.015 * chroma * _hue_weight(x, y))
    # below e^-50 nothing changes; numbers too small for the dtype's full precision would take a CPU many times as long
    blue = degrees.sub_(275.0).div_(25.0).square_().neg_().clamp_(min=-50.0).exp_().mul_(math.radians(60))
    rotation = torch.sin(blue).mul_(-2.0) * _saturation(chroma)
    squared = d_l * d_l + d_c * d_c + d_h * d_h + rotation * d_c * d_h
    return squared.clamp_(min=0.0).sqrt_()  # rounding can leave a squared difference just below 0


def _length(a: Tensor, b: Tensor) -> Tensor:
    return (a * a).add_(b * b).sqrt_()


def _saturation(chroma: Tensor) -> Tensor:
    """sqrt(C^7 / (C^7 + 25^7)), in [0, 1)."""
    squared = chroma * chroma
    seventh = squared * squared * squared * chroma
    return (seventh / (seventh + 25.0**7)).sqrt_()


def _lightness_weight(lightness: Tensor) -> Tensor:
    """S_L, eq. 18."""
    shade = (lightness - 50.0).square_()
    return 1.0 + 0.015 * shade * torch.rsqrt(20.0 + shade)


def _hue_weight(x: Tensor, y: Tensor) -> Tensor:
    """T, eq. 15, of the hue with cosine x and sine y."""
    (cos_1, sin_1), (cos_3, sin_3), (cos_4, sin_4) = (
        (math.cos(r), math.sin(r)) for r in map(math.radians, (30, 6, 63))
    )
    squared, cos_2h, half_sin_2h = x * x, 2.0 * x * x - 1.0, x * y
    weight = 1.0 - 0.17 * cos_1 * x - 0.17 * sin_1 * y + 0.24 * cos_2h
    weight += (4.0 * squared - 3.0) * x * (0.32 * cos_3) - (4.0 * squared - 1.0) * y * (0.32 * sin_3)
    return weight - (2.0 * cos_2h * cos_2h - 1.0) * (0.20 * cos_4) - half_sin_2h * cos_2h * (0.80 * sin_4)


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
    red, green, blue = rgb.flatten(2).int().unbind(1)
    rg, twice_yb = red - green, (red + green).sub_(blue, alpha=2)  # whole numbers: all their sums are exact
    scales, squares = (1, 2), [(o * o).sum(dim=-1) for o in (rg, twice_yb)]
    figures = []
    for opponents in ((rg, twice_yb), (rg.abs(), twice_yb.abs())):
        parts = [_mean_and_variance(o.sum(dim=-1), s, o.shape[-1]) for o, s in zip(opponents, squares, strict=True)]
        variance = sum(variance / scale**2 for (_, variance), scale in zip(parts, scales, strict=True))
        squared_mean = sum((mean / scale).square() for (mean, _), scale in zip(parts, scales, strict=True))
        figures.append(variance.sqrt() + 0.3 * squared_mean.sqrt())
    return Colorfulness(*figures)


def _mean_and_variance(total: Tensor, squares: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """From the sum and the sum of squares of `count` whole numbers, (B,) int64 -> (B,) float64 each; exact up to the
    last steps, so that equal numbers have variance 0.

    With the sum s = q N + r: N var = (sum of squares - q (s + r)) - r^2 / N, whole numbers in the bracket.
    """
    quotient = total.div(count, rounding_mode="floor")
    rest = total - quotient * count
    bracket = (squares - quotient * (total + rest)).double()
    return total.double() / count, (bracket - rest.double().square() / count) / count


def check_images(*images: Tensor) -> None:
    """ValueError unless all are uint8 (B, 3, H, W) of one shape."""
    shapes = [tuple(image.shape) for image in images]
    fit = all(image.dtype == torch.uint8 and image.ndim == 4 and image.shape[1] == 3 for image in images)
    if not fit or len(set(shapes)) > 1:
        raise ValueError(f"expected uint8 images (B, 3, H, W) of one shape, got {[i.dtype for i in images]} {shapes}")


def _lab_of_bytes(images: Tensor) -> _Channels:
    """`color.rgb_to_lab(images / 255)` in float64, from a table of the 256 bytes: three (B, H, W)."""
    check_images(images)
    table = _linear_light(images.device)
    light = [table.index_select(0, channel.flatten().int()).view(channel.shape) for channel in images.unbind(1)]
    f_x, f_y, f_z = (
        _root(sum(channel * (share / white) for channel, share in zip(light, row, strict=True)))
        for row, white in zip(color.XYZ_FROM_RGB, color.WHITE, strict=True)
    )
    return 116.0 * f_y - 16.0, 500.0 * (f_x - f_y), 200.0 * (f_y - f_z)


@cache
def _linear_light(device: torch.device) -> Tensor:
    """(256,) float64: the linear light of every sRGB byte."""
    srgb = torch.arange(256, dtype=torch.float64, device=device) / 255
    curve = ((srgb + 0.055) / 1.055).pow(2.4)
    return torch.where(srgb > color.SRGB_KNEE, curve, srgb / color.SRGB_SLOPE)


def _root(t: Tensor) -> Tensor:
    """f of `color.rgb_to_lab`. A choice by a product, because `torch.where` takes as long as the cube root."""
    above = (t > color.LAB_KNEE).to(t.dtype)
    return torch.lerp(color.LAB_SLOPE * t + color.LAB_OFFSET, t.pow(1.0 / 3.0), above)


def _mean(pixels: Tensor) -> Tensor:
    return pixels.mean(dim=(1, 2))
