"""Fusion of instances into the picture, at thirteen places (Instance-aware Image Colorization, Sec. 3.3).

B pictures; M boxes of all of them; K most boxes of a picture; C channels; h, w sides of the grid at a place.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad

from datasets.boxes import Boxes
from models.instcolorization.network import ColorNetwork, place_channels

Cell = tuple[int, int, int, int]  # left, top, right, bottom, of `Boxes.on_grid`
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
        size, padding = picture.shape[2:], float("-inf") if mask_padding else 0.0
        maps, cells = self.simple_instance_conv(instances).float(), boxes.on_grid(*size)
        background, owners, fused = self.simple_bg_conv(picture).float(), boxes.picture.tolist(), []
        for b, (feature, logit) in enumerate(zip(picture, background, strict=True)):
            own = [m for m, owner in enumerate(owners) if owner == b]
            logits = [logit + _outside([cells[m] for m in own], *size, logit.device)]
            logits += [_placed(maps[m], cells[m], *size, padding) for m in own]
            shares = torch.stack(logits).softmax(dim=0).to(feature.dtype)  # (1 + own, 1, h, w)
            whole = feature * shares[0]
            for m, share in zip(own, shares[1:], strict=True):
                whole = whole + _placed(instances[m], cells[m], *size) * share
            fused.append(whole)
        return torch.stack(fused)


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


def _outside(cells: Sequence[Cell], height: int, width: int, device: torch.device) -> Tensor:
    """(1, height, width): OUTSIDE where no box lies, else 0."""
    outside = torch.full((1, height, width), OUTSIDE, device=device)
    for left, top, right, bottom in cells:
        outside[:, top:bottom, left:right] = 0.0
    return outside


def _placed(feature: Tensor, cell: Cell, height: int, width: int, padding: float = 0.0) -> Tensor:
    """An instance's feature (C, H', W') resized to its box, in the picture (C, height, width)."""
    left, top, right, bottom = cell
    resized = interpolate(feature[None], (bottom - top, right - left), mode="bilinear", align_corners=False)[0]
    return pad(resized, (left, width - right, top, height - bottom), value=padding)
