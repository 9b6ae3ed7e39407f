"""Colour as a class (Zhang et al., 2016): bins of the ab plane, rebalanced losses, decoding.

B pictures; h, w sides of the grid; Q bins; K nearest bins of a colour.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax

STEP = 10  # between neighbouring centres, CIE units
BLEND = 0.5  # of the uniform distribution in the prior by which rare colours gain weight


def grid_bins() -> Tensor:
    """(625, 2) centres from -120 to 120, a-major."""
    line = torch.arange(-120, 121, STEP, dtype=torch.float32)
    return torch.cartesian_prod(line, line)


# Rows of the 313 bins in or next to the sRGB gamut: a, lowest and highest b, CIE units (Zhang et al., 2016).
_GAMUT = (
    *((-90, 50, 90), (-80, 20, 90), (-70, 0, 90), (-60, -20, 90), (-50, -30, 100), (-40, -40, 100), (-30, -50, 100)),
    *((-20, -50, 100), (-10, -60, 100), (0, -70, 100), (10, -80, 90), (20, -80, 90), (30, -90, 90), (40, -100, 90)),
    *((50, -100, 80), (60, -110, 80), (70, -110, 80), (80, -110, 70), (90, -110, 70), (100, -90, 0)),
)


def gamut_bins() -> Tensor:
    """(313, 2) centres, a-major, in the usual order."""
    return torch.tensor([(a, b) for a, low, high in _GAMUT for b in range(low, high + 1, STEP)], dtype=torch.float32)


class ClassBalance(nn.Module):
    """How often each of Q classes was seen in training, and the weights that follow.

        weight_q = 1 / ((1 - g) p_q + g u_q),  scaled so that its mean under p is 1;  u uniform where p > 0

    Differs: the published programs have p from ImageNet or COCO, in files; ours counts the training's own pictures as
    they come, and a checkpoint holds the counts.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("counts", torch.zeros(classes, dtype=torch.int64))

    def count(self, classes: Tensor) -> None:
        """classes: int64, any shape."""
        self.counts += torch.bincount(classes.flatten(), minlength=len(self.counts))

    def weights(self) -> Tensor:
        """(Q,) float32; 0 for classes that were never seen; 1 before the first picture."""
        seen = self.counts > 0
        if not seen.any():
            return torch.ones(len(seen), device=seen.device)
        prior = self.counts / self.counts.sum()
        weights = torch.where(seen, 1 / ((1 - BLEND) * prior + BLEND / seen.sum()), 0.0)
        return weights / (prior * weights).sum()

    def labels_loss(self, logits: Tensor, labels: Tensor, ignored: int) -> Tensor:
        """Balanced cross-entropy, nats, the mean over the pixels of a class: a float32 scalar, 0 where there is none.

        logits: (B, Q, h, w); labels: (B, h, w) int64, `ignored` of no class. While training they are counted first.
        """
        known = labels != ignored
        if self.training:
            self.count(labels[known])
        total = cross_entropy(logits.float(), labels, self.weights(), ignore_index=ignored, reduction="sum")
        return total / known.sum().clamp(min=1)


class ColorBins(ClassBalance):
    """Bins of the ab plane."""

    def __init__(self, centers: Tensor) -> None:
        """centers: (Q, 2), CIE units."""
        super().__init__(len(centers))
        self.register_buffer("centers", centers, persistent=False)

    def nearest(self, ab: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
        """ab: (B, 2, h, w), CIE units. Returns the K = count nearest bins (B, h, w, K), nearest first, and their
        distances, CIE units."""
        distances = torch.cdist(ab.permute(0, 2, 3, 1).flatten(0, 2), self.centers.to(ab.dtype))
        found = distances.topk(count, dim=1, largest=False)
        shape = ab.shape[0], *ab.shape[2:], count
        return found.indices.view(shape), found.values.view(shape)

    def loss(self, logits: Tensor, ab: Tensor, count: int = 1, sigma: float = 5.0) -> Tensor:
        """Rebalanced cross-entropy with the K = count nearest bins, weighted by a Gaussian of `sigma` CIE units; each
        pixel has the weight of its nearest. A float32 scalar, nats.

        logits: (B, Q, h, w); ab: (B, 2, h, w), CIE units. While training the colours are counted first.
        """
        bins, distances = self.nearest(ab, count)
        if self.training:
            self.count(bins[..., 0])
        share = (-distances.square() / (2 * sigma**2)).softmax(dim=-1)  # (B, h, w, K)
        likelihood = log_softmax(logits.float(), dim=1).permute(0, 2, 3, 1).gather(3, bins)
        return -(self.weights()[bins[..., 0]] * (share * likelihood).sum(dim=-1)).mean()

    def decode(self, logits: Tensor, sharpness: float = 1.0) -> Tensor:
        """(B, Q, h, w) -> the mean of the centres (B, 2, h, w), CIE units, under softmax(sharpness * logits).

        sharpness: the inverse of a temperature.
        """
        share = (sharpness * logits.float()).softmax(dim=1)
        return torch.einsum("bqhw,qc->bchw", share, self.centers)
