"""Does the network do what the words say? Measured on photographs that have captions and no masks.

B pairs; K captions of one photograph; S side of the network's square.

word response      the first colour word of the caption, of eight chromatic colours, is replaced by each of the other
                   seven, and the change of the picture is judged (evaluation/obedience_metrics.py); where the split has
                   regions (datasets/regions.py), also how much of it lies where the word's thing is
description gain   PSNR and mean ab error with the pair's own caption, against no caption, against another photograph's,
                   and against the counter caption of Eq. (15)

A network that ignores the words scores 0 in both; its row stands beside. Differs: the paper shows obedience by pictures
and a user study, and has none of these figures.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datasets.batch import Batch
from datasets.regions import Regions, mask
from datasets.scenes import PALETTE
from datasets.words import color_words
from evaluation.color_metrics import color_errors
from evaluation.metrics import psnr
from evaluation.obedience_metrics import inside, word_response
from evaluation.protocol import LabBatch, check_finite
from models import System
from utils import color, devices, distributed
from utils.errors import InputError
from utils.log import progress

COLORS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown")
CENTERS = torch.tensor([PALETTE[name] for name in COLORS], dtype=torch.float64)  # (8, 2), CIE units
DESCRIPTIONS = ("own", "empty", "other", "counter")
METRICS = {"psnr": "PSNR, dB", "chroma_error": "ab error"}
TOGETHER = 64  # colourings in one pass of the network


@torch.no_grad()
def evaluate(
    system: System,
    loader: Iterable[Any],
    pairs: Sequence[tuple[str, str]],
    device: torch.device,
    amp: str,
    regions: Regions,
) -> list[dict[str, Any]]:
    """One row per pair, all ranks', in file order, on every rank.

    pairs: (image name, caption) of the whole split; regions: of their colour words, as far as known. A row holds index,
    name, caption; `{metric}_{description}` of METRICS and DESCRIPTIONS, None for a counter caption that there is not;
    `from`, the colour replaced, or None; `region`, the replaced word's share of the picture, or None; and `responses`,
    one for each other colour: to, right, angle, share, inside.
    """
    system.eval()
    rows = []
    for batch in progress(loader, "obedience", "batch"):
        squashed = LabBatch.of(batch.rgb.to(device))
        draws = [np.random.default_rng((0, index)) for index in batch.indices]
        counters = [color_words.replace(caption, draw) for caption, draw in zip(batch.captions, draws, strict=True)]
        replaced = [replacements(caption) for caption in batch.captions]
        asked = []
        for index, caption, counter, (_, others) in zip(batch.indices, batch.captions, counters, replaced, strict=True):
            described = [caption, "", _other_caption(pairs, index), counter]
            asked.append([text for text in described if text is not None] + others)
        found = _colorize(system, batch.to(device, torch.float64).rgb, asked, device, amp)
        for i, ab in enumerate(found):
            check_finite(ab, [batch.names[i]] * len(ab))
            own = LabBatch(*(part[i : i + 1] for part in squashed))
            source, others = replaced[i]
            row = {"index": batch.indices[i], "name": batch.names[i], "caption": batch.captions[i]}
            row |= _gains(own, ab[: len(ab) - len(others)])
            row |= _responses(
                torch.cat([ab[:1], ab[len(ab) - len(others) :]]), source, _region(regions, row, ab.shape[-2:])
            )
            rows.append(row)
    everyone = (row for part in distributed.gather_objects(rows) for row in part)
    return sorted(everyone, key=lambda row: row["index"])


def _colorize(
    system: System, rgb: Tensor, asked: Sequence[Sequence[str]], device: torch.device, amp: str
) -> list[Tensor]:
    """rgb: (B, 3, S, S) in [0, 1]; asked: the captions of each picture. Returns the ab (K, 2, S, S) of each, float64.

    What can be read once for all captions of a picture is."""
    if system.tokenizer is None:
        raise InputError(f"--obedience: {system.name} reads no words; leave the flag out")
    captions = [caption for of_one in asked for caption in of_one]
    of = torch.tensor([place for place, of_one in enumerate(asked) for _ in of_one], device=device)
    parts = []
    with devices.autocast(device, amp):
        image = system.encode_image(rgb) if system.reads_apart else None
        for start in range(0, len(captions), TOGETHER):
            part = slice(start, start + TOGETHER)
            words = system.tokenizer(captions[part]).to(device)
            if image is not None:
                coloring = system.decode(image[of[part]], system.encode_text(words), words.mask)
            else:
                coloring = system.colorize(Batch.plain(rgb[of[part]], captions[part], words))
            parts.append(coloring.ab.double())
    return list(torch.cat(parts).split([len(of_one) for of_one in asked]))


def replacements(caption: str) -> tuple[int | None, list[str]]:
    """The first colour word of COLORS, as an index into it, and the caption with each of the others in its place."""
    for start, end in color_words.find(caption):
        family = color_words.family(caption[start:end])
        if family in COLORS:
            others = [name for name in COLORS if name != family]
            return COLORS.index(family), [caption[:start] + name + caption[end:] for name in others]
    return None, []


def _other_caption(pairs: Sequence[tuple[str, str]], index: int) -> str:
    """The caption half the list further on, or the next one behind it that is another photograph's."""
    name, count = pairs[index][0], len(pairs)
    for step in range(count):
        other, caption = pairs[(index + count // 2 + step) % count]
        if other != name:
            return caption
    return ""


def _gains(own: LabBatch, ab: Tensor) -> dict[str, float | None]:
    """ab: (3 or 4, 2, S, S) in [-1, 1], under DESCRIPTIONS; the last may lack."""
    gray, truth = own.gray.expand(len(ab), -1, -1, -1), color.to_uint8(color.colorize(own.gray, own.ab))
    predicted, truth = color.to_uint8(color.colorize(gray, ab)), truth.expand(len(ab), -1, -1, -1)
    values = {"psnr": psnr(predicted, truth), "chroma_error": color_errors(predicted, truth).chroma_error}
    return {
        f"{metric}_{description}": of_metric[place].item() if place < len(ab) else None
        for metric, of_metric in values.items()
        for place, description in enumerate(DESCRIPTIONS)
    }


def _region(regions: Regions, row: dict[str, Any], size: Sequence[int]) -> Tensor | None:
    """Where the thing of the colour word is that `replacements` replaces: (H, W) bool."""
    caption = row["caption"]
    families = [color_words.family(caption[start:end]) for start, end in color_words.find(caption)]
    place = next((place for place, family in enumerate(families) if family in COLORS), None)
    boxes = [region for region in regions.get((row["name"], caption), ()) if region.place == place]
    return torch.from_numpy(mask(boxes, *size)) if boxes else None


def _responses(ab: Tensor, source: int | None, region: Tensor | None) -> dict[str, Any]:
    """ab: (1 + 7, 2, S, S) in [-1, 1], under the own caption and the replaced ones; region: (S, S) bool."""
    if source is None:
        return {"from": None, "region": None, "responses": []}
    wanted = torch.tensor([color for color in range(len(COLORS)) if color != source])
    changes = color.denormalize_ab(ab[1:] - ab[:1]).cpu()
    right, angle, share = word_response(changes, torch.full_like(wanted, source), wanted, CENTERS)
    kept = [None] * len(wanted) if region is None else inside(changes, region).tolist()
    values = zip(wanted.tolist(), right.tolist(), angle.tolist(), share.tolist(), kept, strict=True)
    found = [
        dict(zip(("to", "right", "angle", "share", "inside"), (COLORS[to], *of), strict=True)) for to, *of in values
    ]
    area = None if region is None else region.double().mean().item()
    return {"from": COLORS[source], "region": area, "responses": found}
