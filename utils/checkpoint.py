"""Checkpoints: save, read, resume.

A checkpoint is plain data and tensors, so that it loads with `weights_only=True`:
  format        FORMAT
  system, config, stage    what rebuilds the system: its name in `models.MODELS`, its numbers, its stage of training
  tokenizer     the caption tokenizer as JSON, so that testing needs no hub; None where captions are not read
  tensors       the system's; ema: their moving average, or None
  optimizer (whole, however it is shared), scaler, step, epoch, seen, best, rng (one entry per rank), log, run (the
  resolved flags)

A weights file (.safetensors), for use and not for resuming, holds the averaged tensors, in fp16 if nothing else is
asked for, and the rest of the first four lines as its metadata. Files of format 1 (L-CoIns alone) are read as well.
"""

import argparse
import contextlib
import json
import logging
import os
import re
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from utils import distributed, files
from utils.errors import InputError, reason

logger = logging.getLogger(__name__)
FORMAT = 2
WEIGHTS = "model.safetensors"  # the weights file in a folder, under the hub's name for it
WRAPPERS = ("module.", "_orig_mod.")  # before names of tensors: DistributedDataParallel's, torch.compile's
ENDINGS = (".pth", ".pt", ".safetensors", ".onnx")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
HEAD = ("format", "system", "config", "stage", "tokenizer")


def save(path: Path, content: dict[str, Any]) -> None:
    """Atomic. Rank 0 writes; every rank waits for it, so that a full disk ends all of them alike."""
    distributed.on_main(lambda: files.replace(path, lambda part: torch.save(content, part)))


def save_weights(path: Path, content: dict[str, Any], dtype: torch.dtype = torch.float16) -> None:
    """The weights file of a checkpoint's `content`: its moving average where it has one, else its trained weights."""
    weights = averaged(content)
    tensors = {
        name: tensor.to("cpu", dtype if tensor.is_floating_point() else tensor.dtype).contiguous()  # counts stay whole
        for name, tensor in weights.items()
    }
    broken = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if broken:
        raise InputError(f"{broken[0]} is not finite in {dtype}; pass --dtype float32, or another checkpoint")

    def write(part: Path) -> None:
        part.touch()
        usual = part.stat().st_mode
        save_file(tensors, part, metadata(content))
        part.chmod(usual)  # safetensors lets nobody but its owner read it

    files.replace(path, write)


def averaged(content: dict[str, Any]) -> dict[str, Tensor]:
    """The moving average where there is one, else the trained weights."""
    return content["tensors"] if content.get("ema") is None else content["ema"]


def metadata(content: dict[str, Any]) -> dict[str, str]:
    """What rebuilds the system, and its tokenizer, as the metadata of a file that is no checkpoint."""
    return {"head": json.dumps({part: content[part] for part in HEAD})}


def head_of(held: dict[str, str]) -> dict[str, Any] | None:
    """The inverse, of files of format 1 as well; None where the file is not ours."""
    if "head" in held:
        return json.loads(held["head"])
    if "architecture" in held:
        architecture = json.loads(held["architecture"])
        return {"format": int(held["format"]), "architecture": architecture, "tokenizer": held["tokenizer"]}
    return None


def is_weights_file(path: Path) -> bool:
    """Whether `path` is a weights file of ours, told by its header."""
    try:
        with safe_open(path, framework="pt") as file:
            return head_of(file.metadata() or {}) is not None
    except (OSError, SafetensorError, ValueError):
        return False


def locate(source: str, **fetch: Any) -> str:
    """The weights file that `source` names: itself, a folder's WEIGHTS, or that of a repository on the Hugging Face hub
    ("owner/name"), fetched into its cache. fetch: of `hf_hub_download`, such as `revision`. Raises InputError where
    there is none."""
    if os.path.isdir(source):
        return source if _parts(source) else os.path.join(source, WEIGHTS)
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
    return check_format(path, load(path))


def load(path: str) -> Any:
    """What a .pth or .safetensors file holds, ours or not, on the CPU; of a folder of such files that no run of ours
    wrote, what each holds, by name. No code in it is ever run.

    Tensors are memory-mapped: the file takes its room on the disk, deleted or not, as long as one is referred to.
    """
    if parts := _parts(path):
        return {part.name: load(str(part)) for part in parts}
    if not os.path.isfile(path):
        what = "a folder, not a file" if os.path.isdir(path) else "no such checkpoint"
        raise InputError(f"{path}: {what}; pass the path of a checkpoint-best.pth or checkpoint-last.pth")
    try:
        content = _read_weights(path) if path.endswith(".safetensors") else _read_checkpoint(path)
    except Exception as error:  # whatever torch, pickle, zip and safetensors make of a damaged file
        raise InputError(f"{path}: not a readable checkpoint ({_damage(path, error)}") from error
    return _without_wrappers(path, content)


def _parts(path: str) -> list[Path]:
    """The .pth files of a folder that are no checkpoints of a run: some authors gave several."""
    if not os.path.isdir(path):
        return []
    return [part for part in sorted(Path(path).glob("*.pth")) if not part.name.startswith("checkpoint-")]


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
    parts = [part for part in ("tensors", "model", "ema") if isinstance(content.get(part), dict)]
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


def system_in(path: str) -> str | None:
    """The system that a checkpoint or weights file of ours names, read from its head; None for any other file."""
    try:
        if path.endswith(".safetensors"):
            with safe_open(path, framework="pt") as file:
                content = head_of(file.metadata() or {})
        else:
            content = _read_checkpoint(path)
        return content["system"] if content["format"] == FORMAT else content["architecture"]["model"]
    except Exception:  # `load` says what is wrong with it
        return None


def check_format(path: str, content: Any) -> dict[str, Any]:
    """`content` in the present format. Raises InputError unless it has the parts of a checkpoint of ours, each of its
    kind."""
    version = content.get("format") if isinstance(content, dict) else None
    if type(version) is not int or version not in (1, FORMAT):
        newer = type(version) is int and version > FORMAT
        raise InputError(
            f"{path}: written by a newer version of this program; update it"
            if newer
            else f"{path}: not a checkpoint of this program; pass one that run_colorization.py wrote"
        )
    if version == 1:
        content = _from_format_1(path, content)
    kinds = {"system": str, "config": dict, "tokenizer": str | None, "tensors": dict, "ema": dict | None}
    wrong = [part for part, kind in kinds.items() if not isinstance(content.get(part), kind)]
    for part in ("tensors", "ema"):
        tensors = content.get(part)
        if isinstance(tensors, dict) and not all(isinstance(t, Tensor) for t in tensors.values()):
            wrong.append(part)
    if wrong:
        raise InputError(f"{path}: its {wrong[0]} is damaged; restore the file")
    return content


def _from_format_1(path: str, content: dict[str, Any]) -> dict[str, Any]:
    """L-CoIns alone: its tensors had the network's names, and the numbers were called its architecture."""
    architecture = content.get("architecture")
    try:
        config = dict(architecture)
        system, config["text_config"] = config.pop("model"), json.loads(config["text_config"])
        whole = ("group_tokens", "grouping_attention", "counter_color", "img_size", "text_config")
        config = {name: config[name] for name in whole if config[name] is not True}  # as all are by default
    except KeyError as error:
        raise InputError(f"{path}: its architecture lacks {error.args[0]}; restore the file") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: its architecture is damaged; restore the file") from error
    rest = {part: value for part, value in content.items() if part not in ("architecture", "model", "ema")}
    tensors = {
        part: {f"network.{name}": tensor for name, tensor in weights.items()} if isinstance(weights, dict) else weights
        for part, weights in (("tensors", content.get("model")), ("ema", content.get("ema")))
    }
    return rest | tensors | {"format": FORMAT, "system": system, "config": config, "stage": None}


def _read_checkpoint(path: str) -> Any:
    with torch.serialization.safe_globals([argparse.Namespace]):  # the authors' files hold their flags in one
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)  # read as needed, by each rank


def _read_weights(path: str) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        head = head_of(file.metadata() or {})
    tensors = load_file(path)
    if head is None:
        return tensors  # not ours
    return head | {"model" if head["format"] == 1 else "tensors": tensors, "ema": None}
