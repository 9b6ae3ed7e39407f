"""The only importer of torch.distributed. One process is the same code with a world of one."""

import logging
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from utils.errors import InputError


def setup(device: str) -> torch.device:
    """Join the process group torchrun describes in the environment, if any; pick this process's device.

    device: 'auto' (a GPU where there is one), 'cpu', 'cuda' or 'cuda:N'. nccl on GPUs, gloo on CPUs.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"--device {device}: PyTorch sees no GPU here; pass --device cpu or auto")
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    chosen = torch.device(device)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        backend = "nccl" if chosen.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(hours=2))  # rank 0 may evaluate alone for that long
    return chosen


def shutdown() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    return rank() == 0


def barrier() -> None:
    if world_size() > 1:
        dist.barrier()


def mean_over_ranks(value: Tensor) -> Tensor:
    """The mean of every rank's tensor, on each rank; not differentiable."""
    if world_size() == 1:
        return value
    value = value.detach().clone()
    dist.all_reduce(value)
    return value / world_size()


def gather_objects(value: Any) -> list[Any]:
    """Every rank's picklable object, in rank order, on each rank."""
    if world_size() == 1:
        return [value]
    gathered: list[Any] = [None] * world_size()
    dist.all_gather_object(gathered, value)
    return gathered


def on_main(function: Callable[[], Any]) -> Any:
    """Call `function` on rank 0 alone; give its result, or raise its InputError, on every rank."""
    outcome: list[Any] = [None, None]
    if is_main():
        try:
            outcome[0] = function()
        except InputError as error:
            outcome[1] = str(error)
    if world_size() > 1:
        dist.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise InputError(outcome[1])
    return outcome[0]


def wrap(model: nn.Module, device: torch.device) -> nn.Module:
    """DistributedDataParallel where there is more than one process; every trainable parameter gets a gradient."""
    if world_size() == 1:
        return model
    ids = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=ids, gradient_as_bucket_view=True)


def setup_logging() -> None:
    """Messages from rank 0; warnings from every rank."""
    level = logging.INFO if is_main() else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", force=True)
