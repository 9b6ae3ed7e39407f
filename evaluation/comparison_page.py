"""The page of two tests or more, compared: tables of differences, and pictures side by side.

The first test is the reference. Images are uint8 RGB (H, W, 3).
"""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets.image_files import read_image
from evaluation import tables
from evaluation.comparison import PREFIX, Difference, Row
from evaluation.report import STRIPS, strip_panels
from utils.errors import InputError

LETTERS = "abcdefhijklmnopqrsuvwxyz"  # of the tests, in names of pictures; g is the gray picture, t the truth


class Shown(NamedTuple):
    """A part of the page: pairs, by their places in the tests' rows, under a headline."""

    title: str
    places: Sequence[int]


def table_rows(names: Sequence[str], differences: dict[str, Difference], unit: str = "images") -> list[tables.Row]:
    """names: of A and B; unit: what wins and loses."""
    a, b = names
    ends = [f"{unit}: {a} wins / loses / ties", "sign test p", "infinite", "better"]
    lines = [("", [a, b, f"{a} less {b} [95 %]", *ends])]
    for metric, (summary, *_) in differences.items():
        wins = "-" if summary["wins"] is None else "{wins} / {losses} / {ties}".format(**summary)
        p = "-" if summary["sign_test_p"] is None else f"{summary['sign_test_p']:.2g}"
        sides = [tables.number(summary[side], 5) for side in ("a", "b")]
        mean = difference_cell(summary["difference"])
        lines.append((metric, [*sides, mean, wins, p, str(summary["infinite"]), summary["better"]]))
    return lines


def difference_cell(interval: dict[str, float] | None) -> str:
    return "-" if interval is None else "{mean:+.5f} [{low:+.5f}, {high:+.5f}]".format(**interval)


def picture_name(place: int, heading: str) -> str:
    """heading: g, one of LETTERS for each test, or t, for gray, the results and the truth."""
    return f"{STRIPS}/{place:02}_{heading}.png"


def headings(count: int) -> str:
    """Of the pictures of one pair under so many tests, in their order."""
    return f"g{LETTERS[:count]}t"


def pictures(names: Sequence[str], folders: Sequence[Path], rows: Sequence[Row]) -> list[np.ndarray]:
    """Gray, every test's result, truth of one pair. names, folders, rows: of each test.

    Raises InputError where one is missing or their sizes differ.
    """
    tests = list(zip(folders, rows, strict=True))
    results = [np.asarray(read_image(folder / row["output"])) for folder, row in tests]
    gray, truth = _from_strips(tests)
    if not all(picture.shape == gray.shape for picture in (*results, truth)):
        sizes = ", ".join(f"{picture.shape[1]}x{picture.shape[0]}" for picture in (*results, truth))
        raise InputError(
            f"{rows[0]['name']}: {', '.join(names)} and truth have {sizes} pixels; test all at the same size"
        )
    return [gray, *results, truth]


def _from_strips(tests: Sequence[tuple[Path, Row]]) -> tuple[np.ndarray, np.ndarray]:
    """Gray and truth, of the first test that has its strip."""
    for folder, row in tests:
        try:
            panels = strip_panels(folder, row["output"])
            return panels["gray"], panels["truth"]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(f"{folder / STRIPS}, {row['name']}: cannot be read ({error}); test again") from error
    folder, row = tests[0]
    raise InputError(f"{folder / STRIPS}: has no picture of {row['name']}; test again, or restore {STRIPS}")


def title_of(names: Sequence[str]) -> str:
    """names: of the tests, the reference first."""
    return " and ".join(names) if len(names) == 2 else f"{names[0]} and {len(names) - 1} more"


def page(
    names: Sequence[str],
    files: Sequence[str],
    rows: Sequence[Sequence[Row]],
    differences: Sequence[Mapping[str, Difference]],
    parts: Sequence[Shown],
) -> str:
    """names, files, rows: of the tests, the reference first; differences: to each of the others; parts: what is shown,
    its pictures numbered through, under `picture_name`."""
    title = title_of(names)
    images, pairs = len({row["name"] for row in rows[0]}), len(rows[0])
    sources = "<br>".join(html.escape(f"{name}: {file}") for name, file in zip(names, files, strict=True))
    body = f"""<h1>{html.escape(title)}</h1>
<p>{sources}<br>{images} images, {pairs} image-caption
pairs. Intervals: paired bootstrap over images. Infinite figures (equal pictures) are left out of means and intervals,
and win or lose all the same.</p>
"""
    for name, own in zip(names[1:], differences, strict=True):
        body += tables.markup(table_rows((names[0], name), dict(own)))
    number = 0
    for part in parts:
        body += f"<h2>{html.escape(part.title)}</h2>\n{tables.strip_heads(('gray', *names, 'truth'))}"
        for place, i in enumerate(part.places):
            body += _figure([own[i] for own in rows], differences, i, number, place)
            number += 1
    columns = len(names) + 2
    style = f"figure div {{ display: grid; grid-template-columns: repeat({columns}, 1fr) }}"
    return tables.page(title, body, style if columns == 4 else f"{style} body {{ max-width: {columns * 16}rem }}")


def _figure(
    pair: Sequence[Row], differences: Sequence[Mapping[str, Difference]], i: int, number: int, place: int
) -> str:
    """The pictures above the caption and, for the row that is shown, each metric of every test."""
    cells = (picture_name(number, heading) for heading in headings(len(pair)))
    images = "".join(f'<img loading="lazy" src="{name}" alt="">' for name in cells)
    figures = "; ".join(
        f"{metric} {', '.join(f'{float(row[PREFIX + metric]):.4f}' for row in pair)}"
        f" ({', '.join(f'{own[metric].rows[i]:+.4f}' for own in differences)})"
        for metric in differences[0]
        if pair[0][PREFIX + metric]
    )
    caption, name = (html.escape(pair[0][key]) for key in ("caption", "name"))
    text = f"{place + 1}. {caption}<br><small>{name}: {html.escape(figures)}</small>"
    return f"<figure><div>{images}</div><figcaption>{text}</figcaption></figure>\n"
