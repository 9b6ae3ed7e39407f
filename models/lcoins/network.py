"""L-CoIns (CVPR 2023): colours a gray photograph as a sentence says.

Paper                      here                                      file
I_g, I_c                   gray (one channel; repeated inside)       models/lcoins/encoders.py
T_img, T_lag, T_grp        image, language, group tokens             models/lcoins/network.py
T'_img, T'_lag, T'_grp     modality                                  models/lcoins/network.py
GA, inner and outer loop   GroupingAttention                         models/lcoins/grouping.py
grouping block, Z^l        GroupingBlock, Tokens                     models/lcoins/grouping.py
F_up(F_rsp(.)), I_ab       Upsampler, ab                             models/lcoins/upsampler.py
A-bar, A-hat, Z-bar_grp    soft, hard (assignment), merged           models/lcoins/grouping.py
R_lag, R_grp               language, group (features)                models/lcoins/network.py
R'_lag, R'_grp             counter_language, counter_group           models/lcoins/network.py
F_sim, L_delta, L_ctr      relevance, chroma, counter_color          losses.py
F_rotate, gamma, lambda    rotate_hue, gamma_correct                 augment.py

B batch; H, W image side; N_I, N_L, N_G image, language and group tokens; C token width.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.layers.layer_decay import depth_matcher
from models.lcoins.encoders import ImageEncoder, TextEncoder
from models.lcoins.grouping import GroupingTransformer, Tokens
from models.lcoins.upsampler import Upsampler
from models.text import Words

_IMAGE_PARAMETER = re.compile(r"image_encoder\.vit\.(?:pos_embed|patch_embed|blocks\.(?P<layer>\d+))")
_TEXT_PARAMETER = re.compile(r"text_encoder\.encoder\.(?:embeddings|(?:\w+\.)*?layers?\.(?P<layer>\d+))\.")


class Colorization(NamedTuple):
    ab: Tensor  # (B, 2, H, W) in [-1, 1]
    language: Tensor  # (B, N_L, C) features R_lag of Eq. (14)
    group: Tensor  # (B, N_G, C) features R_grp of Eq. (14)
    assignment: Tensor  # (B, N_G, N_I) hard assignment A-hat of Eq. (11)
    soft_assignment: Tensor  # (B, N_G, N_I) A-bar of Eq. (11); each image token's add up to 1


class CounterColorization(NamedTuple):
    """A `Colorization`, and what the counter caption makes of the same gray image."""

    ab: Tensor
    language: Tensor
    group: Tensor
    assignment: Tensor
    counter_language: Tensor  # (B, counter N_L, C) features R'_lag of Eq. (15)
    counter_group: Tensor  # (B, N_G, C) features R'_grp of Eq. (15)
    counter_ab: Tensor | None = None  # (B, 2, H, W) in [-1, 1], where asked for


class LCoInsNetwork(nn.Module):
    """Fig. 2: two encoders, group tokens, the grouping transformer, the upsampler and the grouping layer."""

    ENCODERS = ("image_encoder.vit.*", "text_encoder.encoder.*")
    CODES = ("text_encoder.encoder.embeddings.*", "upsampler.last.2.*")  # and the last layer

    def __init__(
        self,
        image_encoder: ImageEncoder,
        text_encoder: TextEncoder,
        transformer: GroupingTransformer,
        grouping_layer: nn.Module,
        upsampler: Upsampler,
        dim: int,
        num_groups: int,
        group_scale: float,
    ) -> None:
        """group_scale: standard deviation of the group tokens at the start."""
        super().__init__()
        self.image_encoder = image_encoder
        self.text_encoder = text_encoder
        self.group_tokens = nn.Parameter(torch.randn(num_groups, dim) * group_scale)
        self.modality = nn.Parameter(torch.randn(3, dim) * 0.02)  # rows image, language, group
        self.transformer = transformer
        self.upsampler = upsampler
        self.grouping_layer = grouping_layer
        self.language_head = nn.Linear(dim, dim)
        self.group_head = nn.Linear(dim, dim)

    def forward(
        self, gray: Tensor, words: Words, counter_words: Words | None = None, color_counter: bool = False
    ) -> Colorization | CounterColorization:
        """gray: (B, 1, H, W) in [-1, 1]; counter_words: the captions with other colour words, Eq. (15).

        Both captions go through the text encoder and the grouping transformer in one batch of 2B; the image encoder
        runs once, and so does the upsampler but for color_counter, which asks for the counter captions' ab too.
        """
        image = self.encode_image(gray)  # (B, N_I, C)
        if counter_words is None:
            return self.colorize(image, self.encode_text(words), words.mask)
        batch, both = gray.shape[0], words.stack(counter_words)  # (2B, N_L)
        tokens = self.transformer(self._embed(image.repeat(2, 1, 1), self.encode_text(both)), both.mask)

        ab = self.upsampler(tokens.image if color_counter else tokens.image[:batch])  # (2B or B, 2, H, W)
        merged, assignment, _ = self.grouping_layer(tokens.image, tokens.group)
        language, group = self.language_head(tokens.language), self.group_head(merged)
        own = language[:batch, : words.ids.shape[1]], group[:batch]
        counter = language[batch:, : counter_words.ids.shape[1]], group[batch:]
        return CounterColorization(
            ab[:batch], *own, assignment[:batch], *counter, counter_ab=ab[batch:] if color_counter else None
        )

    def encode_image(self, gray: Tensor) -> Tensor:
        """gray: (B, 1, H, W) in [-1, 1]. Returns T_img, (B, N_I, C)."""
        return self.image_encoder(gray)

    def encode_text(self, words: Words) -> Tensor:
        """Returns T_lag, (B, N_L, C)."""
        return self.text_encoder(words)

    def colorize(self, image: Tensor, language: Tensor, word_mask: Tensor) -> Colorization:
        """The rest of `forward`, from what `encode_image` and `encode_text` gave: a photograph under many captions
        needs one, a caption for many photographs the other. word_mask: (B, N_L) bool, True on real words."""
        tokens = self.transformer(self._embed(image, language), word_mask)
        ab = self.upsampler(tokens.image)  # (B, 2, H, W)
        merged, assignment, soft = self.grouping_layer(tokens.image, tokens.group)
        return Colorization(ab, self.language_head(tokens.language), self.group_head(merged), assignment, soft)

    def _embed(self, image: Tensor, language: Tensor) -> Tokens:
        """Eq. (3): every token gets the embedding of its modality."""
        group = self.group_tokens.expand(len(image), -1, -1)
        return Tokens(*(z + embedding for z, embedding in zip((image, language, group), self.modality, strict=True)))

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade time for memory: the activations inside every block are computed again in the backward pass."""
        self.image_encoder.vit.set_grad_checkpointing(enable)
        self.transformer.grad_checkpointing = enable
        if enable:
            self.text_encoder.encoder.gradient_checkpointing_enable({"use_reentrant": False})

    def freeze_encoders(self) -> None:
        """Both encoders stay as they are; their maps to the grouping transformer's width learn on."""
        self.image_encoder.vit.requires_grad_(False)
        self.text_encoder.encoder.requires_grad_(False)

    def no_weight_decay(self) -> set[str]:
        """Names that weight decay leaves alone (timm asks): codes, which have no scale to be pulled to."""
        return {"group_tokens", "modality", "image_encoder.vit.pos_embed"}

    def group_matcher(self, coarse: bool = False) -> Callable[[str], tuple[int]]:
        """Depth of a parameter for layer decay (timm asks): both encoders' layers, aligned at their tops.

        Everything above the encoders learns at the full rate.
        """
        image_depth = len(self.image_encoder.vit.blocks)
        text_depth = self.text_encoder.encoder.config.num_hidden_layers
        return depth_matcher(((_IMAGE_PARAMETER, image_depth), (_TEXT_PARAMETER, text_depth)))
