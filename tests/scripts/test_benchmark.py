"""The benchmark measures what it says: rows, operations counted from shapes, turns. No figure of speed is asserted."""

import dataclasses
import json
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention as attend
from torch.utils.flop_counter import FlopCounterMode

from datasets.batch import Batch
from losses import ColorizationLoss
from models import SMALL_MODEL, create_model
from models.text import Words
from scripts import benchmark
from scripts.benchmarking import timing
from utils import devices

B, SIDE, WORDS = 2, 32, len(benchmark.CAPTION.split())


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> dict:
    file = tmp_path_factory.mktemp("benchmark") / "benchmark.json"
    words = f"--device cpu --model {SMALL_MODEL} --input_size {SIDE} --batch_size {B}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "CORES", 2)
        patch.setattr(timing, "MATRIX", {"cpu": (64, 1)})  # a product of that size says nothing of speed
        patch.setattr(benchmark, "PHOTOGRAPHS", 16)
        returned = benchmark.main([*words.split(), "--amp", "auto", "--repeats", "1", "--output", str(file)])
    assert json.loads(file.read_text()) == returned
    return returned


def test_every_row_holds_finite_positive_figures(report):
    assert report["matrix"].keys() == {"fp32_gflop_per_second", *["bf16_gflop_per_second"] * devices.cpu_has_bf16()}
    measured = report["models"][SMALL_MODEL]
    assert {*measured} == set(benchmark.ROWS)
    for row, figures in (measured | {"matrix": report["matrix"]}).items():
        assert figures and all(map(math.isfinite, figures.values())), (row, figures)
        assert all(figures[name] > 0 for name in figures.keys() - {"rest_share"}), (row, figures)
    assert {"cpu", "cores", "torch", "torchvision", "timm", "transformers"} <= report["machine"].keys()
    assert report["command"].startswith("python scripts/benchmark.py --device cpu")


def test_figures_of_a_row_agree_with_each_other(report):
    measured = report["models"][SMALL_MODEL]
    memory, loader = measured["memory"], measured["loader"]
    assert measured["evaluation"]["rest_share"] < 1
    assert memory["peak_gb"] > memory["before_training_gb"]
    assert loader.keys() == {"one_worker_images_per_second", "all_cores_images_per_second"}


def test_a_system_is_what_the_flags_say(tmp_path):
    benchmark.write_photographs(tmp_path, 3)
    words = f"--device cpu --model {SMALL_MODEL} --input_size {SIDE} --batch_size 3 --amp none"
    system = benchmark.Timed(SMALL_MODEL, benchmark.parse(words.split()), torch.device("cpu"), tmp_path)
    assert system.batch.rgb.shape == (3, 3, SIDE, SIDE) and len(system.batch.names) == 3
    assert system.batch.words.ids.shape[1] >= WORDS + 2  # the tokenizer may cut a word in several


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


@pytest.mark.parametrize("flag", ["--repeats 0", "--batch_size 0", "--model resnet50"])
def test_values_that_cannot_be_measured_are_refused(flag, capsys):
    with pytest.raises(SystemExit):
        benchmark.parse(flag.split())
    assert flag.split()[0] in capsys.readouterr().err
