"""The questions of the user study, Table 2 (Sec. 5.2): drawn, blinded, as one static page and a key that stays behind.

The paper's two experiments, each on 100 images drawn at random and answered by 25 volunteers:
    reality          a caption, the results of every system and the real image: which is the most realistic?
    correspondence   a caption whose colours were replaced at random, the results alone: which matches it most closely?
So a participant chooses one of all systems at once, and Table 2 is each system's share of the choices.

The page (`page.html`) knows systems by ids that are drawn anew for every question. It shuffles questions and choices
for every participant, so that no system gains by its place.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from utils.errors import InputError

EXPERIMENTS = {"reality": "Reality expt", "correspondence": "Corresp expt"}  # the columns of Table 2
TRUTH = "Ground truth"
MOST_CHOICES = 9  # one digit key each
PICTURES = "pictures"
_TEMPLATE = Path(__file__).with_suffix(".html")
_PLACE = "/*STUDY*/null"


class Question(NamedTuple):
    """One screen. `id` and the keys of `choices` are opaque: hex after a letter, or a spreadsheet may read a number."""

    id: str
    experiment: str
    name: str
    caption: str
    choices: dict[str, str]  # choice id -> system


def draw_pairs(pairs: Sequence[tuple[str, str]], count: int, draw: np.random.Generator) -> list[int]:
    """Indices of `count` pairs of different images, each image with one of its captions; 0 takes every image.

    InputError where there are fewer images.
    """
    rows: dict[str, list[int]] = {}
    for i, (name, _) in enumerate(pairs):
        rows.setdefault(name, []).append(i)
    if count < 0 or count > len(rows):
        raise InputError(f"--images {count}: there are {len(rows)} images; pass 1 to {len(rows)}, or 0 for all")
    names = list(rows)
    chosen = sorted(draw.choice(len(names), count or len(names), replace=False))
    return [int(draw.choice(rows[names[i]])) for i in chosen]


def make_question(
    experiment: str, pair: tuple[str, str], systems: Sequence[str], draw: np.random.Generator
) -> Question:
    choices = {f"c{draw.bytes(6).hex()}": system for system in systems}
    return Question(f"q{draw.bytes(6).hex()}", experiment, *pair, choices)


def choices_of(experiment: str, systems: Sequence[str]) -> list[str]:
    """What each question shows: the systems, in reality the truth too. InputError for what no page can ask."""
    if len({*systems, TRUTH}) <= len(systems):
        raise InputError(f"--{experiment} {' '.join(systems)}: name each system once, and none {TRUTH!r}")
    shown = [*systems, TRUTH] if experiment == "reality" else list(systems)
    if not 2 <= len(shown) <= MOST_CHOICES:
        raise InputError(f"--{experiment}: {len(shown)} pictures to choose from; let it be 2 to {MOST_CHOICES}")
    return shown


def make_key(dataset: str, seed: int, questions: Sequence[Question], pictures: str) -> dict[str, Any]:
    """What `evaluation.user_study.votes` reads. pictures: a digest of them: no other page takes this one's answers."""
    key = {"dataset": dataset, "seed": seed, "questions": {question.id: question._asdict() for question in questions}}
    digest = hashlib.sha256((json.dumps(key, sort_keys=True) + pictures).encode())
    return {"study": f"s{digest.hexdigest()[:10]}"} | key


def page(study: str, questions: Sequence[Question]) -> str:
    """The page's source. Everything is in the order of the opaque ids, which says nothing."""
    shown: dict[str, list[dict[str, Any]]] = {question.experiment: [] for question in questions}
    for question in sorted(questions):
        about = {"id": question.id, "caption": question.caption, "choices": sorted(question.choices)}
        shown[question.experiment].append(about)
    experiments = [{"experiment": experiment, "questions": asked} for experiment, asked in shown.items()]
    data = json.dumps({"study": study, "experiments": experiments}, indent=1)
    before, after = _TEMPLATE.read_text(encoding="utf-8").split(_PLACE)
    return before + data.replace("<", "\\u003c") + after  # no caption can end the script
