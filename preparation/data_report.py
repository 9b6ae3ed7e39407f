"""What `scripts/check_data.py` found, as text and as one page that holds its plots and pictures itself.

The report is the content of report.json, so every path in it is a string. Names and captions come from other people's
files: whatever of them reaches the page is escaped.
"""

import base64
import html
import io
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageOps

THUMBNAIL = 160  # pixels, the longer side
EXAMPLES = 12  # findings of a check on the page
TWINS = 4  # pictures of a finding on the page
_PAGE = Path(__file__).with_suffix(".html")
_FAMILY_COLORS = {"tan": "#d2b48c", "white": "#f4f4f4", "yellow": "#f2d000", "orange": "#ff9020", "pink": "#ff8fb5"}

Report = dict[str, Any]
Read = Callable[[Path], Image.Image | None]  # None where there is no picture


def summary(report: Report) -> str:
    """The checks that found something, and the verdict; a line each."""
    lines = [
        f"{split}: {count['pictures']} pictures, {count['readable']} readable, {count['captions']} captions,"
        f" {count['two_colors']} with two or more colours"
        for split, count in report["splits"].items()
    ]
    for name, check in report["checks"].items():
        if check["severity"]:
            lines.append(f"{check['severity']:8}{name:20}{_amount(check)}: {check['meaning']}")
    errors = _errors(report)
    lines.append(f"NOT FIT: {errors}" if errors else "fit")
    return "\n".join(lines)


def _errors(report: Report) -> str:
    return ", ".join(name for name, check in report["checks"].items() if check["severity"] == "error")


def _amount(check: dict[str, Any]) -> str:
    share = f" ({100 * check['count'] / check['total']:.2f} %)" if check["total"] else ""
    return f"{check['count']} of {check['total']} {check['of']}{share}"


def write_page(file: Path, report: Report, read: Read) -> None:
    """read: opens a picture for its thumbnail."""
    found = defaultdict(list)
    for finding in report["findings"]:
        found[finding["check"]].append(finding)
    errors = _errors(report)
    page = Template(_PAGE.read_text(encoding="utf-8")).substitute(
        path=html.escape(str(report["data_path"])),
        against=f" against {html.escape(report['against'])}" if report["against"] else "",
        kind="error" if errors else "fit",
        verdict=f"Not fit: {errors}" if errors else "Fit to train and test on",
        counts=_counts(report),
        checks=_checks(report),
        plots="".join(_plot(report, title, draw) for title, draw in PLOTS.items()),
        samples="".join(_figure([pair["file"]], pair["caption"], pair["name"], read) for pair in report["samples"]),
        sections="".join(
            _section(name, report["checks"][name], found[name], read) for name in report["checks"] if found[name]
        ),
    )
    file.write_text(page, encoding="utf-8", errors="backslashreplace")  # a file's name need not be text


def _counts(report: Report) -> str:
    heads = ("pictures", "readable", "captions", "two or more colours", "longest caption, tokens", "longer than read")
    rows = ""
    for split, count in report["splits"].items():
        tokens = report["tokens"][split]
        cells = [count["pictures"], count["readable"], count["captions"], count["two_colors"]]
        cells += [max((length for length, _ in tokens), default=0)]
        cells += [sum(n for length, n in tokens if length > report["max_words"])]
        rows += f"<tr><th>{html.escape(split)}</th>" + "".join(f"<td>{cell:,}</td>" for cell in cells) + "</tr>"
    return "<table><tr><th></th>" + "".join(f"<td>{head}</td>" for head in heads) + f"</tr>{rows}</table>"


def _checks(report: Report) -> str:
    """The checks that found something; the others are folded up."""
    rows = {True: "", False: ""}
    for name, check in report["checks"].items():
        limit = "-" if check["limit"] >= 1 else f"{100 * check['limit']:g} %"
        link = f'<a href="#{name}">{name}</a>' if check["count"] else name
        share = f"{100 * check['count'] / check['total']:.2f} %" if check["count"] and check["total"] else ""
        cells = "".join(
            f"<td>{cell}</td>" for cell in (check["severity"] or "none", f"{check['count']:,}", share, limit)
        )
        meaning = f"<td>{html.escape(check['meaning'])}</td>"
        rows[check["count"] > 0] += f'<tr class="{check["severity"]}"><th>{link}</th>{cells}{meaning}</tr>'
    heads = "<tr><th>check</th><td></td><td>found</td><td>share</td><td>limit</td><td>what it finds</td></tr>"
    found, clean = (
        f'<table class="checks">{heads}{rows[kind]}</table>' if rows[kind] else "" for kind in (True, False)
    )
    return (
        f"{found or '<p>Nothing was found.</p>'}<details><summary>Checks that found nothing</summary>{clean}</details>"
    )


def _section(name: str, check: dict[str, Any], findings: list[dict[str, Any]], read: Read) -> str:
    figures = ""
    for finding in findings[:EXAMPLES]:
        note = f"{finding['split']}/{finding['name']} {finding['detail']}"
        figures += _figure(finding["files"], finding["caption"], note, read)
    more = f"<p>and {len(findings) - EXAMPLES:,} more in report.json</p>" if len(findings) > EXAMPLES else ""
    heading = f'<h2 id="{name}" class="{check["severity"]}">{name}: {html.escape(_amount(check))}</h2>'
    return f'{heading}<p>{html.escape(check["meaning"])}</p><div class="figures">{figures}</div>{more}\n'


def _figure(files: list[str], caption: str, note: str, read: Read) -> str:
    pictures = "".join(_thumbnail(file, read) for file in files[:TWINS])
    caption = f"{html.escape(caption)}<br>" if caption else ""
    return f"<figure><div>{pictures}</div><figcaption>{caption}<small>{html.escape(note)}</small></figcaption></figure>"


def _thumbnail(file: str, read: Read) -> str:
    picture = read(Path(file))
    if picture is None:
        return '<span class="none">no picture</span>'
    picture = ImageOps.contain(picture, (THUMBNAIL, THUMBNAIL))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80)
    return f'<img src="{_data("jpeg", stream)}" alt="">'


def _plot(report: Report, title: str, draw: Callable[[Axes, Report], None]) -> str:
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    draw(figure.subplots(), report)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return f'<img class="plot" src="{_data("png", stream)}" alt="{title}">'


def _draw_tokens(axes: Axes, report: Report) -> None:
    for split, tokens in report["tokens"].items():
        lengths, counts = np.array(tokens, int).reshape(-1, 2).T
        shares = np.bincount(lengths, 100 * counts / max(counts.sum(), 1), minlength=lengths.max(initial=0) + 2)
        axes.step(np.arange(len(shares)), shares, where="mid", label=split)
    axes.axvline(report["max_words"], color="black", linestyle="--", label=f"{report['max_words']}: cut off behind")
    axes.set(title="Length of captions", xlabel="tokens, [CLS] and [SEP] counted", ylabel="captions, %")
    axes.legend(frameon=False, fontsize=8)


def _draw_chroma(axes: Axes, report: Report) -> None:
    edges = np.array(report["chroma_bins"][:-1], float)
    axes.bar(edges, report["chroma"], edges[1] - edges[0], align="edge", color="#57a", edgecolor="white", linewidth=0.4)
    axes.axvline(report["min_chroma"], color="#b00", linestyle="--", label=f"below {report['min_chroma']:g}: no chroma")
    axes.set(title="Chroma of pictures (99th percentile)", xlabel="CIE chroma; the last bar: all above")
    axes.set_ylabel("pictures")
    axes.legend(frameon=False, fontsize=8)


def _draw_colors(axes: Axes, report: Report) -> None:
    """Bars in the colours that they count, a bar for each split."""
    counts = {split: Counter(dict(count["colors"])) for split, count in report["splits"].items()}
    families = [family for family, _ in sum(counts.values(), Counter()).most_common()]
    colors = [_FAMILY_COLORS.get(family, family) for family in families]
    width = 0.85 / max(len(counts), 1)
    for place, (split, count) in enumerate(counts.items()):
        shares = [100 * count[family] / (report["splits"][split]["captions"] or 1) for family in families]
        axes.bar(np.arange(len(families)) + place * width, shares, width, color=colors, edgecolor="#444", linewidth=0.6)
    axes.set(title=f"Colours in captions; bars: {', '.join(counts)}", ylabel="captions, %")
    axes.set_xticks(np.arange(len(families)) + 0.425 - width / 2, families, rotation=40, ha="right", fontsize=8)


PLOTS = {"length of captions": _draw_tokens, "chroma": _draw_chroma, "colours": _draw_colors}


def _data(kind: str, stream: io.BytesIO) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode()}"
