"""The networks of Xie2018: VGG's features, modulated by the caption at four places, to colour bins; and labels beside.

B pictures; H, W side; C channels at a place; K width of the caption.  Modules have the names of the public file.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.layers.film import film
from models.layers.vgg import vgg16_features


class Modulation(nn.Module):
    """FiLM by the caption, and where it attends (SCA-CNN's spatial attention), a number of mean 1 a place:

    h w softmax(v . tanh(W x + U c))
    """

    def __init__(self, channels: int, caption: int, attends: bool = True) -> None:
        super().__init__()
        self.dense = nn.Linear(caption, 2 * channels)
        with torch.no_grad():
            self.dense.bias.copy_(torch.cat([torch.ones(channels), torch.zeros(channels)]))
        if attends:
            self.sa = nn.Module()
            self.sa.conv_0 = nn.Conv1d(channels, channels // 2, 1)
            self.sa.dense = nn.Linear(caption, channels // 2, bias=False)
            self.sa.conv_1 = nn.Conv1d(channels // 2, 1, 1)

    def forward(self, image: Tensor, caption: Tensor) -> Tensor:
        """image: (B, C, h, w); caption: (B, K)."""
        image = film(image, self.dense(caption))
        return image * self.attention(image, caption) if hasattr(self, "sa") else image

    def attention(self, image: Tensor, caption: Tensor) -> Tensor:
        """image: modulated. Returns (B, 1, h, w)."""
        height, width = image.shape[2:]
        hidden = torch.tanh(self.sa.conv_0(image.flatten(2)) + self.sa.dense(caption)[..., None])
        share = self.sa.conv_1(hidden).float().softmax(dim=2)  # (B, 1, h w)
        return (share * height * width).unflatten(2, (height, width)).to(image.dtype)


class Features(NamedTuple):
    """What the segmentation reads."""

    fifth: Tensor  # (B, 8 width, H / 8, W / 8), of the fifth block, modulated
    eighth: Tensor  # (B, 16 width, H / 8, W / 8), VGG's with those of the sixth block
    quarter: Tensor  # (B, 8 width, H / 4, W / 4), VGG's with what is doubled


class ColorNetwork(nn.Module):
    """Gray picture and caption -> logits of the colour bins at a quarter of the side."""

    def __init__(self, width: int, bins: int, backbone_norm: bool) -> None:
        super().__init__()
        w4, w8 = 4 * width, 8 * width
        features, cut = vgg16_features(width, backbone_norm), 23 if backbone_norm else 16  # behind conv3_3's ReLU
        self.pretrained_vgg_22, self.pretrained_vgg_32 = features[:cut], features[cut:]
        fifth = [*_conv(w8, w8, 2), *_conv(w8, w8, 2), *_conv(w8, w8, 2, affine=False)]
        sixth = [*_conv(w8, w8, 2), *_conv(w8, w8, 2), nn.Conv2d(w8, w8, 3, padding=2, dilation=2)]
        self.cnn_0 = nn.Sequential(*fifth, *sixth)
        doubled = nn.ConvTranspose2d(w8, w4, 4, stride=2, padding=1)
        self.cnn_1 = nn.Sequential(*_conv(2 * w8, w8), *_conv(w8, w8), doubled)
        self.cnn_2 = nn.Sequential(*_conv(w8, w4), *_conv(w4, w4, affine=False))
        self.classifier = nn.Conv2d(w4, bins, 1)

    def forward(self, picture: Tensor, caption: Tensor, films: "tuple[Modulation, ...]") -> tuple[Tensor, Features]:
        """picture: (B, 3, H, W) with ImageNet's mean and deviation. Returns (B, bins, H / 4, W / 4)."""
        quarter = self.pretrained_vgg_22(picture)
        eighth = self.pretrained_vgg_32(quarter)
        fifth = films[0](self.cnn_0[:8](eighth), caption).relu()
        sixth = films[1](self.cnn_0[9:](fifth), caption)
        eighth = torch.cat([eighth, sixth], dim=1)
        quarter = torch.cat([quarter, films[2](self.cnn_1(eighth), caption)], dim=1)
        last = films[3](self.cnn_2[:5](quarter), caption).relu()
        return self.classifier(last), Features(fifth, eighth, quarter)


class SegmentationNetwork(nn.Module):
    """Labels from the features at three depths, at a quarter of the side."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        w2, w4, w8 = 2 * width, 4 * width, 8 * width
        self.deconv_5, self.deconv_6 = _double(w8, w2), _double(2 * w8, w2)
        self.deconv_7 = nn.Sequential(nn.ConvTranspose2d(w8, w2, 3, padding=1), nn.BatchNorm2d(w2), nn.ReLU())
        self.seg_conv = nn.Sequential(*_conv(3 * w2, w4))
        self.seg_classifier = nn.Conv2d(w4, classes, 1)

    def forward(self, features: Features) -> Tensor:
        """Returns logits (B, classes, H / 4, W / 4)."""
        parts = self.deconv_5(features.fifth), self.deconv_6(features.eighth), self.deconv_7(features.quarter)
        return self.seg_classifier(self.seg_conv(torch.cat(parts, dim=1)))


def _conv(inputs: int, outputs: int, dilation: int = 1, affine: bool = True) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)
    return [conv, nn.BatchNorm2d(outputs, affine=affine), nn.ReLU()]


def _double(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()
    )
