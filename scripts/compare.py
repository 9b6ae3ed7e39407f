"""Compare two tests of the same pairs: paired differences, wins and losses, the images that differ most.

    python scripts/compare.py A/per_image.csv B/per_image.csv --output output/compare

    OUTPUT/compare.json     every metric: means, A less B with its 95 % bootstrap interval over images, wins, sign test
    OUTPUT/compare.csv      every image, those that differ most first
    OUTPUT/index.html       the same table, and the first images: gray, A, B, truth

The pictures are those that --test left beside each CSV. An image with several captions counts once. It wins for A where
its mean difference says so, and is a tie within 1e-6.
"""

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.image_files import read_image
from evaluation import comparison, tables
from evaluation.comparison import PREFIX, Difference, Row
from evaluation.report import PANELS, STRIPS, strip_panels
from utils.errors import InputError, exit_status
from utils.log import progress

TABLE, PER_IMAGE, PAGE = "compare.json", "compare.csv", "index.html"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("a", type=Path, metavar="A", help="per_image.csv of a --test")
    add("b", type=Path, metavar="B", help="per_image.csv of another --test on the same list")
    add("--output", type=Path, default=Path("output/compare"), help="folder (default: output/compare)")
    add("--names", nargs=2, default=["A", "B"], metavar="NAME", help="what to call them (default: A B)")
    add("--metrics", nargs="+", metavar="METRIC", help="these alone, such as psnr ssim (default: all)")
    add("--rank_by", metavar="METRIC", help="what orders the images (default: the first metric)")
    add("--show", type=int, default=20, metavar="N", help="images on the page (default: 20)")
    add("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    add("--overwrite", action="store_true", help="write over an earlier comparison")
    return parser.parse_args(arguments)


@exit_status
def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    if options.output.resolve() in (options.a.parent.resolve(), options.b.parent.resolve()):
        raise InputError(f"{options.output}: holds one of the tests; pass another --output")
    there = [path for path in (options.output / name for name in (TABLE, PER_IMAGE, PAGE)) if path.exists()]
    if there and not options.overwrite:
        raise InputError(f"{there[0]}: is there already; pass another --output, or --overwrite")
    pairs, differences = measure(options)
    rank_by = options.rank_by or next(iter(differences))
    if rank_by not in differences or options.show < 0:
        raise InputError(
            f"--rank_by {rank_by} --show {options.show}: rank by one of {', '.join(differences)}, show 0 or more"
        )
    write(options, pairs, differences, rank_by)
    print(tables.text(comparison.table_rows(options.names, differences)))
    print(f"page: {(options.output / PAGE).resolve()}")


def measure(options: argparse.Namespace) -> tuple[list[tuple[Row, Row]], dict[str, Difference]]:
    """The paired rows, and every metric's difference."""
    a, b = options.a, options.b
    pairs = comparison.pair(a, comparison.read_rows(a), b, comparison.read_rows(b))
    metrics = comparison.choose_metrics(a, pairs[0][0], b, pairs[0][1], options.metrics)
    comparison.check_same_truth(a, b, pairs)
    rows_a, rows_b = zip(*pairs, strict=True)
    differences = {}
    for metric in progress(metrics, "bootstrap", "metric"):
        differences[metric] = comparison.compare_column(
            PREFIX + metric, (a, rows_a), (b, rows_b), comparison.DIRECTIONS[metric], options.seed
        )
    return pairs, differences


def write(
    options: argparse.Namespace, pairs: Sequence[tuple[Row, Row]], differences: dict[str, Difference], rank_by: str
) -> None:
    """The pictures first, then the tables, the page last."""
    names = [row["name"] for row, _ in pairs]
    order = comparison.most_different(differences[rank_by], names, len(names))
    shown = order[: options.show]
    (options.output / STRIPS).mkdir(parents=True, exist_ok=True)
    for place, i in enumerate(progress(shown, "pictures", "pair")):
        for heading, picture in zip("gabt", pictures(options, *pairs[i]), strict=True):
            Image.fromarray(picture).save(options.output / comparison.picture_name(place, heading))

    summary = {
        **{"a": str(options.a), "b": str(options.b), "images": len(order), "pairs": len(pairs), "rank_by": rank_by},
        "metrics": {metric: difference.summary for metric, difference in differences.items()},
        "most_different": [
            {"name": names[i], "caption": pairs[i][0]["caption"]}
            # JSON has no infinity
            | {
                metric: value if math.isfinite(value := difference.images[names[i]]) else str(value)
                for metric, difference in differences.items()
                if names[i] in difference.images
            }
            for i in shown
        ],
    }
    (options.output / TABLE).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    captions = Counter(names)
    rows = [
        {"name": names[i], "captions": captions[names[i]]}
        | {f"{metric}_difference": difference.images.get(names[i]) for metric, difference in differences.items()}
        for i in order
    ]
    tables.write_csv(options.output / PER_IMAGE, rows)
    page = comparison.page(options.names, (str(options.a), str(options.b)), pairs, differences, rank_by, shown)
    (options.output / PAGE).write_text(page, encoding="utf-8")


def pictures(options: argparse.Namespace, *rows: Row) -> list[np.ndarray]:
    """Gray, A, B, truth of one pair, (H, W, 3) uint8. InputError where one is missing or their sizes differ."""
    tests = list(zip((options.a.parent, options.b.parent), rows, strict=True))
    a, b = (np.asarray(read_image(folder / row["output"])) for folder, row in tests)
    gray, truth = from_strips(tests)
    if not a.shape == b.shape == gray.shape == truth.shape:
        sizes = ", ".join(f"{picture.shape[1]}x{picture.shape[0]}" for picture in (a, b, truth))
        raise InputError(f"{rows[0]['name']}: A, B and truth have {sizes} pixels; test both at the same size")
    return [gray, a, b, truth]


def from_strips(tests: Sequence[tuple[Path, Row]]) -> tuple[np.ndarray, np.ndarray]:
    """Gray and truth, of the first test that has its strip."""
    for folder, row in tests:
        try:
            panels = dict(zip(PANELS, strip_panels(folder, row["output"]), strict=True))
            return panels["gray"], panels["truth"]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(f"{folder / STRIPS}, {row['name']}: cannot be read ({error}); test again") from error
    folder, row = tests[0]
    raise InputError(f"{folder / STRIPS}: has no picture of {row['name']}; test again, or restore {STRIPS}")


if __name__ == "__main__":
    sys.exit(main())
