"""How fast it runs, beside how fast this machine multiplies matrices: the figures of docs/BENCHMARKS.md.

    python scripts/benchmark.py --output benchmark.json

It makes its own pictures and captions. What is compared is timed in turn (A B A B ...), and a ratio is the median over
the turns of the ratio within a turn: whatever slows the machine for a while slows both sides of it.
"""

import argparse
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models import MODELS, PAPER_MODEL, SMALL_MODEL
from models.text import MAX_WORDS
from scripts.benchmarking import rows
from scripts.benchmarking.generated_data import write_photographs
from scripts.benchmarking.system import Timed
from scripts.benchmarking.timing import CORES, Figures, machine, matrix_row
from utils import distributed, files
from utils.devices import AMP, AMP_HELP, DEVICE_HELP, check_compiler, precision
from utils.errors import InputError

SHARED_ROWS = {"photo": rows.photo_row, "start": rows.start_row}  # of no one system
ROWS = (*SHARED_ROWS, "memory", "forward", "training", "evaluation", "test", "loader", "processes")


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Measures, prints and writes; returns what the JSON holds."""
    argv = sys.argv[1:] if argv is None else argv
    args = parse(argv)
    device = distributed.setup(args.device)
    try:
        args.amp = precision(args.amp, device)
        if args.compile:
            check_compiler(device)
        torch.set_num_threads(args.threads)
        report = {"command": shlex.join(["python", "scripts/benchmark.py", *argv])}
        print(report["command"])
        report["machine"] = show("machine", machine(device))
        report["matrix"] = show("matrix", matrix_row(args.amp, device, args.repeats))
        report |= {row: show(row, SHARED_ROWS[row](args.repeats)) for row in SHARED_ROWS if row in args.rows}
        report["models"] = {name: model_rows(name, args, device) for name in args.model}
        if args.output is not None and distributed.is_main():
            files.write_json(args.output, report)
    finally:
        distributed.shutdown()
    return report


def parse(argv: list[str]) -> argparse.Namespace:
    kind = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], formatter_class=kind, allow_abbrev=False)
    add = parser.add_argument
    add("--device", default="auto", help=DEVICE_HELP)
    add("--model", nargs="+", choices=list(MODELS), default=[PAPER_MODEL, SMALL_MODEL], help="architectures to measure")
    add("--input_size", type=int, default=None, help="image side in pixels; the model's own if not given")
    add("--batch_size", type=int, default=8, help="images per batch")
    add("--words", type=int, default=12, help="words per caption; the tokenizer adds its two marks")
    add("--amp", choices=AMP, default="auto", help=AMP_HELP)
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


def model_rows(name: str, args: argparse.Namespace, device: torch.device) -> dict[str, Figures]:
    """Every row of one architecture, printed as it comes."""
    print(f"\n{name}: batch {args.batch_size}, {args.amp}, {'compiled' if args.compile else 'not compiled'}")
    figures: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        kilobytes = write_photographs(data, (rows.FILL + rows.TIMED + 2) * CORES * args.batch_size, args.words)
        if "memory" in args.rows:  # before this process holds a network too
            figures["memory"] = show("memory", rows.memory_row(name, args, device, data))
        system, repeats = Timed(name, args, device, data), args.repeats
        measured = {
            "forward": lambda: rows.forward_row(system, repeats),
            "training": lambda: rows.training_row(system, repeats),
            "evaluation": lambda: rows.evaluation_row(system, repeats),
            "test": lambda: rows.test_row(system, args.words, repeats),
            "loader": lambda: rows.loader_row(
                system, kilobytes, figures.get("training", {}).get("images_per_second"), repeats
            ),
            "processes": lambda: rows.processes_row(name, args, device),
        }
        for row in (row for row in measured if row in args.rows):
            figures[row] = show(row, measured[row]())
    return figures


def show(row: str, figures: dict[str, Any]) -> dict[str, Any]:
    """Prints a row, and returns it."""
    for name, value in figures.items():
        print(f"{row:12}{name:40} {value if isinstance(value, str) else format(value, ',.4g'):>20}", flush=True)
    return figures


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
