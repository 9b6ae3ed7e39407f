"""The upper half of the released architecture (models/lcoins/release.py): joint blocks, grouping block, upsampler.

B batch; N_I image, N_L language, N_G group tokens; N all three; C token width; H heads.
"""

from collections.abc import Sequence

import torch
from timm.layers import DropPath, Mlp
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.functional import scaled_dot_product_attention as attend
from torch.utils.checkpoint import checkpoint

from models.layers.image_tower import norm
from models.layers.upsampler import ConvUpsample, double, refine


class Decoder(nn.Module):
    """Group tokens, joint blocks, grouping block and upsampler."""

    def __init__(
        self,
        blocks: list["JointBlock"],
        group_block: "GroupBlock",
        conv_upsample: ConvUpsample,
        dim: int,
        num_groups: int,
        group_scale: float,
        grid_width: int,
    ) -> None:
        super().__init__()
        self.grad_checkpointing = False
        self.group_token = nn.Parameter(torch.randn(1, num_groups, dim) * group_scale)
        self.blocks_poc = nn.ModuleList(blocks)
        self.group_block = group_block
        self.norm = norm(dim)
        self.head = nn.Linear(dim, grid_width)
        self.conv_upsample = conv_upsample
        self.token_type_embeddings = nn.Embedding(3, dim)  # rows image, language, one that nothing uses
        nn.init.normal_(self.token_type_embeddings.weight, std=0.02)

    def exchange(self, image: Tensor, language: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """-> image and group tokens after the last block, language tokens as it reads them: image, language, group.

        Attention has no order: the language tokens come last so that the last block can leave them out.
        """
        modality, group = self.token_type_embeddings.weight, self.group_token.expand(len(image), -1, -1)
        z = torch.cat([image + modality[0], group, language + modality[1]], dim=1)  # (B, N, C)
        lengths = [image.shape[1], group.shape[1], language.shape[1]]
        *blocks, last = self.blocks_poc
        for block in blocks:
            z = self._run(block, z, sum(lengths))
        language = z[:, -lengths[2] :]
        image, group = self._run(last, z, sum(lengths[:2])).split(lengths[:2], dim=1)
        return image, language, group

    def _run(self, block: "JointBlock", z: Tensor, readers: int) -> Tensor:
        if self.grad_checkpointing and self.training:
            return checkpoint(block, z, readers, use_reentrant=False)
        return block(z, readers)

    def colorize(self, image: Tensor) -> Tensor:
        """(B, N_I, C), N_I a square number -> ab (B, 2, H, W) in [-1, 1], that is ab / 110."""
        side = round(image.shape[1] ** 0.5)
        return self.conv_upsample(self.head(self.norm(image)).transpose(1, 2).unflatten(2, (side, side)))


class JointBlock(nn.Module):
    """Pre-norm block over all tokens together; only the first `readers` of them are updated and returned."""

    def __init__(self, dim: int, num_heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1 = norm(dim)
        self.attn = KeyUnbiasedAttention(dim, num_heads)
        self.norm2 = norm(dim)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, z: Tensor, readers: int) -> Tensor:
        """(B, N, C) -> (B, readers, C)."""
        attended = self.attn(self.norm1(z), readers)
        z = z[:, :readers] + self.drop_path(attended)
        return z + self.drop_path(self.mlp(self.norm2(z)))


class KeyUnbiasedAttention(nn.Module):
    """Self-attention whose queries and values have a bias and whose keys have none."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.q_bias = nn.Parameter(torch.zeros(dim))
        self.v_bias = nn.Parameter(torch.zeros(dim))
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)  # rows q, k, v, each head after head
        self.proj = nn.Linear(dim, dim)

    def forward(self, z: Tensor, readers: int) -> Tensor:
        """(B, N, C) -> (B, readers, C): the first `readers` tokens ask, all answer."""
        q, k, v = self.qkv.weight.chunk(3)
        q = _heads(linear(z[:, :readers], q, self.q_bias), self.num_heads)
        k, v = _heads(linear(z, k), self.num_heads), _heads(linear(z, v, self.v_bias), self.num_heads)
        return self.proj(attend(q, k, v).transpose(1, 2).flatten(2))


class GroupBlock(nn.Module):
    """GroupViT's grouping: the group tokens mix, look at the image tokens, and each image token joins one of them.

    A group adds the projected sum of its tokens' values over (their number + 1). Nothing here reaches the colours.
    """

    def __init__(self, dim: int, num_heads: int, num_groups: int, mixing: int) -> None:
        super().__init__()
        self.norm_tokens = norm(dim)
        self.mlp_inter = Mlp(num_groups, mixing)
        self.norm_post_tokens = norm(dim)
        self.norm_x = norm(dim)
        self.pre_assign_attn = PreAssign(dim, num_heads)
        self.assign = QKV(dim)
        self.norm_new_x = norm(dim)
        self.mlp_channels = Mlp(dim, 4 * dim)

    def forward(self, image: Tensor, group: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, N_I, C), (B, N_G, C) -> merged (B, N_G, C); hard and soft assignment (B, N_G, N_I).

        Open in the release: how soft its similarities are; they decide nothing. Here as in `GroupingLayer`.
        """
        image = self.norm_x(image)
        mixed = self.mlp_inter(self.norm_tokens(group).transpose(1, 2)).transpose(1, 2)  # over the group tokens
        group = self.pre_assign_attn(self.norm_post_tokens(mixed), image)

        similarity = self.assign.q_proj(group) @ self.assign.k_proj(image).transpose(1, 2)  # (B, N_G, N_I)
        hard = torch.zeros_like(similarity).scatter_(1, similarity.argmax(dim=1, keepdim=True), 1.0)
        weights = hard / (hard.sum(dim=2, keepdim=True) + 1)
        group = group + self.assign.proj(weights @ self.assign.v_proj(image))
        soft = (similarity * group.shape[-1] ** -0.5).softmax(dim=1)
        return group + self.mlp_channels(self.norm_new_x(group)), hard, soft


class PreAssign(nn.Module):
    """The group tokens read the image tokens: cross-attention and MLP, each added, and a last norm."""

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm_post = norm(dim)
        self.attn = QKV(dim)
        self.norm2 = norm(dim)
        self.mlp = Mlp(dim, 4 * dim)

    def forward(self, group: Tensor, image: Tensor) -> Tensor:
        q, k, v = self.attn.q_proj(group), self.attn.k_proj(image), self.attn.v_proj(image)
        attended = attend(*(_heads(x, self.num_heads) for x in (q, k, v)))  # (B, H, N_G, C / H)
        group = group + self.attn.proj(attended.transpose(1, 2).flatten(2))
        return self.norm_post(group + self.mlp(self.norm2(group)))


class QKV(nn.Module):
    """The four linear maps of a cross-attention, under the checkpoint's names."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)


class BinnedUpsample(ConvUpsample):
    """With the colour bins' layers, which only hold their tensors."""

    def __init__(self, channels: Sequence[int], color_bins: int) -> None:
        """channels: the width of the grid, then of each stage."""
        super().__init__(channels)
        two = channels[2]
        self.up3_classify, self.c3_classify = double(two, two), refine(two)
        self.up4_classify, self.c4_classify = double(two, two), refine(two)
        self.classifier = nn.Linear(two, color_bins)


def _heads(z: Tensor, num_heads: int) -> Tensor:
    """(B, N, C), head after head -> (B, H, N, C / H)."""
    return z.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def xavier_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
