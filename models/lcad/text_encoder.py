"""The text encoder, which never learns: CLIP's, or another of transformers.  B batch; L words; C' width."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import AutoConfig, AutoModel, CLIPTextConfig, PretrainedConfig

from models.lcad.config import LCADConfig
from models.text import CaptionTokenizer, Words

CLIP_WORDS = 77  # tokens of every caption, the marks of start and end and the padding counted


class Context(NamedTuple):
    """Captions as the UNet reads them."""

    hidden: Tensor  # (B, L, C')
    mask: Tensor | None  # (B, L) bool, True on words that are read; None: all are

    def replaced(self, where: Tensor, other: "Context") -> "Context":
        """Pictures of `where`, (B,) bool, have the other's."""
        hidden = torch.where(where[:, None, None], other.hidden, self.hidden)
        return Context(hidden, None if self.mask is None else torch.where(where[:, None], other.mask, self.mask))


def text_config(config: LCADConfig) -> PretrainedConfig:
    """The text encoder's configuration, from plain data."""
    if config.text_config is not None:
        return AutoConfig.for_model(**config.text_config)
    return CLIPTextConfig(
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        hidden_act="quick_gelu",
        max_position_embeddings=CLIP_WORDS,
    )


class TextEncoder(nn.Module):
    """Last hidden states of a frozen encoder."""

    def __init__(self, config: LCADConfig) -> None:
        super().__init__()
        encoder = AutoModel.from_config(text_config(config))
        self.encoder = getattr(encoder, "text_model", encoder)
        if getattr(self.encoder, "pooler", None) is not None:
            self.encoder.pooler = None  # of the whole caption, which nobody asks for
        self.masked = not config.is_stable_diffusion  # CLIP's padding is read like words: Stable Diffusion learnt so

    @torch.no_grad()
    def forward(self, words: Words) -> Context:
        mask = words.mask.long() if self.masked else None
        hidden = self.encoder(input_ids=words.ids, attention_mask=mask).last_hidden_state
        return Context(hidden, words.mask if self.masked else None)

    def empty(self, tokenizer: CaptionTokenizer, like: Words) -> Context:
        """Of no caption, as often and as long as `like`."""
        count, length = like.ids.shape
        words = tokenizer([""]).to(like.ids.device)
        missing = length - words.ids.shape[1]
        hidden, mask = self(Words(pad(words.ids, (0, missing)), pad(words.mask, (0, missing))))
        return Context(hidden.expand(count, -1, -1), None if mask is None else mask.expand(count, -1))
