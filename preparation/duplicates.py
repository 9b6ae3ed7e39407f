"""Pictures that are there twice: byte for byte, or nearly (resized, recompressed, brightened).

N pictures.  A perceptual hash is 64 bits: the signs of the 64 lowest frequencies of the luminance.
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
from utils.log import progress

HASH_SIDE = 32  # pixels of the square that is transformed
LOOK_SIDE = 16  # pixels of the square by which a meeting of hashes is confirmed
MAX_DISTANCE = 7  # bits of 64; beyond, unlike pictures meet too often
MIN_LIKENESS = 0.9  # correlation of two looks: hashes of unlike pictures can meet by chance, their looks do not
_ROWS = 512  # hashes compared with all others at once: 0.3 GB for 120,000 pictures
_CHUNK = 1 << 20  # pairs whose looks are compared at once
_FREQUENCIES = sorted(((u, v) for u in range(HASH_SIDE) for v in range(HASH_SIDE)), key=lambda f: (sum(f), f))[1:65]


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
    """gray: (HASH_SIDE, HASH_SIDE), any scale. Returns (64,) bool; brightness and contrast do not change it."""
    spectrum = cv2.dct(gray.astype(np.float32))
    return np.array([spectrum[f] > 0 for f in _FREQUENCIES])


def near_pairs(hashes: np.ndarray, distance: int) -> np.ndarray:
    """Every pair i < j of rows of (N, 64) bool that differ in at most `distance` bits, in order: (P, 2) int64.

    A product of matrices compares all with all: 120,000 pictures take two minutes of one core, far less than decoding.
    """
    if not 0 <= distance <= MAX_DISTANCE:
        raise ValueError(f"distance {distance}: pass 0 to {MAX_DISTANCE} bits")
    signs = 2 * hashes.astype(np.float32) - 1
    found = [np.empty((0, 2), np.int64)]
    for start in progress(range(0, len(signs), _ROWS), "near duplicates", f"rows of {_ROWS}"):
        pairs = np.argwhere(signs[start : start + _ROWS] @ signs[start:].T >= 64 - 2 * distance)
        found.append(pairs[pairs[:, 0] < pairs[:, 1]] + start)
    return np.concatenate(found)


def find_groups(
    digests: Sequence[Hashable], hashes: np.ndarray, looks: np.ndarray, plain: np.ndarray, distance: int
) -> list[Group]:
    """The exact groups, then the near ones, each in order of their first members.

    digests: N of the files' bytes; hashes: (N, 64) bool; looks: (N, LOOK_SIDE ** 2), luminance on any scale;
    plain: (N,) bool, True where a picture shows nothing, so that its hash says nothing; distance: bits.
    """
    same = defaultdict(list)
    for place, digest in enumerate(digests):
        same[digest].append(place)
    exact = [Group(places, True) for places in same.values() if len(places) > 1]

    places = np.array([places[0] for places in same.values() if not plain[places[0]]], np.int64)  # of each file one
    if not len(places):
        return exact
    links = near_pairs(hashes[places], distance)
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
    parts = np.array_split(links, len(links) // _CHUNK + 1)
    return np.concatenate([(looks[i] * looks[j]).sum(axis=1) >= MIN_LIKENESS for i, j in (part.T for part in parts)])


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
