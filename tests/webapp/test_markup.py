"""The page's own HTML."""

import numpy as np

from webapp import markup, palette
from webapp.regions import Region

SCRIPT = "<script>alert(1)</script>"


def region(words):
    return Region(3, 0.25, np.ones((2, 2), bool), words)


def test_what_a_visitor_wrote_is_shown_and_not_obeyed():
    told = markup.notes(f"{SCRIPT}.jpg", [f"unknown words: {SCRIPT}"])
    assert "<script" not in told and told.count("&lt;script&gt;") == 2
    told = markup.words(region([(SCRIPT, 2.0)]), 15)
    assert "<script" not in told and "&lt;script&gt;" in told


def test_a_long_note_is_cut():
    assert len(markup.notes("a.jpg", ["x" * 10_000])) < 400
    assert "x" * 300 + "<" in markup.notes("a.jpg", ["x" * 300])


def test_bars_are_as_long_as_the_changes():
    told = markup.words(region([("red", 20.0), ("hat", 5.04), *[("a", 0.0)] * 20]), 15)
    assert "Group 4 of 15, 25 %" in told
    assert "width:100%" in told and "width:25%" in told and ">20.0<" in told and ">5.0<" in told
    assert told.count("<tr>") == 8


def test_a_region_that_no_word_colours_is_told():
    assert "No word colours it" in markup.words(region([]), 15)
    assert "width:0%" in markup.words(region([("red", 0.0)]), 15)  # nothing is divided by nothing


def test_every_swatch_has_its_colour():
    css = markup.style()
    assert all(f".swatch.{name}::before {{ background: {value} }}" in css for name, value in palette.SWATCHES.items())
    assert "http" not in css and "@import" not in css
