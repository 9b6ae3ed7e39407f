"""A checkpoint as a weights file and as a folder: the same network, and nothing of anybody else's is lost."""

import json

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image
from safetensors.torch import load_file
from transformers import BertConfig

import models
import models.lcoins.release_file
from datasets.batch import Batch
from inference import Colorizer, hub_folder
from models import RELEASE_MODEL, SCENES_MODEL, create_model
from models.lcoins.config import ReleaseConfig
from models.lcoins.release import released
from models.text import CaptionTokenizer
from scripts import export
from utils import checkpoint

CHECKPOINT = ROOT / "checkpoints" / "scenes.safetensors"
CAPTION = "a red ball on the left and a blue cup on the right"
GRAY = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70)).astype(np.uint8))
FILES = ["README.md", "config.json", "model.safetensors"]


def run(*words: object) -> int:
    return export.main([str(word) for word in words])


def colored(source: object) -> np.ndarray:
    return np.asarray(Colorizer.from_checkpoint(source, "cpu")(GRAY, CAPTION))


def held(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def expected():
    return colored(CHECKPOINT)


@pytest.fixture
def trained(tmp_path):
    """A checkpoint as a training writes it, whose moving average is not its weights; -> its path and the average."""
    torch.manual_seed(0)
    system, averaged = (create_model(SCENES_MODEL, CaptionTokenizer.from_vocabulary()) for _ in range(2))
    checkpoint.save(tmp_path / "checkpoint-last.pth", system.content() | {"ema": averaged.state_dict(), "step": 3})
    return tmp_path / "checkpoint-last.pth", averaged.state_dict()


@pytest.mark.parametrize("words", [(), ("--dtype", "float32")])
@pytest.mark.parametrize("name", ["deep/er/out.safetensors", "out", "out.v1/"])
def test_the_export_gives_the_same_picture(tmp_path, capsys, expected, words, name):
    assert run(CHECKPOINT, f"{tmp_path}/{name}", *words) == 0
    np.testing.assert_array_equal(colored(tmp_path / name), expected)
    precision = torch.float32 if words else torch.float16
    folder = not name.endswith(".safetensors")
    weights = tmp_path / name / "model.safetensors" if folder else tmp_path / name
    assert {tensor.dtype for tensor in load_file(weights).values()} == {precision}
    assert capsys.readouterr().out == f"{weights}: {weights.stat().st_size / 1e6:.1f} MB\n"
    assert sorted(path.name for path in weights.parent.iterdir()) == (FILES if folder else ["out.safetensors"])
    assert not list(tmp_path.rglob(".*"))  # nothing left beside


def test_the_factor_of_the_chroma_is_held_and_its_colours_are_stronger(tmp_path, capsys):
    assert run(CHECKPOINT, tmp_path / "out.safetensors", "--chroma_scale", "1.5") == 0
    assert run(CHECKPOINT, tmp_path / "out.onnx", "--chroma_scale", "1.5") == 0
    plain, scaled = (
        Colorizer.from_checkpoint(path, "cpu", "none") for path in (CHECKPOINT, tmp_path / "out.safetensors")
    )
    words = plain.tokenizer([CAPTION])
    rgb = torch.rand(1, 3, plain.system.img_size, plain.system.img_size, generator=torch.Generator().manual_seed(0))
    ab, stronger = (one.system.colorize(Batch.plain(rgb, [CAPTION], words)).ab for one in (plain, scaled))
    assert torch.equal(stronger, (ab * 1.5).clamp(-1, 1)) and (stronger - ab).abs().max() > 0.05
    graph = Colorizer.from_checkpoint(tmp_path / "out.onnx").system.colorize(Batch.plain(rgb, [CAPTION], words)).ab
    torch.testing.assert_close(graph, stronger, atol=2e-4, rtol=0)
    for factor, said in (("0", "pass a factor above 0"), ("nan", "pass a factor above 0")):
        assert run(CHECKPOINT, tmp_path / "other.safetensors", "--chroma_scale", factor) == 2
        assert said in capsys.readouterr().err


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_checkpoint_s_moving_average_is_what_is_exported(trained, tmp_path, dtype):
    path, averaged = trained
    assert run(path, tmp_path / "out", "--dtype", str(dtype).removeprefix("torch.")) == 0
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    assert tensors.keys() == averaged.keys()
    assert all(torch.equal(tensor, averaged[name].to(dtype)) for name, tensor in tensors.items())


def test_config_and_card_tell_the_facts(tmp_path):
    assert run(CHECKPOINT, tmp_path / "out") == 0
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["model"] == SCENES_MODEL and config["parameters"] == 2_458_898 and config["dtype"] == "float16"
    assert config["img_size"] == 64 and config["text_config"]["vocab_size"] == 4096
    card = (tmp_path / "out" / "README.md").read_text()
    size = (tmp_path / "out" / "model.safetensors").stat().st_size
    for fact in (SCENES_MODEL, "2,458,898", "64 × 64", f"float16, {size / 1e6:.1f} MB", "license: unknown"):
        assert fact in card
    assert "--no-" not in card


def test_whoever_may_read_the_card_may_read_the_weights(tmp_path):
    assert run(CHECKPOINT, tmp_path / "out") == 0
    assert len({path.stat().st_mode for path in (tmp_path / "out").iterdir()}) == 1


def test_an_ablation_is_named_on_the_card(tmp_path):
    system = create_model(SCENES_MODEL, CaptionTokenizer.from_vocabulary(), group_tokens=False)
    hub_folder.write(tmp_path / "out", system.content(), torch.float16)
    assert f"`{SCENES_MODEL}`, `--no-group_tokens` |" in (tmp_path / "out" / "README.md").read_text()


def test_the_authors_file_becomes_one_of_ours(tmp_path, monkeypatch):
    """Small numbers stand in the place of the large ones."""
    text = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 14}
    numbers = {"img_size": 48, "image_width": 24, "image_depth": 2, "image_heads": 3, "dim": 20, "depth": 2}
    numbers |= {"num_heads": 5, "num_groups": 4, "group_mixing": 6, "channels": (10, 8, 6, 5, 3)}
    small = ReleaseConfig(**numbers | {"text_config": BertConfig(**text)})
    monkeypatch.setattr(models.lcoins, "RELEASE", small)
    monkeypatch.setattr(models.lcoins.release_file, "RELEASE", small)
    torch.manual_seed(0)
    weights = {name: tensor.half().float() for name, tensor in released(small).state_dict().items()}
    torch.save({"model": weights, "epoch": 79}, tmp_path / "authors.pth")
    assert run(tmp_path / "authors.pth", tmp_path / "out") == 0
    content = checkpoint.read(str(tmp_path / "out" / "model.safetensors"))
    facts = {"counter_color": False, "img_size": 48}  # it has no features for that loss
    assert content["system"] == RELEASE_MODEL and facts.items() <= content["config"].items()
    ours, theirs = colored(tmp_path / "out"), colored(tmp_path / "authors.pth")
    np.testing.assert_array_equal(ours, theirs)
    assert np.ptp(ours.astype(int), axis=2).max() > 0  # it does colour


def test_an_export_is_renewed_and_its_finished_card_kept(tmp_path):
    out = tmp_path / "out"
    assert run(CHECKPOINT, out) == 0
    (out / "README.md").write_text("finished")
    (out / ".gitattributes").write_text("of a clone")
    assert run(out, out, "--dtype", "float32") == 0
    assert json.loads((out / "config.json").read_text())["dtype"] == "float32"
    assert (out / "README.md").read_text() == "finished" and (out / ".gitattributes").is_file()


@pytest.mark.parametrize(
    ("name", "text"), [("notes.txt", b"mine"), ("config.json", b"{}"), ("model.safetensors", b"another program's")]
)
def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path, capsys, name, text):
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_bytes(text)
    assert run(CHECKPOINT, out) == 2
    message = f"export.py: {out}: holds {name} and no network of this program; pass a new or empty folder"
    assert message in capsys.readouterr().err
    assert held(out) == {name: text} and [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "README.md"])
def test_a_full_disk_leaves_the_former_export_whole(tmp_path, monkeypatch, capsys, name):
    out = tmp_path / "out"
    assert run(CHECKPOINT, out) == 0
    before = held(out)

    def full(*_, **__):
        raise OSError("No space left on device")

    if name == "model.safetensors":
        monkeypatch.setattr(checkpoint, "save_file", full)
    else:
        monkeypatch.setattr(hub_folder, "_config" if name == "config.json" else "_card", full)
    assert run(CHECKPOINT, out, "--dtype", "float32") == 2
    assert "cannot be written (No space left on device); make room or pass another folder" in capsys.readouterr().err
    assert held(out) == before and [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("source", "output", "message"),
    [
        ("none.pth", "out", "none.pth: no such checkpoint"),
        ("folder", "out", "folder/model.safetensors: no such checkpoint"),
        ("file", "out", "file: not a readable checkpoint"),
        (CHECKPOINT, "out.pt", "out.pt: pass a name that ends in .safetensors or .onnx, or a folder's"),
        (CHECKPOINT, "file", "file: is a file; pass the name of a folder"),
        (CHECKPOINT, "file/out", "file/out: cannot be written"),
        (CHECKPOINT, "file/out.safetensors", "file/out.safetensors: cannot be written"),
        (CHECKPOINT, "out.onnx --dtype float16", "--dtype float16: "),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, capsys, monkeypatch, source, output, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("text")
    assert run(source, *output.split()) == 2
    assert capsys.readouterr().err.startswith(f"export.py: {message}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_what_half_precision_cannot_hold_is_not_written_in_it(trained, tmp_path, capsys):
    path, averaged = trained
    content, name = checkpoint.read(str(path)), "network.group_tokens"
    checkpoint.save(path, content | {"ema": averaged | {name: averaged[name] * 1e6}})
    assert run(path, tmp_path / "out.safetensors") == 2
    assert "group_tokens is not finite in torch.float16; pass --dtype float32" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()
    assert run(path, tmp_path / "out.safetensors", "--dtype", "float32") == 0
