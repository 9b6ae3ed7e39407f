"""Train, evaluate and test L-CoIns from the command line: parse, build, then train, evaluate or test.

torchrun --nproc_per_node=8 run_colorization.py --config configs/lcoins.yaml --data_path DATA --output_dir DIR
python run_colorization.py --finetune DIR/checkpoint-best.pth --data_path DATA --output_dir DIR --test
"""

import argparse
import logging
import math
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

import build
from datasets import set_epoch
from datasets.scenes import TEST_SPLITS
from engine import evaluate, summarize, train_one_epoch
from instances import evaluate_instances, recolor, summarize_instances
from models.lcoins import LCoIns
from models.text_encoder import CaptionTokenizer
from utils import checkpoint, distributed, options, report, scene_report
from utils.errors import DivergedError, InputError
from utils.log import MetricLog

logger = logging.getLogger(__name__)
SHOWN_SCENES, SHOWN_CAPTIONS = 4, 4  # of each split, on the page


def main(argv: list[str] | None = None) -> None:
    args = options.parse(argv)
    device = distributed.setup(args.device)
    try:
        distributed.setup_logging()
        output_dir = build.prepare_output(args)
        start = build.read_start(args, output_dir)
        network, tokenizer = build.build_network(args, start)
        network.to(device)
        if args.eval or args.test:
            test(args, network, tokenizer, device, output_dir)
        else:
            train(args, network, tokenizer, start, device, output_dir)
    finally:
        distributed.shutdown()


def train(
    args: argparse.Namespace,
    network: LCoIns,
    tokenizer: CaptionTokenizer,
    start: dict[str, Any] | None,
    device: torch.device,
    output_dir: Path,
) -> None:
    """Epochs of training, each followed by an evaluation on val and two checkpoints: the last, and the best PSNR."""
    train_loader = build.build_train_loader(args, network, tokenizer, device)
    val_loader = build.build_eval_loader(args, network, tokenizer, "val")
    val_scenes = build.build_scenes(args, network, "val")
    updates = len(train_loader) // args.update_freq  # per epoch
    state = build.build_state(args, network, updates, device)
    if args.resume is not None:
        build.resume(state, start, args)
    augment, criterion = build.build_augmentation(args), build.build_criterion(args)
    images = updates * args.update_freq * args.batch_size * distributed.world_size()
    log_dir = Path(args.log_dir or output_dir)

    with MetricLog(output_dir, log_dir, args.epochs, images, args.print_freq) as log:
        while state.epoch < args.epochs:
            started = time.monotonic()
            set_epoch(train_loader, state.epoch)
            log.start_epoch(state.epoch)
            train_one_epoch(
                state, criterion, augment, train_loader, device, args.amp, args.update_freq, args.clip_grad, log
            )
            state.epoch += 1
            seconds = time.monotonic() - started

            sheet = report.Sheet()
            summary = summarize(evaluate(state.evaluated, val_loader, device, args.amp, visit=sheet.add))
            if val_scenes is not None:
                summary["instances"] = summarize_instances(
                    evaluate_instances(state.evaluated, val_scenes, tokenizer, device, args.amp, args.batch_size)
                )
            psnr = math.inf if summary["model"]["psnr"] is None else summary["model"]["psnr"]
            improved, state.best = psnr > state.best, max(state.best, psnr)
            content = build.checkpoint_content(args, state, tokenizer)
            checkpoint.save(output_dir / "checkpoint-last.pth", content)
            if improved:
                checkpoint.save(output_dir / "checkpoint-best.pth", content)
            log.end_epoch(state.epoch, state.step, images / seconds, summary, sheet)


def test(
    args: argparse.Namespace, network: LCoIns, tokenizer: CaptionTokenizer, device: torch.device, output_dir: Path
) -> None:
    """--eval: the metrics on val. --test: on test, with pictures, tables and the page."""
    if args.data_set == "scenes":
        test_scenes(args, network, tokenizer, device, output_dir)
        return
    loader = build.build_eval_loader(args, network, tokenizer, "test" if args.test else "val")
    lpips = build.build_lpips(args, device)
    names = report.output_names(loader.dataset.pairs)
    visit = partial(report.save_batch, output_dir, names) if args.test else None
    rows = evaluate(network, loader, device, args.amp, lpips, visit)
    summary = summarize(rows)
    logger.info("%s", report.table(summary))
    if args.test and distributed.is_main():
        report.save_tables(output_dir, rows, names, summary)
        logger.info("page: %s", (output_dir / "index.html").resolve())


def test_scenes(
    args: argparse.Namespace, network: LCoIns, tokenizer: CaptionTokenizer, device: torch.device, output_dir: Path
) -> None:
    """The same for Scenes, on val or the four test splits: every instance's colour, under captions and counter ones."""
    rows, pictures = {}, {}
    for split in TEST_SPLITS if args.test else ("val",):
        scenes = build.build_scenes(args, network, split)
        rows[split] = evaluate_instances(
            network, scenes, tokenizer, device, args.amp, args.batch_size, shared=args.dist_eval
        )
        shown = range(min(SHOWN_SCENES, len(scenes)))
        pictures[split] = [recolor(network, scenes, i, SHOWN_CAPTIONS, tokenizer, device, args.amp) for i in shown]
    summaries = {split: summarize_instances(of_split) for split, of_split in rows.items()}
    logger.info("%s", scene_report.table(summaries))
    if args.test and distributed.is_main():
        scene_report.save(output_dir, rows, summaries, pictures)
        logger.info("page: %s", (output_dir / "index.html").resolve())


def run(argv: list[str] | None = None) -> int:
    """`main` with the exit status of each kind of failure: 2 the user's input, 3 a training that diverged."""
    try:
        main(argv)
    except InputError as error:
        # an error in a loader worker arrives wrapped in that worker's traceback; its last line is the message
        print(f"error: {str(error).rsplit('InputError: ', 1)[-1].strip()}", file=sys.stderr)
        return 2
    except DivergedError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(run())
