"""Find the objects of photographs, for systems that colour them one by one: boxes_{split}.json of datasets/boxes.py.

    python scripts/detect_boxes.py DATA                                    # every split that is there
    python scripts/detect_boxes.py DATA --splits val --detector_weights maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth

By torchvision's Mask R-CNN on the gray picture, as InstColorization has it (inference/detection.py); its weights are
fetched where they are not cached. What is found is kept now and then: begun again, it goes on. A picture that fails is
named and the others go on. Exit status: 0; 1 where a picture failed; 2 where nothing could be begun.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.boxes import Wanted, boxes_path
from datasets.captioned_images import CaptionedImages
from datasets.image_files import read_image
from inference.annotate import Annotated, annotate, splits_there
from inference.detection import WANTED, Detector
from utils import devices
from utils.devices import DEVICE_HELP
from utils.errors import exit_status


@exit_status
def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="data folder, or shards")
    parser.add_argument("--splits", nargs="+", help="default: those that are there")
    parser.add_argument("--detector_weights", help="file with torchvision's names; else its cache, or its download")
    parser.add_argument("--least_score", type=float, default=WANTED.least_score, help="(default: %(default)s)")
    parser.add_argument("--most", type=int, default=WANTED.most, help="boxes of a picture (default: %(default)s)")
    parser.add_argument("--device", default="auto", help=DEVICE_HELP)
    options = parser.parse_args(words)
    splits = splits_there(options.data, options.splits, ("train", "val", "test"))
    detector, status = Detector(options.detector_weights, devices.choose(options.device)), 0
    for split in splits:
        found = detect(options.data, split, detector, Wanted(options.most, options.least_score))
        print(f"boxes_{split}.json: {sum(map(len, found.rows.values())):,} objects on {len(found.rows):,} pictures")
        status = max(status, found.status)
    return status


def detect(data: Path, split: str, detector: Detector, wanted: Wanted) -> Annotated:
    """Of every picture of the split, written as they come and as a whole at the end."""
    pictures = CaptionedImages(data, split, 1, captions=False)

    def find(names: Sequence[str]) -> list[list[list[float]]]:
        return [detector(read_image(pictures.image(name)), wanted) for name in names]

    return annotate((name for name, _ in pictures.pairs), find, boxes_path(data, split), f"{split}, objects")


if __name__ == "__main__":
    sys.exit(main())
