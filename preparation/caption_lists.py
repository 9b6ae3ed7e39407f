"""Captions as others published them, read into (image name, caption) pairs.

The forms: COCO's captions_*.json; {image: [captions]} (L-CoDe, L-CoDer, L-CAD); {image_index: caption} (COCO-LC);
[[image, caption], ...] (ours).
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

from datasets.image_files import leaves_folder
from datasets.words.captions import check_caption
from utils import text_files
from utils.errors import InputError

COCO_ORIGIN = "annotations_trainval2017.zip from cocodataset.org"
LIST_ORIGIN = "the list of L-CoDe, L-CoDer or L-CAD ({image: [captions]}) or of COCO-LC ({image_index: caption})"

_INDEXED = re.compile(r"(.+\.\w+)_\d+")
_KINDS = {  # what a file is that begins so, instead of JSON
    b"PK\x03\x04": "a zip archive; unpack it and pass the file inside",
    b"\x1f\x8b": "a gzip archive; unpack it and pass the file inside",
    b"BZh": "a bzip2 archive; unpack it and pass the file inside",
    b"<": "a web page, not the file; the download failed",
    b"version https://git-lfs": "a Git LFS pointer, not the file; fetch the file itself",
}


class Pair(NamedTuple):
    image: str  # its name inside the split's folder
    caption: str


def read_coco_captions(path: Path) -> list[Pair]:
    """Every caption of COCO's captions_{train,val}2017.json, the images in file order. Raises InputError."""
    content = read_json(path, COCO_ORIGIN)
    if not is_coco(content):
        raise InputError(f'{path}: holds no "images" and "annotations"; pass captions_*2017.json of {COCO_ORIGIN}')
    names: dict[Any, str] = {}
    for place, image in enumerate(content["images"]):
        check_keys(image, ("id", "file_name"), f"{path}: images[{place}]", f"expected {COCO_ORIGIN}")
        if image["id"] in names:
            raise InputError(f"{path}: two images have the id {image['id']!r}; take the file as it was published")
        names[image["id"]] = check_name(image["file_name"], f"{path}: images[{place}]")
    captions: dict[Any, list[str]] = {key: [] for key in names}
    for place, annotation in enumerate(content["annotations"]):
        where = f"{path}: annotations[{place}]"
        check_keys(annotation, ("image_id", "caption"), where, "pass captions_*.json, not instances")
        if annotation["image_id"] not in captions:
            raise InputError(f"{where} is of image {annotation['image_id']!r}, which is not in the file; take it anew")
        captions[annotation["image_id"]].append(tidy(annotation["caption"], where))
    return [Pair(name, caption) for key, name in names.items() for caption in captions[key]]


def read_captions(path: Path) -> list[Pair]:
    """Of COCO's captions_*.json or of a published list, in the order of the file. Raises InputError."""
    return (read_coco_captions if is_coco(read_json(path, LIST_ORIGIN)) else read_list)(path)


def is_coco(content: Any) -> bool:
    return isinstance(content, dict) and all(isinstance(content.get(key), list) for key in ("images", "annotations"))


def read_list(path: Path) -> list[Pair]:
    """A published list, in its own order, its captions as they stand there. Raises InputError."""
    content = read_json(path, LIST_ORIGIN)
    pairs: list[Pair] = []
    if isinstance(content, list):
        for place, entry in enumerate(content):
            where = f"{path}: entry {place}"
            if not (isinstance(entry, list) and len(entry) == 2):
                raise InputError(f"{where} is {short(entry)}; write [image, caption]")
            pairs.append(Pair(check_name(entry[0], where), text(entry[1], where)))
    elif isinstance(content, dict):
        for key, value in content.items():
            pairs += _entry(key, value, f"{path}: {key!r}")
    if not pairs:
        raise InputError(f"{path}: holds no captions; pass {LIST_ORIGIN}")
    return pairs


def _entry(key: str, value: Any, where: str) -> list[Pair]:
    if isinstance(value, str):
        match = _INDEXED.fullmatch(key)
        if match is None:
            raise InputError(f"{where} has one caption, so it should be image_index (a.jpg_0); pass {LIST_ORIGIN}")
        return [Pair(check_name(match[1], where), text(value, where))]
    if not isinstance(value, list):
        raise InputError(f"{where} has {short(value)}; pass {LIST_ORIGIN}")
    if any(isinstance(caption, list) for caption in value):
        raise InputError(
            f"{where} has word positions and no captions: object-colour correspondence; pass {LIST_ORIGIN}"
        )
    return [Pair(check_name(key, where), text(caption, where)) for caption in value]


def read_json(path: Path, origin: str, object_of: text_files.ObjectOf | None = None) -> Any:
    """The file's content. InputError says what the file is instead, and `origin`: where the right one comes from."""
    check_source(path, origin)
    size = path.stat().st_size
    remedy = f"no whole JSON file: it ends at {size:,} bytes: half-downloaded? expected {origin}"
    return text_files.read_json(path, remedy, object_of)


def check_source(path: Path, origin: str) -> None:
    """InputError unless the file is there, holds something, and is neither an archive nor a web page."""
    if not path.is_file():
        raise InputError(f"{path}: {'is a folder' if path.is_dir() else 'not there'}; expected {origin}")
    with path.open("rb") as file:
        start = file.read(300).lstrip()
    if path.stat().st_size == 0:
        raise InputError(f"{path}: empty (0 bytes); fetch it again: {origin}")
    for beginning, kind in _KINDS.items():
        if start.startswith(beginning):
            raise InputError(f"{path}: is {kind}. Expected {origin}")


def check_keys(record: Any, keys: tuple[str, ...], where: str, remedy: str) -> None:
    """InputError unless it is an object with these keys."""
    if not isinstance(record, dict) or not record.keys() >= {*keys}:
        raise InputError(f"{where} is {short(record)} and lacks {', '.join(keys[:-1])} or {keys[-1]}; {remedy}")


def check_name(name: Any, where: str) -> str:
    """An image name that stays inside its folder, or InputError."""
    if not isinstance(name, str) or leaves_folder(name):
        raise InputError(
            f"{where} names the image {short(name)}; a name stays inside its folder (no '..', no '/' first)"
        )
    return name


def text(caption: Any, where: str) -> str:
    """The caption as it is, or InputError."""
    if not isinstance(caption, str) or not caption.strip():
        raise InputError(f"{where} has {short(caption)} where a caption should stand")
    return check_caption(caption, where)


def tidy(caption: Any, where: str) -> str:
    """The caption with single spaces and none at its ends; an empty one stays empty, for the rules to count."""
    return "" if isinstance(caption, str) and not caption.strip() else " ".join(text(caption, where).split())


def short(value: Any) -> str:
    words = repr(value)
    return words if len(words) <= 80 else words[:77] + "..."
