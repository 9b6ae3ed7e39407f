"""What prepare_coco.py and prepare_multi_instance.py share: flags, the pictures, the report."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from preparation.caption_lists import LIST_ORIGIN, Pair, fingerprint, read_list
from preparation.image_sources import same_picture
from preparation.prepared_folder import PreparedFolder, write_json
from preparation.reduced_copies import ENDINGS, MIN_CHROMA, copy_all
from utils.errors import InputError
from utils.progress import progress

SHOWN = 50  # names that the report lists of what is missing, unreadable or without chroma
IMAGE_RULES = {
    "excluded": "its picture is in a list that --exclude names",
    "missing": "its picture is not in the folders",
    "unreadable": "its picture cannot be decoded",
    "without_chroma": "its picture has less chroma than --min_chroma (preparation/reduced_copies.py)",
}


class Selection(NamedTuple):
    """The captions that stay before any picture was looked at."""

    pairs: list[Pair]
    counts: Counter[str]  # of every rule, and "kept"
    rules: dict[str, str]
    followed: bool  # a list that is taken as it is: nothing leaves it but what --skip_missing allows
    details: dict[str, Any]  # more for the report


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("output", type=Path, metavar="DATA", help="data folder to write")
    parser.add_argument("--split", choices=("train", "val", "test"), required=True, help="the part of DATA to write")
    parser.add_argument(
        "--list", type=Path, help="a published list to follow in order and captions, instead of our rules"
    )
    parser.add_argument("--exclude", type=Path, nargs="+", default=[], help="lists whose pictures are left out")
    parser.add_argument("--resize", type=int, help="copies with a shorter side of so many pixels (default: links)")
    parser.add_argument("--min_chroma", type=float, default=MIN_CHROMA, help=f"CIE units (default: {MIN_CHROMA})")
    parser.add_argument(
        "--lists_only", action="store_true", help="no pictures: pairs and report alone, chroma unmeasured"
    )
    parser.add_argument("--skip_missing", type=int, default=0, help="so many pictures may be missing or unreadable")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)), help="threads (default: cores)")
    parser.add_argument("--overwrite", action="store_true", help="begin anew over what an earlier run prepared")


def check_flags(options: argparse.Namespace) -> None:
    """InputError names the flag."""
    for flag, least in (("resize", 1), ("workers", 1), ("skip_missing", 0), ("min_chroma", 0)):
        value = getattr(options, flag)
        if value is not None and not value >= least:
            raise InputError(f"--{flag} {value}: pass {least} or more")
    if options.lists_only and options.resize is not None:
        raise InputError(f"--resize {options.resize}: --lists_only makes no copies; leave out one of both")


def run(script: str, options: argparse.Namespace, prepare: Callable[[argparse.Namespace], None]) -> int:
    """The command's exit status: 2, and a word about it, for the user's mistake."""
    try:
        check_flags(options)
        prepare(options)
    except InputError as error:
        print(f"{script}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{script}: {error}; make room, or change the permissions, and go on", file=sys.stderr)
        return 2
    return 0


def follow(path: Path, rule_of: Callable[[str], str | None]) -> Selection:
    """A published list as it is; the report says what our rules would have dropped of it."""
    pairs = read_list(path)
    ours = Counter(rule_of(pair.caption) or "kept" for pair in pairs)
    return Selection(pairs, Counter(kept=len(pairs)), {}, True, {"our_rules_would": dict(sorted(ours.items()))})


def exclude(selection: Selection, lists: list[Path]) -> Selection:
    """Without the pictures of these lists, whatever name they have there."""
    if not lists:
        return selection
    gone = {same_picture(pair.image) for path in lists for pair in read_list(path)}
    pairs = [pair for pair in selection.pairs if same_picture(pair.image) not in gone]
    return _without(selection, pairs, "excluded")


def complete(
    script: str,
    options: argparse.Namespace,
    selection: Selection,
    sources: dict[str, list[Path]],
    find: Callable[[str], Path | None],
) -> None:
    """Pictures, pairs and report, and what was done, on stdout. Raises InputError.

    sources: flag -> the lists that were read; find: image name -> its file.
    """
    flags = {f"--{name}": getattr(options, name) for name in ("resize", "min_chroma", "lists_only")}
    sources = {flag: [fingerprint(path) for path in paths] for flag, paths in sources.items() if paths}
    head = {"script": script, "split": options.split, "flags": flags, "sources": sources}
    if not selection.pairs:
        raise InputError(f"{', '.join(sources)}: no caption is left of {selection.counts.total():,}; see {LIST_ORIGIN}")
    folder = PreparedFolder(options.output, options.split)
    folder.start(head, options.overwrite)
    images: dict[str, Any] = {"named": len({pair.image for pair in selection.pairs})}
    if options.lists_only:
        images["chroma"] = "not measured (--lists_only)"
    else:
        selection = _with_pictures(folder, options, selection, find, images, head)
    report = head | {
        "counts": {"read": selection.counts.total()} | dict(selection.counts),
        "rules": selection.rules | {rule: IMAGE_RULES[rule] for rule in selection.counts if rule in IMAGE_RULES},
        "images": images | {"kept": len({pair.image for pair in selection.pairs})},
        **selection.details,
    }
    new = folder.finish(selection.pairs, report, options.overwrite)
    for name, count in report["counts"].items():
        print(f"{name:24}{count:>10,}  {report['rules'].get(name, '')}")
    verb = "written" if new else "there already"
    print(f"{folder.pairs}: {len(selection.pairs):,} pairs of {report['images']['kept']:,} pictures, {verb}")


def _with_pictures(
    folder: PreparedFolder,
    options: argparse.Namespace,
    selection: Selection,
    find: Callable[[str], Path | None],
    images: dict[str, Any],
    head: dict[str, Any],
) -> Selection:
    """The pairs whose pictures are in the folder afterwards; `images`, for the report, says what became of the rest."""
    names = dict.fromkeys(pair.image for pair in selection.pairs)
    for name in names:
        if options.resize is not None and Path(name).suffix.lower() not in ENDINGS:
            kinds = ", ".join(ENDINGS)
            raise InputError(
                f"{name}: copies end in one of {kinds}; leave out --resize, or pass a list of such pictures"
            )
    found = {name: find(name) for name in names}
    missing = [name for name, path in found.items() if path is None]
    _check_missing(folder, options, images, head, missing, {})
    wanted = {name: path for name, path in found.items() if path is not None}
    least = 0.0 if selection.followed else options.min_chroma
    copies = copy_all(wanted, folder.images, folder.journal, options.resize, least, options.workers)
    copied = list(progress(copies, str(folder.images), "picture", total=len(wanted)))
    unreadable = {one.name: one.error for one in copied if one.error}
    _check_missing(folder, options, images, head, missing, unreadable)
    gray = {one.name: one.chroma for one in copied if not one.error and one.chroma < options.min_chroma}
    images["chroma"] = {"measured": len(copied) - len(unreadable), "threshold": options.min_chroma}
    images["without_chroma"] = {"number": len(gray), "first": dict(list(gray.items())[:SHOWN])}
    rules = {"missing": set(missing), "unreadable": unreadable}
    if not selection.followed:
        rules["without_chroma"] = gray
    for rule, gone in rules.items():
        selection = _without(selection, [pair for pair in selection.pairs if pair.image not in gone], rule)
    return selection


def _check_missing(
    folder: PreparedFolder,
    options: argparse.Namespace,
    images: dict[str, Any],
    head: dict[str, Any],
    missing: list[str],
    unreadable: dict[str, str],
) -> None:
    """InputError, after the report was written, where more is missing than --skip_missing allows."""
    images["missing"] = {"number": len(missing), "first": missing[:SHOWN]}
    images["unreadable"] = {"number": len(unreadable), "first": dict(list(unreadable.items())[:SHOWN])}
    number = len(missing) + len(unreadable)
    if number > options.skip_missing:
        write_json(folder.report, head | {"finished": False, "images": images})
        first = next(iter(unreadable.values()), "") or ", ".join(missing[:3])
        raise InputError(
            f"{len(missing):,} of {images['named']:,} pictures are missing, {len(unreadable):,} unreadable ({first});"
            f" {folder.report} lists them. Fetch them, or pass --skip_missing {number} to leave their captions out"
        )


def _without(selection: Selection, pairs: list[Pair], rule: str) -> Selection:
    gone = len(selection.pairs) - len(pairs)
    counts = Counter(selection.counts)
    counts[rule] += gone
    counts["kept"] = counts.pop("kept") - gone  # stays last
    return selection._replace(pairs=pairs, counts=counts)
