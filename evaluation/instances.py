"""Evaluation on Scenes: does every instance have the colour that the caption gives it?

B scenes; N = 5 places for instances; H, W image side; N_I image tokens.
Every scene is colorized twice: under its caption, and under its counter caption, which gives the instances of the same
gray picture other colours. Differs: the paper shows its claims by pictures (Fig. 1) and has none of these figures.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.batch import Batch
from datasets.boxes import Boxes
from datasets.pictures.drawing import group_map
from datasets.scenes import COLORS, FAVORITE, PALETTE, SHAPES, SceneBatch, Scenes
from evaluation.instance_metrics import (
    adjusted_rand_index,
    instance_color_error,
    instance_means,
    nearest_color,
    paint,
    patch_labels,
    reference_accuracy,
)
from evaluation.protocol import check_finite
from evaluation.scene_report import Recolored, UnderCaption
from evaluation.statistics import bootstrap_interval
from models import System
from utils import color, distributed
from utils.devices import autocast
from utils.log import progress

CENTERS = torch.tensor([PALETTE[name] for name in COLORS], dtype=torch.float64)  # (10, 2), CIE units
NOUNS = tuple(SHAPES)
SHOWN_SCENES, SHOWN_CAPTIONS = 4, 4  # of each split, on the page


@torch.no_grad()
def evaluate_instances(
    system: System, scenes: Scenes, device: torch.device, amp: str, batch_size: int, shared: bool = True
) -> list[dict[str, Any]]:
    """One row a scene, all ranks', in order, on every rank.

    index, name, caption, counter_caption; `caption_colors`, all colours the caption names, the ground's too; `ari`,
    `foreground_ari` (off the ground), None without groups or without a pair of patches; `instances`, those that the
    caption gives a colour and that can be seen, each with noun, color, answer, correct, error, gray_error (of ab = 0),
    counter_color, counter_answer, counter_correct, counter_error. Answers are the palette colours nearest to the mean
    predicted ab in the mask, errors the mean CIEDE2000 from the palette's centre there.

    shared: rank r takes the scenes r, r + W, ...; else rank 0 takes all. Raises DivergedError where ab is not finite.
    """
    system.eval()
    mine = distributed.share(len(scenes), shared)
    rows: list[dict[str, Any]] = []
    for start in progress(range(0, len(mine), batch_size), f"scenes, {scenes.split}", "batch"):
        indices = mine[start : start + batch_size]
        batch = scenes.render(indices)
        gray = color.split(batch.rgb.to(device).float() / 255)[0].cpu()
        boxes = batch.boxes if "boxes" in system.inputs else None
        (ab, regions), (counter_ab, _) = (
            colorings(system, batch.rgb, captions, batch.names, device, amp, boxes)
            for captions in (batch.captions, batch.counter_captions)
        )
        rows += _rows(batch, indices, gray, ab, counter_ab, regions, scenes.rules.favorites > 0)
    rows = [row for part in distributed.gather_objects(rows) for row in part]
    return sorted(rows, key=lambda row: row["index"])


def colorings(
    system: System,
    rgb: Tensor,
    captions: Sequence[str],
    names: Sequence[str],
    device: torch.device,
    amp: str,
    boxes: Boxes | None = None,
) -> tuple[Tensor, Tensor]:
    """ab (B, 2, H, W) in [-1, 1] and the regions (B, R, N_I) of `models.Coloring`, R = 0 where there are none; float32
    on the CPU. rgb: (B, 3, H, W) uint8, one picture a caption."""
    words = None if system.tokenizer is None else system.tokenizer(list(captions))
    with autocast(device, amp):
        coloring = system.colorize(Batch.plain(rgb, captions, words, boxes).to(device))
    check_finite(coloring.ab, names)
    regions = torch.zeros(len(captions), 0, 1) if coloring.regions is None else coloring.regions.float().cpu()
    return coloring.ab.float().cpu(), regions


def _rows(
    batch: SceneBatch,
    indices: Sequence[int],
    gray: Tensor,
    ab: Tensor,
    counter_ab: Tensor,
    regions: Tensor,
    favorites: bool,
) -> list[dict[str, Any]]:
    scored = _scored(batch)
    nothing, _ = _figures(gray, torch.zeros_like(ab), batch.masks, batch.colors)
    own_error, own_answer = _figures(gray, ab, batch.masks, batch.colors)
    counter_error, counter_answer = _figures(gray, counter_ab, batch.masks, batch.counter_colors)
    ari, foreground_ari = _grouping(batch.masks, regions)
    ground = torch.where(batch.background_named, batch.background_color, -1)
    named = torch.cat([torch.where(batch.named, batch.colors, -1), ground[:, None]], dim=1)  # (B, N + 1)

    def judged(b: int, k: int) -> dict[str, Any]:
        wanted, answer, counter, other = (
            COLORS[table[b, k]] for table in (batch.colors, own_answer, batch.counter_colors, counter_answer)
        )
        own = {"noun": NOUNS[batch.shapes[b, k]], "color": wanted, "answer": answer, "correct": answer == wanted}
        own |= {"error": own_error[b, k].item(), "gray_error": nothing[b, k].item()}
        if favorites:
            own["favorite"] = COLORS[FAVORITE[batch.shapes[b, k]]] == wanted
        own |= {"counter_color": counter, "counter_answer": other, "counter_correct": other == counter}
        return own | {"counter_error": counter_error[b, k].item()}

    return [
        {
            "index": index,
            "name": batch.names[b],
            "caption": batch.captions[b],
            "counter_caption": batch.counter_captions[b],
            "caption_colors": [COLORS[c] for c in named[b].tolist() if c >= 0],
            "ari": ari[b],
            "foreground_ari": foreground_ari[b],
            "instances": [judged(b, k) for k in scored[b].nonzero().flatten().tolist()],
        }
        for b, index in enumerate(indices)
    ]


def _scored(batch: SceneBatch) -> Tensor:
    """(B, N) bool: the caption gives it a colour, and it can be seen."""
    return batch.named & batch.masks.flatten(2).any(dim=2)


def _figures(gray: Tensor, ab: Tensor, masks: Tensor, colors: Tensor) -> tuple[Tensor, Tensor]:
    """CIEDE2000 from the wanted centre, and the palette colour nearest to the mean ab, of each instance: (B, N)."""
    lab = color.join(gray, ab)
    wanted = paint(masks, CENTERS[colors.clamp(min=0)])
    return instance_color_error(lab, masks, wanted), nearest_color(instance_means(lab, masks)[..., 1:], CENTERS)


def _grouping(masks: Tensor, assignment: Tensor) -> tuple[list[float | None], list[float | None]]:
    """The adjusted Rand index of groups and instances over all patches, and over those off the ground, per scene."""
    if assignment.shape[1] == 0:  # w/o GE
        return [None] * len(masks), [None] * len(masks)
    truth, groups = patch_labels(masks, math.isqrt(assignment.shape[2])), assignment.argmax(dim=1)
    values = (adjusted_rand_index(groups, truth, valid) for valid in (None, truth < masks.shape[1]))
    return tuple([None if math.isnan(value) else value for value in scores.tolist()] for scores in values)


def summarize_instances(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of one split. Each is {mean, low, high}: 95 % bootstrap interval, whole scenes drawn.

    accuracy, error (CIEDE2000) and the same under the counter caption; `counter_drop`, accuracy less counter_accuracy,
    paired; `gray_error`, of ab = 0; ari, foreground_ari, None without groups; `references`: what answers that know
    nothing of instances would score in accuracy (`evaluation.instance_metrics.reference_accuracy`), plain means.
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
        summary[key] = bootstrap_interval(torch.tensor(of_instances, dtype=torch.float64), groups)._asdict()
    for key in ("ari", "foreground_ari"):
        of_scenes = torch.tensor([row[key] for row in rows if row[key] is not None], dtype=torch.float64)
        summary[key] = bootstrap_interval(of_scenes)._asdict() if len(of_scenes) else None
    wanted = _indices([[instance["color"] for instance in row["instances"]] for row in rows])
    scores = reference_accuracy(wanted, CENTERS, _indices([row["caption_colors"] for row in rows]))
    references = {name: (score.sum() / (wanted >= 0).sum()).item() for name, score in scores.items()}
    if "favorite" in instances[0]:
        references["favorite"] = sum(instance["favorite"] for instance in instances) / len(instances)
    return summary | {"references": references}


def _indices(names: Sequence[Sequence[str]]) -> Tensor:
    """Colour names of every scene -> (B, most of them) index into COLORS, -1 where there is none."""
    width = max(len(row) for row in names)
    return torch.tensor([[COLORS.index(name) for name in row] + [-1] * (width - len(row)) for row in names])


def shown_scenes(system: System, scenes: Scenes, device: torch.device, amp: str) -> list[Recolored]:
    """The page's pictures of a split."""
    shown = range(min(SHOWN_SCENES, len(scenes)))
    return [recolor(system, scenes, index, SHOWN_CAPTIONS, device, amp) for index in shown]


@torch.no_grad()
def recolor(system: System, scenes: Scenes, index: int, count: int, device: torch.device, amp: str) -> Recolored:
    """One gray scene under `count` captions (`Scenes.recolored`), its own first, for the page."""
    system.eval()
    batch, variations = scenes.render([index]), scenes.recolored(index, count)
    captions, colors = zip(*variations, strict=True)
    gray = color.split(batch.rgb.float() / 255)[0].expand(count, -1, -1, -1)
    rgb, boxes = batch.rgb.expand(count, -1, -1, -1), None
    if "boxes" in system.inputs:
        boxes = replace(batch, rgb=rgb, masks=batch.masks.expand(count, -1, -1, -1)).boxes
    ab, regions = colorings(system, rgb, captions, batch.names * count, device, amp, boxes)
    nothing, pictures = (_pictures(color.colorize(gray, chroma)) for chroma in (torch.zeros_like(ab), ab))
    _, answers = _figures(gray, ab, batch.masks.expand(count, -1, -1, -1), torch.tensor(colors))
    scored = _scored(batch)[0].nonzero().flatten().tolist()
    shown = [
        UnderCaption(
            caption,
            pictures[i],
            group_map(regions[i].numpy(), nothing[i]),
            [(NOUNS[batch.shapes[0, k]], COLORS[colors[i][k]], COLORS[answers[i, k]]) for k in scored],
        )
        for i, caption in enumerate(captions)
    ]
    return Recolored(batch.names[0], nothing[0], shown)


def _pictures(rgb: Tensor) -> NDArray:
    return color.to_uint8(rgb, rounded=True).permute(0, 2, 3, 1).numpy()
