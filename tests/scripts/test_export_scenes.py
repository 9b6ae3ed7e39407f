"""What the export writes is read back by the data set on disk, and shows the scenes byte for byte."""

import json

import numpy as np
import torch
from PIL import Image

from datasets.captioned_images import CaptionedImages
from datasets.scenes import COLORS, SHAPES, Scenes
from scripts import export_scenes


def run(*arguments):
    return export_scenes.main([str(argument) for argument in arguments])


def test_files_hold_the_scenes(tmp_path):
    assert run(tmp_path, "--split", "instances", "--count", 5, "--size", 32, "--seed", 2, "--as", "val") == 0
    batch = Scenes("instances", 32, 5, seed=2).render(range(5))
    read = CaptionedImages(tmp_path, "val", 32)
    assert read.pairs == list(zip(batch.names, batch.captions, strict=True))
    described = json.loads((tmp_path / "scenes_val.json").read_text())
    assert list(described["palette"]) == list(COLORS)
    for i, scene in enumerate(described["scenes"]):
        assert torch.equal(read[i].rgb, batch.rgb[i])
        with Image.open(tmp_path / "masks_val" / batch.names[i]) as picture:
            assert picture.mode == "P"
            labels = torch.from_numpy(np.array(picture))
        assert (scene["caption"], scene["counter_caption"]) == (batch.captions[i], batch.counter_captions[i])
        assert len(scene["instances"]) == int((batch.colors[i] >= 0).sum())
        for k, instance in enumerate(scene["instances"]):
            assert torch.equal(labels == instance["label"], batch.masks[i, k])
            assert COLORS[batch.colors[i, k]] == instance["color"]
            assert COLORS[batch.counter_colors[i, k]] == instance["counter_color"]
            assert list(SHAPES)[batch.shapes[i, k]] == instance["noun"] and instance["named"] is True
        assert scene["background"]["color"] == COLORS[batch.background_color[i]]


def test_nothing_is_written_over_unasked(tmp_path, capsys):
    arguments = (tmp_path, "--count", 2, "--size", 16)
    assert run(*arguments) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert len(before) == 2 + 2 + 2
    assert run(*arguments, "--seed", 1) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    assert run(*arguments, "--seed", 1, "--as", "val") == 0  # beside the other
    assert run(*arguments, "--seed", 1, "--overwrite") == 0
    assert all(path.read_bytes() != content for path, content in before.items())


def test_wrong_numbers_speak_to_the_user(tmp_path, capsys):
    assert run(tmp_path / "new", "--size", 8) == 2
    assert "size 8" in capsys.readouterr().err and not (tmp_path / "new").exists()
