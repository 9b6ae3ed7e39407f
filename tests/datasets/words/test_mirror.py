"""A flipped picture must never keep a caption that is true only of the picture as it was."""

import pytest
from conftest import assert_linear

from datasets.words.mirror import mirror


@pytest.mark.parametrize(
    ("caption", "mirrored"),
    [
        ("a red ball to the left of a blue box", "a red ball to the right of a blue box"),
        ("The man on the RIGHT holds Left-hand gloves", "The man on the LEFT holds Right-hand gloves"),
        ("leftmost, upper-left, bottom-right", "rightmost, upper-right, bottom-left"),
        ("a lefthand lane, leftwards, right-handed", "a righthand lane, rightwards, left-handed"),
        ("the left-side door, a left-facing dog", "the right-side door, a right-facing dog"),
        ("from left to right: a dog, a cat", "from right to left: a dog, a cat"),
        ("in the left and right corners", "in the right and left corners"),
        ("the dog on the right behind the fence", "the dog on the left behind the fence"),
        ("the woman's right hand; a dog to the man’s left", "the woman's left hand; a dog to the man’s right"),
        ("a boy looking left", "a boy looking right"),
        ("on the right\n there is a café 🐕", "on the left\n there is a café 🐕"),
    ],
)  # fmt: skip
def test_sides_change_places(caption, mirrored):
    assert mirror(caption) == mirrored
    assert mirror(mirrored) == caption


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "a bright red kite by an upright wright, frightened by a cleft",
        "alright, the leftover cake is brightly lit",
        "a large number of sheep at a stop sign",
        "a man reads a book to the dogs' owner and a girls' team",
    ],
)
def test_other_words_stay(caption):
    assert mirror(caption) == caption


@pytest.mark.parametrize(
    "caption",
    [
        "a dog sits right next to a cat",
        "the dog behind her right in front of the door",
        "a box with its top left open",
        "a tree in the back, left standing",
        "all right",
        "right now a bird has left the tree",
        "the cake that is left, the shoes left on the floor",
        "a man being left alone",
        "nothing is left of the pizza",
        "the left over pizza",
        "the right way to hold it at a right angle",
        "the man has the right of way",
        "they have a right to protest",
        "dogs left paw prints in the snow",
        "that's right",
        "two boards left side by side",
        "turning clockwise, counter-clockwise, anticlockwise",
        "fromright",
        "the lEFT dog",
        # one use that is not a place spoils the caption
        "the dog on the left stands right by the door",
    ],
)
def test_doubtful_sides_forbid_the_flip(caption):
    assert mirror(caption) is None


@pytest.mark.parametrize(
    "caption",
    [
        "a sign that says stop",
        "a sign that reads no parking",
        "a banner above the street reads peace",
        'a "stop" sign',
        "a “closed” shop",
        "a shirt with 'love' on it",
        "the words happy birthday on a cake",
        "white lettering on a blue bus",
        "a player with the number 7",
        "a player numbered 7",
        "player #7",
        "a clock at 10:30",
        "copyright 2017",
    ],
)
def test_writing_forbids_the_flip(caption):
    assert mirror(caption) is None


def test_mirror_is_its_own_inverse():
    """Every frame with either side: both or neither can be flipped."""
    before = ("", "the", "on the", "a", "is", "has", "his", "turn", "just", "the man's", "upper", "from", "top", "to")
    after = (
        "",
        "of",
        "hand",
        "next",
        "behind",
        "way",
        "over",
        "most",
        "side",
        "field",
        "and right",
        "or left",
        "to left",
    )
    seen = set()
    for frame in (f"A dog {a} {{}} {b}." for a in before for b in after):
        for side in ("left", "right", "Left", "RIGHT"):
            mirrored = mirror(frame.format(side))
            seen.add(mirrored is None)
            if mirrored is not None:
                assert mirrored != frame.format(side)
                assert mirror(mirrored) == frame.format(side)
    assert seen == {True, False}


@pytest.mark.parametrize("piece", ["on the left ", "'a", "bright", "left ", "right", "reads ", "’s left ", "photo "])
@pytest.mark.parametrize("ending", ["", "é", " left", "'"])
def test_the_time_is_linear_in_any_text(piece, ending):
    assert_linear(mirror, piece, ending)
