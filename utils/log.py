"""What a run says while it trains: progress, TensorBoard, log.jsonl. Rank 0 speaks; the numbers are all ranks'."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from utils import distributed
from utils.report import Sheet, table


class _Means:
    """Means of named scalars over steps. The sums stay on the device; `values` waits for it and asks every rank."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.steps = 0

    def add(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            value = value.detach().double()
            self.sums[name] = self.sums[name].to(value.device) + value if name in self.sums else value
        self.steps += 1

    def state(self) -> dict[str, Any]:
        return {"sums": {name: value.item() for name, value in self.sums.items()}, "steps": self.steps}

    def restore(self, state: dict[str, Any]) -> None:
        self.sums = {name: torch.tensor(value, dtype=torch.float64) for name, value in state["sums"].items()}
        self.steps = state["steps"]

    def values(self) -> dict[str, float]:
        stacked = torch.stack(list(self.sums.values())) / self.steps
        return dict(zip(self.sums, distributed.mean_over_ranks(stacked).tolist(), strict=True))


class MetricLog:
    """Losses reach the host only when a line is printed (every `print_freq` steps)."""

    def __init__(self, output_dir: Path, log_dir: Path, epochs: int, epoch_images: int, print_freq: int) -> None:
        """epoch_images: images per epoch over all ranks, for images/s and the time left."""
        self.file = output_dir / "log.jsonl"
        self.epochs, self.epoch_images, self.print_freq = epochs, epoch_images, print_freq
        self.writer = SummaryWriter(log_dir) if distributed.is_main() else None
        self.bar: tqdm | None = None
        self.since_print, self.since_epoch = _Means(), _Means()

    def state(self) -> dict[str, Any]:
        """The present epoch's means of this rank, as plain data: a checkpoint in mid-epoch keeps them."""
        return self.since_epoch.state()

    def restore(self, state: dict[str, Any]) -> None:
        self.since_epoch.restore(state)

    def forget_after(self, epoch: int) -> None:
        """Take the lines of later epochs out of log.jsonl: the run that wrote them died before its checkpoint."""
        if distributed.is_main() and self.file.is_file():
            lines = self.file.read_text().splitlines(keepends=True)
            self.file.write_text(
                "".join(line for line in lines if line.endswith("\n") and json.loads(line)["epoch"] <= epoch)
            )

    def start_epoch(self, epoch: int, seen: int) -> None:
        """seen: images of the epoch that an earlier run has used, all ranks'."""
        self.since_print = _Means()
        if seen == 0:
            self.since_epoch = _Means()
        if self.bar is None:
            self.bar = tqdm(
                total=self.epochs * self.epoch_images,
                initial=epoch * self.epoch_images + seen,
                unit="img",
                disable=not distributed.is_main(),
                mininterval=0.5 if sys.stderr.isatty() else 30,
            )
        self.bar.set_description(f"epoch {epoch + 1}/{self.epochs}", refresh=False)

    def update(self, step: int, images: int, lr: float, **values: Tensor) -> None:
        """One step over `images` of this rank; `values` are scalars on the device, detached here."""
        self.since_print.add(values)
        self.since_epoch.add(values)
        if step % self.print_freq == 0:
            means, self.since_print = self.since_print.values(), _Means()
            self.bar.set_postfix({"loss": f"{means['total']:.5f}", "lr": f"{lr:.2e}"}, refresh=False)
            if distributed.is_main():
                self._scalars({"lr": lr} | {f"train/{name}": value for name, value in means.items()}, step)
        self.bar.update(images * distributed.world_size())

    def end_epoch(self, epoch: int, step: int, rate: float, summary: dict[str, Any], sheet: Sheet) -> None:
        """One line in log.jsonl; figures and pictures of the evaluation in TensorBoard.

        rate: images per second; summary: `engine.summarize` of val.
        """
        means = self.since_epoch.values()
        if not distributed.is_main():
            return
        line = {"epoch": epoch, "step": step, "images_per_second": round(rate, 2), "train": means, "val": summary}
        with self.file.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self._scalars({f"val/{name}": value for name, value in summary["model"].items() if value is not None}, step)
        for name, value in summary.get("instances", {}).items():
            if isinstance(value, dict) and "mean" in value:
                self._scalars({f"val/instances/{name}": value["mean"]}, step)
        self.writer.add_image("val", sheet.draw(), step, dataformats="HWC")
        self.writer.flush()
        self.bar.write(f"epoch {epoch}, val:\n{table(summary)}", file=sys.stderr)

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
