"""The page: what is where, and what happens when it is used."""

import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from utils.errors import InputError
from webapp import palette
from webapp.handling import STALE, Values, checked_caption, checked_count, checked_strength, chosen, known, told
from webapp.layout import EXAMPLES, FOLDER, MOST_VARIANTS, Layout
from webapp.limits import Limits, owner_at
from webapp.panels import BoxesPanel, GroupsPanel, Panel, PhrasesPanel
from webapp.uploads import UploadStore
from webapp.visit import Visit
from webapp.visits import Visits

_MOST_WORDS = 40  # of a caption that are offered for a change
_WORDS_AT_ONCE = 4  # captions whose colour words are sought at a time
_LONGEST_NOTE = 300  # characters of a note that are shown


class Page(Layout):
    """`blocks` is the page; the methods are what happens on it, and take the values that the browser sends."""

    def __init__(self, visits: Visits, uploads: UploadStore, examples: Path, limits: Limits, about: str) -> None:
        """uploads: the only files that a browser may name; examples: served copies of `EXAMPLES`; about: a line on the
        network, for the visitor."""
        self.visits, self.uploads, self.limits = visits, uploads, limits
        reads_words = visits.colorizer.tokenizer is not None
        draws = "seed" in visits.colorizer.system.inputs
        super().__init__(examples, limits, about, reads_words, draws, self._panel(), lambda visit: visits.end(visit))
        with self.blocks:
            self._connect()

    def _panel(self) -> Panel:
        inputs = self.visits.colorizer.system.inputs
        if "boxes" in inputs:
            return BoxesPanel(self.show)
        if "instances" in inputs:
            return PhrasesPanel(self.show, self.visits.segmenter is not None)
        return GroupsPanel(self.show)

    def _connect(self) -> None:
        asked = [self.caption, self.strength, self.visit]
        shown = [self.visit, self.slider, self.notes, self.download, self.drawn]
        private = {"preprocess": False, "api_visibility": "private"}  # the handlers check what a browser sends
        busy = {"concurrency_id": "network"} | private
        light = {"concurrency_limit": _WORDS_AT_ONCE, "show_progress": "hidden"} | private

        variants = [self.variants, self.visit], [self.drawn, self.gallery, self.seed]
        uploaded = self.file.upload(self.upload, [self.file, *asked], [self.file, *shown], **busy)
        example = [self.examples, self.strength, self.visit]
        color_it = [self.button.click, self.caption.submit, self.strength.release]
        choices = [swatch.click for swatch in self.swatches]
        for result in (
            uploaded,
            self.examples.click(self.take_example, example, [self.caption, *shown], **busy),
            gr.on(color_it, self.color, asked, shown, **busy),
            gr.on(choices, self.recolor, [self.word, *asked], [self.caption, *shown], **busy),
        ):  # the colours do not wait for the map
            result.success(self.explain, self.visit, [self.panel.map, self.panel.words], **busy)
            if self.draws:
                result.success(self.vary, *variants, **busy)
        if self.draws:
            self.variants.release(self.vary, *variants, **busy)
            self.seed.input(self.take_variant, [self.seed, *asked], shown, **busy)
        self.panel.connect(asked, shown, busy, light)
        words = [self.caption, self.word], [self.palette, self.word]
        self.caption.change(self.list_words, *words, trigger_mode="always_last", **light)
        made = self.download.click(self.make_full_size, self.visit, [self.visit, self.ready], **busy)
        made.success(None, self.ready, js="(file) => file && document.querySelector('#ready').click()")

    # ---- what happens

    @told("file")
    def upload(
        self, file: dict[str, Any] | None, caption: str, strength: float, visit: Visit | None, request: gr.Request
    ) -> Values:
        """The place for a file is free again, whatever becomes of this one."""
        if not isinstance(file, dict):
            raise InputError(STALE)
        upload = self.uploads.take(file.get("path"))
        try:
            return {self.file: None} | self._open(upload.path, upload.name, caption, strength, visit, request)
        finally:
            upload.remove()

    @told()
    def take_example(self, index: int, strength: float, visit: Visit | None, request: gr.Request) -> Values:
        if type(index) is not int or not 0 <= index < len(EXAMPLES):
            raise InputError(STALE)
        file, caption = EXAMPLES[index]
        caption = caption if self.reads_words else ""
        return {self.caption: caption} | self._open(FOLDER / file, file, caption, strength, visit, request)

    def _open(
        self, path: Path, name: str, caption: str, strength: float, visit: Visit | None, request: gr.Request
    ) -> Values:
        caption, strength = checked_caption(caption), checked_strength(strength)  # before a visit begins
        if visit is None or visit.ended:
            visit = self.visits.begin(owner_at(request.client.host))
        visit.open(path, name, self.limits.megapixels)
        return self.show(caption, strength, visit)

    @told()
    def color(self, caption: str, strength: float, visit: Visit | None) -> Values:
        return self.show(checked_caption(caption), checked_strength(strength), known(visit))

    @told()
    def recolor(
        self, word: int | None, caption: str, strength: float, visit: Visit | None, event: gr.EventData
    ) -> Values:
        """`word`: number of the colour word that gets the colour of the button that was clicked, which is its label."""
        caption = checked_caption(caption)
        words = palette.labels(caption)
        color = getattr(event.target, "value", None)
        if color not in palette.SWATCHES:
            raise InputError(STALE)
        if words:  # a chosen word may have gone from the list while the browser was asking
            caption = palette.recolored(caption, chosen(word, len(words)), color)
        return {self.caption: caption} | self.show(caption, checked_strength(strength), known(visit))

    def show(self, caption: Any, strength: Any, visit: Visit) -> Values:
        """The photograph in colour."""
        gray, colored, notes = visit.color(checked_caption(caption), checked_strength(strength))
        return {
            self.visit: visit,
            self.slider: (str(gray), str(colored)),
            self.notes: notes_list(visit.title, notes),
            self.download: gr.Button(interactive=True),
            self.drawn: gr.Column(visible=False),  # variants of what was shown before
        }

    @told()
    def explain(self, visit: Visit | None) -> Values:
        """The map, once there is a result."""
        if visit is None or visit.shown is None:
            return gr.skip()
        return self.panel.shown(visit)

    @told()
    def vary(self, count: float, visit: Visit | None) -> Values:
        """Pictures of several seeds, once there is a result."""
        count = checked_count(count, MOST_VARIANTS)
        if visit is None or visit.shown is None or count == 1:
            return {self.drawn: gr.Column(visible=False)}
        pictures = [(str(path), f"seed {seed}") for seed, path in enumerate(visit.vary(count))]
        choices = gr.Radio([*range(count)], value=visit.seed if visit.seed in range(count) else None)
        return {self.drawn: gr.Column(visible=True), self.gallery: pictures, self.seed: choices}

    @told()
    def take_variant(self, seed: int, caption: str, strength: float, visit: Visit | None) -> Values:
        """Its seed paints from here on, until there is another photograph."""
        if type(seed) is not int or not 0 <= seed < MOST_VARIANTS:
            raise InputError(STALE)
        known(visit).seed = seed
        return self.show(caption, strength, visit) | {self.drawn: gr.Column(visible=True)}

    @told()
    def list_words(self, caption: str, word: int | None) -> Values:
        """The colour words of the caption, for the palette."""
        words = palette.labels(checked_caption(caption))[:_MOST_WORDS]
        choices = [(label, number) for number, label in enumerate(words)]
        value = chosen(word, len(words)) if words else None
        return {self.palette: gr.Column(visible=bool(words)), self.word: gr.Radio(choices, value=value)}

    @told("ready")
    def make_full_size(self, visit: Visit | None) -> Values:
        path, notes = known(visit).full_size()
        for note in notes:
            gr.Info(html.escape(note), duration=20)
        return {self.ready: str(path), self.visit: visit}


def notes_list(title: str, notes: Sequence[str]) -> str:
    """What the visitor is told of a result."""
    shortened = (note if len(note) <= _LONGEST_NOTE else note[:_LONGEST_NOTE] + " ..." for note in notes)
    items = "".join(f"<li>{html.escape(note)}</li>" for note in shortened)
    return f"<p>{html.escape(title)}</p><ul>{items}</ul>"
