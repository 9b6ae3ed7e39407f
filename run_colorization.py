"""Train, evaluate and test systems of colorization: flags, system, data, then train, evaluate or test.

torchrun --nproc_per_node=8 run_colorization.py --config configs/lcoins/paper.yaml --data_path DATA --output_dir DIR
python run_colorization.py --finetune DIR/checkpoint-best.pth --data_path DATA --output_dir DIR --test
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

import torch
import yaml

import datasets
import models
import run_evaluation
import run_flags
from datasets import build_eval_loader, build_train_loader
from datasets.scenes import SceneOptions
from engine import LAST, Evaluated, RunOptions, evaluate, train
from evaluation import measure, report
from evaluation.instance_summary import summarize_instances
from evaluation.instances import evaluate_instances
from evaluation.measure import Measure
from inference import onnx_file
from models.restore import authors_of, named_in, restore
from models.system import System
from models.train_state import REFUSED, TrainState, check_resumable
from utils import checkpoint, distributed, files, options, seeds
from utils.devices import check_compiler, precision
from utils.errors import DivergedError, FaultError, InputError, Interrupted
from utils.files import OutputLock
from utils.log import MetricLog, setup_logging

logger = logging.getLogger(__name__)


def main(argv: list[str] | None = None) -> None:
    args = parse(argv)
    device = distributed.setup(args.device)
    try:
        setup_logging()
        output_dir = files.output_folder(args.output_dir)
        with OutputLock(output_dir):
            start = read_start(args)
            settle_machine(args, start, device)
            system = build_system(args, start).to(device)
            data = options.pick(datasets.options_of(args.data_set), args)
            if args.resume is None or args.eval or args.test:
                start = None  # its file is mapped: the disk keeps it as long as anybody refers to it
            if args.eval or args.test:
                run_evaluation.test(args, system, data, device, output_dir)
            else:
                fit(args, system, data, start, device, output_dir)
    finally:
        distributed.shutdown()


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The resolved flags: the shared ones, the system's and the data set's. --auto_resume becomes --resume where there
    is a run to resume."""

    def config_type(name: str) -> type:
        return models.system_of(name).Config

    def resumed(flags: argparse.Namespace) -> str | None:
        last = Path(flags.output_dir or "output") / LAST
        return str(last) if flags.resume is None and flags.auto_resume and last.is_file() else flags.resume

    def held(early: argparse.Namespace) -> str | None:
        """A checkpoint decides; --model may name the paper's for the authors' file, as their own command does."""
        path = resumed(early) or early.finetune
        name, ours = (None, False) if path is None else named_in(path)
        if ours and early.model not in (None, name):
            raise InputError(
                f"{path}: holds another architecture than --model {early.model} (the checkpoint: {name}); pass the"
                " checkpoint's"
            )
        return name

    system = options.Family("model", models.PAPER_MODEL, models.MODELS, config_type, held)
    data_set = options.Family("data_set", "captioned_images", datasets.DATA_SETS, datasets.options_of)
    args = options.parse(argv, (system, data_set), run_flags.build_parser)
    run_flags.check(args)
    args.resume = resumed(args)
    options.pick(datasets.options_of(args.data_set), args)  # checks them
    if args.finetune is None and args.resume is None:  # else the checkpoint decides on what is not given
        config = models.config_of(args.model)
        for flag in options.flags_of(type(config)):
            if getattr(args, flag.name) is None:
                setattr(args, flag.name, getattr(config, flag.name))
    return args


def read_start(args: argparse.Namespace) -> Any | None:
    """The checkpoint that the run starts from, if any."""
    path = args.resume or args.finetune
    if path is None and (args.eval or args.test):
        raise InputError("--eval and --test need a checkpoint: pass --finetune FILE")
    if path is None or onnx_file.is_onnx(path):
        return None
    start = checkpoint.load(path)
    ours = authors_of(start) is None
    if ours:
        start = checkpoint.check_format(path, start)
    if args.resume is not None and not (ours and "optimizer" in start):
        raise InputError(f"--resume {args.resume}: holds no run of ours, but weights; start from them with --finetune")
    return start


def settle_machine(args: argparse.Namespace, start: dict[str, Any] | None, device: torch.device) -> None:
    """--amp auto becomes what the run uses: fp32 in --eval and --test, so that their figures are the same on every
    machine; what a resumed run has used; else what the device multiplies natively.

    Raises InputError where --compile is given and nothing can be compiled.
    """
    if args.compile:
        check_compiler(device)
    if args.amp == "auto" and (args.eval or args.test):
        args.amp = "none"
    elif args.amp == "auto" and args.resume is not None and start["run"].get("amp") is not None:
        args.amp = start["run"]["amp"]
        logger.info("--amp auto: %s, as %s was trained", args.amp, args.resume)
    args.amp = precision(args.amp, device)


def build_system(args: argparse.Namespace, start: Any | None) -> System:
    """From the checkpoint, or from scratch; fills the flags that were not given.

    Every rank draws the same weights, then noise of its own.
    """
    seeds.seed_all(seeds.derive(args.seed, seeds.WEIGHTS))
    path = args.resume or args.finetune
    if path is not None and onnx_file.is_onnx(path):
        only_test = args.resume is None and (args.eval or args.test)
        return onnx_file.read_for_test(path, only_test, args.device, args.amp, args.compile, args.input_size)
    flags = [flag.name for flag in options.flags_of(models.system_of(args.model).Config)]
    given = {name: getattr(args, name) for name in flags if getattr(args, name) is not None}
    if args.input_size is not None:
        given["img_size"] = args.input_size
    if start is None:
        system = models.system_of(args.model).from_scratch(args.model, models.config_of(args.model, **given))
    else:
        trained = args.resume is not None and not (args.eval or args.test)
        system, notes = restore(path, start, averaged=not trained, **given)
        for note in notes:
            logger.info("%s", note)
    for name in flags:
        setattr(args, name, getattr(system.config, name))
    system.set_grad_checkpointing(args.grad_checkpointing)
    if args.compile:
        system.compile()
    seeds.seed_all(seeds.derive(args.seed, seeds.NOISE, distributed.rank()))
    return system


def fit(
    args: argparse.Namespace,
    system: System,
    data: datasets.Options,
    start: dict[str, Any] | None,
    device: torch.device,
    output_dir: Path,
) -> None:
    """Train, and evaluate on val; start: the checkpoint, whole, where one is resumed."""
    source = data, args.data_path
    sizes = args.batch_size, args.num_workers
    loader = build_train_loader(*source, system, *sizes, args.seed, pin_memory=device.type == "cuda")
    if len(loader) < args.update_freq:
        raise InputError(
            f"--update_freq {args.update_freq}: an epoch has {len(loader)} batches, so no update; pass fewer"
        )
    val = build_eval_loader(*source, "val", system, *sizes, args.dist_eval)
    updates = len(loader) // args.update_freq  # per epoch
    images = args.update_freq * args.batch_size * distributed.world_size()
    run = RunOptions(
        device,
        args.amp,
        args.epochs,
        images,
        args.update_freq,
        args.clip_grad,
        args.eval_every,
        args.save_every,
        args.keep_checkpoints,
    )

    def validate(evaluated: System) -> Evaluated:
        sheet = report.Sheet()
        summary = measure.means(evaluate(evaluated, val, device, args.amp, Measure(visits=[sheet.add])))
        if isinstance(data, SceneOptions):
            scenes = evaluate_instances(evaluated, val.dataset, device, args.amp, args.batch_size)
            summary["instances"] = summarize_instances(scenes)
        return Evaluated(summary, report.table(summary), sheet.draw)

    flags = [*options.flags_of(system.Config), *options.flags_of(type(data))]
    refused = [*REFUSED, *(flag.name for flag in flags if flag.metadata["resume"] == "refused")]
    if args.resume is not None:
        check_resumable(start, args, refused, system.img_size)
    state = TrainState.start(system, args, updates, device)
    with MetricLog(output_dir, args.epochs, updates * images, args.print_freq) as log:
        if args.resume is not None:
            state.resume(start, args, log, free=[flag.name for flag in flags if flag.metadata["resume"] == "free"])
            start.clear()  # its file is mapped: the disk would keep it, once it is replaced, until the last epoch
        given = {name: value for name, value in options.plain(args).items() if value is not None}
        distributed.on_main(lambda: files.write_text(output_dir / "args.yaml", yaml.safe_dump(given)))
        train(state, loader, run, log, output_dir, lambda: state.content(log, options.plain(args)), validate)


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
