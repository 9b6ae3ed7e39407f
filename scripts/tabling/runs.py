"""The trainings and the test of a row: their flags, resumed where they stopped.

Every row gets the same number of updates of the same batch, the same samples in the same order, and its config's share
of warm-up. A row of several stages divides the epochs among them, in the proportion of its configs' updates.
"""

import shlex
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import datasets
import models
import run_colorization
import run_flags
from evaluation.table1.results import PHOTOS, SCENES, kind_of
from scripts.tabling.rows import ROOT, Row
from utils import checkpoint, options
from utils.errors import InputError
from utils.files import write_text

DATA_SETS = {SCENES: "scenes", PHOTOS: "captioned_images"}
TEST, REPLACED, LAST, TRAINED = "test", "replaced", "checkpoint-last.pth", "trained.txt"
# What makes rows equal, or is decided for each run.
OWN_FLAGS = (
    *("config", "model", "data_set", "data_path", "batch_size", "update_freq", "epochs", "scenes", "epoch_pairs"),
    *("seed", "output_dir", "finetune", "resume", "auto_resume", "eval", "test", "obedience", "stage"),
)

WEIGHTS = ("image_encoder_weights", "text_encoder_weights", "backbone_weights", "word_vectors", "prior_weights")
_ENDINGS = (".pth", ".pt", ".safetensors", ".txt")


class Budget(NamedTuple):
    """Of every row."""

    updates: int
    batch_size: int
    epochs: int


class Stage(NamedTuple):
    folder: Path
    flags: list[str]
    epochs: int


class Run(NamedTuple):
    row: Row
    kind: str
    seed: int
    folder: Path
    stages: list[Stage]
    done: Path | None = None  # a training or a test that stands for it

    @property
    def trainings(self) -> list[Path]:
        return [stage.folder for stage in self.stages] if self.done is None else [self.done]

    @property
    def checkpoint(self) -> Path:
        return self.trainings[-1] / LAST

    @property
    def test(self) -> Path:
        return self.folder / TEST if self.done is None or kind_of(self.done) is None else self.done

    @property
    def tested(self) -> bool:
        return (self.test / "index.html").is_file()  # written last


def check_budget(budget: Budget) -> None:
    if budget.updates % budget.epochs:
        nearest = max(1, round(budget.updates / budget.epochs)) * budget.epochs
        raise InputError(
            f"--updates {budget.updates} --epochs {budget.epochs}: epochs of equal length do not give them; pass"
            f" --updates {nearest}, or other epochs"
        )


def plan(
    row: Row, kind: str, seed: int, output: Path, budget: Budget, data_path: str | None, common: Sequence[str]
) -> Run:
    """common: the user's flags, for every row that knows them. Raises InputError."""
    folder = output / kind / row.name / f"seed{seed}"
    start = ["--data_set", DATA_SETS[kind], *(["--data_path", data_path] if kind == PHOTOS else [])]
    first = [parsed(row, config, [*start, *row.flags]) for config in row.configs]
    epochs = divided(budget.epochs, [updates_of(args) for args in first], row)
    stages: list[Stage] = []
    for config, args, own in zip(row.configs, first, epochs, strict=True):
        flags = ["--config", config, *start, *row.flags, *equal_flags(args, kind, budget, own, len(first) > 1)]
        flags += [*known_flags(args, common), "--seed", str(seed)]
        if stages:
            flags += ["--finetune", str(stages[-1].folder / LAST)]
        stages.append(Stage(folder if len(first) == 1 else folder / f"stage{len(stages) + 1}", flags, own))
        parsed(row, config, flags)
    return Run(row, kind, seed, folder, stages)


def parsed(row: Row, config: str, flags: Sequence[str]) -> Namespace:
    try:
        return run_colorization.parse(["--config", config, *flags])
    except InputError as error:
        raise InputError(f"{row.name}: {error}") from error


def updates_of(args: Namespace) -> float:
    """Of the config as it stands, up to a factor that its stages share."""
    return args.epochs * getattr(args, "scenes", 1) / args.batch_size


def divided(epochs: int, weights: Sequence[float], row: Row) -> list[int]:
    """Epochs of each stage, at least one, in the proportion of `weights`; they add up."""
    if epochs < len(weights):
        raise InputError(f"--epochs {epochs}: {row.name} has {len(weights)} stages, an epoch each at least; pass more")
    shares = [weight / sum(weights) * epochs for weight in weights]
    found = [max(1, int(share)) for share in shares]
    while sum(found) != epochs:
        step = 1 if sum(found) < epochs else -1
        places = [place for place in range(len(found)) if found[place] + step >= 1]
        found[max(places, key=lambda place: step * (shares[place] - found[place]))] += step
    return found


def equal_flags(args: Namespace, kind: str, budget: Budget, epochs: int, staged: bool) -> list[str]:
    """args: of the config. Of stages val is measured at the end alone: that of some paints pictures for minutes."""
    samples = budget.updates // budget.epochs * budget.batch_size
    flags = ["--batch_size", str(budget.batch_size), "--update_freq", "1", "--epochs", str(epochs)]
    flags += ["--eval_every", str(epochs if staged else 1)]
    flags += ["--warmup_epochs", f"{args.warmup_epochs * epochs / args.epochs:.4g}"]
    if args.linear_epochs is not None:
        flags += ["--linear_epochs", str(min(epochs, round(args.linear_epochs * epochs / args.epochs)))]
    flags += ["--scenes" if kind == SCENES else "--epoch_pairs", str(samples)]
    if kind == SCENES and args.scene_curriculum:
        flags += ["--scene_curriculum", "0"]
    if kind == PHOTOS and getattr(args, "vocabulary", "") is None:
        flags += ["--vocabulary", str(Path(args.data_path) / "cap-img-pairs_train.json")]
    return flags


def words_by_flag(common: Sequence[str]) -> list[list[str]]:
    """['--a', '1', '2', '--no-b'] -> [['--a', '1', '2'], ['--no-b']]. Raises InputError."""
    found: list[list[str]] = []
    for word in common:
        if word.startswith("--"):
            found.append([word])
        elif not found:
            raise InputError(f"-- {word}: flags of run_colorization.py stand here, and each begins with --")
        else:
            found[-1].append(word)
    return found


def name_of(word: str) -> str:
    return word.removeprefix("--").removeprefix("no-").split("=")[0]


def known_flags(args: Namespace, common: Sequence[str]) -> list[str]:
    return [word for words in words_by_flag(common) if hasattr(args, name_of(words[0])) for word in words]


def check_common(common: Sequence[str]) -> None:
    """InputError for a flag that is this program's own, or that no system and no data set knows."""
    known = {action.dest for action in run_flags.build_parser({})._actions}
    configs = [models.system_of(name).Config for name in models.MODELS] + [*datasets.DATA_SETS.values()]
    known |= {field.name for config in configs for field in options.flags_of(config)}
    for flag, *_ in words_by_flag(common):
        if name_of(flag) in OWN_FLAGS:
            raise InputError(f"-- {flag}: is decided for every row alike; use the flags of table1.py itself")
        if name_of(flag) not in known:
            raise InputError(f"-- {flag}: no row knows it; run_colorization.py --model NAME --help lists the flags")


def check_start(run: Run) -> None:
    """InputError for weights that a training would miss only when its turn comes."""
    if run.tested:
        return
    args = parsed(run.row, run.row.configs[0], run.stages[0].flags)
    for flag in WEIGHTS:
        source = getattr(args, flag, None) or ""
        is_path = source.endswith(_ENDINGS) or source.count("/") > 1  # owner/name is one of a hub
        if is_path and not Path(source).exists():
            raise InputError(
                f"{run.row.name}: --{flag} {source}: not there; make it as {run.row.configs[0]} says, or pass another,"
                f" or random: -- --{flag} random"
            )


def claim(run: Run) -> None:
    """Note the flags of a run. InputError where its folder holds one of others. It may have been copied here: what lies
    in the folder, and our configs, are noted without their place."""
    held = run.folder / "flags.txt"
    flags = [_without(stage.flags, "--finetune") for stage in run.stages]
    lines = [shlex.join(word.removeprefix(f"{ROOT}/") for word in own) for own in flags]
    now = "".join(f"{line}\n" for line in lines)
    if held.is_file() and (before := held.read_text(encoding="utf-8")) != now:
        raise InputError(f"{held}: {before.strip()} there, {now.strip()} now; pass the former, or another --output_dir")
    run.folder.mkdir(parents=True, exist_ok=True)
    write_text(held, now)


def train_and_test(run: Run, obedience: bool, test_scenes: int, replaced: str | None) -> None:
    """What is done is not done again. Ends the program with a run's status where that is not 0. replaced: a folder of
    photographs under captions of other colours, tested too."""
    for stage in run.stages if run.done is None and not run.tested else ():
        if not (stage.folder / TRAINED).is_file():
            start([*stage.flags, "--output_dir", str(stage.folder), "--auto_resume"])
            write_text(stage.folder / TRAINED, "whole\n")
    flags = _without(run.stages[-1].flags, "--finetune")
    flags += ["--finetune", str(run.checkpoint), "--no-auto_resume", "--test"]
    if not run.tested:
        more = []
        if run.kind == SCENES:
            more = ["--eval_scenes", str(test_scenes)]
        elif obedience and checkpoint.read(str(run.checkpoint))["tokenizer"] is not None:
            more = ["--obedience"]
        start([*flags, *more, "--output_dir", str(run.test)])
    other = run.folder / REPLACED
    if replaced is None or run.kind != PHOTOS or (other / "index.html").is_file():
        return
    if run.checkpoint.is_file():
        start([*flags, "--data_path", replaced, "--output_dir", str(other)])
    else:
        print(f"{run.row.title}: {run.checkpoint} is not there, so no test on {replaced}", flush=True)


def _without(flags: Sequence[str], flag: str) -> list[str]:
    """Without a flag and its one value."""
    if flag not in flags:
        return list(flags)
    place = flags.index(flag)
    return [*flags[:place], *flags[place + 2 :]]


def start(flags: Sequence[str]) -> None:
    print(f"run_colorization.py {shlex.join(flags)}", flush=True)
    if status := run_colorization.run(list(flags)):
        sys.exit(status)
