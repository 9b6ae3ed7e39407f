"""Evaluation on Scenes: does every instance have the colour that the caption gives it?

B scenes; N = 5 places for instances; H, W image side; N_I image tokens.
Every scene is colorized twice: under its caption, and under its counter caption, which gives the instances of the same
gray picture other colours. Differs: the paper shows its claims by pictures (Fig. 1) and has none of these figures.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.batch import Batch
from datasets.boxes import Boxes
from datasets.masks import Instances
from datasets.pictures.drawing import group_map
from datasets.scenes import COLORS, FAVORITE, PALETTE, SHAPES, SceneBatch, Scenes
from evaluation.instance_metrics import (
    adjusted_rand_index,
    instance_color_error,
    instance_means,
    nearest_color,
    paint,
    patch_labels,
)
from evaluation.metrics import luminance_psnr
from evaluation.protocol import check_finite
from evaluation.scene_report import Recolored, UnderCaption
from evaluation.variety import other_seeds, spread
from models import Coloring, System
from utils import color, distributed
from utils.devices import autocast
from utils.log import progress

CENTERS = torch.tensor([PALETTE[name] for name in COLORS], dtype=torch.float64)  # (10, 2), CIE units
NOUNS = tuple(SHAPES)
SHOWN_SCENES, SHOWN_CAPTIONS = 4, 4  # of each split, on the page


@torch.no_grad()
def evaluate_instances(
    system: System,
    scenes: Scenes,
    device: torch.device,
    amp: str,
    batch_size: int,
    shared: bool = True,
    seeds: int = 1,
) -> list[dict[str, Any]]:
    """One row a scene, all ranks', in order, on every rank.

    index, name, caption, counter_caption; `caption_colors`, all colours the caption names, the ground's too;
    `ground_correct`, None where the caption gives it no colour; `ari`, `foreground_ari` (off the ground), None without
    groups or a pair of patches; `instances`, those that the caption gives a colour and that can be seen, each with
    noun, color, answer, correct, error, gray_error (of ab = 0), counter_color, counter_answer, counter_correct,
    counter_error. Answers are the palette colours nearest to the mean predicted ab in the mask, errors the mean
    CIEDE2000 from the palette's centre there. Of a system that paints its own luminance, `luminance_psnr`. At lower
    levels, or with several seeds, `undescribed`: the others that can be seen, each with noun, `chroma`, the mean one in
    its mask, and, with several seeds, `spread`, the mean standard deviation of ab there; and the scene's own `spread`.

    shared: rank r takes the scenes r, r + W, ...; else rank 0 takes all. Raises DivergedError where ab is not finite.
    """
    system.eval()
    mine = distributed.share(len(scenes), shared)
    rows: list[dict[str, Any]] = []
    for start in progress(range(0, len(mine), batch_size), f"scenes, {scenes.split}", "batch"):
        indices = mine[start : start + batch_size]
        batch = scenes.render(indices)
        gray = color.split(batch.rgb.to(device).float() / 255)[0].cpu()
        own, counter, *others = (
            colorings(system, batch.rgb, captions, batch.names, device, amp, _read(system, batch, counter, seed))
            for captions, counter, seed in (
                (batch.captions, False, None),
                (batch.counter_captions, True, None),
                *((batch.captions, False, seed) for seed in other_seeds(system, seeds)),
            )
        )
        found = _rows(batch, indices, gray, own.ab, counter.ab, own.regions, scenes.rules.favorites > 0)
        more: list[dict[str, Any]] = [{} for _ in indices]
        if seeds > 1 or scenes.level != "complete":
            varied = spread([own.ab, *(other.ab for other in others)]) if seeds > 1 else None
            more = _undescribed(batch, own.ab, varied)
        if own.rgb is not None:
            painted = luminance_psnr(color.to_uint8(own.rgb, rounded=True), batch.rgb).tolist()
            more = [held | {"luminance_psnr": value} for held, value in zip(more, painted, strict=True)]
        rows += [row | held for row, held in zip(found, more, strict=True)]
    rows = [row for part in distributed.gather_objects(rows) for row in part]
    return sorted(rows, key=lambda row: row["index"])


class Read(NamedTuple):
    """What some systems read beside the caption."""

    boxes: Boxes | None
    instances: Instances | None
    seed: int | None = None


def _read(system: System, batch: SceneBatch, counter: bool, seed: int | None) -> Read:
    """counter: under the counter captions."""
    boxes = batch.boxes if "boxes" in system.inputs else None
    return Read(boxes, batch.instances(counter) if "instances" in system.inputs else None, seed)


def colorings(
    system: System,
    rgb: Tensor,
    captions: Sequence[str],
    names: Sequence[str],
    device: torch.device,
    amp: str,
    read: Read,
) -> Coloring:
    """Float32 on the CPU; R = 0 where there are no regions. rgb: (B, 3, H, W) uint8, one picture a caption."""
    words = None if system.tokenizer is None else system.tokenizer(list(captions))
    batch = Batch.plain(rgb, captions, words, read.boxes, read.instances, names, read.seed)
    with autocast(device, amp):
        coloring = system.colorize(batch.to(device))
    check_finite(coloring.ab, names)
    regions = torch.zeros(len(captions), 0, 1) if coloring.regions is None else coloring.regions.float().cpu()
    return Coloring(coloring.ab.float().cpu(), None if coloring.rgb is None else coloring.rgb.float().cpu(), regions)


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
    ground_answer = _answers(color.join(gray, ab), batch.background_mask[:, None])[:, 0]

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
            "ground_correct": None if ground[b] < 0 else (ground_answer[b] == ground[b]).item(),
            "ari": ari[b],
            "foreground_ari": foreground_ari[b],
            "instances": [judged(b, k) for k in scored[b].nonzero().flatten().tolist()],
        }
        for b, index in enumerate(indices)
    ]


def _undescribed(batch: SceneBatch, ab: Tensor, varied: Tensor | None) -> list[dict[str, Any]]:
    """What rows hold of the instances that can be seen and whose colour the caption does not give. ab: (B, 2, H, W) in
    [-1, 1]; varied: (B, H, W), of `spread`."""
    chroma = color.denormalize_ab(ab.double()).norm(dim=1)
    values = {"chroma": chroma} if varied is None else {"chroma": chroma, "spread": varied}
    inside = {name: instance_means(values[name][:, None], batch.masks)[..., 0] for name in values}  # (B, N)
    silent = batch.masks.flatten(2).any(dim=2) & ~batch.named
    rows: list[dict[str, Any]] = []
    for b, own in enumerate(silent):
        places = own.nonzero().flatten().tolist()
        found = [
            {"noun": NOUNS[batch.shapes[b, k]], **{name: inside[name][b, k].item() for name in values}} for k in places
        ]
        rows.append({"undescribed": found} | ({} if varied is None else {"spread": varied[b].mean().item()}))
    return rows


def _scored(batch: SceneBatch) -> Tensor:
    """(B, N) bool: the caption gives it a colour, and it can be seen."""
    return batch.named & batch.masks.flatten(2).any(dim=2)


def _figures(gray: Tensor, ab: Tensor, masks: Tensor, colors: Tensor) -> tuple[Tensor, Tensor]:
    """CIEDE2000 from the wanted centre, and the palette colour nearest to the mean ab, of each instance: (B, N)."""
    lab = color.join(gray, ab)
    wanted = paint(masks, CENTERS[colors.clamp(min=0)])
    return instance_color_error(lab, masks, wanted), _answers(lab, masks)


def _answers(lab: Tensor, masks: Tensor) -> Tensor:
    return nearest_color(instance_means(lab, masks)[..., 1:], CENTERS)


def _grouping(masks: Tensor, assignment: Tensor) -> tuple[list[float | None], list[float | None]]:
    """The adjusted Rand index of groups and instances over all patches, and over those off the ground, per scene."""
    if assignment.shape[1] == 0:  # w/o GE
        return [None] * len(masks), [None] * len(masks)
    truth, groups = patch_labels(masks, math.isqrt(assignment.shape[2])), assignment.argmax(dim=1)
    values = (adjusted_rand_index(groups, truth, valid) for valid in (None, truth < masks.shape[1]))
    return tuple([None if math.isnan(value) else value for value in scores.tolist()] for scores in values)


def shown_scenes(system: System, scenes: Scenes, device: torch.device, amp: str) -> list[Recolored]:
    """The page's pictures of a split."""
    shown = range(min(SHOWN_SCENES, len(scenes)))
    return [recolor(system, scenes, index, SHOWN_CAPTIONS, device, amp) for index in shown]


@torch.no_grad()
def recolor(system: System, scenes: Scenes, index: int, count: int, device: torch.device, amp: str) -> Recolored:
    """One gray scene under `count` captions (`Scenes.recolored`), its own first, for the page. Where the level of
    description leaves no colour in them, they are all one: then its colours under `count` seeds, if the system has any.
    """
    system.eval()
    batch, variations = scenes.render([index]), scenes.recolored(index, count)
    seeds: list[int | None] = [None] * count
    if count > 1 and len({caption for caption, _ in variations}) == 1:
        others = other_seeds(system, count)
        seeds = [system.seed, *others] if others else [None]
    gray = color.split(batch.rgb.float() / 255)[0]
    nothing = _picture(gray, torch.zeros(1, 2, *gray.shape[2:]))
    scored = _scored(batch)[0].nonzero().flatten().tolist()
    shown = []
    for (caption, colors), seed in zip(variations[: len(seeds)], seeds, strict=True):
        own = replace(batch, spans=scenes.spans(index, colors)[None])
        read = _read(system, own, False, seed)
        ab, _, regions = colorings(system, batch.rgb, [caption], batch.names, device, amp, read)
        _, answers = _figures(gray, ab, batch.masks, torch.tensor([colors]))
        named = [(NOUNS[batch.shapes[0, k]], COLORS[colors[k]], COLORS[answers[0, k]]) for k in scored]
        said = caption if seed is None else f"{caption} (seed {seed})"
        groups = group_map(regions[0].numpy(), nothing) if regions.shape[1] else None
        shown.append(UnderCaption(said, _picture(gray, ab), groups, named))
    return Recolored(batch.names[0], nothing, shown)


def _picture(gray: Tensor, ab: Tensor) -> NDArray:
    """gray: (1, 1, H, W); ab: (1, 2, H, W), both in [-1, 1]. Returns (H, W, 3) uint8."""
    return color.to_uint8(color.colorize(gray, ab), rounded=True)[0].permute(1, 2, 0).numpy()
