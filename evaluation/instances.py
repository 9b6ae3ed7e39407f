"""Evaluation on Scenes: does every instance have the colour that the caption gives it?

B scenes; N = 5 places for instances; H, W image side; N_G regions (groups); N_I image tokens.
Every scene is colorized twice: under its caption, and under its counter caption, which gives the instances of the same
gray picture other colours. Differs: the paper shows its claims by pictures (Fig. 1) and has none of these figures.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.batch import Batch
from datasets.pictures.drawing import group_map
from datasets.scenes import COLORS, PALETTE, SHAPES, SceneBatch, Scenes
from evaluation.instance_metrics import (
    adjusted_rand_index,
    assignment_labels,
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
from models import Coloring, System
from utils import color, distributed
from utils.devices import autocast
from utils.log import progress

CENTERS = torch.tensor([PALETTE[name] for name in COLORS], dtype=torch.float64)  # (10, 2), CIE units
NOUNS = tuple(SHAPES)
SHOWN_SCENES, SHOWN_CAPTIONS = 4, 4  # of each split, on the page


class ColorizedScenes(NamedTuple):
    """One evaluated batch, as `visit` sees it: pictures on the CPU."""

    scenes: SceneBatch
    indices: Sequence[int]
    gray: Tensor  # (B, 1, H, W) in [-1, 1]
    ab: Tensor  # (B, 2, H, W) in [-1, 1], under the caption
    counter_ab: Tensor  # the same under the counter caption
    regions: Tensor  # (B, R, N) of `models.Coloring`, under the caption; R = 0 where there are none
    counter_regions: Tensor


@torch.no_grad()
def evaluate_instances(
    system: System,
    scenes: Scenes,
    device: torch.device,
    amp: str,
    batch_size: int,
    shared: bool = True,
    visit: Callable[[ColorizedScenes], None] | None = None,
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
        own, counter = (
            colorings(system, batch.rgb, captions, device, amp) for captions in (batch.captions, batch.counter_captions)
        )
        colorized = ColorizedScenes(
            batch,
            indices,
            gray,
            own.ab.float().cpu(),
            counter.ab.float().cpu(),
            _regions(own),
            _regions(counter),
        )
        for ab in (colorized.ab, colorized.counter_ab):
            check_finite(ab, batch.names)
        rows += _rows(colorized)
        if visit is not None:
            visit(colorized)
    rows = [row for part in distributed.gather_objects(rows) for row in part]
    return sorted(rows, key=lambda row: row["index"])


def colorings(system: System, rgb: Tensor, captions: Sequence[str], device: torch.device, amp: str) -> Coloring:
    """rgb: (B, 3, H, W) uint8, one picture a caption."""
    words = None if system.tokenizer is None else system.tokenizer(list(captions))
    with autocast(device, amp):
        return system.colorize(Batch.plain(rgb, captions, words).to(device))


def _regions(coloring: Coloring) -> Tensor:
    if coloring.regions is None:
        return torch.zeros(len(coloring.ab), 0, 1)
    return coloring.regions.float().cpu()


def _rows(colorized: ColorizedScenes) -> list[dict[str, Any]]:
    batch, gray = colorized.scenes, colorized.gray
    scored = batch.named & batch.masks.flatten(2).any(dim=2)  # (B, N)
    nothing, _ = _figures(gray, torch.zeros_like(colorized.ab), batch.masks, batch.colors)
    own_error, own_answer = _figures(gray, colorized.ab, batch.masks, batch.colors)
    counter_error, counter_answer = _figures(gray, colorized.counter_ab, batch.masks, batch.counter_colors)
    ari, foreground_ari = _grouping(batch.masks, colorized.regions)
    ground = torch.where(batch.background_named, batch.background_color, -1)
    named = torch.cat([torch.where(batch.named, batch.colors, -1), ground[:, None]], dim=1)  # (B, N + 1)

    rows = []
    for b, index in enumerate(colorized.indices):
        instances = []
        for k in scored[b].nonzero().flatten().tolist():
            wanted, answer, other_wanted, other_answer = (
                COLORS[table[b, k]] for table in (batch.colors, own_answer, batch.counter_colors, counter_answer)
            )
            instances.append(
                {
                    "noun": NOUNS[batch.shapes[b, k]],
                    "color": wanted,
                    "answer": answer,
                    "correct": answer == wanted,
                    "error": own_error[b, k].item(),
                    "gray_error": nothing[b, k].item(),
                    "counter_color": other_wanted,
                    "counter_answer": other_answer,
                    "counter_correct": other_answer == other_wanted,
                    "counter_error": counter_error[b, k].item(),
                }
            )
        rows.append(
            {
                "index": index,
                "name": batch.names[b],
                "caption": batch.captions[b],
                "counter_caption": batch.counter_captions[b],
                "caption_colors": [COLORS[c] for c in named[b].tolist() if c >= 0],
                "ari": ari[b],
                "foreground_ari": foreground_ari[b],
                "instances": instances,
            }
        )
    return rows


def _figures(gray: Tensor, ab: Tensor, masks: Tensor, colors: Tensor) -> tuple[Tensor, Tensor]:
    """CIEDE2000 from the wanted centre, and the palette colour nearest to the mean ab, of each instance: (B, N)."""
    lab = color.join(gray, ab)
    wanted = paint(masks, CENTERS[colors.clamp(min=0)])
    return instance_color_error(lab, masks, wanted), nearest_color(instance_means(lab, masks)[..., 1:], CENTERS)


def _grouping(masks: Tensor, assignment: Tensor) -> tuple[list[float | None], list[float | None]]:
    """The adjusted Rand index of groups and instances over all patches, and over those off the ground, per scene."""
    if assignment.shape[1] == 0:  # w/o GE
        return [None] * len(masks), [None] * len(masks)
    truth = patch_labels(masks, math.isqrt(assignment.shape[2]))
    groups = assignment_labels(assignment)
    values = (adjusted_rand_index(groups, truth, valid) for valid in (None, truth < masks.shape[1]))
    return tuple([None if math.isnan(value) else value for value in scores.tolist()] for scores in values)


def summarize_instances(rows: list[dict[str, Any]], seed: int = 0) -> dict[str, Any]:
    """The figures of one split. Each is {mean, low, high}: 95 % bootstrap interval, whole scenes drawn.

    accuracy, error (CIEDE2000) and the same under the counter caption; `counter_drop`, accuracy less counter_accuracy,
    paired; `gray_error`, of ab = 0; ari, foreground_ari, None without groups; `references`: what answers that know
    nothing of instances would score in accuracy (`evaluation.instance_metrics.reference_accuracy`), plain means.
    """
    instances = [(scene, instance) for scene, row in enumerate(rows) for instance in row["instances"]]
    groups = torch.tensor([scene for scene, _ in instances])

    def interval(values: Sequence[float], of: Tensor | None) -> dict[str, float]:
        return bootstrap_interval(torch.tensor(values, dtype=torch.float64), of, seed=seed)._asdict()

    def over_instances(key: str) -> list[float]:
        return [float(instance[key]) for _, instance in instances]

    def over_scenes(key: str) -> dict[str, float] | None:
        values = [row[key] for row in rows if row[key] is not None]
        return interval(values, None) if values else None

    drop = [a - b for a, b in zip(over_instances("correct"), over_instances("counter_correct"), strict=True)]
    return {
        "scenes": len(rows),
        "instances": len(instances),
        "accuracy": interval(over_instances("correct"), groups),
        "counter_accuracy": interval(over_instances("counter_correct"), groups),
        "counter_drop": interval(drop, groups),
        "error": interval(over_instances("error"), groups),
        "counter_error": interval(over_instances("counter_error"), groups),
        "gray_error": interval(over_instances("gray_error"), groups),
        "ari": over_scenes("ari"),
        "foreground_ari": over_scenes("foreground_ari"),
        "references": _references(rows),
    }


def _references(rows: list[dict[str, Any]]) -> dict[str, float]:
    wanted = _indices([[instance["color"] for instance in row["instances"]] for row in rows])
    named = _indices([row["caption_colors"] for row in rows])
    scores = reference_accuracy(wanted, CENTERS, named)
    return {name: (score.sum() / (wanted >= 0).sum()).item() for name, score in scores.items()}


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
    gray = color.split(batch.rgb.float() / 255)[0].expand(count, -1, -1, -1)
    rgb = batch.rgb.expand(count, -1, -1, -1)
    coloring = colorings(system, rgb, [caption for caption, _ in variations], device, amp)
    ab, regions = coloring.ab.float().cpu(), _regions(coloring)
    check_finite(ab, batch.names * count)
    nothing, pictures = (_pictures(color.colorize(gray, chroma)) for chroma in (torch.zeros_like(ab), ab))
    masks, wanted = batch.masks.expand(count, -1, -1, -1), torch.tensor([colors for _, colors in variations])
    _, answers = _figures(gray, ab, masks, wanted)
    scored = (batch.named & batch.masks.flatten(2).any(dim=2))[0].nonzero().flatten().tolist()
    shown = [
        UnderCaption(
            caption,
            pictures[i],
            group_map(regions[i].numpy(), nothing[i]),
            [(NOUNS[batch.shapes[0, k]], COLORS[colors[k]], COLORS[answers[i, k]]) for k in scored],
        )
        for i, (caption, colors) in enumerate(variations)
    ]
    return Recolored(batch.names[0], nothing[0], shown)


def _pictures(rgb: Tensor) -> NDArray:
    return color.to_uint8(rgb, rounded=True).permute(0, 2, 3, 1).numpy()
