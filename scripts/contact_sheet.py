"""Draw the results of a `--test` folder as one picture.

    python scripts/contact_sheet.py output/demo/test --columns 4 --output sheet.png     # one photograph a row
    python scripts/contact_sheet.py output/photos/test --spread 24 --output sheet.png   # photographs at equal distances

The first draws rows of results under their captions, the gray input first, in the order of the list. The second takes
so many photographs of the list at equal distances, the first caption of each, so that nobody picks them: gray, result,
truth.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.pictures.drawing import captioned_grid, strip
from evaluation.comparison import Row, read_rows
from evaluation.report import strip_panels
from utils.errors import InputError


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="output folder of a --test run")
    parser.add_argument("--columns", type=int, default=4, help="results to a row")
    parser.add_argument("--rows", type=int, default=8, help="rows at most, without --spread")
    parser.add_argument("--spread", type=int, help="draw so many photographs, at equal distances in the list")
    parser.add_argument("--scale", type=int, default=2, help="enlargement of each picture")
    parser.add_argument("--output", type=Path, required=True, help="picture to write")
    args = parser.parse_args()
    try:
        tested = read_rows(args.folder / "per_image.csv")
    except InputError as error:
        print(f"contact_sheet.py: {error}", file=sys.stderr)
        return 2
    chosen = tested[: args.rows * args.columns] if args.spread is None else at_equal_distances(tested, args.spread)
    grid = []
    for start in range(0, len(chosen), args.columns):
        rows = chosen[start : start + args.columns]
        panels = [strip_panels(args.folder, row["output"]) for row in rows]
        if args.spread is None:
            pictures = [np.asarray(Image.open(args.folder / row["output"])) for row in rows]
        else:
            pictures = [strip([of_one[name] for name in ("gray", "result", "truth")]) for of_one in panels]
        gray = [(panels[0]["gray"], "input")] if args.spread is None else []
        grid.append([*gray, *zip(pictures, (row["caption"] for row in rows), strict=True)])
    Image.fromarray(captioned_grid(grid, args.scale)).save(args.output)
    print(args.output)
    return 0


def at_equal_distances(tested: list[Row], count: int) -> list[Row]:
    """The first row of each photograph, `count` of them where there are so many."""
    first_of: dict[str, Row] = {}
    for row in tested:
        first_of.setdefault(row["name"], row)
    photographs, count = list(first_of.values()), min(count, len(first_of))
    return [photographs[place * len(photographs) // count] for place in range(count)]


if __name__ == "__main__":
    sys.exit(main())
