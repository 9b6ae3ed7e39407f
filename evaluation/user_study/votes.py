"""Table 2 from the answers of the user study (`evaluation/user_study/page.py`): each system's share of the choices."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from scipy.stats import binomtest

from evaluation.statistics import Interval, bootstrap_interval
from evaluation.user_study.page import EXPERIMENTS, TRUTH
from utils.errors import InputError
from utils.text_files import read_json, read_table

COLUMNS = ("study", "participant", "question", "choice", "position", "seconds")
BOOTSTRAP, WILSON = "bootstrap over participants", "Wilson"
Key = dict[str, Any]  # of `page.make_key`
Votes = dict[str, dict[str, str]]  # participant -> {question: choice}


class Share(NamedTuple):
    """One figure of Table 2."""

    votes: int
    total: int
    interval: Interval  # of the share, in [0, 1]; its `mean` is the share
    method: str


class Column(NamedTuple):
    """One experiment on one data set."""

    dataset: str
    experiment: str
    participants: int
    shares: dict[str, Share]  # system -> ..., in the order of the key


def read_key(file: Path) -> Key:
    """InputError unless `scripts/user_study.py make` wrote it."""
    key = read_json(file, "pass the file that --key wrote")
    try:
        questions = key["questions"].values()
        whole = all({*question} >= {"experiment", "choices"} for question in questions) and "dataset" in key
        if not (whole and isinstance(key["study"], str)):
            raise KeyError("a field")
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{file}: is no key of a user study ({error!r}); pass the file that --key wrote") from error
    return key


def read_keys(files: Sequence[Path]) -> dict[str, Key]:
    """{study: its key}. InputError for a column that two keys would share."""
    keys: dict[str, Key] = {}
    columns: dict[tuple[str, str], Path] = {}
    for file in files:
        key = read_key(file)
        for column in {(key["dataset"], question["experiment"]) for question in key["questions"].values()}:
            other = columns.setdefault(column, file)
            if other != file:
                raise InputError(f"{other} and {file}: both hold {' '.join(column)}; make one with another --dataset")
        keys[key["study"]] = key
    return keys


def read_votes(files: Sequence[Path], keys: dict[str, Key], incomplete: bool = False) -> dict[str, Votes]:
    """{study: votes}. InputError that names file and line for answers that do not fit a key, for a participant who
    comes twice, and, unless `incomplete`, for one who left a question out."""
    votes: dict[str, Votes] = {study: {} for study in keys}
    origin: dict[tuple[str, str], Path] = {}
    for file in files:
        rows = read_table(file, COLUMNS, f"its columns are {','.join(COLUMNS)}; pass the file as the page saved it")
        if not rows:
            raise InputError(f"{file}: holds no answer; ask for the file again")
        for line, row in enumerate(rows, start=2):
            study, participant, question, choice = (row[column] for column in COLUMNS[:4])
            where = f"{file}, row {line}"
            if study not in keys:
                raise InputError(f"{where}: answers study {study!r}; pass its key (given: {', '.join(keys)})")
            asked = keys[study]["questions"]
            if question not in asked:
                raise InputError(f"{where}: question {question!r} is not in the key of {study}; ask for the file again")
            if choice not in asked[question]["choices"]:
                raise InputError(f"{where}: {choice!r} is no choice of question {question}; ask for the file again")
            first = origin.setdefault((study, participant), file)
            answers = votes[study].setdefault(participant, {})
            if first != file or question in answers:
                raise InputError(
                    f"{where}: participant {participant} has answered {question} or another in {first} already;"
                    " pass each participant's file once"
                )
            answers[question] = choice
    for (study, participant), file in origin.items():
        asked, given = len(keys[study]["questions"]), len(votes[study][participant])
        if given < asked and not incomplete:
            raise InputError(f"{file}: {participant} answered {given} of {asked}; leave it out, or pass --incomplete")
    return votes


def columns(keys: dict[str, Key], votes: dict[str, Votes], seed: int = 0) -> list[Column]:
    """Data set after data set, as in Table 2. InputError for an experiment that nobody answered."""
    table = []
    for study, key in keys.items():
        for experiment in EXPERIMENTS:
            asked = {q: question for q, question in key["questions"].items() if question["experiment"] == experiment}
            if not asked:
                continue
            chosen = [
                (place, asked[question]["choices"][choice])
                for place, answers in enumerate(votes[study].values())
                for question, choice in answers.items()
                if question in asked
            ]
            if not chosen:
                raise InputError(f"{key['dataset']}, {experiment}: nobody answered; pass --answers of study {study}")
            systems = dict.fromkeys(system for question in asked.values() for system in question["choices"].values())
            shares = {system: share(chosen, system, seed) for system in systems}
            table.append(Column(key["dataset"], experiment, len({place for place, _ in chosen}), shares))
    return table


def share(chosen: Sequence[tuple[int, str]], system: str, seed: int = 0) -> Share:
    """chosen: (participant, system) of every vote. The 95 % interval draws participants.

    Where all give one share, as one participant alone does, that cannot tell: then Wilson's interval of the votes.
    """
    hits = torch.tensor([voted == system for _, voted in chosen], dtype=torch.float64)
    people = torch.tensor([participant for participant, _ in chosen]).unique(return_inverse=True)[1]
    votes, total = int(hits.sum()), len(chosen)
    rates = people.bincount(hits) / people.bincount()
    if (rates == rates[0]).all():
        low, high = binomtest(votes, total).proportion_ci(method="wilson")
        return Share(votes, total, Interval(votes / total, float(low), float(high)), WILSON)
    return Share(votes, total, bootstrap_interval(hits, people, seed=seed), BOOTSTRAP)


def systems_of(table: Sequence[Column]) -> list[str]:
    """The rows of Table 2: TRUTH last."""
    systems = dict.fromkeys(system for column in table for system in column.shares)
    return sorted(systems, key=lambda system: system == TRUTH)  # stable


def markdown(table: Sequence[Column]) -> str:
    """Table 2: shares in % with their intervals; N/A where a system is not asked for, as the paper has it."""
    lines = [["Method", *(f"{column.dataset}: {EXPERIMENTS[column.experiment]}" for column in table)]]
    lines.append(["---", *("---:" for _ in table)])
    for system in systems_of(table):
        lines.append([system, *(_cell(column.shares.get(system)) for column in table)])
    totals = [next(iter(column.shares.values())).total for column in table]
    lines.append(["votes (participants)", *(f"{n} ({c.participants})" for n, c in zip(totals, table, strict=True))])
    lines.append(["chance", *(f"{100 / len(column.shares):.2f} %" for column in table)])
    text = "".join(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |\n" for cells in lines)
    methods = dict.fromkeys(share.method for column in table for share in column.shares.values())
    return f"{text}\nIn brackets: 95 % interval, {' or '.join(methods)}.\n"


def _cell(share: Share | None) -> str:
    return "N/A" if share is None else "{:.2f} % [{:.2f}, {:.2f}]".format(*(100 * value for value in share.interval))


def csv_rows(table: Sequence[Column]) -> Iterable[dict[str, Any]]:
    """A line for each figure, shares in [0, 1]."""
    for column in table:
        for system in systems_of(table):
            if system in column.shares:
                votes, total, interval, method = column.shares[system]
                where = {"dataset": column.dataset, "experiment": column.experiment, "system": system}
                counts = {"votes": votes, "total": total, "participants": column.participants}
                yield where | counts | interval._asdict() | {"interval": method}
