"""sRGB <-> CIE Lab on batches of images, and every colour scale of the project.

B batch; H, W image sides.  D65, 2-degree observer: scikit-image's constants, so its numbers are our numbers.
Nothing here waits for the device. All arithmetic is elementwise and at least float32: bf16 and fp16 are raised to
float32, float64 stays, and neither autocast nor TF32 (which spoil a matrix product) has anything to act on.
Gradients are finite for every finite input.
"""

from collections.abc import Callable

import torch
from torch import Tensor

L_MAX = 100.0  # L of white; black is 0
AB_SCALE = 110.0  # sRGB spans a in [-86, 98] and b in [-108, 94]: ab / 110 stays inside [-1, 1], the range of tanh

# linear sRGB -> XYZ, and the XYZ of the white point
XYZ_FROM_RGB = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
WHITE = (0.95047, 1.0, 1.08883)
SRGB_KNEE, LINEAR_KNEE, SRGB_SLOPE = 0.04045, 0.0031308, 12.92  # below its knee the sRGB curve is a line
LAB_KNEE, LAB_ROOT_KNEE, LAB_SLOPE, LAB_OFFSET = 0.008856, 0.2068966, 7.787, 16.0 / 116.0  # so is the cube root of Lab

_Matrix = tuple[tuple[float, float, float], ...]
# Plain numbers, because a constant tensor would have to be copied to the device at every call.
_WHITE_FROM_RGB: _Matrix = tuple(tuple(m / w for m in row) for row, w in zip(XYZ_FROM_RGB, WHITE, strict=True))
RGB_FROM_WHITE: _Matrix = tuple(
    map(tuple, torch.linalg.inv(torch.tensor(_WHITE_FROM_RGB, dtype=torch.float64)).tolist())
)


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """The Lab image.

        t = (X / X_white, Y / Y_white, Z / Z_white),  f(t) = t^(1/3) above the knee, a line below
        L = 116 f_Y - 16,  a = 500 (f_X - f_Y),  b = 200 (f_Y - f_Z)

    rgb: (B, 3, H, W) floating, sRGB in [0, 1]. Returns (B, 3, H, W), L in [0, 100], ab in CIE units.
    Raises ValueError for whole-number input, which would be on another scale.
    """
    f_x, f_y, f_z = (_root(t) for t in _mix(srgb_to_linear(rgb), _WHITE_FROM_RGB))
    return torch.stack([116.0 * f_y - 16.0, 500.0 * (f_x - f_y), 200.0 * (f_y - f_z)], dim=1)


def luminance(rgb: Tensor) -> Tensor:
    """L alone, `rgb_to_lab(rgb)[:, :1]` at a third of the work. (B, 3, H, W) in [0, 1] -> (B, 1, H, W) in [0, 100]."""
    (t_y,) = _mix(srgb_to_linear(rgb), _WHITE_FROM_RGB[1:2])
    return lightness(t_y).unsqueeze(1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """The inverse of `rgb_to_lab`. Colours outside sRGB are clipped; a negative f_Z counts as 0, as in scikit-image.

    lab: (B, 3, H, W), L in [0, 100], ab in CIE units. Returns (B, 3, H, W) sRGB in [0, 1].
    """
    return linear_to_srgb(lab_to_linear(lab)).clamp(0.0, 1.0)


def lab_to_linear(lab: Tensor) -> Tensor:
    """Lab -> linear light, (B, 3, H, W) both; outside [0, 1] where sRGB does not hold the colour."""
    lightness, a, b = at_least_float32(lab).unbind(1)
    f_y = (lightness + 16.0) / 116.0
    f = torch.stack([a / 500.0 + f_y, f_y, (f_y - b / 200.0).clamp(min=0.0)], dim=1)
    return torch.stack(_mix(cube(f), RGB_FROM_WHITE), dim=1)


def cube(f: Tensor) -> Tensor:
    """The inverse of f of `rgb_to_lab`: t. Any shape."""
    return _piecewise(f, LAB_ROOT_KNEE, lambda f: f * f * f, lambda f: (f - LAB_OFFSET) / LAB_SLOPE)


def srgb_to_linear(rgb: Tensor) -> Tensor:
    """sRGB in [0, 1] -> linear light in [0, 1]. Any shape."""
    return _piecewise(
        at_least_float32(rgb), SRGB_KNEE, lambda c: ((c + 0.055) / 1.055).pow(2.4), lambda c: c / SRGB_SLOPE
    )


def linear_to_srgb(linear: Tensor) -> Tensor:
    """The inverse of `srgb_to_linear`; not clipped. Any shape."""
    return _piecewise(linear, LINEAR_KNEE, lambda c: 1.055 * c.pow(1.0 / 2.4) - 0.055, lambda c: SRGB_SLOPE * c)


def lightness(y: Tensor) -> Tensor:
    """Relative luminance Y in [0, 1] -> L in [0, 100]. Any shape."""
    return 116.0 * _root(y) - 16.0


def normalize_luminance(lightness: Tensor) -> Tensor:
    """L in [0, 100] -> [-1, 1], the network's gray. Any shape."""
    return at_least_float32(lightness) * (2.0 / L_MAX) - 1.0


def denormalize_luminance(gray: Tensor) -> Tensor:
    """Gray in [-1, 1] -> L in [0, 100]. Any shape."""
    return (at_least_float32(gray) + 1.0) * (L_MAX / 2.0)


def normalize_ab(ab: Tensor) -> Tensor:
    """ab in CIE units -> ab / 110, inside [-1, 1] for every sRGB colour. Any shape."""
    return at_least_float32(ab) / AB_SCALE


def denormalize_ab(ab: Tensor) -> Tensor:
    """ab in [-1, 1] -> CIE units. Any shape."""
    return at_least_float32(ab) * AB_SCALE


def split(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """What the network is given and what it should say: (gray, ab).

    rgb: (B, 3, H, W) in [0, 1]. Returns gray (B, 1, H, W) and ab (B, 2, H, W), both scaled to [-1, 1].
    """
    lab = rgb_to_lab(rgb)
    return normalize_luminance(lab[:, :1]), normalize_ab(lab[:, 1:])


def colorize(gray: Tensor, ab: Tensor) -> Tensor:
    """The inverse of `split`: gray (B, 1, H, W) and ab (B, 2, H, W), both in [-1, 1] -> RGB (B, 3, H, W) in [0, 1]."""
    return lab_to_rgb(join(gray, ab))


def join(gray: Tensor, ab: Tensor) -> Tensor:
    """gray (B, 1, H, W) and ab (B, 2, H, W), both in [-1, 1] -> Lab (B, 3, H, W), L in [0, 100], ab in CIE units."""
    return torch.cat([denormalize_luminance(gray), denormalize_ab(ab)], dim=1)


def to_uint8(rgb: Tensor, *, rounded: bool = False) -> Tensor:
    """RGB in [0, 1] -> uint8 of the same shape: clipped, times 255, cut to the whole number below (the protocol of
    Table 1), or `rounded` to the nearest, which returns an image to the bytes it came from."""
    scaled = at_least_float32(rgb).clamp(0.0, 1.0) * 255.0
    return (scaled.round() if rounded else scaled).to(torch.uint8)


def at_least_float32(x: Tensor) -> Tensor:
    """bf16 and fp16 become float32; float32 and float64 pass through. ValueError for whole numbers."""
    if not x.is_floating_point():
        raise ValueError(f"a colour tensor must be floating, but is {x.dtype}: divide bytes by 255 first")
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _root(t: Tensor) -> Tensor:
    """f of `rgb_to_lab`."""
    return _piecewise(t, LAB_KNEE, lambda t: t.pow(1.0 / 3.0), lambda t: LAB_SLOPE * t + LAB_OFFSET)


def _piecewise(x: Tensor, knee: float, curve: Callable[[Tensor], Tensor], line: Callable[[Tensor], Tensor]) -> Tensor:
    """`curve` above the knee, `line` below. The curve never sees less than the knee: a power's slope at 0 is infinite,
    and `torch.where` alone would turn it into a NaN gradient."""
    return torch.where(x > knee, curve(x.clamp(min=knee)), line(x))


def _mix(image: Tensor, matrix: _Matrix) -> list[Tensor]:
    """Rows of `matrix` times the channels: image (B, 3, H, W) -> one (B, H, W) per row."""
    x, y, z = image.unbind(1)
    return [(x * row[0]).add(y, alpha=row[1]).add(z, alpha=row[2]) for row in matrix]
