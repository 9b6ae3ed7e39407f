"""Figures with intervals as a picture: a line for each row, a panel for each figure; and how each row got there, a
curve for each.  SVG, sizes in pixels."""

import html
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from datasets.scenes import TEST_SPLITS
from evaluation.table1.layout import TITLES, Part
from evaluation.table1.results import SCENES, Figure

LINE, PANEL, GAP, LABEL, HEAD, FOOT = 22, 170, 44, 190, 44, 30  # heights and widths
TICKS = 3
CURVES, APART = 200, 14  # height of the curves, of their names
_COLOR = "#1f5f8b"
_COLORS = (_COLOR, "#c2571a", "#2f7d32", "#8e24aa", "#b07d00", "#00838f", "#ad1457", "#5d4037", "#607d8b")  # in turn
_CURVE = {SCENES: ("accuracy on val, % ↑, after so many updates", 100.0)}
_PHOTO_CURVE = ("PSNR on val, dB ↑, after so many updates", 1.0)
_PHOTO_PANELS = {
    "psnr": ("PSNR, dB ↑", 1.0),
    "ssim": ("SSIM ↑", 1.0),
    "lpips": ("LPIPS ↓", 1.0),
    "word_response": ("word response, % ↑", 100.0),
    "gain_over_empty": ("gain over no caption, dB ↑", 1.0),
}


class Panel(NamedTuple):
    heading: str
    figures: Sequence[Figure | None]  # of each row


def draw(parts: Sequence[Part]) -> str:
    """One block below the other."""
    blocks, height, width = [], 0.0, 0.0
    for part in parts:
        labels = [f"{t.title}, seed {t.seed}" if t.seed else t.title for t in part.tested]
        for body, own_width, own_height in (_block(TITLES[part.kind], labels, panels(part)), _curves(part, labels)):
            blocks.append(f'<g transform="translate(0 {height:.0f})">{body}</g>')
            height, width = height + own_height, max(width, own_width)
    font = "font-family='system-ui, sans-serif' font-size='12' fill='#222'"
    size = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>'
    return f'{head}\n<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(blocks) + "\n</svg>\n"


def panels(part: Part) -> list[Panel]:
    """Those that any row has."""
    if part.kind == SCENES:
        keys = {(split, "accuracy"): (f"{split}, % right ↑", 100.0) for split in TEST_SPLITS}
    else:
        keys = {("", name): look for name, look in _PHOTO_PANELS.items()}
    found = [
        Panel(heading, [_scaled(figures.get(key), factor) for figures in part.figures])
        for key, (heading, factor) in keys.items()
    ]
    return [panel for panel in found if any(figure is not None for figure in panel.figures)]


def _scaled(figure: Figure | None, factor: float) -> Figure | None:
    return None if figure is None else {part: value * factor for part, value in figure.items()}


def _block(title: str, labels: Sequence[str], shown: Sequence[Panel]) -> tuple[str, float, float]:
    """Markup, width, height."""
    lines = [f'<text x="8" y="18" font-weight="600">{html.escape(title)}</text>']
    for place, label in enumerate(labels):
        y = HEAD + (place + 0.5) * LINE
        lines.append(f'<text x="{LABEL - 10}" y="{y + 4:.1f}" text-anchor="end">{html.escape(label)}</text>')
    bottom = HEAD + len(labels) * LINE
    for place, panel in enumerate(shown):
        left = LABEL + place * (PANEL + GAP)
        lines += _panel(panel, left, bottom)
    return "\n".join(lines), LABEL + len(shown) * (PANEL + GAP), bottom + FOOT


def _panel(panel: Panel, left: float, bottom: float) -> list[str]:
    held = [value for figure in panel.figures if figure is not None for value in figure.values()]
    ticks = ticks_of(min(held), max(held))
    low, high = min(min(held), ticks[0]), max(max(held), ticks[-1])
    span = high - low or 1.0

    def x(value: float) -> float:
        return left + (value - low) / span * PANEL

    lines = [f'<text x="{left}" y="{HEAD - 8}">{html.escape(panel.heading)}</text>']
    for tick in ticks:
        lines.append(f'<path d="M{x(tick):.1f} {HEAD}V{bottom}" stroke="#ddd"/>')
        lines.append(f'<text x="{x(tick):.1f}" y="{bottom + 15}" text-anchor="middle" fill="#666">{tick:.6g}</text>')
    for place, figure in enumerate(panel.figures):
        if figure is None:
            continue
        y = HEAD + (place + 0.5) * LINE
        if "low" in figure:
            span_path = f"M{x(figure['low']):.1f} {y:.1f}H{x(figure['high']):.1f}"
            lines.append(f'<path d="{span_path}" stroke="{_COLOR}" stroke-width="1.5"/>')
        lines.append(f'<circle cx="{x(figure["mean"]):.1f}" cy="{y:.1f}" r="3.5" fill="{_COLOR}"/>')
    return lines


def _curves(part: Part, labels: Sequence[str]) -> tuple[str, float, float]:
    """Markup, width, height; nothing where val was measured once."""
    heading, factor = _CURVE.get(part.kind, _PHOTO_CURVE)
    held = [[(step, value * factor) for step, value in tested.training.get("curve", ())] for tested in part.tested]
    shown = [(label, curve) for label, curve in zip(labels, held, strict=True) if len(curve) > 1]
    if not shown:
        return "", 0.0, 0.0
    steps, values = zip(*(point for _, curve in shown for point in curve), strict=True)
    x_ticks, y_ticks = ticks_of(0, max(steps)), ticks_of(min(values), max(values))
    left, right, bottom = LABEL, LABEL + 3 * PANEL, HEAD + max(CURVES, APART * len(shown))

    def x(step: float) -> float:
        return left + step / x_ticks[-1] * (right - left)

    def y(value: float) -> float:
        return bottom - (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (bottom - HEAD)

    lines = [f'<text x="{left}" y="{HEAD - 8}">{html.escape(heading)}</text>']
    for tick in x_ticks:
        lines.append(f'<path d="M{x(tick):.1f} {HEAD}V{bottom}" stroke="#ddd"/>')
        lines.append(f'<text x="{x(tick):.1f}" y="{bottom + 15}" text-anchor="middle" fill="#666">{tick:,.6g}</text>')
    for tick in y_ticks:
        lines.append(f'<path d="M{left} {y(tick):.1f}H{right}" stroke="#ddd"/>')
        lines.append(f'<text x="{left - 6}" y="{y(tick) + 4:.1f}" text-anchor="end" fill="#666">{tick:.6g}</text>')
    names = apart([y(curve[-1][1]) for _, curve in shown], APART, bottom - APART / 2)
    for place, ((label, curve), at) in enumerate(zip(shown, names, strict=True)):
        color, points = _COLORS[place % len(_COLORS)], " ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in curve)
        lines.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.5"/>')
        lines.append(f'<text x="{right + 8}" y="{at + 4:.1f}" fill="{color}">{html.escape(label)}</text>')
    return "\n".join(lines), right + LABEL, bottom + FOOT


def apart(wanted: Sequence[float], least: float, bottom: float) -> list[float]:
    """Places near the wanted ones and in their order, at least so far from each other, none below `bottom`."""
    order, placed = sorted(range(len(wanted)), key=wanted.__getitem__), list(wanted)
    for above, below in pairwise(order):
        placed[below] = max(placed[below], placed[above] + least)
    for below in reversed(order):
        placed[below] = min(placed[below], bottom)
        bottom = placed[below] - least
    return placed


def ticks_of(low: float, high: float) -> list[float]:
    """Round numbers from one that is not above `low` to one that is not below `high`, a few; of equal ends two."""
    span = high - low or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    step = next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= TICKS)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * place, 10) for place in range(first, max(last, first + 1) + 1)]
