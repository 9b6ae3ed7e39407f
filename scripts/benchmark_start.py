"""Row `start` of scripts/benchmark.py: how long a training takes to its first step."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from scripts.benchmark_data import write_photographs
from scripts.benchmark_timing import Figures

ROOT = Path(__file__).resolve().parent.parent
CONFIG = "configs/small.yaml"
WORDS = 12
# run_colorization.py as it is; it tells when the log hears of the first step, which is finished then, and ends.
PROGRAM = """
import sys, time
import run_colorization
print("imported", flush=True)
from utils.errors import Interrupted
from utils.log import MetricLog
def told(*_, **__):
    print("step", flush=True)
    raise Interrupted("the first step is done")
MetricLog.update = told
sys.exit(run_colorization.run())
"""


def start_row(repeats: int, uncounted: int = 1) -> Figures:
    """Seconds from starting a fresh process on the CPU to its imports' end and to its first finished step.

    The small model and its config, not compiled. The first, which may read the files from a disk, is not counted.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        write_photographs(data, 0, WORDS)
        (data / "val").symlink_to(data / "train")
        (data / "cap-img-pairs_val.json").symlink_to(data / "cap-img-pairs_train.json")
        starts = [_start(data) for _ in range(uncounted + repeats)][uncounted:]
    return {
        "import_seconds": median(imported for imported, _ in starts),
        "first_step_seconds": median(step for _, step in starts),
    }


def _start(data: Path) -> tuple[float, float]:
    """Seconds until the imports are done, and until the first step is."""
    flags = ["--config", CONFIG, "--data_path", str(data), "--output_dir", str(data / "output"), "--device", "cpu"]
    command = [sys.executable, "-c", PROGRAM, *flags]
    seconds: dict[str, float] = {}
    with tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            for line in process.stdout:
                seconds[line.strip()] = time.perf_counter() - started
        errors.seek(0)
        if "step" not in seconds:
            raise RuntimeError(f"the training ended with {process.returncode} before its first step: {errors.read()}")
    return seconds["imported"], seconds["step"]
