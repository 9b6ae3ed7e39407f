"""Ranks of a run in processes of their own, forked from a server that has imported everything: what torchrun starts,
without a Python for each. tests/test_resume.py has one run under torchrun itself."""

import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).resolve().parent.parent
GRACE = 20.0  # seconds that the others have when one rank has failed, as under torchrun


def ranks(count: int, script: Path, words: list[str], timeout: float = 300.0) -> subprocess.CompletedProcess:
    """`script` with the words, as `count` processes of one group; returncode is 0 where all have ended well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(count)}
    server = _server()
    with tempfile.TemporaryDirectory() as folder:
        files = [(Path(folder, f"{rank}.out"), Path(folder, f"{rank}.err")) for rank in range(count)]
        started = [
            server.Process(target=_rank, args=(place, rank, script, words, files[rank])) for rank in range(count)
        ]
        for process in started:
            process.start()
        until = time.monotonic() + timeout
        while any(process.is_alive() for process in started) and time.monotonic() < until:
            if any(process.exitcode for process in started):
                until = min(until, time.monotonic() + GRACE)
            time.sleep(0.02)
        for process in started:
            process.kill()
            process.join()
        said = ["".join(path.read_text() for path in of_kind if path.exists()) for of_kind in zip(*files, strict=True)]
    return subprocess.CompletedProcess(words, max(abs(process.exitcode) for process in started), *said)


@cache
def _server() -> ForkServerContext:
    """Started once. It has a thread of PyTorch and the modules of a training from the beginning, and does nothing else:
    a process that has computed must not be forked."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["processes", "run_colorization"])
    path = os.pathsep.join((str(ROOT), str(ROOT / "tests")))
    with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}):
        forkserver.ensure_running()
    return server


def _rank(place: dict[str, str], rank: int, script: Path, words: list[str], files: tuple[Path, Path]) -> None:
    os.environ.update(place | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
    os.chdir(ROOT)
    for number, path in zip((1, 2), files, strict=True):
        with path.open("w") as file:
            os.dup2(file.fileno(), number)
    import torch

    torch.set_num_threads(1)
    sys.argv = [str(script), *words]
    runpy.run_path(str(script), run_name="__main__")
