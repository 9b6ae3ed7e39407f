"""Kill a training of two processes again and again, and see that nothing is lost by it.

    python tests/slow/soak.py --config configs/lcoins/scenes.yaml --output_dir output/soak --kills 20 -- \\
        --image_encoder_weights random --text_encoder_weights random --amp none --batch_size 2 --epochs 2 \\
        --scenes 280 --eval_scenes 4

OUTPUT/whole is trained without interruption; OUTPUT/killed, with the same flags (those after `--`), is ended at random
moments, half of them during a save, by SIGKILL to all processes, by SIGKILL to one, or by SIGTERM, and resumed each
time. OUTPUT/alone is killed between the last update and the evaluation of an epoch, and resumed by one process. Exit
status 0: after every death each checkpoint could be read, the last and the best one are the other training's bit for
bit, and the one process came to its end. It runs on CPUs: there the sums of a step have one order.
"""

import argparse
import importlib
import multiprocessing
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import run_colorization
from datasets.scenes.palette import lookup
from engine import BEST, LAST
from utils import checkpoint
from utils.errors import FaultError, InputError, Interrupted

PROCESSES = 2
FOLDERS = ("whole", "killed", "alone")
HANGS = 300.0  # seconds in which a process must get to a save, or end once it or the other was killed
COMPARED = (
    "system",
    "config",
    "tokenizer",
    "tensors",
    "ema",
    "optimizer",
    "scaler",
    "step",
    "epoch",
    "seen",
    "best",
    "rng",
)


Ranks = Sequence[BaseProcess]
Run = Callable[[list[str]], int]  # command line -> exit status


class Way(NamedTuple):
    """How a training ends."""

    name: str
    signal: signal.Signals
    to_all: bool
    statuses: tuple[int, ...]  # exit statuses that a process may have then: a negative one is its signal


WAYS = (
    Way("SIGKILL to all", signal.SIGKILL, True, (-signal.SIGKILL,)),
    Way("SIGKILL to one", signal.SIGKILL, False, (-signal.SIGKILL, FaultError.status)),
    # before the training begins there is nothing to save, and SIGTERM ends the process by itself
    Way("SIGTERM to one", signal.SIGTERM, False, (Interrupted.status, -signal.SIGTERM, FaultError.status)),
)


def main(words: list[str] | None = None) -> int:
    words = sys.argv[1:] if words is None else words
    end = words.index("--") if "--" in words else len(words)
    asked = parser().parse_args(words[:end])
    flags = ["--config", asked.config, "--device", "cpu", "--save_every", "1", "--auto_resume", *words[end + 1 :]]
    whole, killed = asked.output_dir / "whole", asked.output_dir / "killed"
    try:
        asked.output_dir.mkdir(parents=True, exist_ok=True)
        if any((asked.output_dir / name).exists() for name in FOLDERS):
            raise InputError(f"--output_dir {asked.output_dir}: holds a former soak; delete it or pass another folder")
        warm()
        finish(flags, whole)
        broken = sum(kill(flags, killed, moment, asked.kills) for moment in moments(asked.kills, asked.seed))
        finish(flags, killed)
        different = [
            f"{name}: {part}"
            for name in (LAST, BEST)
            for part in differences(*(checkpoint.read(str(folder / name)) for folder in (whole, killed)))
        ]
        resume_alone([*flags, "--epochs", "1"], asked.output_dir / "alone")
    except InputError as error:
        print(f"soak.py: {error}", file=sys.stderr)
        return 2
    print(f"{asked.kills} deaths, {broken} of them with a checkpoint half written; every checkpoint was readable")
    print(f"different: {', '.join(different)}" if different else "the last and the best are equal, bit for bit")
    return 1 if different else 0


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True, help="YAML of the training")
    parser.add_argument("--output_dir", type=Path, required=True, help="folder for both trainings; ranks' words too")
    parser.add_argument("--kills", type=int, default=20, help="deaths (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    return parser


class Moment(NamedTuple):
    number: int
    way: Way
    rank: int  # whom the signal reaches, where not all
    saves: int  # that the process has done before
    in_save: bool
    delay: float  # seconds after that, where not in a save


def moments(count: int, seed: int) -> list[Moment]:
    chance = random.Random(seed)
    found = []
    for number in range(1, count + 1):
        way, rank, saves = WAYS[(number - 1) % len(WAYS)], chance.randrange(PROCESSES), chance.randrange(4)
        found.append(Moment(number, way, rank, saves, chance.random() < 0.5, chance.random() / 4))
    return found


def warm() -> None:
    """What every start would do again: late imports, and the table of the scenes' colours."""
    torch.set_num_threads(1)  # a child that is forked from many threads may hang in its first sum
    lookup()
    importlib.import_module("transformers.models.bert.modeling_bert")


def start(flags: Sequence[str], folder: Path, count: int = PROCESSES, run: Run = run_colorization.run) -> Ranks:
    """The ranks, as torchrun starts them, but forked: everything is imported already, so a death costs no minute."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(count)}
    fork = multiprocessing.get_context("fork")
    words = [*flags, "--output_dir", str(folder)]
    ranks = [fork.Process(target=_rank, args=(run, words, place | {"RANK": str(i)}, folder)) for i in range(count)]
    for process in ranks:
        process.start()
    return ranks


def _rank(run: Run, words: list[str], place: dict[str, str], folder: Path) -> None:
    os.environ.update(place)
    with folder.with_suffix(".txt").open("a") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
    torch.set_num_threads(1)
    sys.exit(run(words))


def _run_to_an_epoch_s_end(words: list[str]) -> int:
    """SIGKILL behind the last update of the first epoch: its evaluation does not begin."""
    run_colorization.evaluate = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    return run_colorization.run(words)


def resume_alone(flags: Sequence[str], folder: Path) -> None:
    """The checkpoint of an epoch's last update, written by all processes, is resumed by one, to the epoch's end."""
    ranks = start(flags, folder, run=_run_to_an_epoch_s_end)
    for process in ranks:
        process.join()
    content = checkpoint.read(str(folder / LAST))
    if _statuses(ranks) != [-signal.SIGKILL] * PROCESSES or content["epoch"] != 0:
        raise InputError(f"{folder}: no death at the epoch's end, {_statuses(ranks)}; see {folder.with_suffix('.txt')}")
    finish(flags, folder, count=1)
    print(f"death at the end of an epoch, step {content['step']}: one process went on from there", flush=True)


def finish(flags: Sequence[str], folder: Path, count: int = PROCESSES) -> None:
    """Train, or go on, to the end."""
    print(f"{folder}: training to the end", flush=True)
    ranks = start(flags, folder, count)
    for process in ranks:
        process.join()
    if any(process.exitcode for process in ranks):
        raise InputError(f"{folder}: the training ended with {_statuses(ranks)}; see {folder.with_suffix('.txt')}")


def kill(flags: Sequence[str], folder: Path, moment: Moment, of: int) -> bool:
    """Start or resume, end it at `moment`, and read what is left. Returns whether a save was cut short."""
    ranks = start(flags, folder)
    try:
        await_moment(ranks, folder, moment)
        for process in ranks if moment.way.to_all else ranks[moment.rank : moment.rank + 1]:
            os.kill(process.pid, moment.way.signal)
        for process in ranks:
            process.join(HANGS)
    finally:
        hanging = [process for process in ranks if process.is_alive()]
        for process in hanging:
            process.kill()
    statuses = _statuses(ranks)
    if hanging or not set(statuses) <= set(moment.way.statuses):
        raise InputError(
            f"{folder}: after {moment.way.name} the processes ended with {statuses}, {len(hanging)} of them never;"
            f" see {folder.with_suffix('.txt')}"
        )
    steps = [read_whole(folder / name) for name in (LAST, BEST) if (folder / name).exists()]
    half_written = any(folder.glob("*.part"))
    cut = "a save cut short, " if half_written else ""
    print(
        f"death {moment.number} of {of}: {moment.way.name}, exit {statuses}, {cut}checkpoints of steps {steps} whole",
        flush=True,
    )
    return half_written


def await_moment(ranks: Ranks, folder: Path, moment: Moment) -> None:
    last, parts = folder / LAST, [folder / f"{name}.part" for name in (LAST, BEST)]
    for part in parts:
        part.unlink(missing_ok=True)  # of a former death
    seen, saves, until = _changed(last), 0, time.monotonic() + HANGS

    def before_it() -> bool:
        return (
            not _met(ranks, folder)
            or saves < moment.saves
            or (moment.in_save and not any(part.exists() for part in parts))
        )

    while before_it():
        if not all(process.is_alive() for process in ranks):
            raise InputError(f"{folder}: ended before death {moment.number}; pass more --epochs or fewer --kills")
        if time.monotonic() > until:
            for process in ranks:
                process.kill()
            raise InputError(f"{folder}: no save in {HANGS:.0f} seconds; see {folder.with_suffix('.txt')}")
        if (now := _changed(last)) != seen:
            seen, saves = now, saves + 1
        time.sleep(0.0005)
    time.sleep(0.0 if moment.in_save else moment.delay)


def _met(ranks: Ranks, folder: Path) -> bool:
    """Whether the processes know of each other. Sooner, one waits in vain for the other, and torchrun would end it."""
    lock = folder / ".lock"
    return lock.exists() and lock.read_text().strip() == str(ranks[0].pid)


def _changed(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _statuses(ranks: Ranks) -> list[int | None]:
    return [process.exitcode for process in ranks]


def read_whole(path: Path) -> int:
    """The step of a checkpoint, every byte of its tensors read. InputError where it is not readable."""
    content = checkpoint.read(str(path))
    for tensor in content["tensors"].values():
        tensor.sum()
    return content["step"]


def differences(one: Any, other: Any) -> list[str]:
    """The parts of two checkpoints that are not equal bit for bit."""
    return [part for part in COMPARED if not _equal(one[part], other[part])]


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return one == other


if __name__ == "__main__":
    sys.exit(main())
