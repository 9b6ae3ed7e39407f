"""The command line, end to end, on small pictures."""

import csv
import json
import math
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
import yaml
from conftest import ROOT, write_data
from PIL import Image
from processes import ranks
from skimage.color import lab2rgb, rgb2lab
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from transformers import BertConfig, BertModel, BertTokenizer

import engine
import run_colorization
from datasets import CaptionedImages
from datasets.scenes import Rules, Scenes
from evaluation.protocol import ROWS
from models import create_model, train_state
from models.text import OWN_VOCABULARY
from scripts import export

SMOKE = ["--config", str(ROOT / "configs" / "lcoins" / "smoke.yaml"), "--device", "cpu"]


def run(*words: object) -> int:
    return run_colorization.run(SMOKE + [str(word) for word in words])


def started(processes: int, *words: object, script: Path = ROOT / "run_colorization.py") -> subprocess.CompletedProcess:
    return ranks(processes, script, [*SMOKE, *map(str, words)])


def weights(folder: Path, which: str = "checkpoint-last.pth") -> dict[str, torch.Tensor]:
    return torch.load(folder / which, weights_only=True)["tensors"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path]:
    """A data folder and the output folder of a short training on it."""
    root = tmp_path_factory.mktemp("trained")
    data = write_data(root / "data", {"train": 8, "val": 5, "test": 5})
    pairs = json.loads((data / "cap-img-pairs_test.json").read_text())
    pairs.append(["2.jpg", 'a <b>"green"</b> cup & a pink box'])  # a second caption, not fit for a page as it stands
    (data / "cap-img-pairs_test.json").write_text(json.dumps(pairs))
    assert run("--data_path", data, "--output_dir", root / "out") == 0
    return data, root / "out"


def test_training_leaves_what_the_design_promises(trained):
    _, out = trained
    assert {"checkpoint-best.pth", "checkpoint-last.pth", "log.jsonl", "args.yaml"} <= {p.name for p in out.iterdir()}
    assert list(out.glob("events.out.tfevents.*"))
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2] and [line["step"] for line in lines] == [2, 4]
    assert {"chroma", "counter_color", "total", "grad_norm"} <= lines[0]["train"].keys()
    assert lines[0]["val"]["count"] == 5 and all(0 < line["wait"] < 100 for line in lines)
    assert yaml.safe_load((out / "args.yaml").read_text())["batch_size"] == 4


def test_an_evaluation_every_second_epoch_and_after_the_last(data, tmp_path):
    words = ("--data_path", data, "--output_dir", tmp_path / "out", "--epochs", 3)
    assert run(*words, "--eval_every", 2) == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["step"]) for line in lines] == [(2, 4), (3, 6)]
    assert run("--data_path", data, "--output_dir", tmp_path / "all", "--epochs", 3) == 0
    every = [json.loads(line) for line in (tmp_path / "all" / "log.jsonl").read_text().splitlines()]
    means = [line["train"]["total"] for line in every]
    assert lines[0]["train"]["total"] == pytest.approx(sum(means[:2]) / 2)  # of both epochs since the last line
    assert lines[1]["train"]["total"] == pytest.approx(means[2]) and lines[1]["val"] == every[2]["val"]


def test_the_documented_command_writes_pictures_tables_and_page(trained, tmp_path, capsys):
    data, out = trained
    words = ["--opt", "adamw", "--dist_eval", "--test", "--finetune", out / "checkpoint-best.pth"]
    assert run("--data_path", data, "--output_dir", tmp_path, *words) == 0
    assert "this model" in capsys.readouterr().err
    names = ["0.png", "1.png", "2_0.png", "2_1.png", "3.png", "4.png"]
    assert sorted(p.name for p in tmp_path.glob("*.png")) == names
    assert all(Image.open(tmp_path / name).size == (32, 32) for name in names)

    rows = list(csv.DictReader((tmp_path / "per_image.csv").open()))
    assert [row["output"] for row in rows] == ["0.png", "1.png", "2_0.png", "3.png", "4.png", "2_1.png"]  # file order
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["count"] == 6
    for row in ROWS:
        mean = sum(float(r[f"{row}_psnr"]) for r in rows) / 6
        assert metrics[row]["psnr"] == pytest.approx(mean) and metrics[row]["lpips"] is None

    page = (tmp_path / "index.html").read_text()
    assert "<b>" not in page and "&lt;b&gt;" in page
    assert page.count("<figure>") == 6
    assert Image.open(tmp_path / "index_files" / "2_1.jpg").size == (4 * 32 + 3 * 6, 32)


def test_figures_are_the_paper_s_protocol(trained, tmp_path):
    """Recomputed from the written PNG and the photograph with scikit-image alone."""
    data, out = trained
    assert run("--data_path", data, "--output_dir", tmp_path, "--test", "--finetune", out / "checkpoint-best.pth") == 0
    for row in list(csv.DictReader((tmp_path / "per_image.csv").open()))[:3]:
        photo = Image.open(data / "test" / row["name"]).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
        lab = rgb2lab(np.asarray(photo) / 255.0)
        truth = (lab2rgb(lab).clip(0, 1) * 255).astype(np.uint8)
        nothing = (lab2rgb(lab * [1, 0, 0]).clip(0, 1) * 255).astype(np.uint8)
        result = np.asarray(Image.open(tmp_path / row["output"]))
        assert 45 < float(row["ceiling_psnr"]) < 60  # truncated: rounding would give the photograph back
        for name, image in (("model", result), ("gray", nothing)):
            ours = float(row[f"{name}_psnr"]), float(row[f"{name}_ssim"])
            expected = peak_signal_noise_ratio(truth, image), structural_similarity(truth, image, channel_axis=2)
            assert ours == pytest.approx(expected, abs=2e-2)  # float32 truncates another way where a value is whole


def test_two_epochs_are_one_and_resume_and_one_bit_for_bit(trained, tmp_path, monkeypatch):
    data, whole = trained
    train_one_epoch = engine.train_one_epoch

    def dies_in_the_second_epoch(state, *args):
        if state.epoch == 1:
            raise KeyboardInterrupt
        return train_one_epoch(state, *args)

    monkeypatch.setattr(engine, "train_one_epoch", dies_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        run("--data_path", data, "--output_dir", tmp_path)
    monkeypatch.undo()
    assert torch.load(tmp_path / "checkpoint-last.pth", weights_only=True)["epoch"] == 1
    torch.rand(7)  # the generator moves on between two processes
    assert run("--data_path", data, "--output_dir", tmp_path, "--auto_resume") == 0

    one, two = (torch.load(d / "checkpoint-last.pth", weights_only=True) for d in (whole, tmp_path))
    for part in ("tensors", "ema"):
        assert all(torch.equal(one[part][name], two[part][name]) for name in one[part])
    assert (one["step"], one["best"]) == (two["step"], two["best"])
    logs = [[json.loads(line) for line in (d / "log.jsonl").read_text().splitlines()] for d in (whole, tmp_path)]
    assert [line["train"] for line in logs[0]] == [line["train"] for line in logs[1]]


# Nothing is drawn per process, and no optimizer that divides by the gradient's size: it would blow up rounding errors.
DETERMINISTIC = ["--no-group_tokens", "--no-luminance_augmentation", "--drop_path", 0, "--opt", "sgd", "--lr", 0.1]


def test_two_processes_equal_one_and_accumulation_equals_a_larger_batch(data, tmp_path):
    common = ["--data_path", data, *DETERMINISTIC]
    assert run(*common, "--output_dir", tmp_path / "one", "--batch_size", 4) == 0
    done = started(2, *common, "--output_dir", tmp_path / "two", "--batch_size", 2)
    assert done.returncode == 0, done.stderr
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=2e-5, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}")
    lines = ((tmp_path / d / "log.jsonl").read_text().splitlines()[-1] for d in ("one", "two"))
    first, second = map(json.loads, lines)
    assert second["train"] == pytest.approx(first["train"], rel=1e-3)
    assert first["update_images"] == second["update_images"] == 4
    assert second["val"]["model"]["psnr"] == pytest.approx(first["val"]["model"]["psnr"], abs=1e-3)

    accumulated = [*common, "--output_dir", tmp_path / "accumulated", "--batch_size", 2, "--update_freq", 2]
    assert run(*accumulated) == 0
    for name, tensor in weights(tmp_path / "accumulated").items():
        torch.testing.assert_close(tensor, one[name], atol=2e-5, rtol=1e-3)
    train = json.loads((tmp_path / "accumulated" / "log.jsonl").read_text().splitlines()[-1])["train"]
    assert train["counter_color"] == pytest.approx(first["train"]["counter_color"], rel=1e-5)


def test_what_a_counter_word_changes_is_learnt_alike_by_one_process_and_two(tmp_path):
    data = write_data(tmp_path / "data", {"train": 8, "val": 2}, side=32)
    pairs = json.loads((data / "cap-img-pairs_train.json").read_text())
    for name, _ in pairs[::3]:  # so that some batches have none, some one and some two
        picture = np.full((32, 32, 3), 128, np.uint8)
        picture[8:24, 8:24] = (190, 60, 60)
        Image.fromarray(picture).save(data / "train" / name, quality=95)
    red = [[name, "a red box" if place % 3 == 0 else "two dogs run"] for place, (name, _) in enumerate(pairs)]
    (data / "cap-img-pairs_train.json").write_text(json.dumps(red))
    common = ["--data_path", data, *DETERMINISTIC, "--recolor", 1, "--crop_scale", 1, 1]
    assert run(*common, "--output_dir", tmp_path / "one", "--batch_size", 4) == 0
    done = started(2, *common, "--output_dir", tmp_path / "two", "--batch_size", 2)
    assert done.returncode == 0, done.stderr
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in one:
        torch.testing.assert_close(one[name], two[name], atol=2e-5, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}")
    lines = ((tmp_path / d / "log.jsonl").read_text().splitlines()[-1] for d in ("one", "two"))
    first, second = (json.loads(line)["train"] for line in lines)
    assert first["word"] > 0 and second == pytest.approx(first, rel=1e-3)
    assert first["total"] == pytest.approx(first["chroma"] + 4 * first["word"] - 1e-4 * first["counter_color"])

    alone = [*common, "--output_dir", tmp_path / "alone", "--no-counter_color"]
    assert run(*alone) == 0
    assert "word" not in json.loads((tmp_path / "alone" / "log.jsonl").read_text().splitlines()[-1])["train"]


def test_trained_with_one_process_finetuned_with_two_tested_alike_with_one_two_and_three(trained, tmp_path):
    data, out = trained
    tuned = tmp_path / "tuned"
    words = ["--finetune", out / "checkpoint-best.pth", "--data_path", data, "--output_dir", tuned, "--epochs", 1]
    done = started(2, *words, "--batch_size", 2)
    assert done.returncode == 0, done.stderr
    before, after = weights(out, "checkpoint-best.pth"), weights(tuned)
    assert before.keys() == after.keys() and any(not torch.equal(before[name], after[name]) for name in before)
    metrics, tables = [], []
    for processes in (1, 2, 3):
        folder = tmp_path / str(processes)
        words = ["--data_path", data, "--output_dir", folder, "--test", "--batch_size", 2]
        done = started(processes, *words, "--finetune", tuned / "checkpoint-last.pth")
        assert done.returncode == 0, done.stderr
        metrics.append(json.loads((folder / "metrics.json").read_text()))
        tables.append([row["output"] for row in csv.DictReader((folder / "per_image.csv").open())])
        assert len(list(folder.glob("*.png"))) == 6
    assert tables[0] == tables[1] == tables[2] and len(set(tables[0])) == 6  # each image once
    for other in metrics[1:]:
        assert other["count"] == metrics[0]["count"] == 6
        for row in ROWS:
            for figure in ("psnr", "ssim"):
                assert other[row][figure] == pytest.approx(metrics[0][row][figure], abs=1e-4)


NAN_ON_RANK_1 = """
import sys
import losses, run_colorization
from utils import distributed
chroma = losses.chroma_loss
calls = []
def poisoned(predicted, target):
    calls.append(1)
    bad = len(calls) > 1 and distributed.rank() == distributed.world_size() - 1
    return chroma(predicted, target) * (float("nan") if bad else 1.0)
losses.chroma_loss = poisoned
sys.exit(run_colorization.run())
"""


def test_a_nan_on_one_rank_stops_all_before_the_update(data, tmp_path):
    script = tmp_path / "poisoned.py"
    script.write_text(NAN_ON_RANK_1)
    out = tmp_path / "out"
    done = started(2, "--data_path", data, "--output_dir", out, "--batch_size", 4, script=str(script))
    assert done.returncode != 0
    message = next(line for line in done.stderr.splitlines() if line.startswith("error: non-finite gradient"))
    assert "at step 1" in message and "rank 1: losses" in message and ".jpg" in message and "rank 0" not in message
    kept = torch.load(out / "checkpoint-last.pth", weights_only=True)
    assert kept["epoch"] == 1 and all(torch.isfinite(t).all() for t in kept["tensors"].values())


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision_trains(data, tmp_path, amp):
    words = ["--data_path", data, "--output_dir", tmp_path, "--epochs", 1, "--amp", amp, "--grad_checkpointing"]
    assert run(*words) == 0
    line = json.loads((tmp_path / "log.jsonl").read_text())
    assert math.isfinite(line["train"]["total"]) and line["val"]["model"]["psnr"] > 0


def test_fp16_overflow_halves_the_scale_and_leaves_the_weights(data, tmp_path, monkeypatch):
    """The first scale is far too large: the first update is left out, training goes on."""
    scaler = train_state.GradScaler
    monkeypatch.setattr(
        train_state, "GradScaler", lambda device, enabled: scaler(device, init_scale=2.0**120, enabled=enabled)
    )
    assert run("--data_path", data, "--output_dir", tmp_path, "--epochs", 1, "--amp", "fp16") == 0
    content = torch.load(tmp_path / "checkpoint-last.pth", weights_only=True)
    assert content["scaler"]["scale"] == 2.0**118  # two steps, both overflowed
    assert content["step"] == 2


def test_fine_tuning_starts_from_the_weights_and_may_change_the_size(trained, tmp_path):
    data, out = trained
    words = ["--data_path", data, "--output_dir", tmp_path, "--finetune", out / "checkpoint-best.pth"]
    assert run(*words, "--input_size", 40, "--lr", 0, "--min_lr", 0, "--epochs", 1, "--no-model_ema") == 0
    before = torch.load(out / "checkpoint-best.pth", weights_only=True)["ema"]  # the average is the better start
    after = weights(tmp_path)
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == ["network.image_encoder.vit.pos_embed"] and after[changed[0]].shape[1] == 25


def test_encoders_start_from_local_files(data, tmp_path):
    vit = create_model("colorization_vit_tiny_patch8_112_group_post", img_size=48).network.image_encoder.vit
    tensors = {name: torch.randn_like(t) for name, t in vit.state_dict().items()}
    grid = tensors["pos_embed"]
    with_class = tensors | {
        "cls_token": torch.zeros(1, 1, 192),
        "pos_embed": torch.cat([torch.full((1, 1, 192), 9.0), grid], dim=1),
        "head.weight": torch.zeros(10, 192),
    }
    wrapped = {f"module.{name}": tensor for name, tensor in with_class.items()}  # as DistributedDataParallel saves it
    torch.save({"model": wrapped}, tmp_path / "vit.pth")
    config = BertConfig(
        vocab_size=4096, hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    bert = BertModel(config)
    bert.save_pretrained(tmp_path / "bert")
    BertTokenizer(vocab=str(OWN_VOCABULARY)).save_pretrained(tmp_path / "bert")

    words = ["--data_path", data, "--output_dir", tmp_path / "out", "--input_size", 48, "--epochs", 1, "--lr", 0]
    words += ["--image_encoder_weights", tmp_path / "vit.pth", "--text_encoder_weights", tmp_path / "bert"]
    assert run(*words, "--min_lr", 0) == 0
    started = weights(tmp_path / "out")
    assert torch.equal(started["network.image_encoder.vit.pos_embed"], grid)
    assert torch.equal(started["network.image_encoder.vit.blocks.3.mlp.fc2.weight"], tensors["blocks.3.mlp.fc2.weight"])
    own = started["network.text_encoder.encoder.embeddings.word_embeddings.weight"]
    assert torch.equal(own, bert.embeddings.word_embeddings.weight)
    test = ["--data_path", data, "--output_dir", tmp_path / "test", "--test"]  # the checkpoint knows its encoder
    assert run(*test, "--finetune", tmp_path / "out" / "checkpoint-best.pth") == 0

    del with_class["blocks.0.norm1.weight"]
    torch.save(with_class, tmp_path / "vit.pth")
    assert run(*words) == 2


def test_broken_images_are_left_out_by_name_when_allowed(data, tmp_path, capfd):
    for name in ("1.jpg", "6.jpg"):
        (data / "train" / name).write_bytes((data / "train" / name).read_bytes()[:300])
    words = ["--data_path", data, "--output_dir", tmp_path / "out", "--epochs", 1, "--batch_size", 3]
    assert run(*words, "--skip_unreadable", 1) == 2
    assert "2 unreadable images, --skip_unreadable allows 1: 1.jpg, 6.jpg" in capfd.readouterr().err
    assert run(*words, "--skip_unreadable", 2) == 0
    assert "left out as unreadable (2): 1.jpg, 6.jpg" in capfd.readouterr().err
    assert run(*words) == 2  # without the flag
    assert "2 unreadable images, --skip_unreadable allows 0: 1.jpg, 6.jpg" in capfd.readouterr().err
    (data / "val" / "3.jpg").write_bytes(b"no picture")
    assert run(*words, "--skip_unreadable", 9) == 2  # evaluation never leaves one out
    assert f"{data / 'val'}: 1 unreadable images: 3.jpg; restore them" in capfd.readouterr().err


def test_a_worker_s_error_reaches_the_user_on_one_line(data, tmp_path, capfd, monkeypatch):
    """An image that becomes unreadable after the check."""
    monkeypatch.setattr(CaptionedImages, "unreadable", lambda _: [])
    (data / "train" / "5.jpg").write_bytes(b"no picture")
    assert run("--data_path", data, "--output_dir", tmp_path, "--num_workers", 1) == 2
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"error: {data}/train/5.jpg: not a picture") and "Traceback" not in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--test"], "--eval and --test need a checkpoint: pass --finetune FILE"),
        (["--eval", "--test"], "pass one of them"),
        (["--finetune", "absent.pth"], "absent.pth: no such checkpoint"),
        (["--finetune", __file__], "not a readable checkpoint"),
        (["--model", "colorization_vit_huge"], "--model colorization_vit_huge: unknown"),
        (["--input_size", "30"], "--input_size 30: pass a multiple of the patch side 8"),
        (["--batch_size", "9"], "fill no batch"),
        (["--batch_size", "0"], "--batch_size 0: pass at least 1"),
        (["--update_freq", "3"], "--update_freq 3: an epoch has 2 batches"),
        (["--data_path", "nowhere"], "nowhere/cap-img-pairs_train.json: not there"),
        (["--image_encoder_weights", "absent/vit.pth"], "--image_encoder_weights absent/vit.pth: cannot be loaded"),
        (["--text_encoder_weights", "./absent"], "--text_encoder_weights ./absent: cannot be loaded"),
        (["--lerning_rate", "1"], "unrecognized arguments: --lerning_rate"),
        (["--device", "cuda"], "--device cuda: PyTorch sees no GPU here"),
        (["--output_dir", "/proc/nothing"], "--output_dir /proc/nothing: cannot be written"),
        (["--lr", "-1"], "--lr -1.0: pass 0 or more"),
    ],
)
def test_bad_input_is_one_line_and_status_2(data, tmp_path, capfd, monkeypatch, words, message):
    if "cuda" in words:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert run("--data_path", data, "--output_dir", tmp_path / "out", *words) == 2
    error = capfd.readouterr().err
    assert message in error and "Traceback" not in error


def test_random_weights_must_be_asked_for(data, tmp_path, capfd):
    words = ["--model", "colorization_vit_tiny_patch8_112_group_post", "--data_path", data, "--output_dir", tmp_path]
    assert run_colorization.run([str(word) for word in words]) == 2
    assert "or 'random' to start from random weights" in capfd.readouterr().err


def test_a_checkpoint_of_another_architecture_is_refused(trained, tmp_path, capfd):
    data, out = trained
    common = ["--data_path", data, "--output_dir", tmp_path, "--test", "--finetune", out / "checkpoint-best.pth"]
    assert run(*common, "--no-group_tokens") == 2
    assert "--group_tokens False (the checkpoint: True)" in capfd.readouterr().err
    assert run(*common, "--model", "colorization_vit_base_patch16_224_group_post") == 2
    assert "the checkpoint: colorization_vit_tiny_patch8_112_group_post" in capfd.readouterr().err


def test_a_checkpoint_cut_short_is_refused(trained, tmp_path, capfd):
    data, out = trained
    cut = tmp_path / "cut.pth"
    cut.write_bytes((out / "checkpoint-last.pth").read_bytes()[:10_000])
    assert run("--data_path", data, "--output_dir", tmp_path, "--resume", cut) == 2
    assert f"{cut}: not a readable checkpoint" in capfd.readouterr().err


def test_lpips_without_its_backbone_is_null_and_said_at_the_start(trained, tmp_path, capfd, monkeypatch):
    data, out = trained
    words = ["--data_path", data, "--output_dir", tmp_path, "--test", "--finetune", out / "checkpoint-best.pth"]
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", _unreachable)
    assert run(*words, "--lpips_net", "squeeze") == 0
    error = capfd.readouterr().err
    assert error.index("LPIPS is left out (null in the results)") < error.index("this model")
    assert "no network" in error and "--lpips_weights FILE" in error
    assert json.loads((tmp_path / "metrics.json").read_text())["model"]["lpips"] is None


def test_lpips_is_measured_with_the_weights_given(trained, tmp_path):
    data, out = trained
    torch.manual_seed(0)
    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), tmp_path / "squeeze.pth")
    words = ["--data_path", data, "--output_dir", tmp_path, "--test", "--finetune", out / "checkpoint-best.pth"]
    assert run(*words, "--lpips_net", "squeeze", "--lpips_weights", tmp_path / "squeeze.pth") == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["model"]["lpips"] > metrics["ceiling"]["lpips"] >= 0
    assert "model_lpips" in (tmp_path / "per_image.csv").read_text().splitlines()[0]


def _unreachable(*_: object, **__: object) -> None:
    raise OSError("no network")


SCENES = ("--data_set", "scenes", "--scenes", 8, "--eval_scenes", 5, "--scene_instances", 2, 3)


@pytest.fixture(scope="module")
def trained_on_scenes(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("scenes") / "out"
    assert run(*SCENES, "--output_dir", out, "--epochs", 1) == 0
    return out


def test_training_on_scenes_follows_the_instances(trained_on_scenes):
    line = json.loads((trained_on_scenes / "log.jsonl").read_text())
    assert line["train"]["counter_color"] < 0
    assert 0 <= line["val"]["instances"]["accuracy"]["mean"] <= 1 and line["val"]["instances"]["scenes"] == 5


def test_scenes_are_tested_on_four_splits(trained_on_scenes, tmp_path):
    weights_file = tmp_path / "small.safetensors"
    assert export.main([str(trained_on_scenes / "checkpoint-last.pth"), str(weights_file)]) == 0
    assert run(*SCENES, "--test", "--finetune", weights_file, "--output_dir", tmp_path) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert list(metrics) == ["clear", "instances", "unobserved", "luminance"]
    with (tmp_path / "per_instance.csv").open() as file:
        lines = list(csv.DictReader(file))
    for split, summary in metrics.items():
        correct = [line["correct"] == "True" for line in lines if line["split"] == split]
        assert len(correct) == summary["instances"] and sum(correct) / len(correct) == summary["accuracy"]["mean"]
    page = (tmp_path / "index.html").read_text()
    sources = re.findall(r'src="([^"]+)"', page)
    assert len(sources) == 4 * 4 * (1 + 4 * 2) and all((tmp_path / source).is_file() for source in sources)
    assert Scenes("luminance", 32, 5, rules=Rules(max_instances=3)).render([0]).captions[0] in page
    assert Image.open(tmp_path / "sheet.png").size[0] > 5 * 3 * 32


def test_processes_share_the_scenes(trained_on_scenes, tmp_path):
    words = [*SCENES, "--test", "--finetune", trained_on_scenes / "checkpoint-last.pth", "--output_dir"]
    assert run(*words, tmp_path / "one") == 0
    two = started(2, *words, tmp_path / "two")
    assert two.returncode == 0, two.stderr
    assert_close = pytest.approx(
        json.loads((tmp_path / "one" / "metrics.json").read_text())["clear"]["error"], rel=1e-4
    )
    assert json.loads((tmp_path / "two" / "metrics.json").read_text())["clear"]["error"] == assert_close


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--data_path", "somewhere"), "--data_path somewhere: scenes are made, not read"),
        (("--scene_colors", 6), "6 colours for 3 instances: pass 7 to 10"),
        (("--scene_shapes", 16), "16 shapes: pass 5 to 15"),
        (("--scenes", 0), "--scenes 0: pass at least 1"),
    ],
)
def test_wrong_scenes_are_refused(words, message, tmp_path, capsys):
    assert run(*SCENES, "--output_dir", tmp_path, *words) == 2
    assert message in capsys.readouterr().err


def test_a_weights_file_is_not_resumed(trained_on_scenes, tmp_path, capsys):
    weights_file = tmp_path / "small.safetensors"
    export.main([str(trained_on_scenes / "checkpoint-last.pth"), str(weights_file)])
    assert run(*SCENES, "--resume", weights_file, "--output_dir", tmp_path) == 2
    assert "but weights; start from them with --finetune" in capsys.readouterr().err
    assert export.main([str(tmp_path / "none.pth"), str(weights_file)]) == 2


def test_protocols_and_subsets_reach_the_files(trained, tmp_path, capfd):
    data, out = trained
    words = ["--data_path", data, "--test", "--finetune", out / "checkpoint-best.pth", "--batch_size", 3]
    metrics = {}
    for protocol in ("paper", "rounded", "full"):
        assert run(*words, "--output_dir", tmp_path / protocol, "--protocol", protocol) == 0
        metrics[protocol] = json.loads((tmp_path / protocol / "metrics.json").read_text())
        assert metrics[protocol]["protocol"] == protocol and metrics[protocol]["model"]["fid"] is None
    error = capfd.readouterr().err
    assert "FID is left out (null in the results): pass --fid_weights FILE" in error
    assert "two or more colours" in error and "two or more colours" in (tmp_path / "paper" / "index.html").read_text()
    subsets = metrics["paper"]["subsets"]
    assert subsets["two_or_more_colors"]["count"] == 3 and subsets["red"]["count"] == 2
    assert metrics["rounded"]["ceiling"]["identical"] == 6 and metrics["rounded"]["ceiling"]["psnr"] is None
    assert Image.open(tmp_path / "full" / "3.png").size == Image.open(data / "test" / "3.jpg").size == (43, 40)
    rows = list(csv.DictReader((tmp_path / "paper" / "per_image.csv").open()))
    for row, metric in (("model", "ciede2000"), ("gray", "chroma_error"), ("truth", "colorfulness_absolute")):
        mean = sum(float(r[f"{row}_{metric}"]) for r in rows) / 6
        assert metrics["paper"][row][metric] == pytest.approx(mean)


def test_unfit_fid_weights_are_named(trained, tmp_path, capfd):
    data, out = trained
    words = ["--data_path", data, "--output_dir", tmp_path, "--test", "--finetune", out / "checkpoint-best.pth"]
    torch.save({"fc.weight": torch.zeros(7, 2048)}, tmp_path / "seven.pth")
    torch.save({"fc.weight": torch.zeros(1008, 2048)}, tmp_path / "empty.pth")
    for name, message in (
        ("seven.pth", "fc.weight has 7 classes"),
        ("empty.pth", "is no Inception v3"),
        ("absent.pth", "cannot be read as weights for FID"),
    ):
        assert run(*words, "--fid_weights", tmp_path / name) == 2
        error = capfd.readouterr().err
        assert f"{tmp_path / name}: {message}" in error and "pt_inception-2015-12-05-6726825d.pth" in error
    assert run(*SCENES, "--output_dir", tmp_path, "--protocol", "full") == 2
    assert "--protocol full: scenes are judged by their instances" in capfd.readouterr().err
