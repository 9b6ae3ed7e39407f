"""Table 1, ours: the full model and its four ablations, trained on generated scenes with equal steps and equal seeds.

    python scripts/table1.py --config configs/lcoins/scenes.yaml --output_dir output/table1 --seeds 0 1 2

It writes OUTPUT/table1.md and table1.csv. OUTPUT/<variant>/seed<k>/ is a training; in it lie its test,
scenes/, and run.log. Call it again to go on after an interruption: what is done is not done again.
Flags after `--` go to every training and test; `--configs other.yaml` adds a row, trained as that file says.
Differs: the paper's Table 1 has PSNR, SSIM and LPIPS of photographs alone, which hardly tell whose colour is whose.
"""

import argparse
import csv
import json
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import run_colorization
from datasets.scenes import TEST_SPLITS
from evaluation.scene_report import FIGURES
from evaluation.statistics import Interval, bootstrap_difference
from evaluation.tables import interval, write_csv
from utils.errors import InputError
from utils.progress import progress

PROGRAM = Path(__file__).resolve().parent.parent / "run_colorization.py"
VARIANTS = {
    "full": [],
    "wo_ge": ["--no-group_tokens"],
    "wo_ga": ["--no-grouping_attention"],
    "wo_la": ["--no-luminance_augmentation"],
    "wo_cl": ["--no-counter_color"],
}
OURS = ("--config", "--output_dir", "--seed", "--resume", "--eval", "--test")  # flags that are given here
PLACE = ("config", "output_dir", "resume", "auto_resume")  # two runs that differ in these alone are the same
NOTES = """In brackets: of one seed, the 95 % bootstrap interval over whole scenes; of a mean, the lowest and highest.
mixture: each instance in the mean of the caption's colours: knows which colours, but not whose. chance: any colour.
w/o GE has no groups: its ARI is "-". w/o CL leaves the grouping layer untrained, so its ARI means nothing: "-" too.
"""


class Run(NamedTuple):
    name: str
    variant: str
    folder: Path
    flags: list[str]  # of training and test alike
    args: argparse.Namespace  # of the training, resolved


class Result(NamedTuple):
    run: Run
    scenes: dict[str, dict[str, Any]]  # split -> `instances.summarize_instances`; no ARI where it means nothing
    correct: dict[str, dict[tuple, float]]  # split -> `read_correct`
    log: list[dict[str, Any]]  # a line an epoch


def parse_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="YAML of the full model; the ablations differ in one flag")
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for runs and tables")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="every variant is trained once with each")
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, default=list(VARIANTS), help="all if not given")
    parser.add_argument("--configs", nargs="+", default=[], help="YAMLs of other systems, a row each")
    end = words.index("--") if "--" in words else len(words)
    return parser.parse_args(words[:end], argparse.Namespace(flags=words[end + 1 :]))


def main(words: list[str] | None = None) -> int:
    words = sys.argv[1:] if words is None else words
    asked = parse_arguments(words)
    results: dict[str, list[Result]] = {}  # of each variant, its seeds
    try:
        for run in progress(plan(asked), "table 1", "run"):
            train(run)
            test(run)
            results.setdefault(run.variant, []).append(read_result(run))
    except InputError as error:
        print(f"table1.py: {error}", file=sys.stderr)
        return 2
    write_csv(asked.output_dir / "table1.csv", csv_rows(chain(*results.values())))
    text = markdown(results, shlex.join(["python", "scripts/table1.py", *words]))
    (asked.output_dir / "table1.md").write_text(text, encoding="utf-8")
    say(f"{asked.output_dir / 'table1.md'}, table1.csv")
    return 0


def say(message: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {message}", flush=True)


def plan(asked: argparse.Namespace) -> list[Run]:
    """Every run, found fit before the first is trained; seed after seed, so that an interruption leaves whole rows."""
    given = [word for word in asked.flags if word.split("=")[0] in OURS]
    rows = [(name, asked.config, VARIANTS[name]) for name in dict.fromkeys(asked.variants)]
    rows += [(Path(config).stem, config, []) for config in asked.configs]
    names = [name for name, *_ in rows]
    if given or not names or len({*names}) < len(names):
        raise InputError(f"given {given}, rows {names}: leave out {', '.join(OURS)} after '--', and name each row once")
    runs = []
    for seed in dict.fromkeys(asked.seeds):
        for name, config, own in rows:
            folder = asked.output_dir / name / f"seed{seed}"
            flags = ["--config", config, *asked.flags, *own, "--seed", str(seed)]
            args = run_colorization.parse([*flags, "--output_dir", str(folder), "--auto_resume"])
            if args.data_set != "scenes" or args.eval or args.test or args.resume:
                raise InputError(f"{config}: pass a training on --data_set scenes, without eval, test and resume")
            check_flags(folder / "args.yaml", args)
            runs.append(Run(f"{name}, seed {seed}", name, folder, flags, args))
    return runs


def check_flags(file: Path, args: argparse.Namespace) -> None:
    """InputError unless args.yaml, if it is there, is of these flags. A flag newer than the file had its default."""
    now, defaults = (yaml.safe_load(yaml.safe_dump(vars(flags))) for flags in (args, run_colorization.parse([])))
    held = (yaml.safe_load(file.read_text()) or {}) if file.is_file() else now
    for flag in sorted({*held, *now} - {*PLACE}):
        was, wanted = held.get(flag, defaults.get(flag)), now.get(flag)
        if was != wanted and (flag, wanted) != ("amp", "auto"):  # a run that is resumed keeps its own
            raise InputError(f"{file}: --{flag} {was} there, {wanted} now; pass the former, or another --output_dir")


def train(run: Run) -> None:
    done = max((line["epoch"] for line in read_log(run)[-1:]), default=0)
    if done == run.args.epochs:
        return say(f"{run.name}: is trained")
    (run.folder / "scenes" / "metrics.json").unlink(missing_ok=True)  # of earlier weights
    say(f"{run.name}: training, {done} of {run.args.epochs} epochs are done")
    call(run, "training", [*run.flags, "--output_dir", str(run.folder), "--auto_resume"])


def read_log(run: Run) -> list[dict[str, Any]]:
    file = run.folder / "log.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def test(run: Run) -> None:
    folder, start = run.folder / "scenes", ["--finetune", str(run.folder / "checkpoint-last.pth"), "--no-auto_resume"]
    words = [*run.flags, *start, "--test", "--output_dir", str(folder)]
    args = run_colorization.parse(words)
    args.finetune = None  # the folder may be moved
    if all((folder / name).is_file() for name in ("metrics.json", "index.html")):  # the page is written last
        check_flags(folder / "args.yaml", args)
        return say(f"{run.name}: is tested")
    say(f"{run.name}: testing")
    folder.mkdir(exist_ok=True)
    (folder / "args.yaml").write_text(yaml.safe_dump(vars(args)))
    call(run, "test", words)


def call(run: Run, what: str, words: list[str]) -> None:
    """run_colorization.py in a process of its own, its words in run.log; its exit status, if not 0, is ours."""
    file = run.folder / "run.log"
    run.folder.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as log:
        print(f"$ {PROGRAM.name} {shlex.join(words)}", file=log, flush=True)
        status = subprocess.run([sys.executable, str(PROGRAM), *words], stdout=log, stderr=log).returncode
    if status != 0:
        print(f"table1.py: {run.name}: the {what} ended with {status}; see {file}", file=sys.stderr)
        sys.exit(status if status > 0 else 128 - status)  # ended by a signal: as shells number it


def read_result(run: Run) -> Result:
    scenes = json.loads((run.folder / "scenes" / "metrics.json").read_text())
    for summary in scenes.values() if not run.args.counter_color else ():
        summary.update(ari=None, foreground_ari=None)
    return Result(run, scenes, read_correct(run.folder / "scenes" / "per_instance.csv"), read_log(run))


def read_correct(file: Path) -> dict[str, dict[tuple, float]]:
    """split -> {(scene, place in it, noun, colour): 1 if right, else 0}: with the words, other scenes never match."""
    correct: dict[str, dict[tuple, float]] = {}
    places: Counter = Counter()
    with file.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            key = (int(row["index"]), places[row["split"], row["index"]], row["noun"], row["color"])
            correct.setdefault(row["split"], {})[key] = {"False": 0.0, "True": 1.0}[row["correct"]]
            places[row["split"], row["index"]] += 1
    return correct


def paired_difference(ours: Sequence[Result], theirs: Sequence[Result], split: str) -> dict[str, float] | None:
    """Accuracy of ours less theirs, each instance averaged over seeds. None if the instances are not the same."""
    systems = [[result.correct[split] for result in results] for results in (ours, theirs)]
    keys = list(systems[0][0])
    if any(correct.keys() != systems[0][0].keys() for correct in chain(*systems)):
        return None
    a, b = (torch.tensor(np.mean([[correct[key] for key in keys] for correct in system], axis=0)) for system in systems)
    return bootstrap_difference(a, b, torch.tensor([key[0] for key in keys]))._asdict()


def over_seeds(figures: Sequence[dict[str, float] | None]) -> dict[str, float] | None:
    """One seed: its figure. Several: the mean of their means, with the lowest and the highest as low and high."""
    if None in figures or len(figures) == 1:
        return figures[0]  # groups and their patches are the same for all seeds, so None is for all
    means = [value["mean"] for value in figures]
    return {"mean": sum(means) / len(means), "low": min(means), "high": max(means)}


def csv_rows(results: Iterable[Result]) -> list[dict[str, Any]]:
    """One for each run and split."""
    lines, none = [], dict.fromkeys(Interval._fields, "")
    for result in results:
        run = {"variant": result.run.variant, "seed": result.run.args.seed}
        for split, summary in result.scenes.items():
            figures = {f"{key}_{part}": value for key in FIGURES for part, value in (summary[key] or none).items()}
            references = {f"reference_{name}": value for name, value in summary["references"].items()}
            lines.append(run | {"split": split} | figures | references)
    return lines


def markdown(variants: dict[str, list[Result]], command: str) -> str:
    results = list(chain(*variants.values()))
    splits = [results[0].scenes[split] for split in TEST_SPLITS]
    mixture, chance = ([n, *(f"{100 * s['references'][n]:.1f}" for s in splits)] for n in ("mixture", "chance"))
    references = {"accuracy": [mixture, chance], "counter_accuracy": [chance]}
    updates = " or ".join(dict.fromkeys(str(line["step"]) for result in results for line in result.log[-1:]))
    text = f"# Table 1, ours\n\n`{command}`\n\nUpdates of each run: {updates}.\n\n{NOTES}"
    for key, (heading, *look) in FIGURES.items():
        rows = [
            [name, *(interval(over_seeds([r.scenes[split][key] for r in runs]), *look) for split in TEST_SPLITS)]
            for name, runs in rows_of(variants)
        ]
        text += table(f"{key}: {heading}", TEST_SPLITS, rows + references.get(key, []))
    full = variants.get("full")
    others = {name: runs for name, runs in variants.items() if full and name != "full"}
    rows = [
        [name, *(interval(paired_difference(full, runs, split), 100.0, 1) for split in TEST_SPLITS)]
        for name, runs in others.items()
    ]
    return text + table("accuracy of full less the row's, paired, points", TEST_SPLITS, rows)


def rows_of(variants: dict[str, list[Result]]) -> Iterator[tuple[str, list[Result]]]:
    """Each run by itself, and all of a variant where it has several seeds."""
    for variant, runs in variants.items():
        yield from ((result.run.name, [result]) for result in runs)
        if len(runs) > 1:
            yield f"{variant}, mean of {len(runs)}", runs


def table(heading: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [["", *columns], ["---", *("---:" for _ in columns)], *rows]
    return f"\n## {heading}\n\n" + "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the training of this moment too
    sys.exit(main())
