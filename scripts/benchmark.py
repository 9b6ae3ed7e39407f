"""How fast it runs, beside how fast this machine multiplies matrices: the figures of docs/BENCHMARKS.md.

    python scripts/benchmark.py --output benchmark.json

It makes its own pictures and captions. What is compared is timed in turn (A B A B ...), and a ratio is the median over
the turns of the ratio within a turn: whatever slows the machine for a while slows both sides of it.
"""

import argparse
import multiprocessing
import shlex
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import engine
from models import NAMES, PAPER_MODEL, SMALL_MODEL
from models.text import MAX_WORDS
from scripts.benchmark_data import FILL, TIMED, loader_row, scenes_row, write_photographs
from scripts.benchmark_growth import growth_rows, plot_growth
from scripts.benchmark_metrics import metrics_row
from scripts.benchmark_photo import photo_row
from scripts.benchmark_release import release_row
from scripts.benchmark_run import STEPS, Run, build_run
from scripts.benchmark_start import start_row
from scripts.benchmark_testing import testing_row
from scripts.benchmark_timing import (
    CORES,
    Figures,
    count_gflop,
    largest_memory,
    machine,
    matrix_product,
    matrix_row,
    recorded,
    show,
    timed,
)
from utils import color, distributed, files
from utils.devices import AMP, AMP_HELP, DEVICE_HELP, autocast, check_compiler, precision
from utils.errors import InputError
from utils.side_by_side import side_by_side

SHARED_ROWS = ("scenes", "photo", "metrics", "start", "release")  # of no one architecture
ROWS = (*SHARED_ROWS, "memory", "forward", "training", "evaluation", "test", "loader")
PAPER_EPOCHS, PAPER_PHOTOGRAPHS, PAPER_HOURS = 80, 59_000, 40.0  # Sec. 5; hours on eight RTX 3090


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measures, prints and writes; returns what the JSON holds."""
    argv = sys.argv[1:] if argv is None else argv
    args = parse(argv)
    device = distributed.setup(args.device)
    args.amp = precision(args.amp, device)
    if args.compile:
        check_compiler(device)
    torch.set_num_threads(args.threads)
    report = {"command": shlex.join(["python", "scripts/benchmark.py", *argv]), "machine": machine(device)}
    print(report["command"])
    show("machine", report["machine"])
    report |= {"matrix": matrix_row(args.amp, device, args.repeats), "models": {}}
    show("matrix", report["matrix"])
    if "scenes" in args.rows:
        report["scenes"] = scenes_row(args.repeats)
        show("scenes", report["scenes"])
    if "photo" in args.rows:
        report["photo"] = photo_row(args.repeats)
        show("photo", report["photo"])
    if "metrics" in args.rows:
        report["metrics"] = metrics_row(args.threads, args.repeats)
        show("metrics", report["metrics"])
    if "start" in args.rows:
        report["start"] = start_row(args.repeats)
        show("start", report["start"])
    if "release" in args.rows:
        report["release"] = release_row(device, args.amp, args.words, args.repeats)
        show("release", report["release"])
    for name in args.model:
        print(f"\n{name}: batch {args.batch_size}, {args.amp}, {'compiled' if args.compile else 'not compiled'}")
        with tempfile.TemporaryDirectory() as folder:
            report["models"][name] = model_rows(name, args, device, Path(folder))
    if args.plot is not None:
        report["growth"] = growth_rows(args.model[0] if len(args.model) == 1 else SMALL_MODEL, args, device)
        for axis, points in report["growth"]["milliseconds_per_image"].items():
            show("growth", {f"{axis} {point}, ms per image": value for point, value in points.items()})
        plot_growth(report["growth"], args.plot)
    if args.output is not None:
        files.write_json(args.output, report)
    return report


def parse(argv: list[str]) -> argparse.Namespace:
    kind = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=kind, allow_abbrev=False)
    add = parser.add_argument
    add("--device", default="auto", help=DEVICE_HELP)
    add("--model", nargs="+", choices=NAMES, default=list(NAMES), help="architectures to measure")
    add("--input_size", type=int, default=None, help="image side in pixels; the model's own if not given")
    add("--batch_size", type=int, default=8, help="images per batch")
    add("--words", type=int, default=12, help="words per caption; the tokenizer adds its two marks")
    add("--amp", choices=AMP, default="auto", help=AMP_HELP)
    add("--compile", action="store_true", help="torch.compile the network")
    add("--repeats", type=int, default=5, help="turns that are timed; one more before them is not counted")
    add("--threads", type=int, default=CORES, help="threads of PyTorch on the CPU")
    add("--rows", nargs="+", choices=ROWS, default=list(ROWS), help="what to measure, beside the matrix products")
    add("--output", type=Path, default=None, help="JSON file to write; none if not given")
    add(
        "--plot",
        type=Path,
        default=None,
        help="picture to write: how the cost of a training step grows with batch, image, caption and processes, of the"
        " one --model that is named, else of the small model",
    )
    args = parser.parse_args(argv)
    for flag, least, most in (("batch_size", 1, None), ("words", 2, MAX_WORDS - 2), ("repeats", 1, None)):
        value = getattr(args, flag)
        if value < least or (most is not None and value > most):
            parser.error(f"--{flag} {value}: pass {least} {f'to {most}' if most else 'or more'}")
    return args


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
    if name == PAPER_MODEL and "training" in figures:
        figures["hours"] = hours_of_the_paper_s_training(figures["training"]["images_per_second"])
        show("hours", figures["hours"])
    add("evaluation", evaluation_row, run, args.repeats)
    add("test", testing_row, run, args.words, args.repeats)
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
    before = largest_memory(device)
    run.train(run.batch, steps=2)
    return {"peak_gb": largest_memory(device) / 1e9, "before_training_gb": before / 1e9}


def forward_row(run: Run, repeats: int) -> Figures:
    """Inference of the network alone, inside one autocast as in an evaluation: weights are cast once."""
    network, batch = run.state.network.eval(), run.plain.to(run.device)
    gray, _ = color.split(batch.rgb)
    matrix, matrix_gflop = matrix_product(run.flags.amp, run.device)

    def forward(steps: int) -> None:
        for _ in range(steps):
            network(gray, batch.words)

    calls = {"own": lambda: forward(STEPS[run.device.type]), "matrix": matrix}
    with torch.no_grad(), autocast(run.device, run.flags.amp):
        gflop = count_gflop(lambda: forward(1))
        seconds = timed(calls, repeats, run.device)
    return run.rate_and_share(gflop, matrix_gflop, seconds["own"], seconds["matrix"])


def training_row(run: Run, repeats: int) -> Figures:
    """Whole steps of engine.train_one_epoch, with and without the counter captions in turn.

    time_over_operations: what the counter captions multiply the time by, over what they multiply the operations by.
    At most 1: they cost no more than the operations they add.
    fused_attention_time_ratio: what the fused attention multiplies the time by, on a CPU in 16 bits, where a step does
    without it (engine.train_one_epoch).
    """
    matrix, matrix_gflop = matrix_product(run.flags.amp, run.device)
    gflop, plain_gflop = (count_gflop(lambda batch=batch: run.train(batch)) for batch in (run.batch, run.plain))
    steps = STEPS[run.device.type]
    calls = {"with": lambda: run.train(run.batch, steps), "without": lambda: run.train(run.plain, steps)}
    if run.device.type == "cpu" and run.flags.amp != "none":
        calls["fused"] = lambda: run.train_with_fused_attention(run.batch, steps)
    seconds = timed(calls | {"matrix": matrix}, repeats, run.device)
    fused = [a / b for a, b in zip(seconds["fused"], seconds["with"], strict=True)] if "fused" in calls else []
    without = run.rate_and_share(plain_gflop, matrix_gflop, seconds["without"], seconds["matrix"])
    times, operations = [a / b for a, b in zip(seconds["with"], seconds["without"], strict=True)], gflop / plain_gflop
    return run.rate_and_share(gflop, matrix_gflop, seconds["with"], seconds["matrix"]) | {
        **{f"{name}_without_counter": value for name, value in without.items()},
        "counter_time_ratio": median(times),
        "counter_time_ratio_lowest": min(times),
        "counter_time_ratio_highest": max(times),
        "counter_operation_ratio": operations,
        "time_over_operations": median(times) / operations,
        **({"fused_attention_time_ratio": median(fused)} if fused else {}),
    }


def hours_of_the_paper_s_training(images_per_second: float) -> Figures:
    """80 epochs of 59,000 photographs (extended COCO-Stuff) on what was measured, beside the paper's own hours."""
    hours = PAPER_EPOCHS * PAPER_PHOTOGRAPHS / images_per_second / 3600
    return {"paper_s_epochs_hours": hours, "paper_s_own_hours_on_8_rtx_3090": PAPER_HOURS}


def evaluation_row(run: Run, repeats: int) -> Figures:
    """engine.evaluate without LPIPS, and its calls of colour conversion and metrics once more by themselves."""
    network, device, amp = run.state.network, run.device, run.flags.amp
    loader = [run.plain] * STEPS[device.type]
    with (
        recorded((color, "split"), (color, "colorize"), (color, "to_uint8")) as conversions,
        recorded((engine, "figures")) as metrics,
    ):
        engine.evaluate(network, loader, device, amp)

    def again(calls: list[Callable[[], Any]]) -> Callable[[], None]:
        return lambda: side_by_side(lambda call: call(), calls, device)

    calls = {"metrics": again(metrics), "color": again(conversions)}
    with torch.no_grad(), autocast(device, amp):
        seconds = timed({"all": lambda: engine.evaluate(network, loader, device, amp)} | calls, repeats, device)
    shares = [(m / whole, c / whole) for whole, m, c in zip(*seconds.values(), strict=True)]
    return {
        "images_per_second": len(loader) * len(run.plain.names) / median(seconds["all"]),
        "metrics_share": median(m for m, _ in shares),
        "color_share": median(c for _, c in shares),
        "metrics_and_color_share": median(m + c for m, c in shares),
    }


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
