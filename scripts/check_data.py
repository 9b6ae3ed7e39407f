"""Is a data folder fit to train and test on? Reads every list, caption and picture of it, and writes a page.

    python scripts/check_data.py DATA
    python scripts/check_data.py DATA --against OTHER --output_dir output/check_both --num_workers 16

    OUTPUT/index.html   verdict, counts, and examples of every fault; one file, pictures included
    OUTPUT/report.json  the same figures, and every fault

The status is 0 where DATA is fit, 1 where it is not, 2 where the arguments are wrong. Each check has a limit: the
largest share of faulty captions or pictures that a fit folder has. 0 makes an error of the first fault, 1 leaves it a
warning however many there are; `--limit no_color=0.2` moves it. `--list_checks` prints all of them.
"""

import argparse
import json
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models.text import BERT_VOCABULARY, MAX_WORDS, CaptionTokenizer
from preparation import data_checks, data_report, duplicates, picture_checks
from preparation.data_checks import SPLITS, take_survey
from preparation.faults import CAPTIONS, CHECKS, EVALUATED, LISTS, PICTURES, judge
from preparation.picture_checks import Bounds, Picture, examine_all, examine_other
from utils import files
from utils.errors import InputError, exit_status
from utils.log import progress

BATCH = 5000  # captions


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("data_path", type=Path, nargs="?", metavar="DATA", help="data folder in the layout of docs/DATA.md")
    add("--against", type=Path, metavar="OTHER", help="another data folder, to find pictures that are in both")
    add("--output_dir", type=Path, default=Path("output/check_data"), help="folder of the page and the JSON")
    add("--overwrite", action="store_true", help="write over what an earlier check left there")
    add("--num_workers", type=int, default=os.cpu_count(), help="pictures decoded at once (default: one per core)")
    add("--limit", action="append", default=[], metavar="CHECK=SHARE", help="largest share of a fault, 0 to 1")
    add("--min_chroma", type=float, default=Bounds().min_chroma, help="99th percentile of CIE chroma; below: gray")
    add("--min_side", type=int, default=Bounds().min_side, help="shorter side in pixels; below: tiny")
    add("--max_aspect", type=float, default=Bounds().max_aspect, help="longer side over the shorter; above: extreme")
    add("--distance", type=int, default=duplicates.MAX_DISTANCE, help="bits of 64 by which the hashes of near"
        f" duplicates differ, 0 to {duplicates.MAX_DISTANCE} (default: all)")  # fmt: skip
    add("--list_checks", action="store_true", help="print every check with its limit, and end")
    return parser.parse_args(arguments)


@exit_status
def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    if options.list_checks:
        for name, check in CHECKS.items():
            print(f"{name:20}{check.limit:5g} of {check.of:25}{check.meaning}")
        return 0
    check_options(options)
    report = inspect(options)
    write(options.output_dir, report)
    print(data_report.summary(report))
    print(f"{options.output_dir / 'index.html'}, report.json")
    return 0 if report["fit"] else 1


def write(folder: Path, report: dict[str, Any]) -> None:
    text = files.as_json(report, indent=1, default=str)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "report.json").write_text(text + "\n", encoding="utf-8")
        data_report.write_page(folder / "index.html", json.loads(text))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error}); make room, or pass another --output_dir") from error


def check_options(options: argparse.Namespace) -> None:
    """InputError for what cannot be checked; turns --limit into {check: share}."""
    if options.data_path is None:
        raise InputError("pass the data folder to check")
    for root in filter(None, (options.data_path, options.against)):
        if not any(os.path.isfile(root / f"cap-img-pairs_{split}.json") for split in SPLITS):
            raise InputError(f"{root}: no cap-img-pairs_{{train,val,test}}.json there; pass the folder that holds them")
    if options.against and options.against.resolve() == options.data_path.resolve():
        raise InputError(f"--against {options.against}: the same folder; its splits are compared without it")
    limits = {}
    for text in options.limit:
        name, _, share = text.partition("=")
        try:
            limits[name] = float(share)
        except ValueError:
            limits[name] = -1.0
        if name not in CHECKS or not 0 <= limits[name] <= 1:
            raise InputError(f"--limit {text}: pass CHECK=SHARE with a check of --list_checks and a share in [0, 1]")
    options.limit = limits
    bounds = {"num_workers": 1, "min_side": 0, "min_chroma": 0, "max_aspect": 1}
    for name, least in bounds.items():
        if not getattr(options, name) >= least:
            raise InputError(f"--{name} {getattr(options, name)}: pass at least {least}")
    if not 0 <= options.distance <= duplicates.MAX_DISTANCE:
        raise InputError(f"--distance {options.distance}: pass 0 to {duplicates.MAX_DISTANCE}")
    there = [file for file in ("index.html", "report.json") if (options.output_dir / file).exists()]
    if there and not options.overwrite:
        raise InputError(f"{options.output_dir / there[0]}: is there already; pass another --output_dir or --overwrite")


def inspect(options: argparse.Namespace) -> dict[str, Any]:
    """The whole report; `options` as `check_options` leaves them. Paths in it are `Path`s."""
    listed, there, findings = take_survey(options.data_path)
    lengths = caption_lengths(listed)
    for split, pairs in listed.items():
        findings += data_checks.check_captions(options.data_path, split, pairs, lengths[split], MAX_WORDS)

    pictures, found = examine_all(there, options.num_workers)
    findings += found
    bounds = Bounds(options.min_chroma, options.min_side, options.max_aspect)
    for place, picture in pictures.items():
        findings += picture_checks.check_picture(place, picture, bounds)
    readable = Counter(place.split for place in pictures)
    splits = {split: count_split(pairs, readable[split], lengths[split]) for split, pairs in listed.items()}

    if options.against is not None:
        others, found = examine_other(options.against, options.num_workers)
        pictures, findings = pictures | others, findings + found
    groups = find_groups([*pictures.values()], options.distance)
    findings += duplicates.judge_groups(groups, [*pictures], options.data_path)

    totals = {
        LISTS: len(listed),
        CAPTIONS: sum(map(len, listed.values())),
        PICTURES: sum(count["pictures"] for count in splits.values()),
        EVALUATED: sum(place.split != "train" for place in pictures),
    }
    checks = judge(findings, totals, options.limit)
    return {
        "data_path": options.data_path,
        "against": options.against,
        "fit": not any(check["severity"] == "error" for check in checks.values()),
        "splits": splits,
        "checks": checks,
        "findings": [finding._asdict() for finding in findings],
    }


def find_groups(pictures: list[Picture], distance: int) -> list[duplicates.Group]:
    return duplicates.find_groups(
        [picture.digest for picture in pictures],
        np.array([picture.hash for picture in pictures], bool).reshape(-1, 64),
        np.array([picture.look for picture in pictures]).reshape(-1, duplicates.LOOK_SIDE**2),
        np.array([picture.contrast < picture_checks.PLAIN_CONTRAST for picture in pictures], bool),
        distance,
    )


def caption_lengths(pairs: dict[str, list[tuple[str, str]]]) -> dict[str, list[int]]:
    """Tokens of every caption in BERT's vocabulary, [CLS] and [SEP] counted, nothing cut off."""
    tokenizer = CaptionTokenizer.from_vocabulary(BERT_VOCABULARY).tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    lengths = {}
    for split, listed in pairs.items():
        captions = [caption for _, caption in listed]
        starts = progress(range(0, len(captions), BATCH), "tokens", f"batches of {BATCH}")
        batches = (tokenizer.encode_batch(captions[start : start + BATCH]) for start in starts)
        lengths[split] = [len(one.ids) for batch in batches for one in batch]
    return lengths


def count_split(pairs: list[tuple[str, str]], readable: int, lengths: list[int]) -> dict[str, Any]:
    colors, two_or_more = data_checks.count_colors([caption for _, caption in pairs])
    return {
        "pictures": len({name for name, _ in pairs}),
        "readable": readable,
        "captions": len(pairs),
        "two_colors": two_or_more,
        "colors": colors.most_common(),
        "longest_caption": max(lengths, default=0),  # tokens
    }


if __name__ == "__main__":
    sys.exit(main())
