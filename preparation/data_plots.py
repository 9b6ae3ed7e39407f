"""The plots of `preparation.data_report`: each takes the content of report.json."""

from collections import Counter
from typing import Any

import numpy as np
from matplotlib.figure import Figure

_FAMILY_COLORS = {"tan": "#d2b48c", "white": "#f4f4f4", "yellow": "#f2d000", "orange": "#ff9020", "pink": "#ff8fb5"}

Report = dict[str, Any]


def _draw_tokens(report: Report) -> Figure:
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    for split, tokens in report["tokens"].items():
        total = sum(n for _, n in tokens) or 1
        lengths = np.arange(max([length for length, _ in tokens], default=0) + 2)
        shares = np.zeros(len(lengths))
        for length, n in tokens:
            shares[length] = 100 * n / total
        axes.step(lengths, shares, where="mid", label=split)
    axes.axvline(report["max_words"], color="black", linestyle="--", label=f"{report['max_words']}: cut off behind")
    axes.set(title="Length of captions", xlabel="tokens, [CLS] and [SEP] counted", ylabel="captions, %")
    axes.legend(frameon=False, fontsize=8)
    return figure


def _draw_colors(report: Report) -> Figure:
    """Bars in the colours that they count, a shade for each split."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes, counts = figure.subplots(), {split: dict(count["colors"]) for split, count in report["splits"].items()}
    families = [family for family, _ in sum(map(Counter, counts.values()), Counter()).most_common()]
    width = 0.85 / max(len(counts), 1)
    for place, (split, count) in enumerate(counts.items()):
        total = report["splits"][split]["captions"] or 1
        shares = [100 * count.get(family, 0) / total for family in families]
        colors = [_FAMILY_COLORS.get(family, family) for family in families]
        axes.bar(np.arange(len(families)) + place * width, shares, width, color=colors, edgecolor="#444", linewidth=0.6)
    axes.set(title=f"Colours in captions; bars: {', '.join(counts)}", ylabel="captions, %")
    axes.set_xticks(np.arange(len(families)) + 0.425 - width / 2, families, rotation=40, ha="right", fontsize=8)
    return figure


def _draw_pairs(report: Report) -> Figure:
    """How many captions name both colours, over all splits."""
    counts, both = Counter(), Counter()
    for split in report["splits"].values():
        for first, second, n in split["color_pairs"]:
            counts.update({(first, second): n, (second, first): n})
            both.update({first: n, second: n})
    families = [family for family, _ in both.most_common()]
    table = np.array([[counts[a, b] for b in families] for a in families]).reshape(len(families), len(families))
    figure = Figure(figsize=(6, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.set_title("Captions that name both colours")
    axes.set_xticks(range(len(families)), families, rotation=40, ha="right", fontsize=8)
    axes.set_yticks(range(len(families)), families, fontsize=8)
    if families:
        axes.imshow(np.sqrt(table), cmap="Blues")  # roots, or the rare pairs could not be told from none
        for (row, column), n in np.ndenumerate(table):
            if n:
                color = "white" if n > table.max() / 3 else "black"
                axes.text(column, row, f"{n}", ha="center", va="center", fontsize=6, color=color)
    return figure


def _draw_chroma(report: Report) -> Figure:
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes, edges = figure.subplots(), np.array(report["chroma_bins"][:-1], float)
    width = edges[1] - edges[0]
    axes.bar(edges, report["chroma"], width, align="edge", color="#57a", edgecolor="white", linewidth=0.4)
    axes.axvline(report["min_chroma"], color="#b00", linestyle="--", label=f"below {report['min_chroma']:g}: no chroma")
    axes.set(
        title="Chroma of pictures (99th percentile)", xlabel="CIE chroma; the last bar: all above", ylabel="pictures"
    )
    axes.legend(frameon=False, fontsize=8)
    return figure


def _draw_sizes(report: Report) -> Figure:
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    sizes = np.array([[*map(int, size.split("x")), n] for size, n in report["sizes"]]).reshape(-1, 3)
    if len(sizes):
        area = 20 + 300 * sizes[:, 2] / sizes[:, 2].max()
        axes.scatter(sizes[:, 0], sizes[:, 1], area, color="#57a", alpha=0.6, linewidth=0)
        (width, height, n) = sizes[0]
        axes.annotate(f"{n} of {width}x{height}", (width, height), (6, 6), textcoords="offset points", fontsize=8)
        axes.set(xlim=(0, 1.25 * sizes[:, 0].max()), ylim=(0, 1.25 * sizes[:, 1].max()))
    axes.set(title="Sizes of pictures", xlabel="width, pixels", ylabel="height, pixels")
    return figure


PLOTS = {
    "length of captions": _draw_tokens,
    "chroma": _draw_chroma,
    "colours": _draw_colors,
    "sizes": _draw_sizes,
    "pairs of colours": _draw_pairs,
}
