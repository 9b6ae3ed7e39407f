"""Two tests of the same pairs, compared: by how much they differ, who wins, and on which images.

A row is a line of the `per_image.csv` of `evaluation/report.py`, one per (image, caption) pair. The unit is the image:
its captions are drawn together by the bootstrap, and their mean difference makes one win, loss or tie.
"""

import html
import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import binomtest

from evaluation import tables
from evaluation.report import STRIPS
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
            where = f"{file}, {row['name']} ({row['caption']!r}), column {column}"
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


def table_rows(names: Sequence[str], differences: dict[str, Difference]) -> list[tables.Row]:
    """names: of A and B."""
    a, b = names
    ends = [f"images: {a} wins / loses / ties", "sign test p", "infinite", "better"]
    lines = [("", [a, b, f"{a} less {b} [95 %]", *ends])]
    for metric, (summary, *_) in differences.items():
        interval = summary["difference"]
        mean = "-" if interval is None else "{mean:+.5f} [{low:+.5f}, {high:+.5f}]".format(**interval)
        wins = "-" if summary["wins"] is None else "{wins} / {losses} / {ties}".format(**summary)
        p = "-" if summary["sign_test_p"] is None else f"{summary['sign_test_p']:.2g}"
        sides = [tables.number(summary[side], 5) for side in ("a", "b")]
        lines.append((metric, [*sides, mean, wins, p, str(summary["infinite"]), summary["better"]]))
    return lines


def picture_name(place: int, heading: str) -> str:
    """heading: g, a, b or t, for gray, A, B and truth."""
    return f"{STRIPS}/{place:02}_{heading}.png"


def page(
    names: Sequence[str],
    files: Sequence[str],
    pairs: Sequence[tuple[Row, Row]],
    differences: dict[str, Difference],
    rank_by: str,
    shown: Sequence[int],
) -> str:
    """names, files: of A and B; shown: indices of the pairs whose pictures lie under `picture_name`."""
    a, b = names
    title, images = f"{a} and {b}", len(differences[rank_by].images)
    body = f"""<h1>{html.escape(title)}</h1>
<p>{html.escape(f"{a}: {files[0]}")}<br>{html.escape(f"{b}: {files[1]}")}<br>{images} images, {len(pairs)} image-caption
pairs. Intervals: paired bootstrap over images. Infinite figures (equal pictures) are left out of means and intervals,
and win or lose all the same.</p>
{tables.markup(table_rows(names, differences))}
<h2>The {len(shown)} images that differ most in {html.escape(rank_by)}</h2>
{tables.strip_heads(("gray", a, b, "truth"))}"""
    figures = "".join(_figure(pairs[i], differences, i, place) for place, i in enumerate(shown))
    return tables.page(title, body + figures, "figure div { display: grid; grid-template-columns: repeat(4, 1fr) }")


def _figure(pair: tuple[Row, Row], differences: dict[str, Difference], i: int, place: int) -> str:
    """Four pictures above the caption and, for the row that is shown, each metric of A and B."""
    images = "".join(f'<img loading="lazy" src="{picture_name(place, heading)}" alt="">' for heading in "gabt")
    figures = "; ".join(
        f"{metric} {float(pair[0][PREFIX + metric]):.4f}, {float(pair[1][PREFIX + metric]):.4f}"
        f" ({difference.rows[i]:+.4f})"
        for metric, difference in differences.items()
        if pair[0][PREFIX + metric]
    )
    caption, name = (html.escape(pair[0][key]) for key in ("caption", "name"))
    text = f"{place + 1}. {caption}<br><small>{name}: {html.escape(figures)}</small>"
    return f"<figure><div>{images}</div><figcaption>{text}</figcaption></figure>\n"
