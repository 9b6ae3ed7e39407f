"""LBIE's discriminator: PatchGAN (Isola et al., 2017) whose last features are merged with the words.  Letters as in
`network`."""

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from models.lbie.network import Merger, batch_of_one


class Discriminator(nn.Module):
    """Is this patch a photograph's, and as the words say? Modules are called after the public file's tensors."""

    def __init__(self, width: int, words: int) -> None:
        super().__init__()
        self.layer_1, self.layer_2, self.layer_3 = _conv(3, width), _conv(width, 2 * width), _conv(2 * width, 4 * width)
        self.layer_4 = _conv(4 * width, 8 * width, stride=1)
        self.norm_2, self.norm_3, self.norm_4 = (batch_of_one(n * width) for n in (2, 4, 8))
        self.conv = _conv(8 * width, 2 * width, stride=1)
        self.merger = Merger(2 * width, words, recurrent=False)
        self.layer_5 = _conv(2 * width, 1, stride=1)

    def forward(self, gray: Tensor, ab: Tensor, words: Tensor, mask: Tensor) -> Tensor:
        """gray: (B, 1, H, W), ab: (B, 2, H, W), both in [-1, 1]; words: (B, N_L, K); mask: (B, N_L) bool. Returns
        logits (B, 1, H / 8 - 3, W / 8 - 3)."""
        image = leaky_relu(self.layer_1(torch.cat([gray, ab], dim=1)), 0.2)
        image = leaky_relu(self.norm_2(self.layer_2(image)), 0.2)
        image = leaky_relu(self.norm_3(self.layer_3(image)), 0.2)
        image = leaky_relu(self.norm_4(self.layer_4(image)), 0.2)
        return self.layer_5(self.merger(self.conv(image), words, mask).image)


def _conv(inputs: int, outputs: int, stride: int = 2) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 4, stride=stride, padding=1, bias=False)
