"""What a row costs: parameters, operations and speed of colouring, updates and hours of training."""

import json
import tempfile
import time
from argparse import Namespace
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import torch

import datasets
import engine
import run_colorization
from datasets.batch import Batch
from datasets.scenes import Scenes
from evaluation.table1.results import PHOTOS, SCENES
from models import System, parameter_count
from models.restore import restore
from models.train_state import TrainState
from scripts.benchmarking.timing import count_gflop, timed
from scripts.tabling.runs import DATA_SETS, LAST, WEIGHTS, Run
from utils import checkpoint, devices, options
from utils.errors import InputError
from utils.text_files import read_json_lines, read_yaml

PICTURES, TURNS = 8, 3  # in a batch of colouring, batches on the clock
# flags of what a training starts from: what the table calls them
_STARTS = {flag: flag.removesuffix("_weights").replace("_", " ") for flag in WEIGHTS} | {"finetune": "checkpoint"}


def load(file: Path) -> System:
    return restore(str(file), checkpoint.load(str(file)))[0].eval()


@torch.no_grad()
def of_coloring(system: System, device: torch.device) -> dict[str, Any]:
    """Of a picture, under its caption and in fp32: the same scenes for every system, at its own size."""
    system = system.to(device)
    scenes = Scenes("clear", system.img_size, PICTURES).render(range(PICTURES))
    words = None if system.tokenizer is None else system.tokenizer(scenes.captions)
    boxes = scenes.boxes if "boxes" in system.inputs else None
    batch = Batch.plain(scenes.rgb, scenes.captions, words, boxes).to(device)

    def colorize() -> None:
        system.colorize(batch)

    gflop = count_gflop(colorize) / PICTURES
    seconds = median(timed({"own": colorize}, TURNS, device)["own"])
    return {
        "parameters": parameter_count(system),
        "gflop": gflop,
        "images_per_second": PICTURES / seconds,
        "device": devices_name(device),
    }


def devices_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{device.type}, {torch.get_num_threads()} threads"


def of_training(folders: Sequence[Path]) -> dict[str, Any]:
    """Of the stages' folders, in their order; what their logs tell. Empty where the first holds no run."""
    if not all((folder / name).is_file() for folder in folders for name in ("args.yaml", "log.jsonl")):
        return {}
    flags = [read_yaml(folder / "args.yaml", "restore it") for folder in folders]
    logs = [[line for _, line in read_json_lines(folder / "log.jsonl", "restore it")] for folder in folders]
    for folder, lines in zip(folders, logs, strict=True):
        if not all("update_images" in line for line in lines):
            raise InputError(
                f"{folder / 'log.jsonl'}: a line without update_images, of an earlier version; pass the row's test"
                " instead: --done ROW=FOLDER/test"
            )
    updates = seconds = images = 0
    curve: list[tuple[int, float]] = []  # of the last stage
    for lines in logs:
        step, curve = 0, []
        for line in lines:
            samples = (line["step"] - step) * line["update_images"]
            seconds, images = seconds + samples / line["images_per_second"], images + samples
            step = line["step"]
            curve.append((updates + step, _on_val(line.get("val", {}))))
        updates += step
    val = logs[-1][-1]["val"]["model"] if logs[-1] else {}
    return {
        "updates": updates,
        "batch_size": logs[0][0]["update_images"] if logs[0] else None,
        "images_per_second": images / seconds if seconds else None,
        "hours": seconds / 3600,
        "start": start_of(flags[0]),
        "val": {name: val.get(name) for name in ("psnr", "ssim", "lpips")},
        "curve": [(step, value) for step, value in curve if value is not None],
    }


def _on_val(val: dict[str, Any]) -> float | None:
    """What the curve is of: instance accuracy on scenes, PSNR on photographs."""
    return val["instances"]["accuracy"]["mean"] if "instances" in val else val.get("model", {}).get("psnr")


def start_of(flags: dict[str, Any]) -> str:
    """'image encoder random, text encoder random'."""
    return ", ".join(f"{title} {flags[flag]}" for flag, title in _STARTS.items() if flags.get(flag) is not None)


def kind_of_training(folder: Path) -> str | None:
    """The kind of data that a training is of; None where the folder holds none."""
    if not all((folder / name).is_file() for name in ("args.yaml", LAST)):
        return None
    return SCENES if read_yaml(folder / "args.yaml", "restore it")["data_set"] == DATA_SETS[SCENES] else PHOTOS


def has_no_groups(folder: Path) -> bool:
    """Whether nothing taught the groups of the run in this folder."""
    file = folder / "args.yaml"
    return file.is_file() and read_yaml(file, "restore it").get("counter_color") is False


def read_or_measure(file: Path, checkpoint_file: Path, device: torch.device) -> dict[str, Any]:
    """`of_coloring`, kept in `file`; empty without a checkpoint."""
    if not file.is_file():
        if not checkpoint_file.is_file():
            return {}
        file.write_text(json.dumps(of_coloring(load(checkpoint_file), device), indent=2) + "\n", encoding="utf-8")
    return json.loads(file.read_text(encoding="utf-8"))


def try_training(run: Run, updates: int) -> list[dict[str, Any]]:
    """So many updates of every stage, each from the one before, with nothing kept: parameters that learn, images per
    second without the first update."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        before = Path(name) / LAST
        for stage in run.stages:
            flags = [*stage.flags]
            if "--finetune" in flags:
                flags[flags.index("--finetune") + 1] = str(before)
            args = run_colorization.parse([*flags, "--output_dir", name])
            start = run_colorization.read_start(args)
            device = devices.choose(args.device, float64=True)
            run_colorization.settle_machine(args, start, device)
            system = run_colorization.build_system(args, start).to(device)
            rate = _timed_updates(system, args, device, updates)
            learning = sum(p.numel() for p in system.parameters() if p.requires_grad)
            rows.append({"stage": system.stage or "", "learning": learning, "images_per_second": rate})
            checkpoint.save(before, system.content() | {"ema": None})
    return rows


def _timed_updates(system: System, args: Namespace, device: torch.device, updates: int) -> float:
    data = options.pick(datasets.options_of(args.data_set), args)
    sizes = args.batch_size, args.num_workers, args.seed, device.type == "cuda"
    loader = datasets.build_train_loader(data, args.data_path, system, *sizes)
    state = TrainState.start(system, args, max(1, len(loader)), device)
    run = engine.RunOptions(device, args.amp, 1, args.batch_size, clip_grad=args.clip_grad)
    batches = iter(loader)
    log = _Silent()
    engine.train_one_epoch(state, list(islice(batches, 1)), run, log)
    started, before = time.perf_counter(), state.step
    engine.train_one_epoch(state, islice(batches, updates), run, log)
    return (state.step - before) * args.batch_size / (time.perf_counter() - started)


class _Silent:
    """In the place of `utils.log.MetricLog`, for `train_one_epoch`."""

    def update(self, *_: Any, **__: Any) -> None:
        """Nothing is logged."""
