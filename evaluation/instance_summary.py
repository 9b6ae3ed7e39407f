"""The figures of one split of Scenes, of the rows of `evaluation.instances.evaluate_instances`."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from datasets.scenes import COLORS
from evaluation.instance_metrics import reference_accuracy
from evaluation.instances import CENTERS, NOUNS
from evaluation.statistics import bootstrap_interval


def summarize_instances(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of one split. Each is {mean, low, high}: 95 % bootstrap interval, whole scenes drawn.

    accuracy, error (CIEDE2000) and the same under the counter caption; `counter_drop`, accuracy less counter_accuracy,
    paired; `gray_error`, of ab = 0; `references`: what answers that cannot tell instances apart would score in accuracy
    (`evaluation.instance_metrics.reference_accuracy`), plain means. None, and no references, where no instance is
    described. `accuracy_by_sharing`, {n: the accuracy of the instances whose word names n described ones of their
    scene}: a system that cannot tell instances of one word apart has 1 / n of what it has for n = 1. `ground_accuracy`,
    of the grounds that captions give a colour, None where none does; ari, foreground_ari, None without groups.
    `luminance_psnr`, `spread` and `undescribed`, with the number of instances, their chroma and spread, where the rows
    have them.
    """
    instances = [instance for row in rows for instance in row["instances"]]
    groups = torch.tensor([scene for scene, row in enumerate(rows) for _ in row["instances"]])
    values = {
        "accuracy": [instance["correct"] for instance in instances],
        "counter_accuracy": [instance["counter_correct"] for instance in instances],
        "counter_drop": [instance["correct"] - instance["counter_correct"] for instance in instances],
        **{key: [instance[key] for instance in instances] for key in ("error", "counter_error", "gray_error")},
    }
    summary: dict[str, Any] = {"scenes": len(rows), "instances": len(instances)}
    for key, of_instances in values.items():
        summary[key] = _interval(of_instances, groups)
    summary["accuracy_by_sharing"] = _by_sharing(rows)
    of_scenes = {"ground_accuracy": "ground_correct", "ari": "ari", "foreground_ari": "foreground_ari"}
    for key, column in of_scenes.items():
        summary[key] = _interval([row[column] for row in rows if row[column] is not None])
    for key in ("luminance_psnr", "spread"):
        if key in rows[0]:
            summary[key] = _interval([row[key] for row in rows if math.isfinite(row[key])])
    if "undescribed" in rows[0]:
        summary["undescribed"] = _summarize_undescribed(rows)
    if not instances:
        return summary | {"references": {}}
    wanted, words = (
        _indices([[instance[key] for instance in row["instances"]] for row in rows], names)
        for key, names in (("color", COLORS), ("noun", NOUNS))
    )
    caption = _indices([row["caption_colors"] for row in rows], COLORS)
    scores = reference_accuracy(wanted, CENTERS, caption, words)
    references = {name: (score.sum() / (wanted >= 0).sum()).item() for name, score in scores.items()}
    if "favorite" in instances[0]:
        references["favorite"] = sum(instance["favorite"] for instance in instances) / len(instances)
    return summary | {"references": references}


def _interval(values: Sequence[float], groups: Tensor | None = None) -> dict[str, float] | None:
    return bootstrap_interval(torch.tensor(values, dtype=torch.float64), groups)._asdict() if values else None


def _by_sharing(rows: list[dict[str, Any]]) -> dict[str, Any]:
    held: dict[int, list[tuple[int, bool]]] = {}
    for scene, row in enumerate(rows):
        counts = Counter(instance["noun"] for instance in row["instances"])
        for instance in row["instances"]:
            held.setdefault(counts[instance["noun"]], []).append((scene, instance["correct"]))
    return {
        str(n): _interval([correct for _, correct in held[n]], torch.tensor([scene for scene, _ in held[n]]))
        for n in sorted(held)
    }


def _summarize_undescribed(rows: list[dict[str, Any]]) -> dict[str, Any]:
    own = [(scene, instance) for scene, row in enumerate(rows) for instance in row["undescribed"]]
    groups = torch.tensor([scene for scene, _ in own])
    names = ("chroma", "spread") if "spread" in rows[0] else ("chroma",)
    return {"instances": len(own)} | {n: _interval([instance[n] for _, instance in own], groups) for n in names}


def _indices(held: Sequence[Sequence[str]], names: Sequence[str]) -> Tensor:
    """Names of every scene -> (B, most of them) index into `names`, -1 where there is none."""
    width = max(len(row) for row in held)
    return torch.tensor([[names.index(name) for name in row] + [-1] * (width - len(row)) for row in held])
