"""Encoders cut down: what is kept computes what it did."""

import json
import re

import pytest
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from timm.models.vision_transformer import VisionTransformer
from transformers import BertConfig, BertModel

from models import create_model
from models import weights as pretrained
from models.text import BERT_VOCABULARY, CaptionTokenizer
from scripts.checkpoints import compact_encoders


def vit(**options):
    numbers = {"img_size": 28, "patch_size": 14, "embed_dim": 24, "depth": 3, "num_heads": 2, "num_classes": 0}
    return VisionTransformer(**numbers | {"class_token": False, "global_pool": ""} | options).eval()


def test_folded_layer_scale_changes_nothing(tmp_path):
    torch.manual_seed(0)
    whole = vit(init_values=0.3)
    for block in whole.blocks:
        torch.nn.init.normal_(block.ls1.gamma)
        torch.nn.init.normal_(block.ls2.gamma)
    torch.save({"model": whole.state_dict()}, tmp_path / "vit.pth")
    out = tmp_path / "new" / "image.safetensors"
    assert compact_encoders.main(["image", str(tmp_path / "vit.pth"), "--layers", "2", "--output", str(out)]) == 0
    small = vit(depth=2)
    pretrained.load_image_encoder(small, str(out))
    whole.blocks = whole.blocks[:2]
    picture = torch.randn(2, 3, 28, 28)
    mean, std = (torch.tensor(v)[:, None, None] for v in (IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD))
    scaled = ((picture + 1) / 2 - mean) / std
    torch.testing.assert_close(small.forward_features(picture), whole.forward_features(scaled), atol=1e-5, rtol=1e-5)


def test_patches_of_another_side_see_the_same_picture_at_that_side(tmp_path, monkeypatch):
    """A picture twice as large, in patches twice as large, gives nearly the same tokens."""
    torch.manual_seed(0)
    whole = vit()
    torch.nn.init.normal_(whole.patch_embed.proj.weight, std=0.05)
    torch.save(whole.state_dict(), tmp_path / "vit.pth")
    for scale in ("MEAN", "STD"):
        monkeypatch.setattr(compact_encoders, scale, (0.5,) * 3)  # pictures as ours are
    words = ["image", str(tmp_path / "vit.pth"), "--layers", "3", "--patch", "28", "--output"]
    assert compact_encoders.main([*words, str(tmp_path / "i.safetensors")]) == 0
    double = vit(img_size=56, patch_size=28)
    pretrained.load_image_encoder(double, str(tmp_path / "i.safetensors"))
    coarse = torch.randn(1, 3, 7, 7)
    small, large = (torch.nn.functional.interpolate(coarse, size=(s, s), mode="bilinear") for s in (28, 56))
    before, after = whole.patch_embed(small), double.patch_embed(large)
    assert (before - after).abs().mean() < 0.1 * before.abs().mean()


@pytest.fixture
def bert(tmp_path):
    torch.manual_seed(0)
    folder = tmp_path / "bert"
    config = BertConfig(
        vocab_size=30522, hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text(BERT_VOCABULARY.read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}))
    (tmp_path / "captions.json").write_text(json.dumps([["a.jpg", "a woman in a red dress"], ["b.jpg", "a brown dog"]]))
    return folder


def test_a_caption_of_kept_tokens_reads_as_before(bert, tmp_path):
    out = tmp_path / "text"
    words = ["text", str(bert), "--layers", "2", "--captions", str(tmp_path / "captions.json"), "--vocabulary", "400"]
    assert compact_encoders.main([*words, "--output", str(out)]) == 0
    config = pretrained.text_config_of(str(out))
    network = create_model("colorization_vit_pico_patch8_64_group_post", text_config=config).network
    pretrained.load_text_encoder(network.text_encoder.encoder, str(out))
    assert config.vocab_size <= 400 and config.num_hidden_layers == 2

    whole = BertModel.from_pretrained(bert).eval()
    whole.encoder.layer = whole.encoder.layer[:2]
    old, new = CaptionTokenizer.from_pretrained(str(bert)), CaptionTokenizer.from_pretrained(str(out))
    captions = ["a woman in a red dress", "a turquoise dog, a woman"]
    assert [e.tokens for e in old.tokenizer.encode_batch(captions)] == [
        e.tokens for e in new.tokenizer.encode_batch(captions)
    ]
    before = whole(input_ids=old(captions).ids, attention_mask=old(captions).mask.long()).last_hidden_state
    encoder = network.text_encoder.encoder.eval()
    after = encoder(input_ids=new(captions).ids, attention_mask=new(captions).mask.long()).last_hidden_state
    mask = new(captions).mask
    torch.testing.assert_close(after[mask], before[mask], atol=1e-5, rtol=1e-5)
    assert "[UNK]" not in new.tokenizer.encode("an unheard-of zebra").tokens  # spelt out


@pytest.mark.parametrize(
    "words, message",
    [
        (["image", "{tmp}/nothing.pth", "--layers", "1"], "not a readable weights file"),
        (["image", "{tmp}/vit.pth", "--layers", "9"], "--layers 9: .* has 3; pass 1 to 3"),
        (
            ["text", "{tmp}/bert", "--layers", "1", "--captions", "{tmp}/captions.json", "--vocabulary", "9"],
            "pass more",
        ),
        (["text", "{tmp}/bert", "--layers", "0", "--captions", "{tmp}/captions.json"], "--layers 0"),
        (["text", "{tmp}/nothing", "--layers", "1", "--captions", "{tmp}/captions.json"], "cannot be loaded"),
    ],
)
def test_what_does_not_fit_is_named(bert, tmp_path, capsys, words, message):
    torch.save(vit().state_dict(), tmp_path / "vit.pth")
    words = [word.format(tmp=tmp_path) for word in words]
    assert compact_encoders.main([*words, "--output", str(tmp_path / "out")]) == 2
    assert re.search(message, capsys.readouterr().err)
