"""Timing in turn, matrix products as the yardstick, counted operations, largest memory."""

import os
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
DTYPES = {"none": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
MATRIX = {"cpu": (2048, 4), "cuda": (8192, 20)}  # side of the matrices, products in a timing

Figures = dict[str, float]


def machine(device: torch.device) -> dict[str, Any]:
    """Names and versions, without which a figure means nothing."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
    gpu = {"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {}
    versions = {name: version(name) for name in ("torch", "torchvision", "timm", "transformers")}
    return {"cpu": cpu, "cores": CORES} | gpu | {"python": platform.python_version()} | versions


def timed(calls: dict[str, Callable[[], object]], repeats: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of every call in every turn; in a turn each call runs once. The first turn is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for turn in range(repeats + 1):
        for name, call in calls.items():
            wait()
            started = time.perf_counter()
            call()
            wait()
            if turn > 0:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def ratio(one: list[float], other: list[float]) -> float:
    """The median of the ratios within a turn."""
    return median(a / b for a, b in zip(one, other, strict=True))


def matrix_product(amp: str, device: torch.device) -> tuple[Callable[[], None], float]:
    """Some large square products into memory that is there already, and their GFLOP together."""
    side, count = MATRIX[device.type]
    a, b, product = (torch.randn(side, side, device=device, dtype=DTYPES[amp]) for _ in range(3))

    def call() -> None:
        for _ in range(count):
            torch.mm(a, b, out=product)

    return call, count * 2 * side**3 / 1e9


def matrix_row(amp: str, device: torch.device, repeats: int) -> Figures:
    """In fp32 and in `amp`, what the other rows use."""
    figures = {}
    for own in dict.fromkeys(("none", amp)):
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


def largest_memory(device: torch.device) -> float:
    """Of this process, in 10^9 bytes: allocated on the GPU, or resident (Linux)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    # getrusage would count what the parent held when it started this process
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if "VmHWM" in line) / 1e9
