"""The two encoders (Sec. 3.3).  B batch; H, W image side; N_I, N_L image and language tokens; C token width."""

import torch
from timm.layers import build_sincos2d_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from transformers import PreTrainedModel

from models.text import Words


class ImageEncoder(nn.Module):
    """timm's ViT without class token, and the linear map to the grouping transformer's width.

    Open in the paper: how positions start. Ours start as sine-cosine codes times `position_scale`, and are learnt.
    """

    def __init__(self, vit: VisionTransformer, dim: int, position_scale: float) -> None:
        super().__init__()
        self.vit = vit
        self.project = nn.Linear(vit.embed_dim, dim)
        codes = build_sincos2d_pos_embed(vit.patch_embed.grid_size, vit.embed_dim)  # (N_I, width) in [-1, 1]
        with torch.no_grad():
            vit.pos_embed.copy_(codes * position_scale)

    def forward(self, gray: Tensor) -> Tensor:
        """gray: (B, 1, H, W) in [-1, 1], repeated to the pseudo-colour image I_c. Returns (B, N_I, C)."""
        return self.project(self.vit.forward_features(gray.expand(-1, 3, -1, -1)))


class TextEncoder(nn.Module):
    """A BERT-kind encoder of transformers, and the linear map to the grouping transformer's width."""

    def __init__(self, encoder: PreTrainedModel, dim: int, sine_positions: bool = False) -> None:
        """sine_positions: a BERT's word positions start as sine-cosine codes, on the scale of its random ones."""
        super().__init__()
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None  # summarises the first token; no equation uses it, so it would never get a gradient
        if sine_positions:
            positions = encoder.embeddings.position_embeddings.weight  # (longest caption, width)
            with torch.no_grad():
                positions.copy_(_sine_codes(*positions.shape) * encoder.config.initializer_range * 2**0.5)
        self.encoder = encoder
        self.project = nn.Linear(encoder.config.hidden_size, dim)

    def forward(self, words: Words) -> Tensor:
        """Returns (B, N_L, C). Padding is masked inside the encoder; its own rows carry no meaning."""
        hidden = self.encoder(input_ids=words.ids, attention_mask=words.mask.long()).last_hidden_state
        return self.project(hidden)


def _sine_codes(length: int, width: int) -> Tensor:
    """(length, width): sines and cosines of wavelengths from 2 pi to 10000 * 2 pi words (Vaswani et al., 2017)."""
    frequencies = 10000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)
