"""Draw the results of a `--test` folder as one picture: rows of results under their captions, the gray input first.

python scripts/contact_sheet.py output/demo/test --columns 4 --output sheet.png
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils.report import PANELS, captioned_grid, strip_panels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="output folder of a --test run")
    parser.add_argument("--columns", type=int, default=4, help="results to a row, in the order of the test list")
    parser.add_argument("--rows", type=int, default=8, help="rows at most")
    parser.add_argument("--scale", type=int, default=2, help="enlargement of each picture")
    parser.add_argument("--output", type=Path, required=True, help="picture to write")
    args = parser.parse_args()

    with (args.folder / "per_image.csv").open(newline="", encoding="utf-8") as file:
        tested = list(csv.DictReader(file))[: args.rows * args.columns]
    rows = []
    for first in range(0, len(tested), args.columns):
        group = tested[first : first + args.columns]
        gray = strip_panels(args.folder, group[0]["output"])[PANELS.index("gray")]
        results = [np.asarray(Image.open(args.folder / row["output"])) for row in group]
        rows.append([(gray, "input"), *zip(results, (row["caption"] for row in group), strict=True)])
    Image.fromarray(captioned_grid(rows, args.scale)).save(args.output)
    print(args.output)


if __name__ == "__main__":
    main()
