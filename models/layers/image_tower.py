"""The image encoder of the released systems.  B batch; H, W image side; N_I image tokens."""

from functools import partial

from timm.layers import PatchEmbed, build_sincos2d_pos_embed
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

norm = partial(nn.LayerNorm, eps=1e-6)


class ImageTower(nn.Module):
    """Gray image -> image tokens: MAE's encoder without its class token."""

    def __init__(
        self, img_size: int, patch: int, width: int, depth: int, num_heads: int, position_scale: float, drop_path: float
    ) -> None:
        super().__init__()
        self.grad_checkpointing = False
        self.patch_embed = PatchEmbed(img_size, patch, 3, width)
        codes = build_sincos2d_pos_embed(self.patch_embed.grid_size, width) * position_scale  # (N_I, width)
        self.pos_embed = nn.Parameter(pad(codes, (0, 0, 1, 0))[None])  # (1, 1 + N_I, width)
        rates = [drop_path * block / max(1, depth - 1) for block in range(depth)]
        self.blocks = nn.ModuleList(
            Block(width, num_heads, qkv_bias=True, drop_path=rate, norm_layer=norm) for rate in rates
        )
        self.norm = norm(width)

    def forward(self, gray: Tensor) -> Tensor:
        """gray: (B, 1, H, W) in [-1, 1], repeated to three channels. Returns (B, N_I, width)."""
        z = self.patch_embed(gray.expand(-1, 3, -1, -1)) + self.pos_embed[:, 1:]
        for block in self.blocks:
            z = checkpoint(block, z, use_reentrant=False) if self.grad_checkpointing and self.training else block(z)
        return self.norm(z)
