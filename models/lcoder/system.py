"""L-CoDer as a system.  B pictures; S side of the square; N_I image tokens; N words.

Differs, where paper and public code differ: docs/SYSTEMS.md.
"""

import dataclasses
import logging
from collections.abc import Callable
from typing import Any, ClassVar, Self

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from datasets.batch import Batch
from losses import chroma_loss
from models.layers.bert import plain
from models.layers.biaffine import correspondence_loss
from models.layers.layer_decay import released_depths
from models.lcoder.config import LCoDerConfig
from models.lcoder.network import Network
from models.system import Coloring
from models.text import BERT_VOCABULARY, CaptionTokenizer, without_marks
from models.weights import (
    RANDOM,
    load_fully,
    load_image_encoder,
    load_text_encoder,
    resample_positions,
    text_config_of,
)
from models.word_system import WordSystem, split
from utils.devices import full_precision
from utils.errors import InputError

logger = logging.getLogger(__name__)
POSITIVE = 100.0  # added to the weight of a true pair
_POSITIONS = "network.encoder.pos_embed"
_KNOWN = "decoder.biafine.linear.weight"
# In the public file, of layers that nothing reads.
_UNUSED = ("decoder.biafine.", "text_encoder.arc_biaffine.", "text_encoder.bert_model.pooler.")


class LCoDer(WordSystem):
    Config = LCoDerConfig
    of_authors: ClassVar = {"published_occm": True}
    inputs = frozenset({"correspondence"})

    def __init__(self, name: str, config: LCoDerConfig, tokenizer: CaptionTokenizer | None = None) -> None:
        super().__init__(name, config, tokenizer)
        if not config.learns_matrix:
            self.inputs = frozenset()
        self.network = Network(config)
        self.network.decoder.arc_biaffine.requires_grad_(config.learns_matrix)
        if config.freeze_encoders:
            self.network.encoder.requires_grad_(False)
            self.network.text_encoder.bert_model.requires_grad_(False)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        gray, ab = split(batch.rgb)
        output = self.network(gray, batch.words)
        with full_precision(batch.rgb.device):
            chroma = chroma_loss(output.ab, batch.asked(ab))
            if not self.config.learns_matrix:
                return {"chroma": chroma, "total": chroma}
            occm = correspondence_loss(output.matrix, batch.correspondence, POSITIVE)
        return {"chroma": chroma, "occm": occm, "total": chroma + self.config.occm_weight * occm}

    def colorize(self, batch: Batch) -> Coloring:
        self.tell_cut(batch.captions)
        return Coloring(self.network(split(batch.rgb)[0], batch.words).ab)

    def load(self, weights: dict[str, Tensor], origin: str) -> list[str]:
        """Position codes are resampled where the image side is another; the first belongs to no token."""
        notes, own = [], self.state_dict()[_POSITIONS].shape
        if _POSITIONS in weights and weights[_POSITIONS].shape != own:
            held = weights[_POSITIONS]
            codes = torch.cat([held[:, :1], resample_positions(held[:, 1:], own[1] - 1)], dim=1)
            weights, notes = weights | {_POSITIONS: codes}, [f"its positions were resampled to {own[1] - 1} tokens"]
        load_fully(self, weights, origin)
        return notes

    def set_grad_checkpointing(self, enable: bool) -> None:
        self.network.encoder.grad_checkpointing = self.network.decoder.grad_checkpointing = enable
        if enable:
            self.network.text_encoder.bert_model.gradient_checkpointing_enable({"use_reentrant": False})

    def no_weight_decay(self) -> set[str]:
        return {_POSITIONS, "network.decoder.token_type_embeddings.weight"}

    def group_matcher(self, coarse: bool = False) -> Callable[[str], tuple[int]]:
        """Depth of a parameter for layer decay (timm asks), both encoders' layers."""
        network = self.network
        layer = released_depths(len(network.encoder.blocks), network.text_encoder.bert_model.config.num_hidden_layers)
        return lambda name: layer(name.removeprefix("network."))

    def not_for_muon(self) -> tuple[str, ...]:
        embeddings = "network.text_encoder.bert_model.embeddings.*"
        return embeddings, "network.decoder.conv_upsample.*", "network.decoder.token_type_embeddings.*"

    @classmethod
    def from_scratch(cls, name: str, config: LCoDerConfig) -> Self:
        papers = {"image_encoder_weights": "vit_base_patch16_224.mae", "text_encoder_weights": "bert-base-uncased"}
        for flag, paper in papers.items():
            if getattr(config, flag) is None:
                raise InputError(
                    f"--{flag} is not given, nor a checkpoint: pass a local file or folder, a hub name (the paper's:"
                    f" {paper}), or '{RANDOM}' to start from random weights"
                )
        if config.text_encoder_weights == RANDOM:
            tokenizer = CaptionTokenizer.from_vocabulary()
        else:
            config = dataclasses.replace(config, text_config=plain(text_config_of(config.text_encoder_weights)))
            tokenizer = CaptionTokenizer.from_pretrained(config.text_encoder_weights)
        system = cls(name, config, without_marks(tokenizer, config.limit))
        logger.info("%s", system._start_encoder(config.image_encoder_weights))
        logger.info("%s", load_text_encoder(system.network.text_encoder.bert_model, config.text_encoder_weights))
        return system

    def _start_encoder(self, source: str) -> str:
        """A ViT's weights, its class token dropped; returns what was done, in words."""
        config, encoder = self.config, self.network.encoder
        vit = VisionTransformer(
            img_size=config.img_size,
            patch_size=config.patch,
            embed_dim=config.image_width,
            depth=config.image_depth,
            num_heads=config.image_heads,
            class_token=False,
            global_pool="",
            num_classes=0,
        )
        done = load_image_encoder(vit, source)
        if source != RANDOM:
            weights = vit.state_dict()
            weights["pos_embed"] = torch.cat([torch.zeros_like(encoder.pos_embed[:, :1]), weights["pos_embed"]], dim=1)
            load_fully(encoder, weights, f"--image_encoder_weights {source}")
        return done

    @classmethod
    def recognizes(cls, content: Any) -> bool:
        return isinstance(content, dict) and "format" not in content and _KNOWN in _tensors(content)

    @classmethod
    def from_authors(cls, name: str, content: Any, config: LCoDerConfig) -> tuple[Self, list[str]]:
        tokenizer = without_marks(CaptionTokenizer.from_vocabulary(BERT_VOCABULARY), config.limit)
        system, held = cls(name, config, tokenizer), _tensors(content)
        unused = [n for n in held if str(n).startswith(_UNUSED) or n.endswith("position_ids")]
        weights = {f"network.{n}": tensor for n, tensor in held.items() if n not in unused}
        return system, [f"not needed: {', '.join(unused)}", *system.load(weights, "the authors' file")]


def _tensors(content: dict[str, Any]) -> dict[str, Any]:
    return content["model"] if isinstance(content.get("model"), dict) else content
