"""Make a data folder from photographs without captions and a detector's boxes: captions that say the things' colours.

    python scripts/caption_objects.py DATA --images PHOTOS --boxes boxes.json --val 400 --val_names "coco_*"

The colours are measured inside the boxes (preparation/object_colors.py) and told in captions from one thing in a few
words to six in sixty (preparation/object_captions.py). --boxes: {image: [[left, top, right, bottom, score, class]]},
sides in [0, 1], classes COCO's eighty from 0. DATA gets links to the photographs in train/, val/ and uncaptioned/
(those of which nothing can be said, for --uncaptioned), the lists of pairs, and regions_{split}.json, where each colour
word's thing is, for --recolor. val is chosen by the names' hashes among photographs that show three colours or more;
each has one short and one long caption there.
"""

import argparse
import hashlib
import sys
from fnmatch import fnmatch
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.image_files import read_image
from preparation.caption_lists import check_name
from preparation.object_captions import ObjectCaption, write
from preparation.object_colors import CLASSES, Thing, find_scenery, find_things
from utils.errors import InputError, exit_status
from utils.files import write_json
from utils.log import progress
from utils.text_files import read_json

MOST_THINGS = 6
SHORT, LONG = 2, 2  # captions of a photograph for training; long ones where it has several colours


@exit_status
def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="data folder to make, or to make again")
    parser.add_argument("--images", type=Path, required=True, help="folder of the photographs")
    parser.add_argument("--boxes", type=Path, required=True, help="JSON of their boxes")
    parser.add_argument("--val", type=int, default=0, help="photographs kept apart for val (default: 0)")
    parser.add_argument("--val_names", default="*", help="pattern of the names that val is chosen among (default: all)")
    parser.add_argument("--least_score", type=float, default=0.22, help="of the boxes that count (default: 0.22)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of words (default: 0)")
    options = parser.parse_args(words)
    counts = prepare(options)
    print(f"{options.data}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()))


def prepare(options: argparse.Namespace) -> dict[str, int]:
    """How many of what was made."""
    boxes = read_boxes(options.boxes)
    things: dict[str, list[Thing]] = {}
    for name in progress(sorted(boxes), "colours", "picture"):
        rgb = np.asarray(read_image(options.images / name))
        found = find_things(rgb, boxes[name], options.least_score)
        things[name] = found + find_scenery(rgb, found)
    ordered = sorted(things, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    several = [name for name in ordered if fnmatch(name, options.val_names) and _colored(things[name]) >= 3]
    if len(several) < options.val:
        raise InputError(f"--val {options.val}: {len(several)} of these photographs show three colours; pass fewer")
    captions: dict[str, dict[str, list[ObjectCaption]]] = {"train": {}, "val": {}}
    for name in sorted(things):
        draw = np.random.default_rng((options.seed, int(hashlib.sha256(name.encode()).hexdigest()[:12], 16)))
        split = "val" if name in several[: options.val] else "train"
        captions[split][name] = _captions(things[name], draw, *((1, 1) if split == "val" else (SHORT, LONG)))
    uncaptioned = [name for name, found in captions["train"].items() if not found]
    for split, of in captions.items():
        _write(options, split, {name: found for name, found in of.items() if found})
    _link(options.data / "uncaptioned", options.images, uncaptioned)
    counts = {f"captions in {split}": sum(map(len, of.values())) for split, of in captions.items()}
    return counts | {"photographs without": len(uncaptioned)}


def read_boxes(path: Path) -> dict[str, list[list[float]]]:
    """Raises InputError on anything but {image: [[left, top, right, bottom, score, class], ...]}."""
    form = "{image: [[left, top, right, bottom, score, class], ...]}"
    try:
        content = read_json(path, "write it again")
        for name, boxes in content.items():
            check_name(name, "it")
            for left, top, right, bottom, _, kind in boxes:
                if not (left < right and top < bottom and kind in range(len(CLASSES))):
                    raise ValueError(f"{name} has {[left, top, right, bottom, kind]}")
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"--boxes {path}: is not {form} ({error})") from error
    return content


def _colored(things: list[Thing]) -> int:
    """Different looks, as captions can tell them apart."""
    return len({(thing.kind, *(p.names for p in thing.colors.values())) for thing in things if thing.colors})


def _captions(things: list[Thing], draw: np.random.Generator, short: int, long: int) -> list[ObjectCaption]:
    """Each once; fewer where there is not enough to say."""
    asked = [(int(draw.integers(1, 3)), False)] * short
    if _colored(things) >= 2:
        asked += [
            (MOST_THINGS if place == 0 else int(draw.integers(2, MOST_THINGS + 1)), True) for place in range(long)
        ]
    written = (write(things, number, is_long, draw) for number, is_long in asked)
    return list({caption.text: caption for caption in written if caption is not None}.values())


def _write(options: argparse.Namespace, split: str, captions: dict[str, list[ObjectCaption]]) -> None:
    if not captions:
        return
    _link(options.data / split, options.images, list(captions))
    pairs = [[name, caption.text] for name, of in captions.items() for caption in of]
    regions = {name: {caption.text: caption.regions for caption in of} for name, of in captions.items()}
    write_json(options.data / f"cap-img-pairs_{split}.json", pairs)
    write_json(options.data / f"regions_{split}.json", regions)


def _link(folder: Path, images: Path, names: list[str]) -> None:
    """Links to these pictures, and none left from another time."""
    for link in folder.rglob("*") if folder.is_dir() else []:
        if link.is_symlink():
            link.unlink()
    for name in names:
        link = folder / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to((images / name).resolve())


if __name__ == "__main__":
    sys.exit(main())
