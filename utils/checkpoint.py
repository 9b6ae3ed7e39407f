"""Checkpoints of ours: save, read, resume.

A checkpoint is plain data and tensors, so that it loads with `weights_only=True`:
  format        FORMAT
  architecture  what rebuilds the network: model, img_size, ablations, the text encoder's configuration as JSON
  tokenizer     the caption tokenizer as JSON, so that testing needs no hub
  model         the network's tensors; ema: their moving average, or None
  optimizer (whole, however it is shared), scaler, step, epoch, best, rng (one entry per rank), run (the resolved flags)

A weights file (.safetensors), for use and not for resuming, holds the averaged network, in fp16 if nothing else is
asked for, and format, architecture and tokenizer as its metadata.
"""

import argparse
import contextlib
import json
import logging
import os
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn

from utils import distributed, files
from utils.errors import InputError, reason

logger = logging.getLogger(__name__)
FORMAT = 1
WEIGHTS = "model.safetensors"  # the weights file in a folder, under the hub's name for it
WRAPPERS = ("module.", "_orig_mod.")  # before names of tensors: DistributedDataParallel's, torch.compile's
ENDINGS = (".pth", ".pt", ".safetensors", ".onnx")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
POSITIONS = "image_encoder.vit.pos_embed"


def save(path: Path, content: dict[str, Any]) -> None:
    """Atomic. Rank 0 writes; every rank waits for it, so that a full disk ends all of them alike."""
    distributed.on_main(lambda: files.replace(path, lambda part: torch.save(content, part)))


def save_weights(path: Path, content: dict[str, Any], dtype: torch.dtype = torch.float16) -> None:
    """The weights file of a checkpoint's `content`: its moving average where it has one, else its trained weights."""
    weights = content["model"] if content["ema"] is None else content["ema"]
    tensors = {name: tensor.to("cpu", dtype).contiguous() for name, tensor in weights.items()}
    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        raise InputError(f"{broken[0]} is not finite in {dtype}; pass --dtype float32, or another checkpoint")

    def write(part: Path) -> None:
        part.touch()
        usual = part.stat().st_mode
        save_file(tensors, part, metadata(content))
        part.chmod(usual)  # safetensors lets nobody but its owner read it

    files.replace(path, write)


def metadata(content: dict[str, Any]) -> dict[str, str]:
    """What rebuilds the network, and its tokenizer, as the metadata of a file that is no checkpoint."""
    return {
        "format": str(content["format"]),
        "architecture": json.dumps(content["architecture"]),
        "tokenizer": content["tokenizer"],
    }


def is_weights_file(path: Path) -> bool:
    """Whether `path` is a weights file of ours, told by its header."""
    try:
        with safe_open(path, framework="pt") as file:
            return "architecture" in (file.metadata() or {})
    except (OSError, SafetensorError):
        return False


def locate(source: str, **fetch: Any) -> str:
    """The weights file that `source` names: itself, a folder's WEIGHTS, or that of a repository on the Hugging Face hub
    ("owner/name"), fetched into its cache. fetch: of `hf_hub_download`, such as `revision`. Raises InputError where
    there is none."""
    if os.path.isdir(source):
        return os.path.join(source, WEIGHTS)
    if os.path.exists(source) or not _HUB_NAME.fullmatch(source) or source.endswith(ENDINGS):
        return source  # `load` says what is wrong with it
    try:
        return hf_hub_download(source, WEIGHTS, **fetch)
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise InputError(
            f"{source}: neither a file nor a folder here, nor a repository of the hub that could be fetched"
            f" ({reason(error)}); pass the path of a checkpoint, or check the name and the connection"
        ) from error


def read(path: str) -> dict[str, Any]:
    """The content of a checkpoint or weights file of ours, on the CPU. Raises InputError for any other file."""
    content = load(path)
    check_format(path, content)
    return content


def load(path: str) -> Any:
    """What a .pth or .safetensors file holds, ours or not, on the CPU. No code in it is ever run.

    Tensors are memory-mapped: the file takes its room on the disk, deleted or not, as long as one is referred to.
    """
    if not os.path.isfile(path):
        what = "a folder, not a file" if os.path.isdir(path) else "no such checkpoint"
        raise InputError(f"{path}: {what}; pass the path of a checkpoint-best.pth or checkpoint-last.pth")
    try:
        content = _read_weights(path) if path.endswith(".safetensors") else _read_checkpoint(path)
    except Exception as error:  # whatever torch, pickle, zip and safetensors make of a damaged file
        raise InputError(f"{path}: not a readable checkpoint ({_damage(path, error)}") from error
    return _without_wrappers(path, content)


def _damage(path: str, error: Exception) -> str:
    """What is wrong with an unreadable file, and the remedy."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        head = file.read(200).lstrip().lower()
        if os.path.getsize(path) == 0:
            return "it is empty, 0 bytes); restore it"
        if head.startswith(b"version https://git-lfs"):
            return "it is a pointer of git-lfs, not the file itself); fetch it with: git lfs pull"
        if head.startswith((b"<!doctype", b"<html", b"<?xml")):
            return "it is a web page); download the file itself, not the page about it"
    return f"{reason(error)}); it may be truncated: restore it"


def _without_wrappers(path: str, content: Any) -> Any:
    """Without what DistributedDataParallel and torch.compile put before the names of the tensors."""
    if not isinstance(content, dict):
        return content
    parts = [part for part in ("model", "ema") if isinstance(content.get(part), dict)]
    found = {}
    for part in parts:
        content[part], found[part] = unwrap(content[part])
    if not parts:
        content, found["all"] = unwrap(content)
    for prefix in sorted(set(found.values()) - {""}):
        logger.info("%s: the names of its tensors begin with %r, which is left out", path, prefix)
    return content


def unwrap(weights: dict[Any, Any]) -> tuple[dict[Any, Any], str]:
    """Named tensors without the wrappers' prefix that all of them have, and that prefix ("" where there is none)."""
    found = ""
    while prefix := next((p for p in WRAPPERS if weights and all(str(n).startswith(p) for n in weights)), None):
        found += prefix
        weights = {str(name).removeprefix(prefix): tensor for name, tensor in weights.items()}
    return weights, found


def check_format(path: str, content: Any) -> None:
    """Raises InputError unless `content` has the parts of a checkpoint of ours, each of its kind."""
    if not isinstance(content, dict) or type(content.get("format")) is not int or content["format"] != FORMAT:
        raise InputError(f"{path}: not a checkpoint of this program; pass one that run_colorization.py wrote")
    kinds = {"architecture": dict, "tokenizer": str, "model": dict, "ema": dict | None}
    wrong = [part for part, kind in kinds.items() if not isinstance(content.get(part), kind)]
    for part in ("model", "ema"):
        tensors = content.get(part)
        if isinstance(tensors, dict) and not all(isinstance(t, Tensor) for t in tensors.values()):
            wrong.append(part)
    if wrong:
        raise InputError(f"{path}: its {wrong[0]} is damaged; restore the file")


def _read_checkpoint(path: str) -> Any:
    with torch.serialization.safe_globals([argparse.Namespace]):  # the authors' files hold their flags in one
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)  # read as needed, by each rank


def _read_weights(path: str) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
    tensors = load_file(path)
    if "architecture" not in metadata:
        return tensors  # not ours
    return {
        "format": int(metadata["format"]),
        "architecture": json.loads(metadata["architecture"]),
        "tokenizer": metadata["tokenizer"],
        "model": tensors,
        "ema": None,
    }


def check_architecture(path: str, content: dict[str, Any], wanted: dict[str, Any]) -> None:
    """The flags must ask for the network that the checkpoint holds. `wanted`: flag -> value. Raises InputError.

    The image side may differ: positions are resampled.
    """
    held = content["architecture"]
    different = [
        f"--{flag} {value} (the checkpoint: {held[flag]})" for flag, value in wanted.items() if held[flag] != value
    ]
    if different:
        raise InputError(f"{path}: holds another architecture than {', '.join(different)}; pass the checkpoint's")


def load_network(network: nn.Module, path: str, content: dict[str, Any], averaged: bool) -> list[str]:
    """Fill every tensor of `network`, or raise InputError; returns what was adapted, in words.

    averaged: take the moving average where the checkpoint has one (testing, fine-tuning), else the trained weights.
    """
    weights = content["ema"] if averaged and content["ema"] is not None else content["model"]
    notes = [f"{len(weights)} tensors from {path}" + (" (moving average)" if weights is content["ema"] else "")]
    own = network.state_dict()
    if POSITIONS in weights and POSITIONS in own and weights[POSITIONS].shape != own[POSITIONS].shape:
        weights = weights | {POSITIONS: resample_positions(weights[POSITIONS], own[POSITIONS].shape[1])}
        notes.append(f"its {POSITIONS} were resampled to {own[POSITIONS].shape[1]} image tokens")
    load_fully(network, weights, path)
    return notes


def load_fully(module: nn.Module, weights: dict[str, Tensor], origin: str) -> None:
    """`load_state_dict`, strictly, with an error that names the first missing, unknown or misshapen tensor."""
    own = module.state_dict()
    missing, unknown = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    shapes = [n for n in own if n in weights and own[n].shape != weights[n].shape]
    problems = [
        *(f"{len(missing)} missing (first: {name})" for name in missing[:1]),
        *(f"{len(unknown)} unknown (first: {name})" for name in unknown[:1]),
        *(f"{name} is {tuple(weights[name].shape)}, not {tuple(own[name].shape)}" for name in shapes[:1]),
    ]
    if problems:
        raise InputError(f"{origin}: does not fit this network: {'; '.join(problems)}; pass weights of the same sizes")
    module.load_state_dict(weights, strict=True)


def resample_positions(positions: Tensor, tokens: int) -> Tensor:
    """(1, N, C) position codes on a square grid -> (1, tokens, C), bicubic."""
    side = round(tokens**0.5)
    return resample_abs_pos_embed(positions, [side, side], num_prefix_tokens=0)


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
