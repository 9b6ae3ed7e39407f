"""What a visitor is told, whatever happens."""

import html
import logging
import math
from types import SimpleNamespace

import gradio as gr
import pytest

from datasets.words.captions import LONGEST_CAPTION
from scripts import app
from utils.errors import InputError
from webapp import page as pages
from webapp.handling import FAULT
from webapp.limits import Limits
from webapp.page import Page
from webapp.uploads import UploadStore
from webapp.visit_files import NOTHING

SCRIPT = "<script>alert(1)</script>"


class NoVisits:
    copied = 0
    colorizer = SimpleNamespace(tokenizer="words", system=SimpleNamespace(inputs=frozenset()))

    def end(self, visit):
        pass

    def __deepcopy__(self, memo):
        NoVisits.copied += 1
        return self


@pytest.fixture
def told(monkeypatch):
    said = []
    monkeypatch.setattr(pages.gr, "Warning", lambda message, duration: said.append(message))
    return said


@pytest.fixture
def page(tmp_path):
    return Page(NoVisits(), UploadStore(tmp_path, 1000), tmp_path, Limits(), "about")


class Broken:
    """A visit with which nothing can be done."""

    ended = False
    shown = "something"

    def __init__(self, error):
        self.error = error

    def __getattr__(self, name):
        def broken(*values):
            raise self.error

        return broken


@pytest.mark.parametrize(
    "error",
    [OSError("cannot build transform"), KeyError(), RuntimeError(""), MemoryError(), AssertionError(), IndexError("a")],
)
def test_every_fault_is_told_in_a_sentence_and_logged_with_its_traceback(page, told, caplog, error):
    visit = Broken(error)
    for handler, values in (
        (page.color, ("a red ball", 1, visit)),
        (page.make_full_size, (visit,)),
        (page.explain, (visit,)),
    ):
        caplog.clear()
        answer = handler(*values)
        assert [html.unescape(told.pop())] == [FAULT] and not told
        (record,) = caplog.records
        assert record.levelno == logging.ERROR and record.exc_info[1] is error and handler.__name__ in record.message
        assert answer == ({page.ready: None} if handler == page.make_full_size else gr.skip())


def test_what_a_visitor_can_mend_is_told_in_its_words_and_not_logged(page, told, caplog):
    page.color("a red ball", 1, Broken(InputError("<b>.jpg is broken")))
    page.color("a red ball", 1, None)
    assert told == ["&lt;b&gt;.jpg is broken", NOTHING] and not caplog.records


@pytest.mark.parametrize("caption", [None, 7, ["red"], {}, "x" * (LONGEST_CAPTION + 1)])
def test_a_caption_that_is_none_is_told(page, told, caplog, caption):
    page.color(caption, 1, None)
    page.list_words(caption, None)
    assert len(told) == 2 and not caplog.records
    assert (f"{LONGEST_CAPTION:,}" in told[0]) == isinstance(caption, str)


@pytest.mark.parametrize("strength", [None, "1", True, -0.1, 2.1, math.nan, math.inf, [1]])
def test_a_strength_that_is_none_is_told(page, told, caplog, strength):
    page.color("a red ball", strength, None)
    assert told == ["The strength of the colours is between 0 and 2."] and not caplog.records


def test_files_and_examples_and_places_that_there_are_not_are_told(page, told, caplog):
    for file in (None, "a.png", [], {}, {"path": "/etc/passwd"}, {"path": 7}):
        assert page.upload(file, "a red ball", 1, None, None) == {page.file: None}
    for index in (None, -1, 5, True, "0"):
        page.take_example(index, 1, None, None)
    for data in (None, "index", {}, {"index": [1]}, {"index": [1, "a"]}, {"index": [1, math.nan]}, {"index": "ab"}):
        page.panel.point_at(Broken(OSError()), gr.EventData(None, data))
    page.recolor(0, "a red ball", 1, None, gr.EventData(None, None))
    page.recolor(0, "a red ball", 1, None, gr.EventData(page.file, None))
    assert len(told) == 6 + 5 + 7 + 2 and not caplog.records


def test_a_caption_of_colour_words_offers_a_bounded_number_of_them(page, told):
    answer = page.list_words("red " * (LONGEST_CAPTION // 4), 10**9)
    assert len(answer[page.word].choices) == 40 and answer[page.word].value == 39
    assert page.list_words("a ball", 3)[page.palette].visible is False and not told


def test_opening_the_page_copies_no_network(page):
    """The visits hold it, and Gradio copies what the page is made of for everyone who opens it."""
    copy = gr.utils.safe_deepcopy(page.blocks.get_config_file()["components"])
    assert [one["props"]["time_to_live"] for one in copy if one["type"] == "state"] and NoVisits.copied == 0


def test_what_a_visitor_wrote_is_shown_and_not_obeyed():
    told = pages.notes_list(f"{SCRIPT}.jpg", [f"unknown words: {SCRIPT}"])
    assert "<script" not in told and told.count("&lt;script&gt;") == 2


def test_a_long_note_is_cut():
    assert len(pages.notes_list("a.jpg", ["x" * 10_000])) < 400
    assert "x" * 300 + "<" in pages.notes_list("a.jpg", ["x" * 300])


def test_a_visitor_is_told_what_the_network_was_trained_on():
    colorizer = SimpleNamespace(system=SimpleNamespace(img_size=64))
    told = {
        name: app.about(f"checkpoints/{name}.safetensors", colorizer) for name in ("scenes", "lcad_scenes", "photos")
    }
    assert all("64×64" in words for words in told.values())
    assert all("on generated scenes" in told[name] for name in ("scenes", "lcad_scenes"))
    assert "on photographs" in told["photos"] and "trained" not in app.about("mine.pth", colorizer)
