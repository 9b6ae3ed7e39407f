"""The figures of Table 1.  B batch; H, W image sides; all images uint8 RGB (B, 3, H, W).

Each metric gives one float64 per image, (B,), on the images' device; who averages does so per image (Sec. 5).
"""

import http.client
import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from evaluation.color_metrics import check_images
from utils import color
from utils.errors import InputError, reason

DATA_RANGE = 255
SSIM_WINDOW = 7

LPIPS_BACKBONES = {
    "vgg": torchvision.models.VGG16_Weights.IMAGENET1K_V1,
    "alex": torchvision.models.AlexNet_Weights.IMAGENET1K_V1,
    "squeeze": torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1,
}


class BackboneMissing(InputError):
    """The ImageNet weights that LPIPS stands on are neither here nor to be fetched."""


def is_cached(net: str) -> bool:
    """Whether torchvision's weights of an LPIPS backbone were fetched before."""
    name = LPIPS_BACKBONES[net].url.rpartition("/")[2]
    return (Path(torch.hub.get_dir()) / "checkpoints" / name).is_file()


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio, 10 log10(255^2 / MSE) over the three channels: (B,) dB, infinite for equal images.

    ValueError unless a and b are uint8 images of one shape.
    """
    check_images(a, b)
    difference = a.int() - b.int()
    squares = (difference * difference).sum(dim=(1, 2, 3))  # int64: exact. square() of whole numbers is slow
    return 10.0 * torch.log10(DATA_RANGE**2 * a.shape[1:].numel() / squares.double())


def luminance_psnr(a: Tensor, b: Tensor) -> Tensor:
    """The same of L alone, 10 log10(100^2 / MSE): (B,) dB, infinite for equal L. ValueError as there."""
    check_images(a, b)
    l_a, l_b = (color.luminance(images.double() / 255) for images in (a, b))
    return 10.0 * torch.log10(100.0**2 / (l_a - l_b).square().mean(dim=(1, 2, 3)))


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """SSIM (Wang et al. 2004) as scikit-image defines it by default: (B,), at most 1.

        S = (2 m_a m_b + C1) (2 v_ab + C2) / ((m_a^2 + m_b^2 + C1) (v_a + v_b + C2)),  C_i = (255 K_i)^2

    Means m over a uniform 7 x 7 window, sample (co)variances v, averaged over the three channels and the windows that
    lie wholly in the image. ValueError unless a and b are uint8 images of one shape with sides of 7 pixels or more.
    """
    check_images(a, b)
    if min(a.shape[2:]) < SSIM_WINDOW:
        raise ValueError(f"SSIM needs sides of at least {SSIM_WINDOW} pixels, not {tuple(a.shape[2:])}")
    a, b = a.double(), b.double()
    m_a, m_b, square, both = (_window_means(image) for image in (a, b, a * a + b * b, a * b))
    sample = SSIM_WINDOW**2 / (SSIM_WINDOW**2 - 1)
    c1, c2 = ((k * DATA_RANGE) ** 2 for k in (0.01, 0.03))
    squared = m_a * m_a + m_b * m_b
    covariance, variances = sample * (both - m_a * m_b), sample * (square - squared)
    return ((2 * m_a * m_b + c1) * (2 * covariance + c2) / ((squared + c1) * (variances + c2))).mean(dim=(1, 2, 3))


def _window_means(images: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 3, H - 6, W - 6)."""
    return avg_pool2d(avg_pool2d(images, (SSIM_WINDOW, 1), stride=1), (1, SSIM_WINDOW), stride=1)


class LPIPS(nn.Module):
    """Learned perceptual distance (Zhang et al. 2018, version 0.1), 0 for equal images; Table 1 uses VGG16.

        d(a, b) = sum over layers of the mean over pixels of w . (phi_a - phi_b)^2

    phi: features of unit length per pixel; w: the heads that the `lpips` package carries. The package computes; we give
    it its backbone, and split the work, so that one truth serves several comparisons. Never trained, always float32.
    """

    def __init__(self, net: str, backbone: Mapping[str, Tensor], origin: str) -> None:
        """net: a key of LPIPS_BACKBONES; backbone: tensors under torchvision's names; origin: where from, for errors.

        InputError where the backbone lacks a tensor, has an unknown one, or one of another shape.
        """
        super().__init__()
        import lpips  # here, because no other metric needs it

        # The package knows either its own download or random numbers; the latter are all overwritten below, and the
        # generator of the run does not notice that they were drawn.
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")  # the package's own use of torchvision's old arguments
            self.package = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
        self.unit_length = lpips.normalize_tensor
        self.package.net.load_state_dict(_package_names(self.package.net.state_dict(), backbone, origin), strict=True)
        self.requires_grad_(False).eval()

    @classmethod
    def load(cls, net: str = "vgg", weights: str | Path | None = None) -> "LPIPS":
        """net: 'vgg', 'alex' or 'squeeze'. weights: a torch file with torchvision's names (`features.0.weight` ...; its
        `classifier.*` is not needed) in any floating dtype, or None for torchvision's own, cached or downloaded.

        InputError for an unknown net or an unfit file; BackboneMissing where nothing can be fetched.
        """
        if net not in LPIPS_BACKBONES:
            raise InputError(f"no LPIPS backbone '{net}': use one of {', '.join(LPIPS_BACKBONES)}")
        if weights is not None:
            remedy = "pass a torch file of tensors, a state dict with torchvision's names"
            return cls(net, read_tensors(weights, "LPIPS weights", remedy), str(weights))
        source = LPIPS_BACKBONES[net]
        try:
            tensors = source.get_state_dict(progress=False, check_hash=True, map_location="cpu")
        except (OSError, http.client.HTTPException, RuntimeError) as error:  # RuntimeError: the hash is another
            raise BackboneMissing(
                f"LPIPS needs the ImageNet weights {source.url}, which could not be fetched ({error}): "
                "pass --lpips_weights FILE, that file or another with torchvision's names"
            ) from error
        return cls(net, tensors, source.url)

    def train(self, mode: bool = True) -> "LPIPS":
        """Stays in eval mode inside a module that trains: the heads have dropout."""
        return super().train(False)

    @torch.no_grad()
    def features(self, images: Tensor) -> list[Tensor]:
        """images: uint8 (B, 3, H, W). Returns phi, one (B, C_l, H_l, W_l) float32 per layer, to give to `distance`."""
        check_images(images)
        with torch.autocast(images.device.type, enabled=False):
            scaled = images.float() / (DATA_RANGE / 2) - 1.0  # [-1, 1]
            return [self.unit_length(layer) for layer in self.package.net(self.package.scaling_layer(scaled))]

    @torch.no_grad()
    def distance(self, a: list[Tensor], b: list[Tensor]) -> Tensor:
        """a, b: what `features` gave for two batches of one shape. Returns (B,) float64."""
        with torch.autocast(a[0].device.type, enabled=False):
            maps = [head((x - y).square_()) for head, x, y in zip(self.package.lins, a, b, strict=True)]
        return torch.stack([m.mean(dim=(1, 2, 3), dtype=torch.float64) for m in maps]).sum(dim=0)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """a, b: uint8 (B, 3, H, W). Returns (B,) float64. ValueError unless they are of one shape."""
        check_images(a, b)
        return self.distance(self.features(a), self.features(b))


def read_tensors(path: str | Path, what: str, remedy: str) -> Mapping[str, Tensor]:
    """A torch file of named tensors, or InputError. what: it is to be read as."""
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(
            f"{path}: cannot be read as {what} ({type(error).__name__}: {reason(error)}); {remedy}"
        ) from error
    if not isinstance(tensors, Mapping) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise InputError(f"{path}: is not a mapping of names to tensors; {remedy}")
    return tensors


def _package_names(package: Mapping[str, Tensor], given: Mapping[str, Tensor], origin: str) -> dict[str, Tensor]:
    """torchvision's `features.N.*` under the package's names `sliceK.N.*`: every one of them, or InputError."""
    names = {"features." + name.partition(".")[2]: name for name in package}
    remedy = "pass the torchvision file of the backbone that --lpips_net names"
    missing = sorted(names.keys() - given.keys())
    unknown = sorted(name for name in given.keys() - names.keys() if not name.startswith("classifier."))
    if missing or unknown:
        what = f"lacks '{missing[0]}'" if missing else f"has the unknown key '{unknown[0]}'"
        raise InputError(f"{origin}: {what} ({len(missing)} keys missing, {len(unknown)} unknown); {remedy}")
    for theirs, ours in names.items():
        tensor, shape = given[theirs], package[ours].shape
        if tensor.shape != shape or not tensor.is_floating_point():
            raise InputError(
                f"{origin}: '{theirs}' is {tensor.dtype} {tuple(tensor.shape)}, not floating {tuple(shape)}; {remedy}"
            )
    return {ours: given[theirs] for theirs, ours in names.items()}
