"""Scenes as pixels.  B scenes; N places for instances; M instances; p patch side."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from datasets.scenes.draws import Draws
from datasets.scenes.layout import N
from datasets.scenes.palette import LEVEL_STEP, LEVELS, lookup, row
from datasets.scenes.shapes import SHAPES, paint


def rasterize(draws: Draws, size: int, patterns: NDArray) -> tuple[NDArray, NDArray]:
    """RGB (B, 3, H, W) uint8, and labels (B, H, W) uint8: 1 + index of the instance seen, 0 the background.

    size: H = W, pixels; patterns: of `shapes.backgrounds`.
    """
    labels = np.zeros((len(draws.count), size, size), dtype=np.uint8)
    levels = np.empty((len(draws.count), size, size), dtype=np.float32)  # mean and pattern, L
    corner = np.floor(draws.shift * size).astype(np.int64).tolist()
    for scene, (kind, (x, y)) in enumerate(zip(draws.background.tolist(), corner, strict=True)):
        levels[scene] = patterns[kind, y : y + size, x : x + size]
    rows = row(np.concatenate([draws.color, draws.background_color[:, None]], axis=1), draws.cloud)  # (B, N + 1)
    entries = _entries(levels, draws.light[:, N], rows[:, N])
    patches = {patch[:2]: patch[2:] for patch in _patches(draws, rows, size)}
    for scene, instance in sorted(patches):  # from the back to the front
        (x, y), inside, values = patches[scene, instance]
        window = (scene, slice(y, y + inside.shape[0]), slice(x, x + inside.shape[1]))
        np.copyto(entries[window], values, where=inside)
        np.copyto(labels[window], instance + 1, where=inside)
    rgb = np.empty((len(labels), 3, size, size), dtype=np.uint8)
    for channel, table in enumerate(lookup()):
        rgb[:, channel] = table[entries]
    return rgb, labels


def _patches(draws: Draws, rows: NDArray, size: int) -> Iterator[tuple]:
    """(scene, instance, corner (x, y), inside (p, p) bool, entries of the lookup table (p, p)) of every instance.

    All instances of one shape are evaluated together, each on a square just large enough for the largest of them;
    a pixel's value depends on nothing but its own place.
    """
    for number, shape in enumerate(SHAPES.values()):
        scenes, instances = np.nonzero(draws.shape == number)
        if not len(scenes):
            continue
        center, radius = draws.center[scenes, instances], draws.radius[scenes, instances]
        side = min(int(np.ceil(2.0 * radius.max() * size)) + 1, size)
        corner = np.floor((center - radius[:, None]) * size).astype(np.int64)
        corner = np.minimum(np.maximum(corner, 0), size - side)
        pixels = (corner[:, :, None] + np.arange(side) + 0.5) / size  # (M, 2, p)
        own = ((pixels - center[:, :, None]) / radius[:, None, None]).astype(np.float32)
        look = (values[scenes, instances] for values in (draws.texture, draws.turn, draws.phase))
        inside, change = paint(shape, own[:, 0, None, :], own[:, 1, :, None], *look)
        entries = _entries(change, draws.light[scenes, instances], rows[scenes, instances])
        yield from zip(scenes.tolist(), instances.tolist(), corner.tolist(), inside, entries, strict=True)


def _entries(change: NDArray, light: NDArray, rows: NDArray) -> NDArray:
    """L = light (M,) + change (M, p, p) of the table's rows (M,) -> entries of `lookup`, (M, p, p) int32."""
    levels = (change + light.astype(np.float32)[:, None, None]) * np.float32(1.0 / LEVEL_STEP) + np.float32(0.5)
    levels = np.minimum(np.maximum(levels, 0.0), LEVELS - 1.0).astype(np.int32)
    return levels + (rows * LEVELS).astype(np.int32)[:, None, None]
