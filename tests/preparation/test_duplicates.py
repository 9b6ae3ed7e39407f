"""Perceptual hashes, the search for near ones, and the groups."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from preparation import duplicates
from preparation.duplicates import (
    HASH_SIDE,
    LOOK_SIDE,
    MAX_DISTANCE,
    Group,
    Place,
    find_groups,
    judge_groups,
    near_pairs,
    perceptual_hash,
)


def photo(seed: int, side: int = 96) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8))
    return coarse.resize((side, side), Image.Resampling.BICUBIC)


def look_at(image: Image.Image) -> tuple[np.ndarray, np.ndarray]:
    """Hash and look, as the decoded picture gives them."""
    gray = image.convert("L")
    square, look = (np.asarray(gray.resize((s, s), Image.Resampling.BOX), np.float32) for s in (HASH_SIDE, LOOK_SIDE))
    return perceptual_hash(square), look.ravel()


def jpeg(image: Image.Image, quality: int) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=quality)
    return Image.open(stream)


def bits_between(a: np.ndarray, b: np.ndarray) -> int:
    return int((a ^ b).sum())


VERSIONS = {
    "half the size": lambda image: image.resize((48, 48)),
    "squashed": lambda image: image.resize((160, 90)),
    "recompressed": lambda image: jpeg(image, 30),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.7),
    "less contrast": lambda image: ImageEnhance.Contrast(image).enhance(0.6),
    "gray": lambda image: image.convert("L"),
}


@pytest.mark.parametrize("version", VERSIONS.values(), ids=VERSIONS)
def test_versions_of_a_picture_have_near_hashes(version):
    distances = [bits_between(look_at(photo(seed))[0], look_at(version(photo(seed)))[0]) for seed in range(12)]
    assert max(distances) <= MAX_DISTANCE


def test_other_pictures_have_far_hashes():
    hashes = [look_at(photo(seed))[0] for seed in range(40)]
    distances = [bits_between(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > MAX_DISTANCE + 3 and 28 < np.mean(distances) < 36  # half of 64, as if bits were tossed


def test_a_hash_is_the_signs_of_its_cosines():
    x = (np.arange(HASH_SIDE) + 0.5) * np.pi / HASH_SIDE
    wave = (
        np.cos(x)[None, :] - 2 * np.cos(x)[:, None] + 3 * np.cos(2 * x)[None, :]
    )  # frequencies (0, 1), (1, 0), (0, 2)
    noise = 1e-3 * np.random.default_rng(0).standard_normal((HASH_SIDE, HASH_SIDE))
    bits, negated = perceptual_hash(wave + noise), perceptual_hash(-(wave + noise))
    assert bits[:3].tolist() == [True, False, True]
    assert bits_between(bits, negated) == 64
    assert np.array_equal(perceptual_hash(1000 + 5 * (wave + noise)), bits)


@pytest.mark.parametrize("distance", [0, 3, 4, MAX_DISTANCE])
def test_the_search_finds_the_pairs_that_comparing_all_would(distance, monkeypatch):
    monkeypatch.setattr(duplicates, "_ROWS", 37)
    rng = np.random.default_rng(distance)
    base = rng.random((60, 64)) < 0.5
    near = base.repeat(6, axis=0)
    for row in near:
        row[rng.choice(64, rng.integers(0, 11), replace=False)] ^= True
    hashes = np.concatenate([base, near, rng.random((40, 64)) < 0.05])
    rng.shuffle(hashes)
    apart = (hashes[:, None] != hashes[None]).sum(axis=2)
    wanted = np.argwhere(np.triu(apart <= distance, k=1))
    assert np.array_equal(near_pairs(hashes, distance), wanted)
    assert len(wanted) > 20


def test_a_distance_that_the_search_cannot_promise_is_refused():
    with pytest.raises(ValueError, match="0 to 7"):
        near_pairs(np.zeros((2, 64), bool), MAX_DISTANCE + 1)


def group(images: list[Image.Image], digests: str, plain: tuple[int, ...] = (), distance: int = MAX_DISTANCE):
    hashes, looks = (np.stack(part) for part in zip(*map(look_at, images), strict=True))
    blank = np.isin(np.arange(len(images)), plain)
    return find_groups(list(digests), hashes, looks, blank, distance)


def test_groups_tell_copies_from_versions():
    a, b, c = photo(0), photo(1), photo(2)
    images = [a, b, a, jpeg(b, 40), c, a, jpeg(a, 40)]
    assert group(images, "abaxcay") == [Group([0, 2, 5], True), Group([0, 2, 5, 6], False), Group([1, 3], False)]
    assert group([a, b, c], "abc") == []


def test_equal_hashes_of_two_files_are_one_group():
    assert group([photo(0), photo(1), photo(0)], "abc", distance=0) == [Group([0, 2], False)]


def test_hashes_that_meet_by_chance_are_no_group():
    a, b = look_at(photo(0)), look_at(photo(1))
    hashes, looks = np.stack([a[0], a[0], a[0]]), np.stack([a[1], b[1], a[1] * 0.5 + 20])
    assert find_groups(list("abc"), hashes, looks, np.zeros(3, bool), 7) == [Group([0, 2], False)]


def test_pictures_that_show_nothing_are_only_compared_by_their_bytes():
    images = [photo(0), jpeg(photo(0), 40), photo(0)]
    assert group(images, "aba", plain=(0, 1, 2)) == [Group([0, 2], True)]


def test_no_pictures_have_no_groups():
    empty = np.empty((0, LOOK_SIDE**2))
    assert find_groups([], np.empty((0, 64), bool), empty, np.empty(0, bool), 7) == []


ROOT, OTHER = Path("ours"), Path("theirs")


@pytest.mark.parametrize(
    ("members", "exact", "check", "count"),
    [
        ([(ROOT, "train"), (ROOT, "train"), (ROOT, "train")], True, "exact_duplicate", 3),
        ([(ROOT, "val"), (ROOT, "val")], False, "near_duplicate", 2),
        ([(ROOT, "train"), (ROOT, "val"), (ROOT, "test")], True, "exact_leak", 2),
        ([(ROOT, "test"), (ROOT, "train")], False, "near_leak", 1),
        ([(ROOT, "val"), (ROOT, "test")], True, "overlap", 2),
        ([(ROOT, "train"), (OTHER, "val")], True, "exact_leak", 1),
        ([(OTHER, "train"), (ROOT, "test")], False, "near_leak", 1),
        ([(ROOT, "train"), (OTHER, "train")], False, "overlap", 2),
        ([(OTHER, "train"), (OTHER, "val")], True, None, 0),
    ],
)
def test_a_group_is_judged_by_where_its_members_lie(members, exact, check, count):
    places = [Place(root, split, f"{i}.jpg") for i, (root, split) in enumerate(members)]
    found = judge_groups([Group(list(range(len(places))), exact)], places, ROOT)
    assert [(finding.check, finding.count) for finding in found] == ([(check, count)] if check else [])
    for finding in found:
        assert set(finding.files) == {place.path for place in places}
        assert (ROOT / finding.split / finding.name) == finding.files[0]
