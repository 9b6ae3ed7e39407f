"""utils/progress.py: what can take long says how far it is, on a terminal and in a log."""

import ast
import io
import sys

import pytest
from conftest import ROOT

import run_colorization
from scripts import check_data, compare, make_shards
from utils import distributed
from utils import progress as module
from utils.progress import progress

SMOKE = ["--config", str(ROOT / "configs" / "lcoins" / "smoke.yaml"), "--device", "cpu"]


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


def test_a_log_has_a_plain_line_every_half_minute(monkeypatch):
    now = [1000.0]
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    bar = progress(None, "evaluation", "batch", total=100)
    bar._time = lambda: now[0]
    bar.start_t = bar.last_print_t = now[0]
    for _ in range(100):
        now[0] += 1.0
        bar.update()
    bar.close()
    lines = log.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == [f"evaluation: {n}/100 batch" for n in (30, 60, 90, 100)]
    assert "gone" in lines[0] and "left" in lines[0] and "batch/s" in lines[0]
    assert "\r" not in log.getvalue() and "\x1b" not in log.getvalue()


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
    """tqdm's bars are made in utils/progress.py alone; utils/distributed.py writes messages above them."""
    users = set()
    for path in (path for path in ROOT.rglob("*.py") if not {".venv", "tests"} & {*path.relative_to(ROOT).parts}):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] == "tqdm" for name in modules):
                users.add(str(path.relative_to(ROOT)))
    assert users == {"utils/progress.py", "utils/distributed.py"}


@pytest.fixture
def at_once(monkeypatch):
    """Every step is a line."""
    monkeypatch.setattr(module, "PAUSE", 0.0)


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
