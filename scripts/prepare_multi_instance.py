"""The multi-instance data set from the sources that the paper names: MDETR's annotations and Localized Narratives.

    python scripts/prepare_multi_instance.py DATA --split train --mdetr final_mixed_train.json \\
        --narratives coco_train_localized_narratives-*.jsonl --coco train2017 --vg VG_100K VG_100K_2 --resize 256
    python scripts/prepare_multi_instance.py DATA --split val --list multi_instance.json --coco train2017 val2017 ...

The first keeps the captions that give colours to at least two instances (preparation/colored_things.py), the second
follows a published list of names such as coco_<id>.jpg_0. A source that you do not have is left out by --without.
Beside the pairs it writes DATA/prepare_<split>.json: what each rule dropped, what is missing, what is cut at 80 tokens.
The same command goes on where it was interrupted. docs/DATA.md says where to download.
"""

import argparse
import sys
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.words import color_words
from models.text import BERT_VOCABULARY, MAX_WORDS, CaptionTokenizer
from preparation import colored_things
from preparation.caption_lists import Pair
from preparation.multi_instance import RULES, SOURCES, file_names, read_mdetr, read_narratives, source_of
from preparation.picture_copies import ImageFolders
from preparation.prepared_folder import PreparedFolder, add_flags, check_flags
from preparation.selection import exclude, follow, select
from utils.errors import InputError, exit_status
from utils.log import progress

BATCH = 1000  # captions tokenised at once
OWN_RULES = RULES | {
    "repeated": "the picture has the same caption already",
    "beyond_captions_per_image": "the picture has --captions_per_image captions already",
}


@exit_status
def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_flags(parser)
    parser.add_argument("--mdetr", type=Path, nargs="+", default=[], help="MDETR's annotation files (final_*.json)")
    parser.add_argument("--narratives", type=Path, nargs="+", default=[], help="Localized Narratives' .jsonl files")
    parser.add_argument("--captions_per_image", type=int, help="keep the first so many of a picture (default: all)")
    parser.add_argument("--without", choices=SOURCES, nargs="+", default=[], help="sources to leave out")
    for source in SOURCES.values():
        parser.add_argument(source.flag, type=Path, nargs="+", default=[], help=f"folders; {source.origin}")
    options = parser.parse_args(arguments)
    check_flags(options)
    prepare(options)


def prepare(options: argparse.Namespace) -> None:
    if options.captions_per_image is not None and options.captions_per_image < 1:
        raise InputError(f"--captions_per_image {options.captions_per_image}: pass 1 or more")
    if (options.list is None) == (not options.mdetr and not options.narratives):
        raise InputError("pass either --mdetr and --narratives files, for our rules, or --list FILE, to follow a list")
    folders = read_folders(options)
    if options.list is not None:
        selection = follow(options.list, colored_things.drop_rule)
    else:
        judged = (one for path in options.mdetr for one in read_mdetr(path))
        narrated = (one for path in options.narratives for one in read_narratives(path))
        selection = select(progress(chain(judged, narrated), "rules", "caption"), OWN_RULES, options.captions_per_image)
    selection = exclude(selection, options.exclude)
    if options.without:
        gone = (name for name in selection.names() if source_of(name) in options.without)
        selection = selection.without("without_source", gone)
    named = Counter(source_of(pair.image) for pair in selection.pairs)
    for source, number in named.items():
        if folders is not None and source not in folders:
            flag, origin = SOURCES[source]
            remedy = f"pass {flag} FOLDER with its pictures ({origin}), or --without {source}"
            raise InputError(f"{number:,} captions are of {source}: {remedy}")
    tokens = cut(selection.pairs)
    selection = selection._replace(details=selection.details | {"captions_of": dict(named), "tokens": tokens})
    lists = {"--list": [options.list] if options.list else [], "--exclude": options.exclude}
    sources = lists | {"--mdetr": options.mdetr, "--narratives": options.narratives}
    folder = PreparedFolder("prepare_multi_instance.py", options, sources)
    folder.complete(selection, lambda image: folders[source_of(image)].find(file_names(image)))
    print(
        f"{tokens['words_per_caption']} words a caption; {tokens['captions_cut']:,}"
        f" ({tokens['captions_cut'] / tokens['captions']:.1%}) have more than {MAX_WORDS} tokens (the longest"
        f" {tokens['longest']}) and are cut; {tokens['captions_losing_color_words']:,} of them lose colour words"
    )


def read_folders(options: argparse.Namespace) -> dict[str, ImageFolders] | None:
    """The folders of each source; GQA's and Visual Genome's stand for each other. None with --lists_only."""
    given = {name: getattr(options, source.flag.removeprefix("--")) for name, source in SOURCES.items()}
    if options.lists_only:
        for name, folders in given.items():
            if folders:
                raise InputError(f"{SOURCES[name].flag}: --lists_only looks at no pictures; leave out one of both")
        return None
    given["vg"], given["GQA"] = given["vg"] or given["GQA"], given["GQA"] or given["vg"]
    return {name: ImageFolders(folders, *SOURCES[name]) for name, folders in given.items() if folders}


def cut(pairs: list[Pair]) -> dict[str, Any]:
    """What the network does not read: it takes 80 tokens of a caption, BERT's [CLS] and [SEP] counted."""
    tokenizer = CaptionTokenizer.from_vocabulary(BERT_VOCABULARY).tokenizer
    tokenizer.no_truncation()
    tokenizer.no_padding()
    totals = Counter(captions=len(pairs), captions_cut=0, captions_losing_color_words=0)
    longest = 0
    for start in progress(range(0, len(pairs), BATCH), "tokens", f"batches of {BATCH}"):
        captions = [pair.caption for pair in pairs[start : start + BATCH]]
        for caption, encoded in zip(captions, tokenizer.encode_batch(captions), strict=True):
            longest = max(longest, len(encoded.ids))
            if len(encoded.ids) > MAX_WORDS:
                end = encoded.offsets[MAX_WORDS - 2][1]  # the last of the 78 that stay between the marks
                loses = any(last > end for _, last in color_words.find(caption))
                totals.update(captions_cut=1, captions_losing_color_words=int(loses))
    words = sum(len(pair.caption.split()) for pair in pairs)
    return dict(totals) | {"longest": longest, "words_per_caption": round(words / max(len(pairs), 1), 1)}


if __name__ == "__main__":
    sys.exit(main())
