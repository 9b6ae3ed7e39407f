"""What --eval and --test do: colour a split, measure it, write pictures, tables and the page."""

import argparse
import logging
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch

import datasets
from datasets import build_dataset, build_eval_loader
from datasets.scenes import TEST_SPLITS, SceneOptions
from engine import evaluate
from evaluation import measure, obedience, obedience_summary, report, scene_report, tables, variety
from evaluation.instance_summary import summarize_instances
from evaluation.instances import evaluate_instances, shown_scenes
from evaluation.measure import Measure
from models.system import System
from utils import distributed, files

logger = logging.getLogger(__name__)


def test(
    args: argparse.Namespace, system: System, data: datasets.Options, device: torch.device, output_dir: Path
) -> None:
    """--eval: the metrics on val. --test: on test, with pictures, tables and the page. Under descriptions of each
    --level; of several, each has a folder of its own."""
    scenes = isinstance(data, SceneOptions)
    summaries = {}
    for level in args.level:
        folder = output_dir if len(args.level) == 1 else files.output_folder(str(output_dir / level))
        summaries[level] = (_test_scenes if scenes else _test_pairs)(args, system, data, device, folder, level)
    if len(summaries) > 1:
        logger.info("%s", (scene_report if scenes else report).level_table(summaries))
    if args.test and args.level != ["complete"]:
        distributed.on_main(lambda: files.write_json(output_dir / "metrics.json", summaries))


def _test_pairs(
    args: argparse.Namespace, system: System, data: datasets.Options, device: torch.device, output_dir: Path, level: str
) -> dict[str, Any]:
    """Of image-caption pairs, their captions at a level."""
    split = "test" if args.test else "val"
    sizes = args.batch_size, args.num_workers
    loader = build_eval_loader(data, args.data_path, split, system, *sizes, args.dist_eval, level)
    system.check_captions(loader.dataset.pairs)
    lpips = measure.build_lpips(args.lpips_net, args.lpips_weights, device)
    fid = measure.build_fid(args.fid_weights, device)
    names = report.output_names(loader.dataset.pairs)
    photograph = measure.build_photograph(loader.dataset) if args.protocol == "full" else None
    boxes = measure.build_boxes(loader.dataset, data)
    with report.PictureSaver(output_dir, names) if args.test else nullcontext() as save:
        visits = [visit for visit in (save, fid and fid.add) if visit is not None]
        rows = evaluate(system, loader, device, args.amp, Measure(lpips, visits, args.protocol, photograph, boxes))
    summary = measure.means(rows) | {"protocol": args.protocol, "subsets": measure.summarize_subsets(rows)}
    summary["fid_network"] = None if fid is None else fid.name
    summary["fid_pictures"] = None if fid is None else len({row["name"] for row in rows})
    for row, distance in (fid.distances() if fid is not None else {}).items():
        summary[row]["fid"] = distance
    logger.info("%s\n%s", report.table(summary), report.subset_table(summary["subsets"]))
    more = []
    if args.obedience:
        obeyed = obedience.evaluate(system, loader, loader.dataset.pairs, device, args.amp, loader.dataset.regions)
        summary["obedience"] = obedience_summary.summarize(obeyed)
        more = [obedience_summary.table_rows(summary["obedience"])]
        logger.info("%s", obedience_summary.table(summary["obedience"]))
    if args.seeds > 1:
        varied = variety.evaluate(system, loader, device, args.amp, args.seeds)
        summary["variety"] = variety.summarize(varied, args.seeds)
        more.append(variety.table_rows(summary["variety"]))
        logger.info("%s", tables.text(more[-1]))
    if args.test:
        distributed.on_main(lambda: report.save_tables(output_dir, rows, names, summary, more))
        logger.info("page: %s", (output_dir / "index.html").resolve())
    return summary


def _test_scenes(
    args: argparse.Namespace, system: System, data: SceneOptions, device: torch.device, output_dir: Path, level: str
) -> dict[str, Any]:
    """The same for Scenes, on val or the four test splits: every instance's colour, under captions and counter ones."""
    rows, pictures = {}, {}
    for split in TEST_SPLITS if args.test else ("val",):
        scenes = build_dataset(data, args.data_path, split, system.img_size, level=level)
        rows[split] = evaluate_instances(
            system, scenes, device, args.amp, args.batch_size, shared=args.dist_eval, seeds=args.seeds
        )
        if args.test:
            pictures[split] = distributed.on_main(partial(shown_scenes, system, scenes, device, args.amp))
    summaries = {split: summarize_instances(of_split) for split, of_split in rows.items()}
    logger.info("%s", scene_report.table(summaries))
    if args.test:
        distributed.on_main(lambda: scene_report.save(output_dir, rows, summaries, pictures))
        logger.info("page: %s", (output_dir / "index.html").resolve())
    return summaries
