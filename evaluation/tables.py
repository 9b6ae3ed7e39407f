"""Tables of figures as text, HTML and CSV, and the page around them."""

import csv
import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Row = tuple[str, list[str]]  # its title, its cells; the first row of a table holds the headings


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def interval(value: dict[str, float] | None, factor: float, digits: int) -> str:
    """'97.1 [96.0, 98.2]': the mean and its interval; '-' where there is none."""
    if value is None:
        return "-"
    mean, low, high = (f"{value[key] * factor:.{digits}f}" for key in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def text(lines: Sequence[Row], title_width: int = 28, width: int = 12) -> str:
    """Columns as wide as their widest cell, or as these widths."""
    title_width = max(title_width, *(len(title) + 2 for title, _ in lines))
    widths = [max(width, *(len(cell) + 2 for cell in column)) for column in zip(*(c for _, c in lines), strict=True)]
    return "\n".join(
        f"{title:{title_width}}" + "".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True))
        for title, cells in lines
    )


def markup(lines: Sequence[Row]) -> str:
    rows = (
        f"<tr><th>{html.escape(title)}</th>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
        for title, cells in lines
    )
    return f'<div class="table"><table>{"".join(rows)}</table></div>'


def markdown(lines: Sequence[Row]) -> str:
    (title, headings), *rows = lines
    parts = [[title, *headings], ["---", *("---:" for _ in headings)], *([title, *cells] for title, cells in rows)]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n" for cells in parts)


def write_csv(file: Path, rows: Sequence[dict[str, Any]], columns: Iterable[str] | None = None) -> None:
    """columns: the keys of the first row by default; a row may lack some."""
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, list(rows[0] if columns is None else columns))
        writer.writeheader()
        writer.writerows(rows)


def strip_heads(headings: Sequence[str]) -> str:
    """What stands above strips of pictures, in sight while the page is scrolled."""
    return f'<div class="heads">{"".join(f"<span>{html.escape(heading)}</span>" for heading in headings)}</div>'


def page(title: str, body: str, style: str = "") -> str:
    """A whole HTML file. body: markup, its headline included; style: more CSS."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{html.escape(title)}</title>
<style>{STYLE}{style}</style></head><body>
{body}
</body></html>
"""


STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: #222 }
.table { overflow-x: auto }
table { border-collapse: collapse; margin: 1rem 0 2rem; font-size: .9em }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #ddd; text-align: right }
th { text-align: left; font-weight: 500 }
td { white-space: nowrap; font-variant-numeric: tabular-nums }
tr:first-child td { white-space: normal; color: #666; vertical-align: bottom }
figure { margin: 0 0 1.8rem }
img { width: 100%; display: block }
small, .heads { color: #666 }
.heads { display: flex; gap: 6px; position: sticky; top: 0; background: #fffe; padding: .3rem 0 }
.heads span { flex: 1 }
"""
