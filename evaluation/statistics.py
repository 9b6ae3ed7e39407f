"""Means with bootstrap intervals, of one system and of the difference between two."""

from typing import NamedTuple

import torch
from torch import Tensor


class Interval(NamedTuple):
    mean: float
    low: float
    high: float


def bootstrap_interval(
    values: Tensor, groups: Tensor | None = None, samples: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """The mean of all values with its percentile bootstrap interval (Efron 1979), the same for the same seed.

    Whole groups are drawn, because the instances of a scene, or the captions of an image, are right or wrong together.
    Where all values are equal the interval is that point: the method cannot see errors that did not occur.
    values: (any number,), finite; groups: the scene of each, integers, or None for one value a scene.
    """
    if not values.numel() or not values.isfinite().all():
        raise ValueError("the bootstrap needs finite values and at least one: leave out what is not valid")
    values = values.double().cpu()
    scene = torch.arange(len(values)) if groups is None else groups.cpu().unique(return_inverse=True)[1]
    counts, sums, generator = scene.bincount(), scene.bincount(values), torch.Generator().manual_seed(seed)
    draws = (torch.randint(len(counts), counts.shape, generator=generator) for _ in range(samples))
    means = torch.stack([sums[drawn].sum() / counts[drawn].sum() for drawn in draws])  # (samples,)
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    return Interval(values.mean().item(), *means.quantile(tails).tolist())


def bootstrap_difference(values_a: Tensor, values_b: Tensor, groups: Tensor | None = None, seed: int = 0) -> Interval:
    """mean(a) - mean(b) of two systems measured on the same instances: a draw of groups serves both, so that what makes
    a scene hard for both cancels. Arguments and interval as for `bootstrap_interval`."""
    if values_a.shape != values_b.shape:
        raise ValueError(f"paired values must match: {tuple(values_a.shape)} and {tuple(values_b.shape)}")
    return bootstrap_interval(values_a.double() - values_b.double(), groups, seed=seed)
