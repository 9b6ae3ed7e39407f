"""The YAML of --config: flags and values, as words of the command line."""

import argparse
from pathlib import Path
from typing import Any

from utils.errors import InputError
from utils.text_files import read_yaml


def read(path: Path) -> dict[str, Any]:
    """A YAML of 'flag: value' lines over the one that its `base:` names, which lies beside it; `flag: null` takes one
    of its lines out. Raises InputError."""
    moved = [] if path.exists() else sorted(path.parent.glob(f"*/{path.name}"))
    remedy = f"pass {moved[0]}" if moved else "pass a YAML file of 'flag: value' lines"
    try:
        content = read_yaml(path, remedy)
    except InputError as error:
        raise InputError(f"--config {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"--config {path}: holds no 'flag: value' lines")
    base = content.pop("base", None)
    whole = content if base is None else read(path.parent / str(base)) | content
    return {key: value for key, value in whole.items() if value is not None}


def words_of(parser: argparse.ArgumentParser, path: str | None, content: dict[str, Any]) -> list[str]:
    """The YAML as command line words, so that argparse checks it like any flag."""
    actions = {action.dest: action for action in parser._actions if action.dest not in ("help", "config")}
    words: list[str] = []
    for key, value in content.items():
        if key not in actions:
            raise InputError(f"--config {path}: unknown key {key!r}; its keys are the flags of run_colorization.py")
        words += _config_word(path, key, value, takes_value=actions[key].nargs != 0)
    return words


def _config_word(path: str | None, key: str, value: Any, takes_value: bool) -> list[str]:
    if takes_value == isinstance(value, bool) or isinstance(value, dict):
        wanted = "a value" if takes_value else "true or false"
        raise InputError(f"--config {path}: {key} is {value!r}; give it {wanted}")
    if not takes_value:
        return [f"--{key}" if value else f"--no-{key}"]
    if value is None:
        return []
    return [f"--{key}", *map(str, value)] if isinstance(value, list) else [f"--{key}={value}"]
