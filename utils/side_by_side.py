"""Single images side by side on a CPU: an operation on one small image is over before a second core has joined it."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch


def side_by_side(function: Callable[[Any], Any], items: Sequence[Any], device: torch.device) -> list[Any]:
    """[function(item) for item in items], without gradients; on a CPU each item on one core, as many at once as PyTorch
    has threads. Autocast does not reach `function` there."""
    threads = torch.get_num_threads()
    call = torch.no_grad()(function)
    if device.type != "cpu" or threads == 1 or len(items) < 2:
        return [call(item) for item in items]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(call, items))
    finally:
        torch.set_num_threads(threads)  # a part of what the workers set holds for all threads
