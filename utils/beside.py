"""What is written beside its place and moved there when it is whole."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from utils.errors import InputError


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """A folder next to `path`, on the same disk, to write in; what was not moved out of it is gone afterwards.

    Raises InputError, naming `path`, for whatever the disk refuses meanwhile.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            yield Path(folder)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error}); make room or pass another folder") from error
