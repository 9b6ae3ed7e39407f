"""A whole training: epochs, followed by evaluations on val and checkpoints; resumable at every update."""

import argparse
import logging
import math
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

import build
from datasets import set_epoch
from engine import TrainState, evaluate, summarize, train_one_epoch
from evaluation import report
from evaluation.instances import evaluate_instances, summarize_instances
from models.lcoins.network import LCoIns
from models.text import CaptionTokenizer
from utils import checkpoint, distributed
from utils.errors import Interrupted
from utils.interruption import Interruption
from utils.log import MetricLog

logger = logging.getLogger(__name__)
LAST, BEST = "checkpoint-last.pth", "checkpoint-best.pth"


def train(
    args: argparse.Namespace,
    network: LCoIns,
    tokenizer: CaptionTokenizer,
    start: dict[str, Any] | None,
    device: torch.device,
    output_dir: Path,
) -> None:
    """Epochs of training; after every `eval_every`-th and the last the metrics on val, checkpoint-last and, at the best
    PSNR so far, checkpoint-best.

    start: the checkpoint to resume, whole; it is emptied once it was read.
    Raises Interrupted after SIGTERM or SIGINT: the step is finished and checkpoint-last holds it.
    """
    train_loader = build.build_train_loader(args, network, tokenizer, device)
    val_loader = build.build_eval_loader(args, network, tokenizer, "val")
    val_scenes = build.build_scenes(args, network, "val")
    updates = len(train_loader) // args.update_freq  # per epoch
    state = build.build_state(args, network, updates, device)
    prepare, criterion = build.build_prepare(args), build.build_criterion(args)
    update_images = args.update_freq * args.batch_size * distributed.world_size()
    log_dir = Path(args.log_dir or output_dir)

    def save(names: Sequence[str] = (LAST,)) -> None:
        """LAST comes last: killed before it, the epoch's end is done again, and its best is found again."""
        content = build.checkpoint_content(args, state, tokenizer, log)
        for name in names:
            checkpoint.save(output_dir / name, content)

    def after_update() -> bool:
        due = args.save_every is not None and state.step % args.save_every == 0
        asked = interruption.asked()
        if due or asked:
            save()
        return not asked

    with (
        Interruption() as interruption,
        MetricLog(output_dir, log_dir, args.epochs, updates * update_images, args.print_freq) as log,
    ):
        if args.resume is not None:
            build.resume(state, start, args, log)
            start.clear()  # its file is mapped: the disk would keep it, once it is replaced, until the last epoch
        build.save_flags(args, output_dir)
        while state.epoch < args.epochs:
            started, first_step = time.monotonic(), state.step
            set_epoch(train_loader, state.epoch, state.seen)
            state.scheduled = state.epoch * updates + state.seen // update_images
            log.start_epoch(state.epoch, state.seen)
            parts = state, criterion, prepare, train_loader, device, args.amp, args.update_freq, args.clip_grad, log
            if not train_one_epoch(*parts, after_update):
                raise Interrupted(
                    f"{output_dir / LAST}: saved at step {state.step}, as asked; go on with --auto_resume"
                )
            state.epoch, state.seen = state.epoch + 1, 0
            rate = (state.step - first_step) * update_images / (time.monotonic() - started)
            if state.epoch % args.eval_every and state.epoch < args.epochs:
                continue

            sheet = report.Sheet()
            summary = summarize(evaluate(state.evaluated, val_loader, device, args.amp, visit=sheet.add))
            if val_scenes is not None:
                summary["instances"] = summarize_instances(
                    evaluate_instances(state.evaluated, val_scenes, tokenizer, device, args.amp, args.batch_size)
                )
            improved = _improved(state, summary)
            log.end_epoch(state.epoch, state.step, rate, summary, report.table(summary), sheet.draw)
            save((BEST, LAST) if improved else (LAST,))
            distributed.on_main(partial(_keep, output_dir, state.epoch, args.keep_checkpoints))


def _improved(state: TrainState, summary: dict[str, Any]) -> bool:
    psnr = math.inf if summary["model"]["psnr"] is None else summary["model"]["psnr"]
    improved, state.best = psnr > state.best, max(state.best, psnr)
    return improved


def _keep(output_dir: Path, epoch: int, count: int) -> None:
    """checkpoint-<epoch>.pth of the last `count` epochs. The newest is another name of checkpoint-last, not a copy."""
    if count == 0:
        return
    name = output_dir / f"checkpoint-{epoch:04d}.pth"
    name.unlink(missing_ok=True)
    os.link(output_dir / LAST, name)
    for old in sorted(output_dir.glob("checkpoint-[0-9]*.pth"))[:-count]:
        old.unlink()
