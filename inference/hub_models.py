"""Networks of transformers with their processors, from a folder or the Hugging Face hub."""

from pathlib import Path
from typing import Any

import torch
from huggingface_hub import try_to_load_from_cache
from transformers import AutoConfig, PreTrainedModel
from transformers import logging as transformers_logging

from utils.errors import InputError, reason


def load(
    network: type[PreTrainedModel], processor: type, source: str, flag: str, usual: str, device: torch.device | str
) -> tuple[Any, Any]:
    """The network, which never learns, on the device, and its processor.

    source: a folder in transformers' layout, or a hub name, fetched where it is not cached; flag: that named it; usual:
    a hub name of such a network. Raises InputError naming source and remedy.
    """
    origin, wanted = f"{flag} {source}", network.config_class.model_type
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # what it says of missing tensors is an error below
    transformers_logging.disable_progress_bar()
    try:
        kind = AutoConfig.from_pretrained(source).model_type
        if kind == wanted:
            loaded, info = network.from_pretrained(source, dtype=torch.float32, output_loading_info=True)
            made = processor.from_pretrained(source)
    except Exception as error:  # of hub, network, files: they have no common type
        raise InputError(
            f"{origin}: no folder here that can be loaded, nor a repository of the hub that could be fetched"
            f" ({reason(error)}); on a machine that reaches the hub, `hf download {usual} --local-dir FOLDER` fetches"
            " one: pass that folder"
        ) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    if kind != wanted:
        raise InputError(f"{origin}: holds a network of the kind {kind}, not {wanted}; pass one as {usual}")
    lacking = sorted({*info["missing_keys"], *(key for key, *_ in info["mismatched_keys"])})
    if lacking:
        raise InputError(
            f"{origin}: lacks {len(lacking)} tensors of its configuration (first: {lacking[0]}); fetch it again, whole"
        )
    return loaded.eval().requires_grad_(False).to(device), made


def cached_folder(name: str) -> str | None:
    """Where the hub's network of this name lies that was fetched before, so that nothing is asked of the hub."""
    found = [try_to_load_from_cache(name, file) for file in ("config.json", "model.safetensors")]
    return str(Path(found[0]).parent) if all(isinstance(path, str) for path in found) else None
