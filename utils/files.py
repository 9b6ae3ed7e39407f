"""Files that are whole at any moment, and JSON that every reader takes."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from utils.errors import InputError, reason


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Atomic: `write` a temporary file, flush it to the disk, then rename it. The former file stays whole until then.

    Raises InputError where it cannot be written.
    """
    part = path.with_name(path.name + ".part")
    try:
        write(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name reaches the disk too
        finally:
            os.close(folder)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors wrap what the disk says
        part.unlink(missing_ok=True)
        raise InputError(f"{path}: cannot be written ({reason(error)}); make room or pass another folder") from error


def write_text(path: Path, text: str) -> None:
    """Atomic, UTF-8."""
    replace(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_json(path: Path, content: Any, indent: int | None = 2) -> None:
    """Atomic; see `as_json`."""
    write_text(path, as_json(content, indent=indent) + "\n")


def as_json(content: Any, **options: Any) -> str:
    """Numbers that are not finite become null: JSON has none, and `Infinity` is refused by most readers.

    options: of `json.dumps`.
    """
    return json.dumps(_finite(content), allow_nan=False, **options)


def _finite(content: Any) -> Any:
    if isinstance(content, float) and not math.isfinite(content):
        return None
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    return [_finite(value) for value in content] if isinstance(content, list | tuple) else content
