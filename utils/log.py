"""What a run says: messages, progress, TensorBoard, log.jsonl. Rank 0 speaks; the numbers are all ranks'."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from utils import distributed, files
from utils.errors import InputError, reason

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
        plain = {"file": _Lines(), "mininterval": PAUSE, "delay": PAUSE, "bar_format": shown}
        options = {**plain, "position": 0} | options  # else a bar within a bar moves a cursor
    return Bar(items, **options)


def setup_logging() -> None:
    """Messages from rank 0; warnings from every rank."""
    level = logging.INFO if distributed.is_main() else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", force=True, handlers=[AboveBars()])
    for name in ("timm.optim", "timm.scheduler"):  # they warn of decays and cosines that change nothing, as asked for
        logging.getLogger(name).setLevel(logging.ERROR)


class AboveBars(logging.Handler):
    """To standard error, above tqdm's bars where some are drawn there."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)


class Waits:
    """Goes through a loader, and adds up the seconds that the host waits for its batches; the device is not asked."""

    def __init__(self, loader: Iterable[Any]) -> None:
        self.loader = loader
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Any]:
        started = time.perf_counter()  # making the iterator starts the workers
        for batch in self.loader:
            self.seconds += time.perf_counter() - started
            yield batch
            started = time.perf_counter()

    def take(self) -> float:
        """Seconds since the last call."""
        taken, self.seconds = self.seconds, 0.0
        return taken


class _Means:
    """Means of named scalars over steps, and `wait`, the share of the time spent waiting for the loader, per cent.

    The sums stay on the device; `values` waits for it and asks every rank.
    """

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.steps = 0
        self.waited = self.seconds = 0.0  # for the loader; in all

    def add(self, values: dict[str, Tensor], waited: float, seconds: float) -> None:
        self.waited, self.seconds = self.waited + waited, self.seconds + seconds
        for name, value in values.items():
            value = value.detach().double()
            self.sums[name] = self.sums[name].to(value.device) + value if name in self.sums else value
        self.steps += 1

    def state(self) -> dict[str, Any]:
        sums = {name: value.item() for name, value in self.sums.items()}
        return {"sums": sums, "steps": self.steps, "waited": self.waited, "seconds": self.seconds}

    def restore(self, state: dict[str, Any]) -> None:
        self.sums = {name: torch.tensor(value, dtype=torch.float64) for name, value in state["sums"].items()}
        self.steps = state["steps"]
        self.waited, self.seconds = (state.get(name, 0.0) for name in ("waited", "seconds"))  # older files have none

    @staticmethod
    def mean_of(states: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """One state for what several ranks' hold: their mean, so that its means are those over all of them."""
        count = len(states)
        sums = {name: sum(state["sums"][name] for state in states) / count for name in states[0]["sums"]}
        timed = {name: sum(state.get(name, 0.0) for state in states) / count for name in ("waited", "seconds")}
        return {"sums": sums, "steps": states[0]["steps"]} | timed

    def values(self) -> tuple[dict[str, float], float]:
        """The means, and `wait`; both over all ranks."""
        stacked = torch.stack(list(self.sums.values())) / self.steps
        wait = stacked.new_tensor([100 * self.waited / self.seconds if self.seconds > 0 else 0.0])
        *means, wait = distributed.mean_over_ranks(torch.cat([stacked, wait])).tolist()
        return dict(zip(self.sums, means, strict=True)), wait


class MetricLog:
    """Losses reach the host only when a line is printed (every `print_freq` steps)."""

    def __init__(self, output_dir: Path, epochs: int, epoch_images: int, print_freq: int) -> None:
        """epoch_images: images per epoch over all ranks, for images/s and the time left."""
        self.file = output_dir / "log.jsonl"
        self.epochs, self.epoch_images, self.print_freq = epochs, epoch_images, print_freq
        self.writer = None
        if distributed.is_main():
            from torch.utils.tensorboard import SummaryWriter  # takes a second, which a bar need not pay for

            self.writer = SummaryWriter(output_dir)
        self.bar: Bar | None = None
        self.since_print, self.since_epoch = _Means(), _Means()
        self.last = time.perf_counter()  # when the last step was done, or the epoch began

    def state(self) -> dict[str, Any]:
        """The present epoch's means of this rank, as plain data: a checkpoint in mid-epoch keeps them."""
        return self.since_epoch.state()

    def restore(self, states: list[dict[str, Any]]) -> None:
        """states: of all ranks that wrote the checkpoint, of which there may have been more or fewer."""
        same = len(states) == distributed.world_size()
        self.since_epoch.restore(states[distributed.rank()] if same else _Means.mean_of(states))

    def forget_after(self, epoch: int) -> None:
        """Take the lines of later epochs out of log.jsonl: the run that wrote them died before its checkpoint."""

        def forget() -> None:
            if self.file.is_file():
                lines = self.file.read_text(encoding="utf-8").splitlines(keepends=True)
                kept = [line for line in lines if line.endswith("\n") and json.loads(line)["epoch"] <= epoch]
                files.write_text(self.file, "".join(kept))

        distributed.on_main(forget)

    def start_epoch(self, epoch: int, seen: int) -> None:
        """seen: images of the epoch that an earlier run has used, all ranks'."""
        self.since_print, self.last = _Means(), time.perf_counter()
        if self.bar is None:
            images = {"total": self.epochs * self.epoch_images, "initial": epoch * self.epoch_images + seen}
            self.bar = progress(None, "training", "img", delay=0, **images)
        self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}", refresh=False)

    def update(self, step: int, images: int, lr: float, waited: float, **values: Tensor) -> None:
        """One step over `images` of this rank, which waited so many seconds for the loader; `values` are scalars on the
        device, detached here."""
        before, self.last = self.last, time.perf_counter()
        for means in (self.since_print, self.since_epoch):
            means.add(values, waited, self.last - before)
        if step % self.print_freq == 0:
            (means, wait), self.since_print = self.since_print.values(), _Means()
            shown = {"loss": f"{means['total']:.5f}", "lr": f"{lr:.2e}", "wait": f"{wait:.0f} %"}
            self.bar.set_postfix(shown, refresh=False)
            if distributed.is_main():
                self._scalars(
                    {"lr": lr, "wait": wait} | {f"train/{name}": value for name, value in means.items()}, step
                )
        self.bar.update(images * distributed.world_size())

    def end_epoch(
        self,
        epoch: int,
        step: int,
        update_images: int,
        rate: float,
        summary: dict[str, Any],
        table: str,
        draw: Callable[[], np.ndarray],
    ) -> None:
        """One line in log.jsonl, null for what is not finite; figures and pictures of the evaluation in TensorBoard.

        The losses are means since the last line. update_images: of an update, all processes'; rate: images per second;
        summary: the figures of val; table: the same for people; draw: makes the picture (H, W, 3) uint8, on rank 0
        alone.
        """
        (means, wait), self.since_epoch = self.since_epoch.values(), _Means()
        line = {"epoch": epoch, "step": step, "update_images": update_images, "images_per_second": round(rate, 2)}
        line |= {"wait": round(wait, 2), "train": means, "val": summary}
        distributed.on_main(lambda: self._write(line, table, draw))

    def _write(self, line: dict[str, Any], table: str, draw: Callable[[], np.ndarray]) -> None:
        epoch, step, summary = line["epoch"], line["step"], line["val"]
        try:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(files.as_json(line) + "\n")
        except OSError as error:
            raise InputError(f"{self.file}: cannot be written ({reason(error)}); make room") from error
        self._scalars({f"val/{name}": value for name, value in summary["model"].items() if value is not None}, step)
        for name, value in summary.get("instances", {}).items():
            if isinstance(value, dict) and "mean" in value:
                self._scalars({f"val/instances/{name}": value["mean"]}, step)
        self.writer.add_image("val", draw(), step, dataformats="HWC")
        self.writer.flush()
        self.bar.write(f"epoch {epoch}, val:\n{table}", file=sys.stderr)

    def _scalars(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def __enter__(self) -> "MetricLog":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
        if self.writer is not None:
            self.writer.close()
