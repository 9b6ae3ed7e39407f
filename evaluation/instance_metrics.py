"""Do the colours lie on the right instances, and do the groups find the instances?

B scenes; N instance places of a scene (the same for all, some unused); H, W image sides; P palette colours; M patches.
Lab is L in [0, 100] and ab in CIE units (`utils.color`); all results that are no labels are float64.
Masks are bool (B, N, H, W), the visible part of each instance.

PSNR hardly moves when two objects exchange their colours. Here each instance has its mask and the colour that the
caption wants, a palette index; a counter caption changes the indices alone. A named ground can be one more instance.
Differs: the paper shows the claims of Fig. 1 by pictures, and has none of these figures.
"""

import math

import torch
from torch import Tensor

from evaluation.color_metrics import ciede2000
from utils.color import at_least_float32


def instance_means(image: Tensor, masks: Tensor) -> Tensor:
    """The mean of each channel inside each mask; NaN for an empty mask.

    image: (B, C, H, W) floating, such as Lab. Returns (B, N, C) in the image's units. One pixel that is not finite
    spoils all means of its channel and picture.
    """
    inside = masks.flatten(2).double()  # (B, N, H W)
    return inside @ at_least_float32(image).double().flatten(2).transpose(1, 2) / inside.sum(dim=2, keepdim=True)


def nearest_color(ab: Tensor, palette: Tensor) -> Tensor:
    """The palette index whose centre is nearest in ab, the lower one of two as near; -1 where ab is not finite.
    ab: (..., 2), palette: (P, 2), both in CIE units. Returns (...) int64."""
    squares = (ab.double().unsqueeze(-2) - palette.double()).square().sum(dim=-1)  # (..., P)
    return squares.argmin(dim=-1).where(ab.isfinite().all(dim=-1), -1)


def instance_color_error(lab: Tensor, masks: Tensor, target_ab: Tensor) -> Tensor:
    """The mean over an instance's pixels of CIEDE2000 between predicted and wanted colour; NaN for an empty mask.

    Both are taken at the picture's own L, so that the error is of ab alone. lab: (B, 3, H, W); target_ab: (B, 2, H, W)
    in CIE units, such as `paint(masks, palette[colors])`. Returns (B, N), also for instances without a wanted colour.
    """
    target = torch.cat([lab[:, :1].double(), target_ab.double()], dim=1)
    return instance_means(ciede2000(lab, target, dim=1).unsqueeze(1), masks).squeeze(-1)


def owners(masks: Tensor) -> Tensor:
    """The instance that each pixel belongs to, N on the ground: (B, H, W) int64."""
    return torch.cat([masks, ~masks.any(dim=1, keepdim=True)], dim=1).byte().argmax(dim=1)


def paint(masks: Tensor, ab: Tensor) -> Tensor:
    """The ab map that gives each instance one colour, and the ground none (ab = 0).
    ab: (B, N, 2). Returns (B, 2, H, W) in ab's units and dtype."""
    with_ground = torch.cat([ab, torch.zeros_like(ab[:, :1])], dim=1)  # (B, N + 1, 2)
    places = owners(masks).flatten(1)[..., None].expand(-1, -1, 2)
    return with_ground.gather(1, places).transpose(1, 2).unflatten(2, masks.shape[2:])


def reference_accuracy(colors: Tensor, palette: Tensor, caption: Tensor, words: Tensor) -> dict[str, Tensor]:
    """What answers without the idea score, 0 or 1, or in expectation: (B, N) float64, 0 where nothing is scored.

        chance      any palette colour: 1 / P
        guess       one of the caption's colours: the share of the wanted colour among them
        gray        ab = 0
        one_color   the palette colour that is right most often among these `colors`: give those of the whole split
        mixture     the mean of the caption's colours: knows which, but not whose
        word_guess, word_mixture    the same of the colours of those alone that one word names: knows the word's, but
                    cannot tell instances apart

    colors: (B, N) int64, -1 where nothing is scored; palette: (P, 2) in CIE units; caption: (B, any number) int64, each
    colour of the caption, of the ground too, -1 for none; words: (B, N) int64, that name the instances.
    """
    palette, count = palette.double(), (caption >= 0).sum(dim=1, keepdim=True)
    same = (caption[:, None] == colors[:, :, None]).sum(dim=2).double()  # (B, N)
    alike = (words[:, :, None] == words[:, None]) & (colors >= 0)[:, None]  # (B, N, N)
    of_word = alike.double() / alike.sum(dim=2, keepdim=True).clamp(min=1)
    rows = {
        "chance": torch.full_like(same, 1 / len(palette)),
        "guess": same / count.clamp(min=1),
        "word_guess": (of_word * (colors[:, :, None] == colors[:, None])).sum(dim=2),
    }
    commonest = colors[colors >= 0].bincount(minlength=len(palette)).argmax()
    mixture = (palette[caption.clamp(min=0)] * (caption >= 0)[..., None]).sum(dim=1, keepdim=True) / count[..., None]
    painted = {
        "gray": palette.new_zeros(2),
        "one_color": palette[commonest],
        "mixture": mixture,
        "word_mixture": of_word @ palette[colors.clamp(min=0)],
    }
    for name, ab in painted.items():
        rows[name] = (nearest_color(ab.expand(*colors.shape, 2), palette) == colors).double()
    return {name: row.where(colors >= 0, 0.0) for name, row in rows.items()}


def patch_labels(masks: Tensor, grid: int) -> Tensor:
    """The instance that owns most of each patch, N for the ground; of two with as much, the lower index.

    H and W are multiples of `grid`. Returns (B, grid * grid) int64, the patches in the order of the image tokens.
    """
    patches = owners(masks).unflatten(2, (grid, -1)).unflatten(1, (grid, -1))  # (B, grid, h, grid, w)
    pixels = patches.transpose(2, 3).flatten(3).flatten(1, 2)  # (B, M, h w)
    return torch.stack([(pixels == i).sum(dim=2) for i in range(masks.shape[1] + 1)]).argmax(dim=0)


def adjusted_rand_index(labels_a: Tensor, labels_b: Tensor, valid: Tensor | None = None) -> Tensor:
    """Agreement of two partitions whatever their labels are called: 1 for equal ones, 0 on average for random ones.

    Hubert & Arabie (1985), over pairs of patches, which is what their contingency table counts:

        (both - a b / pairs) / ((a + b) / 2 - a b / pairs)

    a, b, both: the pairs that the first, the second, both partitions keep together. One cluster against several is 0;
    where the formula is 0 / 0 (both one cluster, or both singletons) the partitions are equal: 1. NaN without a pair.

    labels: (B, M) integers; valid: (B, M) bool, the patches that count, such as those off the ground. Returns (B,).
    """
    valid = torch.ones_like(labels_a, dtype=torch.bool) if valid is None else valid
    pair = (valid[:, :, None] & valid[:, None, :]).triu(diagonal=1)  # (B, M, M), each pair once
    same_a = (labels_a[:, :, None] == labels_a[:, None, :]) & pair
    same_b = (labels_b[:, :, None] == labels_b[:, None, :]) & pair
    pairs, a, b, both = (t.sum(dim=(1, 2)).double() for t in (pair, same_a, same_b, same_a & same_b))
    top, bottom = pairs * both - a * b, pairs * (a + b) / 2 - a * b  # whole numbers and halves: exact
    return torch.where(bottom == 0, 1.0, top / bottom).where(pairs > 0, math.nan)
