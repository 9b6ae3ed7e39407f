"""What an evaluation on Scenes leaves: tables and the page.  H, W image side; images are uint8 RGB (H, W, 3)."""

import csv
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from evaluation.report import STRIPS
from utils import files
from utils.drawing import captioned_grid

SHEET_SCALE = 3

# key of `instances.summarize_instances` -> heading, factor, digits
FIGURES = {
    "accuracy": ("accuracy, %", 100.0, 1),
    "counter_accuracy": ("counter caption, %", 100.0, 1),
    "counter_drop": ("drop, points", 100.0, 1),
    "error": ("CIEDE2000", 1.0, 1),
    "counter_error": ("counter caption", 1.0, 1),
    "gray_error": ("of ab = 0", 1.0, 1),
    "ari": ("ARI", 1.0, 2),
    "foreground_ari": ("foreground ARI", 1.0, 2),
}


class Coloring(NamedTuple):
    """One gray scene under one caption."""

    caption: str
    picture: np.ndarray
    groups: np.ndarray  # the group map
    answers: list[tuple[str, str, str]]  # noun, wanted colour, answered colour of each named instance


class Recolored(NamedTuple):
    """One gray scene under several captions."""

    name: str
    gray: np.ndarray
    colorings: list[Coloring]


def figure(value: dict[str, float] | None, factor: float, digits: int) -> str:
    """'97.1 [96.0, 98.2]': the mean and its interval; '-' where there is none."""
    if value is None:
        return "-"
    mean, low, high = (f"{value[key] * factor:.{digits}f}" for key in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def table(summaries: dict[str, dict[str, Any]]) -> str:
    """One line a split, as text: means alone, and what the reference answers score."""
    names = ("accuracy", "counter_accuracy", "error", "counter_error", "ari", "foreground_ari")
    lines = [f"{'':12}{'accuracy':>10}{'counter':>10}{'dE2000':>10}{'counter':>10}{'ARI':>8}{'fg ARI':>8}   references"]
    for split, summary in summaries.items():
        cells = [
            "-" if summary[name] is None else f"{summary[name]['mean'] * FIGURES[name][1]:.{FIGURES[name][2]}f}"
            for name in names
        ]
        references = ", ".join(f"{name} {value * 100:.1f}" for name, value in summary["references"].items())
        widths = (10, 10, 10, 10, 8, 8)
        cells = "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        lines.append(f"{split:12}{cells}   {references}")
    return "\n".join(lines)


def save(
    folder: Path,
    rows: dict[str, list[dict[str, Any]]],
    summaries: dict[str, dict[str, Any]],
    recolored: dict[str, list[Recolored]],
) -> None:
    """metrics.json, per_instance.csv, index.html, and sheet.png: the first scene of each split. Keys are splits."""
    files.write_json(folder / "metrics.json", summaries)
    flat = [
        {"split": split} | {key: row[key] for key in ("index", "name", "ari", "foreground_ari")} | instance
        for split, scenes in rows.items()
        for row in scenes
        for instance in row["instances"]
    ]
    with (folder / "per_instance.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(flat[0]))
        writer.writeheader()
        writer.writerows(flat)
    first = [(split, scenes[0]) for split, scenes in recolored.items()]
    sheet = [[(scene.gray, split), *((c.picture, c.caption) for c in scene.colorings)] for split, scene in first]
    Image.fromarray(captioned_grid(sheet, SHEET_SCALE, lines=8)).save(folder / "sheet.png")
    (folder / STRIPS).mkdir(exist_ok=True)
    sections = "".join(_section(folder, split, summaries[split], recolored[split]) for split in summaries)
    (folder / "index.html").write_text(_PAGE.format(table=_html_table(summaries), sections=sections), encoding="utf-8")


def _html_table(summaries: dict[str, dict[str, Any]]) -> str:
    heads = "".join(f"<td>{heading}</td>" for heading, _, _ in FIGURES.values())
    body = ""
    for split, summary in summaries.items():
        cells = (figure(summary[key], factor, digits) for key, (_, factor, digits) in FIGURES.items())
        body += f"<tr><th>{split}</th>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    names = list(next(iter(summaries.values()))["references"])
    references = "".join(
        f"<tr><th>{split}</th>"
        + "".join(f"<td>{summary['references'][name] * 100:.1f}</td>" for name in names)
        + "</tr>"
        for split, summary in summaries.items()
    )
    heads_of_references = "".join(f"<td>{name.replace('_', ' ')}, %</td>" for name in names)
    return (
        f"<table><tr><th></th>{heads}</tr>{body}</table>"
        "<p>What answers that know nothing of instances score in accuracy:</p>"
        f"<table><tr><th></th>{heads_of_references}</tr>{references}</table>"
    )


def _section(folder: Path, split: str, summary: dict[str, Any], scenes: Sequence[Recolored]) -> str:
    figures = "".join(_scene(folder, scene) for scene in scenes)
    return f"<h2>{split}: {summary['scenes']} scenes, {summary['instances']} instances</h2>{figures}"


def _scene(folder: Path, scene: Recolored) -> str:
    stem = Path(scene.name).stem
    cells = f'<div><img src="{_save(folder, f"{stem}_gray.png", scene.gray)}" alt=""><p>gray</p></div>'
    for number, coloring in enumerate(scene.colorings):
        picture = _save(folder, f"{stem}_{number}.png", coloring.picture)
        groups = _save(folder, f"{stem}_{number}_groups.png", coloring.groups)
        answers = ", ".join(
            f"{noun} {wanted}" + ("" if answer == wanted else f" <b>(painted {answer})</b>")
            for noun, wanted, answer in coloring.answers
        )
        cells += (
            f'<div><img src="{picture}" alt=""><img src="{groups}" alt="">'
            f"<p>{html.escape(coloring.caption)}<br><small>{answers}</small></p></div>"
        )
    return f'<div class="scene">{cells}</div>\n'


def _save(folder: Path, name: str, picture: np.ndarray) -> str:
    Image.fromarray(picture).save(folder / STRIPS / name)
    return f"{STRIPS}/{name}"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>L-CoIns on Scenes</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222 }}
table {{ border-collapse: collapse; margin: 1rem 0 1.5rem; font-size: .85em }}
th, td {{ padding: .3rem .6rem; border-bottom: 1px solid #ddd; text-align: right }}
th {{ text-align: left; font-weight: 500 }}
.scene {{ display: grid; grid-template-columns: repeat(5, 1fr); gap: .8rem; margin: 0 0 1.8rem }}
.scene img {{ width: 100%; display: block; image-rendering: pixelated; margin-bottom: .3rem }}
.scene p {{ margin: 0 }}
small {{ color: #666 }} b {{ color: #b00 }}
</style></head><body>
<h1>L-CoIns on Scenes</h1>
<p>Each row is one gray scene under four captions; below each colouring, the groups over the gray picture. The small
line says what the caption wants and, in red, what the instance's mean colour is nearest to where that differs.</p>
{table}
{sections}
</body></html>
"""
