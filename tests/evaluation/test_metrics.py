"""evaluation/metrics.py and evaluation/color_metrics.py against scikit-image, NumPy and the lpips package."""

import urllib.error
import warnings

import lpips
import numpy as np
import pytest
import torch
import torchvision
from skimage import data
from skimage.color import deltaE_ciede2000, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from evaluation.color_metrics import ciede2000, color_errors, colorfulness_both
from evaluation.metrics import LPIPS, BackboneMissing, psnr, ssim
from utils.errors import InputError

B, H, W = 3, 37, 41
NETWORKS = {"vgg": "vgg16", "alex": "alexnet", "squeeze": "squeezenet1_1"}


def colorfulness(images):
    return colorfulness_both(images).signed


def pair(height=H, width=W):
    """Noise with noise on top; the last pair is bright and nearly flat, where variances cancel worst."""
    rng = np.random.default_rng(0)
    a = rng.integers(0, 256, (B, 3, height, width))
    a[-1] = 254 + (a[-1] > 200)
    b = np.clip(a + rng.integers(-40, 41, a.shape), 0, 255)
    b[-1] = 255 - (b[-1] > 250)
    return torch.from_numpy(a.astype(np.uint8)), torch.from_numpy(b.astype(np.uint8))


def last(images):
    return images.permute(0, 2, 3, 1).numpy()


def test_psnr_is_scikit_images():
    a, b = pair()
    expected = [peak_signal_noise_ratio(x, y, data_range=255) for x, y in zip(last(a), last(b), strict=True)]
    assert psnr(a, b).dtype == torch.float64
    np.testing.assert_allclose(psnr(a, b), expected, rtol=1e-12)
    assert psnr(a, a).tolist() == [float("inf")] * B


@pytest.mark.parametrize(("height", "width"), [(H, W), (7, 9), (10, 7)])
def test_ssim_is_scikit_images(height, width):
    a, b = pair(height, width)
    expected = [
        structural_similarity(x, y, channel_axis=2, data_range=255) for x, y in zip(last(a), last(b), strict=True)
    ]
    assert ssim(a, b).dtype == torch.float64
    np.testing.assert_allclose(ssim(a, b), expected, rtol=0, atol=1e-9)
    np.testing.assert_allclose(ssim(a, a), np.ones(B), rtol=0, atol=1e-12)


def test_ssim_of_flat_images_by_hand():
    a, b = torch.full((1, 3, 8, 9), 100, dtype=torch.uint8), torch.full((1, 3, 8, 9), 50, dtype=torch.uint8)
    c1 = 2.55**2
    assert ssim(a, b).item() == pytest.approx((2 * 100 * 50 + c1) / (100**2 + 50**2 + c1), abs=1e-12)


def test_colorfulness_is_the_formula():
    a, _ = pair()
    expected = []
    for red, green, blue in a.double().numpy():
        rg, yb = red - green, 0.5 * (red + green) - blue
        expected.append(np.sqrt(rg.std() ** 2 + yb.std() ** 2) + 0.3 * np.sqrt(rg.mean() ** 2 + yb.mean() ** 2))
    np.testing.assert_allclose(colorfulness(a), expected, rtol=1e-12)
    assert colorfulness(a[:, :1].expand(-1, 3, -1, -1)).tolist() == [0.0] * B
    half = torch.zeros(1, 3, 1, 2, dtype=torch.uint8)
    half[0, 0, 0, 0] = half[0, 1, 0, 1] = 200  # a red and a green pixel: rg = +-200, yb = 100 (signed axes)
    assert colorfulness(half).item() == pytest.approx(200 + 0.3 * 100)


def two_hundred_pairs():
    """Crops of photographs beside themselves recoloured, blurred, noisy, darker, or another crop: uint8 twice."""
    rng, pairs = np.random.default_rng(1), []
    photographs = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket(), data.immunohistochemistry()]
    for i in range(200):
        photograph = photographs[i % len(photographs)]
        crops = []
        for _ in range(2):
            top, left = (int(rng.integers(0, side - 24)) for side in photograph.shape[:2])
            crops.append(photograph[top : top + 23, left : left + 24].astype(np.float64))
        a = crops[0]
        b = [
            a * rng.uniform(0.5, 1.5, 3),
            (a + np.roll(a, 1, axis=0) + np.roll(a, 2, axis=1)) / 3,
            a + rng.normal(0, 9, a.shape),
            a * 0.4,
            crops[1],
            rng.uniform(0, 256, a.shape),
            a[..., ::-1],
        ][i % 7]
        pairs.append([np.clip(image, 0, 255).astype(np.uint8).transpose(2, 0, 1) for image in (a, b)])
    return (torch.from_numpy(np.stack(images)) for images in zip(*pairs, strict=True))


def test_two_hundred_pairs_agree_with_scikit_image_in_any_batch():
    a, b = two_hundred_pairs()
    masks = torch.arange(a[0, 0].numel()).reshape(a.shape[2:]) % 3 == torch.arange(200)[:, None, None] % 3
    assert psnr(a, b).isfinite().all()  # no pair is two equal images
    figures = {"psnr": psnr(a, b), "ssim": ssim(a, b)} | color_errors(a, b, masks)._asdict()
    expected = {name: [] for name in figures}
    for x, y, mask in zip(last(a), last(b), masks.numpy(), strict=True):
        lab_x, lab_y = rgb2lab(x), rgb2lab(y)
        expected["psnr"].append(peak_signal_noise_ratio(x, y))
        expected["ssim"].append(structural_similarity(x, y, channel_axis=2))
        expected["ciede2000"].append(deltaE_ciede2000(lab_x, lab_y).mean())
        chroma = np.linalg.norm((lab_x - lab_y)[..., 1:], axis=-1)
        expected["chroma_error"].append(chroma.mean())
        expected["box_error"].append(chroma[mask].mean())
    for name, values in figures.items():
        assert values.dtype == torch.float64 and values.shape == (200,)
        np.testing.assert_allclose(values, expected[name], rtol=0, atol=1e-9, err_msg=name)
    for size in (1, 7):
        parts = list(zip(a[:30].split(size), b[:30].split(size), strict=True))
        for name, metric in (
            ("psnr", psnr),
            ("ssim", ssim),
            ("ciede2000", lambda x, y: color_errors(x, y).ciede2000),
        ):
            batched = torch.cat([metric(x, y) for x, y in parts])
            np.testing.assert_allclose(batched, figures[name][:30], rtol=1e-12, err_msg=f"{name}, {size}")


def test_equal_images_are_no_distance_apart():
    a, _ = two_hundred_pairs()
    errors = color_errors(a, a.clone())
    assert errors.ciede2000.tolist() == errors.chroma_error.tolist() == [0.0] * 200


def test_ciede2000_where_hues_are_opposite_or_absent():
    """scikit-image has the formula in angles, ours in vectors: what differs would differ at the half turn."""
    rng = np.random.default_rng(0)
    lab = np.concatenate([rng.uniform(0, 100, (500, 1)), rng.uniform(-90, 90, (500, 2))], axis=1)
    almost = lab * [1, -1, -1] + rng.normal(0, 1e-3, lab.shape)
    neutral = lab * [1, 0, 0]
    for a, b in ((lab, almost), (almost, lab), (lab, neutral), (neutral, neutral[::-1]), (lab, lab)):
        ours = ciede2000(torch.from_numpy(a.copy()), torch.from_numpy(b.copy()))
        np.testing.assert_allclose(ours, deltaE_ciede2000(a, b), rtol=0, atol=1e-7)
    # exactly opposite: the mean hue is a quarter turn after the hue below 180 degrees, whichever colour has it
    axis = np.array([[50.0, 30, 0], [50, -30, 0], [50, 0, 30], [50, 0, -30]])
    for a, b in ((0, 1), (1, 0), (2, 3), (3, 2)):
        ours = ciede2000(torch.from_numpy(axis[a]), torch.from_numpy(axis[b]))
        assert ours.item() == pytest.approx(deltaE_ciede2000(axis[a], axis[b]), abs=1e-9)


def test_absolute_colorfulness_is_another_figure():
    a, _ = two_hundred_pairs()
    both = colorfulness_both(a)
    assert torch.equal(both.signed, colorfulness(a))
    expected = []
    for red, green, blue in a.double().numpy():
        rg, yb = np.abs(red - green), np.abs(0.5 * (red + green) - blue)
        expected.append(np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean()))
    np.testing.assert_allclose(both.absolute, expected, rtol=1e-12)
    half = torch.zeros(1, 3, 1, 2, dtype=torch.uint8)
    half[0, 0, 0, 0] = half[0, 1, 0, 1] = 200  # a red and a green pixel: |rg| = 200 in both
    assert colorfulness_both(half).absolute.item() == pytest.approx(0.3 * np.hypot(200, 100))
    uniform = torch.tensor([255, 3, 17], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 300, 301)
    assert colorfulness(uniform).item() == 0.3 * np.hypot(252, 112)  # exactly: no variance is left


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_unfit_images_are_refused(metric):
    a, b = pair()
    for x, y in [(a, b[:, :, :-1]), (a.float(), b.float()), (a[0], b[0]), (a[:, :2], b[:, :2])]:
        with pytest.raises(ValueError, match="uint8 images"):
            metric(x, y)
    with pytest.raises(ValueError, match="7 pixels"):
        ssim(a[..., :6], b[..., :6])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A file of random weights for each network, as torchvision names them; VGG's without its large classifier."""
    folder, paths = tmp_path_factory.mktemp("weights"), {}
    for net, name in NETWORKS.items():
        torch.manual_seed(0)
        whole = getattr(torchvision.models, name)
        state = torch.nn.ModuleDict({"features": whole(weights=None).features}).state_dict()
        state["classifier.1.weight"] = torch.zeros(1)
        paths[net] = folder / f"{name}.pth"
        torch.save(state, paths[net])
    return paths


def the_package(net, path):
    """lpips.LPIPS with the weights of a file, put there without evaluation/metrics.py."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    state = torch.load(path, weights_only=True)
    with torch.no_grad():
        for name, parameter in package.net.named_parameters():
            parameter.copy_(state["features." + name.split(".", 1)[1]])
    return package


def agree(net, path, a, b):
    """Our distances, having checked them against the package's."""
    ours = LPIPS.load(net, path)
    with torch.no_grad():
        expected = the_package(net, path)(a / 127.5 - 1, b / 127.5 - 1).flatten()
    distance = ours(a, b)
    assert distance.shape == (len(a),) and distance.dtype == torch.float64
    np.testing.assert_allclose(distance, expected.double(), rtol=0, atol=1e-6)
    return distance


@pytest.mark.parametrize("net", NETWORKS)
def test_lpips_is_the_package(net, files):
    a, b = pair()
    assert (agree(net, files[net], a, b)[:2] > 1e-3).all()


def test_two_hundred_pairs_agree_with_the_lpips_package_in_any_batch(files):
    one, other = two_hundred_pairs()
    distances = agree("squeeze", files["squeeze"], one, other)
    ours = LPIPS.load("squeeze", files["squeeze"])
    for batch in (1, 7):
        apart = [ours(*part) for part in zip(one[:21].split(batch), other[:21].split(batch), strict=True)]
        np.testing.assert_allclose(torch.cat(apart), distances[:21], rtol=0, atol=1e-6)


def test_one_truths_features_serve_several_comparisons(files):
    a, b = pair()
    metric = LPIPS.load("squeeze", files["squeeze"])
    truth = metric.features(a)
    kept = [layer.clone() for layer in truth]
    assert torch.equal(metric.distance(metric.features(b), truth), metric(b, a))
    assert metric.distance(truth, truth).tolist() == [0.0] * B
    assert all(torch.equal(x, y) for x, y in zip(truth, kept, strict=True))


def test_lpips_is_frozen_and_leaves_the_run_alone(files):
    state = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the deprecations of the package stay inside
        metric = LPIPS.load("squeeze", files["squeeze"])
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(p.requires_grad for p in metric.parameters())
    holder = torch.nn.Sequential(metric).train()
    a, b = pair()
    assert holder.training and torch.equal(metric(a, b), metric(a, b))  # dropout in the heads would differ
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = metric(a, b)
    assert torch.equal(under_autocast, metric(a, b))


def test_no_tensor_of_the_backbone_is_left_random(files, tmp_path):
    state = torch.load(files["squeeze"], weights_only=True)
    torch.save({name: torch.full_like(t, 0.5, dtype=torch.float16) for name, t in state.items()}, tmp_path / "half.pth")
    metric = LPIPS.load("squeeze", tmp_path / "half.pth")  # fp16 is accepted
    backbone = list(metric.package.net.parameters())
    assert len(backbone) == len(state) - 1 and all((p == 0.5).all() and p.dtype == torch.float32 for p in backbone)


def test_unfit_weights_are_refused_by_file_key_and_remedy(files, tmp_path):
    good, path = torch.load(files["squeeze"], weights_only=True), tmp_path / "w.pth"
    lacking = {k: v for k, v in good.items() if k != "features.3.squeeze.bias"}
    cases = [
        (lacking, r"w\.pth.*lacks 'features\.3\.squeeze\.bias'.*1 keys missing, 0 unknown.*pass"),
        (good | {"head.weight": torch.zeros(1)}, r"w\.pth.*unknown key 'head\.weight'.*pass"),
        (good | {"features.0.weight": torch.zeros(64, 3, 5, 5)}, r"w\.pth.*features\.0\.weight.*5, 5.*3, 3.*pass"),
        (good | {"features.0.bias": torch.zeros(64, dtype=torch.int64)}, r"w\.pth.*features\.0\.bias.*int64"),
        ([torch.zeros(1)], r"w\.pth.*not a mapping.*state dict"),
        ({"model": good}, r"w\.pth.*not a mapping.*state dict"),
    ]
    for content, message in cases:
        torch.save(content, path)
        with pytest.raises(InputError, match=message):
            LPIPS.load("squeeze", path)
    with pytest.raises(InputError, match="alexnet"):  # another network's file
        LPIPS.load("vgg", files["alex"])
    with pytest.raises(InputError, match=r"'resnet'.*vgg, alex, squeeze"):
        LPIPS.load("resnet", path)


class Unwelcome:
    """Stands for code in a pickle."""


def test_unreadable_files_are_refused_and_pickled_code_is_not_run(tmp_path):
    (tmp_path / "text.pth").write_bytes(b"no weights")
    (tmp_path / "empty.pth").write_bytes(b"")
    torch.save({"features.0.weight": Unwelcome()}, tmp_path / "code.pth")
    for name in ("text.pth", "empty.pth", "code.pth"):
        with pytest.raises(InputError, match=rf"{name}.*cannot be read.*pass a torch file"):
            LPIPS.load("squeeze", tmp_path / name)
    with pytest.raises(InputError, match=r"absent\.pth.*cannot be read"):
        LPIPS.load("squeeze", tmp_path / "absent.pth")


@pytest.mark.parametrize("failure", [urllib.error.URLError("no network"), RuntimeError("invalid hash value")])
def test_without_weights_or_network_it_says_what_to_pass(failure, monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise failure

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))  # nothing cached
    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    with pytest.raises(BackboneMissing, match=r"vgg16.*could not be fetched.*--lpips_weights FILE"):
        LPIPS.load("vgg")
