"""The small scripts, each run once for real."""

import sys

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

import run_colorization
from datasets.pair_list import read_pairs
from datasets.pictures.drawing import captioned_grid, strip
from datasets.words import color_words
from evaluation.report import strip_panels
from scripts import contact_sheet, prepare_samples
from utils.color import rgb_to_lab


def call(monkeypatch, script, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", [script.__name__, *map(str, words)])
    script.main()


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    with pytest.MonkeyPatch.context() as monkeypatch:
        call(monkeypatch, prepare_samples, folder)
    return folder


def lab(path) -> torch.Tensor:
    pixels = torch.from_numpy(np.asarray(Image.open(path)).copy())
    return rgb_to_lab(pixels.permute(2, 0, 1)[None].double() / 255)[0]


def test_samples_give_one_gray_picture_several_colours(samples):
    pairs = read_pairs(samples, "test")
    assert len(pairs) == 12 and len(read_pairs(samples, "train")) == 12 * 2 * prepare_samples.ROUNDS
    for name, caption in pairs:
        (start, end) = color_words.find(caption)[0]
        assert name == f"{name.split('_')[0]}_{caption[start:end]}.png"
    first, *others = (lab(samples / "test" / f"chelsea_{color}.png") for color in ("orange", "green", "blue", "pink"))
    for other in others:
        assert (other[0] - first[0]).abs().mean() < 1  # L stays
        assert (other[1:] - first[1:]).norm(dim=0).mean() > 10


def test_samples_recolour_the_suit_and_not_the_face(samples):
    orange, blue = (lab(samples / "test" / f"astronaut_{color}.png")[1:] for color in ("orange", "blue"))
    change = (orange - blue).norm(dim=0)
    assert change[170:200, 40:80].mean() > 60  # the sleeve
    assert change[45:65, 100:120].mean() < 5  # the cheek


@pytest.fixture(scope="module")
def tested(samples, tmp_path_factory):
    out = tmp_path_factory.mktemp("tested")
    common = [
        "--config",
        str(ROOT / "configs" / "lcoins" / "smoke.yaml"),
        "--device",
        "cpu",
        "--data_path",
        str(samples),
    ]
    assert run_colorization.run([*common, "--output_dir", str(out), "--epochs", "1", "--batch_size", "120"]) == 0
    words = ["--finetune", str(out / "checkpoint-last.pth"), "--test", "--output_dir", str(out / "test")]
    assert run_colorization.run([*common, *words]) == 0
    return out


def test_contact_sheet_shows_gray_and_results_in_rows(tested, tmp_path, monkeypatch):
    call(monkeypatch, contact_sheet, tested / "test", "--columns", 4, "--scale", 2, "--output", tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    gray = strip_panels(tested / "test", "astronaut_orange.png")["gray"]
    cell = captioned_grid([[(gray, "input")]], 2)
    assert sheet.shape == (3 * cell.shape[0], 5 * 64 + 4 * 6, 3)
    assert np.array_equal(sheet[:64, :64], cell[:64, :64])
    result = Image.open(tested / "test" / "astronaut_green.png").resize((64, 64), Image.Resampling.BICUBIC)
    assert np.array_equal(sheet[:64, 140:204], np.asarray(result))


def test_contact_sheet_spreads_over_the_photographs(samples, tested, tmp_path, monkeypatch):
    call(monkeypatch, contact_sheet, tested / "test", "--spread", 2, "--columns", 1, "--output", tmp_path / "sheet.png")
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    chosen = read_pairs(samples, "test")[::6]  # of twelve photographs
    drawn = [list(strip_panels(tested / "test", name).values()) for name, _ in chosen]
    cells = [(strip(panels[:3]), caption) for panels, (_, caption) in zip(drawn, chosen, strict=True)]
    assert len(cells) == 2 and np.array_equal(sheet, captioned_grid([[cell] for cell in cells], 2))
