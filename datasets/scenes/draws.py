"""What a scene holds: every random choice of datasets/scenes/dataset.py, by the rules of its split.

B scenes; N = 5 places for instances, index 0 at the back of the picture; C colours; U uniform numbers a scene.

All chance of a scene is U numbers of one generator, `default_rng((seed, split, index))`, read at fixed places. What is
made of them is comparisons, sorting and exactly rounded arithmetic, so a scene is the same on every machine and in
every batch; only the numbers themselves are drawn scene by scene.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.scenes.layout import CELLS, N, arrange, shuffle, whole
from datasets.scenes.palette import CLOUD, DARKEST, LIGHTEST, NATURAL
from datasets.scenes.rules import COLORS, FAVORITE, SPLITS, TRAINED, Rules
from datasets.scenes.shapes import BACKGROUNDS, SHAPES, TEXTURES

LIGHT_SPREAD = 10.0  # L around a colour's own, where the split gives it one

_CYCLES = 4  # tries to permute the named colours without a held-out pair
_PLAN: dict[str, tuple[int, ...]] = {
    "count": (),
    "layout": (),
    "cells": (CELLS,),
    "jitter": (N, 2),
    "is_large": (N,),
    "radius": (N,),
    "shapes": (len(SHAPES),),
    "pick": (N,),
    "repeat": (3,),
    "colors": (N + 1, len(COLORS)),
    "cloud": (N + 1,),
    "light": (N + 1,),
    "texture": (N,),
    "turn": (N,),
    "phase": (N,),
    "background": (),
    "shift": (2,),
    "order": (N,),
    "part": (2,),
    "template": (),
    "say": (3,),
    "say_texture": (N,),
    "permute": (),
    "cycles": (_CYCLES, N),
    "replace": (N, len(COLORS)),
}
_SIZES = [int(np.prod(shape)) for shape in _PLAN.values()]
_ENDS = np.cumsum(_SIZES)


class Draws(NamedTuple):
    """B scenes. Where a scene has fewer than N instances, the values behind its count mean nothing, unless said."""

    count: NDArray  # (B,) instances
    shape: NDArray  # (B, N) index into SHAPES, -1 where none
    color: NDArray  # (B, N) index into COLORS, -1 where none; all different within a scene
    counter_color: NDArray  # (B, N) the same under the counter caption; unnamed instances keep theirs
    cloud: NDArray  # (B, N + 1) index into palette.CLOUD; the background's last
    light: NDArray  # (B, N + 1) mean L before shading, [DARKEST, LIGHTEST]; the background's last
    center: NDArray  # (B, N, 2) x and y in [0, 1], the picture's side being 1
    radius: NDArray  # (B, N) the same unit
    texture: NDArray  # (B, N) index into TEXTURES
    turn: NDArray  # (B, N) direction of the stripes, 0 to 3
    phase: NDArray  # (B, N) of the texture, [0, 1)
    background: NDArray  # (B,) index into BACKGROUNDS
    background_color: NDArray  # (B,) index into COLORS; no instance has it
    shift: NDArray  # (B, 2) of the background's pattern, [0, 1)
    named: NDArray  # (B, N) bool, False where none
    order: NDArray  # (B, N) instances in the order in which the caption names them; the unnamed last
    place: NDArray  # (B, N) index into PLACES, -1 where none
    say_place: NDArray  # (B, N) bool: the caption gives the place; always where another instance has the same noun
    is_large: NDArray  # (B, N) bool
    has_contrast: NDArray  # (B,) bool: the words small and large are true of the scene's instances
    say_size: NDArray  # (B,) bool
    say_texture: NDArray  # (B, N) bool
    say_background: NDArray  # (B,) bool
    template: NDArray  # (B,) in [0, 1): which sentence


def draw(split: str, seed: int, indices: Sequence[int], rules: Rules) -> Draws:
    """The scenes `indices` of the split's stream."""
    rows = _uniform(split, seed, indices, (), _ENDS[-1])
    parts = np.split(rows, _ENDS[:-1], axis=1)
    u = {name: part.reshape(-1, *shape) for (name, shape), part in zip(_PLAN.items(), parts, strict=True)}

    count = rules.min_instances + whole(u["count"], rules.max_instances - rules.min_instances + 1)
    there = np.arange(N) < count[:, None]
    if split == "unobserved":
        color = _colors(u["colors"], np.ones((len(rows), N, len(COLORS)), dtype=bool), rules)
        shape = _shapes_for(color[:, :N], u, rules)
    else:
        shape = _shapes(u, count, rules, repeats={"train": 0.5, "val": 0.5, "instances": 1.0}.get(split, 0.0))
        if rules.favorites > 0:
            liked = _uniform(split, seed, indices, (2,), N) < rules.favorites
            favorite = np.arange(len(COLORS)) == FAVORITE[shape][..., None]  # (B, N, C)
            u["colors"][:, :N] += 1.5 * (liked[..., None] & favorite)  # above every other; below it once it is taken
        color = _colors(u["colors"], TRAINED[shape], rules)

    order, named = _mentions(u, count, partly=0.0 if split == "instances" else 0.25)
    layout = arrange(u, count)
    counter = _counter_colors(u, shape, color, named, count, rules, free=split == "unobserved")
    shape = np.where(there, shape, -1)
    return Draws(
        count=count,
        shape=shape,
        color=np.where(there, color[:, :N], -1),
        counter_color=np.where(there, counter, -1),
        cloud=whole(u["cloud"], len(CLOUD)),
        light=_light(u["light"], color, split),
        center=layout.center,
        radius=layout.radius,
        texture=np.maximum(whole(u["texture"], 2 * len(TEXTURES) - 2) - (len(TEXTURES) - 2), 0),  # half of them plain
        turn=whole(u["turn"], 4),
        phase=u["phase"],
        background=whole(u["background"], len(BACKGROUNDS)),
        background_color=color[:, N],
        shift=u["shift"],
        named=named,
        order=order,
        place=np.where(there, layout.place, -1),
        say_place=_repeated(shape) | (u["say"][:, :1] < 0.6),
        is_large=layout.is_large,
        has_contrast=layout.contrast,
        say_size=layout.contrast & (u["say"][:, 1] < 0.6),
        say_texture=u["say_texture"] < 0.3,
        say_background=u["say"][:, 2] < 0.7,
        template=u["template"],
    )


def _uniform(split: str, seed: int, indices: Sequence[int], more: tuple[int, ...], count: int) -> NDArray:
    """(B, count) in [0, 1): of each scene's own generator, which `more` tells from its others."""
    rows = np.empty((len(indices), count))
    for row, index in zip(rows, indices, strict=True):
        np.random.default_rng((seed, SPLITS.index(split), index, *more)).random(out=row)
    return rows


def reword(draws: Draws, split: str, seed: int, indices: Sequence[int]) -> Draws:
    """The same scenes, of which the same instances are named, told in another order and other words."""
    u = _uniform(split, seed, indices, (1,), 2 * N + 4)
    order, textures, (template, place, size, ground) = u[:, :N], u[:, N : 2 * N], u[:, 2 * N :].T
    return draws._replace(
        order=shuffle(np.where(draws.named, order, 2.0)),
        template=template,
        say_place=_repeated(draws.shape) | (place[:, None] < 0.6),
        say_size=draws.has_contrast & (size < 0.6),
        say_texture=textures < 0.3,
        say_background=ground < 0.7,
    )


def _repeated(shape: NDArray) -> NDArray:
    """(B, N): whether another instance of the scene has the same noun."""
    return ((shape[:, :, None] == shape[:, None]) & (shape >= 0)[:, None]).sum(axis=2) > 1


def _shapes(u: dict[str, NDArray], count: NDArray, rules: Rules, repeats: float) -> NDArray:
    """(B, N): all different; but in `repeats` of the scenes one noun stands twice, in half of these thrice."""
    shape = shuffle(u["shapes"][:, : rules.num_shapes])[:, :N]
    rows, draw = np.arange(len(shape)), u["repeat"]
    first = np.floor(draw[:, 1] * count).astype(np.int64)
    step = 1 + np.floor(draw[:, 2] * (count - 1)).astype(np.int64)  # 1 ... count - 1
    another = 1 + step % (count - 1)  # not the same step, from three instances on
    for wanted, far in ((draw[:, 0] < repeats, step), ((draw[:, 0] < repeats / 2) & (count > 2), another)):
        shape[rows, np.where(wanted, (first + far) % count, first)] = shape[rows, first]
    return shape


def _shapes_for(color: NDArray, u: dict[str, NDArray], rules: Rules) -> NDArray:
    """(B, N): to each colour a noun held out with it, none twice where there are enough."""
    score = u["shapes"][:, : rules.num_shapes].copy()
    rows, shape = np.arange(len(score)), np.empty_like(color)
    for k in range(N):
        held_out = ~TRAINED[: rules.num_shapes, color[:, k]].T
        shape[:, k] = np.where(held_out, score, -2.0).argmax(axis=1)
        score[rows, shape[:, k]] -= 1.0
    return shape


def _colors(u: NDArray, allowed: NDArray, rules: Rules) -> NDArray:
    """(B, N + 1) different colours, the last for the background; instance k takes one of `allowed` (B, N, C)."""
    score = np.where(np.arange(len(COLORS)) < rules.num_colors, u, -9.0)
    score[:, :N] -= 4.0 * ~allowed
    rows, color = np.arange(len(u)), np.empty(u.shape[:2], dtype=np.int64)
    # The background before those who may not be there: only they may be left without a colour of their own.
    for k in [*range(rules.max_instances), N, *range(rules.max_instances, N)]:
        color[:, k] = score[:, k].argmax(axis=1)
        score[rows, :, color[:, k]] -= 2.0
    return color


def _light(u: NDArray, color: NDArray, split: str) -> NDArray:
    """(B, N + 1) L. train, val: around the colour's own; luminance: around its mirror image; else free of it."""
    if split not in ("train", "val", "luminance"):
        return DARKEST + (LIGHTEST - DARKEST) * u
    own = NATURAL[color] if split != "luminance" else DARKEST + LIGHTEST - NATURAL[color]
    low, high = np.maximum(own - LIGHT_SPREAD, DARKEST), np.minimum(own + LIGHT_SPREAD, LIGHTEST)
    return low + (high - low) * u


def _mentions(u: dict[str, NDArray], count: NDArray, partly: float) -> tuple[NDArray, NDArray]:
    """(B, N) order and named: in `partly` of the scenes the caption is silent on at least one instance."""
    there = np.arange(N) < count[:, None]
    order = shuffle(np.where(there, u["order"], 2.0))
    some = 1 + np.floor(u["part"][:, 1] * np.maximum(count - 1, 1)).astype(np.int64)
    mentions = np.where(u["part"][:, 0] < partly, np.minimum(some, count), count)
    named = np.zeros_like(there)
    np.put_along_axis(named, order, np.arange(N) < mentions[:, None], axis=1)
    return order, named


def _counter_colors(
    u: dict[str, NDArray], shape: NDArray, color: NDArray, named: NDArray, count: NDArray, rules: Rules, free: bool
) -> NDArray:
    """(B, N): every named instance gets another colour, the unnamed keep theirs.

    In half of the scenes with two or more named, each takes the colour of the next in a random circle of the named. In
    the others, and where that gives a held-out pair, they take colours that the scene has not, different ones where
    there are enough. `free`: held-out pairs may come.
    """
    rows = np.arange(len(shape))
    allowed = TRAINED[shape] | free  # (B, N, C)

    there = np.arange(N) < count[:, None]
    score = np.where(np.arange(len(COLORS)) < rules.num_colors, u["replace"], -100.0) - 20.0 * ~allowed
    for k in range(N + 1):
        score[rows, :, color[:, k]] -= 100.0 * (there[:, k] if k < N else np.ones(len(rows)))[:, None]
    result = color[:, :N].copy()
    for k in range(N):
        best = score[:, k].argmax(axis=1)
        result[:, k] = np.where(named[:, k], best, result[:, k])
        score[rows, :, best] -= 2.0 * named[:, k, None]

    several = (u["permute"] < 0.5) & (named.sum(axis=1) > 1)
    for attempt in range(_CYCLES):
        circle = shuffle(np.where(named, u["cycles"][:, attempt], 2.0))  # the named first
        after = np.take_along_axis(circle, (np.arange(N) + 1) % named.sum(axis=1)[:, None], axis=1)
        turned = color[:, :N].copy()
        np.put_along_axis(turned, circle, np.take_along_axis(color[:, :N], after, axis=1), axis=1)
        turned = np.where(named, turned, color[:, :N])
        fits = several & (np.take_along_axis(allowed, turned[..., None], axis=2)[..., 0] | ~named).all(axis=1)
        result = np.where(fits[:, None], turned, result)
        several &= ~fits
    return result
