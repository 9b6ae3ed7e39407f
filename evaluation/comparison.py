"""Tests of the same pairs, compared two at a time: by how much they differ, who wins, and on which images.

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
    "box_error": LOWER,
    "colorfulness": NEITHER,  # more colour than the photograph has is no merit
    "colorfulness_absolute": NEITHER,
}
PARTIAL = ("box_error",)  # a picture without boxes has none
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
    keyed_a, keyed_b = _keyed(rows_a), _keyed(rows_b)
    for file, keyed, other, others in ((file_a, keyed_a, file_b, keyed_b), (file_b, keyed_b, file_a, keyed_a)):
        for line, key in enumerate(keyed, start=2):
            if key not in others:
                name, caption, time = key
                again = f" for the {time + 1}. time" if time else ""
                raise InputError(
                    f"{file}, row {line}: {name} with {caption!r} is{again} not in {other}; test both on the same list"
                )
    return [(row, keyed_b[key]) for key, row in keyed_a.items()]


def _keyed(rows: Sequence[Row]) -> dict[tuple[str, str, int], Row]:
    """Under image, caption, and how many rows before this one have both."""
    seen: Counter[tuple[str, str]] = Counter()
    keyed = {}
    for row in rows:
        own = row["name"], row["caption"]
        keyed[*own, seen[own]] = row
        seen[own] += 1
    return keyed


def values(file: Path, rows: Sequence[Row], column: str) -> np.ndarray:
    """One column, float64; infinite where two images are equal. InputError for what is no number."""
    numbers = []
    for row in rows:
        try:
            number = float(row[column])
        except ValueError:
            number = math.nan
        if math.isnan(number):
            told = " ".join(row[key] for key in ("caption", "noun", "color") if key in row)
            where = f"{file}, {row['name']} ({told!r}), column {column}"
            raise InputError(f"{where}: {row[column]!r} is no number; test again")
        numbers.append(number)
    return np.array(numbers)


def choose_metrics(file_a: Path, row_a: Row, file_b: Path, row_b: Row, only: Sequence[str] | None) -> list[str]:
    """The metrics of the `model_*` columns, or `only` these. InputError for one that a file lacks or nobody knows."""
    a, b = ([key.removeprefix(PREFIX) for key in row if key.startswith(PREFIX)] for row in (row_a, row_b))
    wanted = only or list(dict.fromkeys(a + b))
    if not wanted:
        raise InputError(
            f"{file_a}: has no column that starts with {PREFIX!r}; pass the per_image.csv that --test writes"
        )
    shared = " ".join(name for name in a if name in b)
    for name in wanted:
        for file, names in ((file_a, a), (file_b, b)):
            if name not in names:
                raise InputError(
                    f"{file}: has no column {PREFIX + name!r}; test both alike, or pass --metrics {shared}"
                )
        if name not in DIRECTIONS:
            raise InputError(
                f"{file_a}: is more or less of {name!r} better? choose --metrics among {', '.join(DIRECTIONS)}"
            )
    return wanted


def check_same_truth(file_a: Path, file_b: Path, pairs: Sequence[tuple[Row, Row]]) -> None:
    """InputError unless ab = 0 scores alike in both: else the photographs, their size or the protocol differ.

    Truncation on another device moves a byte by one level at most, and so, by the triangle inequality, the root mean
    square error; that is the tolerance.
    """
    column = "gray_psnr"
    if not all(column in row for row in pairs[0]):
        return
    rows_a, rows_b = zip(*pairs, strict=True)
    psnr_a, psnr_b = values(file_a, rows_a, column), values(file_b, rows_b, column)
    apart = np.abs(255 * 10 ** (-psnr_a / 20) - 255 * 10 ** (-psnr_b / 20)) > 1
    if apart.any():
        first = int(apart.argmax())
        raise InputError(
            f"{file_a} and {file_b}: doing nothing scores {psnr_a[first]:.2f} and {psnr_b[first]:.2f} dB on"
            f" {rows_a[first]['name']}: measured against other photographs, at another size or by another protocol;"
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
    unit = {name: i for i, name in enumerate(dict.fromkeys(names))}
    groups = np.array([unit[name] for name in names])
    with np.errstate(invalid="ignore"):  # both infinite; one caption infinitely better, another infinitely worse
        apart = np.where(a == b, 0.0, a - b)
        means = np.bincount(groups, weights=apart) / np.bincount(groups)
    means = np.nan_to_num(means, nan=0.0, posinf=np.inf, neginf=-np.inf)
    finite = np.isfinite(a) & np.isfinite(b)
    summary: dict[str, Any] = {"better": better, "a": None, "b": None, "difference": None}
    if finite.any():
        tensors = (torch.from_numpy(values[finite]) for values in (a, b, groups))
        interval = bootstrap_difference(*tensors, seed=seed)._asdict()
        summary |= {"a": float(a[finite].mean()), "b": float(b[finite].mean()), "difference": interval}
    summary |= {"infinite": int((~finite).sum())} | _wins(means, better)
    return Difference(summary, apart, dict(zip(unit, means.tolist(), strict=True)))


def compare_column(
    column: str, a: tuple[Path, Sequence[Row]], b: tuple[Path, Sequence[Row]], better: str, seed: int = 0
) -> Difference:
    """`compare` of two tables, file and paired rows each. Of PARTIAL metrics, rows empty in both are left out."""
    pairs = list(zip(a[1], b[1], strict=True))
    partial = column.removeprefix(PREFIX) in PARTIAL
    held = [i for i, pair in enumerate(pairs) if not partial or any(row[column] for row in pair)]
    columns = (values(file, [rows[i] for i in held], column) for file, rows in (a, b))
    difference = compare(*columns, [a[1][i]["name"] for i in held], better, seed)
    rows = np.zeros(len(a[1]))
    rows[held] = difference.rows
    return difference._replace(rows=rows)


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


def align(files: Sequence[Path]) -> list[list[Row]]:
    """The rows of each file, all in the order of the first. Raises InputError unless all hold the same pairs, measured
    against the same photographs."""
    aligned = [read_rows(files[0])]
    for file in files[1:]:
        pairs = pair(files[0], aligned[0], file, read_rows(file))
        check_same_truth(files[0], file, pairs)
        aligned.append([row for _, row in pairs])
    return aligned


def best_images(
    differences: Sequence[Difference], names: Sequence[str], better: str, count: int
) -> list[list[tuple[int, float]]]:
    """Of each test, the reference first, the images on which it is ahead of the best of the others, by most: the row
    that shows it most, and the lead of the image's mean. At most `count` each.

    differences: of the reference less each other test; names: the image of each row; better: HIGHER or LOWER.
    """
    sign = 1.0 if better == HIGHER else -1.0
    places = {name: place for place, name in enumerate(differences[0].images)}
    rows: dict[str, list[int]] = {name: [] for name in places}
    for i, name in enumerate(names):
        if name in rows:
            rows[name].append(i)
    by_image = _leads([-sign * np.array([of.images[name] for name in places]) for of in differences])
    by_row = _leads([-sign * of.rows for of in differences])
    best = []
    for images, own in zip(by_image, by_row, strict=True):
        ahead = sorted((name for name in places if images[places[name]] > TIE), key=lambda name: -images[places[name]])
        best.append([(max(rows[name], key=lambda i: own[i]), float(images[places[name]])) for name in ahead[:count]])
    return best


def _leads(others: Sequence[np.ndarray]) -> np.ndarray:
    """others: how far each other test is ahead of the reference, (R,). Returns how far each test, the reference first,
    is ahead of the best of the rest: (tests, R)."""
    scores = np.stack([np.zeros_like(others[0]), *others])
    with np.errstate(invalid="ignore"):  # two infinitely ahead of the reference are level
        leads = [own - np.delete(scores, place, axis=0).max(axis=0) for place, own in enumerate(scores)]
    return np.nan_to_num(np.stack(leads), nan=0.0, posinf=np.inf, neginf=-np.inf)
