"""Row `test` of scripts/benchmark.py: a whole `--test` with LPIPS, its pictures, tables and page written."""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from torchvision.models.vgg import cfgs, make_layers

import run_colorization
from scripts.benchmark_data import write_photographs
from scripts.benchmark_run import Run
from scripts.benchmark_timing import CORES, Figures

IMAGES = {"cpu": 32, "cuda": 2400}  # of a test: the paper's has 2,386 (docs/DATA.md), too many for a CPU


def testing_row(run: Run, words: int, repeats: int) -> Figures:
    """Seconds of `run_colorization.test` once the network is on the device; the first, which warms up, is counted too.

    LPIPS is VGG16 with random weights: the same work as with ImageNet's.
    """
    images = IMAGES[run.device.type]
    with tempfile.TemporaryDirectory() as folder:
        data, weights = Path(folder), Path(folder) / "vgg16.pth"
        write_photographs(data, images, words, "test")
        torch.save(make_layers(cfgs["D"]).state_dict(prefix="features."), weights)
        paths = {"data_path": str(data), "output_dir": str(data / "output"), "lpips_weights": str(weights)}
        flags = argparse.Namespace(**vars(run.flags) | paths | {"test": True, "num_workers": CORES})
        seconds = [_seconds(flags, run) for _ in range(repeats)]
    return {
        "images": images,
        "first_seconds": seconds[0],
        "seconds": median(seconds),
        "images_per_second": images / median(seconds),
    }


def _seconds(flags: argparse.Namespace, run: Run) -> float:
    started = time.perf_counter()
    tokenizer = run.loader.collate_fn.tokenize
    run_colorization.test(flags, run.state.network, tokenizer, run.device, Path(flags.output_dir))
    return time.perf_counter() - started
