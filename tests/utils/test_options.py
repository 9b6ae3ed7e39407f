import dataclasses
import re

import pytest

import run_colorization
from utils import options
from utils.errors import InputError


def config(tmp_path, text: str) -> str:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return str(path)


def test_defaults_then_yaml_then_command_line(tmp_path):
    path = config(tmp_path, "lr: 3.0e-4\nepochs: 7\nopt_betas: [0.8, 0.9]\nmodel_ema: true\ngroup_tokens: false\n")
    args = run_colorization.parse(["--epochs", "9", "--config", path])
    assert (args.lr, args.epochs, args.opt_betas, args.seed) == (3e-4, 9, [0.8, 0.9], 0)
    assert args.model_ema is True and args.group_tokens is False
    assert run_colorization.parse(["--config", path, "--no-model_ema", "--group_tokens"]).model_ema is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lerning_rate: 1", "unknown key 'lerning_rate'"),
        ("config: other.yaml", "unknown key 'config'"),
        ("lr: fast", "--lr: invalid float value: 'fast'"),
        ("lr: true", "lr is True; give it a value"),
        ("model_ema: 3", "model_ema is 3; give it true or false"),
        ("amp: fp8", "--amp: invalid choice: 'fp8'"),
        ("opt_betas: [0.9]", "--opt_betas: expected 2 arguments"),
        ("lr: {a: 1}", "give it a value"),
        ("[1, 2]", "holds no 'flag: value' lines"),
        ("lr: [", "cannot be read"),
        ("!!python/object/apply:os.system ['true']", "cannot be read"),
    ],
)
def test_a_bad_yaml_is_named(tmp_path, text, message):
    with pytest.raises(InputError, match=message.replace("[", r"\[")):
        run_colorization.parse(["--config", config(tmp_path, text)])


def test_a_missing_yaml_is_named():
    with pytest.raises(InputError, match=r"--config absent\.yaml: cannot be read"):
        run_colorization.parse(["--config", "absent.yaml"])


@pytest.mark.parametrize(
    "words",
    [
        ["--crop_scale", "0", "1"],
        ["--crop_scale", "0.9", "0.5"],
        ["--flip", "1.5"],
        ["--layer_decay", "0"],
        ["--clip_grad", "0"],
        ["--epochs", "0"],
        ["--lr", "nan"],
    ],
)
def test_values_no_run_can_use_name_their_flag(words):
    with pytest.raises(InputError, match=words[0]):
        run_colorization.parse(words)


def test_negative_beta_is_a_value_not_a_flag():
    assert run_colorization.parse(["--beta", "-0.0001"]).beta == -1e-4


def test_a_config_names_its_base_and_changes_a_few_lines(tmp_path):
    (tmp_path / "base.yaml").write_text("lr: 3.0e-4\nepochs: 7\n")
    path = config(tmp_path, "base: base.yaml\nepochs: 9\n")
    args = run_colorization.parse(["--config", path, "--batch_size", "3"])
    assert (args.lr, args.epochs, args.batch_size) == (3e-4, 9, 3)
    with pytest.raises(InputError, match=r"absent\.yaml: cannot be read"):
        run_colorization.parse(["--config", config(tmp_path, "base: absent.yaml")])


def test_a_config_that_lies_a_folder_deeper_is_pointed_to(tmp_path):
    (tmp_path / "lcoins").mkdir()
    (tmp_path / "lcoins" / "small.yaml").write_text("lr: 1.0\n")
    with pytest.raises(InputError, match=r"lcoins/small\.yaml"):
        run_colorization.parse(["--config", str(tmp_path / "small.yaml")])


def test_numbers_are_read_from_words():
    @dataclasses.dataclass(frozen=True)
    class Config:
        steps: int = options.number(50, "of the sampler", fixed=False)
        side: tuple[int, int] = options.number((1, 2), "of it")
        path: str | None = options.setting(None, "a file")
        quick: bool = options.setting(False, "or not")
        hidden: int = options.number(3)

    words = ["steps=-4", "side=3,4", "path=a,b=c.txt", "quick=true"]
    wanted = {"steps": -4, "side": [3, 4], "path": "a,b=c.txt", "quick": True}
    assert options.parse_numbers(Config, words, "--set") == wanted
    assert options.parse_numbers(Config, ["quick=false"], "--set") == {"quick": False}
    for word, said in (
        ("hidden=1", "--set hidden=1: pass NAME=VALUE, with a name of steps, side, path, quick"),
        ("steps", "--set steps: pass NAME=VALUE"),
        ("steps=1.5", "--set steps=1.5: argument --steps: invalid int value: '1.5'; pass another value"),
        ("side=1", "--set side=1: argument --side: expected 2 arguments"),
        ("quick=1", "--set quick=1: pass quick=true or quick=false"),
    ):
        with pytest.raises(InputError, match=f"^{re.escape(said)}"):
            options.parse_numbers(Config, [word], "--set")
