"""Fusion of instances into the picture, at thirteen places (Instance-aware Image Colorization, Sec. 3.3).

B pictures; M boxes of all of them; K most boxes of a picture; C channels; h, w sides of the grid at a place.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from datasets.boxes import Boxes
from models.instcolorization.network import ColorNetwork, place_channels

OUTSIDE = 100_000.0  # added to the picture's weight where no box lies: the softmax leaves it alone there
# The public files' names of the weight modules.
WEIGHT_LAYERS = {
    **{f"conv{n}_{3 if n > 2 else 2}": f"weight_layer{n if n > 1 else ''}" for n in range(1, 8)},
    **{f"conv{n}_up": f"weight_layer{n}_1" for n in (8, 9, 10)},
    **{f"conv{n}_{3 if n < 10 else 2}": f"weight_layer{n}_2" for n in (8, 9, 10)},
}


class WeightGenerator(nn.Module):
    """How much of an instance's and of the picture's feature the fusion takes: one number >= 0 a cell each.

        f = sum_i softmax_i(w_i) f_i,   i: the picture and its instances, each resized to its box and padded with 0

    As in the public code an instance's padding enters the softmax with w = 0, so it takes weight in other boxes;
    `mask_padding` leaves it out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.simple_instance_conv, self.simple_bg_conv = _branch(channels), _branch(channels)

    def forward(self, picture: Tensor, instances: Tensor, boxes: Boxes, mask_padding: bool) -> Tensor:
        """picture: (B, C, h, w); instances: (M, C, H', W'), M >= 1, of any size. Returns (B, C, h, w)."""
        batch, _, height, width = picture.shape
        owners, cells = boxes.picture.tolist(), boxes.on_grid(height, width)
        places = _places(owners)
        maps = self.simple_instance_conv(instances).float()
        padding = float("-inf") if mask_padding else 0.0
        logits = torch.full((batch, 1 + max(places), height, width), float("-inf"), device=picture.device)
        outside = torch.full((batch, height, width), OUTSIDE, device=picture.device)
        for m, (b, k, (left, top, right, bottom)) in enumerate(zip(owners, places, cells, strict=True)):
            logits[b, k] = padding
            logits[b, k, top:bottom, left:right] = _resized(maps[m], bottom - top, right - left)[0]
            outside[b, top:bottom, left:right] = 0.0
        logits[:, 0] = self.simple_bg_conv(picture)[:, 0].float() + outside
        share = logits.softmax(dim=1).to(picture.dtype)  # (B, 1 + K, h, w)
        fused = picture * share[:, :1]
        for m, (b, k, (left, top, right, bottom)) in enumerate(zip(owners, places, cells, strict=True)):
            own = _resized(instances[m], bottom - top, right - left)
            fused[b, :, top:bottom, left:right] += own * share[b, k, top:bottom, left:right]
        return fused


class FusionNetwork(ColorNetwork):
    """The network of whole pictures, with a weight module at each of PLACES."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        for place, channels in place_channels(width).items():
            self.add_module(WEIGHT_LAYERS[place], WeightGenerator(channels))

    def fuse(
        self, gray: Tensor, instances: dict[str, Tensor], boxes: Boxes, mask_padding: bool = False
    ) -> tuple[dict[str, Tensor], Tensor]:
        """gray: (B, 1, H, W) as in `ColorNetwork`; instances: PLACES name -> (M, C, H, W) of the crops, M >= 1.

        Returns the fused features at PLACES and ab (B, 2, H, W) in [-1, 1].
        """
        fused: dict[str, Tensor] = {}

        def at(place: str, feature: Tensor) -> Tensor:
            layer: WeightGenerator = getattr(self, WEIGHT_LAYERS[place])
            fused[place] = layer(feature, instances[place], boxes, mask_padding)
            return fused[place]

        return fused, self(gray, at)


def _branch(channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 1, 3, padding=1),
        nn.ReLU(),
    )


def _places(owners: Sequence[int]) -> list[int]:
    """Of each box among its picture's, from 1."""
    seen: dict[int, int] = {}
    places = []
    for owner in owners:
        seen[owner] = seen.get(owner, 0) + 1
        places.append(seen[owner])
    return places


def _resized(feature: Tensor, height: int, width: int) -> Tensor:
    return interpolate(feature[None], (height, width), mode="bilinear", align_corners=False)[0]
