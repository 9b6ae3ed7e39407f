"""The same photograph, and the same scene, coloured by every row (the paper's Fig. 4).

Nothing is picked by hand: photographs at equal distances in the list, each under its caption, and of every split of
Scenes the first.
"""

import html
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from evaluation import comparison, comparison_page, scene_comparison_page, tables
from evaluation.report import STRIPS
from evaluation.scene_comparison import PER_INSTANCE
from evaluation.table1.layout import TITLES, Part
from evaluation.table1.results import PHOTOS, RowResult, first_of_each

SHOWN = 12  # photographs


def write(output: Path, parts: Sequence[Part], drawing: str, shown: int = SHOWN) -> None:
    """OUTPUT/index.html with its pictures; drawing: the name of the plot beside it."""
    (output / STRIPS).mkdir(parents=True, exist_ok=True)
    body = f'<h1>Table 1</h1>\n<img src="{html.escape(drawing)}" alt="" style="width: auto; max-width: 100%">\n'
    for part in parts:
        first = first_of_each(part.tested)
        if first:
            body += f"<h2>{TITLES[part.kind]}</h2>\n"
            body += _photographs(output, first, shown) if part.kind == PHOTOS else _scenes(output, first)
    (output / "index.html").write_text(tables.page("Table 1", body, scene_comparison_page.STYLE), encoding="utf-8")


def _photographs(output: Path, tested: Sequence[RowResult], shown: int) -> str:
    names, folders = [own.title for own in tested], [own.test for own in tested]
    rows = comparison.align([folder / "per_image.csv" for folder in folders])
    count = min(shown, len(rows[0]))
    body = tables.strip_heads(("gray", *names, "truth"))
    for place in range(count):
        i = place * len(rows[0]) // count
        pair = [own[i] for own in rows]
        files = []
        for number, picture in enumerate(comparison_page.pictures(names, folders, pair)):
            files.append(f"{STRIPS}/{PHOTOS}_{place:02}_{number}.png")
            Image.fromarray(picture).save(output / files[-1])
        caption = f"{html.escape(pair[0]['caption'])}<br><small>{html.escape(pair[0]['name'])}</small>"
        body += scene_comparison_page.same([(file, "") for file in files], caption)
    return body


def _scenes(output: Path, tested: Sequence[RowResult]) -> str:
    sources = [own.test / PER_INSTANCE for own in tested]
    return scene_comparison_page.pictures(output, [own.title for own in tested], sources)
