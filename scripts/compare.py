"""Compare two tests of the same pairs: paired differences, wins and losses, the images that differ most.

    python scripts/compare.py A/per_image.csv B/per_image.csv --output output/compare

    OUTPUT/compare.json     every metric: means, A less B with its 95 % bootstrap interval over images, wins, sign test
    OUTPUT/compare.csv      every image, those that differ most first
    OUTPUT/index.html       the same table, and the first images: gray, A, B, truth

The pictures are those that --test left beside each CSV. An image with several captions counts once. It wins for A where
its mean difference says so, and is a tie within 1e-6.
"""

import argparse
import csv
import json
import math
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.transforms.v2.functional import pil_to_tensor, to_pil_image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.image_files import read_image
from evaluation import comparison
from evaluation.comparison import Difference, Row
from evaluation.comparison_page import page, picture_name, text_table
from evaluation.report import PANELS, STRIPS, strip_panels
from utils import color
from utils.errors import InputError
from utils.progress import progress

TABLE, PER_IMAGE, PAGE = "compare.json", "compare.csv", "index.html"


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("a", type=Path, metavar="A", help="per_image.csv of a --test")
    parser.add_argument("b", type=Path, metavar="B", help="per_image.csv of another --test on the same list")
    parser.add_argument("--output", type=Path, default=Path("output/compare"), help="folder (default: output/compare)")
    parser.add_argument("--names", nargs=2, default=["A", "B"], metavar="NAME", help="what to call them (default: A B)")
    parser.add_argument("--metrics", nargs="+", metavar="METRIC", help="these alone, such as psnr ssim (default: all)")
    for better in (comparison.HIGHER, comparison.LOWER, comparison.NEITHER):
        text = f"metrics of which {better} is better; goes before what is known of their names"
        parser.add_argument(f"--{better}", nargs="+", default=[], metavar="METRIC", help=text)
    parser.add_argument("--rank_by", metavar="METRIC", help="what orders the images (default: the first metric)")
    parser.add_argument("--show", type=int, default=20, metavar="N", help="images on the page (default: 20)")
    parser.add_argument(
        "--data_path", type=Path, help="data folder, for gray and truth where a test has no index_files"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="write over an earlier comparison")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
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
    except InputError as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2
    print(text_table(options.names, differences))
    print(f"page: {(options.output / PAGE).resolve()}")
    return 0


def measure(options: argparse.Namespace) -> tuple[list[tuple[Row, Row]], dict[str, Difference]]:
    """The paired rows, and every metric's difference."""
    a, b = options.a, options.b
    pairs = comparison.pair(a, comparison.read_rows(a), b, comparison.read_rows(b))
    stated = {name: better for better in ("higher", "lower", "neither") for name in getattr(options, better)}
    metrics = comparison.choose_metrics(a, pairs[0][0], b, pairs[0][1], options.metrics, stated)
    comparison.check_same_truth(a, b, pairs)
    names = [row["name"] for row, _ in pairs]
    differences = {}
    for metric, better in progress(metrics.items(), "bootstrap", "metric"):
        columns = (
            comparison.values(file, [pair[i] for pair in pairs], f"model_{metric}") for i, file in enumerate((a, b))
        )
        differences[metric] = comparison.compare(*columns, names, better, options.seed)
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
            Image.fromarray(picture).save(options.output / picture_name(place, heading))

    summary = {
        **{"a": str(options.a), "b": str(options.b), "images": len(order), "pairs": len(pairs), "rank_by": rank_by},
        "metrics": {metric: difference.summary for metric, difference in differences.items()},
        "most_different": [
            {"name": names[i], "caption": pairs[i][0]["caption"]}
            | {metric: json_number(difference.images[names[i]]) for metric, difference in differences.items()}
            for i in shown
        ],
    }
    (options.output / TABLE).write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    with (options.output / PER_IMAGE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "captions", *(f"{metric}_difference" for metric in differences)])
        captions = Counter(names)
        for name in (names[i] for i in order):
            writer.writerow([name, captions[name], *(d.images[name] for d in differences.values())])
    files = (str(options.a), str(options.b))
    (options.output / PAGE).write_text(page(options.names, files, pairs, differences, rank_by, shown), encoding="utf-8")


def json_number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)  # JSON has no infinity


def pictures(options: argparse.Namespace, row_a: Row, row_b: Row) -> list[np.ndarray]:
    """Gray, A, B, truth of one pair, (H, W, 3) uint8. InputError where one is missing or their sizes differ."""
    a, b = (
        np.asarray(read_image(file.parent / row["output"])) for file, row in ((options.a, row_a), (options.b, row_b))
    )
    gray, truth = gray_and_truth(options, (row_a, row_b), a.shape)
    if not a.shape == b.shape == gray.shape == truth.shape:
        sizes = ", ".join(f"{picture.shape[1]}x{picture.shape[0]}" for picture in (a, b, truth))
        raise InputError(f"{row_a['name']}: A, B and truth have {sizes} pixels; test both at the same size")
    return [gray, a, b, truth]


def gray_and_truth(
    options: argparse.Namespace, rows: tuple[Row, Row], shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """From the photograph with --data_path, else from the strips of either test."""
    if options.data_path is not None:
        photo = read_image(options.data_path / "test" / rows[0]["name"])
        photo = photo.resize((shape[1], shape[0]), Image.Resampling.BILINEAR)
        gray, ab = color.split(pil_to_tensor(photo)[None].double() / 255)
        return np.asarray(to_pil_image(color.to_uint8(color.colorize(gray, 0 * ab))[0])), np.asarray(photo)
    for file, row in zip((options.a, options.b), rows, strict=True):
        try:
            panels = dict(zip(PANELS, strip_panels(file.parent, row["output"]), strict=True))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InputError(f"{file.parent / STRIPS}, {row['name']}: cannot be read ({error}); test again") from error
        return panels["gray"], panels["truth"]
    raise InputError(
        f"{options.a.parent / STRIPS}: has no picture of {rows[0]['name']}; pass --data_path, or restore {STRIPS}"
    )


if __name__ == "__main__":
    sys.exit(main())
