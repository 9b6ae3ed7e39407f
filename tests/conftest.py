"""Small pictures, captions and networks that the tests share."""

import json
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


@pytest.fixture(autouse=True, scope="session")
def _two_threads_for_fixtures():
    torch.set_num_threads(2)  # sums, and so the last bits, hang on it


@pytest.fixture(autouse=True)
def _two_threads(_two_threads_for_fixtures):
    torch.set_num_threads(2)  # a test may have changed it


@pytest.fixture
def no_hang():
    """A regular expression that goes back and forth for minutes ends the tests' process."""
    signal.alarm(120)
    yield
    signal.alarm(0)


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
