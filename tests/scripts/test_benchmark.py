"""The benchmark measures what it says: rows, operations counted from shapes, turns. No figure of speed is asserted."""

import dataclasses
import json
import math
from functools import partial

import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import scaled_dot_product_attention as attend
from torch.utils.flop_counter import FlopCounterMode

from datasets.batch import Batch
from losses import ColorizationLoss
from models import SMALL_MODEL, create_model
from models.text import Words
from scripts import benchmark
from scripts.benchmarking import generated_data, rows, timing
from scripts.benchmarking.generated_data import write_copies, write_photographs
from scripts.benchmarking.system import Timed
from utils import devices

B, SIDE, WORDS = 2, 32, 9


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> dict:
    file = tmp_path_factory.mktemp("benchmark") / "benchmark.json"
    words = f"--device cpu --threads 2 --model {SMALL_MODEL} --input_size {SIDE} --batch_size {B} --words {WORDS}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "PROCESSES", (2,))
        patch.setattr(rows, "CORES", 2)
        patch.setattr(timing, "MATRIX", {"cpu": (64, 1)})  # a product of that size says nothing of speed
        patch.setattr(rows, "TESTED", {"cpu": 4})
        patch.setattr(generated_data, "PHOTOGRAPHS", 16)
        patch.setattr(rows, "CONFIG", "configs/lcoins/smoke.yaml")
        patch.setitem(benchmark.SHARED_ROWS, "start", partial(rows.start_row, uncounted=0))
        patch.setattr(rows, "WIDTH", 400)
        patch.setattr(rows, "HEIGHT", 300)
        returned = benchmark.main([*words.split(), "--amp", "auto", "--repeats", "1", "--output", str(file)])
    assert json.loads(file.read_text()) == returned
    return returned


def test_every_row_holds_finite_positive_figures(report):
    assert report["matrix"].keys() == {"fp32_gflop_per_second", *["bf16_gflop_per_second"] * devices.cpu_has_bf16()}
    measured = report["models"][SMALL_MODEL]
    assert {*benchmark.SHARED_ROWS, *measured} == set(benchmark.ROWS)
    for row, figures in (measured | {name: report[name] for name in ("matrix", *benchmark.SHARED_ROWS)}).items():
        assert figures and all(map(math.isfinite, figures.values())), (row, figures)
        assert all(figures[name] > 0 for name in figures.keys() - {"rest_seconds", "rest_share"}), (row, figures)
    assert {"cpu", "cores", "threads", "torch", "torchvision", "timm", "transformers"} <= report["machine"].keys()
    assert report["command"].startswith("python scripts/benchmark.py --device cpu")


def test_figures_of_a_row_agree_with_each_other(report):
    measured = report["models"][SMALL_MODEL]
    training, memory, loader = (measured[row] for row in ("training", "memory", "loader"))
    assert measured["test"]["images_per_second"] * measured["test"]["seconds"] == pytest.approx(4)
    assert measured["evaluation"]["rest_share"] < 1
    assert memory["peak_gb"] > memory["before_training_gb"]
    assert {"files_one_core_images_per_second", "copies_one_core_images_per_second"} <= loader.keys()
    assert report["start"]["import_seconds"] < report["start"]["first_step_seconds"]
    consumed = training["images_per_second"]
    assert loader["all_cores_times_the_step"] == pytest.approx(loader["all_cores_images_per_second"] / consumed)
    assert measured["processes"].keys() == {"2_processes_images_per_second"}


def test_a_system_is_what_the_flags_say(tmp_path):
    write_photographs(tmp_path, 0, 24)
    words = f"--device cpu --model {SMALL_MODEL} --input_size {SIDE} --batch_size 3 --words 24 --amp none"
    system = Timed(SMALL_MODEL, benchmark.parse(words.split()), torch.device("cpu"), tmp_path)
    assert system.batch.rgb.shape == (3, 3, SIDE, SIDE) and system.images == 3
    assert system.batch.words.ids.shape[1] >= 24 + 2  # the tokenizer may cut a word in several


def test_copies_have_a_shorter_side_of_256_pixels(tmp_path):
    (tmp_path / "copies").mkdir()
    write_photographs(tmp_path, 5, WORDS)
    write_copies(tmp_path, tmp_path / "copies")
    names = {path.name for path in (tmp_path / "copies" / "train").iterdir()}
    assert names == {path.name for path in (tmp_path / "train").iterdir()}
    with Image.open(tmp_path / "copies" / "train" / "7.jpg") as copy:
        assert copy.size == (341, 256)


def test_a_training_that_does_not_start_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(rows, "CONFIG", "configs/none.yaml")
    with pytest.raises(RuntimeError, match=r"no first step of configs/none.yaml, status [12]: .*none.yaml"):
        rows._start(tmp_path, "output")


def test_processes_that_fail_are_told(monkeypatch, tmp_path):
    args = benchmark.parse(["--device", "cpu", "--model", SMALL_MODEL, "--amp", "none", "--input_size", "33"])
    with pytest.raises(RuntimeError, match=r"1 processes: [\s\S]*33"):
        rows._images_per_second(1, SMALL_MODEL, args, torch.device("cpu"))


def gflop_of_a_step(counter: bool) -> float:
    """Counted here, on the network and the loss alone: nothing else of a step multiplies matrices."""
    network = create_model(SMALL_MODEL, img_size=SIDE).network.train()
    words = Words(torch.randint(5, 4000, (B, WORDS + 2)), torch.ones(B, WORDS + 2, dtype=torch.bool))
    batch = Batch(None, words, words if counter else None, torch.full((B,), counter), [], [], [])
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), FlopCounterMode(display=False) as count:
        output = network(torch.rand(B, 1, SIDE, SIDE), words, batch.counter_words)
        batch = dataclasses.replace(batch, counter_count=torch.ones(()))
        ColorizationLoss()(output, torch.rand(B, 2, SIDE, SIDE), batch)["total"].backward()
    return count.get_total_flops() / 1e9


def test_operations_of_a_step_are_those_of_network_and_loss(report):
    training, forward = (report["models"][SMALL_MODEL][row]["gflop_per_image"] for row in ("training", "forward"))
    assert training == pytest.approx(gflop_of_a_step(counter=True) / B)
    assert training > gflop_of_a_step(counter=False) / B > 2 * forward


def test_count_gflop_agrees_with_the_formulas():
    H, N, M, D = 3, 5, 7, 4
    q, k, v = (torch.randn(B, H, n, D, requires_grad=True) for n in (N, M, M))
    forward = 2 * (2 * B * H * N * M * D)  # two products
    assert timing.count_gflop(lambda: attend(q, k, v)) == pytest.approx(forward / 1e9)
    assert timing.count_gflop(lambda: attend(q, k, v).sum().backward()) == pytest.approx(3 * forward / 1e9)

    double, image = nn.ConvTranspose2d(3, 2, kernel_size=4, stride=2, padding=1), torch.randn(B, 3, N, M)
    assert timing.count_gflop(lambda: double(image)) == pytest.approx(2 * B * 3 * 2 * 16 * N * M / 1e9)


def test_calls_take_turns_and_the_first_turn_is_not_counted():
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = timing.timed(calls, 2, torch.device("cpu"))
    assert order == ["a", "b"] * 3
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


@pytest.mark.parametrize("flag", ["--words 79", "--words 1", "--repeats 0", "--batch_size 0", "--model resnet50"])
def test_values_that_cannot_be_measured_are_refused(flag, capsys):
    with pytest.raises(SystemExit):
        benchmark.parse(flag.split())
    assert flag.split()[0] in capsys.readouterr().err
