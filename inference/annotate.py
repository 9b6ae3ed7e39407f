"""A pass over the pictures of a split that writes what is found in each: with progress, resumable, and one that fails
does not keep the others from theirs."""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datasets.shards import index_path
from utils import files
from utils.errors import InputError, reason
from utils.log import Bar, progress
from utils.text_files import read_json

KEPT_EVERY = 30.0  # seconds
Rows = list[Any]
Find = Callable[[Sequence[str]], Sequence[Rows]]  # names of pictures -> the rows of each


class Annotated(NamedTuple):
    rows: dict[str, Rows]  # of every picture, of this run and those before it
    failed: int  # pictures without

    @property
    def status(self) -> int:
        """For the exit of a script."""
        return 1 if self.failed else 0


def splits_there(data: Path, asked: Sequence[str] | None, among: Sequence[str]) -> list[str]:
    """The splits that are `asked` for; if None, those of `among` that the data folder, or shards, have."""
    splits = list(asked or [s for s in among if (data / s).is_dir() or index_path(data, s).is_file()])
    if not splits:
        named = f"{', '.join(among[:-1])} or {among[-1]}"
        raise InputError(f"{data}: no {named} in it; pass a data folder, or --splits")
    return splits


def annotate(names: Iterable[str], find: Find, path: Path, what: str, batch_size: int = 1) -> Annotated:
    """Writes `path`, {name: rows}; while it runs, and as long as pictures failed, `path`.unfinished, from which the
    next run goes on.

    batch_size: pictures that `find` gets at a time; what: is sought, for the progress. A batch that fails is tried
    again picture by picture. Raises InputError where nothing can be written.
    """
    names = list(dict.fromkeys(names))
    part = path.with_name(f"{path.name}.unfinished")
    found: dict[str, Rows] = read_json(part, "take it away") if part.is_file() else {}
    left = [name for name in names if name not in found]
    kept = time.monotonic()
    with progress(None, what, "picture", total=len(left)) as bar:
        try:
            for start in range(0, len(left), batch_size):
                batch = left[start : start + batch_size]
                found |= _found(find, batch, bar)
                bar.update(len(batch))
                if time.monotonic() - kept > KEPT_EVERY:
                    files.write_json(part, found, indent=None)
                    kept = time.monotonic()
        except BaseException:  # Ctrl-C among them
            files.write_json(part, found, indent=None)
            raise
    files.write_json(path, found, indent=None)
    failed = sum(name not in found for name in names)
    if failed:
        files.write_json(part, found, indent=None)
        print(f"{path.name}: {failed} of {len(names)} pictures failed; the same again tries them", file=sys.stderr)
    else:
        part.unlink(missing_ok=True)
    return Annotated(found, failed)


def _found(find: Find, batch: Sequence[str], bar: Bar) -> dict[str, Rows]:
    try:
        return dict(zip(batch, find(batch), strict=True))
    except Exception as error:  # of reading, of a network: not limited to anything
        if len(batch) > 1:
            return {name: rows for one in batch for name, rows in _found(find, [one], bar).items()}
        said = reason(error) if isinstance(error, InputError) else f"{type(error).__name__}: {reason(error)}"
        bar.write(f"{batch[0]}: {said}", file=sys.stderr)
        return {}
