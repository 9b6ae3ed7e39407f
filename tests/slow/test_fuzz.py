"""Checkpoints and lists that time, disks and people have changed: a clear error each, or a file that is still sound."""

import io
import json
import pickle
import random
import struct

import pytest
import torch
from conftest import ROOT

import run_colorization
from datasets.pair_list import read_pairs
from utils import checkpoint
from utils.errors import InputError

SMOKE = ["--config", str(ROOT / "configs" / "lcoins" / "smoke.yaml"), "--device", "cpu"]
SCENES = ["--data_set", "scenes", "--scenes", "4", "--eval_scenes", "2", "--epochs", "1", "--no-model_ema"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The bytes of a checkpoint and of a weights file."""
    folder = tmp_path_factory.mktemp("fuzz")
    assert run_colorization.run([*SMOKE, *SCENES, "--output_dir", str(folder)]) == 0
    last = folder / "checkpoint-last.pth"
    checkpoint.save_weights(folder / "weights.safetensors", checkpoint.read(str(last)))
    return {".pth": last.read_bytes(), ".safetensors": (folder / "weights.safetensors").read_bytes()}


def mutated(content: bytes, draw: random.Random) -> bytes:
    """One of: cut, a bit turned, a stretch zeroed, filled with noise, taken out, doubled; mostly near either end, where
    the directories of both formats are."""
    place = draw.choice((draw.randrange(len(content)), draw.randrange(4096), len(content) - 1 - draw.randrange(8192)))
    place, length = place % len(content), draw.choice((1, 16, 500))
    head, part, tail = content[:place], content[place : place + length], content[place + length :]
    return draw.choice(
        (
            lambda: head,
            lambda: head + bytes([part[0] ^ (1 << draw.randrange(8))]) + part[1:] + tail,
            lambda: head + bytes(len(part)) + tail,
            lambda: head + draw.randbytes(len(part)) + tail,
            lambda: head + tail,
            lambda: head + part + part + tail,
        )
    )()


def start_from(path) -> None:
    """What a run does with a checkpoint before anything is computed."""
    args = run_colorization.parse([*SMOKE, "--finetune", str(path), "--data_set", "scenes", "--test"])
    run_colorization.build_system(args, run_colorization.read_start(args))


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_mutated_checkpoints_are_sound_or_an_error(files, ending, tmp_path):
    path, refused = tmp_path / f"changed{ending}", 0
    for seed in range(70):
        path.write_bytes(mutated(files[ending], random.Random(seed)))
        try:
            start_from(path)
        except InputError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 20


WRONG = (None, 3, -1, 1e308, "text", "", [], {}, [1], {"a": 1}, torch.zeros(2), torch.zeros(0), True, "x" * 10**6)


def test_wrong_types_within_a_checkpoint_are_an_error(files, tmp_path):
    path = tmp_path / "changed.pth"
    draw = random.Random(0)
    for number in range(60):
        content = torch.load(io.BytesIO(files[".pth"]), weights_only=True)
        entry = draw.choice(("config", "tokenizer", "tensors", "ema", "format", "inside", "tensor"))
        value = draw.choice(WRONG)
        if entry == "inside":
            content["config"][draw.choice(list(content["config"]))] = value
        elif entry == "tensor":
            content["tensors"][draw.choice(list(content["tensors"]))] = value
        else:
            content[entry] = value
        torch.save(content, path)
        try:
            start_from(path)
        except InputError as error:
            assert str(path) in str(error), (number, entry, value)


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize("kind", ["torch", "bare pickle", "huge header"])
def test_hostile_files_run_nothing_and_end(tmp_path, kind):
    sign = tmp_path / "code was run"
    path = tmp_path / ("x.safetensors" if kind == "huge header" else "x.pth")
    if kind == "torch":
        torch.save({"format": 1, "model": Hostile(str(sign))}, path)
    elif kind == "bare pickle":
        path.write_bytes(pickle.dumps({"format": 1, "model": Hostile(str(sign))}))
    else:
        path.write_bytes(struct.pack("<Q", 2**62) + b"{}")
    with pytest.raises(InputError, match="not a readable checkpoint"):
        start_from(path)
    assert not sign.exists()


def test_mutated_lists_are_read_or_an_error(tmp_path):
    path = tmp_path / "cap-img-pairs_train.json"
    content = json.dumps([[f"{i}.jpg", "a red ball and a blué box"] for i in range(40)], ensure_ascii=False).encode()
    refused = 0
    for seed in range(80):
        path.write_bytes(mutated(content, random.Random(seed)))
        try:
            assert all(isinstance(part, str) for pair in read_pairs(tmp_path, "train") for part in pair)
        except InputError as error:
            assert str(path) in str(error)
            refused += 1
    assert refused > 20
