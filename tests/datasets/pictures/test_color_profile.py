"""Profiles and gamma against LittleCMS and against values worked out by hand."""

import io

import numpy as np
import profiles
import pytest
from PIL import Image, ImageCms

from datasets.pictures import color_profile
from datasets.pictures.color_profile import SRGB_BYTES, Unusable

COLORS = np.random.default_rng(0).integers(0, 256, (9, 11, 3)).astype(np.uint8)
DEEP = COLORS.astype(np.uint16) * 257
SRGB_CURVE = profiles.parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
SRGB_D50 = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141))
MATRICES = {
    "Adobe's": profiles.matrix(),
    "a table": profiles.matrix(curve=profiles.table([0, 4000, 15000, 34000, 65535])),
    "linear": profiles.matrix(curve=profiles.table([])),
    "parametric": profiles.matrix(curve=SRGB_CURVE),
    "version 4": profiles.matrix(curve=SRGB_CURVE, version=b"\x04\x30\0\0"),
    "parametric 0": profiles.matrix(curve=profiles.parametric(0, 1.8)),
}


@pytest.mark.parametrize("name", MATRICES)
def test_16_bits_agree_with_littlecms_and_come_back(name):
    profile = color_profile.read(MATRICES[name])
    assert profile.space == "RGB " and profile.returns and not profile.is_srgb
    pillow = ImageCms.ImageCmsProfile(io.BytesIO(MATRICES[name])), ImageCms.createProfile("sRGB")
    by_cms = np.asarray(ImageCms.profileToProfile(Image.fromarray(COLORS), *pillow)).astype(int)
    assert np.abs(profile.to_srgb(COLORS).astype(int) - by_cms).max() <= 1
    ours = profile.to_srgb(DEEP)
    assert ours.dtype == np.uint16 and np.abs(ours / 257 - by_cms).max() <= 1.0
    inside = (ours > 0).all(axis=2) & (ours < 65535).all(axis=2)  # of sRGB's gamut
    back = profile.from_srgb(ours)
    assert inside.any() and np.abs(back.astype(int) - DEEP)[inside].max() <= (40 if name == "a table" else 24)


@pytest.mark.parametrize("data", [SRGB_BYTES, profiles.matrix(SRGB_D50, SRGB_CURVE)], ids=["LittleCMS's", "by hand"])
def test_srgb_is_known_by_what_it_does(data):
    assert color_profile.read(data).is_srgb


def test_a_profile_that_is_named_srgb_and_linear_is_converted():
    data = profiles.matrix(SRGB_D50, profiles.table([])).replace(b"test\0", b"sRGB\0")
    profile = color_profile.read(data)
    assert not profile.is_srgb
    assert abs(int(profile.to_srgb(np.full((1, 1, 3), 32768, np.uint16))[0, 0, 0]) - 0.7354 * 65535) < 100


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_gray_by_its_curve(depth):
    """A gamma of 1.0: half the number is half the light, sRGB's 0.7354."""
    white = np.iinfo(depth).max
    profile = color_profile.read(profiles.gray(profiles.gamma(1.0)))
    stored = np.array([[0, white // 2, white]], depth)
    np.testing.assert_allclose(profile.to_srgb(stored)[0] / white, [0, 0.7354, 1], atol=0.003)
    assert profile.fits("L") and profile.fits("I;16") and not profile.fits("RGB")


@pytest.mark.parametrize(
    "data, words",
    [
        (b"nonsense" * 20, "is broken"),
        (profiles.matrix()[:200], "is broken|does not convert"),
        (profiles.no_primaries(), "does not convert"),
        (profiles.icc(b"Lab ", {}), "is of Lab"),
        (profiles.icc(b"HSV ", {}), "is of HSV"),
        (profiles.icc(b"RGB ", {}, device=b"link"), "does not convert"),
    ],
)
def test_what_does_not_convert_says_so(data, words):
    with pytest.raises(Unusable, match=words):
        color_profile.read(data)


def test_a_scanner_s_profile_leads_one_way():
    profile = color_profile.read(profiles.scanner())
    assert not profile.returns
    assert np.ptp(np.asarray(profile.to_srgb(COLORS)).astype(int), axis=2).max() <= 6  # it is gray
    assert color_profile.read(profiles.scanner(4)).space == "CMYK"


@pytest.mark.parametrize("gamma", [None, 1 / 2.2, 0.45455, 0.44])
def test_a_gamma_that_is_srgb_s_changes_nothing(gamma):
    assert color_profile.of_png(gamma, None, gray=False) is None


def test_linear_light_is_applied():
    profile = color_profile.of_png(1.0, None, gray=True)
    stored = np.array([[0, 55, 128, 255]], np.uint8)  # 0.2157 and 0.5020 of the light
    np.testing.assert_allclose(profile.to_srgb(stored)[0], [0, 128, 188, 255], atol=1)
    rgb = np.repeat(stored[..., None], 3, axis=2)
    np.testing.assert_array_equal(
        color_profile.of_png(1.0, None, gray=False).to_srgb(rgb)[..., 1], profile.to_srgb(stored)
    )
    deep = color_profile.of_png(1.0, None, gray=True).to_srgb(stored.astype(np.uint16) * 257)
    np.testing.assert_allclose(deep[0] / 257, [0, 127.8, 188.0, 255], atol=0.2)


def test_primaries_agree_with_a_profile_of_the_same():
    """Adobe's, by chromaticities and by an ICC profile."""
    primaries = (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
    by_png = color_profile.of_png(1 / 2.2, primaries, gray=False)
    by_icc = color_profile.read(profiles.matrix(curve=SRGB_CURVE))
    assert np.abs(by_png.to_srgb(DEEP).astype(int) - by_icc.to_srgb(DEEP)).max() <= 257
    assert color_profile.of_png(1 / 2.2, primaries, gray=True) is None


@pytest.mark.parametrize("primaries", [(0.3, 0.3) * 4, (0.3, 0, 0.6, 0.3, 0.3, 0.6, 0.1, 0.1), (0,) * 8])
def test_primaries_without_meaning_are_refused(primaries):
    with pytest.raises(Unusable, match="no meaning"):
        color_profile.of_png(None, primaries, gray=False)
