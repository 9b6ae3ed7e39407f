"""The rows of scripts/benchmark.py that are about data: the loader, and the rate at which scenes are made."""

import argparse
import json
import shutil
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

import build
from datasets.pictures import look
from datasets.scenes import Scenes
from scripts.benchmark_timing import CORES, Figures, ratio, threads, timed

PHOTOGRAPHS = 48  # files that the loader reads over and over
COPY_SIDE = 256  # pixels of the shorter side of the copies
FILL, TIMED = 2, 10  # batches per loader worker: until all are busy, and then on the clock
SCENES_BATCH, SCENES_TIMED = 64, 40  # scenes in a batch, batches of a worker on the clock
SENTENCE = "a {} ball beside a {} box near the {} cup on the {} sand under"
COLORS = ("red", "blue", "green", "yellow", "black", "white", "orange", "purple")


def scenes_row(repeats: int) -> Figures:
    """Scenes with counter captions, made by one process on one core, and by as many workers as there are cores."""
    figures = {}
    for size in (64, 112):
        scenes = Scenes("train", size, 10**6, counter=True)

        def make(scenes: Scenes = scenes) -> None:
            for start in range(0, SCENES_TIMED * SCENES_BATCH, SCENES_BATCH):
                scenes.__getitems__(range(start, start + SCENES_BATCH))

        made = SCENES_TIMED * SCENES_BATCH
        figures[f"one_core_{size}px_per_second"] = made / median(
            timed({"one": make}, repeats, torch.device("cpu"))["one"]
        )
        loader = DataLoader(scenes, SCENES_BATCH, num_workers=CORES, collate_fn=len)
        rates = [_rate(loader, FILL, SCENES_TIMED) for _ in range(repeats)]
        figures[f"all_cores_{size}px_per_second"] = median(rates)
    return figures


def loader_row(run: Any, kilobytes: float, consumed: float | None, repeats: int) -> Figures:
    """The training loader with one worker process and with one for each core; consumed: images/s of a training step.

    Then what one core reads, of each source. run: scripts.benchmark_run.Run.
    """
    figures, dataset = {"jpeg_kilobytes": kilobytes}, run.loader.dataset
    files = Path(run.flags.data_path)
    for name, workers in (("one_worker", 1), ("all_cores", CORES)):
        rate = median(_rate(_loader(run, files, workers), FILL, TIMED) for _ in range(repeats))
        figures[f"{name}_images_per_second"] = rate
        if consumed is not None:
            figures[f"{name}_times_the_step"] = rate / consumed
    with tempfile.TemporaryDirectory() as folder:
        write_copies(files, Path(folder))
        sources = {"files": _loader(run, files, 0), "copies": _loader(run, Path(folder), 0)}
        figures |= _one_core(sources, repeats)

    def reduced() -> None:
        for index in range(PHOTOGRAPHS):
            dataset[index]

    def full() -> None:
        seen = look.seen
        with mock.patch.object(look, "seen", lambda file, _: seen(file, None)):
            reduced()

    seconds = timed({"full": full, "reduced": reduced}, repeats, torch.device("cpu"))
    return figures | {"reduced_decoding_speedup": ratio(seconds["full"], seconds["reduced"])}


def _loader(run: Any, data: Path, workers: int) -> DataLoader:
    flags = argparse.Namespace(**vars(run.flags) | {"data_path": str(data), "num_workers": workers})
    return build.build_train_loader(flags, run.state.network, run.loader.collate_fn.tokenize, run.device)


def _one_core(sources: dict[str, DataLoader], repeats: int) -> Figures:
    """Images/s of this process on one core, in turn, of samples made and collated: PHOTOGRAPHS of each source."""

    def read(loader: DataLoader) -> None:
        for start in range(0, PHOTOGRAPHS, loader.batch_size):
            indices = range(start, min(start + loader.batch_size, PHOTOGRAPHS))
            loader.collate_fn([loader.dataset[index] for index in indices])

    calls = {name: lambda loader=loader: read(loader) for name, loader in sources.items()}
    with threads(1):
        seconds = timed(calls, repeats, torch.device("cpu"))
    return {f"{name}_one_core_images_per_second": PHOTOGRAPHS / median(times) for name, times in seconds.items()}


def _rate(loader: DataLoader, fill: int, on_clock: int) -> float:
    """Samples/s while all workers are busy: the clock starts and stops in mid-stream. Batches for each worker."""
    first, last = fill * loader.num_workers, (fill + on_clock) * loader.num_workers
    for place, _ in enumerate(islice(loader, last), start=1):
        if place == first:
            started = time.perf_counter()
    return (last - first) * loader.batch_size / (time.perf_counter() - started)


def write_photographs(root: Path, pairs: int, words: int, split: str = "train") -> float:
    """A split of `pairs` pairs over PHOTOGRAPHS files of 640 x 480, smooth colours with grain.

    Returns the mean size of a file in kilobytes: the grain brings it near that of COCO's photographs.
    """
    draw = np.random.default_rng(0)
    (root / split).mkdir()
    for place in range(PHOTOGRAPHS):
        smooth = Image.fromarray(draw.integers(0, 256, (6, 8, 3), dtype=np.uint8)).resize((640, 480))
        pixels = (np.asarray(smooth) + draw.normal(0.0, 12.0, (480, 640, 1))).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(root / split / f"{place}.jpg", quality=90)
    listed = []
    for place in range(max(pairs, PHOTOGRAPHS)):
        colors = islice(cycle(COLORS), place % len(COLORS), None)
        caption = islice(cycle(SENTENCE.format(*islice(colors, 4)).split()), words)
        listed.append([f"{place % PHOTOGRAPHS}.jpg", " ".join(caption)])
    (root / f"cap-img-pairs_{split}.json").write_text(json.dumps(listed))
    return sum(path.stat().st_size for path in (root / split).iterdir()) / PHOTOGRAPHS / 1000


def write_copies(root: Path, copies: Path) -> None:
    """The same training split with pictures whose shorter side has COPY_SIDE pixels."""
    (copies / "train").mkdir()
    for path in (root / "train").iterdir():
        with Image.open(path) as image:
            scale = COPY_SIDE / min(image.size)
            sides = tuple(round(side * scale) for side in image.size)
            image.resize(sides, Image.Resampling.LANCZOS).save(copies / "train" / path.name, quality=90)
    shutil.copy(root / "cap-img-pairs_train.json", copies)
