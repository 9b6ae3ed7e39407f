"""Find the things that captions give colours to, for systems that sample instance by instance: masks_{split}.json and
masks_{split}/ of datasets/masks.py.

    python scripts/find_masks.py DATA                                   # val and test, those that are there
    python scripts/find_masks.py DATA --splits test --grounding_dino grounding-dino-tiny/ --sam sam-vit-base/

On the gray pictures, by transformers' Grounding DINO (phrase to box) and SAM (box to mask), from a folder or the hub
(inference/mask_finder.py). What is found is kept now and then: begun again, it goes on. A picture that fails is named
and the others go on. Exit status: 0; 1 where a picture failed; 2 where nothing could be begun.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.captioned_images import CaptionedImages
from datasets.image_files import read_image
from inference.annotate import Annotated, annotate, splits_there
from inference.grounding import GROUNDING_DINO, LEAST_SCORE, PhraseDetector
from inference.mask_finder import MaskFinder, folders_of, save_masks
from inference.segmentation import SAM, Segmenter
from utils import devices
from utils.devices import DEVICE_HELP
from utils.errors import InputError, exit_status


@exit_status
def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="data folder, or shards")
    parser.add_argument("--splits", nargs="+", help="default: val and test, those that are there; training reads none")
    parser.add_argument("--grounding_dino", default=GROUNDING_DINO, help="folder or hub name (default: %(default)s)")
    parser.add_argument("--sam", default=SAM, help="folder or hub name (default: %(default)s)")
    parser.add_argument("--least_score", type=float, default=LEAST_SCORE, help="of a box (default: %(default)s)")
    parser.add_argument("--batch_size", type=int, default=1, help="pictures at a time (default: %(default)s)")
    parser.add_argument("--device", default="auto", help=DEVICE_HELP)
    options = parser.parse_args(words)
    if options.batch_size < 1:
        raise InputError(f"--batch_size {options.batch_size}: pass 1 or more")
    splits = splits_there(options.data, options.splits, ("val", "test"))
    device, status = devices.choose(options.device), 0
    detector = PhraseDetector(options.grounding_dino, device, options.least_score)
    finder = MaskFinder(detector, Segmenter(options.sam, device))
    for split in splits:
        found = find_masks(options.data, split, finder, options.batch_size)
        print(f"masks_{split}.json: {sum(map(len, found.rows.values())):,} phrases on {len(found.rows):,} pictures")
        status = max(status, found.status)
    return status


def find_masks(data: Path, split: str, finder: MaskFinder, batch_size: int) -> Annotated:
    """Of every picture of the split, written as they come and as a whole at the end."""
    pictures = CaptionedImages(data, split, 1)
    captions: dict[str, list[str]] = {}
    for name, caption in pictures.pairs:
        captions.setdefault(name, []).append(caption)
    folders, root = folders_of(list(captions)), data / f"masks_{split}"

    def find(names: Sequence[str]) -> list[list[list[str]]]:
        read = [read_image(pictures.image(name)) for name in names]
        found = finder(read, [captions[name] for name in names])
        return [save_masks(own, root, folders[name]) for name, own in zip(names, found, strict=True)]

    return annotate(captions, find, data / f"masks_{split}.json", f"{split}, masks", batch_size)


if __name__ == "__main__":
    sys.exit(main())
