"""The tables of an evaluation, as text and on the page."""

import html
from typing import Any

Row = tuple[str, list[str]]  # its title, its cells

_TITLES = {
    "model": "this model",
    "gray": "ab = 0 (doing nothing)",
    "ceiling": "ceiling (Lab round trip)",
    "truth": "the truth",
}
_COLUMNS = {  # metric: heading, digits
    "psnr": ("PSNR, dB", 3),
    "ssim": ("SSIM", 5),
    "lpips": ("LPIPS", 4),
    "fid": ("FID", 2),
    "ciede2000": ("CIEDE2000", 3),
    "chroma_error": ("ab error", 3),
    "colorfulness": ("colourful", 2),
    "colorfulness_absolute": ("(absolute)", 2),
}
_SUBSETS = {"chromatic": "a chromatic word", "two_or_more_colors": "two or more colours"}


def rows(summary: dict[str, Any]) -> list[Row]:
    """Of `engine.summarize`: the headings, then a line for each row of the summary."""
    lines = [("", [heading for heading, _ in _COLUMNS.values()])]
    for row, title in _TITLES.items():
        figures = summary[row]
        lines.append((title, [_number(figures.get(metric), digits) for metric, (_, digits) in _COLUMNS.items()]))
    return lines


def subset_rows(subsets: dict[str, dict[str, Any]]) -> list[Row]:
    """Of `engine.summarize_subsets`: the headings, then a line for each subset."""
    lines = [("captions with", ["pairs", "PSNR", "of ab = 0", "SSIM", "LPIPS", "CIEDE2000"])]
    for name, summary in subsets.items():
        model, gray = summary["model"], summary["gray"]
        wanted = ((model, "psnr"), (gray, "psnr"), (model, "ssim"), (model, "lpips"), (model, "ciede2000"))
        cells = [_number(figures[metric], _COLUMNS[metric][1]) for figures, metric in wanted]
        lines.append((_SUBSETS.get(name, name), [str(summary["count"]), *cells]))
    return lines


def text(lines: list[Row], title_width: int = 28, width: int = 12) -> str:
    return "\n".join(f"{title:{title_width}}" + "".join(f"{cell:>{width}}" for cell in cells) for title, cells in lines)


def markup(lines: list[Row]) -> str:
    rows = (
        f"<tr><th>{html.escape(title)}</th>{''.join(f'<td>{html.escape(cell)}</td>' for cell in cells)}</tr>"
        for title, cells in lines
    )
    return f"<table>{''.join(rows)}</table>"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
