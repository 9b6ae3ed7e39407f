"""Find the objects of photographs, for systems that colour them one by one: boxes_{split}.json of datasets/boxes.py.

    python scripts/detect_boxes.py DATA                                    # every split that is there
    python scripts/detect_boxes.py DATA --splits val --detector_weights maskrcnn_resnet50_fpn_v2_coco-73cbd019.pth

By torchvision's Mask R-CNN on the gray picture, as InstColorization has it (inference/detection.py); its weights are
fetched where they are not cached. What is found is kept now and then: begun again, it goes on.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.boxes import Wanted, boxes_path
from datasets.captioned_images import CaptionedImages
from datasets.image_files import read_image
from inference.detection import WANTED, Detector
from utils import devices, files
from utils.devices import DEVICE_HELP
from utils.errors import InputError, exit_status
from utils.log import progress
from utils.text_files import read_json

KEPT_EVERY = 30.0  # seconds


@exit_status
def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA", help="data folder, or shards")
    parser.add_argument("--splits", nargs="+", help="default: those that are there")
    parser.add_argument("--detector_weights", help="file with torchvision's names; else its cache, or its download")
    parser.add_argument("--least_score", type=float, default=WANTED.least_score, help="(default: %(default)s)")
    parser.add_argument("--most", type=int, default=WANTED.most, help="boxes of a picture (default: %(default)s)")
    parser.add_argument("--device", default="auto", help=DEVICE_HELP)
    options = parser.parse_args(words)
    splits = options.splits or [s for s in ("train", "val", "test") if (options.data / s).is_dir()]
    if not splits:
        raise InputError(f"{options.data}: no train, val or test in it; pass a data folder, or --splits")
    detector = Detector(options.detector_weights, devices.choose(options.device))
    for split in splits:
        found = detect(options.data, split, detector, Wanted(options.most, options.least_score))
        print(f"boxes_{split}.json: {sum(map(len, found.values())):,} objects on {len(found):,} pictures")


def detect(data: Path, split: str, detector: Detector, wanted: Wanted) -> dict[str, list[list[float]]]:
    """Of every picture of the split, written as they come and as a whole at the end."""
    pictures, path = CaptionedImages(data, split, 1, captions=False), boxes_path(data, split)
    part = path.with_name(f"{path.name}.unfinished")
    found = read_json(part, "take it away") if part.is_file() else {}
    names = [name for name in dict.fromkeys(name for name, _ in pictures.pairs) if name not in found]
    kept = time.monotonic()
    for name in progress(names, f"{split}, objects", "picture"):
        found[name] = detector(read_image(pictures.image(name)), wanted)
        if time.monotonic() - kept > KEPT_EVERY:
            files.write_json(part, found, indent=None)
            kept = time.monotonic()
    files.write_json(path, found, indent=None)
    part.unlink(missing_ok=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
