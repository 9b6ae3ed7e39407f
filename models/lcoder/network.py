"""The network of L-CoDer: image tokens find their object word, and read the colour word at its place.

B pictures; N_I image tokens; N words, always `limit`; C token width; H heads; D = C / H.  Modules have the names of the
public file.
"""

from typing import NamedTuple

import torch
from timm.layers import DropPath, Mlp
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention as attend
from torch.utils.checkpoint import checkpoint
from transformers import AutoModel

from models.layers.bert import text_config
from models.layers.biaffine import Biaffine
from models.layers.image_tower import ImageTower, norm
from models.layers.upsampler import ConvUpsample
from models.lcoder.config import LCoDerConfig
from models.text import Words


class Tokens(NamedTuple):
    image: Tensor  # (B, N_I, C)
    objects: Tensor  # (B, N, C)
    colors: Tensor  # (B, N, C)

    def join(self) -> Tensor:
        return torch.cat(self, dim=1)

    def split(self, joined: Tensor, dim: int = 1) -> "Tokens":
        """The inverse of `join`, with this one's lengths; dim: that of the tokens."""
        return Tokens(*joined.split([t.shape[1] for t in self], dim))


class Output(NamedTuple):
    ab: Tensor  # (B, 2, H, W) in [-1, 1]
    matrix: Tensor  # (B, N, N), logits of the correspondence, [b, object, colour]


class DecoupledAttention(nn.Module):
    """Joint attention of image, object and colour tokens.

        image    attend(q_i, [k_i, k_object], [v_i, v_color]):  an object word's key, the colour word's value
        object   attend(q_o, [k_i, k_o], [v_i, v_o]);  color  attend(q_c, [k_i, k_c], [v_i, v_c])

    Differs: the public code adds -100 where ours leaves keys out.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, tokens: Tokens) -> Tokens:
        joined = self.qkv(tokens.join()).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k, v = (tokens.split(part, dim=2) for part in joined)  # (B, H, N_i, D) each
        with_objects = torch.cat([k.image, k.objects], dim=2)
        image = attend(q.image, with_objects, torch.cat([v.image, v.colors], dim=2))
        objects = attend(q.objects, with_objects, torch.cat([v.image, v.objects], dim=2))
        colors = attend(q.colors, torch.cat([k.image, k.colors], dim=2), torch.cat([v.image, v.colors], dim=2))
        attended = torch.cat([image, objects, colors], dim=2)
        return tokens.split(self.proj(attended.transpose(1, 2).flatten(2)))


class Block(nn.Module):
    """Pre-norm block with stochastic depth."""

    def __init__(self, dim: int, num_heads: int, drop_path: float) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(dim), norm(dim)
        self.attn = DecoupledAttention(dim, num_heads)
        self.mlp = Mlp(dim, 4 * dim)
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tokens) -> Tokens:
        z = tokens.join()
        z = z + self.drop_path(self.attn(tokens.split(self.norm1(z))).join())
        return tokens.split(z + self.drop_path(self.mlp(self.norm2(z))))


class TextEncoder(nn.Module):
    """BERT without a mask, and a map each to object and colour tokens: padding is read, as published."""

    def __init__(self, bert_model: nn.Module, limit: int, dim: int) -> None:
        super().__init__()
        self.limit = limit
        self.bert_model = bert_model
        self.mlp_arc_object, self.mlp_arc_color = nn.Module(), nn.Module()
        for part in (self.mlp_arc_object, self.mlp_arc_color):
            part.linear = nn.Linear(bert_model.config.hidden_size, dim)

    def forward(self, words: Words) -> tuple[Tensor, Tensor]:
        """words: without [CLS] and [SEP], at most `limit`. Returns object and colour tokens, (B, N, C) each, >= 0."""
        hidden = self.bert_model(input_ids=words.padded(self.limit).ids).last_hidden_state
        return self.mlp_arc_object.linear(hidden).relu(), self.mlp_arc_color.linear(hidden).relu()


class Decoder(nn.Module):
    def __init__(self, config: LCoDerConfig) -> None:
        super().__init__()
        self.grad_checkpointing = False
        rates = [config.drop_path * place / max(1, config.depth - 1) for place in range(config.depth)]
        self.blocks_poc = nn.ModuleList(Block(config.dim, config.num_heads, rate) for rate in rates)
        self.norm = norm(config.dim)
        self.head = nn.Linear(config.dim, config.channels[0])
        self.conv_upsample = ConvUpsample(config.channels)
        self.token_type_embeddings = nn.Embedding(3, config.dim)  # image, object, colour
        nn.init.normal_(self.token_type_embeddings.weight, std=0.02)
        self.arc_biaffine = Biaffine(config.dim)
        self.published_occm = config.published_occm

    def forward(self, tokens: Tokens) -> Output:
        tokens = Tokens(*(part + kind for part, kind in zip(tokens, self.token_type_embeddings.weight, strict=True)))
        for block in self.blocks_poc:
            if self.grad_checkpointing and self.training:
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        side = round(tokens.image.shape[1] ** 0.5)
        grid = self.head(self.norm(tokens.image)).transpose(1, 2).unflatten(2, (side, side))
        return Output(self.conv_upsample(grid), self.matrix(tokens))

    def matrix(self, tokens: Tokens) -> Tensor:
        """The correspondence; tokens: of the last block. Differs: the public code takes the first N image tokens for
        both kinds of words, and trains [b, colour, object]; `published_occm` takes them too."""
        if self.published_occm:
            first = tokens.image[:, : tokens.objects.shape[1]]
            return self.arc_biaffine(first, first)
        return self.arc_biaffine(tokens.colors, tokens.objects)


class Network(nn.Module):
    def __init__(self, config: LCoDerConfig) -> None:
        super().__init__()
        tower = config.img_size, config.patch, config.image_width, config.image_depth, config.image_heads
        self.encoder = ImageTower(*tower, config.position_scale, config.drop_path)
        bert = AutoModel.from_config(text_config(config.text_config))
        bert.pooler = None  # nothing reads it
        self.text_encoder = TextEncoder(bert, config.limit, config.dim)
        self.encoder_to_decoder = nn.Linear(config.image_width, config.dim, bias=False)
        self.decoder = Decoder(config)
        for part in (self.encoder, self.decoder, self.encoder_to_decoder):
            part.apply(_xavier)
        nn.init.zeros_(self.decoder.arc_biaffine.linear.weight)

    def forward(self, gray: Tensor, words: Words) -> Output:
        """gray: (B, 1, H, W) in [-1, 1]."""
        return self.decode(self.encode_image(gray), *self.text_encoder(words))

    def encode_image(self, gray: Tensor) -> Tensor:
        """Returns (B, N_I, C)."""
        return self.encoder_to_decoder(self.encoder(gray))

    def decode(self, image: Tensor, objects: Tensor, colors: Tensor) -> Output:
        return self.decoder(Tokens(image, objects, colors))


def _xavier(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
