"""A checkpoint -> the system that it holds: ours, a weights file of ours, or one of the systems' authors."""

import dataclasses
from typing import Any

from models import MODELS, config_of, system_of
from models.system import System
from models.text import CaptionTokenizer
from utils import checkpoint
from utils.errors import InputError


def authors_of(content: Any) -> str | None:
    """The model whose authors' checkpoint a loaded file is, if any."""
    if isinstance(content, dict) and "format" in content:
        return None
    return next((name for name in MODELS if system_of(name).recognizes(content)), None)


def named_in(path: str) -> tuple[str | None, bool]:
    """The model that a file holds, and whether it is a checkpoint of ours; (None, False) for a file that cannot be
    read, or that holds none."""
    name = checkpoint.system_in(path)
    if name is not None:
        return _known(path, name), True
    try:
        return authors_of(checkpoint.load(path)), False
    except InputError:
        return None, False  # whoever reads it says why


def restore(path: str, content: Any, averaged: bool = True, **given: Any) -> tuple[System, list[str]]:
    """The system, on the CPU, and in words what was loaded and adapted.

    content: of the file `path`, as `utils.checkpoint.load` gives it; averaged: take the moving average where there is
    one; given: numbers and settings of its config. Raises InputError naming the file and the remedy, also where a given
    number (`utils.options.number`) is not the checkpoint's; of them `img_size` alone may change.
    """
    if (name := authors_of(content)) is not None:
        kind = system_of(name)
        system, notes = kind.from_authors(name, content, config_of(name, **kind.of_authors | given))
        return system, [f"{path}: the authors' checkpoint, of --model {name}", *notes]
    content = checkpoint.check_format(path, content)
    name = _known(path, content["system"])
    fields = {field.name: field for field in dataclasses.fields(system_of(name).Config)}
    config = content["config"]
    held = {field: config[field] for field in fields.keys() & config.keys() if fields[field].metadata["held"]}
    whole = dataclasses.asdict(config_of(name)) | held
    different = [
        f"--{number} {given[number]} (the checkpoint: {whole[number]})"
        for number in given.keys() - {"img_size"}
        if fields[number].metadata["fixed"] and given[number] != whole[number]
    ]
    if different:
        raise InputError(f"{path}: holds another architecture than {', '.join(different)}; pass the checkpoint's")
    try:
        tokenizer = None if content["tokenizer"] is None else CaptionTokenizer.from_json(content["tokenizer"])
        system = system_of(name)(name, config_of(name, **held | given), tokenizer)
    except InputError:
        raise
    except Exception as error:  # whatever timm, transformers and tokenizers make of damaged numbers
        raise InputError(f"{path}: its network or tokenizer cannot be built ({error}); restore the file") from error
    weights = checkpoint.averaged(content) if averaged else content["tensors"]
    loaded = f"{len(weights)} tensors from {path}" + (" (moving average)" if weights is content["ema"] else "")
    return system, [loaded, *system.load(weights, path)]


def _known(path: str, name: str) -> str:
    if name not in MODELS:
        raise InputError(f"{path}: holds {name!r}, which is unknown here; known are {', '.join(MODELS)}")
    return name
