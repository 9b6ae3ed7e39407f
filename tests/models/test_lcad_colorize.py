"""L-CAD in use: phrases and masks, seeds and variants, numbers changed, by scripts/colorize.py and by Python."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_lcad import tiny

from inference import Colorizer
from inference.photo import from_image
from scripts import colorize
from utils import checkpoint
from utils.errors import InputError

CAPTION = "a red car and a blue bus"


@pytest.fixture(scope="module")
def held(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("lcad") / "lcad.safetensors"
    checkpoint.save_weights(path, tiny().content() | {"ema": None}, torch.float32)
    return str(path)


@pytest.fixture(scope="module")
def colorizer(held) -> Colorizer:
    return Colorizer.from_checkpoint(held, "cpu", "none", numbers={"instance_weight": 5.0})


@pytest.fixture
def photos(tmp_path):
    """a.png and b.png of 40 x 24 with masks of the halves of a.png in masks.json."""
    gray = np.random.default_rng(0).integers(0, 256, (24, 40)).astype(np.uint8)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(gray).save(folder / name)
    (tmp_path / "masks").mkdir()
    for name, half in halves().items():
        Image.fromarray(half).save(tmp_path / "masks" / f"{name}.png")
    rows = {"a.png": [["red car", "left.png"], ["blue bus", "right.png"]]}
    (tmp_path / "masks.json").write_text(json.dumps(rows))
    return folder


def halves() -> dict[str, np.ndarray]:
    left = np.zeros((24, 40), bool)
    left[:, :20] = True
    return {"left": left, "right": ~left}


def run(held: str, *words: object) -> int:
    return colorize.main(["--checkpoint", held, "--device", "cpu", *map(str, words)])


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_masks_and_numbers_reach_the_sampler_by_the_command_line(held, photos, tmp_path, capsys):
    common = [held, photos, "--caption", CAPTION]
    assert run(*common, "--output", tmp_path / "plain") == 0
    given = [*common, "--masks", tmp_path / "masks.json", "--set", "instance_weight=5"]
    assert run(*given, "--output", tmp_path / "guided") == 0
    assert run(*given, "mask_change=shift=3", "--output", tmp_path / "rough") == 0
    a, b, rough = (
        np.abs(pixels(tmp_path / "plain" / name) - pixels(tmp_path / folder / name)).max()
        for folder, name in (("guided", "a.png"), ("guided", "b.png"), ("rough", "a.png"))
    )
    assert a > 5 and b == 0 and rough > 5
    assert (pixels(tmp_path / "guided" / "a.png") != pixels(tmp_path / "rough" / "a.png")).any()
    assert run(*common, "--set", "steps=1", "sampler=ddim", "--output", tmp_path / "short") == 0
    assert (pixels(tmp_path / "short" / "a.png") != pixels(tmp_path / "plain" / "a.png")).any()
    assert "Traceback" not in capsys.readouterr().err


def test_variants_are_seeds_and_come_again(held, photos, tmp_path):
    one = [held, photos / "a.png", "--caption", CAPTION]
    assert run(*one, "--variants", 3, "--seed", 4, "--output", tmp_path / "three") == 0
    names = sorted(path.name for path in (tmp_path / "three").iterdir())
    assert names == ["a_0.png", "a_1.png", "a_2.png", "a_variants.png"]
    variants = [pixels(tmp_path / "three" / f"a_{k}.png") for k in range(3)]
    assert all(np.abs(variants[k] - variants[k - 1]).max() > 20 for k in range(3))
    assert run(*one, "--seed", 5, "--output", tmp_path / "again") == 0
    assert np.array_equal(pixels(tmp_path / "again" / "a.png"), variants[1])
    words = [held, photos, "--captions_variants", "a red car", "a tree", "--variants", 2, "--output", tmp_path / "four"]
    assert run(*words) == 0
    assert len(list((tmp_path / "four").glob("a_[0-3].png"))) == 4 and (tmp_path / "four" / "b_variants.png").is_file()


def test_the_same_by_python(colorizer):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 40)).astype(np.uint8))
    left, right = halves().values()
    masks = [("red car", left), ("blue bus", Image.fromarray(right))]
    guided = np.asarray(colorizer(image, CAPTION, masks=masks, seed=3)).astype(int)
    assert np.array_equal(np.asarray(colorizer(image, [CAPTION, "a tree"], masks=masks, seed=3)[0]), guided)
    for other in (colorizer(image, CAPTION, seed=3), colorizer(image, CAPTION, masks=masks, seed=4)):
        assert np.abs(np.asarray(other) - guided).max() > 5
    encoded = colorizer.encode(from_image(image), masks=masks)
    first, second = colorizer.colorize(encoded, [CAPTION, "a red car"])
    assert not any("mask" in note for note in first.notes)
    assert "the caption 'a red car' does not hold 'blue bus': its mask is not used" in second.notes

    wrong = [
        ([("red car", left[:9])], r"of 'red car': is 40 x 9, its picture 40 x 24; make the mask of that size"),
        ([("red car", left & right)], r"of 'red car': is empty at 16 x 16 pixels"),
        ([("red car", left), ("blue bus", left)], r"the masks of 'blue bus' and of 'red car' overlap"),
        ([("green car", left)], r"masks: no caption holds the phrase 'green car'; .*a red car and a blue bus"),
    ]
    for given, said in wrong:
        with pytest.raises(InputError, match=said):
            colorizer(image, CAPTION, masks=given)
    with pytest.raises(InputError, match="seed -1: pass 0 or more"):
        colorizer(image, CAPTION, seed=-1)
    with pytest.raises(InputError, match=r"the photograph: the caption 'a red car .*' has more than the 80 tokens"):
        colorizer(image, "a red car and " * 30)
    plain = Colorizer.from_checkpoint(device="cpu")
    for given, said in (({"seed": 1}, "draws no colours"), ({"masks": masks}, "reads none")):
        with pytest.raises(InputError, match=said):
            plain(image, CAPTION, **given)


def test_what_cannot_be_begun_is_named(held, photos, tmp_path, capsys):
    (tmp_path / "wrong.json").write_text(json.dumps({"a.png": [["green car", "left.png"]]}))
    (tmp_path / "wrong").symlink_to(tmp_path / "masks")
    (tmp_path / "other.json").write_text(json.dumps({"c.png": []}))
    masks = tmp_path / "masks.json"
    for words, said in (
        (["--masks", tmp_path / "wrong.json"], "a.png: no caption holds the phrase 'green car'"),
        (["--masks", tmp_path / "other.json"], "--masks"),
        (["--variants", 0], "--variants 0"),
        (["--seed", -2], "--seed -2"),
        (["--set", "steps=0"], "--steps 0: pass 1 to 1000"),
        (["--set", "steps=many"], "--set steps=many: argument --steps: invalid int value: 'many'"),
        (["--set", "guidance=0.5"], "--guidance 0.5: pass 1 or more"),
        (["--set", "hue=3"], "--set hue=3: pass NAME=VALUE, with a name of stage, prior_weights"),
        (["--set", "low_memory=perhaps"], "pass low_memory=true or low_memory=false"),
        (["--checkpoint", colorize.DEFAULT_CHECKPOINT, "--masks", masks], "reads no masks"),
        (["--checkpoint", colorize.DEFAULT_CHECKPOINT, "--seed", 1], "draws no colours"),
    ):
        assert run(held, photos, "--caption", CAPTION, "--output", tmp_path / "out", *words) == 2, words
        assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_latent_that_is_not_finite_is_told_for_its_photograph(photos, tmp_path, capsys):
    system = tiny()
    with torch.no_grad():
        system.unet.conv_out.bias.fill_(3e38)
    broken = tmp_path / "broken.safetensors"
    checkpoint.save_weights(broken, system.content() | {"ema": None}, torch.float32)
    assert run(str(broken), photos / "a.png", "--caption", "a car", "--output", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "a.png: DivergedError: the latent of the photograph is not finite" in said
