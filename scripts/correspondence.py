"""Object-colour pairs for captions that have none, by the rules of datasets/words/color_phrases.py.

    python scripts/correspondence.py DATA/cap-img-pairs_train.json DATA/correspondence_train.json

CAPTIONS is [[image, caption], ...], {image: [captions]}, {image_index: caption} or a captions_*.json of COCO. What is
written is L-CoDer's form: {image: [[[object word, colour word], ...] for every caption]}, positions from 1. Systems
that learn from it, L-CoDe and L-CoDer, read correspondence_train.json of their data folder, or `--correspondence FILE`.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.words import color_words
from datasets.words.color_phrases import propose
from datasets.words.correspondence import Pairs
from preparation.caption_lists import read_captions
from utils.errors import InputError, exit_status
from utils.files import write_text
from utils.log import progress


@exit_status
def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captions", type=Path, metavar="CAPTIONS", help="JSON of images and captions")
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="file to write")
    parser.add_argument("--overwrite", action="store_true", help="write over OUTPUT")
    options = parser.parse_args(arguments)
    if options.output.exists() and not options.overwrite:
        raise InputError(f"{options.output}: is there already; pass another OUTPUT or --overwrite")
    metadata: dict[str, list[Pairs]] = {}
    captions = read_captions(options.captions)
    for image, caption in progress(captions, "rules", "caption"):
        metadata.setdefault(image, []).append(propose(caption))
    write_text(options.output, json.dumps(metadata) + "\n")
    proposed = [pairs for of_image in metadata.values() for pairs in of_image]
    colors = sum(len(color_words.find(caption)) for _, caption in captions)
    print(
        f"{options.output}: {sum(map(len, proposed)):,} pairs in {sum(map(bool, proposed)):,} of {len(captions):,}"
        f" captions, which name {colors:,} colours"
    )


if __name__ == "__main__":
    sys.exit(main())
