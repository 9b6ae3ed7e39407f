"""Object-colour pairs for captions that have none, by the rules of datasets/words/color_phrases.py.

    python scripts/correspondence.py DATA/cap-img-pairs_train.json DATA/correspondence_train.json
    python scripts/correspondence.py DATA/cap-img-pairs_train.json --measure annotated.json

CAPTIONS is [[image, caption], ...], {image: [captions]}, {image_index: caption} or a captions_*.json of COCO. What is
written is L-CoDer's form: {image: [[[object word, colour word], ...] for every caption]}, positions from 1. Training
reads it with `--correspondence`, for systems that learn from it; L-CoIns itself does not.

--measure compares the rules' pairs with an annotation of the same captions and writes nothing.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.words import color_words, correspondence
from datasets.words.color_phrases import propose
from datasets.words.correspondence import Pairs
from preparation.caption_lists import LIST_ORIGIN, is_coco, read_coco_captions, read_json, read_list
from utils.errors import InputError
from utils.files import write_text
from utils.progress import progress


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captions", type=Path, metavar="CAPTIONS", help="JSON of images and captions")
    parser.add_argument("output", type=Path, nargs="?", metavar="OUTPUT", help="file to write")
    parser.add_argument("--measure", type=Path, metavar="FILE", help="annotation of CAPTIONS to compare the rules with")
    parser.add_argument("--overwrite", action="store_true", help="write over OUTPUT")
    options = parser.parse_args(arguments)
    try:
        if (options.output is None) == (options.measure is None):
            raise InputError(f"{options.captions}: pass either OUTPUT or --measure FILE")
        captioned = read_captions(options.captions)
        proposed = [propose(caption) for _, caption in progress(captioned, "rules", "caption")]
        if options.measure is None:
            write(options.output, captioned, proposed, options.overwrite)
        else:
            print_agreement(
                proposed, correspondence.fit(options.measure, correspondence.read(options.measure), captioned)
            )
    except InputError as error:
        print(f"correspondence.py: {error}", file=sys.stderr)
        return 2
    return 0


def read_captions(path: Path) -> list[tuple[str, str]]:
    """(image, caption) in the order of the file, whichever of the published forms it has."""
    return [*map(tuple, read_coco_captions(path) if is_coco(read_json(path, LIST_ORIGIN)) else read_list(path))]


def write(path: Path, captioned: Sequence[tuple[str, str]], pairs: Sequence[Pairs], overwrite: bool) -> None:
    """Atomic. InputError where `path` is there or cannot be written."""
    if path.exists() and not overwrite:
        raise InputError(f"{path}: is there already; pass another OUTPUT or --overwrite")
    metadata: dict[str, list[Pairs]] = {}
    for (image, _), own in zip(captioned, pairs, strict=True):
        metadata.setdefault(image, []).append(own)
    write_text(path, json.dumps(metadata) + "\n")
    colors = sum(len(color_words.find(caption)) for _, caption in captioned)
    found, captions = sum(map(len, pairs)), sum(map(bool, pairs))
    print(f"{path}: {found:,} pairs in {captions:,} of {len(captioned):,} captions, which name {colors:,} colours")


def print_agreement(proposed: Sequence[Pairs], annotated: Sequence[Pairs]) -> None:
    """A pair is found where both of its words are the same."""
    common = sum(len({*ours} & {*theirs}) for ours, theirs in zip(proposed, annotated, strict=True))
    ours, theirs = (sum(len({*pairs}) for pairs in given) for given in (proposed, annotated))
    print(f"pairs       {ours:,} proposed, {theirs:,} annotated, {common:,} in both")
    print(f"precision   {common / max(ours, 1):.4f}")
    print(f"recall      {common / max(theirs, 1):.4f}")


if __name__ == "__main__":
    sys.exit(main())
