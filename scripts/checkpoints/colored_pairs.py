"""Make a data folder of those training pairs whose captions name a colour that `--recolor` can replace.

    python scripts/checkpoints/colored_pairs.py DATA [DATA ...] OUTPUT [--join]

A round of training on them alone, with --recolor, is about words and colours (train_photos.sh has one). OUTPUT
gets the list of all folders' pairs and regions, that of their vals, and links to DATA's pictures; DATA holds files, not
shards. --join: of a folder without regions, a photograph of several captions gets one more, all of them in a row, so
that some are long.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from datasets.pair_list import read_pairs
from datasets.recolor import named_colors
from datasets.regions import read_regions
from utils.errors import InputError, exit_status


@exit_status
def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="+", help="data folder with cap-img-pairs_train.json and the pictures")
    parser.add_argument("output", type=Path, help="folder to make, or to make again")
    parser.add_argument("--join", action="store_true", help="also all captions of a photograph as one")
    options = parser.parse_args(words)
    kept, all_of_them = select(options.data, options.output, options.join)
    print(f"{options.output}: {kept} of {all_of_them} training pairs")


def select(folders: list[Path], output: Path, join: bool = False) -> tuple[int, int]:
    """How many training pairs are kept, and of how many."""
    pairs: dict[str, list[tuple[str, str]]] = {"train": [], "val": []}
    regions: dict[str, dict[str, Any]] = {"train": {}, "val": {}}
    for number, data in enumerate(folders):
        for split in pairs:
            if split == "val" and not (data / "cap-img-pairs_val.json").exists():
                continue
            own = read_pairs(data, split)
            _link(data / split, output / split / str(number))
            pairs[split] += [(f"{number}/{name}", caption) for name, caption in own]
            boxed = read_regions(data, split)
            if split == "train" and join and not boxed:  # in a row their words would need other places
                pairs[split] += [(f"{number}/{name}", caption) for name, caption in _joined(own)]
            for (name, caption), boxes in boxed.items():
                regions[split].setdefault(f"{number}/{name}", {})[caption] = boxes
    kept = [pair for pair in pairs["train"] if named_colors(pair[1])]
    if not kept:
        raise InputError(f"{' '.join(map(str, folders))}: no caption names a colour; pass another data folder")
    for split, listed in (("train", kept), ("val", pairs["val"])):
        (output / f"cap-img-pairs_{split}.json").write_text(json.dumps(listed), encoding="utf-8")
        (output / f"regions_{split}.json").write_text(json.dumps(regions[split]), encoding="utf-8")
    return len(kept), len(pairs["train"])


def _joined(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """(name, all captions) of the photographs that have several."""
    captions: dict[str, list[str]] = {}
    for name, caption in pairs:
        captions.setdefault(name, []).append(caption.strip().rstrip("."))
    return [(name, f"{'. '.join(of)}.") for name, of in captions.items() if len(of) > 1]


def _link(folder: Path, link: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder}: is no folder of pictures; pass a data folder with files, not shards")
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        link.unlink()
    link.symlink_to(folder.resolve(), target_is_directory=True)


if __name__ == "__main__":
    sys.exit(main())
