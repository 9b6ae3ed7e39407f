"""Gray image -> image tokens (Sec. 3.3).  B batch; H, W image side; N_I image tokens; C token width."""

import torch
from timm.layers import build_sincos2d_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn


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
