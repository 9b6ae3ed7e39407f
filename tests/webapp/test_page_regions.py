"""Which group a place belongs to, which words colour it, and how it is drawn."""

import numpy as np
import pytest

from inference import Explanation, WordEffect
from webapp import regions

CAPTION = "a red hat and a red cup"
GROUPS = np.array([[0, 0, 2], [0, 2, 2], [1, 1, 1]])  # (G, G)
SIDE = 12  # of the network's square: four pixels a token


def explanation(changes):
    """changes: word's start -> (G, G), its effect on every token."""
    words = [
        WordEffect(start, end, np.kron(np.asarray(changes.get(start, np.zeros((3, 3)))), np.ones((4, 4), np.float32)))
        for start, end in ((0, 1), (2, 5), (6, 9), (10, 13), (14, 15), (16, 19), (20, 23))
    ]
    soft = np.stack([group == GROUPS for group in range(3)]).astype(np.float32)
    return Explanation(np.zeros((2, SIDE, SIDE), np.float32), GROUPS, soft, words)


def test_a_place_belongs_to_the_group_of_its_token():
    parts = explanation({})
    for row in range(3):
        for column in range(3):
            region = regions.region_at(parts, CAPTION, (column + 0.9) / 3, (row + 0.1) / 3)
            assert region.group == GROUPS[row, column]
            assert region.share == pytest.approx(3 / 9)
            assert (region.inside == (region.group == GROUPS)).all()
    assert regions.region_at(parts, CAPTION, 1.0, 0.0).group == 2  # the very edge
    assert regions.region_at(parts, CAPTION, 1.0, 1.0).group == 1


def test_words_are_sorted_by_their_mean_effect_inside_the_region_alone():
    hat = np.where(GROUPS == 0, [[3, 6, 9]] * 3, 100)  # inside: 3, 6 and 3
    cup = np.where(GROUPS == 0, 8, 0)
    words = regions.region_at(explanation({6: hat, 20: cup}), CAPTION, 0.1, 0.1).words
    assert words[:2] == [("cup", pytest.approx(8)), ("hat", pytest.approx(4))]
    assert len(words) == 7 and all(change == 0 for _, change in words[2:])


def test_a_word_that_comes_twice_is_told_by_the_word_behind_it():
    words = dict(regions.region_at(explanation({}), CAPTION, 0.1, 0.1).words)
    assert {"red hat", "red cup", "a red", "hat", "cup", "and"} == set(words)


def test_marks_are_no_words():
    effects = [WordEffect(start, end, np.ones((SIDE, SIDE), np.float32)) for start, end in ((0, 3), (3, 4), (5, 7))]
    assert [word for word, _ in regions.words_of(effects, "red, 🙂!", np.ones((3, 3), bool))] == ["red"]


def test_the_region_is_outlined_and_nothing_else_is_touched():
    parts, gray = explanation({}), np.full((90, 120, 3), 128, np.uint8)
    plain = regions.draw_map(parts, gray, None)
    region = regions.region_at(parts, CAPTION, 0.1, 0.1)  # the two tokens on the top left, and the one below the first
    drawn = regions.draw_map(parts, gray, region)
    for y, x in ((29, 60), (45, 39), (10, 79), (59, 20)):  # its last pixels before another token's
        assert (drawn[y, x] == 255).all() and (plain[y, x] != 255).any()
    centers = np.ix_([15, 45, 75], [20, 60, 100])
    assert (drawn[centers] == plain[centers]).all()
    assert (drawn[64:] == plain[64:]).all() and (drawn[:, 84:] == plain[:, 84:]).all()
    assert (gray == 128).all()


def test_the_colour_of_a_group_is_the_map_s():
    parts = explanation({})
    picture = regions.draw_map(parts, np.full((3, 3, 3), 255, np.uint8), None)
    for group in range(3):
        red, green, blue = picture[tuple(np.argwhere(group == GROUPS)[0])]
        assert regions.group_color(group, 3) == f"#{red:02x}{green:02x}{blue:02x}"


def region(words):
    return regions.Region(3, 0.25, np.ones((2, 2), bool), words)


def test_words_are_shown_and_not_obeyed():
    told = regions.words_table(region([("<script>alert(1)</script>", 2.0)]), 15)
    assert "<script" not in told and "&lt;script&gt;" in told


def test_bars_are_as_long_as_the_changes():
    told = regions.words_table(region([("red", 20.0), ("hat", 5.04), *[("a", 0.0)] * 20]), 15)
    assert "Group 4 of 15, 25 %" in told
    assert "width:100%" in told and "width:25%" in told and ">20.0<" in told and ">5.0<" in told
    assert told.count("<tr>") == 8


def test_a_region_that_no_word_colours_is_told():
    assert "No word colours it" in regions.words_table(region([]), 15)
    assert "width:0%" in regions.words_table(region([("red", 0.0)]), 15)  # nothing is divided by nothing
