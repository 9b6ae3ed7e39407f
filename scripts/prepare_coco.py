"""Extended COCO-Stuff from COCO 2017 as it is downloaded: the captions that name a colour, and their pictures.

    python scripts/prepare_coco.py DATA --split train --captions annotations/captions_train2017.json \\
        --images train2017 --resize 256
    python scripts/prepare_coco.py DATA --split val --list selected_val.json --images val2017

The first follows our rules (preparation/color_captions.py), the second a published list. Beside the pairs it writes
DATA/prepare_<split>.json: how many captions each rule dropped, what is missing, and what it was made of. The same
command goes on where it was interrupted. docs/DATA.md says where to download.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from preparation.caption_lists import read_coco_captions
from preparation.color_captions import RULES, drop_rule, judge
from preparation.multi_instance import SOURCES, coco_name
from preparation.picture_copies import ImageFolders
from preparation.prepared_folder import PreparedFolder, add_flags, check_flags
from preparation.selection import exclude, follow, select
from utils.errors import InputError, exit_status


@exit_status
def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_flags(parser)
    parser.add_argument("--captions", type=Path, help="COCO's captions_train2017.json or captions_val2017.json")
    parser.add_argument("--images", type=Path, nargs="+", default=[], help="folders with COCO's pictures")
    options = parser.parse_args(arguments)
    check_flags(options)
    if (options.captions is None) == (options.list is None):
        raise InputError("pass either --captions captions_*2017.json, for our rules, or --list FILE, to follow a list")
    if bool(options.images) == options.lists_only:
        raise InputError("pass either --images FOLDER, with COCO's pictures, or --lists_only")
    folders = ImageFolders(options.images, "--images", SOURCES["coco"].origin) if options.images else None
    if options.list is not None:
        selection = follow(options.list, drop_rule)
        sources = {"--list": [options.list]}
    else:
        selection = select(judge(read_coco_captions(options.captions)), RULES)
        sources = {"--captions": [options.captions]}
    folder = PreparedFolder("prepare_coco.py", options, sources | {"--exclude": options.exclude})
    years = ("COCO_train2014_", "COCO_val2014_")
    folder.complete(
        exclude(selection, options.exclude),
        lambda image: folders.find([image, *(year + coco_name(image) for year in years)]),
    )


if __name__ == "__main__":
    sys.exit(main())
