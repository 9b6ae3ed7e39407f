"""Random streams: seeds derived from --seed, one for each purpose, epoch and process, and the generators' states."""

import random
from typing import Any

import numpy as np
import torch

WEIGHTS, NOISE, ORDER, WORKERS, SAMPLING = range(5)  # purposes


def derive(seed: int, purpose: int, *parts: int) -> int:
    """64 bits. Sums would not do: seed 0's epoch 1 would be seed 1's epoch 0."""
    return int(np.random.SeedSequence(seed, spawn_key=(purpose, *parts)).generate_state(1, np.uint64)[0])


def seed_all(seed: int) -> None:
    """Every global random generator of this process, those of its GPUs included."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def rng_states() -> dict[str, Any]:
    """The state of every global random generator of this rank, as plain data and tensors."""
    numpy_state = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (numpy_state[0], torch.from_numpy(numpy_state[1].astype(np.int64)), *numpy_state[2:]),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def set_rng_states(state: dict[str, Any]) -> None:
    random.setstate((state["python"][0], tuple(state["python"][1]), state["python"][2]))
    name, keys, *rest = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
