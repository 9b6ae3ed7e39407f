"""Where the time of training steps goes: a trace for a browser, and two tables.

    python scripts/profile_step.py --model colorization_vit_tiny_patch8_112_group_post --output output/profile

    OUTPUT/trace.json   for chrome://tracing or ui.perfetto.dev
    OUTPUT/parts.txt    the network's parts in the forward pass, the backward pass, the optimizer: time, share of a step
    OUTPUT/kernels.txt  every kind of operation, by its own time

The pictures and captions are made. Named so because a file called profile.py beside other scripts would hide Python's.
"""

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from models import NAMES, RELEASE_MODEL, SMALL_MODEL
from scripts.benchmark_data import write_photographs
from scripts.benchmark_run import Run, build_run
from scripts.benchmark_timing import CORES
from utils import distributed
from utils.devices import AMP, AMP_HELP, DEVICE_HELP, check_compiler, precision
from utils.errors import InputError

STEP, PREFIX = "a step", "part: "


def main(words: list[str] | None = None) -> None:
    options = parse(words)
    device = distributed.setup(options.device)
    options.amp = precision(options.amp, device)
    if options.compile:
        check_compiler(device)
    torch.set_num_threads(options.threads)
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder), 2 * options.batch_size, options.words)
        run = build_run(options.model, options, device, Path(folder))
        activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
        run.train(run.batch, steps=options.warmup)
        with named_parts(run), profile(activities=activities) as measured:
            for _ in range(options.steps):
                with record_function(STEP):
                    run.train(run.batch)
    measured.export_chrome_trace(str(options.output / "trace.json"))
    averages = measured.key_averages()
    time = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    kernels = averages.table(sort_by=time, row_limit=40, max_name_column_width=60)
    (options.output / "kernels.txt").write_text(kernels)
    parts = parts_table({event.key: event.cpu_time_total / options.steps for event in averages})
    (options.output / "parts.txt").write_text(parts + "\n")
    print(parts)
    print(f"{options.output}: trace.json, parts.txt, kernels.txt")


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--model", choices=[name for name in NAMES if name != RELEASE_MODEL], default=SMALL_MODEL, help="architecture")
    add("--output", type=Path, default=Path("output/profile"), help="folder (default: output/profile)")
    add("--device", default="auto", help=DEVICE_HELP)
    add("--input_size", type=int, default=None, help="image side in pixels; the model's own if not given")
    add("--batch_size", type=int, default=8, help="images per batch (default: 8)")
    add("--words", type=int, default=12, help="words per caption (default: 12)")
    add("--amp", choices=AMP, default="auto", help=f"{AMP_HELP} (default: auto)")
    add("--compile", action="store_true", help="torch.compile the network")
    add("--threads", type=int, default=CORES, help="threads of PyTorch on the CPU")
    add("--warmup", type=int, default=2, help="steps before (default: 2)")
    add("--steps", type=int, default=3, help="steps that are measured (default: 3)")
    return parser.parse_args(words)


@contextlib.contextmanager
def named_parts(run: Run) -> Iterator[None]:
    """The forward pass of every part of the network, the backward pass and the optimizer get a name in the trace.

    On a GPU the times of parts are those of their launches; the trace shows the kernels under them.
    """
    open_parts: list[Any] = []

    def begin(name: str) -> None:
        open_parts.append(record_function(PREFIX + name))
        open_parts[-1].__enter__()

    def end() -> None:
        open_parts.pop().__exit__(None, None, None)

    hooks = []
    for name, part in run.state.network.named_children():
        hooks.append(part.register_forward_pre_hook(lambda *_, name=name: begin(name)))
        hooks.append(part.register_forward_hook(lambda *_: end()))
    hooks.append(run.state.optimizer.register_step_pre_hook(lambda *_: begin("optimizer")))
    hooks.append(run.state.optimizer.register_step_post_hook(lambda *_: end()))
    backward = torch.Tensor.backward

    def named_backward(*inputs: Any, **named: Any) -> None:
        begin("backward")
        backward(*inputs, **named)
        end()

    torch.Tensor.backward = named_backward
    try:
        yield
    finally:
        torch.Tensor.backward = backward
        for hook in hooks:
            hook.remove()


def parts_table(times: dict[str, float]) -> str:
    """times: microseconds of a step and of its parts, by their names in the trace."""
    whole = times[STEP]
    parts = {key.removeprefix(PREFIX): time for key, time in times.items() if key.startswith(PREFIX)}
    parts["the rest (augmentation, losses, norms)"] = whole - sum(parts.values())
    lines = [f"{'part':44}{'ms a step':>12}{'share, %':>10}"]
    for name, time in sorted(parts.items(), key=lambda item: -item[1]):
        lines.append(f"{name:44}{time / 1e3:12.2f}{100 * time / whole:10.1f}")
    return "\n".join([*lines, f"{STEP:44}{whole / 1e3:12.2f}{100:10.1f}"])


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
