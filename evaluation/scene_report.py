"""What an evaluation on Scenes leaves: tables and the page.  H, W image side; images are uint8 RGB (H, W, 3)."""

import html
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from datasets.pictures.drawing import captioned_grid
from evaluation import tables
from evaluation.report import STRIPS
from utils import files

SHEET_SCALE = 3

# key of `instance_summary.summarize_instances` -> heading, factor, digits
FIGURES = {
    "accuracy": ("accuracy, %", 100.0, 1),
    "counter_accuracy": ("counter caption, %", 100.0, 1),
    "counter_drop": ("drop, points", 100.0, 1),
    "error": ("CIEDE2000", 1.0, 1),
    "counter_error": ("counter caption", 1.0, 1),
    "gray_error": ("of ab = 0", 1.0, 1),
    "ground_accuracy": ("ground, %", 100.0, 1),
    "ari": ("ARI", 1.0, 2),
    "foreground_ari": ("foreground ARI", 1.0, 2),
}
_SHORT = {  # columns of the table as text
    "accuracy": "accuracy",
    "counter_accuracy": "counter",
    "error": "dE2000",
    "counter_error": "counter",
    "ground_accuracy": "ground",
    "ari": "ARI",
    "foreground_ari": "fg ARI",
}
# Figures that some tests have: title, digits; of the scene, then of the instances that the caption gives no colour.
_MORE = {"luminance_psnr": ("PSNR of L, dB", 2), "spread": ("std of ab among seeds", 2)}
_UNDESCRIBED = {"chroma": ("chroma where nothing is said", 1), "spread": ("std there", 2)}
_NOTE = """<p>Each row is one gray scene under four captions; below each colouring, where the system has groups, they
over the gray picture. The small line says what the caption wants and, in red, what the instance's mean colour is
nearest to where that differs.</p>"""
_STYLE = """body { max-width: 72rem }
.scene { display: grid; grid-template-columns: repeat(5, 1fr); gap: .8rem; margin: 0 0 1.8rem }
.scene img { image-rendering: pixelated; margin-bottom: .3rem }
.scene p { margin: 0 }
b { color: #b00 }
"""


class UnderCaption(NamedTuple):
    """One gray scene under one caption."""

    caption: str
    picture: np.ndarray
    groups: np.ndarray | None  # the group map; None: the system has none
    answers: list[tuple[str, str, str]]  # noun, wanted colour, answered colour of each named instance


class Recolored(NamedTuple):
    """One gray scene under several captions."""

    name: str
    gray: np.ndarray
    colorings: list[UnderCaption]


def table(summaries: dict[str, dict[str, Any]]) -> str:
    """One line a split, as text: means alone, and what the reference answers score."""
    lines = [("", [*_SHORT.values(), "references"])]
    for split, summary in summaries.items():
        means = ((summary[key], *FIGURES[key][1:]) for key in _SHORT)
        cells = [tables.number(value and value["mean"] * factor, digits) for value, factor, digits in means]
        references = ", ".join(f"{name} {value * 100:.1f}" for name, value in summary["references"].items())
        lines.append((split, [*cells, references]))
    parts = (lines, sharing_rows(summaries), more_rows(summaries))
    return "\n".join(tables.text(rows, title_width=12, width=10) for rows in parts if rows)


def level_table(summaries: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The same of several levels of description: one line a split and level. summaries: by level, then by split."""
    splits = next(iter(summaries.values()))
    return table({f"{split}, {level}": summaries[level][split] for split in splits for level in summaries})


def sharing_rows(summaries: dict[str, dict[str, Any]]) -> list[tables.Row]:
    """Accuracy by how many described instances of a scene an instance's word names; nothing where all have their own.
    summaries: by split."""
    every = {split: summary["accuracy_by_sharing"] for split, summary in summaries.items()}
    held = {split: own for split, own in every.items() if len(own) > 1}
    if not held:
        return []
    counts = sorted({n for own in held.values() for n in own}, key=int)
    heads = [f"{n} instance{'s' * (n != '1')}" for n in counts]
    lines = [(split, [tables.interval(own.get(n), 100.0, 1) for n in counts]) for split, own in held.items()]
    return [("%, where the word names", heads), *lines]


def more_rows(summaries: dict[str, dict[str, Any]]) -> list[tables.Row]:
    """The table of what only some tests have: the painted luminance, variety, what is not described; or nothing."""
    heads = [title for key, (title, _) in _MORE.items() if any(key in summary for summary in summaries.values())]
    silent = [summary.get("undescribed", {}) for summary in summaries.values()]
    own = [key for key in _UNDESCRIBED if any(key in of_split for of_split in silent)]
    if own:
        heads += ["undescribed instances", *(_UNDESCRIBED[key][0] for key in own)]
    if not heads:
        return []
    lines = [("", heads)]
    for (split, summary), of_split in zip(summaries.items(), silent, strict=True):
        cells = [
            tables.interval(summary.get(key), 1, digits) for key, (title, digits) in _MORE.items() if title in heads
        ]
        if own:
            cells.append(str(of_split.get("instances", "-")))
            cells += [tables.interval(of_split.get(key), 1, _UNDESCRIBED[key][1]) for key in own]
        lines.append((split, cells))
    return lines


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
    tables.write_csv(folder / "per_instance.csv", flat, flat[0] if flat else ("split", "index", "name"))
    first = [(split, scenes[0]) for split, scenes in recolored.items()]
    sheet = [[(scene.gray, split), *((c.picture, c.caption) for c in scene.colorings)] for split, scene in first]
    Image.fromarray(captioned_grid(sheet, SHEET_SCALE, lines=8)).save(folder / "sheet.png")
    (folder / STRIPS).mkdir(exist_ok=True)
    body = f"<h1>Test on scenes</h1>{_NOTE}{_tables(summaries)}"
    for split, summary in summaries.items():
        body += f"<h2>{split}: {summary['scenes']} scenes, {summary['instances']} instances</h2>"
        body += "".join(_scene(folder, scene) for scene in recolored[split])
    (folder / "index.html").write_text(tables.page("Test on scenes", body, _STYLE), encoding="utf-8")


def _tables(summaries: dict[str, dict[str, Any]]) -> str:
    names = list(dict.fromkeys(name for summary in summaries.values() for name in summary["references"]))
    figures = [("", [heading for heading, _, _ in FIGURES.values()])]
    references = [("", [f"{name.replace('_', ' ')}, %" for name in names])]
    for split, summary in summaries.items():
        figures.append((split, [tables.interval(summary[key], *look) for key, (_, *look) in FIGURES.items()]))
        scores = (summary["references"].get(name) for name in names)
        references.append((split, [tables.number(score and score * 100, 1) for score in scores]))
    more = [rows for rows in (sharing_rows(summaries), more_rows(summaries)) if rows]
    between = "<p>What answers that cannot tell instances apart score in accuracy:</p>"
    return f"{tables.markup(figures)}{between}{tables.markup(references)}{''.join(map(tables.markup, more))}"


def _scene(folder: Path, scene: Recolored) -> str:
    stem = Path(scene.name).stem

    def image(name: str, picture: np.ndarray) -> str:
        Image.fromarray(picture).save(folder / STRIPS / f"{stem}_{name}.png")
        return f'<img src="{STRIPS}/{stem}_{name}.png" alt="">'

    cells = f"<div>{image('gray', scene.gray)}<p>gray</p></div>"
    for number, coloring in enumerate(scene.colorings):
        pictures = image(str(number), coloring.picture)
        if coloring.groups is not None:
            pictures += image(f"{number}_groups", coloring.groups)
        cells += f"<div>{pictures}<p>{html.escape(coloring.caption)}<br><small>{_answers(coloring)}</small></p></div>"
    return f'<div class="scene">{cells}</div>\n'


def _answers(coloring: UnderCaption) -> str:
    return ", ".join(
        f"{noun} {wanted}" + ("" if answer == wanted else f" <b>(painted {answer})</b>")
        for noun, wanted, answer in coloring.answers
    )
