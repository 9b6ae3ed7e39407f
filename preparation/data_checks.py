"""What can be wrong with a folder in the layout of docs/DATA.md: its lists, its files and its captions.

Where `pair_list.read_pairs` stops at the first fault, this finds them all, and the ones that training would
not notice. `preparation.faults` names them all; `preparation.picture_checks` opens the pictures.
"""

import os
import stat
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from datasets.pair_list import pair_fault
from datasets.pictures.find_pictures import stored_as, walk
from datasets.words import color_words
from preparation.color_captions import speaks_of_gray_photo
from preparation.duplicates import Place
from preparation.faults import Finding
from utils.errors import InputError
from utils.log import progress
from utils.text_files import read_json

SPLITS = ("train", "val", "test")


class _Object(list):
    """The (key, value) pairs of a JSON object: a dict would drop repeated keys."""


Pairs = dict[str, list[tuple[str, str]]]
"""Of each split that has a list."""


def take_survey(root: Path) -> tuple[Pairs, list[Place], list[Finding]]:
    """Reads the lists, and looks for the files without opening a picture, of every split that has a list or a folder.

    The places are those of the pictures whose files are there.
    """
    pairs, places, findings = {}, [], []
    for split in SPLITS:
        if not os.path.isfile(root / f"cap-img-pairs_{split}.json"):
            if os.path.isdir(root / split):
                findings.append(Finding("missing_list", split, split, f"cap-img-pairs_{split}.json is not there"))
            continue
        pairs[split], found = read_list(root, split)
        usable, found_files = check_files(root, split, list(dict.fromkeys(name for name, _ in pairs[split])))
        findings += found + found_files
        places += [Place(root, split, name) for name in usable]
    return pairs, places, findings


def read_list(root: Path, split: str) -> tuple[list[tuple[str, str]], list[Finding]]:
    """The (image name, caption) pairs that can be read, in file order, and what is wrong with the rest."""
    path = root / f"cap-img-pairs_{split}.json"
    try:
        content = read_json(path, "write it as UTF-8 JSON", _Object)
    except InputError as error:
        return [], [Finding("bad_list", split, path.name, str(error))]
    if not isinstance(content, list) or not content:
        held = "no pairs" if isinstance(content, list) else f"a {type(content).__name__}"
        return [], [Finding("bad_list", split, path.name, f"holds {held}")]
    entries, found = content, []
    if isinstance(content, _Object):
        times = Counter(name for name, _ in content)
        found += [Finding("repeated_name", split, name, f"{n} times") for name, n in times.items() if n > 1]
        found += [Finding("no_caption", split, name, "[]") for name, captions in content if captions == []]
        entries = []
        for name, captions in content:  # what is no list of captions makes no pair, and is shown as it stands
            entries += [[name, caption] for caption in captions] if type(captions) is list else [{name: captions}]
    faults = [pair_fault(None if isinstance(entry, _Object) else entry) for entry in entries]
    for place, (entry, fault) in enumerate(zip(entries, faults, strict=True)):
        if fault is not None:
            found.append(Finding(fault[0], split, "", f"entry {place}: {str(entry)[:200]!r}"))
    return [tuple(entry) for entry, fault in zip(entries, faults, strict=True) if fault is None], found


def check_files(root: Path, split: str, names: list[str]) -> tuple[list[str], list[Finding]]:
    """The names whose files can be opened, as they are stored; and what is wrong with the others and the folder."""
    folder = root / split
    if not os.path.isdir(folder):
        return [], [Finding("missing_folder", split, split, f"{len(names)} images are listed")]
    unlisted: list[str] = []
    there = {path.relative_to(folder).as_posix() for path in walk(folder, unlisted=unlisted)}
    alike = defaultdict(list)
    for name in sorted(there):
        alike[_folded(name)].append(name)
    usable, found = [], [Finding("unlisted_file", split, "", reason) for reason in unlisted]
    listed = set()
    for name in progress(names, f"{split}, looking for", "file"):
        name = stored_as(folder, name)
        listed.add(PurePosixPath(name).as_posix())
        fault = _file_fault(folder / name)
        if fault is None:
            usable.append(name)
        else:
            near = [f"; there is {other!r}" for other in alike[_folded(name)] if other != name]
            found.append(Finding(fault[0], split, name, fault[1] + "".join(near)))
    found += [Finding("unlisted_file", split, name, "", files=(folder / name,)) for name in sorted(there - listed)]
    for clash in alike.values():
        if len(clash) > 1:
            files = tuple(folder / name for name in clash)
            found.append(Finding("case_clash", split, clash[0], " ".join(map(repr, clash)), "", len(clash), files))
    return usable, found


def _file_fault(path: Path) -> tuple[str, str] | None:
    try:
        status = path.stat()
    except OSError as error:  # not there, or a name that the file system does not take
        return "missing_file", error.strerror
    if not stat.S_ISREG(status.st_mode):
        return "missing_file", "not a file"
    return ("empty_file", "0 bytes") if status.st_size == 0 else None


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def check_captions(
    root: Path, split: str, pairs: list[tuple[str, str]], lengths: list[int], most: int
) -> Iterator[Finding]:
    """The findings in the captions, in file order. lengths: tokens of each; most: how many the network reads."""
    seen = set()
    shown = progress(pairs, f"{split}, checking", "caption")
    for (name, caption), length in zip(shown, lengths, strict=True):
        odd = [character for character in caption if unicodedata.category(character) == "Cc" or character == "\ufffd"]
        faults = {
            "no_color": not color_words.find(caption) and "no colour word",
            "black_and_white": speaks_of_gray_photo(caption) and "speaks of a photo without colours",
            "long_caption": length > most and f"{length} tokens, {most} are read",
            "garbled_caption": odd and f"{odd[0]!r}",
            "repeated_pair": (name, caption) in seen and "again",
        }
        seen.add((name, caption))
        for check, detail in faults.items():
            if detail:
                yield Finding(check, split, name, detail, caption, files=(root / split / name,))


def count_colors(captions: list[str]) -> tuple[Counter[str], int]:
    """How many captions name each colour family, and how many name two or more."""
    families: Counter[str] = Counter()
    two_or_more = 0
    for caption in progress(captions, "colours", "caption"):
        named = {color_words.family(caption[start:end]) for start, end in color_words.find(caption)}
        families.update(named)
        two_or_more += len(named) > 1
    return families, two_or_more
