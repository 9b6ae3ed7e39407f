"""The rows of Table 1: which configs each is trained by, on either kind of data."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from evaluation.table1.results import PHOTOS, SCENES
from utils.errors import InputError

ROOT = Path(__file__).resolve().parent.parent.parent
CONFIGS = {SCENES: "scenes", PHOTOS: "photos64"}  # names of a system's configs for either
_FUSION = ("", "_instance", "_fusion")
_LCAD = ("_autoencoder", "_prior", "_compression", "_latent")


class Row(NamedTuple):
    """configs: of its stages, one after the other; flags: that the row is about."""

    name: str
    title: str
    configs: Sequence[str]
    flags: Sequence[str] = ()


class _Known(NamedTuple):
    title: str
    folder: str  # of configs/
    flags: Sequence[str] = ()
    stages: Sequence[str] = ("",)  # endings of its configs' names


_KNOWN = {
    "lbie": _Known("LBIE", "lbie"),
    "ml2018": _Known("ML2018", "ml2018"),
    "xie2018": _Known("Xie2018", "xie2018"),
    "lcode": _Known("L-CoDe", "lcode"),
    "lcoder": _Known("L-CoDer", "lcoder"),
    "lcad": _Known("L-CAD", "lcad", stages=_LCAD),
    "instcolorization_full": _Known("InstColorization, full", "instcolorization"),
    "instcolorization_fusion": _Known("InstColorization, fusion", "instcolorization", stages=_FUSION),
    "lcoins": _Known("L-CoIns", "lcoins"),
    "wo_ge": _Known("w/o GE", "lcoins", ("--no-group_tokens",)),
    "wo_ga": _Known("w/o GA", "lcoins", ("--no-grouping_attention",)),
    "wo_la": _Known("w/o LA", "lcoins", ("--no-luminance_augmentation",)),
    "wo_cl": _Known("w/o CL", "lcoins", ("--no-counter_color",)),
}
NAMES = tuple(_KNOWN)


def row_of(word: str, kind: str) -> Row:
    """word: of NAMES, or NAME=CONFIG or NAME=CONFIG,CONFIG of the user's own. Raises InputError."""
    name, separator, configs = word.partition("=")
    if separator:
        files = configs.split(",")
        if not name or name in NAMES or not all(files):
            raise InputError(f"--rows {word}: write NAME=CONFIG with a name of your own, none of {' '.join(NAMES)}")
        return Row(name, name, files)
    if name not in _KNOWN:
        raise InputError(f"--rows {word}: unknown; pass NAME=CONFIG, or some of {' '.join(NAMES)}")
    known = _KNOWN[name]
    files = [str(ROOT / "configs" / known.folder / f"{CONFIGS[kind]}{stage}.yaml") for stage in known.stages]
    return Row(name, known.title, files, known.flags)
