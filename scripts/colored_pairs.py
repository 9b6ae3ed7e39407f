"""Make a data folder of those training pairs whose captions name a colour that `--recolor` can replace.

    python scripts/colored_pairs.py DATA OUTPUT

A round of training on them alone, with --recolor, is about words and colours (scripts/train_photos.sh has one). OUTPUT
gets their list, the list of val, and links to DATA's pictures; DATA holds files, not shards.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.captioned_images import read_pairs
from datasets.recolor import named_colors
from utils.errors import InputError


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="data folder with cap-img-pairs_{train,val}.json and the pictures")
    parser.add_argument("output", type=Path, help="folder to make, or to make again")
    options = parser.parse_args(words)
    try:
        kept, all_of_them = select(options.data, options.output)
    except (InputError, OSError) as error:
        print(f"colored_pairs.py: {error}", file=sys.stderr)
        return 2
    print(f"{options.output}: {kept} of {all_of_them} training pairs")
    return 0


def select(data: Path, output: Path) -> tuple[int, int]:
    """How many training pairs are kept, and of how many."""
    pairs = {split: read_pairs(data, split) for split in ("train", "val")}
    kept = [pair for pair in pairs["train"] if named_colors(pair[1])]
    if not kept:
        raise InputError(f"{data / 'cap-img-pairs_train.json'}: no caption names a colour; pass another data folder")
    output.mkdir(parents=True, exist_ok=True)
    for split, listed in (("train", kept), ("val", pairs["val"])):
        if not (data / split).is_dir():
            raise InputError(f"{data / split}: is no folder of pictures; pass a data folder with files, not shards")
        link = output / split
        if link.is_symlink():
            link.unlink()
        link.symlink_to((data / split).resolve(), target_is_directory=True)
        (output / f"cap-img-pairs_{split}.json").write_text(json.dumps(listed), encoding="utf-8")
    return len(kept), len(pairs["train"])


if __name__ == "__main__":
    sys.exit(main())
