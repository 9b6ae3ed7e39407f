"""build.py: what a run is made of."""

import pytest
import torch
from models import SCENES_MODEL

import build
import starting_point
from utils import options

RANDOM = ["--image_encoder_weights", "random", "--text_encoder_weights", "random", "--model", SCENES_MODEL]


def moved_by_muon(*words):
    """The names of the weights that Muon moves, after one update with a gradient everywhere."""
    args = options.parse([*RANDOM, "--opt", "nmuon", *words])
    network, _ = starting_point.build_network(args, None)
    state = build.build_state(args, network, 1, torch.device("cpu"))
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    state.optimizer.step()
    return {name for name, parameter in network.named_parameters() if state.optimizer.state[parameter]["use_muon"]}


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
