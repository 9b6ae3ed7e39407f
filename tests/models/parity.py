"""Fixtures of the original programs: inputs, outputs, and the rule by which their weights are filled.

They lie in the folder $PARITY, or beside the clone. Other fixtures of the same form may be put there.
"""

import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SHARED
from torch import Tensor

FOLDER = Path(os.environ.get("PARITY", SHARED / "reference" / "systems" / "parity"))
KEYS = SHARED / "reference" / "systems"


def fixture(name: str) -> dict[str, Tensor]:
    """The arrays of FOLDER/name.npz, floating ones float32. Skips where it is not there."""
    path = FOLDER / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"needs {path.name}, in the folder $PARITY or shared/ beside this clone")
    arrays = {key: torch.from_numpy(np.asarray(value)) for key, value in np.load(path).items()}
    return {key: value.float() if value.is_floating_point() else value for key, value in arrays.items()}


def keys(name: str) -> dict[str, list[int]]:
    """Names and shapes of a public checkpoint: a key list of shared/. Skips where it is not there."""
    path = KEYS / f"keys_{name}.json"
    if not path.is_file():
        pytest.skip("needs shared/reference/systems, which is not beside this clone")
    return json.loads(path.read_text())


def filled(shapes: dict[str, list[int]], gain: float, prefix: str = "") -> dict[str, Tensor]:
    """A state dict by the rule; prefix: of the names, for the draw alone."""
    return {name: _filled(prefix + name, tuple(shape), gain) for name, shape in shapes.items()}


def _filled(name: str, shape: tuple[int, ...], gain: float) -> Tensor:
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    w = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(int(np.prod(shape)))
    w = w.astype(np.float32).astype(np.float64).reshape(shape)
    if name.endswith("running_var"):
        w = 1 + 0.1 * np.abs(w)
    elif name.endswith("running_mean"):
        w = 0.05 * w
    elif name.endswith("weight") and len(shape) == 1:
        w = 1 + 0.05 * w
    elif len(shape) >= 2 and ("embed" in name or "token" in name):
        w = 0.05 * w
    elif len(shape) >= 2:
        w = gain * w / np.sqrt(np.prod(shape[1:]))
    else:
        w = 0.02 * w
    return torch.from_numpy(np.asarray(w, dtype=np.float32))
