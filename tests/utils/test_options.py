import pytest

from utils import options
from utils.errors import InputError


def config(tmp_path, text: str) -> str:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    return str(path)


def test_defaults_then_yaml_then_command_line(tmp_path):
    path = config(tmp_path, "lr: 3.0e-4\nepochs: 7\nopt_betas: [0.8, 0.9]\nmodel_ema: true\ngroup_tokens: false\n")
    args = options.parse(["--epochs", "9", "--config", path])
    assert (args.lr, args.epochs, args.opt_betas, args.seed) == (3e-4, 9, [0.8, 0.9], 0)
    assert args.model_ema is True and args.group_tokens is False
    assert options.parse(["--config", path, "--no-model_ema", "--group_tokens"]).model_ema is False


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
        options.parse(["--config", config(tmp_path, text)])


def test_a_missing_yaml_is_named():
    with pytest.raises(InputError, match=r"--config absent\.yaml: cannot be read"):
        options.parse(["--config", "absent.yaml"])


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
        options.parse(words)


def test_negative_beta_is_a_value_not_a_flag():
    assert options.parse(["--beta", "-0.0001"]).beta == -1e-4
