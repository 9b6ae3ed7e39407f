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

from evaluation.comparison import read_rows
from evaluation.report import PANELS, strip_panels
from utils.drawing import captioned_grid, strip
from utils.errors import InputError

Cell = tuple[np.ndarray, str]  # a picture and what stands below it


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
    if args.spread is None:
        rows = one_photograph_a_row(args.folder, tested[: args.rows * args.columns], args.columns)
    else:
        rows = spread(args.folder, tested, args.spread, args.columns)
    Image.fromarray(captioned_grid(rows, args.scale)).save(args.output)
    print(args.output)
    return 0


def one_photograph_a_row(folder: Path, tested: list[dict[str, str]], columns: int) -> list[list[Cell]]:
    rows = []
    for first in range(0, len(tested), columns):
        group = tested[first : first + columns]
        gray = strip_panels(folder, group[0]["output"])[PANELS.index("gray")]
        results = [np.asarray(Image.open(folder / row["output"])) for row in group]
        rows.append([(gray, "input"), *zip(results, (row["caption"] for row in group), strict=True)])
    return rows


def spread(folder: Path, tested: list[dict[str, str]], count: int, columns: int) -> list[list[Cell]]:
    """Gray, result and truth side by side, above the caption; fewer than `count` where there are fewer photographs."""
    first_of = {}
    for row in tested:
        first_of.setdefault(row["name"], row)
    photographs = list(first_of.values())
    places = range(min(count, len(photographs)))
    chosen = [photographs[place * len(photographs) // len(places)] for place in places]
    cells = [(strip(strip_panels(folder, row["output"])[: PANELS.index("groups")]), row["caption"]) for row in chosen]
    return [cells[first : first + columns] for first in range(0, len(cells), columns)]


if __name__ == "__main__":
    sys.exit(main())
