"""utils/log.py: the share of the time that a training waits for its loader."""

import json

import pytest
import torch

from utils import log
from utils.log import MetricLog, Waits
from utils.report import Sheet


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
        monkeypatch.setattr(Sheet, "draw", lambda _: None)
        monkeypatch.setattr(log, "table", lambda _: "")
        clock.now += 1000.0  # before the epoch goes on: no step's time
        second.restore(held)
        second.start_epoch(0, 4)
        clock.now += 20.0
        second.update(3, 4, 1e-3, 1.0, **loss)
        assert ("wait", 5.0, 3) in scalars
        second.end_epoch(1, 3, 1.0, {"model": {}}, Sheet())
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert line["wait"] == 15.0 and line["train"] == {"total": 0.5}  # 1 + 4 + 1 of 10 + 10 + 20 seconds
