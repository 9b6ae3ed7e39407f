"""Seeds derived from --seed, one for each purpose, epoch and process: no two of them, nor two runs, share a stream."""

import random

import numpy as np
import torch

WEIGHTS, NOISE, ORDER, WORKERS = range(4)  # purposes


def derive(seed: int, purpose: int, *parts: int) -> int:
    """64 bits. Sums would not do: seed 0's epoch 1 would be seed 1's epoch 0."""
    return int(np.random.SeedSequence(seed, spawn_key=(purpose, *parts)).generate_state(1, np.uint64)[0])


def seed_all(seed: int) -> None:
    """Every global random generator of this process, those of its GPUs included."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
