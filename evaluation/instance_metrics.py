"""Do the colours lie on the right instances, and do the groups find the instances?

B scenes; N instance places of a scene (the same for all, some unused); H, W image sides; P palette colours; M patches.
Lab is L in [0, 100] and ab in CIE units (`utils.color`); all results that are no labels are float64.

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

    image: (B, C, H, W) floating, such as Lab; masks: (B, N, H, W) bool. Returns (B, N, C) in the image's units. One
    pixel that is not finite spoils all means of its channel and picture.
    """
    _check_masks(masks, image)
    inside = masks.flatten(2).double()  # (B, N, H W)
    return inside @ at_least_float32(image).double().flatten(2).transpose(1, 2) / inside.sum(dim=2, keepdim=True)


def nearest_color(ab: Tensor, palette: Tensor) -> Tensor:
    """The palette index whose centre is nearest in ab, the lower one of two as near; -1 where ab is not finite.
    ab: (..., 2), palette: (P, 2), both in CIE units. Returns (...) int64."""
    squares = (ab.double().unsqueeze(-2) - palette.double()).square().sum(dim=-1)  # (..., P)
    return squares.argmin(dim=-1).where(ab.isfinite().all(dim=-1), -1)


def instance_color_error(lab: Tensor, masks: Tensor, target_ab: Tensor) -> Tensor:
    """The mean over an instance's pixels of CIEDE2000 between predicted and wanted colour; NaN for an empty mask.

    Both are taken at the picture's own L, so that the error is of ab alone. Two targets make sense:
      the true picture's ab             what the caption leaves open (which red, the texture) counts as error
      `paint(masks, palette[colors])`   the palette centres, for captions and counter captions alike, which have no
                                        true picture; the true picture of a caption is not at 0 here
    lab: (B, 3, H, W); masks: (B, N, H, W) bool; target_ab: (B, 2, H, W) in CIE units. Returns (B, N), also for
    instances without a wanted colour.
    """
    _check_masks(masks, lab, target_ab)
    target = torch.cat([lab[:, :1].double(), target_ab.double()], dim=1)
    return instance_means(ciede2000(lab, target, dim=1).unsqueeze(1), masks).squeeze(-1)


def owners(masks: Tensor) -> Tensor:
    """The instance that each pixel belongs to, N on the ground: (B, N, H, W) bool -> (B, H, W) int64.
    ValueError where two masks of a scene overlap."""
    _check_masks(masks)
    count = masks.sum(dim=1, keepdim=True)
    if (count > 1).any():
        raise ValueError("masks of one scene overlap: give the visible part of each instance")
    return torch.cat([masks, count == 0], dim=1).byte().argmax(dim=1)


def paint(masks: Tensor, ab: Tensor) -> Tensor:
    """The ab map that gives each instance one colour, and the ground none (ab = 0).
    masks: (B, N, H, W) bool, disjoint; ab: (B, N, 2). Returns (B, 2, H, W) in ab's units and dtype."""
    with_ground = torch.cat([ab, torch.zeros_like(ab[:, :1])], dim=1)  # (B, N + 1, 2)
    places = owners(masks).flatten(1)[..., None].expand(-1, -1, 2)
    return with_ground.gather(1, places).transpose(1, 2).unflatten(2, masks.shape[2:])


def reference_answers(colors: Tensor, palette: Tensor, caption_colors: Tensor | None = None) -> dict[str, Tensor]:
    """The ab that models without the idea give each instance, (B, N, 2) float64: for `nearest_color` or `paint`.

        gray        ab = 0
        one_color   the palette colour that is right most often among these `colors`: give those of the whole split
        mixture     the mean of the caption's colours: knows which, but not whose

    colors: (B, N) int64, -1 where nothing is scored; palette: (P, 2) in CIE units; caption_colors: (B, any number)
    int64, every colour of the caption, -1 for none: needed where it names more than is scored, such as the ground.
    """
    caption = colors if caption_colors is None else caption_colors
    _check_colors(torch.cat([colors, caption], dim=1), palette)
    palette, named = palette.double(), (caption >= 0).double()[..., None]
    commonest = colors[colors >= 0].bincount(minlength=len(palette)).argmax()
    mixture = (palette[caption.clamp(min=0)] * named).sum(dim=1, keepdim=True) / named.sum(dim=1, keepdim=True)
    answers = {"gray": palette.new_zeros(2), "one_color": palette[commonest], "mixture": mixture}
    return {name: ab.expand(*colors.shape, 2) for name, ab in answers.items()}


def reference_accuracy(colors: Tensor, palette: Tensor, caption_colors: Tensor | None = None) -> dict[str, Tensor]:
    """What `reference_answers` score, 0 or 1, after two that draw a colour for each instance, in expectation:

        chance      any palette colour: 1 / P
        guess       one of the caption's colours: the share of the wanted colour among them

    Arguments as for `reference_answers`. Returns (B, N) float64 each, 0 where nothing is scored.
    """
    caption = colors if caption_colors is None else caption_colors
    same = (caption[:, None] == colors[:, :, None]).sum(dim=2).double()  # (B, N)
    guess = same / (caption >= 0).sum(dim=1, keepdim=True).clamp(min=1)
    rows = {"chance": torch.full_like(guess, 1 / len(palette)), "guess": guess}
    for name, ab in reference_answers(colors, palette, caption_colors).items():
        rows[name] = (nearest_color(ab, palette) == colors).double()
    return {name: row.where(colors >= 0, 0.0) for name, row in rows.items()}


def patch_labels(masks: Tensor, grid: int) -> Tensor:
    """The instance that owns most of each patch, N for the ground; of two with as much, the lower index.

    masks: (B, N, H, W) bool, disjoint; H and W multiples of `grid`, else ValueError. Returns (B, grid * grid) int64,
    the patches in the order of the image tokens: row by row.
    """
    height, width = masks.shape[-2:]
    if height % grid or width % grid:
        raise ValueError(f"masks of {height} x {width} pixels cannot be cut into {grid} x {grid} patches")
    patches = owners(masks).unflatten(2, (grid, -1)).unflatten(1, (grid, -1))  # (B, grid, h, grid, w)
    pixels = patches.transpose(2, 3).flatten(3).flatten(1, 2)  # (B, M, h w)
    return torch.stack([(pixels == i).sum(dim=2) for i in range(masks.shape[1] + 1)]).argmax(dim=0)


def assignment_labels(assignment: Tensor) -> Tensor:
    """The group of each image token: assignment (B, N_G, N_I) of Eq. 11, hard or soft -> (B, N_I) int64."""
    return assignment.argmax(dim=1)


def adjusted_rand_index(labels_a: Tensor, labels_b: Tensor, valid: Tensor | None = None) -> Tensor:
    """Agreement of two partitions whatever their labels are called: 1 for equal ones, 0 on average for random ones.

    Hubert & Arabie (1985), over pairs of patches, which is what their contingency table counts:

        (both - a b / pairs) / ((a + b) / 2 - a b / pairs)

    a, b, both: the pairs that the first, the second, both partitions keep together. One cluster against several is 0;
    where the formula is 0 / 0 (both one cluster, or both singletons) the partitions are equal: 1. NaN without a pair.

    labels: (B, M) integers; valid: (B, M) bool, the patches that count, such as those off the ground. Returns (B,).
    """
    valid = torch.ones_like(labels_a, dtype=torch.bool) if valid is None else valid
    if not labels_a.shape == labels_b.shape == valid.shape:
        raise ValueError(f"labels {tuple(labels_a.shape)}, {tuple(labels_b.shape)}, valid {tuple(valid.shape)} differ")
    pair = (valid[:, :, None] & valid[:, None, :]).triu(diagonal=1)  # (B, M, M), each pair once
    same_a = (labels_a[:, :, None] == labels_a[:, None, :]) & pair
    same_b = (labels_b[:, :, None] == labels_b[:, None, :]) & pair
    pairs, a, b, both = (t.sum(dim=(1, 2)).double() for t in (pair, same_a, same_b, same_a & same_b))
    top, bottom = pairs * both - a * b, pairs * (a + b) / 2 - a * b  # whole numbers and halves: exact
    return torch.where(bottom == 0, 1.0, top / bottom).where(pairs > 0, math.nan)


def _check_masks(masks: Tensor, *images: Tensor) -> None:
    """ValueError unless masks are bool (B, N, H, W) and the images fit them."""
    fit = all((len(i), *i.shape[2:]) == (len(masks), *masks.shape[2:]) for i in images)
    if masks.dtype != torch.bool or masks.ndim != 4 or not fit:
        shapes = [tuple(t.shape) for t in (masks, *images)]
        raise ValueError(f"expected bool masks (B, N, H, W) and images of their size, got {masks.dtype} {shapes}")


def _check_colors(colors: Tensor, palette: Tensor) -> None:
    """ValueError for an index that is neither a palette colour nor -1."""
    if ((colors < -1) | (colors >= len(palette))).any():
        raise ValueError(f"colors hold indices outside the palette of {len(palette)} (-1 says 'none')")
