"""scripts/profile_step.py: every part of a step is named, and together they are the step."""

import json

import torch

from scripts import profile_step


def test_the_parts_of_a_step(tmp_path, capsys):
    words = ["--model", "colorization_vit_pico_patch8_64_group_post", "--output", str(tmp_path), "--device", "cpu"]
    words += ["--batch_size", "2", "--warmup", "1", "--steps", "1", "--amp", "none", "--threads", "1"]
    backward = torch.Tensor.backward
    profile_step.main(words)
    assert torch.Tensor.backward is backward
    table = (tmp_path / "parts.txt").read_text()
    assert table.strip() in capsys.readouterr().out
    for part in (
        "image_encoder",
        "text_encoder",
        "transformer",
        "upsampler",
        "grouping_layer",
        "backward",
        "optimizer",
    ):
        assert any(line.startswith(part) for line in table.splitlines()), part
    shares = [float(line.split()[-1]) for line in table.splitlines()[1:]]
    assert abs(sum(shares[:-1]) - 100) < 1 and min(shares) >= 0 and shares[-1] == 100
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert "aten::" in (tmp_path / "kernels.txt").read_text()


def test_the_rest_is_what_no_part_names():
    table = profile_step.parts_table(
        {"a step": 1000.0, "part: backward": 600.0, "part: upsampler": 100.0, "aten::mm": 5.0}
    )
    assert [line.split()[-1] for line in table.splitlines()] == ["%", "60.0", "30.0", "10.0", "100.0"]
