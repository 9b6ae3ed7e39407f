"""The list of a split's pairs: `root/cap-img-pairs_{split}.json`."""

from pathlib import Path

from datasets.image_files import leaves_folder
from datasets.words.captions import check_caption
from utils.errors import InputError
from utils.text_files import read_json


def read_pairs(root: Path, split: str) -> list[tuple[str, str]]:
    """The (image name, caption) pairs of a split, in file order. Raises InputError on anything else."""
    path = list_path(root, split)
    if not path.is_file():
        there = sorted(p.name for p in root.glob("cap-img-pairs_*.json")) or "none"
        raise InputError(f"{path}: not there; --data_path needs this list of [image name, caption] (found: {there})")
    content = read_json(path, "write [[image, caption], ...] or {image: [captions]}")
    if isinstance(content, dict):
        wrong = [name for name, captions in content.items() if not isinstance(captions, list)]
        if wrong:
            raise InputError(f"{path}: {wrong[0]!r} has {content[wrong[0]]!r}; give each image a list of captions")
        content = [[name, caption] for name, captions in content.items() for caption in captions]
    elif not isinstance(content, list):
        raise InputError(
            f"{path}: holds a {type(content).__name__}; write [[image, caption], ...] or {{image: [captions]}}"
        )
    if not content:
        raise InputError(f"{path}: holds no pairs; write [[image, caption], ...] or {{image: [captions]}}")
    for place, pair in enumerate(content):
        if fault := pair_fault(pair):
            raise InputError(f"{path}: pair {place} {fault[1]}")
    return [(name, caption) for name, caption in content]


def list_path(root: Path, split: str) -> Path:
    return root / f"cap-img-pairs_{split}.json"


def pair_fault(pair: object) -> tuple[str, str] | None:
    """What is wrong with an entry of a list: the name of the check (preparation/faults.py), and a message."""
    if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
        return "bad_pair", f"is {str(pair)[:200]!r}; each pair is [image name, caption], two strings"
    name, caption = pair
    for part in pair:
        try:
            check_caption(part, "")
        except InputError as error:
            return "bad_text", str(error).strip()
    if not caption.strip():
        return "empty_caption", f"({name}) has an empty caption; write one or take the pair out"
    if leaves_folder(name):
        return "bad_name", f"names {name!r}; an image name stays inside its split's folder (no '..', no '/' first)"
    return None
