"""What a training changes: weights, optimizer, counters. It goes into a checkpoint and comes back from one."""

import logging
import math
from argparse import Namespace
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import torch
from timm.optim import create_optimizer_v2, get_optimizer_info
from timm.scheduler import CosineLRScheduler
from timm.scheduler.scheduler import Scheduler
from timm.utils import ModelEmaV3
from torch import nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from models.system import System
from utils import devices, distributed, options, seeds
from utils.errors import InputError
from utils.log import MetricLog

logger = logging.getLogger(__name__)
# Flags that may change when a run is resumed without making another run of it.
SAME_RUN = (
    *("config", "resume", "auto_resume", "finetune", "output_dir", "device", "num_workers", "print_freq"),
    *("save_every", "keep_checkpoints", "dist_eval", "compile", "grad_checkpointing", "lpips_net", "lpips_weights"),
    *("eval", "test", "fid_weights", "protocol", "obedience", "shard_optimizer", "input_size", "level"),
    "seeds",
)
REFUSED = ("opt",)  # decide what the optimizer keeps of each tensor: a run cannot be resumed with others
# Optimizers that change a tensor by its own gradient alone, so that processes can share the work; lamb is none of them.
SHARDABLE = ("adam", "adamw", "lion", "momentum", "muon", "nmuon", "sgd")


@dataclass
class TrainState:
    system: System
    model: nn.Module  # `system`, or DistributedDataParallel around it
    ema: ModelEmaV3 | None
    optimizer: Optimizer
    schedule: Scheduler
    scaler: GradScaler  # enabled for fp16 alone
    step: int = 0  # updates done
    scheduled: int = 0  # the same, where the schedule counts them: by batches of the present size and epochs done
    epoch: int = 0  # epochs done
    seen: int = 0  # samples of the present epoch, all ranks', that the updates have used
    best: float = field(default=-math.inf)  # highest mean PSNR on val, dB

    @classmethod
    def start(cls, system: System, args: Namespace, updates: int, device: torch.device) -> Self:
        """args: the flags of the optimisation; updates: of the weights, per epoch. Raises InputError."""
        return cls(
            system=system,
            model=distributed.wrap(system, device, args.bf16_gradients),
            ema=ModelEmaV3(system, decay=args.model_ema_decay, use_warmup=True) if args.model_ema else None,
            optimizer=(optimizer := _optimizer(system, args, device)),
            schedule=_schedule(optimizer, args, updates),
            scaler=GradScaler(device.type, enabled=args.amp == "fp16"),
        )

    @property
    def evaluated(self) -> System:
        """The system that is evaluated: with the moving average of the weights where there is one."""
        return self.system if self.ema is None else self.ema.module

    def content(self, log: MetricLog, run: dict[str, Any]) -> dict[str, Any]:
        """Of a checkpoint (utils/checkpoint.py). Every rank takes part, for the random states and the epoch's means.

        run: the resolved flags.
        """
        return self.system.content() | {
            "ema": None if self.ema is None else self.ema.module.state_dict(),
            "optimizer": distributed.optimizer_state(self.optimizer),
            "scaler": self.scaler.state_dict(),
            "step": self.step,
            "epoch": self.epoch,
            "seen": self.seen,
            "best": self.best,
            "rng": distributed.gather_objects(seeds.rng_states()),
            "log": distributed.gather_objects(log.state()),
            "run": run,
        }

    def resume(self, start: dict[str, Any], args: Namespace, log: MetricLog, free: Iterable[str] = ()) -> None:
        """Everything but the system's own tensors. start: a checkpoint's content; free: flags whose change makes no
        other run, beside `SAME_RUN`. Says what the resumed run cannot keep; raises InputError where it cannot
        go on. The flags given now take effect, those of rates and decay included."""
        if self.ema is not None and start["ema"] is None:
            raise InputError(f"{args.resume}: holds no moving average; resume it with --no-model_ema")
        before, now = len(start["rng"]), distributed.world_size()
        try:
            distributed.load_optimizer_state(self.optimizer, start["optimizer"])
            if start["scaler"]:  # else it was no run in fp16, and a new scale is looked for
                self.scaler.load_state_dict(start["scaler"])
            self.step, self.epoch, self.seen, self.best = (start[n] for n in ("step", "epoch", "seen", "best"))
            if before == now:
                seeds.set_rng_states(start["rng"][distributed.rank()])
            log.restore(start["log"])
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise InputError(
                f"{args.resume}: the state of its run does not fit ({error}); resume it with the flags of its"
                " args.yaml, or start from its weights with --finetune"
            ) from error
        if self.ema is not None:
            self.ema.module.load(start["ema"], args.resume)
        log.forget_after(self.epoch)
        if before != now:
            logger.warning(
                "%s was written by %d process(es), not %d: no sample of its epoch is repeated or left out, but noise is"
                " drawn anew, and a batch of all processes holds %d samples",
                args.resume,
                before,
                now,
                now * args.batch_size,
            )
        run, own, same = start["run"], options.plain(args), {*SAME_RUN, *free}
        changed = [
            f"--{name} {own[name]} (was {run.get(name)})"
            for name in own
            if name not in same and run.get(name) != own[name]
        ]
        if changed:
            logger.warning("resumed as another run: %s", ", ".join(changed))
        logger.info("resumed %s: %d of %d epochs, %d steps done", args.resume, self.epoch, args.epochs, self.step)


def check_resumable(start: dict[str, Any], args: Namespace, refused: Iterable[str], img_size: int) -> None:
    """InputError for flags that the optimizer's state of a checkpoint would not fit. refused: their names."""
    changed = [
        f"--{name} {getattr(args, name)} (was {start['run'][name]})"
        for name in refused
        if name in start["run"] and start["run"][name] != getattr(args, name)
    ]
    if img_size != start["config"].get("img_size", img_size):
        changed.append(f"--input_size {img_size} (was {start['config']['img_size']})")
    if changed:
        raise InputError(
            f"{args.resume}: its optimizer does not fit {', '.join(changed)}; resume it with the flags of its"
            " args.yaml, or start from its weights with --finetune"
        )


def _optimizer(system: System, args: Namespace, device: torch.device) -> Optimizer:
    try:
        kind = get_optimizer_info(args.opt)
    except ValueError as error:
        raise InputError(f"--opt {args.opt}: unknown; pass a name of timm.optim, such as adamw") from error
    if args.shard_optimizer and args.opt not in SHARDABLE:
        raise InputError(f"--shard_optimizer: not with --opt {args.opt}; pass one of {', '.join(SHARDABLE)}")
    devices.avoid_slow_muon(device)
    extra: dict[str, Any] = {"betas": tuple(args.opt_betas)} if kind.has_betas else {}
    if kind.opt_class is torch.optim.AdamW:
        extra["fused"] = True  # one kernel for all tensors
    create = partial(create_optimizer_v2, opt=args.opt, lr=args.lr, **extra)
    optimizer = create(
        system,
        weight_decay=args.weight_decay,
        layer_decay=args.layer_decay,
        fallback_list=system.not_for_muon(),
        fallback_no_weight_decay=True,
    )
    return distributed.shard(optimizer, create) if args.shard_optimizer else optimizer


class _ConstantThenLinear(Scheduler):
    """The full rate, and in the last epochs of it less by the same step each: 1 / (last + 1) of it in the last."""

    def __init__(self, optimizer: Optimizer, updates: int, epochs: int, last: int) -> None:
        super().__init__(optimizer, "lr", t_in_epochs=False)
        self.updates, self.epochs, self.last = updates, epochs, last

    def _get_lr(self, t: int) -> list[float]:
        falling = max(0, t // self.updates + 1 - (self.epochs - self.last))
        return [rate * (1 - falling / (self.last + 1)) for rate in self.base_values]


def _schedule(optimizer: Optimizer, args: Namespace, updates: int) -> Scheduler:
    if args.linear_epochs is not None:
        return _ConstantThenLinear(optimizer, updates, args.epochs, args.linear_epochs)
    warmup = round(args.warmup_epochs * updates)
    return CosineLRScheduler(
        optimizer,
        t_initial=max(1, args.epochs * updates - warmup),
        lr_min=args.min_lr,
        warmup_t=warmup,
        warmup_lr_init=args.lr / (warmup + 1),  # update k of the warm-up has k / (warmup + 1) of --lr: none has 0
        warmup_prefix=True,
        t_in_epochs=False,
    )
