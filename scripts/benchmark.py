"""How fast it runs, beside how fast this machine multiplies matrices: the figures of docs/BENCHMARKS.md.

    python scripts/benchmark.py --output benchmark.json

It makes its own pictures and captions. What is compared is timed in turn (A B A B ...), and a ratio is the median over
the turns of the ratio within a turn: whatever slows the machine for a while slows both sides of it.
"""

import argparse
import json
import multiprocessing
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import datasets
import engine
import run_colorization
from evaluation.measure import Measure
from models import MODELS, PAPER_MODEL, SMALL_MODEL
from models.train_state import TrainState
from scripts.benchmarking import timing
from scripts.benchmarking.timing import Figures, ratio, timed
from utils import devices, files, options
from utils.devices import AMP, AMP_HELP, DEVICE_HELP, autocast
from utils.errors import InputError

ROWS = ("memory", "forward", "training", "evaluation", "loader")
STEPS = {"cpu": 1, "cuda": 10}  # batches in a timing: a GPU works through a queue, which one batch leaves empty
CAPTION = "a red ball beside a blue box near the green cup on the yellow sand"
PHOTOGRAPHS = 48  # files of 640 x 480 that the loader reads over and over
FILL, TIMED = 2, 10  # batches per loader worker: until all are busy, and then on the clock


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measures, prints and writes; returns what the JSON holds."""
    argv = sys.argv[1:] if argv is None else argv
    args = parse(argv)
    device = devices.choose(args.device, float64=True)
    args.amp = devices.precision(args.amp, device)
    if args.compile:
        devices.check_compiler(device)
    report = {"command": shlex.join(["python", "scripts/benchmark.py", *argv])}
    print(report["command"])
    report["machine"] = show("machine", timing.machine(device))
    report["matrix"] = show("matrix", timing.matrix_row(args.amp, device, args.repeats))
    report["models"] = {name: model_rows(name, args, device) for name in args.model}
    if args.output is not None:
        files.write_json(args.output, report)
    return report


def parse(argv: list[str]) -> argparse.Namespace:
    kind = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=kind, allow_abbrev=False)
    add = parser.add_argument
    add("--device", default="auto", help=DEVICE_HELP)
    add("--model", nargs="+", choices=list(MODELS), default=[PAPER_MODEL, SMALL_MODEL], help="architectures to measure")
    add("--input_size", type=int, default=None, help="image side in pixels; the model's own if not given")
    add("--batch_size", type=int, default=8, help="images per batch")
    add("--amp", choices=AMP, default="auto", help=AMP_HELP)
    add("--compile", action="store_true", help="torch.compile the network")
    add("--repeats", type=int, default=5, help="turns that are timed; one more before them is not counted")
    add("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="what to measure, beside the matrix products")
    add("--output", type=Path, default=None, help="JSON file to write; none if not given")
    args = parser.parse_args(argv)
    for flag in ("batch_size", "repeats"):
        if getattr(args, flag) < 1:
            parser.error(f"--{flag} {getattr(args, flag)}: pass 1 or more")
    return args


def show(row: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Prints a row, and returns it."""
    for name, value in figures.items():
        print(f"{row:12}{name:40} {value if isinstance(value, str) else format(value, ',.4g'):>20}", flush=True)
    return figures


def write_photographs(root: Path, pairs: int) -> None:
    """A training split of so many pairs over PHOTOGRAPHS files of 640 x 480: smooth colours with grain, which brings
    their size near that of COCO's."""
    (root / "train").mkdir()
    draw = np.random.default_rng(0)
    for place in range(PHOTOGRAPHS):
        smooth = Image.fromarray(draw.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((640, 480))
        pixels = (np.asarray(smooth) + draw.normal(0.0, 12.0, (480, 640, 1))).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / "train" / f"{place}.jpg", quality=90)
    listed = [[f"{place % PHOTOGRAPHS}.jpg", CAPTION] for place in range(pairs)]
    (root / "cap-img-pairs_train.json").write_text(json.dumps(listed))


class Timed:
    """`name` with random weights, its training on the photographs in `data`, and one batch of them on the host."""

    def __init__(self, name: str, args: argparse.Namespace, device: torch.device, data: Path) -> None:
        words = ["--model", name, "--amp", args.amp, "--batch_size", str(args.batch_size), "--num_workers", "0"]
        words += ["--image_encoder_weights", "random", "--text_encoder_weights", "random", "--data_path", str(data)]
        words += ["--compile"] * args.compile
        words += [] if args.input_size is None else ["--input_size", str(args.input_size)]
        self.flags, self.device, self.repeats = run_colorization.parse(words), device, args.repeats
        self.steps = STEPS[device.type]
        self.system = run_colorization.build_system(self.flags, None).to(device)
        loader = self.loader(0)
        self.state = TrainState.start(self.system, self.flags, len(loader), device)
        self.run = engine.RunOptions(device, self.flags.amp, 1, args.batch_size, clip_grad=1.0)
        self.batch = next(iter(loader))

    def loader(self, workers: int) -> DataLoader:
        flags, system = self.flags, self.system
        given = options.pick(datasets.options_of(flags.data_set), flags)
        sizes = flags.batch_size, workers, flags.seed, self.device.type == "cuda"
        return datasets.build_train_loader(given, flags.data_path, system, *sizes)

    def update(self, *_: Any, **__: Any) -> None:
        """In the place of `utils.log.MetricLog`, for `train`."""

    def train(self, steps: int) -> None:
        """So many updates by engine.train_one_epoch, each on the batch: copied, augmented, and all that follows."""
        engine.train_one_epoch(self.state, [self.batch] * steps, self.run, self)

    @torch.no_grad()
    def colorize(self, steps: int) -> None:
        """Colorized alone, inside one autocast as in an evaluation: weights are cast once."""
        system, batch = self.system.eval(), self.batch.to(self.device)
        with autocast(self.device, self.flags.amp):
            for _ in range(steps):
                system.colorize(batch)

    def evaluate(self, steps: int) -> None:
        """The batch colorized and measured so many times, without LPIPS."""
        engine.evaluate(self.system, [self.batch] * steps, self.device, self.flags.amp, Measure())

    def rate_and_share(self, work: Callable[[int], None]) -> Figures:
        """Share: operations per second over those of matrix products in the same turn."""
        gflop = timing.count_gflop(lambda: work(1))
        matrix, matrix_gflop = timing.matrix_product(self.flags.amp, self.device)
        seconds = timed({"own": lambda: work(self.steps), "matrix": matrix}, self.repeats, self.device)
        return {
            "images_per_second": self.steps * len(self.batch.names) / median(seconds["own"]),
            "gflop_per_image": gflop / len(self.batch.names),
            "share_of_matrix_rate": self.steps * gflop / matrix_gflop * ratio(seconds["matrix"], seconds["own"]),
        }

    def evaluation_row(self) -> Figures:
        """rest_share: what the network alone, in the same turn, does not take of an evaluation's time."""
        calls = {"all": lambda: self.evaluate(self.steps), "network": lambda: self.colorize(self.steps)}
        seconds = timed(calls, self.repeats, self.device)
        rate = self.steps * len(self.batch.names) / median(seconds["all"])
        return {"images_per_second": rate, "rest_share": 1 - ratio(seconds["network"], seconds["all"])}

    def loader_row(self) -> Figures:
        """The training loader with one worker process and with one for each core."""
        rates = {"one_worker": self.loader_rate(1), "all_cores": self.loader_rate(timing.CORES)}
        return {f"{name}_images_per_second": rate for name, rate in rates.items()}

    def loader_rate(self, workers: int) -> float:
        """Samples/s while all workers are busy: the clock starts and stops in mid-stream."""
        rates, first, last = [], FILL * workers, (FILL + TIMED) * workers
        for _ in range(self.repeats):
            for place, _ in enumerate(islice(self.loader(workers), last), start=1):
                if place == first:
                    started = time.perf_counter()
            rates.append((last - first) * self.flags.batch_size / (time.perf_counter() - started))
        return median(rates)


def model_rows(name: str, args: argparse.Namespace, device: torch.device) -> dict[str, Figures]:
    """Every row of one architecture, printed as it comes."""
    print(f"\n{name}: batch {args.batch_size}, {args.amp}, {'compiled' if args.compile else 'not compiled'}")
    figures: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        write_photographs(data, (FILL + TIMED + 2) * timing.CORES * args.batch_size)
        if "memory" in args.rows:  # in a fresh process, before this one holds a network too
            with multiprocessing.get_context("spawn").Pool(1) as fresh:
                figures["memory"] = show("memory", fresh.apply(memory_row, (name, args, device, data)))
        system = Timed(name, args, device, data)
        measured = {
            "forward": lambda: system.rate_and_share(system.colorize),
            "training": lambda: system.rate_and_share(system.train),
            "evaluation": system.evaluation_row,
            "loader": system.loader_row,
        }
        for row in (row for row in measured if row in args.rows):
            figures[row] = show(row, measured[row]())
    return figures


def memory_row(name: str, args: argparse.Namespace, device: torch.device, data: Path) -> Figures:
    """Largest memory after two training steps, and before them (weights; on a CPU libraries too).

    Two, because only the second runs forward and backward beside the optimizer's state.
    """
    system = Timed(name, args, device, data)
    before = timing.largest_memory(device)
    system.train(2)
    return {"peak_gb": timing.largest_memory(device), "before_training_gb": before}


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
