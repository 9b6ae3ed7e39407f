"""How the cost of a training step grows with batch, image, caption and number of processes: figures and a plot.

scripts/benchmark.py --plot calls this; it starts itself under torchrun for the processes.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib
import torch

matplotlib.use("Agg")
import matplotlib.pyplot as plt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models import PAPER_MODEL
from models.text import Words
from scripts.benchmark_data import write_photographs
from scripts.benchmark_run import STEPS, Run, build_run
from scripts.benchmark_timing import CORES, Figures, timed
from utils import distributed

ROOT = Path(__file__).resolve().parent.parent
SIDES = {True: (112, 224, 336), False: (56, 112, 168)}  # of the paper's model, of the others
WORDS = (6, 12, 24, 48)
PROCESSES = (1, 2, 4, 8)
LABELS = {
    "batch": "images in a batch",
    "side": "side of the image, pixels",
    "words": "words of a caption",
    "processes": "processes that share the batch",
}


def growth_rows(model: str, args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Milliseconds per image of a training step, along each of four axes; the other three stay as the flags say.

    args: of scripts/benchmark.py. The points of an axis are timed in turn; of processes, one after another. Several
    processes share one batch of --batch_size and the cores, or each takes a GPU.
    """
    batches = sorted({max(1, args.batch_size // part) for part in (8, 4, 2, 1)} | {2 * args.batch_size})
    sides = (args.input_size,) if args.input_size is not None else SIDES[model == PAPER_MODEL]
    settings = {
        "batch": {batch: {"batch_size": batch} for batch in batches},
        "side": {side: {"input_size": side} for side in sides},
        "words": {words: {"words": words} for words in WORDS},
    }
    figures = {axis: _along(model, args, device, points) for axis, points in settings.items()}
    most = torch.cuda.device_count() if device.type == "cuda" else CORES
    counts = [count for count in PROCESSES if count <= min(most, args.batch_size)]
    figures["processes"] = {str(count): _processes(model, args, device, count) for count in counts}
    return {"model": model, "milliseconds_per_image": figures}


def _along(model: str, args: argparse.Namespace, device: torch.device, points: dict[int, dict[str, int]]) -> Figures:
    """points: value on the axis -> the flags that it stands for."""
    runs = {}
    for value, changed in points.items():
        with tempfile.TemporaryDirectory() as folder:
            runs[value] = _run(model, argparse.Namespace(**vars(args) | changed), device, Path(folder))
    steps = STEPS[device.type]
    calls = {value: lambda run=run: run.train(run.batch, steps) for value, run in runs.items()}
    seconds = timed(calls, args.repeats, device)
    return {str(value): 1000 * median(seconds[value]) / steps / len(runs[value].batch.names) for value in points}


def _run(model: str, args: argparse.Namespace, device: torch.device, folder: Path) -> Run:
    """A batch of exactly `args.words` words and their two marks: the tokenizer may cut a word in several."""
    write_photographs(folder, distributed.world_size() * args.batch_size, args.words)
    run = build_run(model, args, device, folder)

    def cut(words: Words) -> Words:
        return Words(*(tensor[:, : args.words + 2] for tensor in words))

    batch = dataclasses.replace(run.batch, words=cut(run.batch.words), counter_words=cut(run.batch.counter_words))
    return run._replace(batch=batch)


def _processes(model: str, args: argparse.Namespace, device: torch.device, count: int) -> float:
    """Milliseconds per image where `count` processes share a batch of `args.batch_size`."""
    words = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}", __file__, device.type, model]
    plain = {name: getattr(args, name) for name in ("amp", "compile", "input_size", "words", "repeats")}
    plain |= {"batch_size": args.batch_size // count, "threads": max(1, args.threads // count)}
    done = subprocess.run([sys.executable, *words, json.dumps(plain)], cwd=ROOT, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{count} processes: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def one_of_the_processes(kind: str, model: str, flags: str) -> None:
    """Under torchrun; rank 0 prints the figure."""
    args, device = argparse.Namespace(**json.loads(flags)), distributed.setup(kind)
    torch.set_num_threads(args.threads)
    try:
        with tempfile.TemporaryDirectory() as folder:
            run = _run(model, args, device, Path(folder))
        steps = STEPS[device.type]
        seconds = median(timed({"own": lambda: run.train(run.batch, steps)}, args.repeats, device)["own"])
        if distributed.is_main():
            print(1000 * seconds / steps / (args.batch_size * distributed.world_size()))
    finally:
        distributed.shutdown()


def plot_growth(growth: dict[str, Any], file: Path) -> None:
    """One panel for each axis: milliseconds per image, against the value."""
    figure, panels = plt.subplots(1, len(LABELS), figsize=(4 * len(LABELS), 3.2), layout="constrained")
    for panel, (axis, label) in zip(panels, LABELS.items(), strict=True):
        points = growth["milliseconds_per_image"][axis]
        panel.plot([int(value) for value in points], list(points.values()), marker="o")
        panel.set(xlabel=label, ylabel="ms of training per image", ylim=(0, None))
        panel.set_xticks([int(value) for value in points])
    figure.suptitle(growth["model"], fontsize=9)
    figure.savefig(file, dpi=110)
    plt.close(figure)
    print(file)


if __name__ == "__main__":
    one_of_the_processes(*sys.argv[1:])
