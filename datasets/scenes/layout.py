"""Where the instances of a scene lie, how large they are, and the words for it.

B scenes; N = 5 places for instances, as in datasets/scenes/draws.py.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

N = 5  # most instances in a scene

# Where instances lie, in columns, rows, corners or a grid: words and centre of each place (x to the right, y down, the
# picture's side being 1), and how far an instance may be from there. No place's words also fit another of its layout.
_MIDDLE = {"in the middle": (0.5, 0.5)}
LAYOUTS = (
    ({"on the left": (0.2, 0.5), **_MIDDLE, "on the right": (0.8, 0.5)}, (0.045, 0.1)),
    ({"at the top": (0.5, 0.2), **_MIDDLE, "at the bottom": (0.5, 0.8)}, (0.1, 0.045)),
    (
        {"at the top left": (0.24, 0.24), "at the top right": (0.76, 0.24), **_MIDDLE}
        | {"at the bottom left": (0.24, 0.76), "at the bottom right": (0.76, 0.76)},
        (0.045, 0.045),
    ),
    (
        {
            f"at the {row} {column}": (x, y)
            for row, y in (("top", 0.26), ("bottom", 0.74))
            for column, x in (("left", 0.2), ("middle", 0.5), ("right", 0.8))
        },
        (0.045, 0.06),
    ),
)
CELLS = 6  # most places of a layout
PLACES = tuple(dict.fromkeys(words for places, _ in LAYOUTS for words in places))
_NUMBERS = np.array([[*map(PLACES.index, places), *[-1] * (CELLS - len(places))] for places, _ in LAYOUTS])
_CENTERS = np.array([[*places.values(), *[(0.5, 0.5)] * (CELLS - len(places))] for places, _ in LAYOUTS])
_JITTER = np.array([jitter for _, jitter in LAYOUTS])
_CELL_COUNT = np.array([len(places) for places, _ in LAYOUTS])

SMALL, LARGE = (0.12, 0.14), (0.18, 0.24)  # radii, the picture's side being 1
FEW_ARE_LARGER = {2: 1.2, 3: 1.1}  # times these, where a scene has so few instances
CLOSEST = 0.68  # two centres are at least so many sums of their radii apart: about half of an instance stays visible
CLEARLY_LARGER = 1.25  # "small" and "large" are said where every large one has so many times the radius of the small
_GROWTH = np.array([FEW_ARE_LARGER.get(count, 1.0) for count in range(N + 1)])


class Layout(NamedTuple):
    center: NDArray  # (B, N, 2) x and y in [0, 1], the picture's side being 1
    radius: NDArray  # (B, N) the same unit
    is_large: NDArray  # (B, N) bool
    contrast: NDArray  # (B,) bool: there are small and large ones, and the eye can tell which is which
    place: NDArray  # (B, N) index into PLACES


def whole(u: NDArray, n: int) -> NDArray:
    """Uniform in [0, 1) -> uniform in 0 ... n - 1."""
    return np.floor(u * n).astype(np.int64)


def shuffle(u: NDArray) -> NDArray:
    """A permutation of the last axis, from as many uniform numbers."""
    return np.argsort(u, axis=-1, kind="stable")


def arrange(u: dict[str, NDArray], count: NDArray) -> Layout:
    """u: uniform numbers `layout` (B,), `cells` (B, CELLS), `jitter` (B, N, 2), `is_large` and `radius` (B, N);
    count: (B,) instances. They all lie inside the picture."""
    few = whole(u["layout"], 3)  # up to three instances: columns, rows, corners; more: corners, grid
    layout = np.where(count <= 3, few, 2 + whole(u["layout"], 2))
    cell = shuffle(np.where(np.arange(CELLS) < _CELL_COUNT[layout][:, None], u["cells"], 2.0))[:, :N]
    is_large = u["is_large"] < 0.6
    low, high = (np.where(is_large, big, small) for big, small in zip(LARGE, SMALL, strict=True))
    radius = (low + (high - low) * u["radius"]) * _GROWTH[count][:, None]
    center = _CENTERS[layout[:, None], cell] + (2.0 * u["jitter"] - 1.0) * _JITTER[layout][:, None]
    margin = radius[:, :, None] + 0.01
    center = np.minimum(np.maximum(center, margin), 1.0 - margin)

    apart = center[:, :, None] - center[:, None]
    distance = np.sqrt(apart[..., 0] * apart[..., 0] + apart[..., 1] * apart[..., 1])  # (B, N, N)
    there = np.arange(N) < count[:, None]
    others = there[:, None] & ~np.eye(N, dtype=bool)
    room = distance / (CLOSEST * (radius[:, :, None] + radius[:, None]))
    radius = radius * np.minimum(np.where(others, room, 1.0).min(axis=2), 1.0)
    small, large = (np.where(there & (is_large == size), radius, np.nan) for size in (False, True))
    contrast = np.fmin.reduce(large, axis=1) >= CLEARLY_LARGER * np.fmax.reduce(small, axis=1)  # False for NaN
    return Layout(center, radius, is_large, contrast, _NUMBERS[layout[:, None], cell])
