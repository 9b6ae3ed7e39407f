"""What a run is made of: the system, its optimizer and schedule."""

import itertools
import random

import numpy as np
import pytest
import torch

import run_colorization
from datasets.batch import Batch
from models import SCENES_MODEL
from models.text import CaptionTokenizer
from models.train_state import TrainState
from utils import distributed, seeds

RANDOM = ["--image_encoder_weights", "random", "--text_encoder_weights", "random", "--model", SCENES_MODEL]


def moved_by_muon(*words):
    """The names of the weights that Muon moves, after one update with a gradient everywhere."""
    args = run_colorization.parse([*RANDOM, "--opt", "nmuon", *words])
    system = run_colorization.build_system(args, None)
    state = TrainState.start(system, args, 1, torch.device("cpu"))
    for parameter in system.parameters():
        parameter.grad = torch.ones_like(parameter)
    state.optimizer.step()
    named = system.network.named_parameters()
    return {name for name, parameter in named if state.optimizer.state[parameter]["use_muon"]}


def test_muon_moves_matrices_and_no_codes():
    moved = moved_by_muon()
    assert "image_encoder.vit.blocks.0.mlp.fc1.weight" in moved and "transformer.blocks.0.attention.qkv.weight" in moved
    for name in ("group_tokens", "modality", "text_encoder.encoder.embeddings.word_embeddings.weight"):
        assert name not in moved


@pytest.mark.parametrize("encoder", ["image_encoder.vit.", "text_encoder.encoder."])
def test_muon_leaves_the_encoders_alone_where_asked(encoder):
    assert any(name.startswith(encoder) for name in moved_by_muon())
    moved = moved_by_muon("--no-muon_encoders")
    assert moved and not any(name.startswith(encoder) for name in moved)


@pytest.mark.parametrize("freeze", [True, False])
def test_frozen_encoders_stay_as_they_are_and_the_rest_learns(freeze):
    words = ["--opt", "sgd", "--lr", "1", "--warmup_epochs", "0", *["--freeze_encoders"] * freeze]
    args = run_colorization.parse([*RANDOM, *words])
    system = run_colorization.build_system(args, None)
    before = {name: tensor.clone() for name, tensor in system.network.state_dict().items()}
    state = TrainState.start(system, args, 1, torch.device("cpu"))
    for parameter in system.parameters():
        parameter.grad = torch.ones_like(parameter) if parameter.requires_grad else None
    state.optimizer.step()
    still = {name for name, tensor in system.network.state_dict().items() if torch.equal(tensor, before[name])}
    of_encoders = {name for name in before if name.startswith(("image_encoder.vit.", "text_encoder.encoder."))}
    assert still == (of_encoders if freeze else set())


GRAPHS = ["--no-luminance_augmentation", "--drop_path", "0"]  # without noise, so that two runs can be compared


def losses_and_gradients(*words):
    """And the batch, of a training step as a run makes it."""
    args = run_colorization.parse([*RANDOM, *GRAPHS, "--no-group_tokens", *words])
    system = run_colorization.build_system(args, None)
    tokenizer = system.tokenizer
    captions = ["a red ball on a box", "a blue cup and a very large green star, on the left of an orange ring"]
    counter = ["a pink ball on a box", "a green cup and a very large blue star, on the left of a tan ring"]
    rgb = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    batch = Batch(rgb, tokenizer(captions), tokenizer(counter), torch.ones(2, dtype=torch.bool), captions, [], [])
    (batch,) = system.begin_update([batch], rgb.device)
    losses = system(batch)
    losses["total"].backward()
    gradients = {name: p.grad for name, p in system.network.named_parameters() if p.grad is not None}
    return batch, losses, gradients


def test_compiled_steps_are_whole_graphs_with_the_same_losses_and_gradients(monkeypatch):
    compiled_modules = []

    def trace(module):  # everything is traced, but no kernels are written
        compiled_modules.append(type(module).__name__)
        compile_module(module, backend="eager", fullgraph=True)

    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", trace)
    batch, losses, gradients = losses_and_gradients("--no-compile")
    assert compiled_modules == []
    padded, compiled, same = losses_and_gradients("--compile")
    assert compiled_modules == ["LCoInsNetwork", "InputAndTarget"]
    assert batch.words.ids.shape[1] % 8 and padded.words.ids.shape[1] % 8 == padded.counter_words.ids.shape[1] % 8 == 0
    for name in losses:
        torch.testing.assert_close(compiled[name], losses[name], rtol=1e-5, atol=1e-7)
    assert gradients.keys() == same.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(same[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


def test_the_padding_of_a_compiled_run_is_not_the_checkpoint_s():
    args = run_colorization.parse([*RANDOM, "--compile"])
    tokenizer = run_colorization.build_system(args, None).tokenizer
    plain = run_colorization.build_system(run_colorization.parse(RANDOM), None).tokenizer
    assert tokenizer(["a cat"]).ids.shape == (1, 8) and tokenizer.to_json() == plain.to_json()
    assert CaptionTokenizer.from_json(tokenizer.to_json())(["a cat"]).ids.shape == plain(["a cat"]).ids.shape


def rates(*words, updates):
    """The highest learning rate of each update."""
    args = run_colorization.parse([*RANDOM, *words])
    system = run_colorization.build_system(args, None)
    state = TrainState.start(system, args, updates, torch.device("cpu"))
    found = []
    for step in range(args.epochs * updates):
        state.schedule.step_update(step)
        found.append(max(group["lr"] for group in state.optimizer.param_groups))
    return found


def test_every_update_learns_the_first_included():
    found = rates("--lr", "1", "--min_lr", "0.1", "--epochs", "4", "--warmup_epochs", "1", updates=4)
    assert found[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert found[4:] == sorted(found[4:], reverse=True) and found[4] > found[5] > found[-1] > 0.1
    assert rates("--lr", "1", "--epochs", "2", "--warmup_epochs", "0", updates=1)[0] == 1.0


def drawn_after_building(monkeypatch, seed, rank):
    monkeypatch.setattr(distributed, "rank", lambda: rank)
    system = run_colorization.build_system(run_colorization.parse([*RANDOM, "--seed", str(seed)]), None)
    return system.network.group_tokens.detach(), [torch.rand(()).item(), random.random(), np.random.rand()]


def test_no_two_seeds_or_ranks_share_weights_or_noise(monkeypatch):
    built = {(seed, rank): drawn_after_building(monkeypatch, seed, rank) for seed in (0, 1) for rank in (0, 1)}
    for generator in range(3):
        assert len({noise[generator] for _, noise in built.values()}) == 4
    for seed in (0, 1):
        assert torch.equal(built[seed, 0][0], built[seed, 1][0])
    assert not torch.equal(built[0, 0][0], built[1, 0][0])


def test_seeds_of_every_size_are_derived():
    parts = [(), (0,), (0, 0), (1,), (1, 0), (0, 1)]
    asked = itertools.product((0, 1, 2**32, 2**40), (0, 1), parts)
    found = {seeds.derive(seed, purpose, *more) for seed, purpose, more in asked}
    assert len(found) == 4 * 2 * len(parts)
    for value in found:
        seeds.seed_all(value)
