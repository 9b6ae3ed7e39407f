"""How much the colours of one photograph and caption vary among seeds.  B batch; H, W image side.

Systems that draw nothing paint one picture: their figure is 0, and nothing is computed for it. Differs: the paper shows
variety by pictures, and has no such figure.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from evaluation import tables
from evaluation.protocol import check_finite
from evaluation.statistics import bootstrap_interval
from models import System
from utils import color, distributed
from utils.devices import autocast
from utils.log import progress


def other_seeds(system: System, count: int) -> list[int]:
    """Behind the system's own, as many as make `count`; none where it draws nothing."""
    return [system.seed + k for k in range(1, count)] if "seed" in system.inputs else []


def spread(colorings: Sequence[Tensor]) -> Tensor:
    """The standard deviation of ab among colourings of the same pictures, at every pixel: the root of the variances of
    a and b together, each of n - 1. colorings: each (B, 2, H, W) in [-1, 1]. Returns (B, H, W) in CIE units, float64;
    0 for a single one."""
    ab = color.denormalize_ab(torch.stack(list(colorings)).double())
    if len(ab) == 1:
        return torch.zeros_like(ab[0, :, 0])
    return ab.var(dim=0).sum(dim=1).sqrt()


@torch.no_grad()
def evaluate(system: System, loader: Iterable[Any], device: torch.device, amp: str, seeds: int) -> list[dict[str, Any]]:
    """One row a pair, all ranks', in file order, on every rank: index, name, `spread`, the mean over the picture.

    seeds: so many colourings of each pair. Raises DivergedError where ab is not finite.
    """
    system.eval()
    rows = []
    others = other_seeds(system, seeds)
    for batch in progress(loader, "variety", "batch"):
        means = [0.0] * len(batch.names)
        if others:
            batch = batch.to(device)
            with autocast(device, amp):
                colorings = [system.colorize(replace(batch, seed=seed)).ab for seed in (system.seed, *others)]
            for ab in colorings:
                check_finite(ab, batch.names)
            means = spread(colorings).mean(dim=(1, 2)).tolist()
        rows += [
            {"index": index, "name": name, "spread": mean}
            for index, name, mean in zip(batch.indices, batch.names, means, strict=True)
        ]
    everyone = (row for part in distributed.gather_objects(rows) for row in part)
    return sorted(everyone, key=lambda row: row["index"])


def summarize(rows: Sequence[dict[str, Any]], seeds: int) -> dict[str, Any]:
    """`seeds`, and `spread` as {mean, low, high}: 95 % bootstrap interval, whole images drawn."""
    places = {name: place for place, name in enumerate(dict.fromkeys(row["name"] for row in rows))}
    groups = torch.tensor([places[row["name"]] for row in rows])
    values = torch.tensor([row["spread"] for row in rows], dtype=torch.float64)
    return {"seeds": seeds, "spread": bootstrap_interval(values, groups)._asdict()}


def table_rows(summary: dict[str, Any]) -> list[tables.Row]:
    """Of `summarize`."""
    return [
        ("variety", ["standard deviation of ab [95 %]"]),
        (f"among {summary['seeds']} seeds", [tables.interval(summary["spread"], 1, 2)]),
    ]
