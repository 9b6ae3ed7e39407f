"""VGG-16's features up to its fourth block's end (Simonyan and Zisserman, 2015)."""

from torch import nn
from torchvision.models.vgg import make_layers


def vgg16_features(width: int = 64, normalize: bool = True) -> nn.Sequential:
    """Torchvision's `features` up to the ReLU of conv4_3: (B, 3, H, W) -> (B, 8 width, H / 8, W / 8), under its names.

    width: channels of the first block, 64 in VGG-16; normalize: with BatchNorm, as in VGG16-BN.
    """
    blocks = [[width] * 2, [2 * width] * 2, [4 * width] * 3, [8 * width] * 3]
    places = [place for block in blocks[:-1] for place in (*block, "M")]
    return make_layers([*places, *blocks[-1]], batch_norm=normalize)
