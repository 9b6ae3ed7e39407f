"""Two tests of the same pairs, compared: by how much they differ, who wins, and on which images.

A row is a line of the `per_image.csv` of `evaluation/report.py`, one per (image, caption) pair. The unit is the image:
its captions are drawn together by the bootstrap, and their mean difference makes one win, loss or tie.
"""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import binomtest

from evaluation.statistics import bootstrap_difference
from utils.errors import InputError
from utils.text_files import read_table

HIGHER, LOWER, NEITHER = "higher", "lower", "neither"  # which is better
DIRECTIONS = {
    "psnr": HIGHER,
    "ssim": HIGHER,
    "lpips": LOWER,
    "ciede2000": LOWER,
    "chroma_error": LOWER,
    "colorfulness": NEITHER,  # more colour than the photograph has is no merit
    "colorfulness_absolute": NEITHER,
}
TIE = 1e-6  # what one system's figures differ by between batch sizes and machines
PREFIX = "model_"
KEYS = ("index", "name", "output", "caption")
Row = dict[str, str]


def read_rows(file: Path) -> list[Row]:
    """The rows of a per_image.csv. InputError for anything else."""
    rows = read_table(file, KEYS, "pass the per_image.csv that --test writes")
    if not rows:
        raise InputError(f"{file}: holds no row; test again, the run was interrupted or its list is empty")
    return rows


def pair(file_a: Path, rows_a: Sequence[Row], file_b: Path, rows_b: Sequence[Row]) -> list[tuple[Row, Row]]:
    """The rows of the same image and caption, in the order of A; a pair that is listed k times stands k times in both.

    InputError that names the first row which the other file lacks.
    """
    keys_a, keys_b = _keys(rows_a), _keys(rows_b)
    for file, keys, other, others in ((file_a, keys_a, file_b, {*keys_b}), (file_b, keys_b, file_a, {*keys_a})):
        for line, (name, caption, time) in enumerate(keys, start=2):
            if (name, caption, time) not in others:
                again = f" for the {time + 1}. time" if time else ""
                raise InputError(
                    f"{file}, row {line}: {name} with {caption!r} is{again} not in {other}; test both on the same list"
                )
    row_of = dict(zip(keys_b, rows_b, strict=True))
    return [(row, row_of[key]) for key, row in zip(keys_a, rows_a, strict=True)]


def _keys(rows: Sequence[Row]) -> list[tuple[str, str, int]]:
    seen: Counter[tuple[str, str]] = Counter()
    keys = []
    for row in rows:
        pair = row["name"], row["caption"]
        keys.append((*pair, seen[pair]))
        seen[pair] += 1
    return keys


def values(file: Path, rows: Sequence[Row], column: str) -> np.ndarray:
    """One column, float64; infinite where two images are equal. InputError for what is no number."""
    numbers = []
    for row in rows:
        try:
            number = float(row[column])
        except ValueError:
            number = math.nan
        if math.isnan(number):
            where = f"{file}, {row['name']} ({row['caption']!r}), column {column}"
            raise InputError(f"{where}: {row[column]!r} is no number; test again")
        numbers.append(number)
    return np.array(numbers)


def choose_metrics(
    file_a: Path, row_a: Row, file_b: Path, row_b: Row, only: Sequence[str] | None, stated: dict[str, str]
) -> dict[str, str]:
    """{metric: which is better} of the `model_*` columns, or of `only` these; `stated` goes before `DIRECTIONS`.

    InputError for a metric that one file lacks, and for one whose direction nobody gives.
    """
    metrics_a, metrics_b = (
        [key.removeprefix(PREFIX) for key in row if key.startswith(PREFIX)] for row in (row_a, row_b)
    )
    wanted = list(only) if only else list(dict.fromkeys([*metrics_a, *metrics_b]))
    if not wanted:
        raise InputError(
            f"{file_a}: has no column that starts with {PREFIX!r}; pass the per_image.csv that --test writes"
        )
    for name in wanted:
        for file, metrics in ((file_a, metrics_a), (file_b, metrics_b)):
            if name not in metrics:
                shared = [metric for metric in metrics_a if metric in metrics_b]
                raise InputError(
                    f"{file}: has no column {PREFIX + name!r}; test both alike, or pass --metrics {' '.join(shared)}"
                )
        if name not in stated and name not in DIRECTIONS:
            raise InputError(
                f"{file_a}: is more or less of {name!r} better? say --higher {name}, --lower {name} or"
                f" --neither {name}, or choose --metrics among {', '.join(DIRECTIONS)}"
            )
    return {name: stated.get(name) or DIRECTIONS[name] for name in wanted}


def check_same_truth(file_a: Path, file_b: Path, pairs: Sequence[tuple[Row, Row]]) -> None:
    """InputError unless ab = 0 scores alike in both: else the photographs, their size or the protocol differ.

    Truncation on another device moves a byte by one level at most, and so, by the triangle inequality, the root mean
    square error; that is the tolerance.
    """
    column = "gray_psnr"
    if not all(column in row for row in pairs[0]):
        return
    psnr_a, psnr_b = (
        values(file, rows, column) for file, rows in zip((file_a, file_b), zip(*pairs, strict=True), strict=True)
    )
    apart = np.abs(255 * 10 ** (-psnr_a / 20) - 255 * 10 ** (-psnr_b / 20)) > 1
    if apart.any():
        first = int(apart.argmax())
        row = pairs[first][0]
        raise InputError(
            f"{file_a} and {file_b}: doing nothing scores {psnr_a[first]:.2f} and {psnr_b[first]:.2f} dB on"
            f" {row['name']}: measured against other photographs, at another size or by another protocol;"
            " test both alike"
        )


class Difference(NamedTuple):
    """One metric of A and B."""

    summary: dict[str, Any]
    rows: np.ndarray  # (rows,) A less B, infinite where one of them is
    images: dict[str, float]  # the mean of an image's rows, in file order


def compare(a: np.ndarray, b: np.ndarray, names: Sequence[str], better: str, seed: int = 0) -> Difference:
    """a, b: (rows,) figures; names: the image of each row; better: HIGHER, LOWER or NEITHER.

    Means and interval are over the rows where both are finite; `infinite` counts the others, which still win or lose.
    The sign test is two-sided and leaves ties out. Where neither is better nobody wins, and those figures are None.
    """
    with np.errstate(invalid="ignore"):
        apart = np.where(a == b, 0.0, a - b)
    unit = {name: i for i, name in enumerate(dict.fromkeys(names))}
    groups = np.array([unit[name] for name in names])
    with np.errstate(invalid="ignore"):  # one caption infinitely better, another infinitely worse
        means = np.nan_to_num(
            np.bincount(groups, weights=apart) / np.bincount(groups), nan=0.0, posinf=np.inf, neginf=-np.inf
        )
    finite = np.isfinite(a) & np.isfinite(b)
    interval = None
    if finite.any():
        tensors = (torch.from_numpy(values[finite]) for values in (a, b, groups))
        interval = bootstrap_difference(*tensors, seed=seed)._asdict()
    summary = {
        "better": better,
        "a": float(a[finite].mean()) if finite.any() else None,
        "b": float(b[finite].mean()) if finite.any() else None,
        "difference": interval,
        "infinite": int((~finite).sum()),
    }
    summary |= _wins(means, better)
    return Difference(summary, apart, dict(zip(unit, means.tolist(), strict=True)))


def _wins(means: np.ndarray, better: str) -> dict[str, Any]:
    if better == NEITHER:
        return dict.fromkeys(("wins", "losses", "ties", "sign_test_p"))
    gain = means if better == HIGHER else -means
    wins, losses = int((gain > TIE).sum()), int((gain < -TIE).sum())
    p = float(binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0
    return {"wins": wins, "losses": losses, "ties": len(means) - wins - losses, "sign_test_p": p}


def most_different(difference: Difference, names: Sequence[str], count: int) -> list[int]:
    """Of the `count` images that differ most, the row of each that differs most; the first of equals."""
    ranked = sorted(difference.images, key=lambda name: -abs(difference.images[name]))[:count]
    rows: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        rows.setdefault(name, []).append(i)
    return [max(rows[name], key=lambda i: abs(difference.rows[i])) for name in ranked]
