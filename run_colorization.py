"""Train, evaluate and test L-CoIns from the command line: parse, build, then train, evaluate or test.

torchrun --nproc_per_node=8 run_colorization.py --config configs/lcoins.yaml --data_path DATA --output_dir DIR
python run_colorization.py --finetune DIR/checkpoint-best.pth --data_path DATA --output_dir DIR --test
"""

import argparse
import logging
import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import torch

import build
import starting_point
from datasets.scenes import TEST_SPLITS, Scenes
from engine import evaluate, summarize, summarize_subsets
from evaluation import measures, obedience, report, scene_report
from evaluation.instances import evaluate_instances, recolor, summarize_instances
from evaluation.protocol import Colorized
from evaluation.scene_report import Recolored
from models.lcoins.network import LCoIns
from models.text import CaptionTokenizer
from training import train
from utils import distributed, options
from utils.errors import DivergedError, FaultError, InputError, Interrupted
from utils.lock import OutputLock

logger = logging.getLogger(__name__)
SHOWN_SCENES, SHOWN_CAPTIONS = 4, 4  # of each split, on the page


def main(argv: list[str] | None = None) -> None:
    args = options.parse(argv)
    device = distributed.setup(args.device)
    try:
        distributed.setup_logging()
        output_dir = build.prepare_output(args)
        with OutputLock(output_dir):
            start = starting_point.read_start(args, output_dir)
            starting_point.settle_machine(args, start, device)
            network, tokenizer = starting_point.build_network(args, start)
            if args.resume is None or args.eval or args.test:
                start = None  # its file is mapped: the disk keeps it as long as anybody refers to it
            network.to(device)
            if args.eval or args.test:
                test(args, network, tokenizer, device, output_dir)
            else:
                train(args, network, tokenizer, start, device, output_dir)
    finally:
        distributed.shutdown()


def test(
    args: argparse.Namespace, network: LCoIns, tokenizer: CaptionTokenizer, device: torch.device, output_dir: Path
) -> None:
    """--eval: the metrics on val. --test: on test, with pictures, tables and the page."""
    if args.data_set == "scenes":
        test_scenes(args, network, tokenizer, device, output_dir)
        return
    loader = build.build_eval_loader(args, network, tokenizer, "test" if args.test else "val")
    lpips, fid = measures.build_lpips(args, device), measures.build_fid(args, device)
    names = report.output_names(loader.dataset.pairs)
    photograph = measures.build_photograph(args, loader.dataset)
    with report.PictureSaver(output_dir, names) if args.test else nullcontext() as save:

        def visit(part: Colorized) -> None:
            if save is not None:
                save(part)
            if fid is not None:
                fid.add(part)

        rows = evaluate(network, loader, device, args.amp, lpips, visit, args.protocol, photograph)
    summary = summarize(rows) | {"protocol": args.protocol, "subsets": summarize_subsets(rows)}
    summary["fid_network"] = None if fid is None else fid.name
    summary["fid_pictures"] = None if fid is None else len({row["name"] for row in rows})
    for row, distance in (fid.distances() if fid is not None else {}).items():
        summary[row]["fid"] = distance
    logger.info("%s\n%s", report.table(summary), report.subset_table(summary["subsets"]))
    more = []
    if args.obedience:
        summary["obedience"] = obedience.summarize(
            obedience.evaluate(
                network, loader, loader.dataset.pairs, tokenizer, device, args.amp, loader.dataset.regions
            )
        )
        more = [obedience.table_rows(summary["obedience"])]
        logger.info("%s", obedience.table(summary["obedience"]))
    if args.test:
        distributed.on_main(lambda: report.save_tables(output_dir, rows, names, summary, more))
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
        if args.test:
            pictures[split] = distributed.on_main(partial(_shown, network, scenes, tokenizer, device, args.amp))
    summaries = {split: summarize_instances(of_split) for split, of_split in rows.items()}
    logger.info("%s", scene_report.table(summaries))
    if args.test:
        distributed.on_main(lambda: scene_report.save(output_dir, rows, summaries, pictures))
        logger.info("page: %s", (output_dir / "index.html").resolve())


def _shown(
    network: LCoIns, scenes: Scenes, tokenizer: CaptionTokenizer, device: torch.device, amp: str
) -> list[Recolored]:
    """The page's pictures of a split."""
    shown = range(min(SHOWN_SCENES, len(scenes)))
    return [recolor(network, scenes, index, SHOWN_CAPTIONS, tokenizer, device, amp) for index in shown]


def run(argv: list[str] | None = None) -> int:
    """`main` with the exit status of each way to end: 0, or that of the exceptions in utils/errors.py."""
    try:
        with distributed.faults_told():
            main(argv)
    except (InputError, DivergedError, FaultError, Interrupted) as error:
        # an error in a loader worker arrives wrapped in that worker's traceback; its last line is the message
        message = str(error).rsplit("InputError: ", 1)[-1].strip()
        print(message if isinstance(error, Interrupted) else f"error: {message}", file=sys.stderr)
        return error.status
    return 0


if __name__ == "__main__":
    sys.exit(run())
