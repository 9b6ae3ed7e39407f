"""utils/log.py: the share of the time that a training waits for its loader."""

import json
import os

import numpy as np
import pytest
import torch

from utils import log
from utils.log import MetricLog, Waits


def _picture() -> np.ndarray:
    return np.zeros((1, 1, 3), np.uint8)


class Clock:
    """In the place of the time module: the time is what the test says."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    monkeypatch.setattr(log, "time", Clock())
    return log.time


def slow(clock: Clock, waits: list[float]):
    for number, seconds in enumerate(waits):
        clock.now += seconds
        yield number


def test_waits_are_those_of_the_loader_alone(clock):
    waits, taken = Waits(slow(clock, [4.0, 1.0, 2.0])), []
    for place, number in enumerate(waits):
        assert number == place
        clock.now += 10.0  # the step
        if number > 0:
            taken.append(waits.take())
    assert taken == [5.0, 2.0]


def test_the_share_is_printed_and_logged_and_kept_by_a_checkpoint(clock, tmp_path, monkeypatch):
    scalars = []
    loss = {"total": torch.tensor(0.5)}
    with MetricLog(tmp_path, tmp_path, epochs=1, epoch_images=8, print_freq=2) as first:
        monkeypatch.setattr(first.writer, "add_scalar", lambda *words: scalars.append(words))
        first.start_epoch(0, 0)
        for step, waited in ((1, 1.0), (2, 4.0)):
            clock.now += 10.0
            first.update(step, 4, 1e-3, waited, **loss)
        assert ("wait", 25.0, 2) in scalars and "wait=25 %" in first.bar.postfix
        held = first.state()
    with MetricLog(tmp_path, tmp_path, epochs=1, epoch_images=8, print_freq=1) as second:
        monkeypatch.setattr(second.writer, "add_scalar", lambda *words: scalars.append(words))
        monkeypatch.setattr(second.writer, "add_image", lambda *_, **__: None)

        clock.now += 1000.0  # before the epoch goes on: no step's time
        second.restore([held])
        second.start_epoch(0, 4)
        clock.now += 20.0
        second.update(3, 4, 1e-3, 1.0, **loss)
        assert ("wait", 5.0, 3) in scalars
        second.end_epoch(1, 3, 1.0, {"model": {}}, "", _picture)
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert line["wait"] == 15.0 and line["train"] == {"total": 0.5}  # 1 + 4 + 1 of 10 + 10 + 20 seconds


def test_a_line_is_json_whatever_a_loss_is(tmp_path, monkeypatch):
    """fp16 finds its scale by overflowing: its gradients' norm is infinite then."""

    with MetricLog(tmp_path, tmp_path, epochs=1, epoch_images=8, print_freq=1) as own:
        own.start_epoch(0, 0)
        own.update(1, 4, 1e-3, 0.0, total=torch.tensor(0.5), grad_norm=torch.tensor(torch.inf))
        own.end_epoch(1, 1, 1.0, {"model": {"psnr": torch.inf}}, "", _picture)
    line = json.loads((tmp_path / "log.jsonl").read_text(), parse_constant=lambda _: 1 / 0)
    assert line["train"] == {"total": 0.5, "grad_norm": None} and line["val"] == {"model": {"psnr": None}}


def test_lines_are_taken_out_at_once_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    lines = [json.dumps({"epoch": epoch}) + "\n" for epoch in (1, 2, 3)]
    path.write_text("".join(lines) + '{"epo')
    replaced = os.replace

    def killed(*_):
        raise KeyboardInterrupt

    with MetricLog(tmp_path, tmp_path, 1, 8, 1) as own:
        monkeypatch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            own.forget_after(2)
        assert path.read_text() == "".join(lines) + '{"epo'
        monkeypatch.setattr(os, "replace", replaced)
        own.forget_after(2)
    assert path.read_text() == "".join(lines[:2])


@pytest.mark.parametrize("ranks", [1, 3])
def test_means_of_other_ranks_go_on(tmp_path, monkeypatch, ranks):
    """Of two ranks' means, by one or three."""
    states = [{"sums": {"total": total}, "steps": 4, "waited": 1.0, "seconds": 2.0} for total in (2.0, 6.0)]
    with MetricLog(tmp_path, tmp_path, 1, 8, 1) as own:
        monkeypatch.setattr(log.distributed, "world_size", lambda: ranks)
        own.restore(states)
        monkeypatch.setattr(log.distributed, "mean_over_ranks", lambda value: value)  # all ranks hold the same
        assert own.since_epoch.values() == ({"total": 1.0}, 50.0)
