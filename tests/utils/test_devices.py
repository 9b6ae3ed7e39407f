"""utils/devices.py: where and by what the work is done."""

import argparse
import copy
import logging
import os
import platform
import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from PIL import Image
from timm.optim import create_optimizer_v2, muon
from torch import nn

import run_colorization
from models import PHOTOS_MODEL, create_model
from models.text import CaptionTokenizer
from scripts import app, benchmark, colorize, figures
from utils import devices
from utils.errors import InputError

CPU = torch.device("cpu")
NOT_HERE = ("xpu", "meta", "nonsense", "cuda:7", "cuda:-1", "mps", "mps:1", "cpu:3", "CPU", "")


@pytest.fixture
def fresh():
    """Nothing is known of the machine yet, and nothing was said."""
    kept = devices._say_once, devices._mps_works, devices.check_compiler
    level = logging.getLogger().level  # of an earlier test's run
    logging.getLogger().setLevel(logging.WARNING)
    for cached in kept:
        cached.cache_clear()
    yield
    logging.getLogger().setLevel(level)
    for cached in kept:
        cached.cache_clear()


@pytest.mark.parametrize(("has_bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_muon_multiplies_in_bf16_only_where_the_cpu_can(monkeypatch, has_bf16, dtype):
    monkeypatch.setattr(muon, "zeropower_via_newtonschulz", muon.zeropower_via_newtonschulz)  # put back afterwards
    monkeypatch.setattr(devices, "cpu_has_bf16", lambda: has_bf16)
    seen, multiply = set(), torch.addmm

    def noted(*args, **options):
        seen.add(args[0].dtype)
        return multiply(*args, **options)

    monkeypatch.setattr(muon.torch, "addmm", noted)
    devices.avoid_slow_muon(CPU)
    weight = nn.Parameter(torch.randn(6, 4))
    optimizer = create_optimizer_v2([weight], opt="nmuon", lr=0.1)
    weight.square().sum().backward()
    optimizer.step()
    assert seen == {dtype}


@pytest.fixture
def no_apple_gpu(monkeypatch, fresh):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.mark.parametrize("name", NOT_HERE)
def test_a_device_that_is_not_there_is_one_line(name, no_apple_gpu):
    with pytest.raises(InputError, match=f"--device {name}: [^\n]*pass [^\n]*cpu") as told:
        devices.choose(name)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("name", ["xpu", "mps"])
def test_every_command_says_it_in_one_line(name, no_apple_gpu, tmp_path, capsys):
    Image.new("L", (8, 8), 90).save(tmp_path / "a.png")
    flags, out = ["--device", name], ["--output", str(tmp_path / "out")]
    checkpoint = ["--checkpoint", str(ROOT / "checkpoints" / "scenes.safetensors")]
    statuses = [
        colorize.main([str(tmp_path / "a.png"), *out, *checkpoint, *flags]),
        app.main([*checkpoint, *flags, "--port", "0"]),
        run_colorization.run([*flags, "--output_dir", str(tmp_path / "run")]),
    ]
    assert statuses == [2, 2, 2] and not (tmp_path / "out").exists()
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3 and all(f"--device {name}: " in line for line in told), told
    with pytest.raises(InputError, match=f"--device {name}: "):
        benchmark.main(flags)
    networks = ["--networks", f"a={checkpoint[1]}"]
    assert figures.main(["ablations", *networks, "--output", str(tmp_path / "fig.png"), *flags]) == 2
    assert capsys.readouterr().err.count(f"--device {name}: ") == 1


def test_auto_takes_apples_gpu_where_it_works_and_float64_is_not_asked_for(monkeypatch, fresh):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert devices.choose("auto") == CPU  # it is seen, but fails at the first product
    with pytest.raises(InputError, match="no working Apple GPU"):
        devices.choose("mps")
    monkeypatch.setattr(devices, "_mps_works", lambda: True)
    assert devices.choose("auto") == devices.choose("mps") == torch.device("mps")
    assert devices.choose("auto", float64=True) == CPU
    with pytest.raises(InputError, match="float64"):
        devices.choose("mps", float64=True)


OLDER = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
ASK = """
import torch
from utils import devices
cpu = torch.device("cpu")
print(devices.precision("auto", cpu), devices.precision("bf16", cpu), devices.precision("bf16", cpu))
"""


def test_a_cpu_made_to_act_as_an_older_one_takes_fp32_and_obeys_bf16_with_one_warning():
    run = [sys.executable, "-c", ASK]
    done = subprocess.run(run, cwd=ROOT, env=os.environ | OLDER, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["none", "bf16", "bf16"]
    assert len(done.stderr.splitlines()) == 1 and "about 55 times as long" in done.stderr


@pytest.mark.parametrize(
    ("machine", "library", "limit", "kernels", "avx512", "amx", "expected"),
    [
        ("x86_64", True, None, "AVX512", True, False, True),
        ("AMD64", True, "ALL", "AVX512", False, True, True),  # Windows' name of it
        ("x86_64", True, "avx512_core_bf16", "AVX512", True, True, True),
        ("x86_64", True, None, "AVX512", False, False, False),  # AVX-512 without bf16: oneDNN emulates it
        ("x86_64", True, "AVX512_CORE_VNNI", "AVX512", True, True, False),
        ("x86_64", True, None, "AVX2", True, True, False),
        ("x86_64", False, "AVX2", "AVX512", True, True, False),
        ("aarch64", True, None, "DEFAULT", False, False, True),
        ("aarch64", False, None, "SVE256", False, False, False),
    ],
)
def test_the_instructions_decide(machine, library, limit, kernels, avx512, amx, expected, monkeypatch, fresh):
    monkeypatch.delenv("DNNL_MAX_CPU_ISA", raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    if limit is not None:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: library)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: kernels)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert devices.precision("auto", CPU) == ("bf16" if expected else "none")
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)  # as on macOS
    assert devices.precision("auto", CPU) == "none"


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), "fp16"), ((8, 0), "bf16"), ((9, 0), "bf16")])
def test_a_gpu_decides_by_its_capability(capability, expected, monkeypatch, fresh, caplog):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    with caplog.at_level(logging.INFO, logger="utils.devices"):
        assert {devices.precision("auto", torch.device("cuda")) for _ in range(3)} == {expected}
    assert [record.getMessage() for record in caplog.records] == [
        f"--amp auto: {expected}, by the instructions of this CUDA"
    ]
    assert devices.precision("auto", torch.device("mps")) == "none"
    assert devices.precision("none", torch.device("cuda")) == "none"


def settled(start=None, **flags) -> str:
    args = argparse.Namespace(**{"compile": False, "amp": "auto", "eval": False, "test": False, "resume": None} | flags)
    run_colorization.settle_machine(args, start, CPU)
    return args.amp


@pytest.mark.parametrize("native", ["bf16", "none"])
def test_what_auto_becomes_of_a_run(native, monkeypatch, fresh):
    monkeypatch.setattr(devices, "cpu_has_bf16", lambda: native == "bf16")
    assert settled() == native and settled(amp="fp16") == "fp16"
    assert settled(test=True) == settled(eval=True) == "none"  # a card's figures are the same on every machine
    assert settled(test=True, amp="bf16") == "bf16"
    for recorded in ("bf16", "none"):
        assert settled({"run": {"amp": recorded}}, resume="last.pth") == recorded
    assert settled({"run": {}}, resume="last.pth") == native  # a file from before the flag
    assert settled({"run": {"amp": "bf16"}}, resume="last.pth", amp="none") == "none"


def test_compile_without_a_compiler_is_one_line_before_any_photograph(tmp_path, monkeypatch, fresh, capsys):
    Image.new("L", (8, 8), 90).save(tmp_path / "a.png")
    words = [str(tmp_path / "a.png"), "--output", str(tmp_path / "out"), "--compile", "--device", "cpu"]
    words += ["--checkpoint", str(ROOT / "checkpoints" / "scenes.safetensors")]
    for name in ("CXX", "CC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    assert colorize.main(words) == 2 and not (tmp_path / "out").exists()
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1 and "--compile: " in told and "C++ compiler" in told, told


def test_every_command_asks_for_the_compiler_first(tmp_path, monkeypatch, fresh):
    def fails(*_, **__):
        raise RuntimeError("\n\nno g++\nand more")

    monkeypatch.setattr(torch, "compile", fails)
    message = r"--compile: PyTorch cannot compile here \(no g\+\+\); install a C\+\+ compiler"
    with pytest.raises(InputError, match=message):
        settled(compile=True)
    with pytest.raises(InputError, match=message):
        benchmark.main(["--compile", "--device", "cpu"])


def test_linear_maps_by_onednn_give_the_same_colours_under_the_same_names():
    torch.manual_seed(0)
    network = create_model(PHOTOS_MODEL, depth=1, image_depth=1).network.eval().requires_grad_(False)
    words = CaptionTokenizer.from_vocabulary()(["a red ball", "a blue cup on a green box"])
    gray = torch.rand(2, 1, 112, 112)
    expected, before = network(gray, words), copy.deepcopy(network.state_dict())
    devices.linear_by_onednn(network)
    replaced = {name for name, module in network.named_modules() if type(module).__name__ == "_LinearByOneDNN"}
    assert "image_encoder.vit.blocks.0.mlp.fc1" in replaced and "language_head" not in replaced
    assert "text_encoder.encoder.encoder.layer.0.intermediate.dense" in replaced
    given = network(gray, words)
    torch.testing.assert_close(given.ab, expected.ab, rtol=0, atol=1e-5)
    after = network.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(after[name], before[name]) for name in before)
    torch.compiler.reset()
    traced = torch.compile(network, backend="eager", fullgraph=True)(gray, words)
    torch.testing.assert_close(traced.ab, expected.ab, rtol=0, atol=1e-5)


def test_weights_kept_in_bf16_give_the_same_numbers():
    torch.manual_seed(0)
    network = create_model(PHOTOS_MODEL, depth=1, image_depth=1).network.eval().requires_grad_(False)
    words, gray = (
        CaptionTokenizer.from_vocabulary()(["a red ball", "a blue cup on a green box"]),
        torch.rand(2, 1, 112, 112),
    )
    before = copy.deepcopy(network.state_dict())
    with devices.autocast(torch.device("cpu"), "bf16"):
        expected = network(gray, words)
        devices.linear_by_onednn(network, "fp16")
        assert not [module for module in network.modules() if type(module).__name__ == "_LinearByOneDNN"]
        devices.linear_by_onednn(network, "bf16")
        given = network(gray, words)
        torch.compiler.reset()
        traced = torch.compile(network, backend="eager", fullgraph=True)(gray, words)
    kept = [module.kept for module in network.modules() if type(module).__name__ == "_LinearByOneDNN"]
    assert all(kept) and bool(kept) == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    assert torch.equal(given.ab, expected.ab) and torch.equal(traced.ab, expected.ab)
    after = network.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(after[name], before[name]) for name in before)


def test_onednn_is_what_computes_them(monkeypatch):
    network = nn.Sequential(nn.Linear(1024, 512), nn.Linear(512, 4)).requires_grad_(False)
    x = torch.rand(3, 2, 1024)
    expected, calls = network(x), []
    devices.linear_by_onednn(network)
    product = torch.ops.mkldnn._linear_pointwise
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", lambda *inputs: calls.append(1) or product(*inputs))
    torch.testing.assert_close(network(x), expected)
    assert calls == [1]  # the second is small
