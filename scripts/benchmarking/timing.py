"""Timing in turn, matrix products as the yardstick, counted operations, largest memory."""

import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
CPU = torch.device("cpu")
DTYPES = {"none": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MATRIX = {"cpu": (2048, 4), "cuda": (8192, 20)}  # side of the matrices, products in a timing

Figures = dict[str, float]


def machine(device: torch.device) -> dict[str, Any]:
    """Names and versions, without which a figure means nothing."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    described = {"cpu": (names or [platform.processor() or platform.machine()])[0], "cores": CORES} | gpu
    versions = {name: version(name) for name in ("torch", "torchvision", "timm", "transformers")}
    return described | {"threads": torch.get_num_threads(), "python": platform.python_version()} | versions


def timed(calls: dict[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of every call in every turn; in a turn each call runs once. The first turn is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
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


def ratio(one: list[float], other: list[float]) -> float:
    """The median of the ratios within a turn."""
    return median(a / b for a, b in zip(one, other, strict=True))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads of PyTorch on the CPU, inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def matrix_product(amp: str, device: torch.device) -> tuple[Callable[[], None], float]:
    """The yardstick: some large square products into memory that is there already, and their GFLOP together."""
    side, count = MATRIX[device.type]
    a, b, product = (torch.randn(side, side, device=device, dtype=DTYPES[amp]) for _ in range(3))

    def call() -> None:
        for _ in range(count):
            torch.mm(a, b, out=product)

    return call, count * 2 * side**3 / 1e9


def matrix_row(amp: str, device: torch.device, repeats: int) -> Figures:
    """In fp32 and in `amp`, what the other rows use; on CUDA in fp16 too."""
    figures = {}
    for own in dict.fromkeys(("none", amp, *["fp16"] * (device.type == "cuda"))):
        call, gflop = matrix_product(own, device)
        name = "fp32" if own == "none" else own
        figures[f"{name}_gflop_per_second"] = gflop / median(timed({"matrix": call}, repeats, device)["matrix"])
    return figures


def count_gflop(call: Callable[[], object]) -> float:
    """GFLOP of what `call` runs: two for each multiplication in products and convolutions, from their shapes.

    It runs uncompiled, and attention as its two plain products: not every fused kernel is known to the counter, and a
    fused backward pass would count what it computes again.
    """
    eager = torch.compiler.set_stance("force_eager")
    with eager, sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() / 1e9


def largest_memory(device: torch.device) -> int:
    """Bytes: allocated on the GPU, or resident."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count what the parent held when it started this process
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if "VmHWM" in line)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_largest_memory() -> None:
    """Let `largest_memory` of a CPU begin anew, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
