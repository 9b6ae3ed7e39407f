"""The authors' released architecture, against a NumPy reading of its description."""

import argparse
import dataclasses
import hashlib
import json
import math

import numpy as np
import pytest
import torch
from conftest import SHARED, needs_shared, write_data
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig

import models
import models.lcoins.release_file
import models.lcoins.system
import run_colorization
from datasets import CaptionedOptions, build_dataset
from models.lcoins import ReleasedLCoIns
from models.lcoins.config import RELEASE, ReleaseConfig
from models.lcoins.release import released
from models.lcoins.release_file import is_release, read
from models.text import BERT_VOCABULARY, CaptionTokenizer, Words, without_marks
from utils import color
from utils.errors import InputError

FACTS = SHARED / "reference" / "release_state_dict.json"
# sha256 of the JSON of the sorted [name, shape] pairs of FACTS
FACTS_HASH = "36dd74cfd10e862615df0d2745070d8b8b74f8aac3e74f061074b59d6037fb5b"
TEXT = {
    "vocab_size": 50,
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 14,
    "max_position_embeddings": 16,
}
SMALL = {
    "img_size": 48,
    "image_width": 24,
    "image_depth": 2,
    "image_heads": 3,
    "text_config": BertConfig(**TEXT),
    "num_words": 7,
    "dim": 20,
    "depth": 3,
    "num_heads": 5,
    "num_groups": 4,
    "group_mixing": 6,
    "channels": (10, 8, 6, 5, 3),
    "color_bins": 11,
    "drop_path": 0.0,
}
B, WORDS, PATCHES = 2, 5, 9


def small(**overrides):
    """Every tensor random, norms, biases and codes too: nothing is left at a value that hides it."""
    model = released(ReleaseConfig(**SMALL | overrides)).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            shift = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            tensor.copy_(shift + 0.3 * torch.randn(tensor.shape, generator=generator))
    return model


def inputs(seed: int = 1):
    """Captions of 5 and 3 words."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, 50, (B, WORDS), generator=generator)
    mask = torch.arange(WORDS) < torch.tensor([[5], [3]])
    return torch.rand(B, 1, 48, 48, generator=generator) * 2 - 1, Words(ids.masked_fill(~mask, 0), mask)


def full_size(**overrides):
    with torch.device("meta"):
        return released(dataclasses.replace(RELEASE, **overrides))


# ---- names and shapes


def listed(shapes):
    return sorted([name, list(shape)] for name, shape in shapes.items())


def test_names_and_shapes_are_the_release_s():
    model = full_size()
    own = listed({name: tensor.shape for name, tensor in model.state_dict().items()})
    assert len(own) == 579
    assert sum(math.prod(shape) for _, shape in own) == 378_175_146 == sum(p.numel() for p in model.parameters())
    assert hashlib.sha256(json.dumps(own).encode()).hexdigest() == FACTS_HASH


@needs_shared("reference/release_state_dict.json")
def test_the_hash_is_of_the_release_s_list():
    assert hashlib.sha256(json.dumps(listed(json.loads(FACTS.read_text()))).encode()).hexdigest() == FACTS_HASH


# ---- what is computed: an independent forward in float64


class Numbers:
    """The description in NumPy, one picture and one caption at a time. `self.t`: name -> array."""

    def __init__(self, model):
        self.t = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}

    def norm(self, x, name, eps=1e-6):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + eps)
        return scaled * self.t[f"{name}.weight"] + self.t[f"{name}.bias"]

    def linear(self, x, name):
        return x @ self.t[f"{name}.weight"].T + self.t.get(f"{name}.bias", 0.0)

    def mlp(self, x, name, first="fc1", second="fc2"):
        return self.linear(gelu(self.linear(x, f"{name}.{first}")), f"{name}.{second}")

    def image(self, gray):
        patches = gray.reshape(3, 16, 3, 16).transpose(0, 2, 1, 3).reshape(PATCHES, 1, 256).repeat(3, axis=1)
        kernel = self.t["encoder.patch_embed.proj.weight"].reshape(24, 3 * 256)
        z = patches.reshape(PATCHES, -1) @ kernel.T + self.t["encoder.patch_embed.proj.bias"]
        z = z + self.t["encoder.pos_embed"][0, 1:]
        for i in range(2):
            name = f"encoder.blocks.{i}"
            q, k, v = np.split(self.linear(self.norm(z, f"{name}.norm1"), f"{name}.attn.qkv"), 3, axis=-1)
            z = z + self.linear(attention(q, k, v, 3), f"{name}.attn.proj")
            z = z + self.mlp(self.norm(z, f"{name}.norm2"), f"{name}.mlp")
        return self.norm(z, "encoder.norm") @ self.t["encoder_to_decoder.weight"].T

    def language(self, ids):
        bert = "text_encoder.bert_model"
        table = {kind: self.t[f"{bert}.embeddings.{kind}_embeddings.weight"] for kind in ("word", "position")}
        z = table["word"][ids] + table["position"][: len(ids)]
        z = z + self.t[f"{bert}.embeddings.token_type_embeddings.weight"][0]
        z = self.norm(z, f"{bert}.embeddings.LayerNorm", 1e-12)
        for i in range(2):
            name = f"{bert}.encoder.layer.{i}"
            q, k, v = (self.linear(z, f"{name}.attention.self.{part}") for part in ("query", "key", "value"))
            z = z + self.linear(attention(q, k, v, 2), f"{name}.attention.output.dense")
            z = self.norm(z, f"{name}.attention.output.LayerNorm", 1e-12)
            z = z + self.mlp(z, name, "intermediate.dense", "output.dense")
            z = self.norm(z, f"{name}.output.LayerNorm", 1e-12)
        return np.maximum(self.linear(z, "text_encoder.mlp_arc_object.linear"), 0)

    def joint(self, z, name):
        normed, weight = self.norm(z, f"{name}.norm1"), self.t[f"{name}.attn.qkv.weight"]
        q = normed @ weight[:20].T + self.t[f"{name}.attn.q_bias"]
        k = normed @ weight[20:40].T
        v = normed @ weight[40:].T + self.t[f"{name}.attn.v_bias"]
        z = z + self.linear(attention(q, k, v, 5), f"{name}.attn.proj")
        return z + self.mlp(self.norm(z, f"{name}.norm2"), f"{name}.mlp")

    def groups(self, image, group):
        name = "decoder.group_block"
        group, image = self.norm(group, f"{name}.norm_tokens"), self.norm(image, f"{name}.norm_x")
        group = self.norm(self.mlp(group.T, f"{name}.mlp_inter").T, f"{name}.norm_post_tokens")
        cross = f"{name}.pre_assign_attn"
        k, v = self.linear(image, f"{cross}.attn.k_proj"), self.linear(image, f"{cross}.attn.v_proj")
        attended = attention(self.linear(group, f"{cross}.attn.q_proj"), k, v, 5)
        group = group + self.linear(attended, f"{cross}.attn.proj")
        group = group + self.mlp(self.norm(group, f"{cross}.norm2"), f"{cross}.mlp")
        group = self.norm(group, f"{cross}.norm_post")
        similarity = self.linear(group, f"{name}.assign.q_proj") @ self.linear(image, f"{name}.assign.k_proj").T
        hard = (similarity == similarity.max(axis=0)).astype(float)  # (N_G, N_I)
        weights = hard / (hard.sum(axis=1, keepdims=True) + 1)
        group = group + self.linear(weights @ self.linear(image, f"{name}.assign.v_proj"), f"{name}.assign.proj")
        return group + self.mlp(self.norm(group, f"{name}.norm_new_x"), f"{name}.mlp_channels"), hard

    def colors(self, image):
        grid = self.linear(self.norm(image, "decoder.norm"), "decoder.head").T.reshape(10, 3, 3)
        for stage in "123":
            grid = np.maximum(self.doubled(grid, f"decoder.conv_upsample.up{stage}"), 0)
            grid = self.convolved(grid, f"decoder.conv_upsample.c{stage}.0")
            grid = grid - grid.mean(axis=(1, 2), keepdims=True)
            grid = np.maximum(grid / np.sqrt((grid**2).mean(axis=(1, 2), keepdims=True) + 1e-5), 0)
        grid = np.maximum(self.doubled(grid, "decoder.conv_upsample.up4"), 0)
        return np.tanh(self.convolved(grid, "decoder.conv_upsample.c4.0"))

    def convolved(self, x, name):
        _, height, width = x.shape
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        out = self.t[f"{name}.bias"][:, None, None]
        for i, j in np.ndindex(3, 3):
            shifted = padded[:, i : i + height, j : j + width]
            out = out + np.einsum("oc,chw->ohw", self.t[f"{name}.weight"][:, :, i, j], shifted)
        return out

    def doubled(self, x, name):
        """Every pixel adds its 4x4 stamp at twice its place, one pixel up and left."""
        weight = self.t[f"{name}.weight"]
        _, height, width = x.shape
        canvas = np.zeros((weight.shape[1], 2 * height + 2, 2 * width + 2))
        for i, j in np.ndindex(height, width):
            canvas[:, 2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += np.einsum("c,cokl->okl", x[:, i, j], weight)
        return canvas[:, 1:-1, 1:-1] + self.t[f"{name}.bias"][:, None, None]

    def forward(self, gray, ids):
        modality = self.t["decoder.token_type_embeddings.weight"]
        image, language = self.image(gray) + modality[0], self.language(ids) + modality[1]
        z = np.concatenate([image, language, self.t["decoder.group_token"][0]])
        for i in range(3):
            z = self.joint(z, f"decoder.blocks_poc.{i}")
        image, group = z[:PATCHES], z[PATCHES + len(ids) :]
        return self.colors(image), *self.groups(image, group)


def gelu(x):
    return x * (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2


def attention(q, k, v, heads):
    parts = []
    for a, b, c in zip(*(np.split(x, heads, axis=-1) for x in (q, k, v)), strict=True):
        scores = np.exp(a @ b.T / math.sqrt(a.shape[-1]))
        parts.append(scores / scores.sum(-1, keepdims=True) @ c)
    return np.concatenate(parts, axis=-1)


def test_forward_is_the_description_s():
    model, (gray, words) = small(), inputs()
    numbers = Numbers(model)
    with torch.no_grad():
        out = model.double()(gray.double(), words)
    assert out.ab.std() > 0.1 and out.assignment.sum(dim=2).count_nonzero() > B  # no saturation, no single group
    for i in range(B):
        ids = np.zeros(7, dtype=int)  # padded with 0 to num_words
        ids[:WORDS] = words.ids[i]
        expected = numbers.forward(gray[i, 0].double().numpy(), ids)
        for found, wanted in zip((out.ab, out.group, out.assignment), expected, strict=True):
            np.testing.assert_allclose(found[i].numpy(), wanted, rtol=0, atol=1e-9)


# ---- the interface


def test_shapes_and_ranges():
    model, (gray, words) = small(), inputs()
    out = model(gray, words)
    assert out.ab.shape == (B, 2, 48, 48) and out.ab.abs().max() <= 1
    assert out.language.shape == (B, WORDS, 20)
    assert out.group.shape == (B, 4, 20)
    assert out.assignment.shape == (B, 4, PATCHES)
    assert torch.equal(out.assignment.sum(dim=1), torch.ones(B, PATCHES))


def test_a_sample_does_not_see_its_neighbours():
    model, (gray, words) = small(), inputs()
    together = model(gray, words)
    for i, length in enumerate((5, 3)):  # alone, a caption comes as long as it is
        alone = model(gray[i : i + 1], Words(words.ids[i : i + 1, :length], words.mask[i : i + 1, :length]))
        torch.testing.assert_close(together.ab[i : i + 1], alone.ab)
        torch.testing.assert_close(together.assignment[i : i + 1], alone.assignment)


def test_the_number_of_pads_changes_the_colours():
    (gray, words), weights = inputs(), small().state_dict()
    longer = released(ReleaseConfig(**SMALL | {"num_words": 9})).eval()
    longer.load_state_dict(weights)
    assert (longer(gray, words).ab - small()(gray, words).ab).abs().max() > 1e-3


def test_what_stands_under_the_mask_is_padding():
    model, (gray, words) = small(), inputs()
    other = words._replace(ids=words.ids.masked_fill(~words.mask, 7))
    assert torch.equal(model(gray, other).ab, model(gray, words).ab)
    every = words._replace(mask=torch.ones_like(words.mask))  # id 0 is the padding, whatever the mask says
    assert torch.equal(model(gray, every).ab, model(gray, words).ab)
    assert not torch.allclose(model(gray, words._replace(ids=words.ids.roll(1, dims=1))).ab, model(gray, words).ab)


def test_captions_without_a_word_and_with_too_many():
    model, (gray, _) = small(), inputs()
    nothing = Words(torch.zeros(B, 0, dtype=torch.int64), torch.zeros(B, 0, dtype=torch.bool))
    assert model(gray, nothing).ab.isfinite().all()
    with pytest.raises(InputError, match="8 words"):
        model(gray, Words(torch.ones(B, 8, dtype=torch.int64), torch.ones(B, 8, dtype=torch.bool)))


def test_counter_captions_are_refused():
    model, (gray, words) = small(), inputs()
    with pytest.raises(InputError, match="--no-counter_color"):
        model(gray, words, words)


def test_marks_are_left_out():
    tokenizer = CaptionTokenizer.from_vocabulary()
    bare = without_marks(tokenizer)
    captions = ["a red ball on the left", "red"]
    marked, words = tokenizer(captions), bare(captions)
    assert words.mask.sum(dim=1).tolist() == [6, 1]
    assert torch.equal(words.ids[0], marked.ids[0, 1:-1])
    assert torch.equal(CaptionTokenizer.from_json(bare.to_json())(captions).ids, words.ids)
    assert bare(["red " * 200]).ids.shape == (1, 80) and bare([""]).ids.shape == (1, 0)
    assert torch.equal(tokenizer(captions).ids, marked.ids)  # itself it stays as it was


# ---- what is saved


def test_colour_bins_are_never_computed():
    model, (gray, words) = small(), inputs()
    called = []
    for name, module in model.named_modules():
        module.register_forward_hook(lambda *_, name=name: called.append(name))
    model(gray, words)
    assert "decoder.conv_upsample.c3.0" in called and not [name for name in called if "classif" in name]


def test_operations_at_full_size():
    """The colour bins would add 30.7 GFLOP; the language tokens' work in the last block, 1.8."""
    model = full_size().eval()
    words = Words(*(torch.zeros(1, 80, dtype=dtype, device="meta") for dtype in (torch.int64, torch.bool)))
    with FlopCounterMode(display=False, depth=4) as counter, torch.no_grad():
        model(torch.zeros(1, 1, 224, 224, device="meta"), words)
    counts = {name: sum(operations.values()) for name, operations in counter.get_flop_counts().items()}
    blocks = [counts[f"ReleasedNetwork.decoder.blocks_poc.{i}"] for i in range(12)]
    assert 145e9 < counter.get_total_flops() < 149e9
    assert blocks[0] == blocks[10] and 1.7e9 < blocks[10] - blocks[11] < 1.9e9


# ---- training


def test_what_does_not_reach_the_colours_is_frozen():
    model, (gray, words) = small().train(), inputs()
    model(gray, words).ab.square().sum().backward()
    without = {name for name, p in model.named_parameters() if p.grad is None}
    assert without == {name for name, p in model.named_parameters() if not p.requires_grad}
    parts = (
        "decoder.group_block.",
        "text_encoder.bert_model.pooler.",
        "_classify.",
        "decoder.conv_upsample.classifier.",
    )
    assert all(any(part in name for name in without) for part in parts)
    assert all(any(part in name for part in parts) for name in without)


def test_grad_checkpointing_keeps_the_numbers():
    text = BertConfig(**TEXT, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    model, (gray, words) = small(text_config=text).train(), inputs()
    gradients = []
    for enabled in (False, True):
        model.set_grad_checkpointing(enabled)
        model.zero_grad()
        model(gray, words).ab.square().sum().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_layer_decay_reaches_both_encoders():
    text = BertConfig(**TEXT | {"num_hidden_layers": 3})
    model = released(ReleaseConfig(**SMALL | {"text_config": text}))  # 2 image, 3 text layers
    layer = model.group_matcher()
    depth = {name: layer(name)[0] for name, _ in model.named_parameters()}
    assert depth["encoder.pos_embed"] == depth["encoder.patch_embed.proj.weight"] == 1
    assert [depth[f"encoder.blocks.{i}.norm1.weight"] for i in (0, 1)] == [2, 3]
    assert depth["text_encoder.bert_model.embeddings.word_embeddings.weight"] == 0
    assert [depth[f"text_encoder.bert_model.encoder.layer.{i}.output.dense.weight"] for i in (0, 1, 2)] == [1, 2, 3]
    rest = {d for name, d in depth.items() if not name.startswith(("encoder.", "text_encoder.bert_model."))}
    assert rest == {4} and depth["encoder.norm.weight"] == 4
    assert model.no_weight_decay() <= depth.keys()


def test_random_weights_are_fit_to_train():
    torch.manual_seed(0)
    model, (gray, words) = released(ReleaseConfig(**SMALL)).eval(), inputs()
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and "bert_model" not in name:
            bound = math.sqrt(6 / sum(module.weight.shape))  # Xavier's
            assert 0.7 * bound < module.weight.abs().max() <= bound, name
            assert module.bias is None or not module.bias.any(), name
    assert 0.01 < model(gray, words).ab.std() < 0.9


def test_stochastic_depth_grows_to_drop_path():
    model = released(ReleaseConfig(**SMALL | {"drop_path": 0.4}))
    assert [block.drop_path.drop_prob for block in model.decoder.blocks_poc] == [0.0, 0.2, 0.4]
    assert model.encoder.blocks[-1].drop_path1.drop_prob == 0.4


@pytest.mark.parametrize("size", [100, 0, -16])
def test_image_side_must_be_a_multiple_of_the_patch(size):
    with pytest.raises(InputError, match="multiple of the patch side 16"):
        ReleaseConfig(img_size=size)


# ---- the authors' file


@pytest.fixture(scope="module")
def weights():
    return dict(full_size().state_dict())


EXTRAS = ("text_encoder.bert_model.embeddings.position_ids", "proj_img.fc1.weight", "proj_txt.fc2.bias")


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapped", [True, False])
def test_the_authors_file_in_every_wrapping(weights, prefix, wrapped):
    held = {prefix + name: tensor for name, tensor in weights.items()}
    held |= {prefix + name: torch.zeros(1) for name in EXTRAS}
    beside = {"optimizer": {}, "epoch": 3, "scaler": {}, "args": None, "model_ema": None}
    content = {"model": held} | beside if wrapped else held
    assert is_release(content)
    tensors, notes = read(content, RELEASE)
    assert tensors.keys() == weights.keys() and all(tensors[name] is weights[name] for name in weights)
    told = " ".join(notes)
    assert all(name in told for name in (*EXTRAS, *(beside if wrapped else ())))


def test_nothing_is_told_when_nothing_was_done(weights):
    assert read(weights, RELEASE) == (weights, [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w | {"decoder.other.weight": torch.zeros(1)}, "decoder.other.weight is unknown"),
        (lambda w: {"model": w, "epochs": 3}, "epochs is unknown"),
        (lambda w: {n: t for n, t in w.items() if n != "decoder.head.bias"}, "decoder.head.bias is missing"),
        (lambda w: w | {"decoder.head.bias": torch.zeros(3)}, r"decoder.head.bias is \(3,\), not \(512,\)"),
        (lambda w: w | {"decoder.head.bias": 3}, r"decoder.head.bias is int, not \(512,\)"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_name(weights, change, message):
    with pytest.raises(InputError, match=message):
        read(change(weights), RELEASE)


def test_another_side_resamples_the_grid_and_not_the_unused_row(weights, monkeypatch):
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 14), torch.linspace(-1, 1, 14), indexing="ij")
    positions = torch.full((1, 197, 768), 5.0)
    positions[0, 1:, 0], positions[0, 1:, 1] = rows.flatten(), columns.flatten()
    config = dataclasses.replace(RELEASE, img_size=448)
    with torch.device("meta"):
        system = ReleasedLCoIns(models.RELEASE_MODEL, config)
    filled = {}
    monkeypatch.setattr(models.lcoins.system, "load_fully", lambda _, weights, origin: filled.update(weights))
    held = {f"network.{name}": tensor for name, tensor in weights.items()}
    notes = system.load(held | {"network.encoder.pos_embed": positions}, "the release")
    tensors = {name.removeprefix("network."): tensor for name, tensor in filled.items()}
    resampled = tensors["encoder.pos_embed"]
    assert resampled.shape == full_size(img_size=448).encoder.pos_embed.shape == (1, 785, 768)
    assert torch.equal(resampled[0, 0], positions[0, 0])
    grid = resampled[0, 1:, 0].reshape(28, 28)
    assert (grid.diff(dim=0)[3:-3] > 0.05).all() and grid.diff(dim=1).abs().max() < 1e-5
    assert len(notes) == 1 and "784 image tokens" in notes[0]


def test_other_files_are_not_the_release(weights):
    ours = {"image_encoder.vit.pos_embed": torch.zeros(1)}
    for content in (None, [], {}, ours, {"model": ours}, {"model": 3}, {"format": 1, "model": weights}):
        assert not is_release(content)


@pytest.fixture
def small_release(monkeypatch, tmp_path):
    """The authors' kind of file, with small numbers in the place of the large ones; -> its path and network."""
    text = BertConfig(**TEXT | {"vocab_size": 30522, "max_position_embeddings": 80})
    small = ReleaseConfig(**SMALL | {"text_config": text, "num_words": 80})
    monkeypatch.setattr(models.lcoins, "RELEASE", small)
    monkeypatch.setattr(models.lcoins.release_file, "RELEASE", small)
    network = released(small)
    beside = {"proj_img.fc1.weight": torch.zeros(2, 2)}
    beside |= {"text_encoder.bert_model.embeddings.position_ids": torch.arange(3)}
    held = {"model": network.state_dict() | beside, "args": argparse.Namespace(lr=1e-5), "epoch": 79, "optimizer": {}}
    torch.save(held, tmp_path / "checkpoint-best.pth")
    return tmp_path / "checkpoint-best.pth", network


def test_the_documented_command_takes_the_authors_file_as_it_stands(small_release, tmp_path, capsys):
    path, network = small_release
    data, out = write_data(tmp_path / "data", {"test": 3}), tmp_path / "out"
    words = [
        "--model",
        models.PAPER_MODEL,
        "--output_dir",
        out,
        "--data_path",
        data,
        "--finetune",
        path,
        "--device",
        "cpu",
    ]
    words += ["--batch_size", 2, "--opt", "adamw", "--dist_eval", "--test"]
    assert run_colorization.run([str(word) for word in words]) == 0
    said = capsys.readouterr().err
    assert f"{path}: the authors' checkpoint, of --model {models.RELEASE_MODEL}" in said
    assert "not needed: args, epoch, optimizer" in said and "proj_img.fc1.weight" in said

    tokenize = without_marks(CaptionTokenizer.from_vocabulary(BERT_VOCABULARY))
    dataset = build_dataset(CaptionedOptions(), data, "test", 48)
    rgb = dataset[1].rgb[None].double() / 255
    gray = color.split(rgb)[0]
    with torch.no_grad():
        ab = network.eval()(gray.float(), tokenize([dataset[1].caption])).ab
    expected = color.to_uint8(color.colorize(gray, ab))[0].permute(1, 2, 0).numpy()
    written = np.asarray(Image.open(out / "1.png"))
    assert np.abs(written.astype(int) - expected).max() <= 1


def test_the_release_is_finetuned_without_the_counter_colour_loss(small_release, tmp_path, capsys):
    path, _ = small_release
    data = write_data(tmp_path / "data", {"train": 4, "val": 2})
    words = ["--output_dir", tmp_path / "out", "--data_path", data, "--finetune", path, "--device", "cpu"]
    words += ["--batch_size", 2, "--epochs", 1, "--warmup_epochs", 0, "--num_workers", 0]
    words = [str(word) for word in words]
    assert run_colorization.run([*words, "--counter_color"]) == 2
    assert "pass --no-counter_color" in capsys.readouterr().err
    assert run_colorization.run(words) == 0
    again = ["--resume", str(tmp_path / "out" / "checkpoint-last.pth"), "--epochs", "2"]
    assert run_colorization.run([*words[:4], *words[6:], *again]) == 0
    held = torch.load(tmp_path / "out" / "checkpoint-last.pth", weights_only=True)
    assert held["system"] == models.RELEASE_MODEL and held["epoch"] == 2
    assert held["config"]["counter_color"] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--no-group_tokens"],
            "--group_tokens: a flag of --model colorization_vit_base_patch16_224_group_post, not of",
        ),
        (["--resume", "checkpoint-best.pth"], "but weights; start from them with --finetune"),
    ],
)
def test_what_the_release_cannot_be_is_refused(small_release, tmp_path, capsys, words, message):
    path, _ = small_release
    words = [str(path) if word == path.name else word for word in words]
    words = ["--finetune", str(path), "--output_dir", str(tmp_path / "out"), "--test", "--device", "cpu", *words]
    assert run_colorization.run(words) == 2
    assert message in capsys.readouterr().err


def test_berts_vocabulary_is_whole():
    lines = BERT_VOCABULARY.read_text(encoding="utf-8").splitlines()
    assert len(lines) == len(set(lines)) == 30522
    known = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, "a": 1037, "the": 1996, "red": 2417}
    assert {word: lines.index(word) for word in known} == known
