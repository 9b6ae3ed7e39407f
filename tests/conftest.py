"""Small pictures, captions and networks that the tests share."""

import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from left_out import pytest_make_collect_report, pytest_runtest_makereport, pytest_terminal_summary  # noqa: F401  hooks
from PIL import Image

from utils import log

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"  # what is too large for a clone, or not ours to give away
sys.path.insert(0, str(ROOT))


def needs_shared(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not (SHARED / name).exists(), reason=f"needs shared/{name}, which is not beside this clone"
    )


@pytest.fixture(autouse=True, scope="session")
def _two_threads_for_fixtures():
    torch.set_num_threads(2)  # sums, and so the last bits, hang on it


@pytest.fixture(autouse=True)
def _two_threads(_two_threads_for_fixtures):
    torch.set_num_threads(2)  # a test may have changed it


@pytest.fixture(autouse=True)
def _logging_as_it_was():
    """A run of the command line turns messages on for the whole process; they must not reach later tests, nor those of
    a fixture that ran it."""
    _turn_messages_off()
    yield
    _turn_messages_off()


def _turn_messages_off() -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if not isinstance(handler, log.AboveBars)]
    root.setLevel(logging.WARNING)


def assert_linear(work: Callable[[str], Any], piece: str, ending: str = "", size: int = 4_000) -> None:
    """Hold the time of `work` on 16,000 characters against that on 4,000: 4 where it is linear, 16 where it is the
    square. The text is `piece` over and over, then `ending`."""
    texts = [piece * (length // len(piece)) + ending for length in (size, 4 * size)]
    short, long = (min(_seconds(work, text) for _ in range(3)) for text in texts)
    assert long < 8 * short + 0.005, f"{piece!r}: {short:.3f} s, four times as much {long:.3f} s"


def _seconds(work: Callable[[str], Any], text: str) -> float:
    start = time.thread_time()
    work(text)
    return time.thread_time() - start


CAPTIONS = ("a red ball on the left", "two dogs run", "a blue box and a green cup", "a yellow star over black sand")


def write_data(root: Path, counts: dict[str, int], side: int = 40) -> Path:
    """A data folder in the on-disk layout: `counts` pairs per split, pictures of smooth random colours."""
    rng = np.random.default_rng(0)
    for split, count in counts.items():
        (root / split).mkdir(parents=True)
        pairs = []
        for i in range(count):
            coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8))
            coarse.resize((side + i, side), Image.Resampling.BICUBIC).save(root / split / f"{i}.jpg", quality=90)
            pairs.append([f"{i}.jpg", CAPTIONS[i % len(CAPTIONS)]])
        (root / f"cap-img-pairs_{split}.json").write_text(json.dumps(pairs))
    return root


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_data(tmp_path / "data", {"train": 8, "val": 5, "test": 5})
