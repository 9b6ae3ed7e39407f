"""The authors' checkpoint file: what of it is the network's (models/lcoins/release.py), what is left over or wrong."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from models.lcoins.config import RELEASE, ReleaseConfig
from models.lcoins.release import released
from utils.errors import InputError

# What a checkpoint in the wild may hold beside the network's tensors, and beside the network.
_KNOWN_TENSORS = ("proj_img.", "proj_txt.", "text_encoder.bert_model.embeddings.position_ids")
_KNOWN_ENTRIES = ("args", "epoch", "model_ema", "optimizer", "scaler")


def is_release(content: Any) -> bool:
    """Whether a loaded file is the authors': told by names, bare or under "model", with "module." or without.

    A checkpoint of ours that holds this architecture is not (it has a "format").
    """
    if not isinstance(content, dict) or "format" in content:
        return False
    names = [str(name).removeprefix("module.") for name in _tensors(content)]
    another = any(name.startswith("decoder.biafine.") for name in names)  # L-CoDer's has such blocks too
    return not another and any(name.startswith("decoder.blocks_poc.") for name in names)


def read(content: dict[str, Any], config: ReleaseConfig) -> tuple[dict[str, Tensor], list[str]]:
    """What the authors' file holds -> the 579 tensors of `released`, and what else it held, in words.

    Position codes are as in the file, whatever `config.img_size`. Raises InputError that names the first missing,
    unknown or misshapen tensor.
    """
    held, notes = _tensors(content), []
    if held is not content:
        notes += _not_needed(content.keys() - {"model"}, _KNOWN_ENTRIES)
    weights = {str(name).removeprefix("module."): tensor for name, tensor in held.items()}
    with torch.device("meta"):
        whole = released(dataclasses.replace(config, img_size=RELEASE.img_size))
        own = {name: tensor.shape for name, tensor in whole.state_dict().items()}
    notes += _not_needed(weights.keys() - own.keys(), _KNOWN_TENSORS)
    for name, shape in own.items():
        if name not in weights:
            raise InputError(f"the release's {name} is missing; the file is not whole: fetch it again")
        found = tuple(weights[name].shape) if isinstance(weights[name], Tensor) else type(weights[name]).__name__
        if found != shape:
            raise InputError(f"the release's {name} is {found}, not {tuple(shape)}; pass the authors' own file")
    return {name: weights[name] for name in own}, notes


def _tensors(content: dict[str, Any]) -> dict[str, Any]:
    return content["model"] if isinstance(content.get("model"), dict) else content


def _not_needed(names: Iterable[str], known: tuple[str, ...]) -> list[str]:
    """A note on `names`. Raises InputError for the first that is none of `known` (ending in a dot: a beginning)."""
    names = sorted(names)
    for name in names:
        if not any(name == one or (one.endswith(".") and name.startswith(one)) for one in known):
            raise InputError(
                f"{name} is unknown: neither the release's nor known beside it; pass the authors' own file"
            )
    return [f"not needed: {', '.join(names)}"] if names else []
