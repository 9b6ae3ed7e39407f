"""Captions, batches and steps that the tests of word-level systems share."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch

from datasets.batch import Batch, Collate, Sample
from datasets.words.color_phrases import propose
from models.system import System

VOCABULARY = ["[PAD]", "[UNK]", "a", "red", "car", "blue", "bus", "and", "green"]


@cache
def vocabulary_file() -> str:
    path = Path(tempfile.mkdtemp()) / "words.txt"
    path.write_text("\n".join(VOCABULARY))
    return str(path)


def batch_of(system: System, size: int, captions: list[str], labels: bool = False) -> Batch:
    """Pictures of noise with these captions, as a loader gives them, on the device."""
    rng = np.random.default_rng(5)
    samples = []
    for place, caption in enumerate(captions):
        rgb = torch.from_numpy(rng.integers(0, 256, (3, size, size), dtype=np.uint8))
        own = torch.from_numpy(rng.integers(0, 9, (size, size), dtype=np.uint8)) if labels else None
        samples.append(Sample(rgb, caption, None, f"{place}.png", place, correspondence=propose(caption), labels=own))
    encode = system.tokenizer.tokenizer.encode_batch if "correspondence" in system.inputs else None
    return Collate(system.tokenizer, encode=encode)(samples).to(torch.device("cpu"))


def moved(system: System, batch: Batch) -> tuple[dict[str, torch.Tensor], list[str]]:
    """The losses of a step of training, and the learning parameters that got no gradient or did not move."""
    system.train()
    before = {name: parameter.detach().clone() for name, parameter in system.named_parameters()}
    optimizer = torch.optim.Adam([p for p in system.parameters() if p.requires_grad], lr=0.01)
    for _ in range(2):  # what is zero at the start hides what is below it
        optimizer.zero_grad()
        (batch,) = system.begin_update([batch], torch.device("cpu"))
        losses = system(batch)
        losses["total"].backward()
        optimizer.step()
    learning = {name: p for name, p in system.named_parameters() if p.requires_grad}
    still = [name for name, p in learning.items() if p.grad is None or torch.equal(p, before[name])]
    return losses, still
