"""The same photograph, and the same scene, coloured by every row (the paper's Fig. 4).

Nothing is picked by hand: photographs at equal distances in the list, each under its caption, and of every split of
Scenes the first.
"""

import html
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from datasets.scenes import TEST_SPLITS
from evaluation import comparison, comparison_page, tables
from evaluation.report import STRIPS
from evaluation.table1.layout import TITLES, Part
from evaluation.table1.results import PHOTOS, SCENES, RowResult, by_scene
from utils.errors import InputError

SHOWN = 12  # photographs
SCENES_OF_A_SPLIT = 3
_STYLE = """body { max-width: none }
.same { display: grid; gap: 6px; margin: 0 0 .3rem }
.same img { image-rendering: pixelated }
.same p { margin: 0; font-size: .8em; color: #666 }
b { color: #b00 }
"""


def write(output: Path, parts: Sequence[Part], drawing: str, shown: int = SHOWN) -> None:
    """OUTPUT/index.html with its pictures; drawing: the name of the plot beside it."""
    (output / STRIPS).mkdir(parents=True, exist_ok=True)
    body = f'<h1>Table 1</h1>\n<img src="{html.escape(drawing)}" alt="" style="width: auto; max-width: 100%">\n'
    for part in parts:
        first = first_of_each(part.tested)
        if first:
            body += f"<h2>{TITLES[part.kind]}</h2>\n"
            body += _photographs(output, first, shown) if part.kind == PHOTOS else _scenes(output, first)
    (output / "index.html").write_text(tables.page("Table 1", body, _STYLE), encoding="utf-8")


def first_of_each(tested: Sequence[RowResult]) -> list[RowResult]:
    """Of each row its first run."""
    found: dict[str, RowResult] = {}
    for own in tested:
        found.setdefault(own.row, own)
    return list(found.values())


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
        body += _row([(file, "") for file in files], caption)
    return body


def _scenes(output: Path, tested: Sequence[RowResult]) -> str:
    """Below each result what the caption wants of every instance and, in red, what it is nearest to where that
    differs."""
    answers = [by_scene(own.test / "per_instance.csv", ("name", "noun", "color", "answer")) for own in tested]
    body = ""
    for split in TEST_SPLITS:
        body += f"<h3>{split}</h3>\n{tables.strip_heads(('gray', *(own.title for own in tested)))}"
        for index in range(SCENES_OF_A_SPLIT):
            held = [of.get(split, {}).get(str(index), []) for of in answers]
            stems = [Path(instances[0]["name"]).stem for instances in held if instances]
            if not stems:
                continue
            pictures = [tested[0].test / STRIPS / f"{stems[0]}_gray.png"]
            pictures += [own.test / STRIPS / f"{stems[0]}_0.png" for own in tested]
            texts = ["", *(_answers(instances) for instances in held)]
            if not all(picture.is_file() for picture in pictures):
                continue  # a test of fewer scenes
            cells = [(_copied(output, picture, number, split), text)
                     for number, (picture, text) in enumerate(zip(pictures, texts, strict=True))]  # fmt: skip
            body += _row(cells, "")
    return body


def _copied(output: Path, picture: Path, number: int, split: str) -> str:
    name = f"{STRIPS}/{SCENES}_{split}_{picture.stem}_{number}.png"
    try:
        with Image.open(picture) as file:
            file.save(output / name)
    except OSError as error:
        raise InputError(f"{picture}: cannot be read ({error}); test again") from error
    return name


def _answers(instances: Sequence[dict[str, str]]) -> str:
    return ", ".join(
        f"{row['noun']} {row['color']}"
        + ("" if row["answer"] == row["color"] else f" <b>(painted {html.escape(row['answer'])})</b>")
        for row in instances
    )


def _row(cells: Sequence[tuple[str, str]], caption: str) -> str:
    pictures = "".join(f'<div><img loading="lazy" src="{file}" alt=""><p>{text}</p></div>' for file, text in cells)
    grid = f'<div class="same" style="grid-template-columns: repeat({len(cells)}, 1fr)">{pictures}</div>'
    return f"<figure>{grid}<figcaption>{caption}</figcaption></figure>\n"
