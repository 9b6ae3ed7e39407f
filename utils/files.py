"""Atomic writes, output folders, and JSON that every reader takes."""

import fcntl
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from safetensors import SafetensorError

from utils import distributed
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


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """A folder next to `path`, on the same disk, to write in; what was not moved out of it is gone afterwards.

    Raises InputError, naming `path`, for whatever the disk refuses meanwhile.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            yield Path(folder)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error}); make room or pass another folder") from error


def output_folder(name: str) -> Path:
    """--output_dir, made and found writable. Raises InputError."""
    folder = Path(name)

    def make() -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe = folder / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise InputError(f"--output_dir {folder}: cannot be written ({error}); pass another folder") from error

    distributed.on_main(make)
    return folder


class OutputLock:
    """Within `with`, rank 0 holds the folder's .lock. The system lets go of it when the process ends, however it ends.

    Raises InputError on every rank where another run holds it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file: IO[str] | None = None

    def __enter__(self) -> "OutputLock":
        distributed.on_main(self._take)
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()

    def _take(self) -> None:
        file = (self.folder / ".lock").open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            other = file.read().strip() or "unknown"
            file.close()
            raise InputError(
                f"--output_dir {self.folder}: another run writes there (process {other}); wait for its end or pass"
                " another folder"
            ) from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self.file = file
