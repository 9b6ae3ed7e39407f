"""What the tests of Table 1's rows left: figures with intervals, and paired differences.

    OUTPUT/table1.json      the rows that are tested: {"scenes": [...], "photos": [...]}, each a `RowResult`, its folder
                            relative to OUTPUT

A figure is keyed by (split, name); photographs have the one split "".
"""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from evaluation import comparison, scene_comparison
from evaluation.scene_report import FIGURES as SCENE_FIGURES
from evaluation.statistics import bootstrap_interval
from utils.errors import InputError
from utils.text_files import read_json

LISTING = "table1.json"
REFERENCE = "lcoins"  # the row that the others are compared with
SCENES, PHOTOS = "scenes", "photos"  # kinds of data
_FLAGS = {SCENES: "--data scenes", PHOTOS: "--data_path DATA"}  # of scripts/table1.py
PAIRED = {SCENES: ("accuracy", "counter_accuracy"), PHOTOS: ("psnr", "ssim", "lpips", "chroma_error")}
SHARING = "accuracy_by_sharing_"  # of scenes: figures of this name and how many instances a word names
_MEASURED = ("psnr", "ssim", "lpips", "ciede2000", "chroma_error", "colorfulness")
_GAINS = ("empty", "other", "counter")  # descriptions that the own caption is compared with (evaluation/obedience.py)

Figure = dict[str, float]  # mean, low, high: a 95 % interval; low and high may lack
Figures = dict[tuple[str, str], Figure | None]


@dataclass(frozen=True)
class RowResult:
    """A row, trained once and tested."""

    row: str
    title: str
    seed: int
    test: Path  # the folder that --test wrote
    training: dict[str, Any] = field(default_factory=dict)  # as scripts.tabling.cost.of_training has it
    cost: dict[str, Any] = field(default_factory=dict)  # parameters, gflop, images_per_second, of colouring
    no_groups: bool = False  # its groups mean nothing: no adjusted Rand index
    replaced: Path | None = None  # the folder of a test under captions of other colours


def read_listing(output: Path) -> dict[str, list[RowResult]]:
    """Of OUTPUT/table1.json, by kind of data. Raises InputError."""
    file = output / LISTING
    content = read_json(file, "write it with scripts/table1.py")
    try:
        return {
            kind: [RowResult(**row | _placed(row, lambda part: output / part)) for row in content[kind]]
            for kind in (SCENES, PHOTOS)
        }
    except (KeyError, TypeError) as error:
        raise InputError(f"{file}: is no list of rows ({error}); write it with scripts/table1.py") from error


def listing(output: Path, tested: dict[str, list[RowResult]]) -> dict[str, list[dict[str, Any]]]:
    """The inverse: plain data."""

    def place(test: Path) -> str:
        inside = test.resolve().is_relative_to(output.resolve())
        return str(test.resolve().relative_to(output.resolve()) if inside else test.resolve())

    return {
        kind: [dataclasses.asdict(row) | _placed(dataclasses.asdict(row), place) for row in tested.get(kind, [])]
        for kind in (SCENES, PHOTOS)
    }


def _placed(row: dict[str, Any], place: Callable[[Any], Any]) -> dict[str, Any]:
    return {part: place(row[part]) for part in ("test", "replaced") if row.get(part) is not None}


def rows_of_output(
    folder: Path, kinds: Sequence[str], rows: Sequence[str] | None = None, replaced: bool = False
) -> list[RowResult] | None:
    """The rows of scripts/table1.py's output, each with its first seed, of the first of these kinds of data that has
    any; of OUTPUT/scenes or OUTPUT/photos that kind's. None for another folder or a file. rows: these alone, by name;
    replaced: those have to be tested under captions of other colours too. Raises InputError."""
    if folder.name in kinds and (folder.parent / LISTING).is_file():
        folder, kinds = folder.parent, (folder.name,)
    if not (folder / LISTING).is_file():
        return None
    held = read_listing(folder)
    kind = next((kind for kind in kinds if held[kind]), None)
    if kind is None:
        flags = " or ".join(_FLAGS[kind] for kind in kinds)
        raise InputError(f"{folder}: has no row on {' or '.join(kinds)}; run scripts/table1.py with {flags}")
    found = {own.row: own for own in first_of_each(held[kind])}
    if unknown := [row for row in rows or () if row not in found]:
        raise InputError(f"--rows {unknown[0]}: {folder} has no test of it; pass some of {' '.join(found)}")
    chosen = [found[row] for row in rows or found]
    if replaced and (without := [of.row for of in chosen if of.replaced is None]):
        raise InputError(f"{folder}: {without[0]} was not tested there; run scripts/table1.py with --replaced FOLDER")
    return chosen


def first_of_each(tested: Sequence[RowResult]) -> list[RowResult]:
    """Of each row its first run."""
    found: dict[str, RowResult] = {}
    for own in tested:
        found.setdefault(own.row, own)
    return list(found.values())


def kind_of(folder: Path) -> str | None:
    """The kind of data that a test folder is of; None where --test wrote nothing there."""
    file = folder / "metrics.json"
    if not file.is_file():
        return None
    return PHOTOS if "model" in read_json(file, "test again") else SCENES


def figures(kind: str, tested: RowResult) -> Figures:
    return scene_figures(tested) if kind == SCENES else photo_figures(tested)


def scene_figures(tested: RowResult) -> Figures:
    """None for what a test, such as one of an earlier version, does not tell."""
    summaries = json.loads((tested.test / "metrics.json").read_text(encoding="utf-8"))
    empty = ("ari", "foreground_ari") if tested.no_groups else ()
    found: Figures = {
        (split, key): None if key in empty else summary.get(key)
        for split, summary in summaries.items()
        for key in SCENE_FIGURES
    }
    for split, summary in summaries.items():
        found |= {(split, f"{SHARING}{n}"): figure for n, figure in summary.get("accuracy_by_sharing", {}).items()}
        found |= {(split, f"reference_{name}"): {"mean": value} for name, value in summary["references"].items()}
    return found


def photo_figures(tested: RowResult) -> Figures:
    """Of the model and of ab = 0 (`gray_*`); those of obedience where they were measured."""
    rows = comparison.read_rows(tested.test / "per_image.csv")
    found: Figures = {("", name): _interval(rows, f"model_{name}") for name in _MEASURED}
    found |= {("", f"gray_{name}"): _interval(rows, f"gray_{name}") for name in ("psnr", "ssim", "lpips")}
    summary = json.loads((tested.test / "metrics.json").read_text(encoding="utf-8"))
    obedience = summary.get("obedience", {}).get("model")
    response = obedience and obedience["word_response"]
    found["", "word_response"] = response and response["right"]
    for description in _GAINS:
        gain = obedience and obedience["description_gain"][description]["psnr"]
        found["", f"gain_over_{description}"] = gain or None
    return found


def _interval(rows: Sequence[comparison.Row], column: str) -> Figure | None:
    """None for a column that lacks; infinite figures are left out."""
    kept = [(row["name"], float(row[column])) for row in rows if row.get(column)]
    kept = [(name, value) for name, value in kept if math.isfinite(value)]
    if not kept:
        return None
    names, values = zip(*kept, strict=True)
    return bootstrap_interval(torch.tensor(values, dtype=torch.float64), _groups(names))._asdict()


def _groups(names: Iterable[str]) -> torch.Tensor:
    places: dict[str, int] = {}
    return torch.tensor([places.setdefault(name, len(places)) for name in names])


def differences(kind: str, reference: RowResult, other: RowResult) -> Figures:
    """The reference less the other, paired: over the instances of scenes that both have, or over photographs."""
    return _scene_differences(reference, other) if kind == SCENES else _photo_differences(reference, other)


def _photo_differences(reference: RowResult, other: RowResult) -> Figures:
    files = [tested.test / "per_image.csv" for tested in (reference, other)]
    a, b = comparison.align(files)
    found: Figures = {}
    for metric in PAIRED[PHOTOS]:
        column = f"{comparison.PREFIX}{metric}"
        if a[0].get(column) and b[0].get(column):
            better = comparison.DIRECTIONS[metric]
            summary = comparison.compare_column(column, (files[0], a), (files[1], b), better).summary
            found["", metric] = summary["difference"]
    return found


def _scene_differences(reference: RowResult, other: RowResult) -> Figures:
    files = tuple(tested.test / scene_comparison.PER_INSTANCE for tested in (reference, other))
    found = scene_comparison.compare(files, scene_comparison.align(files), PAIRED[SCENES])
    return {(split, name): own.summary["difference"] for split in found for name, own in found[split].items()}
