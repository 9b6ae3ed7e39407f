"""What the rows of scripts/benchmark.py train: the parts of run_colorization.py, and a batch of pictures of its own."""

import argparse
import contextlib
import dataclasses
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple
from unittest import mock

import torch
from torch.utils.data import DataLoader

import build
import engine
import starting_point
from augment import InputAndTarget
from datasets.batch import Batch
from scripts.benchmark_timing import Figures
from utils import options

STEPS = {"cpu": 1, "cuda": 10}  # batches in a timing: a GPU works through a queue, which one batch leaves empty
CLIP_GRAD = 1.0


class Run(NamedTuple):
    """What trains, as run_colorization.py builds it, and a batch on the host."""

    flags: argparse.Namespace  # of run_colorization.py
    device: torch.device
    state: engine.TrainState
    loader: DataLoader
    batch: Batch  # with counter captions
    plain: Batch  # the same without
    prepare: InputAndTarget  # once: where it is compiled, it is compiled once

    def train(self, batch: Batch, steps: int = 1) -> None:
        parts = self.state, build.build_criterion(self.flags), self.prepare
        engine.train_one_epoch(*parts, [batch] * steps, self.device, self.flags.amp, 1, CLIP_GRAD, _Silent())

    def train_with_fused_attention(self, batch: Batch, steps: int) -> None:
        with mock.patch.object(engine, "attention_for_training", lambda *_: contextlib.nullcontext()):
            self.train(batch, steps)

    def rate_and_share(self, gflop: float, matrix_gflop: float, seconds: list[float], matrix: list[float]) -> Figures:
        """Of timings of STEPS batches, each beside one of matrix products; gflop: of one batch."""
        steps, images = STEPS[self.device.type], len(self.batch.names)
        rates = [(steps * gflop / own) / (matrix_gflop / its) for own, its in zip(seconds, matrix, strict=True)]
        speed = steps * images / median(seconds)
        return {"images_per_second": speed, "gflop_per_image": gflop / images, "share_of_matrix_rate": median(rates)}


class _Silent:
    """In the place of utils.log.MetricLog."""

    def update(self, *_: Any, **__: Any) -> None:
        pass


def build_run(name: str, args: argparse.Namespace, device: torch.device, data: Path, workers: int = 0) -> Run:
    words = ["--model", name, "--amp", args.amp, "--batch_size", str(args.batch_size), "--num_workers", str(workers)]
    words += ["--image_encoder_weights", "random", "--text_encoder_weights", "random", "--data_path", str(data)]
    words += ["--compile"] * args.compile
    words += [] if args.input_size is None else ["--input_size", str(args.input_size)]
    flags = options.parse(words)
    network, tokenizer = starting_point.build_network(flags, None)
    loader = build.build_train_loader(flags, network, tokenizer, device)
    state = build.build_state(flags, network.to(device), len(loader), device)
    batch = next(iter(loader))
    plain = dataclasses.replace(batch, counter_words=None, has_counter=torch.zeros_like(batch.has_counter))
    return Run(flags, device, state, loader, batch, plain, build.build_prepare(flags))
