"""A system as run_colorization.py builds it, and the public functions that are timed; no other file knows models."""

import argparse
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

import build
import engine
import run_colorization
import starting_point
from utils import color, options
from utils.devices import autocast

STEPS = {"cpu": 1, "cuda": 10}  # batches in a timing: a GPU works through a queue, which one batch leaves empty
CLIP_GRAD = 1.0


class System:
    """`name` with random weights, its training on the photographs in `data`, and one batch of them on the host."""

    def __init__(self, name: str, args: argparse.Namespace, device: torch.device, data: Path) -> None:
        """args: of scripts/benchmark.py."""
        words = ["--model", name, "--amp", args.amp, "--batch_size", str(args.batch_size), "--num_workers", "0"]
        words += ["--image_encoder_weights", "random", "--text_encoder_weights", "random", "--data_path", str(data)]
        words += ["--compile"] * args.compile
        words += [] if args.input_size is None else ["--input_size", str(args.input_size)]
        self.flags, self.device, self.data = options.parse(words), device, data
        self.steps = STEPS[device.type]
        self.network, self.tokenizer = starting_point.build_network(self.flags, None)
        loader = self.loader(data, 0)
        self.state = build.build_state(self.flags, self.network.to(device), len(loader), device)
        self.prepare = build.build_prepare(self.flags)  # once: where it is compiled, it is compiled once
        self.criterion = build.build_criterion(self.flags)
        self.batch = next(iter(loader))

    @property
    def images(self) -> int:
        """Of a timing of `steps` batches."""
        return self.steps * len(self.batch.names)

    def train(self, steps: int) -> None:
        """So many updates by engine.train_one_epoch, each on the batch: copied, augmented, and all that follows."""
        parts = self.state, self.criterion, self.prepare
        engine.train_one_epoch(*parts, [self.batch] * steps, self.device, self.flags.amp, 1, CLIP_GRAD, _NoLog())

    @torch.no_grad()
    def colorize(self, steps: int) -> None:
        """The network alone, inside one autocast as in an evaluation: weights are cast once."""
        network, batch = self.network.eval(), self.batch.to(self.device)
        gray, _ = color.split(batch.rgb)
        with autocast(self.device, self.flags.amp):
            for _ in range(steps):
                network(gray, batch.words)

    def evaluate(self, steps: int) -> None:
        """The batch colorized and measured so many times, without LPIPS."""
        engine.evaluate(self.network, [self.batch] * steps, self.device, self.flags.amp)

    def loader(self, data: Path, workers: int) -> DataLoader:
        """Of training on `data`."""
        flags = self._flags(data_path=str(data), num_workers=workers)
        return build.build_train_loader(flags, self.network, self.tokenizer, self.device)

    def test(self, data: Path, lpips_weights: Path, workers: int) -> None:
        """A whole --test: pictures, tables and page."""
        changed = {"data_path": str(data), "output_dir": str(data / "output"), "lpips_weights": str(lpips_weights)}
        flags = self._flags(test=True, num_workers=workers, **changed)
        run_colorization.test(flags, self.network, self.tokenizer, self.device, data / "output")

    def _flags(self, **changed: Any) -> argparse.Namespace:
        return argparse.Namespace(**vars(self.flags) | changed)


class _NoLog:
    """In the place of utils.log.MetricLog."""

    def update(self, *_: Any, **__: Any) -> None:
        pass
