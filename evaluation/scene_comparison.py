"""Tests of the same scenes, compared split by split over the instances that all of them have.

A row is a line of the `per_instance.csv` of `evaluation/scene_report.py`. The unit is the scene: its instances are
drawn together by the bootstrap, and their mean difference makes one win, loss or tie.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from evaluation import comparison
from evaluation.comparison import HIGHER, LOWER, Difference, Row
from utils.errors import InputError
from utils.text_files import read_table

PER_INSTANCE = "per_instance.csv"
METRICS = {  # name -> column, which is better
    "accuracy": ("correct", HIGHER),
    "counter_accuracy": ("counter_correct", HIGHER),
    "error": ("error", LOWER),
    "counter_error": ("counter_error", LOWER),
}
_ALIKE = 0.9  # share of the instances of common scenes that tests of the same scenes have in common
_TRUTH = {"True": "1", "False": "0"}
KEYS = ("split", "index", "noun", "color")  # no two instances of a scene have one colour
Key = tuple[str, int, str, str]


def align(sources: Sequence[Path]) -> list[list[Row]]:
    """The rows of each per_instance.csv, all in the order of the first, of the instances that every test has: one of
    fewer scenes, or whose descriptions tell of less, has fewer. Raises InputError for tests of other scenes."""
    keyed = [_keyed(file) for file in sources]
    for file, own in zip(sources[1:], keyed[1:], strict=True):
        scenes = {key[:2] for key in keyed[0]} & {key[:2] for key in own}
        fewer = min(sum(key[:2] in scenes for key in of) for of in (keyed[0], own))
        if not scenes or len(keyed[0].keys() & own.keys()) < _ALIKE * fewer:
            raise InputError(
                f"{sources[0]} and {file}: tests of other scenes, or whose descriptions have no instance in common;"
                " test both with the same --scene_seed and at the same --level"
            )
    shared = [key for key in keyed[0] if all(key in own for own in keyed[1:])]
    return [[own[key] for key in shared] for own in keyed]


def _keyed(file: Path) -> dict[Key, Row]:
    columns = [column for column, _ in METRICS.values()]
    remedy = (
        "pass the per_instance.csv that --test writes, under captions that name colours (--level scarce names none)"
    )
    rows = read_table(file, (*KEYS, "name", *columns), remedy)
    try:
        return {
            (row["split"], int(row["index"]), row["noun"], row["color"]): row
            | {column: _TRUTH.get(row[column], row[column]) for column in columns}
            for row in rows
        }
    except ValueError as error:
        raise InputError(f"{file}: an index that is no number ({error}); test again") from error


def compare(
    sources: tuple[Path, Path], rows: Sequence[Sequence[Row]], metrics: Iterable[str] = tuple(METRICS), seed: int = 0
) -> dict[str, dict[str, Difference]]:
    """sources, rows: of A and B, `align`ed. By split, then by metric."""
    found = {}
    for split in dict.fromkeys(row["split"] for row in rows[0]):
        places = [i for i, row in enumerate(rows[0]) if row["split"] == split]
        scenes = [rows[0][i]["index"] for i in places]
        found[split] = {}
        for name in metrics:
            column, better = METRICS[name]
            a, b = (
                comparison.values(file, [own[i] for i in places], column)
                for file, own in zip(sources, rows, strict=True)
            )
            found[split][name] = comparison.compare(a, b, scenes, better, seed)
    return found


class Compared(NamedTuple):
    """Of the tests, the reference first."""

    names: list[str]
    files: list[Path]
    rows: list[list[Row]]
    differences: list[dict[str, dict[str, Difference]]]  # of the reference less each other, by split and metric


def compare_all(names: list[str], sources: list[Path], metrics: Sequence[str] | None, seed: int) -> Compared:
    if unknown := [name for name in metrics or () if name not in METRICS]:
        raise InputError(f"--metrics {unknown[0]}: of scenes, choose among {', '.join(METRICS)}")
    rows = align(sources)
    pairs = [((sources[0], file), (rows[0], own)) for file, own in zip(sources[1:], rows[1:], strict=True)]
    return Compared(names, sources, rows, [compare(*pair, metrics or tuple(METRICS), seed) for pair in pairs])


def summary(compared: Compared) -> dict[str, Any]:
    """Plain data. splits: of each its instances, and of each metric the reference (a) and each other test (b)."""
    first, *others = compared.names
    counts = [row["split"] for row in compared.rows[0]]
    return {
        "reference": first,
        "tests": dict(zip(compared.names, map(str, compared.files), strict=True)),
        "splits": {
            split: {
                "instances": counts.count(split),
                "metrics": {
                    metric: {
                        name: own[split][metric].summary for name, own in zip(others, compared.differences, strict=True)
                    }
                    for metric in metrics
                },
            }
            for split, metrics in compared.differences[0].items()
        },
    }


def csv_rows(compared: Compared, rank_by: str) -> list[dict[str, Any]]:
    """A line for each scene, those of a split first that differ most in `rank_by` from the reference in any test."""
    endings = [""] if len(compared.names) == 2 else [f"_{name}" for name in compared.names[1:]]
    lines = []
    for split in compared.differences[0]:
        own = [of[split] for of in compared.differences]
        ranked = [of[rank_by].images for of in own]
        for scene in sorted(ranked[0], key=lambda index: -max(abs(images[index]) for images in ranked)):
            line = {"split": split, "index": scene}
            for ending, of in zip(endings, own, strict=True):
                line |= {f"{metric}_difference{ending}": of[metric].images[scene] for metric in of}
            lines.append(line)
    return lines
