"""How fast it runs, beside how fast this machine multiplies matrices: the figures of docs/BENCHMARKS.md.

    python scripts/benchmark.py --output benchmark.json

It makes its own pictures and captions. What is compared is timed in turn (A B A B ...), and a ratio is the median over
the turns of the ratio within a turn: whatever slows the machine for a while slows both sides of it.
"""

import argparse
import dataclasses
import json
import multiprocessing
import os
import platform
import resource
import shlex
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import build
import engine
from datasets import captioned_images
from datasets.batch import Batch
from models import NAMES
from models.text_encoder import MAX_WORDS
from utils import color, distributed, options
from utils.errors import InputError

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
ROWS = ("memory", "forward", "training", "evaluation", "loader")
DTYPES = {"none": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MATRIX = {"cpu": (2048, 4), "cuda": (8192, 20)}  # side of the matrices, products in a timing
STEPS = {"cpu": 1, "cuda": 10}  # batches in a timing: a GPU works through a queue, which one batch leaves empty
CLIP_GRAD = 1.0
PHOTOGRAPHS = 48  # files that the loader reads over and over
FILL, TIMED = 2, 10  # batches per loader worker: until all are busy, and then on the clock
SENTENCE = "a {} ball beside a {} box near the {} cup on the {} sand under"
COLORS = ("red", "blue", "green", "yellow", "black", "white", "orange", "purple")

Figures = dict[str, float]
Seconds = dict[str, list[float]]


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measures, prints and writes; returns what the JSON holds."""
    argv = sys.argv[1:] if argv is None else argv
    args = parse(argv)
    device = distributed.setup(args.device)
    torch.set_num_threads(args.threads)
    report = {"command": shlex.join(["python", "scripts/benchmark.py", *argv]), "machine": machine(device)}
    print(report["command"])
    show("machine", report["machine"])
    report |= {"matrix": matrix_row(device, args.repeats), "models": {}}
    show("matrix", report["matrix"])
    for name in args.model:
        print(f"\n{name}: batch {args.batch_size}, {args.amp}, {'compiled' if args.compile else 'not compiled'}")
        with tempfile.TemporaryDirectory() as folder:
            report["models"][name] = model_rows(name, args, device, Path(folder))
    if args.output is not None:
        args.output.write_text(json.dumps(report, indent=2) + "\n")
    return report


def parse(argv: list[str]) -> argparse.Namespace:
    kind = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=kind, allow_abbrev=False)
    add = parser.add_argument
    add("--device", default="auto", help="auto (a GPU where there is one), cpu, cuda or cuda:N")
    add("--model", nargs="+", choices=NAMES, default=list(NAMES), help="architectures to measure")
    add("--input_size", type=int, default=None, help="image side in pixels; the model's own if not given")
    add("--batch_size", type=int, default=8, help="images per batch")
    add("--words", type=int, default=12, help="words per caption; the tokenizer adds its two marks")
    add("--amp", choices=tuple(DTYPES), default="bf16", help="mixed precision; fp16 is for GPUs")
    add("--compile", action="store_true", help="torch.compile the network")
    add("--repeats", type=int, default=5, help="turns that are timed; one more before them is not counted")
    add("--threads", type=int, default=CORES, help="threads of PyTorch on the CPU")
    add("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="what to measure, beside the matrix products")
    add("--output", type=Path, default=None, help="JSON file to write; none if not given")
    args = parser.parse_args(argv)
    for flag, least, most in (("batch_size", 1, None), ("words", 2, MAX_WORDS - 2), ("repeats", 1, None)):
        value = getattr(args, flag)
        if value < least or (most is not None and value > most):
            parser.error(f"--{flag} {value}: pass {least} {f'to {most}' if most else 'or more'}")
    return args


def machine(device: torch.device) -> dict[str, Any]:
    """Names and versions, without which a figure means nothing."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    described = {"cpu": (names or [platform.processor() or platform.machine()])[0], "cores": CORES} | gpu
    versions = {name: version(name) for name in ("torch", "torchvision", "timm", "transformers")}
    return described | {"threads": torch.get_num_threads(), "python": platform.python_version()} | versions


def show(row: str, figures: dict[str, Any]) -> None:
    for name, value in figures.items():
        print(f"{row:12}{name:40} {value if isinstance(value, str) else format(value, ',.4g'):>20}", flush=True)


def timed(calls: dict[str, Callable[[], None]], repeats: int, device: torch.device) -> Seconds:
    """Seconds of every call in every turn; in a turn each call runs once. The first turn is not counted."""
    seconds: Seconds = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            _wait(device)
            started = time.perf_counter()
            call()
            _wait(device)
            if turn > 0:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matrix_product(amp: str, device: torch.device) -> tuple[Callable[[], None], float]:
    """The yardstick: some large square products into memory that is there already, and their GFLOP together."""
    side, count = MATRIX[device.type]
    a, b, product = (torch.randn(side, side, device=device, dtype=DTYPES[amp]) for _ in range(3))

    def call() -> None:
        for _ in range(count):
            torch.mm(a, b, out=product)

    return call, count * 2 * side**3 / 1e9


def matrix_row(device: torch.device, repeats: int) -> Figures:
    figures = {}
    for amp, name in (("none", "fp32"), ("bf16", "bf16"), ("fp16", "fp16")):
        if amp != "fp16" or device.type == "cuda":
            call, gflop = matrix_product(amp, device)
            figures[f"{name}_gflop_per_second"] = gflop / median(timed({"matrix": call}, repeats, device)["matrix"])
    return figures


def count_gflop(call: Callable[[], None]) -> float:
    """GFLOP of what `call` runs: two for each multiplication in products and convolutions, from their shapes.

    It runs uncompiled, and attention as its two plain products: not every fused kernel is known to the counter, and a
    fused backward pass would count what it computes again.
    """
    eager = torch.compiler.set_stance("force_eager")
    with eager, sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 1e9


class Run(NamedTuple):
    """What trains, as run_colorization.py builds it, and a batch on the host."""

    flags: argparse.Namespace  # of run_colorization.py
    device: torch.device
    state: engine.TrainState
    loader: DataLoader
    batch: Batch  # with counter captions
    plain: Batch  # the same without

    def train(self, batch: Batch, steps: int = 1) -> None:
        parts = self.state, build.build_criterion(self.flags), build.build_augmentation(self.flags)
        engine.train_one_epoch(*parts, [batch] * steps, self.device, self.flags.amp, 1, CLIP_GRAD, _Silent())

    def rate_and_share(self, gflop: float, matrix_gflop: float, seconds: list[float], matrix: list[float]) -> Figures:
        """Of timings of STEPS batches, each beside one of matrix products; gflop: of one batch."""
        steps, images = STEPS[self.device.type], len(self.batch.names)
        rates = [(steps * gflop / own) / (matrix_gflop / its) for own, its in zip(seconds, matrix, strict=True)]
        speed = steps * images / median(seconds)
        return {"images_per_second": speed, "gflop_per_image": gflop / images, "share_of_matrix_rate": median(rates)}


class _Silent:
    """In the place of utils.log.MetricLog."""

    def update(self, *_: Any, **__: Any) -> None:
        pass


def build_run(name: str, args: argparse.Namespace, device: torch.device, data: Path, workers: int = 0) -> Run:
    words = ["--model", name, "--amp", args.amp, "--batch_size", str(args.batch_size), "--num_workers", str(workers)]
    words += ["--image_encoder_weights", "random", "--text_encoder_weights", "random", "--data_path", str(data)]
    words += ["--compile"] * args.compile
    words += [] if args.input_size is None else ["--input_size", str(args.input_size)]
    flags = options.parse(words)
    network, tokenizer = build.build_network(flags, None)
    loader = build.build_train_loader(flags, network, tokenizer, device)
    state = build.build_state(flags, network.to(device), len(loader), device)
    batch = next(iter(loader))
    plain = dataclasses.replace(batch, counter_words=None, has_counter=torch.zeros_like(batch.has_counter))
    return Run(flags, device, state, loader, batch, plain)


def model_rows(name: str, args: argparse.Namespace, device: torch.device, data: Path) -> dict[str, Figures]:
    """Every row of one architecture, printed as it comes."""
    size = write_photographs(data, (FILL + TIMED + 2) * CORES * args.batch_size, args.words)
    figures: dict[str, Figures] = {}

    def add(row: str, measure: Callable[..., Figures], *inputs: Any) -> None:
        if row in args.rows:
            figures[row] = measure(*inputs)
            show(row, figures[row])

    add("memory", in_fresh_process, memory_row, name, args, device, data)  # before this process holds a network too
    run = build_run(name, args, device, data)
    add("forward", forward_row, run, args.repeats)
    add("training", training_row, run, args.repeats)
    add("evaluation", evaluation_row, run, args.repeats)
    add("loader", loader_row, run, size, figures.get("training", {}).get("images_per_second"), args.repeats)
    return figures


def in_fresh_process(row: Callable[..., Figures], *inputs: Any) -> Figures:
    with multiprocessing.get_context("spawn").Pool(1) as fresh:
        return fresh.apply(row, inputs)


def memory_row(name: str, args: argparse.Namespace, device: torch.device, data: Path) -> Figures:
    """Largest memory of this process after two training steps, and before them (weights; on a CPU also libraries).

    Two, because only the second runs forward and backward beside the optimizer's state.
    """
    torch.set_num_threads(args.threads)
    run = build_run(name, args, device, data)
    before = _largest_memory(device)
    run.train(run.batch, steps=2)
    return {"peak_gb": _largest_memory(device) / 1e9, "before_training_gb": before / 1e9}


def _largest_memory(device: torch.device) -> int:
    """Bytes: allocated on the GPU, or resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the parent held when it started this process
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if "VmHWM" in line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forward_row(run: Run, repeats: int) -> Figures:
    """Inference of the network alone, inside one autocast as in an evaluation: weights are cast once."""
    network, batch = run.state.network.eval(), run.plain.to(run.device)
    gray, _ = color.split(batch.rgb)
    matrix, matrix_gflop = matrix_product(run.flags.amp, run.device)

    def forward(steps: int) -> None:
        for _ in range(steps):
            network(gray, batch.words)

    calls = {"own": lambda: forward(STEPS[run.device.type]), "matrix": matrix}
    with torch.no_grad(), engine.autocast(run.device, run.flags.amp):
        gflop = count_gflop(lambda: forward(1))
        seconds = timed(calls, repeats, run.device)
    return run.rate_and_share(gflop, matrix_gflop, seconds["own"], seconds["matrix"])


def training_row(run: Run, repeats: int) -> Figures:
    """Whole steps of engine.train_one_epoch, with and without the counter captions in turn.

    time_over_operations: what the counter captions multiply the time by, over what they multiply the operations by.
    At most 1: they cost no more than the operations they add.
    """
    matrix, matrix_gflop = matrix_product(run.flags.amp, run.device)
    gflop, plain_gflop = (count_gflop(lambda batch=batch: run.train(batch)) for batch in (run.batch, run.plain))
    steps = STEPS[run.device.type]
    calls = {"with": lambda: run.train(run.batch, steps), "without": lambda: run.train(run.plain, steps)}
    seconds = timed(calls | {"matrix": matrix}, repeats, run.device)
    without = run.rate_and_share(plain_gflop, matrix_gflop, seconds["without"], seconds["matrix"])
    times, operations = [a / b for a, b in zip(seconds["with"], seconds["without"], strict=True)], gflop / plain_gflop
    return run.rate_and_share(gflop, matrix_gflop, seconds["with"], seconds["matrix"]) | {
        **{f"{name}_without_counter": value for name, value in without.items()},
        "counter_time_ratio": median(times),
        "counter_time_ratio_lowest": min(times),
        "counter_time_ratio_highest": max(times),
        "counter_operation_ratio": operations,
        "time_over_operations": median(times) / operations,
    }


def evaluation_row(run: Run, repeats: int) -> Figures:
    """engine.evaluate without LPIPS, and its calls of colour conversion and metrics once more by themselves."""
    network, device, amp = run.state.network, run.device, run.flags.amp
    loader = [run.plain] * STEPS[device.type]
    with (
        recorded((color, "split"), (color, "colorize"), (color, "to_uint8")) as conversions,
        recorded((engine, "psnr"), (engine, "ssim")) as metrics,
    ):
        engine.evaluate(network, loader, device, amp)

    def again(calls: list[Callable[[], Any]]) -> Callable[[], None]:
        return lambda: deque((call() for call in calls), maxlen=0)

    calls = {"metrics": again(metrics), "color": again(conversions)}
    with torch.no_grad(), engine.autocast(device, amp):
        seconds = timed({"all": lambda: engine.evaluate(network, loader, device, amp)} | calls, repeats, device)
    shares = [(m / whole, c / whole) for whole, m, c in zip(*seconds.values(), strict=True)]
    return {
        "images_per_second": len(loader) * len(run.plain.names) / median(seconds["all"]),
        "metrics_share": median(m for m, _ in shares),
        "color_share": median(c for _, c in shares),
        "metrics_and_color_share": median(m + c for m, c in shares),
    }


@contextmanager
def recorded(*functions: tuple[ModuleType, str]) -> Iterator[list[Callable[[], Any]]]:
    """Notes every call of these functions, named as (module, name), with its arguments: what can be called again."""
    calls: list[Callable[[], Any]] = []

    def noted(function: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
        calls.append(partial(function, *inputs, **named))
        return calls[-1]()

    with ExitStack() as patches:
        for module, name in functions:
            patches.enter_context(mock.patch.object(module, name, partial(noted, getattr(module, name))))
        yield calls


def loader_row(run: Run, kilobytes: float, consumed: float | None, repeats: int) -> Figures:
    """The training loader with one worker process and with one for each core; consumed: images/s of a training step."""
    figures, dataset = {"jpeg_kilobytes": kilobytes}, run.loader.dataset
    for name, workers in (("one_worker", 1), ("all_cores", CORES)):
        flags = argparse.Namespace(**vars(run.flags) | {"num_workers": workers})
        loader = build.build_train_loader(flags, run.state.network, run.loader.collate_fn.tokenize, run.device)
        rate = median(_loader_rate(loader) for _ in range(repeats))
        figures[f"{name}_images_per_second"] = rate
        if consumed is not None:
            figures[f"{name}_times_the_step"] = rate / consumed

    def reduced() -> None:
        for index in range(PHOTOGRAPHS):
            dataset[index]

    def full() -> None:
        read = captioned_images.read_image
        with mock.patch.object(captioned_images, "read_image", lambda path, at_least: read(path)):
            reduced()

    seconds = timed({"full": full, "reduced": reduced}, repeats, torch.device("cpu"))
    speedups = [a / b for a, b in zip(*seconds.values(), strict=True)]
    return figures | {"reduced_decoding_speedup": median(speedups)}


def _loader_rate(loader: DataLoader) -> float:
    """Images/s while all workers are busy: the clock starts and stops in mid-stream."""
    first, last = FILL * loader.num_workers, (FILL + TIMED) * loader.num_workers
    for place, _ in enumerate(islice(loader, last), start=1):
        if place == first:
            started = time.perf_counter()
    return (last - first) * loader.batch_size / (time.perf_counter() - started)


def write_photographs(root: Path, pairs: int, words: int) -> float:
    """A training split of `pairs` pairs over PHOTOGRAPHS files of 640 x 480, smooth colours with grain.

    Returns the mean size of a file in kilobytes: the grain brings it near that of COCO's photographs.
    """
    draw = np.random.default_rng(0)
    (root / "train").mkdir()
    for place in range(PHOTOGRAPHS):
        smooth = Image.fromarray(draw.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((640, 480))
        pixels = (np.asarray(smooth) + draw.normal(0.0, 12.0, (480, 640, 1))).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / "train" / f"{place}.jpg", quality=90)
    listed = []
    for place in range(max(pairs, PHOTOGRAPHS)):
        colors = islice(cycle(COLORS), place % len(COLORS), None)
        caption = islice(cycle(SENTENCE.format(*islice(colors, 4)).split()), words)
        listed.append([f"{place % PHOTOGRAPHS}.jpg", " ".join(caption)])
    (root / "cap-img-pairs_train.json").write_text(json.dumps(listed))
    return sum(path.stat().st_size for path in (root / "train").iterdir()) / PHOTOGRAPHS / 1000


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
