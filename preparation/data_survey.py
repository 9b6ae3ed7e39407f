"""A data folder, walked through: its lists and files, then every picture decoded once, many at a time."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from preparation import data_checks
from preparation.data_checks import SPLITS, Picture
from preparation.duplicates import Place
from preparation.faults import Finding
from utils.progress import progress

UNREAD = ("bad_list", "bad_pair", "bad_text", "bad_name", "missing_folder", "missing_file", "empty_file")


class Survey(NamedTuple):
    """A data set as its lists and folders tell, before a picture is opened."""

    root: Path
    pairs: dict[str, list[tuple[str, str]]]  # of each split that has a list
    places: list[Place]  # of the pictures whose files are there
    findings: list[Finding]


def take_survey(root: Path) -> Survey:
    """Reads the lists and looks for the files, of every split that has a list or a folder."""
    pairs, places, findings = {}, [], []
    for split in SPLITS:
        if not os.path.isfile(root / f"cap-img-pairs_{split}.json"):
            if os.path.isdir(root / split):
                findings.append(Finding("missing_list", split, split, f"cap-img-pairs_{split}.json is not there"))
            continue
        pairs[split], found = data_checks.read_list(root, split)
        names = list(dict.fromkeys(name for name, _ in pairs[split]))
        usable, found_files = data_checks.check_files(root, split, names)
        findings += found + found_files
        places += [Place(root, split, name) for name in usable]
    return Survey(root, pairs, places, findings)


def examine_all(places: list[Place], workers: int) -> tuple[list[Place], list[Picture], list[Finding]]:
    """The places that hold a picture, what `data_checks.examine` learnt there, and what is wrong with the others.

    In threads: decoders let go of the interpreter's lock.
    """
    whole, pictures, findings = [], [], []
    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(data_checks.examine, [place.path for place in places])
        try:
            bar = progress(results, "decoding", "picture", total=len(places))
            for place, result in zip(places, bar, strict=True):
                if isinstance(result, Picture):
                    whole.append(place)
                    pictures.append(result)
                else:
                    check, detail = result
                    findings.append(Finding(check, place.split, place.name, detail))
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C the rest is not decoded
    return whole, pictures, findings


def examine_other(root: Path, workers: int) -> tuple[list[Place], list[Picture], list[Finding]]:
    """The same of a data set that is only compared: its faults matter where they keep a picture from it."""
    survey = take_survey(root)
    places, pictures, findings = examine_all(survey.places, workers)
    findings += [found for found in survey.findings if found.check in UNREAD]
    named = [found._replace(check="not_compared", name=str(root / found.split / found.name)) for found in findings]
    return places, pictures, named
