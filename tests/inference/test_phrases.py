"""Which words of a caption are a thing with its colours, and which the thing alone."""

from itertools import pairwise

import pytest

from inference.phrases import LONGEST_NOUN, phrases_of


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a red car and a blue car", [("red car", "car"), ("blue car", "car")]),
        ("a red double decker bus parked here", [("red double decker bus", "double decker bus")]),
        ("A green pair of shoes.", [("green pair of shoes", "pair of shoes")]),
        ("a red and a blue Car", [("red and a blue Car", "car")]),
        ("a white and fluffy cat", [("white and fluffy cat", "fluffy cat")]),
        (
            "a man dressed in black with a dark red hat",
            [("man dressed in black", "man"), ("dark red hat", "hat")],
        ),
        ("a fire truck that is red, and a tree", [("fire truck that is red", "fire truck")]),
        ("a red-haired woman in a dress", [("red-haired woman", "woman")]),
        ("the car by the tree is red", []),  # the tree is not
        ("a bowl of orange juice and two dogs", []),
        ("", []),
    ],
)
def test_phrases_are_found_with_their_colours_and_without(caption, expected):
    assert [(caption[p.start : p.end], p.noun) for p in phrases_of(caption)] == expected


def test_phrases_come_in_order_and_do_not_overlap():
    caption = "a blue box, on a brown floor a plain purple ball that is red and a striped green cone"
    phrases = phrases_of(caption)
    assert len(phrases) == 4
    assert all(one.end <= other.start for one, other in pairwise(phrases))


def test_a_long_noun_keeps_its_last_words():
    (phrase,) = phrases_of("a red " + "toy " * 20 + "truck")
    assert phrase.noun == "toy " * (LONGEST_NOUN - 1) + "truck"
