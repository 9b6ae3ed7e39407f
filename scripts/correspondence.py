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
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.words import color_words, correspondence
from datasets.words.color_phrases import propose
from preparation.caption_lists import LIST_ORIGIN, read_coco_captions, read_json, read_list
from utils.errors import InputError
from utils.progress import progress


class Agreement(NamedTuple):
    """Of two sets of pairs of the same captions; a pair counts as found where both of its words are the same."""

    captions: int
    captions_equal: int  # the same pairs, perhaps none
    proposed: int  # pairs
    annotated: int
    common: int
    colors: int  # that have a thing in both, the same or not

    @property
    def precision(self) -> float:
        return self.common / self.proposed if self.proposed else 0.0

    @property
    def recall(self) -> float:
        return self.common / self.annotated if self.annotated else 0.0


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captions", type=Path, metavar="CAPTIONS", help="JSON of images and captions")
    parser.add_argument("output", type=Path, nargs="?", metavar="OUTPUT", help="file to write")
    parser.add_argument("--measure", type=Path, metavar="FILE", help="annotation of CAPTIONS to compare the rules with")
    parser.add_argument("--show", type=int, default=10, help="captions to print where they differ (default: 10)")
    parser.add_argument("--overwrite", action="store_true", help="write over OUTPUT")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        if (options.output is None) == (options.measure is None):
            raise InputError(f"{options.captions}: pass either OUTPUT or --measure FILE")
        captioned = read_captions(options.captions)
        proposed = [propose(caption) for _, caption in progress(captioned, "rules", "caption")]
        if options.measure is None:
            write(options.output, captioned, proposed, options.overwrite)
            report(options.output, captioned, proposed)
        else:
            annotated = correspondence.fit(options.measure, correspondence.read(options.measure), captioned)
            print_agreement(measure(proposed, annotated))
            for line in differences([caption for _, caption in captioned], proposed, annotated, options.show):
                print(line)
    except InputError as error:
        print(f"correspondence.py: {error}", file=sys.stderr)
        return 2
    return 0


def read_captions(path: Path) -> list[tuple[str, str]]:
    """(image, caption) in the order of the file, whichever of the published forms it has."""
    content = read_json(path, LIST_ORIGIN)
    coco = isinstance(content, dict) and {"images", "annotations"} <= content.keys()
    return [tuple(pair) for pair in (read_coco_captions(path) if coco else read_list(path))]


def write(
    path: Path, captioned: Sequence[tuple[str, str]], pairs: Sequence[correspondence.Pairs], overwrite: bool
) -> None:
    """All or nothing: a run that is interrupted leaves no half file. InputError where `path` is there or cannot be."""
    if path.exists() and not overwrite:
        raise InputError(f"{path}: is there already; pass another OUTPUT or --overwrite")
    metadata: dict[str, list[correspondence.Pairs]] = {}
    for (image, _), own in zip(captioned, pairs, strict=True):
        metadata.setdefault(image, []).append(own)
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps(metadata) + "\n", encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); pass a file in a folder that is there"
        ) from error


def report(path: Path, captioned: Sequence[tuple[str, str]], pairs: Sequence[correspondence.Pairs]) -> None:
    colors = sum(len(color_words.find(caption)) for _, caption in captioned)
    found, captions = sum(map(len, pairs)), sum(map(bool, pairs))
    print(f"{path}: {found:,} pairs in {captions:,} of {len(captioned):,} captions, which name {colors:,} colours")


def measure(proposed: Sequence[correspondence.Pairs], annotated: Sequence[correspondence.Pairs]) -> Agreement:
    both = [(set(a), set(b)) for a, b in zip(proposed, annotated, strict=True)]
    return Agreement(
        captions=len(both),
        captions_equal=sum(a == b for a, b in both),
        proposed=sum(len(a) for a, _ in both),
        annotated=sum(len(b) for _, b in both),
        common=sum(len(a & b) for a, b in both),
        colors=sum(len({color for _, color in a} & {color for _, color in b}) for a, b in both),
    )


def print_agreement(agreement: Agreement) -> None:
    print(f"captions    {agreement.captions:,}, the same pairs in {agreement.captions_equal:,}")
    print(
        f"pairs       {agreement.proposed:,} proposed, {agreement.annotated:,} annotated, {agreement.common:,} in both"
    )
    print(f"precision   {agreement.precision:.4f}")
    print(f"recall      {agreement.recall:.4f}")
    if agreement.colors:
        share = agreement.common / agreement.colors
        print(f"same thing  {share:.4f} of the {agreement.colors:,} colours that both give a thing")


def differences(
    captions: Sequence[str],
    proposed: Sequence[correspondence.Pairs],
    annotated: Sequence[correspondence.Pairs],
    most: int,
) -> list[str]:
    """The first `most` captions with other pairs, each with what only the rules and only the annotation say."""
    lines = []
    for caption, ours, theirs in zip(captions, proposed, annotated, strict=True):
        if len(lines) == most:
            break
        if set(ours) != set(theirs):
            only = [_in_words(caption, sorted(set(a) - set(b))) for a, b in ((ours, theirs), (theirs, ours))]
            lines.append(f"{caption}\n    rules: {only[0]}; annotation: {only[1]}")
    return lines


def _in_words(caption: str, pairs: correspondence.Pairs) -> str:
    words = caption.split()
    return ", ".join(f"{words[color - 1]} {words[thing - 1]}" for thing, color in pairs) or "-"


if __name__ == "__main__":
    sys.exit(main())
