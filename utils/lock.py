"""One run at a time writes to an output folder."""

import fcntl
import os
from pathlib import Path
from typing import IO

from utils import distributed
from utils.errors import InputError


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
