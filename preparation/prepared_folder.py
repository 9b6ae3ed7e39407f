"""What prepare_coco.py and prepare_multi_instance.py share: flags, and a data folder that survives an interruption.

DATA/<split>/<image>                  the pictures, or links to them
DATA/cap-img-pairs_<split>.json       [[image, caption], ...], written last
DATA/prepare_<split>.json             the report: flags, sources, counts of every rule, what is missing
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets.shards import sha256
from preparation.caption_lists import LIST_ORIGIN, Pair
from preparation.picture_copies import ENDINGS, MIN_CHROMA, copy_all
from preparation.selection import Selection
from utils.errors import InputError
from utils.files import write_text
from utils.log import progress
from utils.text_files import read_json

SHOWN = 50  # names that the report lists of what is missing, unreadable or without chroma
IMAGE_RULES = {
    "without_source": "its source was left out by --without",
    "excluded": "its picture is in a list that --exclude names",
    "missing": "its picture is not in the folders",
    "unreadable": "its picture cannot be decoded",
    "without_chroma": "its picture has less chroma than --min_chroma (preparation/picture_copies.py)",
}
_REMEDY = "pass the same, another folder, or --overwrite"


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", type=Path, metavar="DATA", help="data folder to write")
    parser.add_argument("--split", choices=("train", "val", "test"), required=True, help="the part of DATA to write")
    parser.add_argument("--list", type=Path, help="a published list to follow to the letter, instead of our rules")
    parser.add_argument("--exclude", type=Path, nargs="+", default=[], help="lists whose pictures are left out")
    parser.add_argument("--resize", type=int, help="copies with a shorter side of so many pixels (default: links)")
    parser.add_argument("--min_chroma", type=float, default=MIN_CHROMA, help=f"CIE units (default: {MIN_CHROMA})")
    parser.add_argument("--lists_only", action="store_true", help="pairs and report alone: no pictures, no chroma")
    parser.add_argument("--skip_missing", type=int, default=0, help="so many pictures may be missing or unreadable")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="threads (default: cores)")
    parser.add_argument("--overwrite", action="store_true", help="begin anew over what an earlier run prepared")


def check_flags(options: argparse.Namespace) -> None:
    for flag, least in (("resize", 1), ("workers", 1), ("skip_missing", 0), ("min_chroma", 0)):
        value = getattr(options, flag)
        if value is not None and not value >= least:
            raise InputError(f"--{flag} {value}: pass {least} or more")
    if options.lists_only and options.resize is not None:
        raise InputError(f"--resize {options.resize}: --lists_only makes no copies; leave out one of both")


class PreparedFolder:
    """One split of a data folder, made from a selection of captions and the files of their pictures."""

    def __init__(self, script: str, options: argparse.Namespace, sources: dict[str, list[Path]]) -> None:
        """sources: flag -> the lists that were read."""
        root, split = options.output, options.split
        self.options, self.images = options, root / split
        self.pairs = root / f"cap-img-pairs_{split}.json"
        self.report = root / f"prepare_{split}.json"
        flags = {f"--{name}": getattr(options, name) for name in ("resize", "min_chroma", "lists_only")}
        sums = {flag: {str(path): sha256(path) for path in paths} for flag, paths in sources.items() if paths}
        self.head = {"script": script, "split": split, "flags": flags, "sources": sums}

    def complete(self, selection: Selection, find: Callable[[str], Path | None]) -> None:
        """Pictures, pairs and report, and what was done, on stdout. find: image name -> its file.

        Goes on with what the same flags and sources began. InputError names the flag or file that differs, what is
        there already from elsewhere, and pictures that are missing; or says what the disk refuses.
        """
        try:
            self._complete(selection, find)
        except OSError as error:
            raise InputError(f"{error}; make room, or change the permissions, and go on") from error

    def _complete(self, selection: Selection, find: Callable[[str], Path | None]) -> None:
        if not selection.pairs:
            sources = ", ".join(self.head["sources"])
            raise InputError(f"{sources}: no caption is left of {selection.counts.total():,}; see {LIST_ORIGIN}")
        found = {} if self.options.lists_only else {name: find(name) for name in selection.names()}
        self._start(found)
        images: dict[str, Any] = {"named": len(selection.names())}
        if self.options.lists_only:
            images["chroma"] = "not measured (--lists_only)"
        else:
            selection = self._add_pictures(selection, found, images)
        counts = {"read": selection.counts.total()} | dict(selection.counts)
        rules = selection.rules | {rule: IMAGE_RULES[rule] for rule in selection.counts if rule in IMAGE_RULES}
        images["kept"] = len(selection.names())
        new = self._write_pairs(selection.pairs)
        self._write_report({"counts": counts, "rules": rules, "images": images, **selection.details}, finished=True)
        for name, count in counts.items():
            print(f"{name:24}{count:>10,}  {rules.get(name, '')}")
        verb = "written" if new else "there already"
        print(f"{self.pairs}: {len(selection.pairs):,} pairs of {images['kept']:,} pictures, {verb}")

    def _start(self, found: dict[str, Path | None]) -> None:
        for part in self.images.rglob(".*.part"):  # of a run that was killed
            part.unlink()
        if self.options.overwrite:
            for name, source in found.items():
                if source is not None and source.absolute() != (self.images / name).absolute():
                    (self.images / name).unlink(missing_ok=True)
        elif self.report.exists():
            self._check_same()
            return
        else:
            for path in (self.pairs, *(self.images.iterdir() if self.images.is_dir() else [])):
                if path.exists():
                    raise InputError(
                        f"{path}: is there already and {self.report.name} is not, so there is nothing to go on with;"
                        " pass another folder, or --overwrite"
                    )
        self.report.parent.mkdir(parents=True, exist_ok=True)
        self._write_report({}, finished=False)

    def _check_same(self) -> None:
        try:
            earlier, own = (
                ({"script": head["script"]} | head["flags"], head["sources"])
                for head in (read_json(self.report, "pass --overwrite"), self.head)
            )
        except (KeyError, TypeError) as error:
            raise InputError(f"{self.report}: is no report of a preparation ({error}); pass --overwrite") from error
        for flag in own[0]:
            before, now = (_said(flag, flags.get(flag)) for flags in (earlier[0], own[0]))
            if before != now:
                raise InputError(f"{self.report}: was written with {before}, not {now}; {_REMEDY}")
        for flag in own[1] | earlier[1]:
            before, now = (sources.get(flag, {}) for sources in (earlier[1], own[1]))
            if [*before.values()] != [*now.values()]:
                files = ", ".join(before) or f"no {flag}"
                raise InputError(f"{self.report}: {flag} is another file than it was written with ({files}); {_REMEDY}")

    def _add_pictures(self, selection: Selection, found: dict[str, Path | None], images: dict[str, Any]) -> Selection:
        """The pairs whose pictures are in the folder afterwards; `images`, for the report, says what became of the
        rest."""
        options = self.options
        for name in found:
            if options.resize is not None and Path(name).suffix.lower() not in ENDINGS:
                raise InputError(
                    f"{name}: copies end in one of {', '.join(ENDINGS)}; leave out --resize, or pass a list of such"
                    " pictures"
                )
        wanted = {name: path for name, path in found.items() if path is not None}
        missing = [name for name in found if name not in wanted]
        self._check_missing(images, missing, {})
        least = 0.0 if selection.followed else options.min_chroma
        copies = copy_all(wanted, self.images, options.resize, least, options.workers)
        copied = list(progress(copies, str(self.images), "picture", total=len(wanted)))
        unreadable = {one.name: one.error for one in copied if one.error}
        self._check_missing(images, missing, unreadable)
        selection = selection.without("missing", missing).without("unreadable", unreadable)
        if selection.followed:
            return selection
        gray = {one.name: one.chroma for one in copied if not one.error and one.chroma < least}
        images["without_chroma"] = {"number": len(gray), "first": dict(list(gray.items())[:SHOWN])}
        return selection.without("without_chroma", gray)

    def _check_missing(self, images: dict[str, Any], missing: list[str], unreadable: dict[str, str]) -> None:
        """InputError, after the report was written, where more is missing than --skip_missing allows."""
        images["missing"] = {"number": len(missing), "first": missing[:SHOWN]}
        images["unreadable"] = {"number": len(unreadable), "first": dict(list(unreadable.items())[:SHOWN])}
        number = len(missing) + len(unreadable)
        if number > self.options.skip_missing:
            self._write_report({"images": images}, finished=False)
            first = next(iter(unreadable.values()), "") or ", ".join(missing[:3])
            raise InputError(
                f"{len(missing):,} of {images['named']:,} pictures are missing, {len(unreadable):,} unreadable"
                f" ({first}); {self.report} lists them. Fetch them, or pass --skip_missing {number} to leave their"
                " captions out"
            )

    def _write_pairs(self, pairs: list[Pair]) -> bool:
        """False where they were there already. InputError where other pairs are there."""
        lines = ",\n".join(json.dumps(pair, ensure_ascii=False) for pair in pairs)
        content = f"[\n{lines}\n]\n"
        if self.pairs.exists():
            if self.pairs.read_text(encoding="utf-8") == content:
                return False
            if not self.options.overwrite:
                raise InputError(
                    f"{self.pairs}: the same flags now give other pairs than it holds; pass --overwrite to write them"
                )
        write_text(self.pairs, content)
        return True

    def _write_report(self, content: dict[str, Any], finished: bool) -> None:
        report = self.head | content | {"finished": finished}
        write_text(self.report, json.dumps(report, indent=1, ensure_ascii=False) + "\n")


def _said(flag: str, value: Any) -> str:
    if value is None or value is False:
        return f"no {flag}"
    return flag if value is True else f"{flag} {value}"
