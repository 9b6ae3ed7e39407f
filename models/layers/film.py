"""Feature-wise linear modulation (Perez et al., 2018)."""

from torch import Tensor


def film(feature: Tensor, modulation: Tensor) -> Tensor:
    """gamma x + beta, each a number a channel. feature: (B, C, h, w); modulation: (B, 2 C), gamma first."""
    gamma, beta = modulation[:, :, None, None].chunk(2, dim=1)
    return gamma * feature + beta
