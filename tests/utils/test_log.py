"""utils/log.py: the share of the time that a training waits for its loader; progress, on a terminal and in a log."""

import ast
import io
import json
import os
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT

import run_colorization
from scripts import check_data, compare, correspondence, make_shards
from utils import distributed, log
from utils.log import MetricLog, Waits, progress

SMOKE = ["--config", str(ROOT / "configs" / "lcoins" / "smoke.yaml"), "--device", "cpu"]


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
    with MetricLog(tmp_path, epochs=1, epoch_images=8, print_freq=2) as first:
        monkeypatch.setattr(first.writer, "add_scalar", lambda *words: scalars.append(words))
        first.start_epoch(0, 0)
        for step, waited in ((1, 1.0), (2, 4.0)):
            clock.now += 10.0
            first.update(step, 4, 1e-3, waited, **loss)
        assert ("wait", 25.0, 2) in scalars and "wait=25 %" in first.bar.postfix
        held = first.state()
    with MetricLog(tmp_path, epochs=1, epoch_images=8, print_freq=1) as second:
        monkeypatch.setattr(second.writer, "add_scalar", lambda *words: scalars.append(words))
        monkeypatch.setattr(second.writer, "add_image", lambda *_, **__: None)

        clock.now += 1000.0  # before the epoch goes on: no step's time
        second.restore([held])
        second.start_epoch(0, 4)
        clock.now += 20.0
        second.update(3, 4, 1e-3, 1.0, **loss)
        assert ("wait", 5.0, 3) in scalars
        second.end_epoch(1, 3, 8, 1.0, {"model": {}}, "", _picture)
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert line["wait"] == 15.0 and line["train"] == {"total": 0.5}  # 1 + 4 + 1 of 10 + 10 + 20 seconds


def test_a_line_is_json_whatever_a_loss_is(tmp_path, monkeypatch):
    """fp16 finds its scale by overflowing: its gradients' norm is infinite then."""

    with MetricLog(tmp_path, epochs=1, epoch_images=8, print_freq=1) as own:
        own.start_epoch(0, 0)
        own.update(1, 4, 1e-3, 0.0, total=torch.tensor(0.5), grad_norm=torch.tensor(torch.inf))
        own.end_epoch(1, 1, 8, 1.0, {"model": {"psnr": torch.inf}}, "", _picture)
    line = json.loads((tmp_path / "log.jsonl").read_text(), parse_constant=lambda _: 1 / 0)
    assert line["train"] == {"total": 0.5, "grad_norm": None} and line["val"] == {"model": {"psnr": None}}


def test_lines_are_taken_out_at_once_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "log.jsonl"
    lines = [json.dumps({"epoch": epoch}) + "\n" for epoch in (1, 2, 3)]
    path.write_text("".join(lines) + '{"epo')
    replaced = os.replace

    def killed(*_):
        raise KeyboardInterrupt

    with MetricLog(tmp_path, 1, 8, 1) as own:
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
    with MetricLog(tmp_path, 1, 8, 1) as own:
        monkeypatch.setattr(log.distributed, "world_size", lambda: ranks)
        own.restore(states)
        monkeypatch.setattr(log.distributed, "mean_over_ranks", lambda value: value)  # all ranks hold the same
        assert own.since_epoch.values() == ({"total": 1.0}, 50.0)


# ---- progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_count_rate_and_time_left(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress(None, "evaluation", "batch", total=4, mininterval=0) as bar:
        for _ in range(3):
            bar.update()
        shown = sys.stderr.getvalue().split("\r")[-1]
    assert "evaluation: " in shown and "3/4" in shown and "batch/s" in shown and "<00:00" in shown


@pytest.mark.parametrize("around", [[], ["training"]])
def test_a_log_has_a_plain_line_every_half_minute(monkeypatch, around):
    """Of a bar within others too."""
    now = [1000.0]
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    others = [progress(None, what, "batch", total=100) for what in around]
    bar = progress(None, "evaluation", "batch", total=100)
    bar._time = lambda: now[0]
    bar.start_t = bar.last_print_t = now[0]
    for _ in range(100):
        now[0] += 1.0
        bar.update()
    for one in (bar, *others):
        one.close()
    lines = written.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == [f"evaluation: {n}/100 batch" for n in (30, 60, 90, 100)]
    assert "gone" in lines[0] and "left" in lines[0] and "batch/s" in lines[0]
    assert "\r" not in written.getvalue() and "\x1b" not in written.getvalue()


def test_what_is_soon_done_leaves_no_line_and_the_items_pass(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert list(progress(range(5), "short", "item")) == [0, 1, 2, 3, 4]
    assert sys.stderr.getvalue() == ""


def test_rank_0_alone_speaks(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(distributed, "is_main", lambda: False)
    assert list(progress(range(5), "evaluation", "batch")) == [0, 1, 2, 3, 4]
    assert sys.stderr.getvalue() == ""


def test_there_is_one_helper():
    """tqdm's bars are made in utils/log.py alone."""
    users = set()
    for path in (path for path in ROOT.rglob("*.py") if not {".venv", "tests"} & {*path.relative_to(ROOT).parts}):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "tqdm" for name in modules):
                users.add(str(path.relative_to(ROOT)))
    assert users == {"utils/log.py"}


@pytest.fixture
def at_once(monkeypatch):
    """Every step is a line."""
    monkeypatch.setattr(log, "PAUSE", 0.0)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("progress")
    scenes = ["--data_set", "scenes", "--scenes", "4", "--eval_scenes", "2", "--epochs", "1", "--no-model_ema"]
    assert run_colorization.run([*SMOKE, *scenes, "--output_dir", str(folder)]) == 0
    return str(folder / "checkpoint-last.pth")


def test_a_test_with_obedience_shows_both(data, tmp_path, checkpoint, at_once, capsys):
    words = ["--data_path", str(data), "--finetune", checkpoint, "--test", "--obedience", "--batch_size", "2"]
    assert run_colorization.run([*SMOKE, *words, "--output_dir", str(tmp_path / "a")]) == 0
    told = capsys.readouterr().err
    assert "evaluation: 3/3 batch" in told and "obedience: 2/3 batch" in told and "decoding: 5/5 image" in told
    assert run_colorization.run([*SMOKE, *words[:4], "--eval", "--output_dir", str(tmp_path / "b")]) == 0
    assert "evaluation: 2/2 batch" in capsys.readouterr().err
    files = [str(tmp_path / "a" / "per_image.csv")] * 2
    compare.main([*files, "--output", str(tmp_path / "compared"), "--show", "0"])
    assert "bootstrap: " in capsys.readouterr().err


def test_scenes_training_and_preparation_show_it(data, tmp_path, checkpoint, at_once, capsys):
    words = ["--data_set", "scenes", "--eval_scenes", "8", "--finetune", checkpoint, "--test"]
    assert run_colorization.run([*SMOKE, *words, "--output_dir", str(tmp_path / "a")]) == 0
    assert "scenes, luminance: 2/2 batch" in capsys.readouterr().err
    words = ["--data_path", str(data), "--epochs", "1", "--output_dir", str(tmp_path / "b")]
    assert run_colorization.run([*SMOKE, *words]) == 0
    assert "8/8 img" in capsys.readouterr().err
    assert check_data.main([str(data), "--output_dir", str(tmp_path / "c")]) in (0, 1)
    told = capsys.readouterr().err
    assert "decoding: 18/18 picture" in told and "near duplicates: 1/1 rows" in told
    assert make_shards.main([str(data), str(tmp_path / "shards")]) == 0
    assert "train: 8/8 picture" in capsys.readouterr().err
    captions = str(data / "cap-img-pairs_test.json")
    assert correspondence.main([captions, str(tmp_path / "pairs.json")]) == 0
    assert "rules: 5/5 caption" in capsys.readouterr().err
