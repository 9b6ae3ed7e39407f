"""The user study of Table 2: a page that asks people, and the table of what they answered.

    python scripts/user_study.py captions DATA output/replaced --images 100
        a data folder of 100 images under captions with replaced colours; run every system's --test on it

    python scripts/user_study.py make output/study --key output/study_key.json --dataset Multi-instance \\
        --data_path DATA --reality Ours=TESTED L-CoDer=TESTED --correspondence Ours=TESTED L-CoDer=TESTED
        one static page, output/study/index.html: TESTED are output folders of --test, for --reality on DATA, for
        --correspondence on output/replaced. Give the folder to the participants, keep the key to yourself.
        The output of table1.py stands for its rows: --reality output/table1 --rows lcoins lcoder lcode, and for
        --correspondence where that ran with --replaced output/replaced

    python scripts/user_study.py table --keys output/study_key.json --answers answers/*.csv --output output/table2
        Table 2 with 95 % intervals, printed and as table2.md and table2.csv

The page needs no server: open index.html. It keeps answers in the browser and saves them as a CSV, to be sent back.
`index.html?participant=NAME` names the participant; else the page draws a code.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.image_files import image_size
from datasets.pair_list import read_pairs
from datasets.words import color_words
from evaluation import comparison, tables
from evaluation.table1.results import PHOTOS, rows_of_output
from evaluation.user_study import page as user_study
from evaluation.user_study import votes as user_votes
from evaluation.user_study.page import EXPERIMENTS, PICTURES, TRUTH, Question
from evaluation.user_study.pictures import Picture, save_pictures
from utils import files
from utils.errors import InputError

PAGE = "index.html"


class System(NamedTuple):
    """A system's tested pairs. `rows` are in the order of the experiment's first system."""

    name: str
    folder: Path
    rows: list[comparison.Row]


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    captions = commands.add_parser("captions", help="write a data folder whose captions have replaced colours")
    captions.set_defaults(run=write_captions)
    add = captions.add_argument
    add("data", type=Path, metavar="DATA", help="data folder")
    add("output", type=Path, metavar="OUTPUT", help="data folder to write; its split is test")
    add("--split", default="test", help="of DATA (default: test)")

    make = commands.add_parser("make", help="write the page and its key")
    make.set_defaults(run=make_page)
    add = make.add_argument
    add("output", type=Path, metavar="OUTPUT", help="folder of the page")
    add("--key", type=Path, required=True, help="file for what the ids mean, outside OUTPUT")
    add("--dataset", default="", help="name of the data set, for the table")
    for experiment in EXPERIMENTS:
        text = "systems by name, each with its --test folder; or the output of table1.py, for its rows"
        add(f"--{experiment}", nargs="+", default=[], metavar="NAME=FOLDER", help=text)
    add("--rows", nargs="+", metavar="ROW", help="of the output of table1.py these alone (default: all)")
    add("--data_path", type=Path, help="data folder of the reality experiment, for the real images")
    add("--size", type=int, help="side in pixels that all pictures get, for systems of different sizes")

    table = commands.add_parser("table", help="print Table 2")
    table.set_defaults(run=write_table)
    add = table.add_argument
    add("--keys", type=Path, nargs="+", required=True, help="keys of the pages, one a data set")
    add("--answers", type=Path, nargs="+", required=True, help="CSV files of the participants")
    add("--incomplete", action="store_true", help="take participants who left questions out too")
    add("--output", type=Path, help="folder for table2.md and table2.csv")

    for command in (captions, make):
        command.add_argument("--images", type=int, default=100, help="drawn at random; 0: all (default: 100)")
    for command in (captions, make, table):
        command.add_argument("--seed", type=int, default=0, help="of everything drawn (default: 0)")
        command.add_argument("--overwrite", action="store_true", help="write over what is there")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        options.run(options)
    except InputError as error:
        print(f"user_study.py: {error}", file=sys.stderr)
        return 2
    return 0


def refuse_to_overwrite(options: argparse.Namespace, paths: Sequence[Path]) -> None:
    there = [path for path in paths if path.exists()]
    if there and not options.overwrite:
        raise InputError(f"{there[0]}: is there already; pass another place, or --overwrite")


def write_captions(options: argparse.Namespace) -> None:
    """The images copied, the list, and replaced_captions.json, which says what each caption was."""
    folder, listing = options.output / "test", options.output / "cap-img-pairs_test.json"
    refuse_to_overwrite(options, (folder, listing))
    if options.output.resolve() == options.data.resolve():
        raise InputError(f"{options.output}: is the data folder itself; pass another folder")
    pairs = read_pairs(options.data, options.split)
    colored = [pair for pair in pairs if color_words.find(pair[1])]
    draw = np.random.default_rng(options.seed)
    chosen = [colored[i] for i in user_study.draw_pairs(colored, options.images, draw)]
    for name, _ in chosen:
        source = options.data / options.split / name
        if not source.is_file():
            raise InputError(f"{source}: missing; restore it or take its pairs out of the list")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, folder / name)
    changes = [
        {"image": name, "caption": color_words.replace(caption, draw), "original": caption} for name, caption in chosen
    ]
    files.write_json(options.output / "replaced_captions.json", changes, indent=1)
    files.write_json(listing, [(change["image"], change["caption"]) for change in changes], indent=1)
    print(f"{options.output}: {len(chosen)} images; {len(pairs) - len(colored)} of {len(pairs)} pairs name no colour")


def make_page(options: argparse.Namespace) -> None:
    """The pictures first, then the key, the page last."""
    if options.output.resolve() in options.key.resolve().parents:
        raise InputError(f"{options.key}: lies in the folder of the page; keep it where participants never see it")
    refuse_to_overwrite(options, (options.output, options.key))
    systems = {name: read_systems(name, getattr(options, name), options.rows) for name in EXPERIMENTS}
    check_experiments(options, systems)
    questions: list[Question] = []
    pictures: dict[str, Picture] = {}
    for number, (experiment, tested) in enumerate(systems.items()):
        if tested:
            draw = np.random.default_rng((options.seed, number))
            for question, shown in ask(options, experiment, tested, draw):
                questions.append(question)
                pictures |= shown
    digest = save_pictures(options.output / PICTURES, pictures)
    key = user_study.make_key(options.dataset, options.seed, questions, digest)
    options.key.parent.mkdir(parents=True, exist_ok=True)
    files.write_json(options.key, key, indent=1)
    (options.output / PAGE).write_text(user_study.page(key["study"], questions), encoding="utf-8")
    print(f"{options.output / PAGE}: study {key['study']}, {len(questions)} questions, {len(pictures)} pictures")


def read_systems(experiment: str, words: Sequence[str], only: Sequence[str] | None = None) -> list[System]:
    """NAME=FOLDER words, or outputs of table1.py, of which `only` these rows, to systems on the same pairs."""
    named: list[tuple[str, Path]] = []
    for word in words:
        replaced = experiment == "correspondence"
        found = rows_of_output(Path(word), (PHOTOS,), only, replaced)
        name, separator, folder = word.partition("=")
        if found is None and not (name.strip() and separator and folder):
            raise InputError(f"--{experiment} {word}: write NAME=FOLDER, the folder that --test wrote")
        if found is None:
            named.append((name.strip(), Path(folder)))
        else:
            named += [(own.title, own.replaced if replaced else own.test) for own in found]
    systems: list[System] = []
    for name, folder in named:
        file = folder / "per_image.csv"
        rows = comparison.read_rows(file)
        if systems:
            first = systems[0]
            rows = [row for _, row in comparison.pair(first.folder / "per_image.csv", first.rows, file, rows)]
        systems.append(System(name, folder, rows))
    return systems


def check_experiments(options: argparse.Namespace, systems: dict[str, list[System]]) -> None:
    reality, correspondence = systems.values()
    if not reality and not correspondence:
        raise InputError("nothing to ask: pass --reality or --correspondence, or both, with NAME=FOLDER of each system")
    if options.size is not None and options.size < 1:
        raise InputError(f"--size {options.size}: give a side in pixels, 1 or more")
    if reality and options.data_path is None:
        raise InputError("--reality shows the real images too: pass --data_path of the data that was tested")
    if reality and correspondence:
        shared = {pair_of(row) for row in reality[0].rows} & {pair_of(row) for row in correspondence[0].rows}
        if shared:
            name, caption = min(shared)
            raise InputError(
                f"--correspondence {correspondence[0].folder}: {name} has its own caption {caption!r}; test on the"
                " folder that `user_study.py captions` writes"
            )


def pair_of(row: comparison.Row) -> tuple[str, str]:
    return row["name"], row["caption"]


def ask(
    options: argparse.Namespace, experiment: str, tested: Sequence[System], draw: np.random.Generator
) -> list[tuple[Question, dict[str, Picture]]]:
    """Drawn questions, each with the pictures of its choices."""
    names = user_study.choices_of(experiment, [system.name for system in tested])
    pairs = [pair_of(row) for row in tested[0].rows]
    asked = []
    for i in user_study.draw_pairs(pairs, options.images, draw):
        results = [system.folder / system.rows[i]["output"] for system in tested]
        sizes = [image_size(result) for result in results]
        if options.size is None and len({*sizes}) > 1:
            width, height = next(size for size in sizes if size != sizes[0])
            raise InputError(
                f"{results[0]} has {sizes[0][0]}x{sizes[0][1]} pixels, another system {width}x{height}: whose picture"
                " is whose must not show; pass --size, or test all at the same size"
            )
        size = sizes[0] if options.size is None else (options.size, options.size)
        shown = [Picture(result, size, Image.Resampling.BICUBIC) for result in results]
        if TRUTH in names:  # brought to size as the network's input was
            shown.append(Picture(options.data_path / "test" / pairs[i][0], size, Image.Resampling.BILINEAR))
            image_size(shown[-1].path)  # a missing one is an error before anything is written
        question = user_study.make_question(experiment, pairs[i], names, draw)
        asked.append((question, dict(zip(question.choices, shown, strict=True))))
    return asked


def write_table(options: argparse.Namespace) -> None:
    outputs = [options.output / name for name in ("table2.md", "table2.csv")] if options.output else []
    refuse_to_overwrite(options, outputs)
    keys = user_votes.read_keys(options.keys)
    votes = user_votes.read_votes(options.answers, keys, options.incomplete)
    table = user_votes.columns(keys, votes, options.seed)
    text = user_votes.markdown(table)
    print(text, end="")
    if outputs:
        options.output.mkdir(parents=True, exist_ok=True)
        outputs[0].write_text(text, encoding="utf-8")
        tables.write_csv(outputs[1], list(user_votes.csv_rows(table)))


if __name__ == "__main__":
    sys.exit(main())
