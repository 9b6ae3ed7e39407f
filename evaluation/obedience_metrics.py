"""Word response: does a picture's change point to the colour that was said?  K changes; J colours; H, W image side."""

import torch
from torch import Tensor

MOST_CHANGED = 0.1  # share of the pixels whose change is judged: those that change most
LEAST_CHANGE = 3.0  # CIE units: a mean change below is none
TINT = 0.75  # share of the picture from which a change is a tint of everything, and obeys no word


def inside(changes: Tensor, region: Tensor) -> Tensor:
    """How much of each change lies in the region of the word's thing: (K,) float64.

    changes: (K, 2, H, W); region: (H, W) bool. Where nothing changes it is the region's share of the picture.
    """
    size = changes.double().norm(dim=1)  # (K, H, W)
    whole = size.sum(dim=(1, 2))
    share = (size * region).sum(dim=(1, 2)) / whole.clamp(min=1e-12)
    return torch.where(whole > 0, share, region.double().mean())


def word_response(changes: Tensor, source: Tensor, wanted: Tensor, palette: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What replacing one colour word does: right, angle, share.

    changes: (K, 2, H, W), ab under the new word minus ab under the old one, CIE units; source: (K,) and wanted: (K,),
    indices into palette of the old colour and of the new, never equal; palette: (J, 2) ab of the colours.
    The mean change of the judged pixels is compared with the directions from the old colour to every other one: right
    is the nearest in angle. Chance is 1 / (J - 1) for a network that changes something somewhere, 0 for one that
    ignores the words.
    right: (K,) bool, nearest to the colour asked for, visible, and no tint; angle: (K,) float64, degrees from the
    direction asked for, 90 where nothing changes; share: (K,) float64 of the pixels that change at least half as much
    as the judged ones on average, 0 for no change.
    """
    changes, palette = changes.double(), palette.double()
    size = changes.norm(dim=1).flatten(1)  # (K, H W)
    judged = size >= size.quantile(1 - MOST_CHANGED, dim=1, keepdim=True)
    count = judged.sum(dim=1)
    mean = (changes.flatten(2) * judged[:, None]).sum(dim=2) / count[:, None]  # (K, 2)
    strength = (size * judged).sum(dim=1) / count
    share = ((size >= strength[:, None] / 2) & (size > 0)).double().mean(dim=1)

    directions = palette[None] - palette[source][:, None]  # (K, J, 2)
    lengths = directions.norm(dim=2) * mean.norm(dim=1, keepdim=True)
    cosine = (directions * mean[:, None]).sum(dim=2) / lengths.clamp(min=1e-12)  # (K, J)
    cosine[torch.arange(len(source)), source] = -torch.inf  # the old colour is no answer
    visible = mean.norm(dim=1) >= LEAST_CHANGE
    right = (cosine.argmax(dim=1) == wanted) & visible & (share < TINT)
    angle = cosine.gather(1, wanted[:, None]).squeeze(1).clamp(-1, 1).arccos().rad2deg()
    return right, angle, share
