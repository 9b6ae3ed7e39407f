"""L-CAD in tests: levels of description, exact and rough masks, seeds, its own luminance, bad input, little memory."""

import csv
import json
from dataclasses import replace

import pytest
import torch
from conftest import write_data
from tiny_lcad import CAPTIONS, batch_of, some_instances, tiny

import run_colorization
from datasets.scenes import SHAPES, Rules, Scenes
from evaluation import variety
from evaluation.instances import evaluate_instances, recolor
from evaluation.metrics import luminance_psnr
from evaluation.variety import spread
from models.restore import restore
from utils import checkpoint, color
from utils.errors import InputError

CPU = torch.device("cpu")
SCENES = "--data_set scenes --eval_scenes 2 --scene_instances 3 3 --batch_size 2"


@pytest.fixture(scope="module")
def held(tmp_path_factory) -> str:
    """A weights file."""
    path = tmp_path_factory.mktemp("lcad") / "lcad.safetensors"
    checkpoint.save_weights(path, tiny().content() | {"ema": None}, torch.float32)
    return str(path)


def run(held: str, words: str, *more: object) -> int:
    given = ["--finetune", held, "--device", "cpu", "--num_workers", "0", *words.split(), *map(str, more)]
    return run_colorization.run(given)


def test_scenes_are_tested_at_three_levels(held, tmp_path, capfd):
    levels = ["complete", "partial", "scarce"]
    assert run(held, f"{SCENES} --test --seeds 2 --steps 1 --level", *levels, "--output_dir", tmp_path) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert list(metrics) == levels and list(metrics["scarce"]) == ["clear", "instances", "unobserved", "luminance"]
    for split in metrics["scarce"]:
        own = [metrics[level][split] for level in levels]
        assert own[0]["instances"] >= own[1]["instances"] > own[2]["instances"] == 0
        assert own[0]["accuracy"] is not None and own[2]["accuracy"] is None and own[2]["references"] == {}
        counts = [summary["undescribed"]["instances"] for summary in own]
        assert counts[0] <= counts[1] < counts[2] == counts[0] + own[0]["instances"]
        assert min(own[2]["undescribed"]["spread"]["mean"], own[2]["spread"]["mean"]) > 1
        assert own[2]["undescribed"]["chroma"]["mean"] > 0 and own[0]["luminance_psnr"]["mean"] > 0
    for level in levels:
        assert json.loads((tmp_path / level / "metrics.json").read_text()) == metrics[level]
        assert (tmp_path / level / "sheet.png").is_file()
    said = capfd.readouterr().err
    assert "clear, partial" in said and "undescribed instances" in said and "PSNR of L, dB" in said
    assert Scenes("clear", 16, 2, rules=Rules(3, 3), level="scarce").render([0]).captions[0] in (
        (tmp_path / "scarce" / "index.html").read_text()
    )


def test_photographs_are_tested_at_two_levels_with_their_masks(held, tmp_path, capfd):
    data = write_data(tmp_path / "data", {"test": 4}, side=24)
    words = f"--test --steps 2 --seeds 2 --data_path {data} --level complete scarce"
    assert run(held, words, "--output_dir", tmp_path / "out") == 0
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    for level, colors in (("complete", 4), ("scarce", 0)):
        summary = json.loads((tmp_path / "out" / level / "metrics.json").read_text())
        assert summary == metrics[level] and summary["variety"]["seeds"] == 2
        assert summary["variety"]["spread"]["mean"] > 1
        assert summary["painted"]["luminance_psnr"] > 0 and summary["painted"]["psnr"] != summary["model"]["psnr"]
        assert summary["gray"] == metrics["complete"]["gray"] and summary["model"] != summary["gray"]
        with (tmp_path / "out" / level / "per_image.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert sum("red" in row["caption"] for row in rows) == (colors > 0)
        assert rows[0]["caption"] == ("a red ball on the left" if colors else "a ball on the left")
        assert {"painted_psnr", "painted_ssim", "painted_luminance_psnr"} <= rows[0].keys()
    assert metrics["complete"]["model"]["psnr"] != metrics["scarce"]["model"]["psnr"]
    said = capfd.readouterr().err
    assert "descriptions" in said and "among 2 seeds" in said and "its own picture" in said


def test_a_system_of_another_kind_varies_by_nothing(tmp_path):
    system = tiny()
    system.inputs = frozenset()
    rows = variety.evaluate(system, [batch_of(system)], CPU, "none", 3)
    assert [row["spread"] for row in rows] == [0.0] * 3
    assert variety.summarize(rows, 3)["spread"] == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_the_spread_is_a_standard_deviation_in_ab():
    torch.manual_seed(0)
    ab = torch.randn(5, 2, 2, 3, 4).double() / 10
    wanted = (ab * 110).numpy().std(axis=0, ddof=1)
    torch.testing.assert_close(spread(list(ab)).numpy(), ((wanted**2).sum(axis=1)) ** 0.5)
    assert spread([ab[0]]).shape == (2, 3, 4) and not spread([ab[0], ab[0]]).any()


@torch.no_grad()
def test_exact_and_rough_masks_of_scenes_reach_the_sampler():
    """Guided, unguided and roughly guided pictures differ; the figures are of the exact masks whatever is drawn."""
    scenes = Scenes("clear", 16, 3, rules=Rules(min_instances=3))
    answers, grays = [], []
    guided = {"instance_weight": 9.0}
    for numbers in (guided, {"instance_weight": 0.0}, guided | {"mask_change": "grow=3"}):
        rows = evaluate_instances(tiny(**numbers), scenes, CPU, "none", batch_size=2)
        found = [instance for row in rows for instance in row["instances"]]
        answers.append([instance["error"] for instance in found])
        grays.append([instance["gray_error"] for instance in found])
    assert grays[0] == grays[1] == grays[2]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert max(abs(a - b) for a, b in zip(answers[one], answers[other], strict=True)) > 1e-3


@pytest.mark.parametrize("level", ["complete", "partial"])
def test_each_caption_of_a_scene_comes_with_its_own_phrases(level, monkeypatch):
    """Under its own caption, its counter caption and, on the page, others: every phrase begins and ends with words."""
    scenes, system, seen = Scenes("instances", 16, 2, rules=Rules(min_instances=3), level=level), tiny(steps=1), []
    colorize = system.colorize
    monkeypatch.setattr(system, "colorize", lambda batch: seen.append(batch) or colorize(batch))
    evaluate_instances(system, scenes, CPU, "none", batch_size=2)
    recolor(system, scenes, 1, 3, CPU, "none")
    assert [len(batch.captions) for batch in seen] == [2, 2, 1, 1, 1]
    for batch in seen:
        own = batch.instances
        found = zip(own.picture.tolist(), own.spans.tolist(), strict=True)
        phrases = [(batch.captions[b], batch.captions[b][start:end]) for b, (start, end) in found]
        assert set(own.picture.tolist()) == set(range(len(batch.captions)))
        for caption, phrase in phrases:
            assert f" {phrase} " in f" {caption.replace(',', ' ')} ".replace("  ", " ")
            assert any(noun in phrase.split() for noun in SHAPES)
        assert len(phrases) >= 3 * len(batch.captions)


def test_only_systems_that_read_masks_may_change_them(tmp_path, capsys):
    words = ["--model", "instcolorization_small", "--mask_change", "grow=2", "--output_dir", str(tmp_path)]
    assert run_colorization.run(words) == 2
    assert "--mask_change: a flag of --model lcad, not of instcolorization_small" in capsys.readouterr().err
    for text in ("grow", "grow=0", "grow=-1", "widen=2", "shift=1.5"):
        with pytest.raises(InputError, match=rf"--mask_change {text}: pass grow=N, shrink=N or shift=N"):
            tiny(mask_change=text)


@torch.no_grad()
def test_another_seed_of_a_batch_is_another_picture_and_the_same_again():
    system = tiny(sample_seed=3)
    batch = batch_of(system, CAPTIONS, some_instances())
    own = system.colorize(batch).ab
    assert system.seed == 3
    assert torch.equal(system.colorize(replace(batch, seed=3)).ab, own)
    assert (system.colorize(replace(batch, seed=4)).ab - own).abs().mean() > 0.01


@torch.no_grad()
def test_without_the_luminance_encoder_the_decoder_is_the_autoencoder_s_own():
    system, bare = (tiny("compression", luminance_guided=guided) for guided in (True, False))
    batch = batch_of(system)
    latent = bare.autoencoder.encode(batch.rgb * 2 - 1).latent_dist.mode()
    wanted = (bare.autoencoder.decode(latent).sample.clamp(-1, 1) + 1) / 2
    torch.testing.assert_close(bare.colorize(batch).rgb, wanted, atol=1e-5, rtol=0)
    assert (system.colorize(batch).rgb - wanted).abs().max() > 1e-2


def test_the_psnr_of_luminance_ignores_colour():
    photo = torch.full((2, 3, 4, 4), 100, dtype=torch.uint8)
    other = photo.clone()
    other[1, :, 0] = 150
    l_photo, l_other = (color.luminance(one.double() / 255) for one in (photo, other))
    mse = (l_photo - l_other).square().mean(dim=(1, 2, 3))[1]
    found = luminance_psnr(photo, other)
    assert found[0] == torch.inf and found[1] == pytest.approx((10 * torch.log10(100**2 / mse)).item())


@torch.no_grad()
def test_little_memory_paints_the_same(held):
    content = checkpoint.load(held)
    plain, small = (restore(held, content, low_memory=low)[0].eval() for low in (False, True))
    kinds = [{type(own).__name__ for own in one.unet.attn_processors.values()} for one in (plain, small)]
    assert kinds == [{"AttnProcessor2_0"}, {"SlicedAttnProcessor"}]
    for instances in (None, some_instances()):
        first, second = (one.colorize(batch_of(one, CAPTIONS, instances)).rgb for one in (plain, small))
        torch.testing.assert_close(first, second, atol=1e-4, rtol=0)
    assert {type(own).__name__ for own in small.unet.attn_processors.values()} == kinds[1]
    calls = []
    small.autoencoder.decoder.conv_in.register_forward_hook(lambda _, given, __: calls.append(len(given[0])))
    small.colorize(batch_of(small, CAPTIONS))
    assert calls == [1] * len(CAPTIONS) and len(CAPTIONS) > 1


def test_a_caption_that_is_too_long_is_named_before_anything_is_painted(held, tmp_path, capfd):
    system, long = tiny(), "a red car and " * 30 + "a bus"
    with pytest.raises(InputError, match=r"1: the caption 'a red car .*' has more than the 80 tokens that lcad_small"):
        system.colorize(batch_of(system, ["a car", long]))
    data = write_data(tmp_path / "data", {"test": 2}, side=24)
    (data / "cap-img-pairs_test.json").write_text(json.dumps([["0.jpg", "a cup"], ["1.jpg", long]]))
    assert run(held, f"--test --data_path {data} --output_dir {tmp_path / 'out'}") == 2
    said = capfd.readouterr().err
    assert "1.jpg: the caption 'a red car" in said and "shorten it" in said
    assert not list((tmp_path / "out").glob("*.png"))


def test_captions_of_the_training_are_cut_and_that_is_said_once(caplog):
    system = tiny().train()
    batch = batch_of(system, ["a red car and " * 30, "a tree"])
    with caplog.at_level("WARNING"):
        for _ in range(2):
            assert system.begin_update([batch], CPU) == [batch]
    assert [record.getMessage() for record in caplog.records] == [
        "captions of more than 80 tokens are cut: lcad_small reads no more"
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--level partial", "--level: is part of an evaluation; pass --eval or --test with it"),
        ("--seeds 3", "--seeds: is part of an evaluation"),
        ("--eval --level scarce scarce", "--level scarce scarce: names one twice"),
        ("--eval --seeds 0", "--seeds 0: pass at least 1"),
        ("--eval --level some", "invalid choice: 'some'"),
        ("--eval --obedience --level scarce", "--obedience: replaces colour words of complete captions"),
        ("--eval --steps 0", "--steps 0: pass 1 to 1000"),
        ("--eval --guidance 0.9", "--guidance 0.9: pass 1 or more"),
    ],
)
def test_wrong_flags_are_named(held, words, said, capfd, tmp_path):
    assert run(held, words, "--output_dir", tmp_path) == 2
    assert said in capfd.readouterr().err
