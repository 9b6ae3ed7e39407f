"""A system as run_colorization.py builds it, and the public functions that are timed; no other file knows models."""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

import datasets
import engine
import run_colorization
from datasets import build_train_loader
from evaluation.measure import Measure
from models.train_state import TrainState
from utils import options
from utils.devices import autocast

STEPS = {"cpu": 1, "cuda": 10}  # batches in a timing: a GPU works through a queue, which one batch leaves empty
CLIP_GRAD = 1.0


class Timed:
    """`name` with random weights, its training on the photographs in `data`, and one batch of them on the host."""

    def __init__(self, name: str, args: argparse.Namespace, device: torch.device, data: Path) -> None:
        """args: of scripts/benchmark.py."""
        words = ["--model", name, "--amp", args.amp, "--batch_size", str(args.batch_size), "--num_workers", "0"]
        words += ["--image_encoder_weights", "random", "--text_encoder_weights", "random", "--data_path", str(data)]
        words += ["--compile"] * args.compile
        words += [] if args.input_size is None else ["--input_size", str(args.input_size)]
        self.flags, self.device, self.data = run_colorization.parse(words), device, data
        self.steps = STEPS[device.type]
        self.system = run_colorization.build_system(self.flags, None).to(device)
        loader = self.loader(data, 0)
        self.state = TrainState.start(self.system, self.flags, len(loader), device)
        self.run = engine.RunOptions(device, self.flags.amp, 1, args.batch_size, clip_grad=CLIP_GRAD)
        self.batch = next(iter(loader))

    @property
    def images(self) -> int:
        """Of a timing of `steps` batches."""
        return self.steps * len(self.batch.names)

    def train(self, steps: int) -> None:
        """So many updates by engine.train_one_epoch, each on the batch: copied, augmented, and all that follows."""
        engine.train_one_epoch(self.state, [self.batch] * steps, self.run, _NoLog())

    @torch.no_grad()
    def colorize(self, steps: int) -> None:
        """Colorized alone, inside one autocast as in an evaluation: weights are cast once."""
        system, batch = self.system.eval(), self.batch.to(self.device)
        with autocast(self.device, self.flags.amp):
            for _ in range(steps):
                system.colorize(batch)

    def evaluate(self, steps: int) -> None:
        """The batch colorized and measured so many times, without LPIPS."""
        engine.evaluate(self.system, [self.batch] * steps, self.device, self.flags.amp, Measure())

    def loader(self, data: Path, workers: int) -> DataLoader:
        """Of training on `data`."""
        given = options.pick(datasets.options_of(self.flags.data_set), self.flags)
        sizes = self.flags.batch_size, workers, self.flags.seed, self.device.type == "cuda"
        return build_train_loader(given, str(data), self.system.img_size, self.system.tokenizer, True, *sizes)

    def test(self, data: Path, lpips_weights: Path, workers: int) -> None:
        """A whole --test: pictures, tables and page."""
        changed = {"data_path": str(data), "lpips_weights": str(lpips_weights), "test": True, "num_workers": workers}
        flags = argparse.Namespace(**vars(self.flags) | changed)
        given = options.pick(datasets.options_of(flags.data_set), flags)
        run_colorization.test(flags, self.system, given, self.device, data / "output")


class _NoLog:
    """In the place of utils.log.MetricLog."""

    def update(self, *_: Any, **__: Any) -> None:
        pass
