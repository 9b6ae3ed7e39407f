"""Training and evaluation: plain functions that know no system by name. A system says what a batch teaches it
(`losses = model(batch)`) and how it colours one (`system.colorize(batch)`)."""

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from datasets.loading import set_epoch
from models.system import Coloring, System
from models.train_state import TrainState
from utils import distributed
from utils.checkpoint import save
from utils.devices import autocast
from utils.distributed import Interruption
from utils.errors import DivergedError, Interrupted
from utils.log import MetricLog, Waits, progress

LAST, BEST = "checkpoint-last.pth", "checkpoint-best.pth"


@dataclass(frozen=True)
class RunOptions:
    """How a training goes on; the flags of the same names."""

    device: torch.device
    amp: str  # of `utils.devices.autocast`
    epochs: int
    update_images: int  # of all processes
    update_freq: int = 1
    clip_grad: float | None = None  # largest norm of the gradient
    eval_every: int = 1
    save_every: int | None = None
    keep_checkpoints: int = 0


class Evaluated(NamedTuple):
    """What the metrics on val say of an epoch."""

    summary: dict[str, Any]  # for log.jsonl; its ["model"]["psnr"] picks checkpoint-best
    table: str
    draw: Callable[[], Any]  # the picture for TensorBoard, (H, W, 3) uint8


def train(
    state: TrainState,
    loader: DataLoader,
    run: RunOptions,
    log: MetricLog,
    output_dir: Path,
    content: Callable[[], dict[str, Any]],
    validate: Callable[[System], Evaluated],
) -> None:
    """Epochs of training; after every `eval_every`-th and the last the metrics on val, checkpoint-last and, at the best
    PSNR so far, checkpoint-best.

    content: what a checkpoint holds, asked for on every rank. Raises Interrupted after SIGTERM or SIGINT: the step is
    finished and checkpoint-last holds it.
    """
    updates = len(loader) // run.update_freq  # per epoch

    def save_as(*names: str) -> None:
        """LAST comes last: killed before it, the epoch's end is done again, and its best is found again."""
        held = content()
        for name in names:
            save(output_dir / name, held)

    def after_update() -> bool:
        due = run.save_every is not None and state.step % run.save_every == 0
        asked = interruption.asked()
        if due or asked:
            save_as(LAST)
        return not asked

    with Interruption() as interruption:
        while state.epoch < run.epochs:
            started, first_step = time.monotonic(), state.step
            set_epoch(loader, state.epoch, state.seen)
            state.scheduled = state.epoch * updates + state.seen // run.update_images
            log.start_epoch(state.epoch, state.seen)
            if not train_one_epoch(state, loader, run, log, after_update):
                raise Interrupted(
                    f"{output_dir / LAST}: saved at step {state.step}, as asked; go on with --auto_resume"
                )
            state.epoch, state.seen = state.epoch + 1, 0
            rate = (state.step - first_step) * run.update_images / (time.monotonic() - started)
            if state.epoch % run.eval_every and state.epoch < run.epochs:
                continue
            found = validate(state.evaluated)
            psnr = math.inf if found.summary["model"]["psnr"] is None else found.summary["model"]["psnr"]
            improved, state.best = psnr > state.best, max(state.best, psnr)
            log.end_epoch(state.epoch, state.step, run.update_images, rate, *found)
            save_as(*(BEST, LAST) if improved else (LAST,))
            distributed.on_main(partial(_keep, output_dir, state.epoch, run.keep_checkpoints))


def _keep(output_dir: Path, epoch: int, count: int) -> None:
    """checkpoint-<epoch>.pth of the last `count` epochs. The newest is another name of checkpoint-last, not a copy."""
    if count == 0:
        return
    name = output_dir / f"checkpoint-{epoch:04d}.pth"
    name.unlink(missing_ok=True)
    os.link(output_dir / LAST, name)
    for old in sorted(output_dir.glob("checkpoint-[0-9]*.pth"))[:-count]:
        old.unlink()


def train_one_epoch(
    state: TrainState,
    loader: DataLoader,
    run: RunOptions,
    log: MetricLog,
    after_update: Callable[[], bool] = lambda: True,
) -> bool:
    """One pass over `loader`, one update every `update_freq` batches (a rest that fills no update is left out).

    after_update: called after every update; False, on every rank alike, ends the pass. Returns whether it was whole.
    Raises DivergedError on every rank, before the update, when a gradient is not finite.
    """
    model, optimizer, scaler = state.model.train(), state.optimizer, state.scaler
    parameters = [p for p in model.parameters() if p.requires_grad]
    waits = Waits(loader)
    for batches in _grouped(waits, run.update_freq):
        state.schedule.step_update(state.scheduled)  # the rate is set before the step that uses it
        batches = state.system.begin_update(batches, run.device)
        totals: dict[str, Tensor] = {}
        for place, batch in enumerate(batches, start=1):
            batch = batch.to(run.device)
            with _gradients_reduced(model, when=place == len(batches)), attention_for_training(run.device, run.amp):
                with autocast(run.device, run.amp):
                    losses = model(batch)
                scaler.scale(losses["total"] / len(batches)).backward()
            totals = {name: totals.get(name, 0) + value.detach() / len(batches) for name, value in losses.items()}

        # DDP has averaged the gradients: the norm is the same number on every rank, so all ranks stop together.
        scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(parameters, math.inf if run.clip_grad is None else run.clip_grad)
        if not torch.isfinite(norm):
            _raise_unless_overflow(scaler, state.step, totals, batches)
        scaler.step(optimizer)  # fp16: leaves the weights alone when the gradient overflowed
        scaler.update()
        # Gradients that are summed over batches stay where they are: freed, DDP would hold the sum beside its buckets.
        optimizer.zero_grad(set_to_none=run.update_freq == 1)
        state.step, state.scheduled = state.step + 1, state.scheduled + 1
        if state.ema is not None:
            state.ema.update(state.system, state.step)
        images = sum(len(batch.names) for batch in batches)
        state.seen += images * distributed.world_size()
        log.update(state.step, images, _learning_rate(optimizer), waits.take(), grad_norm=norm, **totals)
        if not after_update():
            return False
    return True


@torch.no_grad()
def evaluate(
    system: System,
    loader: Iterable[Any],
    device: torch.device,
    amp: str,
    measure: Callable[[Any, Coloring], list[dict[str, Any]]],
) -> list[dict[str, Any]]:
    """One row per pair, all ranks', in file order, on every rank; the same for any batch size and number of processes.

    measure: a batch, its RGB in float64, and what the system makes of it -> a row for each pair, with its `index`
    (`evaluation.measure.Measure`). Raises what it raises.
    """
    system.eval()
    rows: list[dict[str, Any]] = []
    with autocast(device, amp):  # around the loop: weights are cast once, not once a batch
        for batch in progress(loader, "evaluation", "batch"):
            batch = batch.to(device, torch.float64)
            rows += measure(batch, system.colorize(batch))
    everyone = (row for part in distributed.gather_objects(rows) for row in part)
    return sorted(everyone, key=lambda row: row["index"])


@contextlib.contextmanager
def attention_for_training(device: torch.device, amp: str) -> Iterator[None]:
    """On a CPU in 16 bits, attention by plain products: there the backward pass of the fused kernel takes several times
    as long, and a training step twice as long (docs/BENCHMARKS.md)."""
    if device.type != "cpu" or amp == "none":
        yield
        return
    before = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed()
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True)  # no detour through float32; holds for CPUs too
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(before)


def _grouped(loader: Iterable[Any], count: int) -> Iterator[list[Any]]:
    group = []
    for batch in loader:
        group.append(batch)
        if len(group) == count:
            yield group
            group = []


def _gradients_reduced(model: nn.Module, when: bool) -> contextlib.AbstractContextManager:
    """DDP exchanges gradients in the last batch of an update only."""
    if isinstance(model, DistributedDataParallel) and not when:
        return model.no_sync()
    return contextlib.nullcontext()


def _raise_unless_overflow(scaler: GradScaler, step: int, losses: dict[str, Tensor], batches: list[Any]) -> None:
    """fp16 finds its loss scale by overflowing: finite losses and a scale that can still fall are no failure."""
    mine = {name: value.item() for name, value in losses.items()}
    everyone = distributed.gather_objects((mine, [name for batch in batches for name in batch.names]))
    finite = all(math.isfinite(value) for values, _ in everyone for value in values.values())
    if finite and scaler.is_enabled() and scaler.get_scale() > 1.0:
        return
    guilty = [i for i, (values, _) in enumerate(everyone) if not all(map(math.isfinite, values.values()))]
    details = "; ".join(
        f"rank {i}: losses {everyone[i][0]}, images {', '.join(everyone[i][1])}" for i in guilty or range(len(everyone))
    )
    raise DivergedError(
        f"non-finite gradient at step {step}, before the update: {details}. The last checkpoint is untouched; resume it"
        " with a lower --lr, a --clip_grad, --amp bf16 or none, or look at these images"
    )


def _learning_rate(optimizer: Optimizer) -> float:
    """The highest of the groups: the one that layer decay leaves alone."""
    return max(group["lr"] for group in optimizer.param_groups)
