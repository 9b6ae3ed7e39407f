"""The table and the page of a comparison (`evaluation/comparison.py`)."""

import html
from collections.abc import Sequence

from evaluation.comparison import Difference, Row
from evaluation.report import STRIPS


def picture_name(place: int, heading: str) -> str:
    return f"{STRIPS}/{place:02}_{heading}.png"


def cells(difference: Difference) -> list[str]:
    """A metric's figures as the tables show them."""
    summary, interval = difference.summary, difference.summary["difference"]
    mean = "-" if interval is None else "{mean:+.5f} [{low:+.5f}, {high:+.5f}]".format(**interval)
    wins = "-" if summary["wins"] is None else "{wins} / {losses} / {ties}".format(**summary)
    p = "-" if summary["sign_test_p"] is None else f"{summary['sign_test_p']:.2g}"
    sides = ("-" if summary[side] is None else f"{summary[side]:.5f}" for side in ("a", "b"))
    return [*sides, mean, wins, p, str(summary["infinite"]), summary["better"]]


def headings(names: Sequence[str]) -> list[str]:
    a, b = names
    return [a, b, f"{a} less {b} [95 %]", f"images: {a} wins / loses / ties", "sign test p", "infinite", "better"]


def text_table(names: Sequence[str], differences: dict[str, Difference]) -> str:
    rows = [["", *headings(names)], *([metric, *cells(difference)] for metric, difference in differences.items())]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def page(
    names: Sequence[str],
    files: Sequence[str],
    pairs: Sequence[tuple[Row, Row]],
    differences: dict[str, Difference],
    rank_by: str,
    shown: Sequence[int],
) -> str:
    """names, files: of A and B; shown: indices of the pairs whose pictures lie under `picture_name`."""
    a, b = (html.escape(name) for name in names)
    heads = "".join(f"<td>{html.escape(heading)}</td>" for heading in headings(names))
    body = "".join(
        f"<tr><th>{html.escape(metric)}</th>" + "".join(f"<td>{cell}</td>" for cell in cells(difference)) + "</tr>"
        for metric, difference in differences.items()
    )
    figures = "".join(figure(pairs[i], differences, i, place) for place, i in enumerate(shown))
    return PAGE_FORM.format(
        title=f"{a} and {b}",
        files=f"{a}: {html.escape(files[0])}<br>{b}: {html.escape(files[1])}",
        images=len(differences[rank_by].images),
        pairs=len(pairs),
        table=f"<table><tr><th></th>{heads}</tr>{body}</table>",
        shown=f"The {len(shown)} images that differ most in {html.escape(rank_by)}",
        heads="".join(f"<span>{heading}</span>" for heading in ("gray", a, b, "truth")),
        figures=figures,
    )


def figure(pair: tuple[Row, Row], differences: dict[str, Difference], i: int, place: int) -> str:
    """Four pictures above the caption and, for the row that is shown, each metric of A and B."""
    images = "".join(f'<img loading="lazy" src="{picture_name(place, heading)}" alt="">' for heading in "gabt")
    figures = "; ".join(
        f"{metric} {float(pair[0]['model_' + metric]):.4f}, {float(pair[1]['model_' + metric]):.4f}"
        f" ({difference.rows[i]:+.4f})"
        for metric, difference in differences.items()
    )
    caption, name = (html.escape(pair[0][key]) for key in ("caption", "name"))
    text = f"{place + 1}. {caption}<br><small>{name}: {html.escape(figures)}</small>"
    return f"<figure><div>{images}</div><figcaption>{text}</figcaption></figure>\n"


PAGE_FORM = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: #222 }}
.table {{ overflow-x: auto }}
table {{ border-collapse: collapse; margin: 1rem 0 2rem; font-size: .9em }}
th, td {{ padding: .3rem .7rem; border-bottom: 1px solid #ddd; text-align: right }}
th {{ text-align: left; font-weight: 500 }}
td {{ white-space: nowrap; font-variant-numeric: tabular-nums }}
tr:first-child td {{ white-space: normal; color: #666; vertical-align: bottom }}
figure {{ margin: 0 0 1.8rem }}
figure div, .heads {{ display: grid; grid-template-columns: repeat(4, 1fr); gap: 6px }}
figure img {{ width: 100%; display: block }}
figcaption {{ margin-top: .3rem }}
small {{ color: #666 }}
.heads {{ position: sticky; top: 0; background: #fffe; padding: .3rem 0; color: #666 }}
</style></head><body>
<h1>{title}</h1>
<p>{files}<br>{images} images, {pairs} image-caption pairs. Intervals: paired bootstrap over images. Infinite figures
(equal pictures) are left out of means and intervals, and win or lose all the same.</p>
<div class="table">{table}</div>
<h2>{shown}</h2>
<div class="heads">{heads}</div>
{figures}
</body></html>
"""
