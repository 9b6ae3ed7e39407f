"""Which things a caption colours, in the ways that narratives and region descriptions say it."""

import pytest
from conftest import assert_linear

from preparation.colored_things import drop_rule, find, instances


def said(caption):
    return [(mention.thing, "/".join(sorted(mention.colors))) for mention in find(caption)]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a white color remote, beside it a black table", [("remote", "white"), ("table", "black")]),
        ("the wall is in brown color. the sky, which is blue", [("wall", "brown"), ("sky", "blue")]),
        ("a red, white and light blue plane", [("plane", "blue/red/white")]),
        ("a sky in blue color, green trees and a red", [("sky", "blue"), ("tree", "green")]),
        ("a man dressed in black and a woman in red", [("man", "black"), ("woman", "red")]),
        ("the box on the right that is gray", [("box", "gray")]),
        ("a red-haired girl in a white t-shirt", [("girl", "red"), ("t-shirt", "white")]),
        ("Blue's toys", []),
        ("is the sky blue? is the cup near the white plate? is the red or green bus full?", [("plate", "white")]),
        ("it is red. red!", []),
        ("orange juice and a bowl", []),
    ],
)
def test_the_thing_of_each_color(caption, expected):
    assert said(caption) == expected


def test_spans_point_into_the_caption():
    caption = "A dog. The wall is light-BLUE and Green here"
    (mention,) = find(caption)
    assert caption[slice(*mention.thing_span)] == "wall"
    assert [caption[slice(*span)] for span in mention.color_spans] == ["BLUE", "Green"]


def test_what_may_be_one_instance_counts_once():
    mentions = find("a red sign. a red and white sign. white signs. a green sign. a red bus")
    assert [(m.thing, len(m.colors)) for m in instances(mentions)] == [("sign", 1), ("sign", 1), ("sign", 1), ("bu", 1)]


@pytest.mark.parametrize(
    ("caption", "rule"),
    [
        ("a man in a red shirt and a man in a blue shirt", None),
        ("a black and white cat", "one_colored_thing"),
        ("a white plate. the white plates", "one_colored_thing"),
        ("a man", "no_color_word"),
        ("!", "empty"),
        ("a black and white photo of a white bus and a black car", "black_and_white_photo"),
    ],
)
def test_a_sample_needs_two_colored_instances(caption, rule):
    assert drop_rule(caption) == rule


@pytest.mark.parametrize("piece", ["a red car, ", "a red car? ", "red ", "is the cup red or white "])
def test_the_time_is_linear_in_any_text(piece):
    assert_linear(drop_rule, piece, "?", size=2_000)
