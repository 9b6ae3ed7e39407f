"""The colour words that the page offers, and the sentence with one of them changed."""

import re

import pytest
from conftest import ROOT

from datasets.words import color_words
from webapp import palette


def test_every_swatch_is_a_colour_that_the_vocabulary_knows():
    assert set(palette.SWATCHES) == {*color_words.CHROMATIC, *color_words.ACHROMATIC}


def test_a_colour_word_is_offered_with_the_word_behind_it():
    assert palette.labels("a red ball beside a red-haired man in red") == ["red ball", "red haired", "red"]
    assert palette.labels("red wine on the table 🙂") == []


@pytest.mark.parametrize(
    ("caption", "index", "color", "expected"),
    [
        ("a red ball and a red cup", 1, "blue", "a red ball and a blue cup"),
        ("a red ball and a red cup", 0, "orange", "an orange ball and a red cup"),
        ("An orange cup", 0, "green", "A green cup"),
        ("RED cars, Red cars", 0, "blue", "BLUE cars, Red cars"),
        ("RED cars, Red cars", 1, "blue", "RED cars, Blue cars"),
        ("a red-haired man", 0, "black", "a black-haired man"),
        ("the piano is red", 0, "orange", "the piano is orange"),
        ("Pasta red", 0, "orange", "Pasta orange"),
        ("a light  blue sky", 0, "tan", "a light  tan sky"),
    ],
)
def test_only_the_chosen_word_changes_and_its_article(caption, index, color, expected):
    assert palette.recolored(caption, index, color) == expected


def test_a_word_that_would_stop_being_a_colour_is_written_so_that_it_is_one():
    changed = palette.recolored("a red tea pot", 0, "green")
    assert changed == "a green-colored tea pot"
    assert palette.recolored(changed, 0, "blue") == "a blue-colored tea pot"
    assert palette.labels(changed) == ["green colored"]


def test_what_cannot_be_changed_is_refused():
    with pytest.raises(IndexError):
        palette.recolored("a ball", 0, "red")
    with pytest.raises(ValueError, match="mud"):
        palette.recolored("a red ball", 0, "mud")


def test_every_swatch_has_its_colour():
    css = (ROOT / "webapp" / "style.css").read_text()
    assert all(
        re.search(rf"\.swatch\.{name}::before {{ background: #[0-9a-f]{{6}} }}", css) for name in palette.SWATCHES
    )
    assert "http" not in css and "@import" not in css
