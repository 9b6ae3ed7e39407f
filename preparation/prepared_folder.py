"""What a preparation leaves beside the pictures, and how it goes on after an interruption.

DATA/<split>/<image>                  the pictures, or links to them
DATA/cap-img-pairs_<split>.json       [[image, caption], ...], written last
DATA/prepare_<split>.json             the report: flags, sources, counts of every rule, what is missing
DATA/prepare_<split>.images.jsonl     a line for each picture that is done: its chroma
"""

import json
import os
from pathlib import Path
from typing import Any

from preparation.caption_lists import Pair
from utils.errors import InputError
from utils.text_files import read_json


class PreparedFolder:
    """The files of one split of a data folder."""

    def __init__(self, root: Path, split: str) -> None:
        self.root, self.split = root, split
        self.images = root / split
        self.pairs = root / f"cap-img-pairs_{split}.json"
        self.report = root / f"prepare_{split}.json"
        self.journal = root / f"prepare_{split}.images.jsonl"

    def start(self, head: dict[str, Any], overwrite: bool) -> None:
        """Begins, or goes on with what the same flags and sources began.

        head: {"script", "flags": {flag: value}, "sources": {flag: [fingerprint, ...]}}, the head of the report.
        InputError names the flag or file that differs, or what is there already from elsewhere.
        """
        for part in self.images.rglob(".*.part"):  # of a run that was killed
            part.unlink()
        if overwrite:
            self.journal.unlink(missing_ok=True)
        elif self.report.exists():
            self._check_same(head)
            return
        else:
            strangers = [self.pairs, self.journal, *(self.images.iterdir() if self.images.is_dir() else [])]
            for path in strangers:
                if path.exists():
                    raise InputError(
                        f"{path}: is there already and {self.report.name} is not, so there is nothing to go on with;"
                        " pass another folder, or --overwrite"
                    )
        self.root.mkdir(parents=True, exist_ok=True)
        write_json(self.report, head | {"finished": False})

    def _check_same(self, head: dict[str, Any]) -> None:
        try:
            earlier = read_json(self.report, "pass --overwrite")
            script, flags, sources = (earlier[key] for key in ("script", "flags", "sources"))
        except (KeyError, TypeError) as error:
            raise InputError(f"{self.report}: is no report of a preparation ({error}); pass --overwrite") from error
        remedy = "pass the same, another folder, or --overwrite"
        if script != head["script"]:
            raise InputError(f"{self.report}: was written by {script}, not {head['script']}; {remedy}")
        for flag in (*head["flags"], *(flags.keys() - head["flags"].keys())):
            before, now = flags.get(flag), head["flags"].get(flag)
            if before != now:
                raise InputError(
                    f"{self.report}: was written with {_said(flag, before)}, not {_said(flag, now)}; {remedy}"
                )
        for flag in (*head["sources"], *(sources.keys() - head["sources"].keys())):
            before, now = ([file["sha256"] for file in files.get(flag, [])] for files in (sources, head["sources"]))
            if before != now:
                files = ", ".join(file["file"] for file in sources.get(flag, [])) or f"no {flag}"
                raise InputError(f"{self.report}: {flag} is another file than it was written with ({files}); {remedy}")

    def finish(self, pairs: list[Pair], report: dict[str, Any], overwrite: bool) -> bool:
        """The pairs, then the report. False where both were there already. InputError where other pairs are there."""
        lines = ",\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs)
        content = f"[\n{lines}\n]\n"
        same = self.pairs.exists() and self.pairs.read_text(encoding="utf-8") == content
        if self.pairs.exists() and not same and not overwrite:
            raise InputError(
                f"{self.pairs}: the same flags now give other pairs than it holds; pass --overwrite to write them"
            )
        if not same:
            _write(self.pairs, content)
        write_json(self.report, report | {"finished": True})
        return not same


def write_json(path: Path, content: Any) -> None:
    _write(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _write(path: Path, content: str) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(content, encoding="utf-8")
    os.replace(part, path)


def _said(flag: str, value: Any) -> str:
    if value is None or value is False:
        return f"no {flag}"
    return flag if value is True else f"{flag} {' '.join(map(str, value)) if isinstance(value, list) else value}"
