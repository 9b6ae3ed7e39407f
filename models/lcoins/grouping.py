"""Grouping transformer (Sec. 3.4) and grouping layer (Sec. 3.6).

B batch; N_I image, N_L language, N_G group tokens; N all three together; C channels; H heads; D = C / H.
"""

from typing import NamedTuple

import torch
from timm.layers import DropPath, Mlp
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention as attend
from torch.utils.checkpoint import checkpoint


class Tokens(NamedTuple):
    image: Tensor  # (B, N_I, C)
    language: Tensor  # (B, N_L, C)
    group: Tensor  # (B, N_G, C)

    def join(self) -> Tensor:
        """[image; language; group], (B, N, C): the [Z] of Eq. (4)."""
        return torch.cat(self, dim=1)

    def split(self, joined: Tensor, dim: int = 1) -> "Tokens":
        """The inverse of `join`, with this one's lengths; dim: that of the tokens."""
        return Tokens(*joined.split([t.shape[1] for t in self], dim))


class GroupingAttention(nn.Module):
    """Image and language attend to themselves (inner loop) and exchange with the group tokens only (outer loop).

        inner_i = attend(q_i, k_i, v_i)            i in {image, language}           Eq. (6)
        outer_group,i = attend(q_group, k_i, v_i)                                   Eq. (7)
        outer_i = attend(q_i, k_group, v_group)                                     Eq. (8)
        z_hat = [first stream, second stream] of every head, W_proj                 Eq. (9)

    One qkv and one output projection serve all three modalities, in one matrix product each.
    Open in the paper: the group tokens have no inner stream; their two streams are the outer ones from the image
    and from the language tokens, so that every modality has exactly two.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(2 * dim, dim)

    def forward(self, tokens: Tokens, word_mask: Tensor) -> Tokens:
        """word_mask: (B, N_L) bool, True on real words, at least one per caption."""
        q, k, v = (tokens.split(x, dim=2) for x in _heads(self.qkv(tokens.join()), self.num_heads))
        words = word_mask[:, None, None, :]  # (B, 1, 1, N_L)

        inner_image = attend(q.image, k.image, v.image)  # (B, H, N_I, D)
        inner_language = attend(q.language, k.language, v.language, attn_mask=words)
        group_from_image = attend(q.group, k.image, v.image)
        group_from_language = attend(q.group, k.language, v.language, attn_mask=words)
        outer = attend(torch.cat([q.image, q.language], dim=2), k.group, v.group)  # (B, H, N_I + N_L, D)

        first = torch.cat([inner_image, inner_language, group_from_image], dim=2)  # (B, H, N, D)
        second = torch.cat([outer, group_from_language], dim=2)
        streams = torch.cat([first, second], dim=-1)  # side by side within each head
        return tokens.split(self.proj(streams.transpose(1, 2).flatten(2)))


class JointAttention(nn.Module):
    """Plain self-attention over all tokens together: what Table 1 puts in the place of grouping attention.

    w/o GA keeps the group tokens among them; w/o GE has none (N_G = 0).
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tokens, word_mask: Tensor) -> Tokens:
        """word_mask: (B, N_L) bool, True on real words."""
        visible = torch.cat(
            [
                word_mask.new_ones(tokens.image.shape[:2]),
                word_mask,
                word_mask.new_ones(tokens.group.shape[:2]),
            ],
            dim=1,
        )
        q, k, v = _heads(self.qkv(tokens.join()), self.num_heads)
        attended = attend(q, k, v, attn_mask=visible[:, None, None, :])  # (B, H, N, D)
        return tokens.split(self.proj(attended.transpose(1, 2).flatten(2)))


def _heads(qkv: Tensor, num_heads: int) -> tuple[Tensor, Tensor, Tensor]:
    """(B, N_i, 3C), rows q, k, v, each head after head -> three of (B, H, N_i, D)."""
    return qkv.unflatten(-1, (3, num_heads, -1)).permute(2, 0, 3, 1, 4).unbind()


class GroupingBlock(nn.Module):
    """Pre-norm block: z_hat = z + attention(LN z), Eq. (4); z + MLP(LN z_hat), Eq. (5), with stochastic depth."""

    def __init__(self, attention: nn.Module, dim: int, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(dim, eps=1e-6)
        self.attention = attention
        self.norm_mlp = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tokens, word_mask: Tensor) -> Tokens:
        z = tokens.join()
        attended = self.attention(tokens.split(self.norm_attention(z)), word_mask)
        z = z + self.drop_path(attended.join())
        z = z + self.drop_path(self.mlp(self.norm_mlp(z)))
        return tokens.split(z)


class GroupingTransformer(nn.Module):
    """The stack of L grouping blocks and a last LayerNorm.

    grad_checkpointing: two of three blocks are computed again in the backward pass; all of them would make a step a
    third longer, these make the paper's model's a quarter longer (docs/BENCHMARKS.md).
    Open in the paper: the last norm; a pre-norm stack has one, as in ViT.
    """

    def __init__(self, blocks: list[GroupingBlock], dim: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.grad_checkpointing = False
        self.apply(_xavier_linear)

    def forward(self, tokens: Tokens, word_mask: Tensor) -> Tokens:
        for place, block in enumerate(self.blocks):
            if self.grad_checkpointing and self.training and place % 3:
                tokens = checkpoint(block, tokens, word_mask, use_reentrant=False)
            else:
                tokens = block(tokens, word_mask)
        return tokens.split(self.norm(tokens.join()))


def _xavier_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)


class GroupingLayer(nn.Module):
    """Each image token goes to its most similar group token; every group takes in the mean of its image tokens.

        soft = softmax over groups of (W_q g)(W_k x) / sqrt(C), with Gumbel noise while training
        hard = one_hot(argmax soft) + soft - stop_gradient(soft)                    Eq. (11)
        merged_i = g_i + sum_j hard_ij W_v x_j / sum_j hard_ij                      Eq. (12)

    Open in the paper: the similarity, and whether the kept entry is 1 or the similarity. Ours is GroupViT's, the
    source the paper cites: noise while training, 1 kept.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.query, self.key, self.value = nn.Linear(dim, dim), nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.apply(_xavier_linear)

    def forward(self, image: Tensor, group: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """image (B, N_I, C), group (B, N_G, C) -> merged (B, N_G, C); hard and soft (B, N_G, N_I).

        Under autocast all three are float32: noise, softmax and means want its precision.
        """
        similarity = self.query(group) @ self.key(image).transpose(1, 2)  # (B, N_G, N_I)
        dtype = torch.promote_types(similarity.dtype, torch.float32)
        similarity = similarity.to(dtype) * group.shape[-1] ** -0.5
        if self.training:
            similarity = similarity - torch.empty_like(similarity).exponential_().log()  # Gumbel(0, 1) noise
        soft = similarity.softmax(dim=1)

        kept = torch.zeros_like(soft).scatter_(1, soft.argmax(dim=1, keepdim=True), 1.0)
        hard = kept + soft - soft.detach()

        value = self.value(image)  # (B, N_I, C)
        total = hard.sum(dim=2, keepdim=True)
        total = torch.where(kept.sum(dim=2, keepdim=True) > 0, total, 1.0)  # an empty group keeps its own token
        with torch.autocast(image.device.type, enabled=False):
            merged = group + (hard @ value.to(dtype)) / total
        return merged, hard, soft


class ImageTokensAsGroups(nn.Module):
    """w/o GE: there is nothing to assign to, and the counter-colour loss compares words with image tokens."""

    def forward(self, image: Tensor, group: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The interface of `GroupingLayer` with N_G = 0: the image tokens, and empty assignments (B, 0, N_I)."""
        empty = image.new_zeros(image.shape[0], 0, image.shape[1])
        return image, empty, empty
