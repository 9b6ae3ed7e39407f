"""Whether words are obeyed: the means of `evaluation.obedience.evaluate`, and their table."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from evaluation import tables
from evaluation.obedience import COLORS, DESCRIPTIONS, METRICS
from evaluation.statistics import bootstrap_interval

RESPONSES = {  # key of a word response: its title, factor, digits
    "right": ("word response, right, %", 100, 1),
    "angle": ("degrees off", 1, 1),
    "share": ("share changed, %", 100, 1),
    "inside": ("of the change in the word's region, %", 100, 1),
    "region": ("region, % of the picture", 100, 1),
}


def summarize(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """`model`, and `ignoring` the words: means with 95 % bootstrap intervals over photographs; None where no pair can
    be judged."""
    model = {
        "word_response": _summarize_responses(rows),
        "description_gain": {
            description: {metric: _gain(rows, metric, description) for metric in METRICS}
            for description in DESCRIPTIONS[1:]
        },
        "pairs": len(rows),
    }
    none, response = dict.fromkeys(("mean", "low", "high"), 0.0), model["word_response"]
    if response is not None:
        right_of = {name: None if share is None else 0.0 for name, share in response["right_of"].items()}
        response = response | {"right": none, "angle": 90.0, "share": 0.0, "right_of": right_of}
        response["inside"] = response["region"]
    gains = {
        description: {metric: gain and none for metric, gain in of_metrics.items()}
        for description, of_metrics in model["description_gain"].items()
    }
    ignoring = {"word_response": response, "description_gain": gains, "pairs": len(rows)}
    return {"model": model, "ignoring": ignoring}


def _summarize_responses(rows: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    flat = [(row["name"], response) for row in rows for response in row["responses"]]
    if not flat:
        return None
    placed = [row for row in rows if row["region"] is not None]
    return {
        "count": len(flat),
        "right": _interval([response["right"] for _, response in flat], [name for name, _ in flat]),
        "angle": _mean([response["angle"] for _, response in flat]),
        "share": _mean([response["share"] for _, response in flat]),
        "inside": _mean([response["inside"] for row in placed for response in row["responses"]]),
        "region": _mean([row["region"] for row in placed]),
        "right_of": {name: _mean([r["right"] for _, r in flat if r["to"] == name]) for name in COLORS},
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _gain(rows: Sequence[dict[str, Any]], metric: str, description: str) -> dict[str, float] | None:
    """Own caption minus `description`, over the pairs that have both."""
    both = [row for row in rows if row[f"{metric}_{description}"] is not None]
    gains = [row[f"{metric}_own"] - row[f"{metric}_{description}"] for row in both]
    return _interval(gains, [row["name"] for row in both]) if both else None


def _interval(values: Sequence[float], names: Sequence[str]) -> dict[str, float]:
    places = {name: place for place, name in enumerate(dict.fromkeys(names))}
    groups = torch.tensor([places[name] for name in names])
    return bootstrap_interval(torch.tensor(values, dtype=torch.float64), groups)._asdict()


def table(summary: dict[str, Any]) -> str:
    """Of `summarize`."""
    return tables.text(table_rows(summary), title_width=44, width=26)


def table_rows(summary: dict[str, Any]) -> list[tables.Row]:
    """The headings, then a line for each figure of the model and of one that ignores the words."""
    both = (summary["model"], summary["ignoring"])
    lines = [("obedience", ["this model", "ignoring the words"])]
    for name, (title, *look) in RESPONSES.items() if both[0]["word_response"] is not None else ():
        if both[0]["word_response"][name] is not None:  # the last two need regions
            lines.append((title, [_cell(of["word_response"][name], *look) for of in both]))
    for description in DESCRIPTIONS[1:]:
        for metric, title in METRICS.items():
            cells = [_cell(of["description_gain"][description][metric], 1, 3) for of in both]
            lines.append((f"gain over {description} caption, {title}", cells))
    return lines


def _cell(value: dict[str, float] | float | None, factor: float, digits: int) -> str:
    """A figure, or a mean with its interval."""
    if isinstance(value, float):
        return tables.number(value * factor, digits)
    return tables.interval(value, factor, digits)
