"""Another system: a file, a registry line. It is trained, resumed, tested, used and exported by the same commands."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_data
from PIL import Image
from processes import ranks

import models
import run_colorization
from inference import Colorizer
from inference.photo import from_image
from scripts import export
from utils.errors import InputError

TOY = '''
"""Paints everything in one colour that it learns."""

from dataclasses import dataclass

import torch
from torch import nn

from losses import chroma_loss
from models.system import Coloring, System
from utils import color
from utils.options import number, setting


@dataclass(frozen=True)
class ToyConfig:
    img_size: int = number(16)
    tinted: bool = number(True, "--no-tinted: no tint to begin with")
    weight: float = setting(1.0, "weight of the loss", low=0)


class Toy(System):
    Config = ToyConfig

    def __init__(self, name, config, tokenizer=None):
        super().__init__(name, config, tokenizer)
        self.tint = nn.Parameter(torch.full((2,), 0.3 * config.tinted))

    def forward(self, batch):
        _, ab = color.split(batch.rgb)
        chroma = chroma_loss(self._ab(batch), ab)
        return {"chroma": chroma, "total": self.config.weight * chroma}

    def colorize(self, batch):
        return Coloring(self._ab(batch))

    def _ab(self, batch):
        return self.tint[None, :, None, None].expand(len(batch.rgb), 2, *batch.rgb.shape[2:])


TOY = ToyConfig()
'''
DRIVER = """
import json, sys
sys.path.insert(0, sys.argv[1])
import models, run_colorization
models.MODELS["toy"] = ("toy", "Toy", "TOY")
sys.exit(run_colorization.run(json.loads(sys.argv[2])))
"""


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Path:
    """The folder with its module; its registry line is there."""
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "toy.py").write_text(TOY)
    monkeypatch.syspath_prepend(str(tmp_path / "room"))
    monkeypatch.delitem(sys.modules, "toy", raising=False)
    monkeypatch.setitem(models.MODELS, "toy", ("toy", "Toy", "TOY"))
    return tmp_path / "room"


def test_a_system_needs_a_file_and_a_line(toy, tmp_path, capfd):
    data = write_data(tmp_path / "data", {"train": 8, "val": 3, "test": 3})
    words = ["--model", "toy", "--data_path", data, "--batch_size", 2, "--num_workers", 0, "--device", "cpu"]
    words = [str(word) for word in (*words, "--lr", 0.01, "--warmup_epochs", 0, "--min_lr", 0.001, "--weight", 2)]
    script = tmp_path / "train.py"
    script.write_text(DRIVER)

    def trained(folder: str, processes: int, *more: str) -> dict[str, torch.Tensor]:
        out = ["--output_dir", str(tmp_path / folder), *more]
        done = ranks(processes, script, [str(toy), json.dumps([*words, *out])])
        assert done.returncode == 0, done.stderr
        return torch.load(tmp_path / folder / "checkpoint-last.pth", weights_only=True)

    whole = trained("whole", 2, "--epochs", "2")
    assert whole["system"] == "toy" and whole["config"] == {"img_size": 16, "tinted": True, "weight": 2.0}
    assert whole["tokenizer"] is None and not torch.equal(whole["tensors"]["tint"], torch.full((2,), 0.3))
    one = trained("one", 1, "--epochs", "2", "--batch_size", "4")  # the same samples an update
    torch.testing.assert_close(one["tensors"], whole["tensors"])
    begun = trained("parts", 2, "--epochs", "1")
    assert begun["epoch"] == 1
    resumed = trained("parts", 2, "--epochs", "2", "--auto_resume", "--seed", "0")
    assert resumed["epoch"] == 2 and resumed["step"] == whole["step"]

    last = tmp_path / "whole" / "checkpoint-last.pth"
    test = [
        "--finetune",
        str(last),
        "--data_path",
        str(data),
        "--output_dir",
        str(tmp_path / "test"),
        "--device",
        "cpu",
    ]
    assert run_colorization.run([*test, "--num_workers", "0", "--test"]) == 0
    metrics = json.loads((tmp_path / "test" / "metrics.json").read_text())
    assert metrics["count"] == 3 and (tmp_path / "test" / "index.html").exists()
    assert run_colorization.run([*test, "--num_workers", "0", "--test", "--obedience"]) == 2
    assert "--obedience: toy reads no words" in capfd.readouterr().err

    gray = Image.fromarray(np.full((20, 31), 120, np.uint8))
    for made, name in ((last, "last"), (tmp_path / "toy.safetensors", "weights"), (tmp_path / "folder", "folder")):
        if name != "last":
            assert export.main([str(last), str(made), "--dtype", "float32"]) == 0
        colorizer = Colorizer.from_checkpoint(made, "cpu")
        (colored,) = colorizer.colorize(colorizer.encode(from_image(gray)), ["a red car"], explain_words=True)
        assert colored.image.size == gray.size and np.ptp(np.asarray(colored.image)[5, 5].astype(int)) > 10
        assert any("colours without words" in note for note in colored.notes)
    assert export.main([str(last), str(tmp_path / "toy.onnx")]) == 2
    assert "toy cannot be written as ONNX" in capfd.readouterr().err


def test_a_flag_of_another_system_names_it(toy, capfd):
    assert run_colorization.run(["--model", "toy", "--no-group_tokens"]) == 2
    told = capfd.readouterr().err
    assert "--group_tokens: a flag of --model colorization_vit_base_patch16_224_group_post, not of toy" in told
    assert run_colorization.run(["--tinted"]) == 2
    assert "--tinted: a flag of --model toy, not of colorization_vit" in capfd.readouterr().err
    assert run_colorization.run(["--model", "toy", "--weight", "-1"]) == 2
    assert "--weight -1.0: pass 0 or more" in capfd.readouterr().err
    with pytest.raises(SystemExit):
        run_colorization.parse(["--model", "toy", "--help"])
    told = capfd.readouterr().out
    assert "--tinted" in told and "--epochs" in told and "--group_tokens" not in told


def test_a_checkpoint_of_a_system_unknown_here_lists_the_known_ones(tmp_path, capfd):
    held = {
        "format": 2,
        "system": "unheard",
        "config": {},
        "stage": None,
        "tokenizer": None,
        "tensors": {},
        "ema": None,
    }
    torch.save(held, tmp_path / "other.pth")
    words = ["--finetune", str(tmp_path / "other.pth"), "--output_dir", str(tmp_path), "--test", "--device", "cpu"]
    assert run_colorization.run(words) == 2
    told = capfd.readouterr().err
    assert "holds 'unheard', which is unknown here; known are" in told and models.PAPER_MODEL in told
    with pytest.raises(InputError, match="no number of --model"):
        models.create_model(models.SMALL_MODEL, colour=3)
