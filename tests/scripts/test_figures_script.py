"""scripts/figures.py: the paper's pictures from our networks."""

import json

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from scripts import figures

CHECKPOINT = str(ROOT / "checkpoints" / "scenes.safetensors")


@pytest.fixture
def photo(tmp_path):
    """A red and a blue half of one luminance: turning the hue parts them."""
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30], pixels[:, 30:] = (200, 30, 30), (60, 80, 255)
    Image.fromarray(pixels).save(tmp_path / "halves.png")
    return tmp_path / "halves.png"


def test_augmentation_spreads_what_had_one_luminance(photo, tmp_path):
    options = figures.parse(["augmentation", str(photo), "--output", str(tmp_path / "f.png")])
    ((picture, gray, spread, turned, bright, dark),) = figures.augmentation(options)

    def contrast(panel):
        return abs(int(panel[0][20, 10, 0]) - int(panel[0][20, 50, 0]))

    assert contrast(spread) > 2 * contrast(gray)
    assert (int(turned[0][20, 10, 0]) < int(turned[0][20, 50, 0])) != (
        int(gray[0][20, 10, 0]) < int(gray[0][20, 50, 0])
    )
    assert bright[0].mean() > gray[0].mean() > dark[0].mean()
    assert picture[0].shape == (40, 60, 3) and np.ptp(spread[0].astype(int), axis=2).max() == 0
    assert figures.main(["augmentation", str(photo), "--output", str(tmp_path / "f.png")]) == 0
    assert Image.open(tmp_path / "f.png").width > 6 * 60


def test_ablations_of_scenes_and_of_photographs(photo, tmp_path):
    network = ["--networks", f"full={CHECKPOINT}", f"w/o GE={CHECKPOINT}", "--device", "cpu", "--output", "f.png"]
    rows = figures.ablations(figures.parse(["ablations", *network, "--scenes", "2"]))
    assert len(rows) == 2 and [words for _, words in rows[0]][1:] == ["full", "w/o GE", "truth"]
    np.testing.assert_array_equal(rows[0][1][0], rows[0][2][0])
    assert np.ptp(rows[0][0][0].astype(int), axis=2).max() <= 1  # gray
    captions = tmp_path / "c.json"
    captions.write_text(json.dumps({"halves.png": ["a red ball", "a blue ball"]}))
    words = ["ablations", str(photo), "--captions", str(captions), *network]
    assert [row[0][1] for row in figures.ablations(figures.parse(words))] == ["a red ball", "a blue ball"]


def test_legacy_gives_a_column_for_each_caption(photo, tmp_path):
    captions = tmp_path / "c.json"
    captions.write_text(json.dumps({"halves.png": ["a red ball", "a blue ball", "a green ball"]}))
    words = ["legacy", str(photo), "--captions", str(captions), "--output", str(tmp_path / "out" / "f.png")]
    (row,) = figures.legacy(figures.parse(words))
    assert [caption for _, caption in row] == ["", "a red ball", "a blue ball", "a green ball"]
    assert (row[1][0] != row[2][0]).any()
    assert figures.main(words) == 0 and (tmp_path / "out" / "f.png").is_file()


@pytest.mark.parametrize(
    "words, message",
    [
        (["ablations", "--networks", "full", "--output", "f.png"], "pass each as NAME=CHECKPOINT"),
        (["ablations", "x.jpg", "--networks", f"a={CHECKPOINT}", "--output", "f.png"], "need --captions"),
        (["augmentation", "nothing.jpg", "--output", "f.png"], "nothing.jpg: no such file"),
    ],
)
def test_what_cannot_be_drawn_is_named(words, message, capsys):
    assert figures.main(words) == 2
    assert message in capsys.readouterr().err
