"""augment.py against colorsys, one pixel at a time."""

import colorsys

import pytest
import torch

from augment import Luminance, LuminanceAugmentation, gamma_correct, rotate_hue
from utils.color import luminance, split
from utils.errors import InputError

B, H, W = 3, 5, 7
DEGREES = torch.tensor([-180.0, 33.3, 400.0])


def photos(dtype=torch.float64):
    """Random pixels; the first row holds ties of two channels, the corners of the cube and grays."""
    rgb = torch.rand(B, 3, H, W, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ties = [[1, 1, 0], [0, 1, 1], [1, 0, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1], [0.3, 0.3, 0.3]]
    rgb[:, :, 0] = torch.tensor(ties, dtype=torch.float64).T
    return rgb.to(dtype)


def rotate_pixel(pixel, degrees):
    hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
    return colorsys.hsv_to_rgb((hue + degrees / 360) % 1, saturation, value)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_hue_is_colorsys_with_an_angle_for_each_image(dtype, tolerance):
    rgb, degrees = photos(dtype), DEGREES.to(torch.float64)
    expected = torch.tensor(
        [
            [rotate_pixel(pixel, angle) for pixel in image.flatten(1).T.tolist()]
            for image, angle in zip(rgb.double(), degrees.tolist(), strict=True)
        ],
        dtype=torch.float64,
    )
    turned = rotate_hue(rgb, degrees)
    assert turned.dtype == dtype
    torch.testing.assert_close(turned.double().flatten(2).mT, expected, rtol=0, atol=tolerance)


def test_grays_stay_bit_for_bit():
    gray = torch.linspace(0, 1, H * W).reshape(1, 1, H, W).expand(B, 3, H, W)
    assert torch.equal(rotate_hue(gray, DEGREES), gray)


def test_turns():
    red_green_blue = torch.eye(3)[None, :, :, None]  # pixels in a column
    turned = rotate_hue(red_green_blue, torch.tensor([120.0]))
    torch.testing.assert_close(turned, torch.eye(3)[[1, 2, 0]].T[None, :, :, None])  # red -> green -> blue -> red
    torch.testing.assert_close(rotate_hue(photos(), torch.tensor([0.0, 360.0, -360.0])), photos())


def test_gamma_by_hand():
    unit = torch.tensor([0.0, 0.25, 1.0]).expand(2, 1, 1, 3)
    bent = gamma_correct(unit, torch.tensor([2.0, 0.5]))
    torch.testing.assert_close(bent[:, 0, 0], torch.tensor([[0.0, 0.0625, 1.0], [0.0, 0.5, 1.0]]))
    assert gamma_correct(torch.tensor([-1e-7]).view(1, 1, 1, 1), torch.tensor([0.3])) == 0  # rounding of black


def test_gradients_are_finite_on_black_gray_and_white():
    rgb = torch.tensor([0.0, 0.5, 1.0]).expand(B, 3, 1, 3).clone().requires_grad_()
    unit = luminance(rotate_hue(rgb, DEGREES)) / 100
    gamma_correct(unit, torch.tensor([5.0, 0.2, 1.0])).sum().backward()
    assert rgb.grad.isfinite().all()


def test_a_black_and_a_white_photo_stay_themselves():
    augment = LuminanceAugmentation()
    torch.manual_seed(0)
    assert torch.equal(augment(torch.zeros(B, 3, H, W)), torch.full((B, 1, H, W), -1.0))
    torch.testing.assert_close(augment(torch.ones(B, 3, H, W)), torch.ones(B, 1, H, W))


def test_the_gray_is_that_of_the_turned_photo_bent():
    augment, rgb = LuminanceAugmentation(90.0, 3.0), photos()
    torch.manual_seed(1)
    gray = augment(rgb)
    torch.manual_seed(1)
    degrees, gamma = augment.draw(B, rgb.device)
    turned = torch.stack(
        [
            torch.tensor([rotate_pixel(p, d) for p in image.flatten(1).T.tolist()], dtype=torch.float64).T
            for image, d in zip(rgb, degrees.tolist(), strict=True)
        ]
    ).reshape_as(rgb)
    unit = (split(turned)[0] + 1) / 2
    expected = 2 * unit.clamp(min=0) ** gamma.double()[:, None, None, None] - 1
    assert gray.shape == (B, 1, H, W)
    torch.testing.assert_close(gray, expected, rtol=0, atol=1e-6)


def test_the_draws_have_the_ranges_and_odds_of_the_paper():
    torch.manual_seed(0)
    degrees, gamma = LuminanceAugmentation().draw(20_000, torch.device("cpu"))
    assert -180 <= degrees.min() < -179 and 179 < degrees.max() <= 180 and abs(degrees.mean()) < 3
    assert 0.2 <= gamma.min() < 0.201 and 4.99 < gamma.max() <= 5
    assert abs((gamma < 1).float().mean() - 0.5) < 0.02
    assert abs(gamma[gamma > 1].mean() - 3) < 0.05 and abs((1 / gamma[gamma < 1]).mean() - 3) < 0.05  # 1/U, not U
    degrees, gamma = LuminanceAugmentation(max_degrees=10.0, max_gamma=1.0).draw(1000, torch.device("cpu"))
    assert degrees.abs().max() <= 10 and (gamma == 1).all()


def test_the_seed_decides_and_images_differ():
    augment, rgb = LuminanceAugmentation(), photos()[:1].expand(B, -1, -1, -1)
    torch.manual_seed(3)
    first = augment(rgb)
    torch.manual_seed(3)
    assert torch.equal(augment(rgb), first)
    assert not torch.equal(augment(rgb), first)
    assert not torch.equal(first[0], first[1])


def test_without_augmentation_it_is_the_gray_of_the_photo():
    assert torch.equal(Luminance()(photos()), split(photos())[0])
    torch.testing.assert_close(LuminanceAugmentation(0.0, 1.0)(photos()), Luminance()(photos()), rtol=0, atol=1e-6)


@pytest.mark.parametrize("wrong", [{"max_degrees": -1.0}, {"max_degrees": 181.0}, {"max_gamma": 0.5}])
def test_impossible_ranges_are_refused(wrong):
    with pytest.raises(InputError, match=str(next(iter(wrong.values())))):
        LuminanceAugmentation(**wrong)


def test_nothing_waits_for_the_device():  # a meta tensor has no values: reading one raises
    assert LuminanceAugmentation()(torch.empty(B, 3, H, W, device="meta")).shape == (B, 1, H, W)


def test_one_graph():
    turned = torch.compile(rotate_hue, backend="eager", fullgraph=True)(photos(), DEGREES)
    torch.testing.assert_close(turned, rotate_hue(photos(), DEGREES))
