"""On a GPU: the same numbers as on a CPU, compiled and not; training and its memory-saving flags under NCCL."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ROOT, write_data
from PIL import Image

import run_colorization
from augment import LuminanceAugmentation
from datasets import CaptionedOptions, build_eval_loader
from datasets.batch import Batch
from engine import evaluate
from evaluation.measure import Measure, means
from inference import Colorizer
from models import SCENES_MODEL, create_model
from models.text import CaptionTokenizer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: PyTorch sees none here")
RANDOM = ["--image_encoder_weights", "random", "--text_encoder_weights", "random", "--model", SCENES_MODEL]
QUIET = ["--no-luminance_augmentation", "--drop_path", "0", "--no-group_tokens"]  # nothing is drawn
CAPTIONS = ["a red ball on a box", "a blue cup and a very large green star, on the left of an orange ring"]
COUNTER = ["a pink ball on a box", "a green cup and a very large blue star, on the left of a tan ring"]


def losses_and_gradients(device, *words):
    args = run_colorization.parse([*RANDOM, *QUIET, *words])
    system = run_colorization.build_system(args, None).to(device)
    tokenizer = system.tokenizer
    rgb = (torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 255).byte()
    both = torch.ones(2, dtype=torch.bool)
    batch = Batch(rgb, tokenizer(CAPTIONS), tokenizer(COUNTER), both, CAPTIONS, [], []).to(torch.device(device))
    (batch,) = system.begin_update([batch], torch.device(device))
    losses = system(batch)
    losses["total"].backward()
    return losses, {name: p.grad.cpu() for name, p in system.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("words", [[], ["--compile"]])
def test_losses_and_gradients_are_the_cpu_s(words, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)  # else convolutions keep ten bits
    losses, gradients = losses_and_gradients("cpu")
    same, on_gpu = losses_and_gradients("cuda", *words)
    for name, value in losses.items():
        torch.testing.assert_close(same[name].cpu(), value, rtol=1e-4, atol=1e-6)
    assert gradients.keys() == on_gpu.keys()
    largest = max(gradient.norm() for gradient in gradients.values())
    for name, gradient in gradients.items():
        if name.endswith("key.bias"):  # it adds the same to every key's product: no attention, no gradient but rounding
            assert max(on_gpu[name].norm(), gradient.norm()) <= 1e-8 * largest, name
        else:
            assert (on_gpu[name] - gradient).norm() <= 1e-2 * gradient.norm(), name


def test_luminance_augmentation_draws_on_the_device():
    rgb, augment = torch.rand(5, 3, 19, 23), LuminanceAugmentation()
    torch.manual_seed(0)
    degrees, gamma = augment.draw(5, torch.device("cuda"))
    augment.draw = lambda batch, device: (degrees.to(device), gamma.to(device))
    assert degrees.device.type == "cuda"
    torch.testing.assert_close(augment(rgb.cuda()).cpu(), augment(rgb), rtol=0, atol=2e-5)


def test_evaluation_figures_are_the_cpu_s(tmp_path):
    data = write_data(tmp_path / "data", {"val": 5})
    args = run_colorization.parse([*RANDOM, "--data_path", str(data), "--batch_size", "2", "--num_workers", "0"])
    system = run_colorization.build_system(args, None)
    loader = build_eval_loader(CaptionedOptions(), str(data), "val", system, 2, 0)
    figures = {}
    for device in ("cpu", "cuda"):  # rounded: the last bit decides which whole number is the one below
        rows = evaluate(system.to(device), loader, torch.device(device), "none", Measure(protocol="rounded"))
        figures[device] = means(rows)
    for name in ("psnr", "ssim", "ciede2000", "chroma_error"):
        for row in ("model", "gray"):
            assert figures["cuda"][row][name] == pytest.approx(figures["cpu"][row][name], rel=1e-4)


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_a_compiled_training_is_interrupted_and_resumed(tmp_path, amp):
    data = write_data(tmp_path / "data", {"train": 16, "val": 2})
    words = [*RANDOM, "--data_path", str(data), "--output_dir", str(tmp_path / "run"), "--amp", amp, "--compile"]
    words += ["--batch_size", "4", "--device", "cuda", "--warmup_epochs", "0", "--lr", "1e-3", "--num_workers", "1"]
    assert run_colorization.run([*words, "--epochs", "1"]) == 0
    assert run_colorization.run([*words, "--epochs", "2", "--auto_resume"]) == 0
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [4, 8]
    assert all(np.isfinite(line["train"]["total"]) for line in log)


def test_a_shared_optimizer_and_bf16_gradients_under_nccl(tmp_path):
    data = write_data(tmp_path / "data", {"train": 8, "val": 2})
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=1"]
    command += ["run_colorization.py", *RANDOM, "--data_path", str(data), "--output_dir", str(tmp_path / "run")]
    command += ["--batch_size", "4", "--epochs", "1", "--amp", "bf16", "--shard_optimizer", "--bf16_gradients"]
    done = subprocess.run([*command, "--device", "cuda"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "run" / "checkpoint-last.pth").is_file()


def test_colorizer_paints_the_cpu_s_picture():
    torch.manual_seed(0)
    system = create_model(SCENES_MODEL, tokenizer=CaptionTokenizer.from_vocabulary())
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 130), dtype=np.uint8))
    on_cpu = Colorizer(system, "cpu", "none")(photo, CAPTIONS)
    on_gpu = Colorizer(system, "cuda", "none")(photo, CAPTIONS)
    for one, other in zip(on_cpu, on_gpu, strict=True):
        assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).max() <= 2
