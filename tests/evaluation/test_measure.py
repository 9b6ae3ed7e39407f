"""Evaluation: protocols, subsets, each pair once; a network of a few numbers in the place of the real one."""

import json
import math
import pickle
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from processes import ranks
from skimage.color import lab2rgb, rgb2lab
from torch import nn
from torchvision.models import Inception3

import engine
from datasets.batch import Batch
from datasets.boxes import Box
from evaluation import report
from evaluation.color_metrics import color_errors
from evaluation.fid import FID, _pool_as_in_2015, frechet_distance
from evaluation.measure import Measure, means, summarize_subsets
from evaluation.protocol import ROWS, enlarge
from models import Coloring
from utils import color, distributed
from utils.errors import DivergedError

SIDE = 24
CPU = torch.device("cpu")
CAPTIONS = ["a red ball", "two dogs", "a black and white cat", "a grey bus under a blue sky", "a crimson cup"]


class Words:
    def to(self, *_: object, **__: object) -> "Words":
        return self


class Painter(nn.Module):
    """ab from the luminance: enough to be neither gray nor true."""

    def colorize(self, batch):
        gray = color.split(batch.rgb)[0].float()
        return Coloring(torch.cat([gray * 0.3, gray.flip(-1) * -0.2], dim=1))


def photographs(count=5, height=SIDE, width=SIDE):
    rng = np.random.default_rng(0)
    coarse = torch.from_numpy(rng.uniform(0, 256, (count, 3, 4, 4)))
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (smooth + torch.from_numpy(rng.normal(0, 8, smooth.shape))).clamp(0, 255).to(torch.uint8)


def batches(size, photos=None):
    photos = photographs() if photos is None else photos
    for places in torch.arange(len(photos)).split(size):
        indices = places.tolist()
        names, captions = [f"{i}.jpg" for i in indices], [CAPTIONS[i] for i in indices]
        yield Batch(
            photos[places], Words(), None, torch.zeros(len(indices), dtype=torch.bool), captions, names, indices
        )


def evaluate(size=2, photos=None, visit=None, **options):
    measure = Measure(visits=[visit] * (visit is not None), **options)
    return engine.evaluate(Painter(), batches(size, photos), CPU, "none", measure)


def test_any_batch_size_gives_the_same_figures():
    one = evaluate(1)
    for size in (2, 5):
        assert evaluate(size) == one
    assert [row["index"] for row in one] == [0, 1, 2, 3, 4]


class CountedFeatures:
    """In the place of LPIPS: mean and deviation of each image."""

    def __init__(self):
        self.calls = 0

    def features(self, images):
        self.calls += 1
        return images.double().flatten(1)

    def distance(self, first, second):
        return (first - second).abs().mean(dim=1)


def test_what_no_caption_changes_is_measured_once_an_image():
    photos = photographs()[[0, 1, 0, 1, 0]]
    lpips = CountedFeatures()
    masks = {f"{i}.jpg": [Box(0.1 * i, 0, 1, 1)] for i in range(5)}

    def evaluated(names, size):
        found = (replace(batch, names=[names[i] for i in batch.indices]) for batch in batches(size, photos))
        rows = engine.evaluate(Painter(), found, CPU, "none", Measure(lpips, boxes=masks))
        return [{key: value for key, value in row.items() if key != "name"} for row in rows]

    masks |= {"2.jpg": masks["0.jpg"], "3.jpg": masks["1.jpg"], "4.jpg": masks["0.jpg"]}
    apart = evaluated([f"{i}.jpg" for i in range(5)], 2)
    assert lpips.calls == 5 * 4  # model, gray, ceiling, truth
    for size in (1, 2, 5):
        lpips.calls = 0
        assert evaluated(["0.jpg", "1.jpg", "0.jpg", "1.jpg", "0.jpg"], size) == apart
        assert lpips.calls == 2 * 4 + 3 * 2 or size > 1  # threads may measure one image at the same time


class OwnLuminance(Painter):
    """Paints the photograph, the last one darker."""

    def colorize(self, batch):
        rgb = batch.rgb.float().clone()
        rgb[[name == "4.jpg" for name in batch.names]] *= 0.8
        return super().colorize(batch)._replace(rgb=rgb)


@pytest.mark.parametrize("protocol", ["rounded", "full"])
def test_a_painted_luminance_has_a_row_of_its_own(protocol):
    photos = photographs()
    sizes = {f"{i}.jpg": photos[i] for i in range(5)}
    fid = FID(Colors(), "colours")
    measure = Measure(protocol=protocol, photograph=sizes.get, visits=[fid.add])
    rows = engine.evaluate(OwnLuminance(), batches(2), CPU, "none", measure)
    plain = engine.evaluate(Painter(), batches(2), CPU, "none", Measure(protocol=protocol, photograph=sizes.get))
    summary, before = means(rows), means(plain)
    assert "painted" not in before and all(summary[row] == before[row] for row in before if row != "count")
    darker = rows[4]["painted_luminance_psnr"]
    assert 5 < darker < 40 and summary["painted"]["luminance_psnr"] == pytest.approx(darker)  # the others are exact
    assert all(row["painted_luminance_psnr"] == math.inf for row in rows[:4])
    assert summary["painted"]["psnr"] > summary["model"]["psnr"]
    assert list(fid.distances()) == [*ROWS, "painted"]
    assert "PSNR of L, dB" in report.table(summary | {"fid_network": None})
    assert "PSNR of L, dB" not in report.table(before | {"fid_network": None})


class Broken(Painter):
    """One number of one picture is none."""

    def __init__(self, value):
        super().__init__()
        self.value = value

    def colorize(self, batch):
        output = super().colorize(batch)
        output.ab[-1, 1, 2, 3] = self.value
        return output


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("protocol", ["paper", "full"])
def test_what_is_not_finite_is_an_error_with_the_picture_s_name(value, protocol):
    with pytest.raises(DivergedError, match=r"^4\.jpg: the network's ab is not finite"):
        engine.evaluate(Broken(value), batches(5), CPU, "none", Measure(protocol=protocol))


def test_errors_inside_boxes_are_those_of_their_pixels_at_any_size():
    whole, left = Box(0, 0, 1, 1), Box(0, 0, 0.5, 1)
    boxes = {"0.jpg": [whole], "1.jpg": [], "2.jpg": [left], "3.jpg": [left, Box(0.5, 0, 1, 1)], "4.jpg": [left, left]}
    parts = []
    rows = evaluate(2, boxes=boxes, visit=parts.append)
    assert "model_box_error" not in rows[1] and "ceiling_box_error" not in rows[0]
    for place in (0, 3):
        assert rows[place]["model_box_error"] == pytest.approx(rows[place]["model_chroma_error"], rel=1e-12)
    shown = {index: part for part in parts for index in part.indices}
    for place in (2, 4):
        halves = (getattr(shown[place], name)[:1, :, :, : SIDE // 2] for name in ("predicted", "truth"))
        assert rows[place]["model_box_error"] == pytest.approx(color_errors(*halves).chroma_error.item(), rel=1e-12)
    summary = means(rows)
    assert summary["model"]["box_error"] == pytest.approx(np.mean([rows[i]["model_box_error"] for i in (0, 2, 3, 4)]))
    assert "in boxes" in report.table(summary) and "in boxes" not in report.table(means(evaluate()))

    own = {name: photographs(1, 30, 48)[0] for name in boxes}
    row = evaluate(2, protocol="full", photograph=own.__getitem__, boxes=boxes, visit=parts.append)[2]
    halves = (getattr(parts[-3], name)[:, :, :, :24] for name in ("predicted", "truth"))
    assert row["model_box_error"] == pytest.approx(color_errors(*halves).chroma_error.item(), rel=1e-12)


def test_rounding_gives_the_truth_its_bytes_back():
    cut, rounded = means(evaluate()), means(evaluate(protocol="rounded"))
    assert cut["ceiling"]["identical"] == 0 and 45 < cut["ceiling"]["psnr"] < 60
    ceiling = rounded["ceiling"]
    assert ceiling["psnr"] is None and ceiling["identical"] == 5 and ceiling["ssim"] == 1.0
    assert cut["model"]["psnr"] != rounded["model"]["psnr"]
    json.dumps(rounded, allow_nan=False)  # an infinite PSNR never reaches the file


def test_full_is_the_photograph_s_own_size_with_its_own_luminance():
    sizes = [(30, 47), (24, 24), (51, 20), (7, 90), (33, 33)]
    own = {f"{i}.jpg": photographs(1, *size)[0] for i, size in enumerate(sizes)}
    parts = []
    squashed = photographs()
    rows = evaluate(2, squashed, protocol="full", photograph=own.__getitem__, visit=parts.append)
    assert [tuple(part.predicted.shape[2:]) for part in parts] == sizes and len(rows) == 5
    painted = Painter().colorize(Batch.plain(squashed, CAPTIONS, None).to(CPU, torch.float64)).ab
    for i, part in enumerate(parts):
        lab = rgb2lab(own[f"{i}.jpg"].permute(1, 2, 0).numpy())
        truth = (lab2rgb(lab) * 255 + 1e-6).astype(np.uint8)
        assert np.abs(part.truth[0].permute(1, 2, 0).numpy().astype(int) - truth).max() <= 1  # whole numbers are cut
        ab = enlarge(painted[i : i + 1], sizes[i])[0].permute(1, 2, 0).double().numpy() * 110
        wanted = lab2rgb(np.concatenate([lab[..., :1], ab], axis=2)) * 255
        assert np.abs(part.predicted[0].permute(1, 2, 0).numpy() - wanted).max() <= 1 + 1e-6


def test_enlarging_keeps_what_is_flat_and_what_has_the_size():
    ab = torch.rand(1, 2, 5, 5)
    assert enlarge(ab, (5, 5)) is ab
    flat = enlarge(torch.full((1, 2, 5, 5), 0.25), (9, 31))
    assert flat.shape == (1, 2, 9, 31)
    torch.testing.assert_close(flat, torch.full_like(flat, 0.25))


def test_subsets_follow_the_captions_colours():
    rows = evaluate()
    subsets = summarize_subsets(rows)
    held = {name: summary["count"] for name, summary in subsets.items()}
    assert held == {"chromatic": 3, "two_or_more_colors": 2, "red": 2, "blue": 1, "black": 1, "white": 1, "gray": 1}
    mean = (rows[0]["model_psnr"] + rows[4]["model_psnr"]) / 2
    assert subsets["red"]["model"]["psnr"] == pytest.approx(mean, rel=1e-12)
    text = report.subset_table(subsets)
    assert "two or more colours" in text and len(text.splitlines()) == 8
    nothing = summarize_subsets([rows[1]])
    assert nothing["chromatic"]["count"] == 0 and nothing["chromatic"]["model"]["psnr"] is None
    assert "-" in report.subset_table(nothing)


def test_fid_by_hand_and_by_the_matrix_root():
    rng = np.random.default_rng(0)
    a = torch.from_numpy(rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6)))
    shift = torch.arange(6.0, dtype=torch.float64)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a + shift, a) == pytest.approx(shift.square().sum().item())
    centred = a - a.mean(dim=0)
    assert frechet_distance(3 * centred, centred) == pytest.approx(4 * centred.T.cov().trace().item())
    for count in (50, 4):  # fewer samples than features: a singular covariance
        b = torch.from_numpy(rng.normal(size=(count, 6)) @ rng.normal(size=(6, 6)) + 1)
        s_a, s_b = a.T.cov(), b.T.cov()
        roots = torch.linalg.eigvals(s_a @ s_b).real.clamp(min=0).sqrt().sum()  # of a product of two covariances
        expected = (a.mean(dim=0) - b.mean(dim=0)).square().sum() + s_a.trace() + s_b.trace() - 2 * roots
        assert frechet_distance(a, b) == pytest.approx(expected.item(), rel=1e-6)


class Colors(nn.Module):
    """Six numbers of a picture in the place of Inception's 2048."""

    def forward(self, images):
        assert images.shape[2:] == (299, 299) and images.abs().max() < 1.001
        return torch.cat([images.mean(dim=(2, 3)), images.square().mean(dim=(2, 3))], dim=1)


def test_fid_is_of_the_whole_set_however_it_is_dealt_out(monkeypatch):
    whole = FID(Colors(), "colours")
    evaluate(2, visit=whole.add)
    distances = whole.distances()
    assert list(distances) == list(ROWS) and distances["model"] > distances["ceiling"] > 0
    ranks = [FID(Colors(), "colours") for _ in range(2)]
    parts = []
    evaluate(5, visit=parts.append)
    for i, part in enumerate(parts):
        ranks[i % 2].add(part)
    monkeypatch.setattr(distributed, "gather_objects", lambda _: [rank.features for rank in ranks])
    assert ranks[0].distances() == distances
    monkeypatch.undo()
    assert FID(Colors(), "colours").distances() == dict.fromkeys(ROWS)


def test_a_kept_feature_is_as_large_as_itself():
    fid = FID(Colors(), "colours")
    images = photographs(5)
    fid.add(SimpleNamespace(indices=range(5), truth=images, compared=lambda: dict.fromkeys(ROWS, images)))
    kept = [features for rows in fid.features.values() for features in rows.values()]
    assert len(kept) == 5 * 4 and all(features.untyped_storage().nbytes() == 6 * 4 for features in kept)
    assert sum(len(pickle.dumps(features)) for features in kept) < 20 * 1000


def test_the_number_of_pictures_stands_beside_fid():
    rows = evaluate()
    summary = means(rows) | {"fid_network": None, "fid_pictures": None}
    assert "biased" not in report.table(summary)
    summary |= {"fid_network": "colours", "fid_pictures": 3}
    said = "FID of 5 pairs of 3 photographs, in the features of colours: too high below 2,048 photographs (biased)"
    assert said in report.table(summary)
    assert "biased" not in report.table(summary | {"fid_pictures": 2048})


class Block(nn.Module):
    """An Inception block in small: one channel as it is, then one pooled."""

    def __init__(self):
        super().__init__()
        self.branch_pool = nn.Conv2d(1, 1, 1)

    def forward(self, x):
        return torch.cat([x, self.branch_pool(nn.functional.avg_pool2d(x, 3, 1, 1))], dim=1)


def test_pooling_of_2015_leaves_padding_out_and_ends_with_a_maximum():
    network = nn.Module()
    for name in ("5b", "5c", "5d", "6b", "6c", "6d", "6e", "7b", "7c"):
        setattr(network, f"Mixed_{name}", Block().requires_grad_(False))
    _pool_as_in_2015(network)
    image = torch.arange(1.0, 10).view(1, 1, 3, 3)
    for name, corner in (("5b", (1 + 2 + 4 + 5) / 4), ("7c", 5.0)):
        block = getattr(network, f"Mixed_{name}")
        out, convolution = block(image), block.block.branch_pool
        assert torch.equal(out[:, :1], image) and out.shape[1] == 2
        assert out[0, 1, 0, 0] == pytest.approx((convolution.weight * corner + convolution.bias).item())


def test_both_inception_files_are_told_apart(tmp_path):
    image, features = photographs(1), {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Inception3(num_classes=1008, aux_logits=False, init_weights=False)
    state = {name: tensor.half() for name, tensor in network.state_dict().items() if "num_batches" not in name}
    for classes in (1008, 1000):
        state["fc.weight"], state["AuxLogits.fc.bias"] = torch.zeros(classes, 2048), torch.zeros(classes)
        torch.save(state, tmp_path / "inception.pth")
        fid = FID.load(tmp_path / "inception.pth")
        assert ("not comparable" in fid.name) == (classes == 1000)
        features[classes] = fid.extract(image)
        assert features[classes].shape == (1, 2048) and features[classes].dtype == torch.float32
    assert not torch.equal(features[1008], features[1000])  # the two pool in different ways


DEALT_OUT = """
import json, sys
import torch
from test_measure import CPU, Colors, Painter, batches
import engine
from utils import distributed
from evaluation.fid import FID
from evaluation.measure import Measure

torch.set_num_threads(1)
distributed.setup("cpu")
mine = [b for i, b in enumerate(batches(1)) if i % distributed.world_size() == distributed.rank()]
fid = FID(Colors(), "colours")
rows = engine.evaluate(Painter(), mine, CPU, "none", Measure(visits=[fid.add]))
distances = fid.distances()
if distributed.is_main():
    json.dump([rows, distances], open(sys.argv[1], "w"))
distributed.shutdown()
"""


def test_processes_share_the_pairs_and_agree_with_one(tmp_path):
    fid = FID(Colors(), "colours")
    rows, distances = evaluate(1, visit=fid.add), fid.distances()
    script = tmp_path / "dealt_out.py"
    script.write_text(DEALT_OUT)
    for processes in (2, 3):
        file = tmp_path / f"{processes}.json"
        done = ranks(processes, script, [str(file)])
        assert done.returncode == 0, done.stderr
        theirs, their_distances = json.loads(file.read_text())
        assert their_distances == pytest.approx(distances, rel=1e-6)
        for row, their_row in zip(rows, theirs, strict=True):
            same = [key for key, value in row.items() if isinstance(value, str | int)]
            assert [their_row[key] for key in same] == [row[key] for key in same]
            values = {key: value for key, value in row.items() if key not in same}
            assert {key: their_row[key] for key in values} == pytest.approx(values, rel=1e-12)
