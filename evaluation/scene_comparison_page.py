"""The page of two tests of the same scenes or more: tables of differences, and scenes under each test side by side."""

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from PIL import Image

from datasets.scenes import TEST_SPLITS
from evaluation import comparison_page, tables
from evaluation.comparison import Row
from evaluation.report import STRIPS
from evaluation.scene_comparison import Compared
from utils.errors import InputError
from utils.text_files import read_table

SHOWN = 3  # scenes of a split
STYLE = """body { max-width: none }
.same { display: grid; gap: 6px; margin: 0 0 .3rem }
.same img { image-rendering: pixelated }
.same p { margin: 0; font-size: .8em; color: #666 }
b { color: #b00 }
"""


def table_rows(compared: Compared) -> dict[str, list[list[tables.Row]]]:
    """By split, a table for each other test."""
    first, *others = compared.names
    return {
        split: [
            comparison_page.table_rows((first, name), own[split], unit="scenes")
            for name, own in zip(others, compared.differences, strict=True)
        ]
        for split in compared.differences[0]
    }


def page(output: Path, compared: Compared, shown: int = SHOWN) -> str:
    """Writes its pictures to OUTPUT."""
    title = f"{comparison_page.title_of(compared.names)} on scenes"
    sources = "<br>".join(
        html.escape(f"{name}: {file}") for name, file in zip(compared.names, compared.files, strict=True)
    )
    body = f"<h1>{html.escape(title)}</h1>\n<p>{sources}<br>Over the instances that all have. Intervals: paired\n"
    body += "bootstrap over scenes.</p>\n"
    for split, of_split in table_rows(compared).items():
        body += f"<h2>{split}</h2>\n" + "".join(map(tables.markup, of_split))
    return tables.page(title, body + pictures(output, compared.names, compared.files, shown), STYLE)


def pictures(output: Path, names: Sequence[str], sources: Sequence[Path], shown: int = SHOWN) -> str:
    """The first scenes of every split under each test: below a result what the caption wants of every instance and, in
    red, what it is nearest to where that differs. sources: the per_instance.csv of the tests, beside their pictures."""
    (output / STRIPS).mkdir(parents=True, exist_ok=True)
    answers = [by_scene(file, ("name", "noun", "color", "answer")) for file in sources]
    folders = [file.parent / STRIPS for file in sources]
    body = ""
    for split in TEST_SPLITS:
        body += f"<h3>{split}</h3>\n{tables.strip_heads(('gray', *names))}"
        for index in range(shown):
            held = [of.get(split, {}).get(str(index), []) for of in answers]
            stems = [Path(instances[0]["name"]).stem for instances in held if instances]
            if not stems:
                continue
            found = [folders[0] / f"{stems[0]}_gray.png", *(folder / f"{stems[0]}_0.png" for folder in folders)]
            texts = ["", *(_answers(instances) for instances in held)]
            if not all(picture.is_file() for picture in found):
                continue  # a test of fewer scenes
            cells = [
                (_copied(output, picture, number, split), text)
                for number, (picture, text) in enumerate(zip(found, texts, strict=True))
            ]
            body += same(cells)
    return body


def by_scene(file: Path, columns: Iterable[str]) -> dict[str, dict[str, list[Row]]]:
    """split -> index of a scene -> its rows."""
    found: dict[str, dict[str, list[Row]]] = {}
    for row in read_table(file, ("split", "index", *columns), "test again"):
        found.setdefault(row["split"], {}).setdefault(row["index"], []).append(row)
    return found


def _copied(output: Path, picture: Path, number: int, split: str) -> str:
    name = f"{STRIPS}/scenes_{split}_{picture.stem}_{number}.png"
    try:
        with Image.open(picture) as file:
            file.save(output / name)
    except OSError as error:
        raise InputError(f"{picture}: cannot be read ({error}); test again") from error
    return name


def _answers(instances: Sequence[Row]) -> str:
    return ", ".join(
        f"{row['noun']} {row['color']}"
        + ("" if row["answer"] == row["color"] else f" <b>(painted {html.escape(row['answer'])})</b>")
        for row in instances
    )


def same(cells: Sequence[tuple[str, str]], caption: str = "") -> str:
    """Pictures side by side, each with its text, under STYLE."""
    shown = "".join(f'<div><img loading="lazy" src="{file}" alt=""><p>{text}</p></div>' for file, text in cells)
    grid = f'<div class="same" style="grid-template-columns: repeat({len(cells)}, 1fr)">{shown}</div>'
    return f"<figure>{grid}<figcaption>{caption}</figcaption></figure>\n"
