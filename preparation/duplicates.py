"""Pictures that are there twice: byte for byte, or nearly (resized, recompressed, brightened).

N pictures.  A perceptual hash is 64 bits, kept as four uint16: the signs of the 64 lowest frequencies of the luminance.
Two such words of 16 bits are looked up instead of compared, so that 120,000 pictures take seconds and not N^2 steps.
"""

from collections import defaultdict
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from preparation.faults import Finding
from utils.progress import progress

HASH_SIDE = 32  # pixels of the square that is transformed
LOOK_SIDE = 16  # pixels of the square by which a meeting of hashes is confirmed
BANDS = 4
MAX_DISTANCE = 2 * BANDS - 1  # bits of 64: so far, two hashes have a band in which they differ by at most one bit
MIN_LIKENESS = 0.9  # correlation of two looks: hashes of unlike pictures can meet by chance, their looks do not
_CHUNK = 1 << 20  # pairs compared at once

# The bit k of the hash goes to band k % BANDS: neighbours in frequency, which go together, lie in different bands.
_FREQUENCIES = sorted(((u, v) for u in range(HASH_SIDE) for v in range(HASH_SIDE)), key=lambda f: (sum(f), f))[1:65]
_ONES = np.array([word.bit_count() for word in range(1 << 16)], np.uint8)


class Group(NamedTuple):
    members: list[int]  # in ascending order, at least two
    exact: bool  # the same bytes; otherwise alike, in at least two versions


class Place(NamedTuple):
    """Where a picture lies."""

    root: Path  # of its data set
    split: str
    name: str

    @property
    def path(self) -> Path:
        return self.root / self.split / self.name


def perceptual_hash(gray: np.ndarray) -> np.ndarray:
    """gray: (HASH_SIDE, HASH_SIDE), any scale. Returns (4,) uint16; brightness and contrast do not change it."""
    spectrum = cv2.dct(gray.astype(np.float32))
    bits = np.array([spectrum[f] > 0 for f in _FREQUENCIES]).reshape(-1, BANDS)  # (16, 4)
    return (bits << np.arange(16)[:, None]).sum(axis=0).astype(np.uint16)


def near_pairs(hashes: np.ndarray, distance: int) -> np.ndarray:
    """Every pair i < j of rows that differ in at most `distance` bits, once: (P, 2) int64.

    hashes: (N, 4) uint16, no two rows the same (they would be N^2 pairs: see `find_groups`). Two rows within
    MAX_DISTANCE agree in some band but for one bit, so each of the 16 one-bit neighbours of a band is looked up.
    """
    if not 0 <= distance <= MAX_DISTANCE:
        raise ValueError(f"distance {distance}: hashes are looked up within 0 to {MAX_DISTANCE} bits")
    found = [np.empty((0, 2), np.int64)]
    flips = [0, *(1 << bit for bit in range(16))] if distance >= BANDS else [0]
    for band in progress(range(BANDS), "near duplicates", "band"):
        words = hashes[:, band]
        order = np.argsort(words, kind="stable")
        for flip in flips:
            found += _matches(hashes, order, words[order], words ^ np.uint16(flip), distance)
    return np.unique(np.concatenate(found), axis=0)


def _matches(hashes: np.ndarray, order: np.ndarray, words: np.ndarray, wanted: np.ndarray, distance: int):
    """Pairs (i, j) where wanted[i] is the word of j and the whole hashes are near; words: in ascending `order`."""
    first = np.searchsorted(words, wanted, "left")
    ends = np.cumsum(np.searchsorted(words, wanted, "right") - first)  # candidates are numbered through
    for start in range(0, int(ends[-1]) if len(ends) else 0, _CHUNK):
        number = np.arange(start, min(start + _CHUNK, ends[-1]))
        i = np.searchsorted(ends, number, "right")
        j = order[first[i] + number - np.where(i > 0, ends[i - 1], 0)]
        i, j = i[i < j], j[i < j]
        near = _ONES[hashes[i] ^ hashes[j]].sum(axis=1) <= distance
        yield np.stack([i[near], j[near]], axis=1)


def find_groups(
    digests: Sequence[Hashable], hashes: np.ndarray, looks: np.ndarray, plain: np.ndarray, distance: int
) -> list[Group]:
    """The exact groups, then the near ones, each in order of their first members.

    digests: N of the files' bytes; hashes: (N, 4) uint16; looks: (N, LOOK_SIDE ** 2), luminance on any scale;
    plain: (N,) bool, True where a picture shows nothing, so that its hash says nothing; distance: bits.
    """
    same = defaultdict(list)
    for place, digest in enumerate(digests):
        same[digest].append(place)
    exact = [Group(places, True) for places in same.values() if len(places) > 1]

    places = np.array([places[0] for places in same.values() if not plain[places[0]]], np.int64)  # of each file one
    if not len(places):
        return exact
    unique, inverse = np.unique(hashes[places], axis=0, return_inverse=True)
    pairs = near_pairs(unique, distance)
    leaders = np.full(len(unique), len(places))
    np.minimum.at(leaders, inverse.ravel(), np.arange(len(places)))
    links = np.concatenate([leaders[pairs], np.stack([leaders[inverse.ravel()], np.arange(len(places))], axis=1)])
    links = links[_alike(looks[places], links)]
    graph = coo_array((np.ones(len(links), bool), tuple(links.T)), shape=(len(places), len(places)))
    _, labels = connected_components(graph, directed=False)
    near = defaultdict(list)
    for label, place in zip(labels.tolist(), places.tolist(), strict=True):
        near[label] += same[digests[place]]
    versions = np.bincount(labels)
    return exact + [Group(sorted(members), False) for label, members in near.items() if versions[label] > 1]


def _alike(looks: np.ndarray, links: np.ndarray) -> np.ndarray:
    """(P,) bool: the correlation of the two looks of each link is at least MIN_LIKENESS."""
    looks = looks.astype(np.float32)
    looks -= looks.mean(axis=1, keepdims=True)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True).clip(min=1e-6)
    alike = [
        (looks[part[:, 0]] * looks[part[:, 1]]).sum(axis=1) >= MIN_LIKENESS
        for part in np.array_split(links, len(links) // _CHUNK + 1)
    ]
    return np.concatenate(alike)


def judge_groups(groups: Sequence[Group], places: Sequence[Place], root: Path) -> list[Finding]:
    """One finding for each group with a picture of the data set at `root`: a leak where some member is trained on and
    another evaluated, in either data set; else an overlap of two folders, or a duplicate within one. It names ours that
    is evaluated, if there is one."""
    found = []
    for group in groups:
        members = sorted(
            (places[i] for i in group.members), key=lambda p: (p.root != root, p.split == "train", p.split)
        )
        first = members[0]
        if first.root != root:
            continue
        kind, count = "exact" if group.exact else "near", len(members)
        evaluated = sum(place.split != "train" for place in members)
        if 0 < evaluated < count:
            check, count = f"{kind}_leak", evaluated
        elif len({(place.root, place.split) for place in members}) > 1:
            check = "overlap"
        else:
            check = f"{kind}_duplicate"
        twins = ", ".join(str(m.path if m.root != root else f"{m.split}/{m.name}") for m in members[1:])
        files = tuple(place.path for place in members)
        found.append(Finding(check, first.split, first.name, f"= {twins}", count=count, files=files))
    return found
