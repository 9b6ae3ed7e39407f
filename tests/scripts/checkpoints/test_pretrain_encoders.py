"""The encoders' start: what is learnt, and that training takes the files."""

from pathlib import Path

import pytest
import torch
import yaml
from conftest import ROOT
from safetensors.torch import load_file

import run_colorization
from models import SCENES_MODEL, create_model
from models import weights as pretrained
from models.layers.vgg import vgg16_features
from models.text import CaptionTokenizer
from scripts.checkpoints import pretrain_encoders

VGG = "vgg16_bn_small.safetensors"
FLAGS = ("image_encoder_weights", "text_encoder_weights", "backbone_weights")


@pytest.fixture(scope="module")
def starts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("starts")
    pretrain_encoders.main(["--output_dir", str(folder), "--steps", "10", "--batch_size", "4", "--lr", "3e-3"])
    return folder


def test_both_encoders_are_learnt_and_saved(starts):
    torch.manual_seed(0)
    fresh, loaded = create_model(SCENES_MODEL).network, create_model(SCENES_MODEL).network
    image, text = str(starts / "image_encoder.safetensors"), str(starts / "text_encoder")
    pretrained.load_image_encoder(loaded.image_encoder.vit, image)
    pretrained.load_text_encoder(loaded.text_encoder.encoder, text)
    for part in ("image_encoder.vit", "text_encoder.encoder"):
        pairs = zip(fresh.get_submodule(part).parameters(), loaded.get_submodule(part).parameters(), strict=True)
        assert all(not torch.equal(a, b) for a, b in pairs if a.ndim > 1)
    sentences = ["a red ball on the left", "a checkered tan hat"]
    own, saved = CaptionTokenizer.from_vocabulary(), CaptionTokenizer.from_pretrained(text)
    assert torch.equal(own(sentences).ids, saved(sentences).ids)


@pytest.mark.parametrize("system", ["lcoins", "lcoder", "lcode", "xie2018", "ml2018"])
def test_the_configs_of_scenes_take_them(starts, system, tmp_path, capfd):
    config = ROOT / "configs" / system / "scenes.yaml"
    given = yaml.safe_load(config.read_text())
    words = ["--config", str(config), "--output_dir", str(tmp_path), "--device", "cpu"]
    names = {flag: Path(given[flag]).name for flag in FLAGS if flag in given}
    assert names and set(names.values()) <= set(pretrain_encoders.PARTS)
    words += [word for flag, name in names.items() for word in (f"--{flag}", str(starts / name))]
    words += ["--scenes", "8", "--eval_scenes", "4", "--batch_size", "4", "--epochs", "1", "--warmup_epochs", "0"]
    assert run_colorization.run(words) == 0
    told = capfd.readouterr().err
    assert all(str(starts / name) in told for name in names.values())


def test_a_backbone_learns_and_what_is_there_is_kept(starts, capsys):
    torch.manual_seed(0)
    fresh = vgg16_features(16)
    held = {name.removeprefix("features."): tensor for name, tensor in load_file(starts / VGG).items()}
    assert held.keys() == fresh.state_dict().keys()
    assert all(not torch.equal(held[name], tensor) for name, tensor in fresh.named_parameters())
    before = (starts / VGG).read_bytes()
    pretrain_encoders.main(["--output_dir", str(starts), "--parts", VGG, "--steps", "1"])
    assert "is there" in capsys.readouterr().out and (starts / VGG).read_bytes() == before


@pytest.mark.parametrize("part", ["text_encoder", VGG])
def test_an_interrupted_part_is_made_again(part, tmp_path, monkeypatch):
    kept, steps = pretrain_encoders.PARTS[part]

    def cut_off(path, args):
        kept(path, args)
        raise KeyboardInterrupt

    words = ["--output_dir", str(tmp_path), "--steps", "2", "--batch_size", "2", "--parts", part]
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setitem(pretrain_encoders.PARTS, part, (cut_off, steps))
        pretrain_encoders.main(words)
    assert not list(tmp_path.iterdir())
    pretrain_encoders.main(words)
    assert [path.name for path in tmp_path.iterdir()] == [part]


@pytest.mark.parametrize(("words", "each"), [((), {VGG: 3000, "text_encoder": 9000}), (("--steps", "7"), None)])
def test_every_part_has_its_own_number_of_updates(words, each, tmp_path, monkeypatch):
    asked = {}

    def noted(path, args):
        path.write_text("made")
        asked[path.name] = args.steps

    for part, (_, steps) in pretrain_encoders.PARTS.items():
        monkeypatch.setitem(pretrain_encoders.PARTS, part, (noted, steps))
    pretrain_encoders.main(["--output_dir", str(tmp_path), *words])
    assert asked.keys() == pretrain_encoders.PARTS.keys()
    assert {*asked.values()} == {7} if each is None else asked.items() >= each.items()


def test_learning_rate_and_loss_fall(tmp_path, monkeypatch):
    """A linear map learns the sum of its input's numbers."""
    model, losses, rates = torch.nn.Linear(4, 1), [], []
    create = pretrain_encoders.create_optimizer_v2

    def noted(*args, **options):
        optimizer = create(*args, **options)
        optimizer.register_step_pre_hook(lambda own, *_: rates.append(own.param_groups[0]["lr"]))
        return optimizer

    monkeypatch.setattr(pretrain_encoders, "create_optimizer_v2", noted)

    def loss_and_accuracy(indices):
        numbers = torch.rand(len(indices), 4, generator=torch.Generator().manual_seed(indices[0]))
        loss = (model(numbers) - numbers.sum(dim=1, keepdim=True)).square().mean()
        losses.append(loss.item())
        return loss, torch.tensor(0.25)

    args = pretrain_encoders.parse(["--output_dir", str(tmp_path), "--steps", "200", "--lr", "0.1"])
    assert pretrain_encoders.fit(model, loss_and_accuracy, [], args, "sum") == 0.25
    assert sum(losses[-10:]) < 0.1 * sum(losses[:10])
    assert max(rates) > 0.09 and rates[-1] < 0.01 and rates[0] < 0.02


def test_a_patch_and_a_colour_word_of_one_object_meet_the_same_codes():
    """The codes are orthonormal, so the feature that is one noun's and one place's code is named that and no other."""
    scores = pretrain_encoders.noun_and_place(torch.eye(128))
    codes = torch.cat(scores, dim=1)  # (W, nouns + places)
    torch.testing.assert_close(codes.T @ codes, torch.eye(codes.shape[1]) * pretrain_encoders.CODE_SCALE**2)
    nouns, places = pretrain_encoders.noun_and_place((codes[:, 3] + codes[:, pretrain_encoders.KINDS[0] + 2])[None])
    assert nouns.argmax() == 3 and places.argmax() == 2
    torch.manual_seed(1)
    torch.testing.assert_close(pretrain_encoders.noun_and_place(torch.eye(128)), scores)  # whatever was drawn before


def test_what_the_encoders_say_alike_enters_the_grouping_transformer_alike():
    network = create_model(SCENES_MODEL).network
    features = torch.randn(5, 128)
    for encoder in (network.image_encoder, network.text_encoder):
        torch.testing.assert_close(encoder.project(features), features)
