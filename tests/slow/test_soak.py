"""Deaths at random moments cost nothing, and the script would tell if they did."""

import os

import pytest
import soak
import torch
from conftest import ROOT

from utils import files, seeds

FLAGS = {
    "image_encoder_weights": "random",
    "text_encoder_weights": "random",
    "amp": "none",
    "warmup_epochs": 0,
    "batch_size": 2,
    "scenes": 40,
    "eval_scenes": 2,
}


def run(folder, kills, *flags):
    words = [
        "--config",
        str(ROOT / "configs" / "lcoins" / "scenes.yaml"),
        "--output_dir",
        str(folder),
        "--kills",
        str(kills),
    ]
    given = [word for name, value in FLAGS.items() for word in (f"--{name}", str(value))]
    return soak.main([*words, "--", *given, *flags])


def test_a_training_of_two_processes_survives_every_way_to_die(tmp_path, capsys):
    assert run(tmp_path, len(soak.WAYS), "--epochs", "2") == 0, capsys.readouterr()
    said = capsys.readouterr().out
    assert all(f"death {number} of 3: {way.name}" in said for number, way in enumerate(soak.WAYS, start=1))
    assert "death at the end of an epoch, step 10: one process went on from there" in said
    assert "the last and the best are equal, bit for bit" in said


def test_a_resumption_that_forgets_is_found(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(seeds, "set_rng_states", lambda state: None)
    assert run(tmp_path, 1, "--epochs", "1") == 1
    said = capsys.readouterr().out
    assert "different: checkpoint-last.pth: tensors, checkpoint-last.pth: optimizer" in said
    assert "checkpoint-best.pth: tensors" in said


def test_a_checkpoint_that_cannot_be_read_is_found(tmp_path, monkeypatch, capsys):
    def half(path, write):
        def write_half(beside):
            write(beside)
            os.truncate(beside, beside.stat().st_size // 2)

        replace(path, write_half)

    replace = files.replace
    monkeypatch.setattr(files, "replace", half)
    assert run(tmp_path, 1, "--epochs", "1") == 2
    assert "checkpoint-last.pth: not a readable checkpoint" in capsys.readouterr().err


def test_a_training_too_short_for_its_deaths_is_refused(tmp_path, capsys):
    assert run(tmp_path, 3, "--epochs", "1", "--scenes", "4") == 2
    assert "ended before death" in capsys.readouterr().err


def test_every_part_of_a_checkpoint_is_compared():
    one = {part: {"of": [torch.zeros(2), 1]} for part in soak.COMPARED}
    assert soak.differences(one, {part: {"of": [torch.zeros(2), 1]} for part in soak.COMPARED}) == []
    for part in soak.COMPARED:
        for value in (
            {"of": [torch.tensor([0.0, 1e-45]), 1]},
            {"of": [torch.zeros(2), 2]},
            {"of": [torch.zeros(2)]},
            {},
        ):
            assert soak.differences(one, one | {part: value}) == [part]


@pytest.mark.parametrize("seed", [0, 1])
def test_moments_are_the_seed_s(seed):
    assert soak.moments(20, seed) == soak.moments(20, seed) != soak.moments(20, seed + 1)
    assert 4 < sum(moment.in_save for moment in soak.moments(20, seed)) < 16
