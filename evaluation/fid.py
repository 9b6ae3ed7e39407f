"""Frechet Inception distance (Heusel et al. 2017) of whole sets.  B batch; N pairs; D features of an image.

    FID = |m_a - m_b|^2 + trace(S_a + S_b - 2 (S_a S_b)^(1/2))      m, S: mean and covariance of the features of a set

Published figures stand on one network: the Inception v3 that TensorFlow's authors trained in 2015, known in PyTorch as
the file `pt_inception-2015-12-05-6726825d.pth` (of pytorch-fid; its last layer has 1008 classes). torchvision's own
`inception_v3_google-0cc3c7bd.pth` (1000 classes) is another training of a slightly different network: distances in its
features compare our systems with each other, and never with a published FID. Both files are taken, and the name of the
network is reported beside the figure. Pictures are enlarged to 299 x 299 as pytorch-fid does (bilinear, no antialias).
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, max_pool2d
from torchvision.models import Inception3

from evaluation.metrics import read_tensors
from evaluation.protocol import PAINTED, ROWS, Colorized
from utils import distributed
from utils.errors import InputError
from utils.log import progress

SIDE = 299
LEAST_PICTURES = 2048  # as many as features: with fewer the covariances are singular, and the distance is too large
NETWORKS = {1008: "FID's Inception (2015)", 1000: "torchvision's Inception v3, not comparable with published FID"}
_FILES = "pt_inception-2015-12-05-6726825d.pth of pytorch-fid, or torchvision's inception_v3_google-0cc3c7bd.pth"
_NOT_NEEDED = ("fc.", "AuxLogits.")


class FID:
    """Gathers the features of what an evaluation compares (`add` is a `visit` of it); `distances` ends it."""

    def __init__(self, network: nn.Module, name: str) -> None:
        """network: RGB in [-1, 1], (B, 3, 299, 299) float32 -> (B, D); name: of it, for the report."""
        self.network = network.requires_grad_(False).eval()
        self.name = name
        self.features: dict[int, dict[str, Tensor]] = {}  # index of a pair -> row -> (D,) float32 on the host

    @classmethod
    def load(cls, path: str | Path) -> "FID":
        """path: either file of the module's docstring, in any floating dtype. InputError for an unfit file."""
        tensors = read_tensors(path, "weights for FID", f"pass {_FILES}")
        last = tensors.get("fc.weight")
        classes = None if last is None else len(last)
        if classes not in NETWORKS:
            raise InputError(f"{path}: fc.weight has {classes} classes, which no network for FID has; pass {_FILES}")
        with torch.random.fork_rng(devices=[]):  # the random weights are all overwritten
            network = Inception3(aux_logits=False, transform_input=False, init_weights=False)
        network.fc = nn.Identity()  # (B, 2048), pooled over the picture
        kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(_NOT_NEEDED)}
        try:
            network.load_state_dict(kept, strict=True)
        except RuntimeError as error:
            why = " ".join(str(error).split())[:300]
            raise InputError(f"{path}: is no Inception v3 ({why}); pass {_FILES}") from error
        if classes == 1008:
            _pool_as_in_2015(network)
        return cls(network, NETWORKS[classes])

    def to(self, device: torch.device) -> "FID":
        self.network.to(device)
        return self

    @torch.no_grad()
    def extract(self, images: Tensor) -> Tensor:
        """images: uint8 (B, 3, H, W). Returns (B, D) float32 on the host."""
        with torch.autocast(images.device.type, enabled=False):
            enlarged = interpolate(images.float() / 255, (SIDE, SIDE), mode="bilinear", align_corners=False)
            return self.network(2 * enlarged - 1).float().cpu()

    def add(self, part: Colorized) -> None:
        for row, images in (part.compared() | {"truth": part.truth}).items():
            for index, features in zip(part.indices, self.extract(images), strict=True):
                # a copy: a view would take the whole batch's memory along when it is gathered
                self.features.setdefault(index, {})[row] = features.clone()

    def distances(self) -> dict[str, float | None]:
        """FID of each of ROWS, and of PAINTED where there is one, against the truth, of all ranks' pairs, one sample a
        pair; None for fewer than two."""
        gathered: dict[int, dict[str, Tensor]] = {}
        for part in distributed.gather_objects(self.features):
            gathered |= part
        if len(gathered) < 2:
            return dict.fromkeys(ROWS)
        compared = [row for row in (*ROWS, PAINTED) if row in next(iter(gathered.values()))]
        sets = {
            row: torch.stack([gathered[index][row] for index in sorted(gathered)]).double()
            for row in (*compared, "truth")
        }
        return {row: frechet_distance(sets[row], sets["truth"]) for row in progress(compared, "FID", "row")}


def note(summary: dict[str, Any]) -> str:
    """What is to be known of the FID of an evaluation's summary, one line; "" where it holds none."""
    if summary.get("fid_network") is None:
        return ""
    count, pictures = summary["count"], summary["fid_pictures"]
    of = f"FID of {count:,} pairs of {pictures:,} photographs, in the features of {summary['fid_network']}"
    if pictures >= LEAST_PICTURES:
        return of
    return f"{of}: too high below {LEAST_PICTURES:,} photographs (biased); compare it on these photographs alone"


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Between normal distributions fitted to two sets of features, (N_a, D) and (N_b, D) float64, N at least 2.

    With the centred sets as A^T A = S_a and B^T B = S_b, (S_a S_b)^(1/2) has the singular values of A B^T as its
    eigenvalues: no square root of a singular matrix is needed where N is below D.
    """
    root_a, root_b = (_covariance_root(features) for features in (a, b))
    mixed = torch.linalg.svdvals(root_a @ root_b.T).sum()
    means = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    distance = means + root_a.square().sum() + root_b.square().sum() - 2 * mixed
    return max(distance.item(), 0.0)  # rounding can leave equal sets just below 0


def _covariance_root(features: Tensor) -> Tensor:
    """(N, D) -> R of (min(N, D), D) with R^T R the covariance."""
    centred = (features - features.mean(dim=0)) / (len(features) - 1) ** 0.5
    return torch.linalg.qr(centred, mode="r").R


class _Pooled(nn.Module):
    """An Inception block whose pooling branch, the last channels, pools in another way."""

    def __init__(self, block: nn.Module, pool: Callable[..., Tensor]) -> None:
        super().__init__()
        self.block, self.pool = block, pool

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.block.branch_pool(self.pool(x, 3, stride=1, padding=1))
        return torch.cat([self.block(x)[:, : -pooled.shape[1]], pooled], dim=1)


def _pool_as_in_2015(network: nn.Module) -> None:
    """TensorFlow's averages leave padding out; the last block of the 2015 graph takes the maximum instead."""
    for name in ("5b", "5c", "5d", "6b", "6c", "6d", "6e", "7b", "7c"):
        pool = max_pool2d if name == "7c" else partial(avg_pool2d, count_include_pad=False)
        setattr(network, f"Mixed_{name}", _Pooled(getattr(network, f"Mixed_{name}"), pool))
