"""The only importer of torch.distributed. One process is the same code with a world of one."""

import contextlib
import copy
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import bf16_compress_hook
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from utils import devices
from utils.errors import FaultError, InputError, reason

logger = logging.getLogger(__name__)
_NEW_STORE = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE"  # torchrun then makes a new store for each restart
GROUP_FLAGS = ("lr", "initial_lr", "lr_scale", "weight_decay", "betas")  # of a parameter group, as flags say them
SIGNALS = (signal.SIGTERM, signal.SIGINT)  # that end a training after its step
_LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Socket closed")  # gloo's words


def setup(device: str) -> torch.device:
    """Join the process group torchrun describes in the environment, if any; pick this process's device.

    device: as `devices.choose`, with float64; of several GPUs this process's own. nccl on GPUs, gloo on CPUs.
    """
    chosen = devices.choose(device, float64=True)
    if chosen.type == "cuda":
        if chosen.index is None:
            chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        if os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") != "0" and os.environ.get(_NEW_STORE) != "1":
            logger.warning(
                "torchrun --max_restarts without %s=1: restarted processes would look for dead ones", _NEW_STORE
            )
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
    value = value.cuda() if dist.get_backend() == "nccl" else value
    dist.all_reduce(value)
    return value / world_size()


def any_rank(value: bool) -> bool:
    """Whether any rank says True; every rank gets the same answer. On GPUs it waits for the device."""
    if world_size() == 1:
        return value
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    flag = torch.tensor(float(value), device=device)
    dist.all_reduce(flag)
    return flag.item() > 0


@contextlib.contextmanager
def faults_told() -> Iterator[None]:
    """Raise FaultError, with the remedy, for what breaks around a run."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise FaultError(
            f"out of GPU memory ({reason(error)}); pass a smaller --batch_size with more --update_freq, or"
            " --grad_checkpointing, and --auto_resume"
        ) from error
    except RuntimeError as error:
        why = reason(error)
        if "DataLoader worker" in why:
            raise FaultError(
                f"a loader process died ({why}), perhaps for want of memory; pass --auto_resume, fewer --num_workers"
            ) from error
        if isinstance(error, dist.DistError) or any(sign in why for sign in _LOST):
            raise FaultError(f"another process of the run is gone ({why}); start again with --auto_resume") from error
        raise


def share(count: int, shared: bool = True) -> range:
    """Which of `count` items are this rank's: r, r + W, ...; not shared: rank 0's are all, the others wait for it."""
    if shared:
        return range(rank(), count, world_size())
    return range(count if is_main() else 0)


def gather_objects(value: Any) -> list[Any]:
    """Every rank's picklable object, in rank order, on each rank."""
    if world_size() == 1:
        return [value]
    gathered: list[Any] = [None] * world_size()
    dist.all_gather_object(gathered, value)
    return gathered


def on_main(function: Callable[[], Any]) -> Any:
    """Call `function` on rank 0 alone; give its result on every rank.

    Whatever it raises ends every rank, so that none waits for the others: rank 0 raises it, the others the same
    InputError, or a FaultError that names it.
    """
    if world_size() == 1:
        return function()
    outcome: list[Any] = [None, None, None]  # the result; InputError's message; another error in words
    try:
        if is_main():
            outcome[0] = function()
    except BaseException as error:
        outcome = [None, str(error), None] if isinstance(error, InputError) else [None, None, repr(error)]
        raise
    finally:
        dist.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise InputError(outcome[1])
    if outcome[2] is not None:
        raise FaultError(f"rank 0 ended with {outcome[2]}; mend it, and start again with --auto_resume")
    return outcome[0]


def wrap(model: nn.Module, device: torch.device, bf16_gradients: bool = False) -> nn.Module:
    """DistributedDataParallel where there is more than one process; every trainable parameter gets a gradient.

    bf16_gradients: they travel in 16 bits, so half the bytes, and are summed so; weights and optimizer stay float32.
    """
    if world_size() == 1:
        return model
    ids = [device.index] if device.type == "cuda" else None
    parallel = DistributedDataParallel(model, device_ids=ids, gradient_as_bucket_view=True)
    if bf16_gradients:
        try:
            parallel.register_comm_hook(None, bf16_compress_hook)
        except TypeError as error:
            raise InputError(f"--bf16_gradients: this PyTorch cannot ({error}); leave the flag out") from error
    return parallel


def shard(optimizer: Optimizer, create: Callable[[list[dict[str, Any]]], Optimizer]) -> Optimizer:
    """ZeRO-1: each process keeps the state of its share of the tensors, updates them and sends them to the others.

    optimizer: not yet used; comes back as it is where there is only one process. create: parameter groups -> another of
    its kind.
    """
    if world_size() == 1:
        return optimizer
    from torch.distributed.optim import ZeroRedundancyOptimizer  # takes a second, which few runs should pay for

    return ZeroRedundancyOptimizer(optimizer.param_groups, optimizer_class=create)


def optimizer_state(optimizer: Optimizer) -> dict[str, Any]:
    """Its `state_dict`, of all shares; every rank takes part. A shared optimizer's is on rank 0 alone, else {}."""
    if _is_sharded(optimizer):
        optimizer.consolidate_state_dict(to=0)
        return optimizer.state_dict() if is_main() else {}
    return optimizer.state_dict()


def load_optimizer_state(optimizer: Optimizer, state: dict[str, Any]) -> None:
    """The whole state, to each process its share: moments and counts. What flags decide stays as it was built.

    The tensors are copied: a state that is memory-mapped would keep its file.
    """
    flags = [{name: group[name] for name in GROUP_FLAGS if name in group} for group in optimizer.param_groups]
    optimizer.load_state_dict(copy.deepcopy(state))
    for group, own in zip(optimizer.param_groups, flags, strict=True):
        group.update(own)
    if _is_sharded(optimizer):
        # It has kept its share twice and left step counts on the CPU, where a GPU's fused kernels do not find them;
        # the optimizer inside puts its state where it belongs.
        optimizer.state.clear()
        optimizer.optim.load_state_dict(optimizer.optim.state_dict())


def _is_sharded(optimizer: Optimizer) -> bool:
    return hasattr(optimizer, "consolidate_state_dict")


class Interruption:
    """SIGTERM and SIGINT ask a training to end after its step; clusters send the first before they take a machine away,
    some of them more than once.

    Within `with`, they are noted; after the first one a SIGINT does what it would do without this class."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._former: dict[int, object] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():  # Python handles signals there alone
            self._former = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number in list(self._former):
            self._give_back(number)

    def asked(self) -> bool:
        """Whether any rank was asked to end; the same answer on every rank, so that all stop after the same step."""
        return any_rank(self.received is not None)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._give_back(signal.SIGINT)

    def _give_back(self, number: int) -> None:
        if number in self._former:
            signal.signal(number, self._former.pop(number))
