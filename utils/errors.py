"""What speaks to the user: `run_colorization.py` prints them without a traceback and exits with their `status`."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path


def reason(error: BaseException) -> str:
    """The first line of its message, or its kind where it has none."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


class InputError(ValueError):
    """The user's file, flag or data is wrong. The message names the file, the value and the remedy."""

    status = 2


class DivergedError(ArithmeticError):
    """A gradient was not finite. Every rank raises it before the update."""

    status = 3


class FaultError(RuntimeError):
    """Something around the run broke: a loader worker or another rank died. The last checkpoint can be resumed."""

    status = 4


class Interrupted(Exception):
    """The run was asked to end, and saved what it had. The status is sysexits' EX_TEMPFAIL: start it again."""

    status = 75


def exit_status(main: Callable[..., int | None]) -> Callable[..., int]:
    """A script's `main` that returns its exit status: its own, or 0; 2 for the user's mistake, which it prints."""

    @functools.wraps(main)
    def told(*words: list[str] | None) -> int:
        try:
            return main(*words) or 0
        except (InputError, OSError) as error:
            print(f"{Path(main.__code__.co_filename).name}: {error}", file=sys.stderr)
            return InputError.status

    return told
