"""Training and evaluation: two plain functions that know nothing of the network or the losses.

B batch; H, W image side; N_G groups; N_I image tokens.
"""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from timm.scheduler.scheduler import Scheduler
from timm.utils import ModelEmaV3
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.utils.data import DataLoader

from datasets.words import color_words
from evaluation.figures import figures, means
from evaluation.metrics import LPIPS
from evaluation.protocol import ROWS, Colorized, LabBatch, check_finite, colorized, pieces
from utils import distributed
from utils.devices import autocast
from utils.errors import DivergedError
from utils.log import MetricLog, Waits
from utils.progress import progress
from utils.side_by_side import side_by_side

__all__ = ["ROWS", "TrainState", "attention_for_training", "evaluate", "summarize", "summarize_subsets"]
__all__ += ["train_one_epoch"]


@dataclass
class TrainState:
    """What a checkpoint holds."""

    network: nn.Module
    model: nn.Module  # `network`, or DistributedDataParallel around it
    ema: ModelEmaV3 | None
    optimizer: Optimizer
    schedule: Scheduler
    scaler: GradScaler  # enabled for fp16 alone
    step: int = 0  # updates done
    scheduled: int = 0  # the same, where the schedule counts them: by batches of the present size and epochs done
    epoch: int = 0  # epochs done
    seen: int = 0  # samples of the present epoch, all ranks', that the updates have used
    best: float = -math.inf  # highest mean PSNR on val, dB

    @property
    def evaluated(self) -> nn.Module:
        """The weights that are evaluated: the moving average where there is one."""
        return self.network if self.ema is None else self.ema.module


def train_one_epoch(
    state: TrainState,
    criterion: nn.Module,
    prepare: Callable[[Tensor], tuple[Tensor, Tensor]],
    loader: DataLoader,
    device: torch.device,
    amp: str,
    update_freq: int,
    clip_grad: float | None,
    log: MetricLog,
    after_update: Callable[[], bool] = lambda: True,
) -> bool:
    """One pass over `loader`, one update every `update_freq` batches (a rest that fills no update is left out).

    criterion: its `shared(batches, device)` is what the losses of an update's batches have in common; then called with
    the network's output, ab, the batch and that.
    prepare: RGB (B, 3, H, W) in [0, 1] -> gray (B, 1, H, W) and ab (B, 2, H, W), both in [-1, 1].
    clip_grad: largest norm of the gradient.
    after_update: called after every update; False, on every rank alike, ends the pass. Returns whether it was whole.
    Raises DivergedError on every rank, before the update, when a gradient is not finite.
    """
    model, optimizer, scaler = state.model.train(), state.optimizer, state.scaler
    parameters = [p for p in model.parameters() if p.requires_grad]
    waits = Waits(loader)
    for batches in _grouped(waits, update_freq):
        state.schedule.step_update(state.scheduled)  # the rate is set before the step that uses it
        shared = criterion.shared(batches, device)
        totals: dict[str, Tensor] = {}
        for place, batch in enumerate(batches, start=1):
            batch = batch.to(device)
            gray, ab = prepare(batch.rgb)
            with _gradients_reduced(model, when=place == len(batches)), attention_for_training(device, amp):
                with autocast(device, amp):
                    output = model(gray, batch.words, batch.counter_words, batch.color_counter)
                losses = criterion(output, ab, batch, shared)
                scaler.scale(losses["total"] / len(batches)).backward()
            totals = {name: totals.get(name, 0) + value.detach() / len(batches) for name, value in losses.items()}

        # DDP has averaged the gradients: the norm is the same number on every rank, so all ranks stop together.
        scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(parameters, math.inf if clip_grad is None else clip_grad)
        if not torch.isfinite(norm):
            _raise_unless_overflow(scaler, state.step, totals, batches)
        scaler.step(optimizer)  # fp16: leaves the weights alone when the gradient overflowed
        scaler.update()
        # Gradients that are summed over batches stay where they are: freed, DDP would hold the sum beside its buckets.
        optimizer.zero_grad(set_to_none=update_freq == 1)
        state.step, state.scheduled = state.step + 1, state.scheduled + 1
        if state.ema is not None:
            state.ema.update(state.network, state.step)
        images = sum(len(batch.names) for batch in batches)
        state.seen += images * distributed.world_size()
        log.update(state.step, images, _learning_rate(optimizer), waits.take(), grad_norm=norm, **totals)
        if not after_update():
            return False
    return True


@contextlib.contextmanager
def attention_for_training(device: torch.device, amp: str) -> Iterator[None]:
    """On a CPU in 16 bits, attention by plain products: there the backward pass of the fused kernel takes several times
    as long, and a training step twice as long (scripts/benchmark.py, fused_attention_time_ratio)."""
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


@torch.no_grad()
def evaluate(
    network: nn.Module,
    loader: Iterable[Any],
    device: torch.device,
    amp: str,
    lpips: LPIPS | None = None,
    visit: Callable[[Colorized], None] | None = None,
    protocol: str = "paper",
    photograph: Callable[[str], Tensor] | None = None,
) -> list[dict[str, Any]]:
    """One row per pair, all ranks', in file order, on every rank; the same for any batch size and number of processes.

    Predicted ab joined with the photograph's own L; truth and prediction go through Lab to bytes, as `protocol` says
    (`evaluation.protocol`; the paper's, Sec. 5, by default). A row holds index, name, caption and `{row}_{metric}` for
    the rows
      model    the network
      gray     ab = 0: doing nothing
      ceiling  the truth after the Lab round trip, against the photograph itself: what the protocol loses
      truth    colourfulness alone
    `visit` is called with everything this rank evaluates, for pictures; photograph: of `evaluation.protocol.colorized`.
    Raises DivergedError where the network's ab is not finite.
    """
    network.eval()
    rows: list[dict[str, Any]] = []
    with autocast(device, amp):  # around the loop: weights are cast once, not once a batch
        for batch in progress(loader, "evaluation", "batch"):
            squashed = LabBatch.of(batch.rgb.to(device))
            batch = batch.to(device)
            output = network(squashed.gray.float(), batch.words)
            check_finite(output.ab, batch.names)
            measure = partial(_measured, partial(colorized, batch, squashed, output, protocol, photograph), lpips)
            for part, values in side_by_side(measure, pieces(squashed, protocol), device):
                rows += _rows(part, values)
                if visit is not None:
                    visit(part)
    everyone = (row for part in distributed.gather_objects(rows) for row in part)
    return sorted(everyone, key=lambda row: row["index"])


def _measured(
    colorize: Callable[[slice], Colorized], lpips: LPIPS | None, place: slice
) -> tuple[Colorized, dict[str, Tensor]]:
    part = colorize(place)
    return part, figures(part.compared(), part.truth, lpips)


def _rows(part: Colorized, values: dict[str, Tensor]) -> list[dict[str, Any]]:
    table = torch.stack(list(values.values()), dim=1).tolist()  # one wait for the device
    return [
        {"index": index, "name": name, "caption": caption} | dict(zip(values, row, strict=True))
        for index, name, caption, row in zip(part.indices, part.names, part.captions, table, strict=True)
    ]


def summarize(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """`evaluation.figures.means` of all pairs."""
    return means(rows)


def summarize_subsets(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same of the pairs whose captions hold a chromatic word, words of two or more colours, and, under the name of
    each basic colour, a word of it ("grey" is gray: `color_words.family`). Colours that no caption names are left out.
    """
    subsets: dict[str, list[dict[str, Any]]] = {"chromatic": [], "two_or_more_colors": []}
    subsets |= {name: [] for name in (*color_words.CHROMATIC, *color_words.ACHROMATIC)}
    for row in rows:
        caption = row["caption"]
        colors = {color_words.family(caption[start:end]) for start, end in color_words.find(caption)}
        held = {"chromatic": not colors.isdisjoint(color_words.CHROMATIC), "two_or_more_colors": len(colors) > 1}
        for name in subsets:
            if held.get(name, name in colors):
                subsets[name].append(row)
    return {name: means(held) for name, held in subsets.items() if held or name in ("chromatic", "two_or_more_colors")}
