"""L-CoDer: against the original's numbers, its public file, decoupled attention, a step of training, bad input."""

import logging

import pytest
import torch
from parity import filled, fixture, keys
from words import batch_of, moved

import models
from models.lcoder.network import DecoupledAttention, Tokens
from models.lcoins.release_file import is_release
from models.restore import authors_of, restore
from models.text import CaptionTokenizer, Words, without_marks
from utils.errors import InputError

TEXT = {
    "model_type": "bert",
    "vocab_size": 4096,
    "hidden_size": 12,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "max_position_embeddings": 16,
}
TINY = {"img_size": 16, "patch": 4, "image_width": 12, "image_depth": 1, "image_heads": 2, "text_config": TEXT}
TINY |= {"limit": 7, "dim": 8, "depth": 2, "num_heads": 2, "channels": (6, 5, 4), "drop_path": 0.0}


@pytest.fixture(scope="module")
def public():
    return {"model": filled(keys("lcoder"), 0.75), "epoch": 99}


@torch.no_grad()
def test_it_is_the_original(public):
    assert authors_of(public) == models.LCODER and not is_release(public)
    held = fixture("lcoder")
    system, notes = restore("file", public)
    network, images = system.eval().network, []
    assert "pooler" in " ".join(notes) and system.inputs == frozenset() and system.tokenizer.limit == 20
    hook = network.encoder.register_forward_hook(lambda module, given, output: images.append(output))
    words = Words(held["token_ids"], held["token_ids"] != 0)
    objects, colors = network.text_encoder(words)
    output = network(held["gray"], words)
    hook.remove()
    close = {"atol": 2e-4, "rtol": 0}
    torch.testing.assert_close(images[0][:, ::14, ::32], held["image_tokens"], **close)
    torch.testing.assert_close(objects[:, :, ::32], held["object_tokens"], **close)
    torch.testing.assert_close(colors[:, :, ::32], held["color_tokens"], **close)
    torch.testing.assert_close(output.ab[:, :, ::2, ::2], held["ab"], atol=1e-4, rtol=0)
    torch.testing.assert_close(output.matrix, held["occm_as_computed"], atol=1e-2, rtol=0)


def test_the_public_file_is_whole_or_refused(public):
    with torch.device("meta"):
        held = {name: torch.empty(tensor.shape) for name, tensor in public["model"].items()}
    gone = "decoder.norm.weight"
    with pytest.raises(InputError, match=r"1 missing .first: network.decoder.norm.weight"):
        restore("file", {"model": {name: tensor for name, tensor in held.items() if name != gone}})


def tiny(**numbers) -> models.System:
    torch.manual_seed(0)
    tokenizer = without_marks(CaptionTokenizer.from_vocabulary(), 7)
    return models.create_model(models.LCODER, tokenizer, **TINY | numbers)


@torch.no_grad()
def test_image_tokens_find_the_object_and_read_the_color_at_its_place():
    torch.manual_seed(0)
    attention = DecoupledAttention(8, 2)
    tokens = Tokens(torch.randn(2, 5, 8), torch.randn(2, 3, 8), torch.randn(2, 3, 8))
    found = attention(tokens)
    # as the public code has it: whole scores, blocks of them overwritten
    z = tokens.join()
    q, k, v = attention.qkv(z).unflatten(-1, (3, 2, 4)).permute(2, 0, 3, 1, 4)
    scores = q @ k.transpose(-1, -2) * 4**-0.5
    image, objects, colors = slice(0, 5), slice(5, 8), slice(8, 11)
    scores[..., image, colors] = scores[..., image, objects]
    for row, column in ((image, objects), (objects, colors), (colors, objects)):
        scores[..., row, column] = -100
    wanted = attention.proj((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
    torch.testing.assert_close(found.join(), wanted)


def test_a_step_moves_what_learns():
    captions = ["a red car and a blue bus", "green car"]
    system = tiny()
    losses, still = moved(system, batch_of(system, 16, captions))
    embeddings = "network.text_encoder.bert_model.embeddings."
    assert not [name for name in still if not name.startswith(embeddings)] and losses["occm"] > 0
    torch.testing.assert_close(losses["total"], losses["chroma"] + 0.1 * losses["occm"])
    published = tiny(published_occm=True)
    losses, still = moved(published, batch_of(published, 16, captions))
    assert set(losses) == {"chroma", "total"} and published.inputs == frozenset()
    assert not [name for name in still if not name.startswith(embeddings)]
    frozen = tiny(freeze_encoders=True)
    learning = {name.split(".")[1] for name, p in frozen.named_parameters() if p.requires_grad}
    assert learning == {"decoder", "encoder_to_decoder", "text_encoder"}


@torch.no_grad()
def test_the_matrix_is_of_words_and_can_be_the_published_one():
    system = tiny().eval()
    torch.nn.init.normal_(system.network.decoder.arc_biaffine.linear.weight)
    batch = batch_of(system, 16, ["a red car and a blue bus"])
    other = batch_of(system, 16, ["a red car and a blue car"])
    image = system.network.encode_image(torch.zeros(1, 1, 16, 16))
    words, others = system.network.text_encoder(batch.words), system.network.text_encoder(other.words)
    first, second = (system.network.decode(image, *held).matrix for held in (words, others))
    assert first.shape == (1, 7, 7) and not torch.allclose(first, second)
    decoder = system.network.decoder
    tokens = Tokens(torch.randn(1, 16, 8), torch.randn(1, 7, 8), torch.randn(1, 7, 8))
    torch.testing.assert_close(decoder.matrix(tokens), decoder.arc_biaffine(tokens.colors, tokens.objects))
    decoder.published_occm = True
    torch.testing.assert_close(decoder.matrix(tokens), decoder.arc_biaffine(tokens.image[:, :7], tokens.image[:, :7]))


def test_captions_without_words_are_padding_alone():
    system = tiny()
    batch = batch_of(system, 16, ["", ""])
    assert batch.words.ids.shape == (2, 0) and batch.correspondence.shape == (2, 0, 0)
    assert system(batch)["total"].isfinite()
    with torch.no_grad():
        empty = system.eval().colorize(batch).ab
        named = system.colorize(batch_of(system, 16, ["a red car", ""])).ab
    torch.testing.assert_close(named[1], empty[1])
    assert not torch.equal(named[0], empty[0])


def test_pairs_fit_the_cut_caption(caplog):
    system = tiny()
    batch = batch_of(system, 16, ["a red car and a blue bus and a green car", "red car"])
    assert batch.words.ids.shape == (2, 7)
    assert batch.correspondence.nonzero().tolist() == [[0, 2, 1], [0, 6, 5], [1, 1, 0]]
    with caplog.at_level(logging.WARNING):
        system.begin_update([batch, batch], torch.device("cpu"))
    assert "captions of more than 7 words are cut" in caplog.text


def test_positions_follow_the_side_and_a_vit_starts_the_encoder(tmp_path):
    system = tiny()
    larger = tiny(img_size=24)
    assert "resampled to 36 tokens" in larger.load(system.state_dict(), "file")[0]
    weights = {name: torch.randn_like(tensor) for name, tensor in system.network.encoder.state_dict().items()}
    torch.save(weights, tmp_path / "vit.pth")
    system._start_encoder(str(tmp_path / "vit.pth"))
    own = system.network.encoder.state_dict()
    assert torch.equal(own["pos_embed"][:, 1:], weights["pos_embed"][:, 1:])
    assert torch.equal(own["blocks.0.mlp.fc1.weight"], weights["blocks.0.mlp.fc1.weight"])
    with pytest.raises(InputError, match="--text_encoder_weights is not given"):
        config = models.config_of(models.LCODER, image_encoder_weights="random", **TINY)
        models.system_of(models.LCODER).from_scratch(models.LCODER, config)
    with pytest.raises(InputError, match="2 doublings of the grid do not give it back"):
        models.config_of(models.LCODER, **TINY | {"patch": 8})


def test_layer_decay_reaches_both_encoders():
    system = tiny(image_depth=2)  # and 1 text layer
    layer = system.group_matcher()
    depth = {name.removeprefix("network."): layer(name)[0] for name, _ in system.named_parameters()}
    assert depth["encoder.pos_embed"] == depth["encoder.patch_embed.proj.weight"] == 0
    assert [depth[f"encoder.blocks.{i}.norm1.weight"] for i in (0, 1)] == [1, 2]
    assert depth["text_encoder.bert_model.embeddings.word_embeddings.weight"] == 1
    assert depth["text_encoder.bert_model.encoder.layer.0.output.dense.weight"] == 2
    rest = {d for name, d in depth.items() if not name.startswith(("encoder.", "text_encoder.bert_model."))}
    assert rest == {3}
