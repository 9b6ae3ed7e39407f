"""The registry (timm's): every architecture by name, every number of each in one place."""

import json
from collections.abc import Sequence
from typing import Any

from timm.models import model_entrypoint, register_model
from timm.models.vision_transformer import VisionTransformer
from torch import nn
from transformers import AutoConfig, AutoModel, BertConfig, PretrainedConfig

from models.lcoins.grouping import (
    GroupingAttention,
    GroupingBlock,
    GroupingLayer,
    GroupingTransformer,
    ImageTokensAsGroups,
    JointAttention,
)
from models.lcoins.image_encoder import ImageEncoder
from models.lcoins.network import LCoIns
from models.lcoins.release import ReleasedLCoIns, released
from models.lcoins.upsampler import Upsampler
from models.text import MAX_WORDS, TextEncoder
from utils.errors import InputError

PAPER_MODEL = "colorization_vit_base_patch16_224_group_post"
SMALL_MODEL = "colorization_vit_tiny_patch8_112_group_post"
SCENES_MODEL = "colorization_vit_pico_patch8_64_group_post"
PHOTOS_MODEL = "colorization_vit_small_patch8_112_group_post"
RELEASE_MODEL = "colorization_vit_base_patch16_224_group_post_release"
NAMES = (PAPER_MODEL, SMALL_MODEL, SCENES_MODEL, PHOTOS_MODEL, RELEASE_MODEL)


def create_model(name: str, **overrides: Any) -> LCoIns | ReleasedLCoIns:
    """The network `name` with random weights, on the CPU.

    Overrides, all optional:
      img_size            image side in pixels, a multiple of the patch
      drop_path           stochastic depth of the last block of the image encoder and of the grouping transformer
      group_tokens        False: Table 1's w/o GE (joint attention over image and language tokens, no groups)
      grouping_attention  False: Table 1's w/o GA (joint attention over image, language and group tokens)
      counter_color       False: Table 1's w/o CL; what only that loss trains is frozen
      text_config         configuration of another BERT-kind encoder of transformers

    Raises InputError for an unknown name or an image side that the patch does not divide.
    """
    if name not in NAMES:
        raise InputError(f"--model {name}: unknown; pass one of {', '.join(NAMES)}")
    return model_entrypoint(name)(**overrides)


@register_model
def colorization_vit_base_patch16_224_group_post(**overrides: Any) -> LCoIns:
    """The paper's sizes: ViT-B/16, BERT-base, 12 grouping blocks of 1024 with 16 heads, 15 group tokens."""
    numbers = {
        "img_size": 224,
        "patch": 16,
        "image_width": 768,
        "image_depth": 12,
        "image_heads": 12,
        "position_scale": 0.02,
        "text_config": BertConfig(),  # bert-base-uncased
        "dim": 1024,
        "depth": 12,
        "num_heads": 16,
        "num_groups": 15,
        "group_scale": 0.02,
        "channels": (512, 256, 128, 64, 32),
    }
    return _build(**numbers | overrides)


def _small_bert() -> BertConfig:
    return BertConfig(
        vocab_size=4096,
        hidden_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=512,
        max_position_embeddings=MAX_WORDS,
        initializer_range=0.06,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )


@register_model
def colorization_vit_tiny_patch8_112_group_post(**overrides: Any) -> LCoIns:
    """For two CPU cores: the same code and the same 14x14 grid, a few million parameters.

    Positions and group tokens start at full scale: with codes of 0.02 it learns many times slower.
    """
    numbers = {
        "img_size": 112,
        "patch": 8,
        "image_width": 192,
        "image_depth": 4,
        "image_heads": 3,
        "position_scale": 1.0,
        "text_config": _small_bert(),
        "dim": 192,
        "depth": 4,
        "num_heads": 3,
        "num_groups": 15,
        "group_scale": 1.0,
        "channels": (128, 64, 32, 16),
    }
    return _build(**numbers | overrides)


@register_model
def colorization_vit_pico_patch8_64_group_post(**overrides: Any) -> LCoIns:
    """For Scenes, and for Table 1's ablations on two CPU cores: an 8x8 grid, codes of full scale, no InstanceNorm.

    Both encoders' maps into the grouping transformer start as the identity: what scripts/pretrain_encoders.py taught
    them to say alike enters it alike.
    """
    numbers = {
        "img_size": 64,
        "patch": 8,
        "image_width": 128,
        "image_depth": 2,
        "image_heads": 4,
        "position_scale": 1.0,
        "text_config": _small_bert(),
        "dim": 128,
        "depth": 4,
        "num_heads": 4,
        "num_groups": 15,
        "group_scale": 1.0,
        "channels": (64, 48, 32, 16),
        "normalize": False,
        "sine_positions": True,
        "identity_maps": True,
    }
    return _build(**numbers | overrides)


@register_model
def colorization_vit_small_patch8_112_group_post(**overrides: Any) -> LCoIns:
    """For photographs, in at most 60 MB: two thirds each of a ViT-S and of MiniLM (scripts/compact_encoders.py)."""
    numbers = {
        "img_size": 112,
        "patch": 8,
        "image_width": 384,
        "image_depth": 8,
        "image_heads": 6,
        "position_scale": 0.02,
        "text_config": BertConfig(
            vocab_size=4096,
            hidden_size=384,
            num_hidden_layers=4,
            num_attention_heads=12,
            intermediate_size=1536,
            max_position_embeddings=MAX_WORDS,
        ),
        "dim": 256,
        "depth": 4,
        "num_heads": 4,
        "num_groups": 15,
        "group_scale": 1.0,
        "channels": (128, 64, 32, 16),
        "normalize": False,
    }
    return _build(**numbers | overrides)


@register_model
def colorization_vit_base_patch16_224_group_post_release(
    group_tokens: bool = True, grouping_attention: bool = True, counter_color: bool = False, **overrides: Any
) -> ReleasedLCoIns:
    """The authors' released checkpoint's architecture (models/lcoins/release.py). It has no features for Eq. (15)."""
    if not (group_tokens and grouping_attention):
        raise InputError("the released architecture has no ablations: leave --no-group_tokens and the like out")
    return released(**overrides)


def _build(
    img_size: int,
    patch: int,
    image_width: int,
    image_depth: int,
    image_heads: int,
    position_scale: float,
    text_config: PretrainedConfig,
    dim: int,
    depth: int,
    num_heads: int,
    num_groups: int,
    group_scale: float,
    channels: Sequence[int],
    normalize: bool = True,
    sine_positions: bool = False,
    identity_maps: bool = False,
    drop_path: float = 0.0,
    group_tokens: bool = True,
    grouping_attention: bool = True,
    counter_color: bool = True,
) -> LCoIns:
    if img_size % patch or img_size <= 0:
        raise InputError(f"--input_size {img_size}: pass a multiple of the patch side {patch}")
    vit = VisionTransformer(
        img_size=img_size,
        patch_size=patch,
        embed_dim=image_width,
        depth=image_depth,
        num_heads=image_heads,
        class_token=False,
        global_pool="",
        num_classes=0,
        drop_path_rate=drop_path,
        weight_init="jax",  # Xavier: the same scale at every width
    )
    attention = GroupingAttention if grouping_attention and group_tokens else JointAttention
    rates = [drop_path * block / max(1, depth - 1) for block in range(depth)]
    blocks = [GroupingBlock(attention(dim, num_heads), dim, mlp_ratio=4.0, drop_path=rate) for rate in rates]
    model = LCoIns(
        ImageEncoder(vit, dim, position_scale),
        TextEncoder(AutoModel.from_config(text_config), dim, sine_positions),
        GroupingTransformer(blocks, dim),
        GroupingLayer(dim) if group_tokens else ImageTokensAsGroups(),
        Upsampler(dim, channels, normalize),
        dim,
        num_groups if group_tokens else 0,
        group_scale,
    )
    if identity_maps:
        for encoder in (model.image_encoder, model.text_encoder):
            nn.init.eye_(encoder.project.weight)
            nn.init.zeros_(encoder.project.bias)
    if not counter_color:
        for part in (model.grouping_layer, model.language_head, model.group_head):
            part.requires_grad_(False)
    return model


def text_config_from_json(text: str) -> PretrainedConfig:
    """The text encoder's configuration, as a checkpoint of ours holds it."""
    values = json.loads(text)
    return AutoConfig.for_model(values.pop("model_type"), **values)


def text_config_to_json(config: PretrainedConfig) -> str:
    """The inverse, without the place on the disk that the encoder once came from."""
    values = json.loads(config.to_json_string(use_diff=False))
    values.pop("_name_or_path", None)
    return json.dumps(values, indent=2, sort_keys=True)


def parameter_count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
