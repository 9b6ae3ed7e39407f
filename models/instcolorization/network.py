"""The network of InstColorization for a whole picture or a single crop (Zhang et al. 2017, as its code has it).

B pictures; H, W sides, multiples of 8; C = `width`.  Modules have the names of the public files.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

# Where instances are fused into the picture: the feature's name -> its scale, 1 / k of the side.
PLACES = {
    "conv1_2": 1,
    "conv2_2": 2,
    "conv3_3": 4,
    "conv4_3": 8,
    "conv5_3": 8,
    "conv6_3": 8,
    "conv7_3": 8,
    "conv8_up": 4,
    "conv8_3": 4,
    "conv9_up": 2,
    "conv9_3": 2,
    "conv10_up": 1,
    "conv10_2": 1,
}
COLOR_BINS = 529  # 23 x 23 of width 10, of a head that nobody trains
NO_HINTS = -0.5  # value of the mask channel where the colour is not given: everywhere


def place_channels(width: int) -> dict[str, int]:
    """Channels of the feature at each of PLACES."""
    channels = (1, 2, 4, 8, 8, 8, 8, 4, 4, 2, 2, 2, 2)
    return {place: width * factor for place, factor in zip(PLACES, channels, strict=True)}


class ColorNetwork(nn.Module):
    """U-shaped: seven stages down to 1/8 of the side, the fifth and sixth dilated, and three back up with shortcuts."""

    def __init__(self, width: int) -> None:
        super().__init__()
        w1, w2, w4, w8 = width, 2 * width, 4 * width, 8 * width
        self.model1 = _stage(4, w1, 2)
        self.model2 = _stage(w1, w2, 2)
        self.model3 = _stage(w2, w4, 3)
        self.model4 = _stage(w4, w8, 3)
        self.model5 = _stage(w8, w8, 3, dilation=2)
        self.model6 = _stage(w8, w8, 3, dilation=2)
        self.model7 = _stage(w8, w8, 3)
        self.model8up, self.model3short8 = _up(w8, w4), nn.Sequential(_conv(w4, w4))
        self.model8 = nn.Sequential(nn.ReLU(), *_stage(w4, w4, 2))
        self.model9up, self.model2short9 = _up(w4, w2), nn.Sequential(_conv(w2, w2))
        self.model9 = nn.Sequential(nn.ReLU(), *_stage(w2, w2, 1))
        self.model10up, self.model1short10 = _up(w2, w2), nn.Sequential(_conv(w1, w2))
        self.model10 = nn.Sequential(nn.ReLU(), _conv(w2, w2), nn.LeakyReLU(0.2))
        self.model_out = nn.Sequential(nn.Conv2d(w2, 2, 1), nn.Tanh())
        self.model_class = nn.Sequential(nn.Conv2d(w4, COLOR_BINS, 1))
        self.model_class.requires_grad_(False)  # of the public files alone
        self.apply(_initialize)

    def forward(self, gray: Tensor, at: Callable[[str, Tensor], Tensor] = lambda place, feature: feature) -> Tensor:
        """gray: (B, 1, H, W), L / 100 - 0.5. at: PLACES name and the feature there -> what flows on instead.

        Returns ab (B, 2, H, W) in [-1, 1].
        """
        hints, mask = gray.new_zeros(1, 2, 1, 1), gray.new_full((1, 1, 1, 1), NO_HINTS)
        return self.from_hints(gray, hints.expand(len(gray), -1, *gray.shape[2:]), mask.expand_as(gray), at)

    def from_hints(
        self,
        gray: Tensor,
        hints: Tensor,
        mask: Tensor,
        at: Callable[[str, Tensor], Tensor] = lambda place, feature: feature,
    ) -> Tensor:
        """hints: (B, 2, H, W), ab / 110 where mask (B, 1, H, W) is 0.5, and 0 where it is -0.5."""
        conv1 = at("conv1_2", self.model1(torch.cat([gray, hints, mask], dim=1)))  # (B, C, H, W)
        conv2 = at("conv2_2", self.model2(_every_second(conv1)))  # (B, 2 C, H / 2, W / 2)
        conv3 = at("conv3_3", self.model3(_every_second(conv2)))  # (B, 4 C, H / 4, W / 4)
        conv4 = at("conv4_3", self.model4(_every_second(conv3)))  # (B, 8 C, H / 8, W / 8), to conv7
        conv5 = at("conv5_3", self.model5(conv4))
        conv6 = at("conv6_3", self.model6(conv5))
        conv7 = at("conv7_3", self.model7(conv6))
        up8 = at("conv8_up", self.model8up(conv7) + self.model3short8(conv3))
        conv8 = at("conv8_3", self.model8(up8))  # (B, 4 C, H / 4, W / 4)
        up9 = at("conv9_up", self.model9up(conv8) + self.model2short9(conv2))
        conv9 = at("conv9_3", self.model9(up9))  # (B, 2 C, H / 2, W / 2)
        up10 = at("conv10_up", self.model10up(conv9) + self.model1short10(conv1))
        conv10 = at("conv10_2", self.model10(up10))  # (B, 2 C, H, W)
        return self.model_out(conv10)

    def features(self, gray: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The features at PLACES, and ab. The three sums `_up` are given after the ReLU that follows them: in the
        public code that ReLU overwrites them before the fusion reads them, and its weights were trained so."""
        found: dict[str, Tensor] = {}

        def keep(place: str, feature: Tensor) -> Tensor:
            found[place] = feature.relu() if place.endswith("_up") else feature
            return feature

        return found, self(gray, keep)


def _conv(inputs: int, outputs: int, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)


def _stage(inputs: int, outputs: int, count: int, dilation: int = 1) -> nn.Sequential:
    """`count` convolutions, each with its ReLU, then BatchNorm."""
    layers: list[nn.Module] = []
    for place in range(count):
        layers += [_conv(inputs if place == 0 else outputs, outputs, dilation), nn.ReLU()]
    return nn.Sequential(*layers, nn.BatchNorm2d(outputs))


def _up(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1))


def _every_second(feature: Tensor) -> Tensor:
    return feature[:, :, ::2, ::2]


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, mean=1.0, std=0.02)
        nn.init.zeros_(module.bias)
