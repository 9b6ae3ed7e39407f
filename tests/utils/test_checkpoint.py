import io
import json
import logging
import math
import pickle
import random
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from models.weights import load_fully, resample_positions
from utils import checkpoint, files, seeds
from utils.errors import InputError, reason


def test_a_failed_save_leaves_the_former_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "checkpoint-last.pth"
    checkpoint.save(path, content_of(nn.Linear(3, 2)) | {"step": 1})
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # renamed, not copied

    def full_disk(content, beside):
        beside.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
        checkpoint.save(path, {"format": 1, "step": 2})
    assert checkpoint.read(str(path))["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_a_file_with_code_in_it_is_refused_and_not_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (open, (str(tmp_path / "run"), "w"))

    torch.save({"format": 1, "model": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(InputError, match="not a readable checkpoint"):
        checkpoint.read(str(tmp_path / "hostile.pth"))
    assert not (tmp_path / "run").exists()


def test_another_program_s_checkpoint_is_refused(tmp_path):
    torch.save({"model": {}}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="not a checkpoint of this program"):
        checkpoint.read(str(tmp_path / "other.pth"))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"weight": torch.zeros(2, 3)}, r"1 missing \(first: bias\)"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "extra": torch.zeros(1)}, r"1 unknown \(first: extra\)"),
        ({"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, r"weight is \(2, 4\), not \(2, 3\)"),
    ],
)
def test_weights_fit_fully_or_not_at_all(weights, message):
    linear = nn.Linear(3, 2)
    before = linear.weight.clone()
    with pytest.raises(InputError, match=message):
        load_fully(linear, weights, "file.pth")
    assert torch.equal(linear.weight, before)


def test_random_states_come_back_through_a_file(tmp_path):
    def draw():
        return random.random(), np.random.rand(), torch.rand(()).item()

    torch.save(seeds.rng_states(), tmp_path / "rng.pth")
    expected = draw()
    seeds.set_rng_states(torch.load(tmp_path / "rng.pth", weights_only=True))
    assert draw() == expected


def test_positions_are_resampled_as_a_picture():
    ramp = torch.linspace(0, 1, 4).repeat(4).reshape(1, 16, 1)  # grows from left to right
    larger = resample_positions(ramp, 64).reshape(8, 8)
    assert (larger.diff(dim=1) > -0.1).all() and larger[:, -1].mean() - larger[:, 0].mean() > 0.9
    torch.testing.assert_close(larger[0], larger[5], atol=1e-4, rtol=0)


def content_of(network):
    head = {"format": 2, "system": "m", "config": {"img_size": 3}, "stage": None, "tokenizer": "{}"}
    return head | {"tensors": network.state_dict(), "ema": None}


def test_a_weights_file_holds_the_network_in_half_precision(tmp_path):
    network = nn.Linear(3, 2)
    averaged = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    path = tmp_path / "small.safetensors"
    checkpoint.save_weights(path, content_of(network) | {"ema": averaged, "optimizer": {}})
    held = checkpoint.read(str(path))
    assert held["system"] == "m" and held["config"] == {"img_size": 3} and held["tokenizer"] == "{}"
    assert held.keys() == {*checkpoint.HEAD, "tensors", "ema"}
    other = nn.Linear(3, 2)
    load_fully(other, checkpoint.averaged(held), str(path))
    for name, tensor in other.state_dict().items():
        assert torch.equal(tensor, averaged[name].half().float())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("harm", ["cut", "foreign", "empty"])
def test_a_broken_weights_file_is_an_error_that_names_it(tmp_path, harm):
    path = tmp_path / "small.safetensors"
    checkpoint.save_weights(path, content_of(nn.Linear(3, 2)))
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    elif harm == "foreign":
        save_file({"weight": torch.zeros(2)}, path)
    else:
        path.write_bytes(b"")
    with pytest.raises(InputError, match=r"small\.safetensors: not a (readable )?checkpoint"):
        checkpoint.read(str(path))


def small(tmp_path):
    path = tmp_path / "small.pth"
    checkpoint.save(path, content_of(nn.Linear(3, 2)))
    return path


class Silent(Exception):
    """Without a message, as some of Python 3.11.2's are."""


DAMAGE = {
    "an empty message": (None, r"not a readable checkpoint \(RuntimeError\)"),
    "cut in the middle": (lambda whole: whole[: len(whole) // 2], r"not a readable checkpoint \(.+\); .*restore it"),
    "cut at its end": (lambda whole: whole[:-30], r"not a readable checkpoint \(.+\); .*restore it"),
    "nothing": (lambda _: b"", r"not a readable checkpoint \(it is empty, 0 bytes\); restore it"),
    "a web page": (
        lambda _: b"\n<!DOCTYPE html><html><body>404",
        r"not a readable checkpoint \(it is a web page\); download the file itself",
    ),
    "a pointer": (
        lambda _: b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
        r"not a readable checkpoint \(it is a pointer of git-lfs, not the file itself\); fetch it with: git lfs pull",
    ),
    "a pickle of another kind": (lambda _: pickle.dumps({"a": [1, 2]}), r"not a (readable )?checkpoint"),
    "half a pickle": (lambda _: pickle.dumps(list(range(999)))[:40], r"not a readable checkpoint \(.+\); "),
    "text": (lambda _: b"weights\n" * 9, r"not a readable checkpoint \(.+\); "),
    "another archive": (lambda _: zipped({"a.txt": b"text"}), r"not a readable checkpoint \(.+\); "),
    "no names": (lambda _: saved([1, 2, 3]), r"not a checkpoint of this program"),
}


def zipped(files):
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def saved(content):
    torch.save(content, buffer := io.BytesIO())
    return buffer.getvalue()


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_file_is_one_clear_error(tmp_path, monkeypatch, kind, ending):
    harm, message = DAMAGE[kind]
    path = small(tmp_path)
    whole = path.read_bytes()
    path = path.with_suffix(f".{ending}")
    if harm is None:
        path.write_bytes(whole)
        for name in ("_read_checkpoint", "_read_weights"):
            monkeypatch.setattr(checkpoint, name, lambda _: (_ for _ in ()).throw(RuntimeError()))
    else:
        path.write_bytes(harm(whole))
    if ending == "safetensors" and kind in ("a pickle of another kind", "no names"):
        message = "not a readable checkpoint"
    with pytest.raises(InputError, match=rf"small\.{ending}: {message}") as raised:
        checkpoint.read(str(path))
    assert "\n" not in str(raised.value)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match=r"a folder, not a file; pass the path of a checkpoint"):
        checkpoint.read(str(tmp_path))


@pytest.mark.parametrize("error", [Silent(), Silent(""), Silent(" \n\n"), ValueError()])
def test_an_error_without_a_message_has_its_kind_as_reason(error):
    assert reason(error) == type(error).__name__
    assert reason(type(error)("\n of this \n and that")) == "of this"


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."])
@pytest.mark.parametrize("averaged", [True, False])
def test_names_that_a_wrapper_has_changed_are_read_and_that_is_said(tmp_path, caplog, prefix, averaged):
    network, path = nn.Linear(3, 2), tmp_path / "wrapped.pth"
    content = content_of(network)
    wrapped = {prefix + name: tensor for name, tensor in content["tensors"].items()}
    checkpoint.save(path, content | {"tensors": wrapped, "ema": wrapped if averaged else None})
    with caplog.at_level(logging.INFO):
        held = checkpoint.read(str(path))
    assert f"{path}: the names of its tensors begin with {prefix!r}, which is left out" in caplog.text
    other = nn.Linear(3, 2)
    load_fully(other, checkpoint.averaged(held), str(path))
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in other.state_dict().items())


def test_a_prefix_of_some_names_is_none_of_a_wrapper(tmp_path):
    network, path = nn.Linear(3, 2), tmp_path / "half.pth"
    weights = network.state_dict()
    content = content_of(network) | {"tensors": {"module.weight": weights["weight"], "bias": weights["bias"]}}
    checkpoint.save(path, content)
    with pytest.raises(InputError, match=r"1 missing \(first: weight\); 1 unknown \(first: module\.weight\)"):
        load_fully(network, checkpoint.read(str(path))["tensors"], str(path))


def test_what_is_replaced_is_whole_at_any_moment(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("one\n")
    with pytest.raises(KeyboardInterrupt):
        files.replace(path, lambda part: (part.write_text("ha"), (_ for _ in ()).throw(KeyboardInterrupt)))
    assert path.read_text() == "one\n"
    files.write_text(path, "ö\n")
    assert path.read_bytes() == "ö\n".encode()


def test_json_has_no_infinity():
    content = {"a": math.inf, "b": [math.nan, 1.5, {"c": -math.inf}], "d": (np.float64("nan"), "x", None, True)}
    text = files.as_json(content)
    expected = {"a": None, "b": [None, 1.5, {"c": None}], "d": [None, "x", None, True]}
    assert json.loads(text, parse_constant=lambda _: 1 / 0) == expected
