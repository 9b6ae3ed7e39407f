"""What can be wrong with a folder in the layout of docs/DATA.md: its lists, its captions and its pictures.

Where `captioned_images.read_pairs` stops at the first fault, this finds them all, and the ones that training would
not notice. `preparation.faults` names them all; `preparation.duplicates` finds the pictures that are there twice.
"""

import hashlib
import os
import stat
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from PIL import Image

from datasets.pair_list import pair_fault
from datasets.pictures.decode import decode_rgb
from datasets.pictures.find_pictures import stored_as, walk
from datasets.pictures.formats import TooLarge
from datasets.pictures.picture_file import PictureFile
from datasets.words import color_words
from preparation.color_captions import speaks_of_gray_photo
from preparation.duplicates import HASH_SIDE, LOOK_SIDE, Place, perceptual_hash
from preparation.faults import Finding
from preparation.picture_copies import MIN_CHROMA, chroma
from utils.errors import InputError
from utils.log import progress
from utils.text_files import read_json

SPLITS = ("train", "val", "test")
MEASURED_SIDE = 2 * HASH_SIDE  # pixels; chroma and hash are taken from the picture squashed to this square
UNREAD = ("bad_list", "bad_pair", "bad_text", "bad_name", "missing_folder", "missing_file", "empty_file")
PLAIN_CONTRAST = 2.5  # standard deviation of gray levels in [0, 255] below which a picture shows nothing


class Picture(NamedTuple):
    """What `examine` learns of a file."""

    width: int
    height: int
    mode: str
    frames: int
    chroma: float  # of `picture_copies.chroma`: what the preparation drops is what is found here
    contrast: float  # standard deviation of the gray levels
    digest: bytes  # of the file
    hash: np.ndarray  # (64,) bool
    look: np.ndarray  # (LOOK_SIDE ** 2,) float16, gray levels


class Bounds(NamedTuple):
    """What a picture must keep to."""

    min_chroma: float = MIN_CHROMA  # CIE units
    min_side: int = 64  # pixels
    max_aspect: float = 4.0  # the longer side over the shorter


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


def examine(path: Path) -> Picture | tuple[str, str]:
    """Reads and decodes a file once. A picture, or the check that it fails and what the decoder said."""
    decoding, data = False, b""
    try:
        data = path.read_bytes()
        with PictureFile(data, str(path)) as file:
            decoding = True
            width, height, mode, frames = *file.size, file.mode, file.frames
            small = decode_rgb(file, at_least=(MEASURED_SIDE, MEASURED_SIDE))  # every byte of a JPEG, at reduced size
    except TooLarge as error:
        return "decompression_bomb", str(error)
    except Exception as error:  # of the system, of memory: the report is written whatever a file raises
        web = data[:200].lstrip().lower().startswith((b"<!doctype", b"<html"))
        page = " (it begins like a web page)" if web else ""
        words = str(error.__cause__ or error) or type(error).__name__
        return "truncated_image" if decoding else "unreadable_image", words + page
    square = small.convert("L").resize((MEASURED_SIDE, MEASURED_SIDE), Image.Resampling.BOX)
    gray = _reduced(np.asarray(square, np.float32), HASH_SIDE)
    return Picture(
        *(width, height, mode, frames),
        chroma=chroma(small),
        contrast=float(np.std(square)),
        digest=hashlib.blake2b(data, digest_size=16).digest(),
        hash=perceptual_hash(gray),
        look=_reduced(gray, LOOK_SIDE).ravel().astype(np.float16),
    )


def _reduced(square: np.ndarray, side: int) -> np.ndarray:
    """The means of the blocks: (S, S) -> (side, side)."""
    block = len(square) // side
    return square.reshape(side, block, side, block).mean(axis=(1, 3))


def examine_all(places: list[Place], workers: int) -> tuple[dict[Place, Picture], list[Finding]]:
    """What `examine` learns of the pictures, and what is wrong with the others. Decoders let go of Python's lock."""
    pictures, findings = {}, []
    with ThreadPoolExecutor(workers) as pool:
        results = pool.map(examine, [place.path for place in places])
        try:
            bar = progress(results, "decoding", "picture", total=len(places))
            for place, result in zip(places, bar, strict=True):
                if isinstance(result, Picture):
                    pictures[place] = result
                else:
                    findings.append(Finding(result[0], place.split, place.name, result[1]))
        finally:
            pool.shutdown(cancel_futures=True)  # after Ctrl-C the rest is not decoded
    return pictures, findings


def examine_other(root: Path, workers: int) -> tuple[dict[Place, Picture], list[Finding]]:
    """The same of a data set that is only compared: its faults matter where they keep a picture from it."""
    _, places, findings = take_survey(root)
    pictures, found = examine_all(places, workers)
    found += [finding for finding in findings if finding.check in UNREAD]
    return pictures, [one._replace(check="not_compared", name=str(root / one.split / one.name)) for one in found]


def check_picture(place: Place, picture: Picture, bounds: Bounds) -> list[Finding]:
    sides = (picture.width, picture.height)
    plain = picture.contrast < PLAIN_CONTRAST
    faults = {
        "no_chroma": picture.chroma < bounds.min_chroma and f"chroma {picture.chroma:.1f}",
        "plain_image": plain and f"standard deviation {picture.contrast:.2f} of 255",
        "tiny_image": min(sides) < bounds.min_side and f"{sides[0]}x{sides[1]}",
        "extreme_aspect": max(sides) > bounds.max_aspect * min(sides) and f"{sides[0]}x{sides[1]}",
        "animated": picture.frames > 1 and f"{picture.frames} frames",
        "odd_mode": picture.mode not in ("RGB", "L") and f"mode {picture.mode}",
    }
    found = ((check, detail) for check, detail in faults.items() if detail)
    return [Finding(check, place.split, place.name, detail, files=(place.path,)) for check, detail in found]


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
