"""Progress of everything that can take more than ten seconds: count, rate and time left, by tqdm on rank 0."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from utils import distributed

PAUSE = 30.0  # seconds between two lines where standard error is no terminal


class Bar(tqdm):
    monitor_interval = 0  # no thread: processes are forked beside it


class _Lines:
    """Standard error as tqdm's file: whatever it draws is a line by itself."""

    def write(self, text: str) -> None:
        if text.strip():
            sys.stderr.write(f"{text.strip()}\n")

    def flush(self) -> None:
        sys.stderr.flush()


def progress(items: Iterable[Any] | None, what: str, unit: str, **options: Any) -> Bar:
    """A bar over `items`, or one to `update` by hand. what: the work, named before the count; options: tqdm's own.

    On a terminal it is drawn; elsewhere it is a plain line every half minute, and none for what takes less.
    """
    options = {"desc": f"{what}: ", "unit": f" {unit}", "miniters": 1, "disable": not distributed.is_main()} | options
    if not sys.stderr.isatty():
        shown = "{desc}{n_fmt}/{total_fmt}{unit}, {rate_fmt}, {elapsed} gone, {remaining} left{postfix}"
        options = {"file": _Lines(), "mininterval": PAUSE, "delay": PAUSE, "bar_format": shown} | options
    return Bar(items, **options)
