"""Obedience: networks whose answers are known give the figures that follow."""

import json

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

import run_colorization
from datasets import CaptionedOptions, build_dataset
from datasets.loading import build_loader
from datasets.words import color_words
from evaluation import obedience, obedience_summary
from evaluation.obedience_metrics import LEAST_CHANGE, word_response
from models import SMALL_MODEL, Coloring
from models.text import Words
from utils import color
from utils.errors import DivergedError

PALETTE = torch.tensor([(40.0, 0.0), (0.0, 40.0), (-40.0, 0.0), (0.0, -40.0)])
SIDE = 20


def change(ab, share):
    """A change by `ab` in a corner that is `share` of the picture."""
    planes = torch.zeros(2, SIDE, SIDE)
    planes[:, : round(SIDE * share**0.5), : round(SIDE * share**0.5)] = torch.as_tensor(ab)[:, None, None]
    return planes


# ---- the metric


def test_a_change_toward_the_new_colour_is_right_and_others_are_not():
    toward = (PALETTE[1] - PALETTE[0]) / 2
    changes = torch.stack([change(toward, 0.16), change(-toward, 0.16), change(toward, 0.16)])
    right, angle, share = word_response(changes, torch.tensor([0, 0, 0]), torch.tensor([1, 1, 3]), PALETTE)
    assert right.tolist() == [True, False, False]
    torch.testing.assert_close(angle, torch.tensor([0.0, 180.0, 90.0], dtype=torch.float64), atol=1e-4, rtol=0)
    torch.testing.assert_close(share, torch.full((3,), 0.16, dtype=torch.float64))


def test_a_tint_of_everything_and_a_change_nobody_sees_do_not_score():
    toward = (PALETTE[2] - PALETTE[0]).double()
    weak = toward / toward.norm() * LEAST_CHANGE
    changes = torch.stack(
        [change(toward, 1.0), change(weak * 0.9, 0.25), change(weak * 1.1, 0.25), torch.zeros(2, 20, 20)]
    )
    source, wanted = torch.zeros(4, dtype=torch.long), torch.full((4,), 2)
    right, angle, share = word_response(changes, source, wanted, PALETTE)
    assert right.tolist() == [False, False, True, False]
    assert angle[3] == 90 and share.tolist() == [1, 0.25, 0.25, 0]


def test_chance_is_one_in_the_other_colours():
    torch.manual_seed(0)
    angles = torch.rand(4000) * 2 * torch.pi
    changes = torch.stack([20 * angles.cos(), 20 * angles.sin()], dim=1)[:, :, None, None] * (torch.rand(20, 20) < 0.3)
    source = torch.arange(4000) % 4
    wanted = (source + 1 + torch.arange(4000) // 4 % 3) % 4
    right, _, _ = word_response(changes, source, wanted, PALETTE)
    assert abs(right.double().mean() - 1 / 3) < 0.03


# ---- the captions


def test_the_first_of_the_eight_is_replaced_and_nothing_else():
    source, replaced = obedience.replacements("A white dog with a Red ball on green grass")
    assert obedience.COLORS[source] == "red" and len(replaced) == 7
    assert replaced[0] == "A white dog with a orange ball on green grass"
    assert obedience.replacements("a white dog") == (None, [])
    own = obedience.replacements("a blond girl in blue")  # yellow's word
    assert obedience.COLORS[own[0]] == "yellow" and "a red girl in blue" in own[1]


def test_the_other_caption_is_another_photograph_s():
    pairs = [("a", "1"), ("a", "2"), ("b", "3"), ("b", "4")]
    assert [obedience._other_caption(pairs, i) for i in range(4)] == ["3", "4", "1", "2"]
    assert obedience._other_caption([("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")], 2) == "2"
    assert obedience._other_caption([("a", "1"), ("a", "2")], 0) == ""


# ---- whole evaluations


class Painter(torch.nn.Module):
    """Paints the upper left quarter in the first colour that the caption names; gray without one."""

    def __init__(self, obeys):
        super().__init__()
        self.obeys, self.captions, self.tokenizer, self.reads_apart = obeys, [], self.tokenize, True

    def tokenize(self, captions):
        self.captions = captions
        return Words(torch.zeros(len(captions), 1, dtype=torch.long), torch.ones(len(captions), 1, dtype=torch.bool))

    def encode_image(self, rgb):
        return rgb.flatten(1)[:, None]

    def encode_text(self, words):
        return words.ids

    def decode(self, image, language, mask):
        ab = torch.zeros(len(image), 2, 32, 32)
        for planes, caption in zip(ab, self.captions, strict=True):
            named = [color_words.family(caption[a:b]) for a, b in color_words.find(caption)]
            named = [name for name in named if name in obedience.COLORS]
            if named and self.obeys:
                planes[:, :16, :16] = (obedience.CENTERS[obedience.COLORS.index(named[0])] / 110)[:, None, None]
        return Coloring(ab)


@pytest.fixture
def photos(tmp_path):
    """Gray pictures with a quarter in the colour that their caption names."""
    (tmp_path / "val").mkdir()
    pairs = []
    for number, name in enumerate(("red", "green", "blue", "yellow")):
        lab = torch.zeros(1, 3, 32, 32)
        lab[:, 0] = 60
        lab[0, 1:, :16, :16] = obedience.CENTERS[obedience.COLORS.index(name)][:, None, None]
        rgb = color.to_uint8(color.lab_to_rgb(lab), rounded=True)[0].permute(1, 2, 0).numpy()
        Image.fromarray(rgb).save(tmp_path / "val" / f"{number}.png")
        pairs.append([f"{number}.png", f"a {name} ball"])
    pairs.append(["0.png", "a ball"])
    (tmp_path / "cap-img-pairs_val.json").write_text(json.dumps(pairs))
    return tmp_path


def evaluated(painter, photos, batch_size):
    dataset = build_dataset(CaptionedOptions(), str(photos), "val", 32)
    loader = build_loader(dataset, painter.tokenize, batch_size, 0, train=False)
    parts = painter, loader, dataset.pairs, torch.device("cpu"), "none"
    return obedience.evaluate(*parts, dataset.regions)


def test_what_is_not_finite_is_an_error_with_the_picture_s_name(photos):
    class Broken(Painter):
        def decode(self, image, language, mask):
            output = super().decode(image, language, mask)
            output.ab[["blue ball" in caption for caption in self.captions], 0, 0, 0] = torch.inf
            return output

    with pytest.raises(DivergedError, match=r"^0\.png: the network's ab is not finite"):  # under "a blue ball"
        evaluated(Broken(obeys=True), photos, 2)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_a_network_that_obeys_scores_all(photos, batch_size):
    rows = evaluated(Painter(obeys=True), photos, batch_size)
    assert [row["index"] for row in rows] == list(range(5)) and rows[4]["from"] is None
    assert rows[4]["psnr_counter"] is None and rows[0]["psnr_own"] > rows[0]["psnr_counter"]
    summary = obedience_summary.summarize(rows)
    response = summary["model"]["word_response"]
    assert response["count"] == 28 and response["right"]["mean"] == 1 and response["angle"] < 1
    assert abs(response["share"] - 0.25) < 1e-6
    assert all(summary["model"]["description_gain"][d]["psnr"]["low"] > 0 for d in ("other", "counter"))
    assert summary["model"]["description_gain"]["other"]["chroma_error"]["high"] < 0
    assert "word response" in obedience_summary.table(summary) and "region" not in obedience_summary.table(summary)


def test_a_change_is_looked_for_where_the_word_s_thing_is(photos):
    boxes = {"0.png": [[0, 0.0, 0.0, 0.25, 0.5]], "1.png": [[0, 0.5, 0.5, 1.0, 1.0]]}  # half of what is painted; none
    captions = {"0.png": "a red ball", "1.png": "a green ball"}
    content = {name: {captions[name]: regions} for name, regions in boxes.items()}
    (photos / "regions_val.json").write_text(json.dumps(content))
    rows = evaluated(Painter(obeys=True), photos, 2)
    assert [row["region"] for row in rows] == [0.125, 0.25, None, None, None]
    torch.testing.assert_close([r["inside"] for r in rows[0]["responses"]], [0.5] * 7)
    assert [r["inside"] for r in rows[1]["responses"]] == [0] * 7 and rows[2]["responses"][0]["inside"] is None
    summary = obedience_summary.summarize(rows)
    assert summary["model"]["word_response"]["inside"] == pytest.approx(0.25)
    assert summary["ignoring"]["word_response"]["inside"] == summary["model"]["word_response"]["region"] == 0.1875
    assert "in the word's region" in obedience_summary.table(summary)


def test_a_network_that_ignores_the_words_scores_nothing(photos):
    deaf = obedience_summary.summarize(evaluated(Painter(obeys=False), photos, 2))
    assert deaf["model"] == deaf["ignoring"]
    for summary in (deaf["model"], obedience_summary.summarize(evaluated(Painter(True), photos, 2))["ignoring"]):
        assert summary["word_response"]["right"]["mean"] == 0 and summary["word_response"]["angle"] == 90
        assert summary["word_response"]["share"] == 0
        gains = [gain["mean"] for both in summary["description_gain"].values() for gain in both.values()]
        assert gains == [0] * 6


def test_no_colour_word_at_all_is_no_figure(photos):
    (photos / "cap-img-pairs_val.json").write_text(json.dumps([["0.png", "a ball"]]))
    summary = obedience_summary.summarize(evaluated(Painter(True), photos, 1))
    assert summary["model"]["word_response"] is None
    assert summary["model"]["description_gain"]["counter"]["psnr"] is None
    assert "-" in obedience_summary.table(summary)


def test_the_flag_writes_the_figures(photos, tmp_path, capsys):
    (photos / "val").rename(photos / "test")
    (photos / "cap-img-pairs_val.json").rename(photos / "cap-img-pairs_test.json")
    start = ["--model", SMALL_MODEL, "--device", "cpu", "--num_workers", "0", "--amp", "none"]
    assert run_colorization.run([*start, "--obedience", "--output_dir", str(tmp_path / "o")]) == 2
    assert "--obedience: is part of an evaluation" in capsys.readouterr().err
    weights = ["--finetune", str(ROOT / "checkpoints" / "scenes.safetensors"), "--device", "cpu", "--num_workers", "0"]
    words = [*weights, "--data_path", str(photos), "--test", "--obedience", "--output_dir", str(tmp_path / "o")]
    assert run_colorization.run(words) == 0
    told = json.loads((tmp_path / "o" / "metrics.json").read_text())["obedience"]
    assert told["model"]["word_response"]["count"] == 28 and told["ignoring"]["word_response"]["right"]["mean"] == 0
    assert np.isfinite(told["model"]["description_gain"]["empty"]["psnr"]["mean"])
    page = (tmp_path / "o" / "index.html").read_text()
    assert "ignoring the words" in page and "gain over empty caption, PSNR, dB" in page
