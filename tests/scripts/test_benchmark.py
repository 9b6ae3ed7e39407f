"""The benchmark measures what it says: rows, operations counted from shapes, turns. No figure of speed is asserted."""

import json
import math
from functools import partial

import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.functional import scaled_dot_product_attention as attend
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig

from datasets.batch import Batch
from losses import ColorizationLoss
from models import RELEASE_MODEL, SMALL_MODEL, create_model
from models.text import Words
from scripts import (
    benchmark,
    benchmark_data,
    benchmark_growth,
    benchmark_photo,
    benchmark_start,
    benchmark_testing,
    benchmark_timing,
)
from scripts.benchmark_data import write_copies, write_photographs
from scripts.benchmark_release import compute_everything
from utils import devices

B, SIDE, WORDS = 2, 32, 9
SMALL_RELEASE = {
    "img_size": 48,
    "image_width": 32,
    "image_depth": 2,
    "image_heads": 4,
    "dim": 32,
    "depth": 2,
    "num_heads": 4,
    "text_config": BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64, max_position_embeddings=80
    ),
}


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> dict:
    release_row = benchmark.release_row
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "release_row", partial(release_row, paper_model=SMALL_MODEL, **SMALL_RELEASE))
        patch.setattr(benchmark, "start_row", partial(benchmark_start.start_row, uncounted=0))
        patch.setattr(benchmark_growth, "PROCESSES", (2,))
        patch.setattr(benchmark_growth, "CORES", 2)
        patch.setattr(benchmark_growth, "WORDS", (6, 24))
        patch.setattr(benchmark_timing, "MATRIX", {"cpu": (64, 1)})  # a product of that size says nothing of speed
        patch.setattr(benchmark_testing, "IMAGES", {"cpu": 4})
        patch.setattr(benchmark_data, "SCENES_TIMED", 2)
        patch.setattr(benchmark_data, "PHOTOGRAPHS", 16)
        patch.setattr(benchmark_start, "CONFIG", "configs/smoke.yaml")
        patch.setattr(benchmark_photo, "WIDTH", 400)
        patch.setattr(benchmark_photo, "HEIGHT", 300)
        return whole_report(tmp_path_factory)


def whole_report(tmp_path_factory) -> dict:
    file = tmp_path_factory.mktemp("benchmark") / "benchmark.json"
    words = f"--device cpu --threads 2 --model {SMALL_MODEL} --input_size {SIDE} --batch_size {B} --words {WORDS}"
    returned = benchmark.main(
        [
            *words.split(),
            "--amp",
            "auto",
            "--repeats",
            "1",
            "--output",
            str(file),
            "--plot",
            str(file.with_suffix(".png")),
        ]
    )
    assert json.loads(file.read_text()) == returned
    with Image.open(file.with_suffix(".png")) as plot:
        assert plot.width > plot.height > 100
    return returned


def test_every_row_holds_finite_positive_figures(report):
    bf16 = devices.cpu_has_bf16()
    assert report["matrix"].keys() == {"fp32_gflop_per_second", *["bf16_gflop_per_second"] * bf16}
    rows = report["models"][SMALL_MODEL]
    assert {*benchmark.SHARED_ROWS, *rows} == set(benchmark.ROWS)
    assert ("fused_attention_time_ratio" in rows["training"]) == ("bf16_speedup" in report["release"]) == bf16
    for row, figures in (rows | {name: report[name] for name in ("matrix", *benchmark.SHARED_ROWS)}).items():
        assert figures and all(math.isfinite(value) and value > 0 for value in figures.values()), (row, figures)
    assert {"cpu", "cores", "threads", "torch", "torchvision", "timm", "transformers"} <= report["machine"].keys()
    assert report["command"].startswith("python scripts/benchmark.py --device cpu")


def test_everything_of_the_release_gives_the_same_colours_and_the_bins():
    torch.manual_seed(0)
    model = create_model(RELEASE_MODEL, **SMALL_RELEASE).eval()
    gray, words = (
        torch.rand(2, 1, 48, 48) * 2 - 1,
        Words(torch.randint(1, 50, (2, 5)), torch.ones(2, 5, dtype=torch.bool)),
    )
    with torch.no_grad():
        ab, bins = compute_everything(model, gray, words)
        torch.testing.assert_close(ab, model(gray, words).ab)
    assert ab.std() > 1e-4 and bins.shape == (2, 48 * 48, 313)


def test_figures_of_a_row_agree_with_each_other(report):
    rows = report["models"][SMALL_MODEL]
    training, evaluation, memory, loader = (rows[row] for row in ("training", "evaluation", "memory", "loader"))
    assert rows["test"]["images_per_second"] * rows["test"]["seconds"] == pytest.approx(rows["test"]["images"])
    with_, without = training["images_per_second"], training["images_per_second_without_counter"]
    assert training["counter_time_ratio"] == pytest.approx(without / with_)  # one turn: no median to differ by
    assert training["time_over_operations"] == pytest.approx(without / with_ / training["counter_operation_ratio"])
    both = evaluation["metrics_share"] + evaluation["color_share"]
    assert evaluation["metrics_and_color_share"] == pytest.approx(both)
    assert memory["peak_gb"] > memory["before_training_gb"]
    assert {"files_one_core_images_per_second", "copies_one_core_images_per_second"} <= loader.keys()
    assert report["start"]["import_seconds"] < report["start"]["first_step_seconds"]
    assert loader["all_cores_times_the_step"] == pytest.approx(loader["all_cores_images_per_second"] / with_)


def test_the_growth_has_every_axis(report):
    assert report["growth"]["model"] == SMALL_MODEL
    points = report["growth"]["milliseconds_per_image"]
    assert {axis: list(values) for axis, values in points.items()} == {
        "batch": ["1", "2", "4"],
        "side": [str(SIDE)],
        "words": ["6", "24"],
        "processes": ["2"],
    }
    assert all(math.isfinite(value) and value > 0 for axis in points.values() for value in axis.values())


def test_a_point_of_the_growth_is_what_it_says(tmp_path):
    words = f"--device cpu --model {SMALL_MODEL} --input_size {SIDE} --batch_size 3 --words 24"
    run = benchmark_growth._run(SMALL_MODEL, benchmark.parse(words.split()), torch.device("cpu"), tmp_path)
    assert run.batch.rgb.shape == (3, 3, SIDE, SIDE)
    assert run.batch.words.ids.shape == run.batch.counter_words.mask.shape == (3, 24 + 2)


def test_the_hours_of_the_papers_training():
    hours = benchmark.hours_of_the_paper_s_training(1000.0)
    assert hours["paper_s_epochs_hours"] == pytest.approx(80 * 59 / 3600)  # 59 seconds an epoch
    assert hours["paper_s_own_hours_on_8_rtx_3090"] == 40


def test_copies_have_a_shorter_side_of_256_pixels(tmp_path):
    (tmp_path / "copies").mkdir()
    write_photographs(tmp_path, 5, WORDS)
    write_copies(tmp_path, tmp_path / "copies")
    names = {path.name for path in (tmp_path / "copies" / "train").iterdir()}
    assert names == {path.name for path in (tmp_path / "train").iterdir()}
    with Image.open(tmp_path / "copies" / "train" / "7.jpg") as copy:
        assert copy.size == (341, 256)


def test_a_training_that_does_not_start_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark_start, "PROGRAM", "import sys; print('imported'); sys.exit('no pictures')")
    with pytest.raises(RuntimeError, match="with 1 before its first step: no pictures"):
        benchmark_start._start(tmp_path)


def gflop_of_a_step(counter: bool) -> float:
    """Counted here, on the network and the loss alone: nothing else of a step multiplies matrices."""
    network = create_model(SMALL_MODEL, img_size=SIDE).train()
    words = Words(torch.randint(5, 4000, (B, WORDS + 2)), torch.ones(B, WORDS + 2, dtype=torch.bool))
    batch = Batch(None, words, words if counter else None, torch.full((B,), counter), [], [], [])
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH), FlopCounterMode(display=False) as count:
        output = network(torch.rand(B, 1, SIDE, SIDE), words, batch.counter_words)
        criterion = ColorizationLoss()
        shared = criterion.shared([batch], torch.device("cpu"))
        criterion(output, torch.rand(B, 2, SIDE, SIDE), batch, shared)["total"].backward()
    return count.get_total_flops() / 1e9


def test_operations_of_a_step_are_those_of_network_and_loss(report):
    training = report["models"][SMALL_MODEL]["training"]
    own, plain = gflop_of_a_step(counter=True), gflop_of_a_step(counter=False)
    assert training["gflop_per_image"] > training["gflop_per_image_without_counter"]
    assert training["gflop_per_image"] == pytest.approx(own / B)
    assert training["gflop_per_image_without_counter"] == pytest.approx(plain / B)
    assert training["counter_operation_ratio"] == pytest.approx(own / plain)


def test_count_gflop_agrees_with_the_formulas():
    H, N, M, D = 3, 5, 7, 4
    q, k, v = (torch.randn(B, H, n, D, requires_grad=True) for n in (N, M, M))
    forward = 2 * (2 * B * H * N * M * D)  # two products
    assert benchmark.count_gflop(lambda: attend(q, k, v)) == pytest.approx(forward / 1e9)
    assert benchmark.count_gflop(lambda: attend(q, k, v).sum().backward()) == pytest.approx(3 * forward / 1e9)

    double, image = nn.ConvTranspose2d(3, 2, kernel_size=4, stride=2, padding=1), torch.randn(B, 3, N, M)
    assert benchmark.count_gflop(lambda: double(image)) == pytest.approx(2 * B * 3 * 2 * 16 * N * M / 1e9)


def test_calls_take_turns_and_the_first_turn_is_not_counted():
    order: list[str] = []
    calls = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = benchmark.timed(calls, 2, torch.device("cpu"))
    assert order == ["a", "b"] * 3
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_recorded_calls_can_be_made_again():
    with benchmark.recorded((math, "hypot"), (math, "floor")) as calls:
        assert math.hypot(3, 4) == 5 and math.floor(2.5) == 2
    assert [call() for call in calls] == [5, 2]
    assert math.hypot(6, 8) == 10 and len(calls) == 2  # no longer listening


@pytest.mark.parametrize("flag", ["--words 79", "--words 1", "--repeats 0", "--batch_size 0", "--model resnet50"])
def test_values_that_cannot_be_measured_are_refused(flag, capsys):
    with pytest.raises(SystemExit):
        benchmark.parse(flag.split())
    assert flag.split()[0] in capsys.readouterr().err
