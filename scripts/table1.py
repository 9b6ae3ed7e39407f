"""Table 1 by one command: systems and ablations trained alike, tested, and in one table with the paper's figures.

    python scripts/table1.py --data scenes --updates 6000 --output_dir output/table1
    python scripts/table1.py --data_path DATA --updates 3000 --rows lcoins lcoder lcode --output_dir output/table1 \\
        -- --lpips_weights vgg16.pth
    python scripts/table1.py ... --row lcode        # on another machine: this row alone, and the table of what is there
    python scripts/table1.py ... --dry_run          # what an update of each row takes here, and the hours of --updates

Every row gets the same number of updates of the same batch, the same samples in the same order and its own optimizer;
on photographs rows without words see each picture once, not once for each caption. DATA is a folder with train, val and
test. Rows are by name, of configs/*/scenes.yaml and configs/*/photos64.yaml, or NAME=CONFIG; those of several stages
divide the updates among them. Flags after `--` go to every run whose system or data knows them.

    OUTPUT/table1.md, table1.csv, table1.svg    the table, every figure, a plot with the curves of training
    OUTPUT/index.html                           the same pictures coloured by every row (the paper's Fig. 4)
    OUTPUT/<data>/<row>/seed<k>/                a training, test/ in it its test

Call it again to go on after an interruption: what is done is not done again. scripts/compare.py and
scripts/user_study.py take OUTPUT as it is.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.pair_list import list_path
from evaluation import tables
from evaluation.table1 import layout, page, plot
from evaluation.table1.layout import Part
from evaluation.table1.results import (
    LISTING,
    PHOTOS,
    REFERENCE,
    SCENES,
    RowResult,
    differences,
    figures,
    kind_of,
    listing,
)
from scripts.tabling import cost
from scripts.tabling.rows import NAMES, row_of
from scripts.tabling.runs import (
    LAST,
    REPLACED,
    Budget,
    Run,
    check_budget,
    check_common,
    check_start,
    claim,
    plan,
    train_and_test,
)
from utils import devices
from utils.devices import DEVICE_HELP
from utils.errors import InputError, exit_status
from utils.files import write_json, write_text
from utils.log import setup_logging

MARKDOWN, CSV, PLOT, COST = "table1.md", "table1.csv", "table1.svg", "cost.json"
TRIED = 20  # updates of a dry run


def parse_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--output_dir", type=Path, required=True, help="folder for runs and tables")
    add("--rows", nargs="+", default=list(NAMES), metavar="ROW", help=f"of {' '.join(NAMES)}, or NAME=CONFIG (all)")
    add("--row", nargs="*", metavar="ROW", help="train and test these of --rows alone, or none; the table is of all")
    add("--data", nargs="+", choices=(SCENES,), default=[], help="scenes: generated scenes")
    add("--data_path", metavar="DATA", help="folder of captioned photographs, for rows on them")
    add("--updates", type=int, required=True, help="of the weights, of every row")
    add("--batch_size", type=int, default=32, help="pictures of an update (default: 32)")
    add("--epochs", type=int, default=12, help="parts of a training, val after each (default: 12)")
    add("--seeds", type=int, nargs="+", default=[0], help="every row is trained once with each (default: 0)")
    add("--done", nargs="+", default=[], metavar="ROW=FOLDER", help="a training or test that stands for a row")
    add("--obedience", action=argparse.BooleanOptionalAction, default=True, help="of photographs: do the words land?")
    add("--test_scenes", type=int, default=500, help="scenes of each test split (default: 500)")
    add("--replaced", metavar="FOLDER", help="of `user_study.py captions`: rows on photographs are tested on it too")
    add("--show", type=int, default=page.SHOWN, help=f"photographs on the page (default: {page.SHOWN})")
    add("--device", default="auto", help=DEVICE_HELP)
    add("--dry_run", action="store_true", help=f"{TRIED} updates of every row, kept nowhere: its speed and hours")
    return parser.parse_args(words)


@exit_status
def main(words: list[str] | None = None) -> None:
    words = sys.argv[1:] if words is None else words
    end = words.index("--") if "--" in words else len(words)
    asked, common = parse_arguments(words[:end]), words[end + 1 :]
    runs = planned(asked, common)
    wanted = [run for run in runs if asked.row is None or run.row.name in asked.row]
    trained = [run for run in wanted if run.done is None]
    for run in trained:
        check_start(run)
    if asked.dry_run:
        setup_logging()
        print(tables.text(tried(wanted, asked)))
        return
    for run in trained:
        claim(run)
    for run in wanted:
        train_and_test(run, asked.obedience, asked.test_scenes, asked.replaced)
    device = devices.choose(asked.device, float64=True)
    command = shlex.join(["python", "scripts/table1.py", *words])
    write(asked.output_dir, command, [part_of(kind, runs, device) for kind in kinds_of(asked)], asked.show)


def kinds_of(asked: argparse.Namespace) -> list[str]:
    kinds = [*asked.data, *([PHOTOS] if asked.data_path is not None else [])]
    if not kinds:
        raise InputError("nothing to train on: pass --data scenes, or --data_path DATA, or both")
    return kinds


def planned(asked: argparse.Namespace, common: Sequence[str]) -> list[Run]:
    """The runs of all rows, found fit before any is trained. Raises InputError."""
    for flag in ("updates", "batch_size", "epochs", "test_scenes"):
        if getattr(asked, flag) < 1:
            raise InputError(f"--{flag} {getattr(asked, flag)}: pass at least 1")
    budget = Budget(asked.updates, asked.batch_size, asked.epochs)
    check_budget(budget)
    rows = {kind: [row_of(word, kind) for word in asked.rows] for kind in kinds_of(asked)}
    names = [row.name for row in next(iter(rows.values()))]
    if unknown := [name for name in asked.row or () if name not in names]:
        raise InputError(f"--row {unknown[0]}: none of --rows; pass some of {' '.join(names)}")
    if len({*names}) < len(names):
        raise InputError(f"--rows {' '.join(names)}: name each row once")
    check_common(common)
    done = done_of(asked.done, names)
    if PHOTOS in rows:
        own = [name for name in names if (PHOTOS, name) not in done and (asked.row is None or name in asked.row)]
        check_data(Path(asked.data_path), own)
    place, common = (asked.output_dir, budget, asked.data_path), ["--device", asked.device, *common]
    runs = [plan(row, kind, seed, *place, common) for kind in rows for seed in asked.seeds for row in rows[kind]]
    first = asked.seeds[0]
    return [run._replace(done=done.get((run.kind, run.row.name)) if run.seed == first else None) for run in runs]


def check_data(data: Path, names: Sequence[str]) -> None:
    """InputError for what a row needs of the folder and would miss after hours of other rows."""
    train = list_path(data, "train")
    needed = {list_path(data, "test"): "pass a folder with a test split, or name val's list and folder test"}
    if {"lcode", "lcoder"} & {*names}:
        pairs = data / "correspondence_train.json"
        needed[pairs] = f"write it with: python scripts/correspondence.py {train} {pairs}"
    if "instcolorization_fusion" in names:
        remedy = f"write it with: python scripts/detect_boxes.py {data}"
        needed |= {data / f"boxes_{split}.json": remedy for split in ("train", "val", "test")}
    for file, remedy in needed.items():
        if not file.is_file():
            raise InputError(f"{file}: not there; {remedy}")


def done_of(words: Sequence[str], names: Sequence[str]) -> dict[tuple[str, str], Path]:
    """(kind of data, row) -> the folder that stands for the row's first seed. Raises InputError."""
    found = {}
    for word in words:
        name, separator, folder = word.partition("=")
        if not separator or name not in names:
            raise InputError(f"--done {word}: write ROW=FOLDER with one of --rows: {' '.join(names)}")
        kind = kind_of(Path(folder)) or cost.kind_of_training(Path(folder))
        if kind is None:
            raise InputError(f"--done {word}: holds neither a test (metrics.json) nor a training that ended ({LAST})")
        found[kind, name] = Path(folder)
    return found


def part_of(kind: str, runs: Sequence[Run], device: torch.device) -> Part:
    """Of what is tested."""
    order = {name: place for place, name in enumerate(dict.fromkeys(run.row.name for run in runs))}
    own = sorted((run for run in runs if run.kind == kind), key=lambda run: order[run.row.name])  # its seeds together
    tested = {(run.row.name, run.seed): tested_of(run, device) for run in own if run.tested}
    missing = [f"{run.row.title}, seed {run.seed}" for run in own if not run.tested]
    reference = REFERENCE if any(run.row.name == REFERENCE for run in own) else own[0].row.name
    apart = []
    for (name, seed), other in tested.items():
        first = tested.get((reference, seed))
        apart.append(None if first is None or name == reference else differences(kind, first, other))
    title = next(run.row.title for run in own if run.row.name == reference)
    runs_there = list(tested.values())
    return Part(kind, runs_there, [figures(kind, run) for run in runs_there], apart, title, missing)


def tested_of(run: Run, device: torch.device) -> RowResult:
    run.folder.mkdir(parents=True, exist_ok=True)
    spent = cost.read_or_measure(run.folder / COST, run.checkpoint, device)
    training, without = cost.of_training(run.trainings), cost.has_no_groups(run.trainings[-1])
    other = run.folder / REPLACED if (run.folder / REPLACED / "index.html").is_file() else None
    return RowResult(run.row.name, run.row.title, run.seed, run.test, training, spent, without, other)


def write(output: Path, command: str, parts: Sequence[Part], shown: int) -> None:
    """The page, which needs pictures, last."""
    there = [part for part in parts if part.tested]
    write_json(output / LISTING, listing(output, {part.kind: list(part.tested) for part in there}))
    write_text(output / MARKDOWN, layout.document(command, parts))
    tables.write_csv(output / CSV, layout.csv_rows(there), layout.CSV_COLUMNS)
    write_text(output / PLOT, plot.draw(there))
    page.write(output, there, PLOT, shown)
    missing = [f"{part.kind}: {', '.join(part.missing)}" for part in parts if part.missing]
    print("\n".join([f"not there yet, {words}" for words in missing]), end="\n" if missing else "")
    print(f"{output / MARKDOWN}, {CSV}, {PLOT}, index.html")


def tried(runs: Sequence[Run], asked: argparse.Namespace) -> list[tables.Row]:
    """Of every stage of every row, the speed of training, and the hours that its share of the updates takes."""
    lines = [("", ["parameters that learn", "images/s", "updates", "hours"])]
    for run in runs:
        share = asked.updates // asked.epochs
        for stage, found in zip(run.stages, cost.try_training(run, TRIED), strict=True):
            updates = share * stage.epochs
            hours = updates * asked.batch_size / found["images_per_second"] / 3600
            cells = [f"{found['learning']:,}", f"{found['images_per_second']:.1f}", str(updates), f"{hours:.2f}"]
            lines.append((f"{run.kind}: {run.row.title} {found['stage']}".strip(), cells))
    return lines


if __name__ == "__main__":
    sys.exit(main())
