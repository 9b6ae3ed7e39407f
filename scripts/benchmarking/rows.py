"""The rows of docs/BENCHMARKS.md: each function measures one, and returns its figures."""

import argparse
import contextlib
import io
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from statistics import median

import torch
from torch.utils.data import DataLoader
from torchvision.models.vgg import cfgs, make_layers

from inference import Colorizer
from inference.photo import read_photo
from scripts.benchmarking import generated_data
from scripts.benchmarking.generated_data import gray_jpeg, write_copies, write_photographs
from scripts.benchmarking.system import Timed
from scripts.benchmarking.timing import (
    CORES,
    CPU,
    Figures,
    count_gflop,
    forget_largest_memory,
    largest_memory,
    matrix_product,
    ratio,
    threads,
    timed,
)
from utils import distributed

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT = 4000, 3000  # of the photograph
CAPTION = "a red ball on the left and a blue box on the right"
CONFIG = "configs/lcoins/small.yaml"  # of the start
PATIENCE = 600  # seconds for a training to start
FILL, TIMED = 2, 10  # batches per loader worker: until all are busy, and then on the clock
TESTED = {"cpu": 32, "cuda": 2400}  # images of a test: the paper's has 2,386 (docs/DATA.md), too many for a CPU
PROCESSES = (1, 2, 4, 8)


# ---- of no one system


def photo_row(repeats: int) -> Figures:
    """From JPEG bytes to coloured pixels, with the repository's checkpoint, on the CPU.

    first: read, encoded and coloured; second: another caption for the photograph that is encoded already; rest: what
    the first takes more than a photograph of 64 x 64 pixels, which is nearly the network alone. Memory is what
    colouring takes beside the photograph's own pixels.
    """
    colorizer = Colorizer.from_checkpoint(device="cpu")
    jpeg, small = gray_jpeg(WIDTH, HEIGHT), gray_jpeg(64, 64)

    def first(file: bytes) -> None:
        colorizer.colorize(colorizer.encode(read_photo(io.BytesIO(file))), [CAPTION])

    encoded = colorizer.encode(read_photo(io.BytesIO(jpeg)))
    forget_largest_memory()
    before = largest_memory(CPU)
    colorizer.colorize(encoded, [CAPTION])
    memory = largest_memory(CPU) - before
    calls = {"first": lambda: first(jpeg), "small": lambda: first(small)}
    seconds = timed(calls | {"second": lambda: colorizer.colorize(encoded, [CAPTION])}, repeats, CPU)
    return {
        "megapixels": WIDTH * HEIGHT / 1e6,
        "first_seconds": median(seconds["first"]),
        "rest_seconds": median(a - b for a, b in zip(seconds["first"], seconds["small"], strict=True)),
        "second_of_first": ratio(seconds["second"], seconds["first"]),
        "memory_mb": memory / 1e6,
    }


def start_row(repeats: int, uncounted: int = 1) -> Figures:
    """Seconds of a fresh process on the CPU until its imports are done, and until the first step is done and saved.

    The small model and its config, not compiled. The first start, which may read from a disk, is not counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        for split in ("train", "val"):
            write_photographs(Path(folder), 0, 12, split)
        starts = [_start(Path(folder), f"output{i}") for i in range(uncounted + repeats)][uncounted:]
    imports, steps = zip(*starts, strict=True)
    return {"import_seconds": median(imports), "first_step_seconds": median(steps)}


def _start(data: Path, output: str) -> tuple[float, float]:
    """Of a training that is ended after its first checkpoint."""
    flags = ["--config", CONFIG, "--data_path", data, "--output_dir", data / output, "--device", "cpu"]
    program = "import sys, run_colorization; print(flush=True); sys.exit(run_colorization.run())"
    command = [sys.executable, "-c", program, *map(str, flags), "--save_every", "1"]
    started = time.perf_counter()
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        process.stdout.readline()
        imported = time.perf_counter() - started
        while not (data / output / "checkpoint-last.pth").exists():
            if process.poll() is not None or time.perf_counter() - started > PATIENCE:
                process.kill()
                errors.seek(0)
                raise RuntimeError(f"no first step of {CONFIG}, status {process.poll()}: {errors.read()}")
            time.sleep(0.005)
        saved = time.perf_counter() - started
        process.terminate()
    return imported, saved


# ---- of a system


def memory_row(name: str, args: argparse.Namespace, device: torch.device, data: Path) -> Figures:
    """Largest memory of a fresh process after two training steps, and before them (weights; on a CPU libraries too).

    Two, because only the second runs forward and backward beside the optimizer's state.
    """
    with multiprocessing.get_context("spawn").Pool(1) as fresh:
        return fresh.apply(_memory, (name, args, device, data))


def _memory(name: str, args: argparse.Namespace, device: torch.device, data: Path) -> Figures:
    torch.set_num_threads(args.threads)
    system = Timed(name, args, device, data)
    before = largest_memory(device)
    system.train(2)
    return {"peak_gb": largest_memory(device) / 1e9, "before_training_gb": before / 1e9}


def forward_row(system: Timed, repeats: int) -> Figures:
    return _rate_and_share(system, system.colorize, repeats)


def training_row(system: Timed, repeats: int) -> Figures:
    return _rate_and_share(system, system.train, repeats)


def _rate_and_share(system: Timed, work: Callable[[int], None], repeats: int) -> Figures:
    """`work` takes the number of steps. Share: operations per second over those of matrix products in the same turn."""
    gflop = count_gflop(lambda: work(1))
    matrix, matrix_gflop = matrix_product(system.flags.amp, system.device)
    seconds = timed({"own": lambda: work(system.steps), "matrix": matrix}, repeats, system.device)
    return {
        "images_per_second": distributed.world_size() * system.images / median(seconds["own"]),
        "gflop_per_image": gflop / len(system.batch.names),
        "share_of_matrix_rate": system.steps * gflop / matrix_gflop * ratio(seconds["matrix"], seconds["own"]),
    }


def evaluation_row(system: Timed, repeats: int) -> Figures:
    """An evaluation without LPIPS; rest_share: what the network alone, in the same turn, does not take of its time."""
    calls = {"all": lambda: system.evaluate(system.steps), "network": lambda: system.colorize(system.steps)}
    seconds = timed(calls, repeats, system.device)
    rest = 1 - ratio(seconds["network"], seconds["all"])
    return {"images_per_second": system.images / median(seconds["all"]), "rest_share": rest}


def test_row(system: Timed, words: int, repeats: int) -> Figures:
    """A whole --test once the network is on the device; the first, which warms up, is counted too.

    LPIPS is VGG16 with random weights: the same work as with ImageNet's.
    """
    images = TESTED[system.device.type]
    with tempfile.TemporaryDirectory() as folder:
        data, weights, seconds = Path(folder), Path(folder) / "vgg16.pth", []
        write_photographs(data, images, words, "test")
        torch.save(make_layers(cfgs["D"]).state_dict(prefix="features."), weights)
        for _ in range(repeats):
            started = time.perf_counter()
            system.test(data, weights, CORES)
            seconds.append(time.perf_counter() - started)
    figures = {"images": images, "first_seconds": seconds[0], "seconds": median(seconds)}
    return figures | {"images_per_second": images / median(seconds)}


def loader_row(system: Timed, kilobytes: float, consumed: float | None, repeats: int) -> Figures:
    """The training loader with one worker process and with one for each core; then one core without workers, from the
    files and from copies. kilobytes: of a file; consumed: images/s of a training step."""
    figures = {"jpeg_kilobytes": kilobytes}
    for name, workers in (("one_worker", 1), ("all_cores", CORES)):
        rate = median(_loader_rate(system.loader(system.data, workers)) for _ in range(repeats))
        figures[f"{name}_images_per_second"] = rate
        if consumed is not None:
            figures[f"{name}_times_the_step"] = rate / consumed
    with tempfile.TemporaryDirectory() as copies, threads(1):
        write_copies(system.data, Path(copies))
        sources = {"files": system.loader(system.data, 0), "copies": system.loader(Path(copies), 0)}
        seconds = timed({name: lambda own=own: _read(own) for name, own in sources.items()}, repeats, CPU)
    images = generated_data.PHOTOGRAPHS
    return figures | {f"{name}_one_core_images_per_second": images / median(own) for name, own in seconds.items()}


def _loader_rate(loader: DataLoader) -> float:
    """Samples/s while all workers are busy: the clock starts and stops in mid-stream."""
    first, last = FILL * loader.num_workers, (FILL + TIMED) * loader.num_workers
    for place, _ in enumerate(islice(loader, last), start=1):
        if place == first:
            started = time.perf_counter()
    return (last - first) * loader.batch_size / (time.perf_counter() - started)


def _read(loader: DataLoader) -> None:
    """Every photograph once, in batches."""
    for start in range(0, generated_data.PHOTOGRAPHS, loader.batch_size):
        indices = range(start, min(start + loader.batch_size, generated_data.PHOTOGRAPHS))
        loader.collate_fn([loader.dataset[index] for index in indices])


def processes_row(name: str, args: argparse.Namespace, device: torch.device) -> Figures:
    """Images/s of a training step where 1, 2, 4 and 8 processes share one batch, and the cores or a GPU each."""
    most = min(args.batch_size, torch.cuda.device_count() if device.type == "cuda" else CORES)
    counts = [count for count in PROCESSES if count <= most]
    return {f"{count}_processes_images_per_second": _images_per_second(count, name, args, device) for count in counts}


def _images_per_second(count: int, name: str, args: argparse.Namespace, device: torch.device) -> float:
    """By scripts/benchmark.py under torchrun."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "report.json"
        shared = {"batch_size": args.batch_size // count, "threads": max(1, args.threads // count)}
        given = {"amp": args.amp, "words": args.words, "repeats": args.repeats, "input_size": args.input_size}
        given |= shared | {"device": device.type, "model": name, "rows": "training", "output": output}
        words = [word for flag, value in given.items() if value is not None for word in (f"--{flag}", str(value))]
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={count}", "scripts/benchmark.py"]
        command = [sys.executable, *torchrun, *words, *["--compile"] * args.compile]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        with contextlib.suppress(FileNotFoundError):
            return json.loads(output.read_text())["models"][name]["training"]["images_per_second"]
    raise RuntimeError(f"{count} processes: {done.stderr[-2000:]}")
