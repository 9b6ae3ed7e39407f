"""The network of L-CoDe: what object each pixel is, what colour its words give it, and how far they are heeded.

B pictures; H, W side; h, w = H / 8, W / 8; N words, always `limit`; C = 8 width channels.  Modules have the names of
the public files.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.layers.biaffine import Biaffine
from models.layers.vgg import vgg16_features
from models.layers.words import WordEncoder
from models.text import Words


class Description(NamedTuple):
    """What the words say."""

    objects: Tensor  # (B, C, N)
    colors: Tensor  # (B, C, N)
    matrix: Tensor  # (B, N, N) logits of the correspondence, [b, object, colour]
    mask: Tensor  # (B, N) bool, True on real words


class TextEncoder(nn.Module):
    """Words -> object and colour embeddings, and their correspondence matrix (OCCM)."""

    def __init__(
        self, vocabulary: int, word_width: int, channels: int, limit: int, drop: float, occm_detached: bool
    ) -> None:
        super().__init__()
        self.limit, self.occm_detached = limit, occm_detached
        self.words = WordEncoder(vocabulary, word_width, channels // 2, drop)
        self.mlp_arc_object, self.mlp_arc_color = _linear(channels), _linear(channels)
        self.arc_biaffine = Biaffine(channels)

    def forward(self, words: Words) -> Description:
        """words: at most `limit` in a caption. Of a detached matrix neither loss reaches the words through it."""
        words = words.padded(self.limit)
        states = self.words(words)[0].relu()  # (B, N, C)
        objects = self.mlp_arc_object.linear(states).relu()
        colors = self.mlp_arc_color.linear(states).relu()
        pair = (colors.detach(), objects.detach()) if self.occm_detached else (colors, objects)
        matrix = self.arc_biaffine(*pair)
        return Description(objects.transpose(1, 2), colors.transpose(1, 2), matrix, words.mask)


class AttentionTransfer(nn.Module):
    """Attention transfer module (ATM), and the gate of the soft-gated injection module.

    scores = (q K_object) OCCM;  read = softmax(scores) V_color      over the words of each pixel
    gate   = sigmoid(w . (h w softmax(weights) - 1))                  over the pixels of each word
    """

    def __init__(self, channels: int, limit: int) -> None:
        super().__init__()
        self.conv_context_obj = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv_context_col = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv_mask = nn.Conv2d(limit, 1, 1)

    def forward(self, image: Tensor, text: Description) -> tuple[Tensor, Tensor]:
        """image: (B, C, h, w). Returns what each pixel reads (B, C, h, w), and its gate (B, 1, h, w) in [0, 1]."""
        height, width = image.shape[2:]
        keys = self.conv_context_obj(text.objects[..., None])[..., 0]  # (B, C, N)
        values = self.conv_context_col(text.colors[..., None])[..., 0]
        scores = image.flatten(2).transpose(1, 2) @ keys @ text.matrix.sigmoid()  # (B, h w, N), of the colour words
        weights = scores.float().masked_fill(~text.mask[:, None], float("-inf")).softmax(dim=2)
        read = (values @ weights.to(values.dtype).transpose(1, 2)).unflatten(2, (height, width))
        places = weights.detach().softmax(dim=1).transpose(1, 2) * (height * width) - 1  # (B, N, h w)
        return read, self.conv_mask(places.unflatten(2, (height, width))).sigmoid()


class Generator(nn.Module):
    """VGG's features, the words' injection, and three doublings back to the picture's side."""

    def __init__(self, width: int, limit: int, backbone_norm: bool) -> None:
        super().__init__()
        c = 8 * width
        self.features = vgg16_features(width, backbone_norm)
        self.mid1 = _stage(c, c)
        self.attn1 = AttentionTransfer(c, limit)
        self.bn1 = nn.BatchNorm2d(c, affine=False)
        self.fc_gama1, self.fc_beta1 = nn.Linear(c, c), nn.Linear(c, c)
        self.mid2 = nn.Sequential(nn.Conv2d(c, c, 1), nn.ReLU())
        self.mid3 = _stage(c, c)
        self.up1, self.c1 = _double(c, c // 2), _stage(c // 2, c // 2)
        self.up2, self.c2 = _double(c // 2, c // 4), _stage(c // 4, c // 4)
        self.up3 = _double(c // 4, c // 8)
        self.c3 = nn.Sequential(nn.Conv2d(c // 8, 2, 3, padding=1), nn.Tanh())
        for name, part in self.named_children():
            if name != "features":
                part.apply(_orthogonal)

    def forward(self, gray: Tensor, text: Description) -> Tensor:
        """gray: (B, 1, H, W) in [-1, 1]. Returns ab (B, 2, H, W) in [-1, 1], on the scale of 8-bit Lab."""
        image = self.mid1(self.features(gray.expand(-1, 3, -1, -1)))  # (B, C, h, w)
        read, gate = self.attn1(image, text)
        image = self.mid3(self.mid2(self.inject(image, read, gate)))
        image = self.c1(self.up1(image).relu())
        image = self.c2(self.up2(image).relu())
        return self.c3(self.up3(image).relu())

    def inject(self, image: Tensor, read: Tensor, gate: Tensor) -> Tensor:
        """Soft-gated injection module (SIM), x = BN(image): x (1 + g (gamma - 1)) + g beta + x."""
        words = read.permute(0, 2, 3, 1)  # (B, h, w, C)
        gamma, beta = (layer(words).permute(0, 3, 1, 2) for layer in (self.fc_gama1, self.fc_beta1))
        image = self.bn1(image)
        return image * (gamma * gate + 1 - gate) + beta * gate + image


def _linear(channels: int) -> nn.Module:
    """Under the public file's name; orthonormal at the start."""
    module = nn.Module()
    module.linear = nn.Linear(channels, channels)
    nn.init.orthogonal_(module.linear.weight)
    nn.init.zeros_(module.linear.bias)
    return module


def _stage(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


def _double(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)


@torch.no_grad()
def _orthogonal(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.orthogonal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
