"""utils/color.py against scikit-image."""

import numpy as np
import pytest
import torch
from skimage import color as yardstick

from utils import color

B, H, W = 2, 19, 23


def photos(dtype=torch.float64):
    """Random sRGB, a quarter of it near black (the straight part of both curves), all corners of the cube, grays."""
    rgb = torch.rand(B, 3, H, W, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rgb[:, :, :, : W // 4] *= 0.05
    rgb[0, :, 0, :8] = torch.tensor([[i >> 2 & 1, i >> 1 & 1, i & 1] for i in range(8)]).T
    rgb[1, :, 1, :] = torch.linspace(0, 1, W)
    return rgb.to(dtype)


def last(x):  # (B, 3, H, W) tensor -> (B, H, W, 3) float64 array
    return x.permute(0, 2, 3, 1).double().numpy()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
def test_lab_is_scikit_images(dtype, tolerance):
    rgb = photos(dtype)
    lab = color.rgb_to_lab(rgb)
    assert lab.dtype == dtype
    np.testing.assert_allclose(last(lab), yardstick.rgb2lab(last(rgb)), rtol=0, atol=tolerance)
    np.testing.assert_allclose(
        color.luminance(rgb)[:, 0].double(), yardstick.rgb2lab(last(rgb))[..., 0], rtol=0, atol=tolerance
    )


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_rgb_is_scikit_images_outside_the_gamut_too(dtype, tolerance):
    lab = torch.rand(B, 3, H, W, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    lab = (lab * torch.tensor([100.0, 220.0, 220.0])[:, None, None] - torch.tensor([0.0, 110, 110])[:, None, None]).to(
        dtype
    )
    assert ((lab[:, 0] + 16) / 116 < lab[:, 2] / 200).any()  # f_Z below 0 occurs
    rgb = color.lab_to_rgb(lab)
    assert rgb.dtype == dtype and rgb.min() == 0 and rgb.max() == 1
    np.testing.assert_allclose(last(rgb), yardstick.lab2rgb(last(lab)), rtol=0, atol=tolerance)


def test_there_and_back():
    rgb = photos()
    gray, ab = color.split(rgb)
    assert gray.shape == (B, 1, H, W) and ab.shape == (B, 2, H, W)
    torch.testing.assert_close(color.colorize(gray, ab), rgb, rtol=0, atol=1e-5)  # the two matrices' own rounding
    byte = torch.randint(256, (B, 3, H, W), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    assert torch.equal(color.to_uint8(color.colorize(*color.split(byte / 255)), rounded=True), byte)


def test_scales():
    ends = torch.tensor([0.0, 50.0, 100.0])
    torch.testing.assert_close(color.normalize_luminance(ends), torch.tensor([-1.0, 0.0, 1.0]))
    torch.testing.assert_close(color.denormalize_luminance(torch.tensor([-1.0, 0.0, 1.0])), ends)
    torch.testing.assert_close(color.normalize_ab(torch.tensor([-55.0, 110.0])), torch.tensor([-0.5, 1.0]))
    torch.testing.assert_close(color.denormalize_ab(torch.tensor([-0.5, 1.0])), torch.tensor([-55.0, 110.0]))
    gray, ab = color.split(photos())
    lab = yardstick.rgb2lab(last(photos()))
    np.testing.assert_allclose(gray[:, 0], lab[..., 0] / 50 - 1, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ab.movedim(1, -1), lab[..., 1:] / 110, rtol=0, atol=1e-9)
    assert ab.abs().max() < 1  # every corner of the cube included


def test_bytes_are_cut_not_rounded():
    rgb = torch.tensor([-0.2, 0.0, 0.999, 1.0, 1.5, 127.6 / 255])
    assert color.to_uint8(rgb).tolist() == [0, 0, 254, 255, 255, 127]
    assert color.to_uint8(rgb, rounded=True).tolist() == [0, 0, 255, 255, 255, 128]
    assert color.to_uint8(rgb).dtype == torch.uint8


def test_half_precision_is_raised_and_autocast_changes_nothing():
    rgb = photos(torch.bfloat16)
    assert torch.equal(color.rgb_to_lab(rgb), color.rgb_to_lab(rgb.float()))
    gray, ab = (x.bfloat16() for x in color.split(rgb))
    assert torch.equal(color.colorize(gray, ab), color.colorize(gray.float(), ab.float()))
    plain = color.rgb_to_lab(photos(torch.float32))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(color.rgb_to_lab(photos(torch.float32)), plain)
        assert torch.equal(color.lab_to_rgb(plain), color.lab_to_rgb(plain.clone()))
        assert color.lab_to_rgb(plain).dtype == torch.float32


def test_bytes_are_refused():
    with pytest.raises(ValueError, match=r"torch\.uint8.*255"):
        color.rgb_to_lab(torch.zeros(B, 3, H, W, dtype=torch.uint8))


@pytest.mark.parametrize("level", [0.0, 1e-4, 0.5, 1.0])
def test_gradients_are_finite_on_black_gray_and_white(level):
    rgb = torch.full((1, 3, 2, 3), level, requires_grad=True)
    color.rgb_to_lab(rgb).sum().backward()
    assert rgb.grad.isfinite().all()
    lab = torch.tensor([100 * level, 0.0, 0.0])[None, :, None, None].requires_grad_()
    color.lab_to_rgb(lab).sum().backward()
    assert lab.grad.isfinite().all()
    outside = torch.tensor([100 * level, -110.0, 110.0])[None, :, None, None].requires_grad_()
    color.lab_to_rgb(outside).sum().backward()
    assert outside.grad.isfinite().all()


def test_the_gradient_is_the_slope():
    lab = torch.tensor([50.0, 10.0, -20.0], dtype=torch.float64)[None, :, None, None].requires_grad_()
    assert torch.autograd.gradcheck(color.lab_to_rgb, lab)
    assert torch.autograd.gradcheck(color.rgb_to_lab, torch.full_like(lab, 0.3).requires_grad_())


def test_nothing_waits_for_the_device():  # a meta tensor has no values: reading one raises
    rgb = torch.empty(B, 3, H, W, device="meta")
    assert color.to_uint8(color.colorize(*color.split(rgb))).shape == (B, 3, H, W)


def test_one_graph():
    round_trip = torch.compile(lambda rgb: color.colorize(*color.split(rgb)), backend="eager", fullgraph=True)
    torch.testing.assert_close(round_trip(photos()), photos(), rtol=0, atol=1e-5)
