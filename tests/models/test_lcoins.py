import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import BertConfig, DistilBertConfig, ElectraConfig, MPNetConfig, RobertaConfig

from models import (
    PAPER_MODEL,
    PHOTOS_MODEL,
    SCENES_MODEL,
    SMALL_MODEL,
    create_model,
    parameter_count,
)
from models.layers.bert import plain, text_config
from models.lcoins.network import CounterColorization
from models.text import CaptionTokenizer, Words
from utils.errors import InputError

SMALL_TEXT = {
    "vocab_size": 50,
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 8,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
TINY = {
    "img_size": 24,
    "image_width": 16,
    "image_depth": 2,
    "image_heads": 2,
    "dim": 24,
    "depth": 2,
    "num_heads": 2,
    "num_groups": 5,
    "channels": (8, 8, 8, 4),
    "text_config": BertConfig(**SMALL_TEXT),
}
B, L, PATCHES = 2, 7, 9


def tiny(**overrides):
    torch.manual_seed(0)
    return create_model(SMALL_MODEL, **TINY | {"drop_path": 0.0} | overrides).network.eval()


def inputs(length: int = L, real: int = 6):
    torch.manual_seed(1)
    words = Words(torch.randint(1, 50, (B, length)), torch.arange(length).expand(B, length) < real)
    return torch.rand(B, 1, 24, 24) * 2 - 1, words


@pytest.mark.parametrize(
    ("ablation", "groups"), [({}, 5), ({"group_tokens": False}, 0), ({"grouping_attention": False}, 5)]
)
def test_shapes_and_ranges(ablation, groups):
    model, (gray, words) = tiny(**ablation), inputs()
    out = model(gray, words)
    assert out.ab.shape == (B, 2, 24, 24) and out.ab.abs().max() <= 1
    assert out.language.shape == (B, L, 24)
    assert out.group.shape == (B, groups or PATCHES, 24)
    assert out.assignment.shape == (B, groups, PATCHES)


def test_one_pass_for_both_captions_equals_two_passes():
    model, (gray, words), (_, counter) = tiny(), inputs(), inputs(length=L + 3, real=9)
    both, own, other = model(gray, words, counter), model(gray, words), model(gray, counter)
    assert isinstance(both, CounterColorization)
    torch.testing.assert_close(both.ab, own.ab)
    torch.testing.assert_close(both.group, own.group)
    torch.testing.assert_close(both.language[words.mask], own.language[words.mask])
    torch.testing.assert_close(both.counter_group, other.group)
    torch.testing.assert_close(both.counter_language[counter.mask], other.language[counter.mask])
    assert both.counter_ab is None
    colored = model(gray, words, counter, color_counter=True)
    torch.testing.assert_close(colored.ab, own.ab)
    torch.testing.assert_close(colored.counter_ab, other.ab)
    torch.testing.assert_close(colored.counter_group, both.counter_group)


def test_image_encoder_and_upsampler_run_once_for_both_captions():
    model, (gray, words) = tiny(), inputs()
    sizes = {"image_encoder": [], "upsampler": []}
    for name, seen in sizes.items():
        getattr(model, name).register_forward_hook(lambda _, args, __, seen=seen: seen.append(len(args[0])))
    model(gray, words, words)
    assert sizes == {"image_encoder": [B], "upsampler": [B]}


def test_counter_pass_costs_only_its_own_operations():
    """What the second caption adds: text encoder, grouping transformer, grouping layer, heads; nothing else."""
    model, (gray, words) = tiny(), inputs()
    with FlopCounterMode(display=False) as one:
        model(gray, words)
    with FlopCounterMode(display=False) as two:
        model(gray, words, words)
    counts = {name: sum(ops.values()) for name, ops in one.get_flop_counts().items()}
    once = counts["LCoInsNetwork.image_encoder"] + counts["LCoInsNetwork.upsampler"]
    assert two.get_total_flops() - one.get_total_flops() == one.get_total_flops() - once


@pytest.mark.parametrize("ablation", [{}, {"group_tokens": False}, {"grouping_attention": False}])
def test_words_change_the_colours_and_padding_does_not(ablation):
    model, (gray, words) = tiny(**ablation), inputs()
    ab = model(gray, words).ab
    padding = words._replace(ids=words.ids.masked_fill(~words.mask, 7))
    torch.testing.assert_close(model(gray, padding).ab, ab)
    longer = words.stack(Words(words.ids.new_ones(B, L + 5), words.mask.new_ones(B, L + 5)))
    torch.testing.assert_close(model(gray, Words(*(t[:B] for t in longer))).ab, ab)
    other = words._replace(ids=words.ids.roll(1, dims=0))
    assert not torch.allclose(model(gray, other).ab, ab, atol=1e-6)


def test_a_sample_does_not_see_its_neighbours():
    model, (gray, words) = tiny(), inputs()
    alone = model(gray[1:], Words(*(t[1:] for t in words)))
    torch.testing.assert_close(model(gray, words).ab[1:], alone.ab)


def test_positions_and_groups_start_at_full_scale_in_the_small_model():
    small = create_model(SMALL_MODEL).network
    assert 0.9 < small.group_tokens.std() < 1.1
    assert small.image_encoder.vit.pos_embed.abs().max() > 0.99
    assert small.image_encoder.vit.pos_embed.shape[1] == 14 * 14


@pytest.mark.parametrize("ablation", [{}, {"group_tokens": False}, {"grouping_attention": False}])
def test_every_trainable_parameter_gets_a_gradient(ablation):
    model, (gray, words) = tiny(**ablation).train(), inputs()
    out = model(gray, words, words)
    sum(t.square().sum() for t in (out.ab, out.language, out.group, out.counter_language, out.counter_group)).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]


def test_without_counter_color_what_only_it_trains_is_frozen():
    model, (gray, words) = tiny(counter_color=False).train(), inputs()
    model(gray, words).ab.square().sum().backward()
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not without
    assert {name.split(".")[0] for name, p in model.named_parameters() if not p.requires_grad} == {
        "grouping_layer",
        "language_head",
        "group_head",
    }


def test_grad_checkpointing_keeps_the_numbers():
    model, (gray, words) = tiny().train(), inputs()
    model.grouping_layer.eval()  # no noise
    gradients = []
    for enabled in (False, True):
        model.set_grad_checkpointing(enabled)
        model.zero_grad()
        model(gray, words).ab.square().sum().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_layer_decay_reaches_both_encoders():
    model = tiny()  # 2 image layers, 3 text layers
    layer = model.group_matcher()
    depth = {name: layer(name)[0] for name, _ in model.named_parameters()}
    assert depth["image_encoder.vit.pos_embed"] == depth["image_encoder.vit.patch_embed.proj.weight"] == 1
    assert [depth[f"image_encoder.vit.blocks.{i}.norm1.weight"] for i in (0, 1)] == [2, 3]
    assert depth["text_encoder.encoder.embeddings.word_embeddings.weight"] == 0
    assert [depth[f"text_encoder.encoder.encoder.layer.{i}.output.dense.weight"] for i in (0, 1, 2)] == [1, 2, 3]
    rest = {d for name, d in depth.items() if not name.startswith(("image_encoder.vit", "text_encoder.encoder"))}
    assert rest == {4} and depth["image_encoder.vit.norm.weight"] == 4


def test_sizes_are_the_paper_s():
    with torch.device("meta"):
        paper, *others = (create_model(name).network for name in (PAPER_MODEL, SMALL_MODEL, SCENES_MODEL, PHOTOS_MODEL))
    counts = [parameter_count(network) for network in (paper, *others)]
    assert counts == [369_357_538, 5_207_666, 2_458_898, 27_253_234]
    blocks, config = paper.transformer.blocks, paper.text_encoder.encoder.config
    assert (len(blocks), blocks[0].attention.num_heads, paper.group_tokens.shape) == (12, 16, (15, 1024))
    assert (config.hidden_size, config.num_hidden_layers, config.vocab_size) == (768, 12, 30522)
    assert (paper.image_encoder.vit.embed_dim, len(paper.image_encoder.vit.blocks)) == (768, 12)


def test_text_config_survives_its_json():
    config = TINY["text_config"]
    config._name_or_path = "/home/somebody/encoder"
    held = json.loads(json.dumps(plain(config)))
    assert "somebody" not in json.dumps(held)
    again = text_config(held)
    assert type(again) is type(config) and again.hidden_size == 12 and plain(again) == held


@pytest.mark.parametrize("size", [100, 0, -8])
def test_image_side_must_be_a_multiple_of_the_patch(size):
    with pytest.raises(InputError, match="multiple of the patch side 8"):
        create_model(SMALL_MODEL, img_size=size)


def test_unknown_model_names_the_known_ones():
    with pytest.raises(InputError, match=PAPER_MODEL):
        create_model("colorization_vit_huge")


def test_tokenizer_cuts_at_80_pads_to_the_longest_and_keeps_an_empty_caption():
    tokenize = CaptionTokenizer.from_vocabulary()
    words = tokenize(["a red ball", "", "red " * 200])
    assert words.ids.shape == (3, 80)
    assert words.mask.sum(dim=1).tolist() == [5, 2, 80]  # the marks [CLS] and [SEP] counted
    assert tokenize(["a red ball", "red"]).ids.shape == (2, 5)
    again = CaptionTokenizer.from_json(tokenize.to_json())
    assert torch.equal(again(["a crimson ball", "x"]).ids, tokenize(["a crimson ball", "x"]).ids)


def test_transformers_works_beside_our_datasets_folder():
    """Its name is Hugging Face's: transformers must not stumble over it."""
    from transformers import AutoModel, AutoTokenizer

    import datasets

    assert hasattr(datasets, "build_dataset") and AutoModel and AutoTokenizer


@pytest.mark.parametrize(
    "config",
    [
        RobertaConfig(pad_token_id=1, **SMALL_TEXT),
        MPNetConfig(**SMALL_TEXT),
        ElectraConfig(embedding_size=12, **SMALL_TEXT),
        DistilBertConfig(
            vocab_size=50, dim=12, n_layers=3, n_heads=2, hidden_dim=8, dropout=0.0, attention_dropout=0.0
        ),
    ],
    ids=lambda config: config.model_type,
)
def test_any_bert_kind_encoder_serves(config):
    model, (gray, words) = tiny(text_config=config).train(), inputs()
    out = model(gray, words)
    assert out.language.shape == (B, L, 24)
    (out.ab.square().sum() + out.language.square().sum() + out.group.square().sum()).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]
    layer = model.group_matcher()
    depths = {layer(name)[0] for name, _ in model.named_parameters() if name.startswith("text_encoder.encoder")}
    assert depths >= {0, 1, 2, 3}
    assert type(text_config(plain(config))) is type(config)
