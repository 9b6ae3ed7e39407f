"""The registry: every model by name, a system and its numbers."""

import dataclasses
from importlib import import_module
from typing import Any

from torch import nn

from models.system import Coloring, System
from models.text import CaptionTokenizer
from utils.errors import InputError

__all__ = ["Coloring", "System", "config_of", "create_model", "parameter_count", "system_of"]

PAPER_MODEL = "colorization_vit_base_patch16_224_group_post"
SMALL_MODEL = "colorization_vit_tiny_patch8_112_group_post"
SCENES_MODEL = "colorization_vit_pico_patch8_64_group_post"
PHOTOS_MODEL = "colorization_vit_small_patch8_112_group_post"
RELEASE_MODEL = "colorization_vit_base_patch16_224_group_post_release"
INSTCOLORIZATION = "instcolorization"
LCODER = "lcoder"
LCODE = "lcode"
ML2018 = "ml2018"
XIE2018 = "xie2018"
LBIE = "lbie"
LCAD = "lcad"
# name: module, its system, its numbers
MODELS = {
    PAPER_MODEL: ("models.lcoins", "LCoIns", "PAPER"),
    SMALL_MODEL: ("models.lcoins", "LCoIns", "SMALL"),
    SCENES_MODEL: ("models.lcoins", "LCoIns", "SCENES"),
    PHOTOS_MODEL: ("models.lcoins", "LCoIns", "PHOTOS"),
    RELEASE_MODEL: ("models.lcoins", "ReleasedLCoIns", "RELEASE"),
    INSTCOLORIZATION: ("models.instcolorization", "InstColorization", "PAPER"),
    f"{INSTCOLORIZATION}_small": ("models.instcolorization", "InstColorization", "SMALL"),
    LCODER: ("models.lcoder", "LCoDer", "PAPER"),
    f"{LCODER}_small": ("models.lcoder", "LCoDer", "SMALL"),
    LCODE: ("models.lcode", "LCoDe", "PAPER"),
    f"{LCODE}_small": ("models.lcode", "LCoDe", "SMALL"),
    ML2018: ("models.ml2018", "ML2018", "PAPER"),
    f"{ML2018}_small": ("models.ml2018", "ML2018", "SMALL"),
    XIE2018: ("models.xie2018", "Xie2018", "PAPER"),
    f"{XIE2018}_small": ("models.xie2018", "Xie2018", "SMALL"),
    LBIE: ("models.lbie", "LBIE", "PAPER"),
    f"{LBIE}_small": ("models.lbie", "LBIE", "SMALL"),
    LCAD: ("models.lcad", "LCAD", "PAPER"),
    f"{LCAD}_small": ("models.lcad", "LCAD", "SMALL"),
}


def system_of(name: str) -> type[System]:
    """Raises InputError for an unknown name."""
    module, system, _ = _entry(name)
    return getattr(import_module(module), system)


def config_of(name: str, **numbers: Any) -> Any:
    """The model's numbers, some of them changed: a `Config` of its system. Raises InputError for an unknown name or a
    number that it has not."""
    module, _, numbers_name = _entry(name)
    config = getattr(import_module(module), numbers_name)
    unknown = numbers.keys() - {field.name for field in dataclasses.fields(config)}
    if unknown:
        raise InputError(f"{sorted(unknown)[0]}: no number of --model {name}; leave it out")
    return dataclasses.replace(config, **numbers)


def create_model(name: str, tokenizer: CaptionTokenizer | None = None, **numbers: Any) -> System:
    """The model with random weights, on the CPU. numbers: as in `config_of`."""
    return system_of(name)(name, config_of(name, **numbers), tokenizer)


def parameter_count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _entry(name: str) -> tuple[str, str, str]:
    if name not in MODELS:
        raise InputError(f"--model {name}: unknown; pass one of {', '.join(MODELS)}")
    return MODELS[name]
