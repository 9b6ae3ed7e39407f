"""Compare tests of the same pairs: paired differences, wins and losses, the images that differ most.

    python scripts/compare.py A/per_image.csv B/per_image.csv --output output/compare
    python scripts/compare.py A B C D --names ours L-CoDer L-CoDe LBIE --reference ours --output output/compare

    OUTPUT/compare.json     every metric: means, A less B with its 95 % bootstrap interval over images, wins, sign test
    OUTPUT/compare.csv      every image, those that differ most first
    OUTPUT/index.html       the same tables, and the first images: gray, A, B, truth; of more than two tests the images
                            on which each is ahead of the best of the others by most

A test is a per_image.csv, a folder that --test wrote, or the output of table1.py, which stands for its rows on
photographs, or on scenes where it has no others (OUTPUT/scenes: those in any case). Each is compared with --reference,
else with table1.py's L-CoIns, else with the first. The pictures are those that --test left beside each CSV. An image
with several captions counts once. It wins for A where its mean difference says so, and is a tie within 1e-6. Tests of
scenes, a per_instance.csv or its folder, are compared split by split, over the instances that all have.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from evaluation import comparison, comparison_page, scene_comparison, scene_comparison_page, tables
from evaluation.comparison import PREFIX, Difference, Row
from evaluation.comparison_page import LETTERS, Shown
from evaluation.report import STRIPS
from evaluation.scene_comparison_page import SHOWN as SHOWN_SCENES
from evaluation.table1.results import PHOTOS, REFERENCE, SCENES, rows_of_output
from utils import files
from utils.errors import InputError, exit_status
from utils.log import progress

TABLE, PER_IMAGE, PAGE = "compare.json", "compare.csv", "index.html"
SHOWN_OF_TWO, SHOWN_OF_EACH = 20, 5


class Measured(NamedTuple):
    """Of the tests, the reference first."""

    names: list[str]
    files: list[Path]
    rows: list[list[Row]]  # of each test, all in the order of the reference
    differences: list[dict[str, Difference]]  # by metric, of the reference less each other test


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("tests", type=Path, nargs="+", metavar="TEST", help="two or more of one list: per_image.csv, or its folder")
    add("--output", type=Path, default=Path("output/compare"), help="folder (default: output/compare)")
    add("--names", nargs="+", metavar="NAME", help="what to call them (default: A B C ...)")
    add(
        "--reference",
        metavar="NAME",
        help="what the others are compared with (default: table1.py's L-CoIns, else the first)",
    )
    add("--metrics", nargs="+", metavar="METRIC", help="these alone, such as psnr ssim (default: all)")
    add("--rank_by", metavar="METRIC", help="what orders the images (default: the first metric)")
    shown = f"images on the page (default: {SHOWN_OF_TWO}; of more than two tests {SHOWN_OF_EACH} of each)"
    add("--show", type=int, metavar="N", help=shown)
    add("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    add("--overwrite", action="store_true", help="write over an earlier comparison")
    return parser.parse_args(arguments)


@exit_status
def main(arguments: list[str] | None = None) -> None:
    options = parse_arguments(arguments)
    names, sources = read_tests(options)
    if options.output.resolve() in [file.parent.resolve() for file in sources]:
        raise InputError(f"{options.output}: holds one of the tests; pass another --output")
    there = [path for path in (options.output / name for name in (TABLE, PER_IMAGE, PAGE)) if path.exists()]
    if there and not options.overwrite:
        raise InputError(f"{there[0]}: is there already; pass another --output, or --overwrite")
    of_scenes = [file.name == scene_comparison.PER_INSTANCE for file in sources]
    if any(of_scenes):
        if not all(of_scenes):
            pair = sources[of_scenes.index(True)], sources[of_scenes.index(False)]
            raise InputError(f"{pair[0]} and {pair[1]}: of scenes and of photographs; compare tests of one kind")
        compare_scenes(names, sources, options)
        return
    measured = measure(names, sources, options)
    metrics = list(measured.differences[0])
    rank_by = options.rank_by or metrics[0]
    show = options.show if options.show is not None else SHOWN_OF_TWO if len(names) == 2 else SHOWN_OF_EACH
    if rank_by not in metrics or show < 0:
        raise InputError(f"--rank_by {rank_by} --show {show}: rank by one of {', '.join(metrics)}, show 0 or more")
    if len(names) > 2 and comparison.DIRECTIONS[rank_by] == comparison.NEITHER:
        raise InputError(f"--rank_by {rank_by}: more of it is neither better nor worse; rank by another metric")
    write(options.output, measured, rank_by, show)
    for name, own in zip(names[1:], measured.differences, strict=True):
        print(tables.text(comparison_page.table_rows((names[0], name), own)))
    print(f"page: {(options.output / PAGE).resolve()}")


def read_tests(options: argparse.Namespace) -> tuple[list[str], list[Path]]:
    """Names and files of the tests, the reference first."""
    named: list[tuple[str | None, Path]] = []
    usual = 0
    for test in options.tests:
        rows = rows_of_output(test, (PHOTOS, SCENES))
        usual = next((len(named) + place for place, own in enumerate(rows or ()) if own.row == REFERENCE), usual)
        named += [(None, test)] if rows is None else [(own.title, own.test) for own in rows]
    if not 2 <= len(named) <= len(LETTERS):
        raise InputError(f"{len(named)} tests: pass two or more, {len(LETTERS)} at most")
    names = options.names or [name or LETTERS[place].upper() for place, (name, _) in enumerate(named)]
    if len({*names}) != len(named) or len(names) != len(named):
        raise InputError(f"--names {' '.join(names)}: give each of the {len(named)} tests a name of its own")
    if options.reference is not None and options.reference not in names:
        raise InputError(f"--reference {options.reference}: none of the tests; pass one of {', '.join(names)}")
    first = usual if options.reference is None else names.index(options.reference)
    order = [first, *(place for place in range(len(named)) if place != first)]
    return [names[place] for place in order], [_table_of(named[place][1]) for place in order]


def _table_of(test: Path) -> Path:
    """A test's CSV, of scenes or of photographs; where a folder has neither, the latter's name."""
    kinds = (scene_comparison.PER_INSTANCE, "per_image.csv")
    own = next((kind for kind in kinds if (test / kind).is_file()), kinds[-1])
    return test / own if test.is_dir() else test


def compare_scenes(names: list[str], sources: list[Path], options: argparse.Namespace) -> None:
    compared = scene_comparison.compare_all(names, sources, options.metrics, options.seed)
    metrics = list(next(iter(compared.differences[0].values())))
    rank_by, shown = options.rank_by or metrics[0], SHOWN_SCENES if options.show is None else options.show
    if rank_by not in metrics or shown < 0:
        raise InputError(f"--rank_by {rank_by} --show {shown}: rank by one of {', '.join(metrics)}, show 0 or more")
    page = scene_comparison_page.page(options.output, compared, shown)
    files.write_json(options.output / TABLE, scene_comparison.summary(compared))
    tables.write_csv(options.output / PER_IMAGE, scene_comparison.csv_rows(compared, rank_by))
    (options.output / PAGE).write_text(page, encoding="utf-8")
    for split, lines in scene_comparison_page.table_rows(compared).items():
        print("\n".join([split, *map(tables.text, lines)]))
    print(f"page: {(options.output / PAGE).resolve()}")


def measure(names: list[str], sources: list[Path], options: argparse.Namespace) -> Measured:
    """Every metric's differences."""
    rows = comparison.align(sources)
    for file, own in zip(sources[1:], rows[1:], strict=True):
        metrics = comparison.choose_metrics(sources[0], rows[0][0], file, own[0], options.metrics)
    differences: list[dict[str, Difference]] = [{} for _ in sources[1:]]
    for metric in progress(metrics, "bootstrap", "metric"):
        for found, file, own in zip(differences, sources[1:], rows[1:], strict=True):
            found[metric] = comparison.compare_column(
                PREFIX + metric, (sources[0], rows[0]), (file, own), comparison.DIRECTIONS[metric], options.seed
            )
    return Measured(names, sources, rows, differences)


def write(output: Path, measured: Measured, rank_by: str, show: int) -> None:
    """The pictures first, then the tables, the page last."""
    two = len(measured.names) == 2
    parts = most_different(measured, rank_by, show) if two else best_of_each(measured, rank_by, show)
    (output / STRIPS).mkdir(parents=True, exist_ok=True)
    folders = [file.parent for file in measured.files]
    shown = [i for part in parts for i in part.places]
    for place, i in enumerate(progress(shown, "pictures", "pair")):
        panels = comparison_page.pictures(measured.names, folders, [own[i] for own in measured.rows])
        for heading, picture in zip(comparison_page.headings(len(folders)), panels, strict=True):
            Image.fromarray(picture).save(output / comparison_page.picture_name(place, heading))
    files.write_json(output / TABLE, summary_of_two(measured, rank_by, shown) if two else summary(measured, parts))
    tables.write_csv(output / PER_IMAGE, csv_rows(measured, rank_by))
    sources = [str(file) for file in measured.files]
    page = comparison_page.page(measured.names, sources, measured.rows, measured.differences, parts)
    (output / PAGE).write_text(page, encoding="utf-8")


def most_different(measured: Measured, rank_by: str, show: int) -> list[Shown]:
    names = [row["name"] for row in measured.rows[0]]
    places = comparison.most_different(measured.differences[0][rank_by], names, show)
    return [Shown(f"The {len(places)} images that differ most in {rank_by}", places)]


def best_of_each(measured: Measured, rank_by: str, show: int) -> list[Shown]:
    names = [row["name"] for row in measured.rows[0]]
    ranked = [of[rank_by] for of in measured.differences]
    best = comparison.best_images(ranked, names, comparison.DIRECTIONS[rank_by], show)
    return [
        Shown(f"{name}: the {len(own)} images on which its {rank_by} is best by most", [i for i, _ in own])
        for name, own in zip(measured.names, best, strict=True)
    ]


def summary_of_two(measured: Measured, rank_by: str, shown: Sequence[int]) -> dict[str, Any]:
    differences, rows = measured.differences[0], measured.rows[0]
    names = [row["name"] for row in rows]
    a, b = map(str, measured.files)
    return {
        **{"a": a, "b": b, "images": len(differences[rank_by].images), "pairs": len(rows), "rank_by": rank_by},
        "metrics": {metric: difference.summary for metric, difference in differences.items()},
        "most_different": [
            {"name": names[i], "caption": rows[i]["caption"]}
            # JSON has no infinity
            | {
                metric: value if math.isfinite(value := difference.images[names[i]]) else str(value)
                for metric, difference in differences.items()
                if names[i] in difference.images
            }
            for i in shown
        ],
    }


def summary(measured: Measured, parts: Sequence[Shown]) -> dict[str, Any]:
    """metrics: of each metric, the reference (a) and each other test (b)."""
    rows, others = measured.rows[0], measured.names[1:]
    best = {
        name: [{"name": rows[i]["name"], "caption": rows[i]["caption"]} for i in part.places]
        for name, part in zip(measured.names, parts, strict=True)
    }
    return {
        "reference": measured.names[0],
        "tests": dict(zip(measured.names, map(str, measured.files), strict=True)),
        **{"images": len({row["name"] for row in rows}), "pairs": len(rows)},
        "metrics": {
            metric: {name: of[metric].summary for name, of in zip(others, measured.differences, strict=True)}
            for metric in measured.differences[0]
        },
        "best": best,
    }


def csv_rows(measured: Measured, rank_by: str) -> list[dict[str, Any]]:
    """A line for each image, those first that differ most in `rank_by`, from the reference in any other test."""
    captions = Counter(row["name"] for row in measured.rows[0])
    ranked = [of[rank_by].images for of in measured.differences]
    order = sorted(ranked[0], key=lambda name: -max(abs(images[name]) for images in ranked))
    endings = [""] if len(ranked) == 1 else [f"_{name}" for name in measured.names[1:]]
    return [
        {"name": name, "captions": captions[name]}
        | {
            f"{metric}_difference{ending}": of[metric].images.get(name)
            for ending, of in zip(endings, measured.differences, strict=True)
            for metric in of
        }
        for name in order
    ]


if __name__ == "__main__":
    sys.exit(main())
