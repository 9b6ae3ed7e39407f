"""The page: what is where, and what happens when it is used."""

import functools
import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from utils.errors import InputError
from webapp import markup, palette, regions
from webapp.examples import EXAMPLES
from webapp.limits import Limits
from webapp.visits import LIFETIME, NOTHING, Visit, Visits

TITLE = "Colour a photograph by a sentence"
_CLICK = "Click a region of the groups to see which words colour it."
_CLEANING = 300  # seconds between two looks for uploads that are older than LIFETIME

Values = dict[Any, Any]  # of components; those left out stay as they are


def _told(handler: Callable[..., Values]) -> Callable[..., Values]:
    """What cannot be done is told to the visitor, and the page stays as it is."""

    @functools.wraps(handler)
    def telling(*args: Any) -> Values:
        try:
            return handler(*args)
        except InputError as error:
            _tell(error)
            return gr.skip()

    return telling


def _tell(error: InputError) -> None:
    gr.Warning(html.escape(str(error)), duration=20)  # names of files stand in it


class Page:
    """`blocks` is the page; the methods are what happens on it, and take the values that the browser sends."""

    def __init__(self, visits: Visits, uploads: Path, examples: Path, limits: Limits, about: str) -> None:
        """uploads: the folder that uploaded files come into, and the only one that a browser may name; examples: served
        copies of `EXAMPLES`; about: a line on the network, for the visitor."""
        self.visits = visits
        self.uploads = uploads.resolve()
        self.limits = limits
        with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(_CLEANING, LIFETIME)) as self.blocks:
            self.visit = gr.State(time_to_live=LIFETIME, delete_callback=visits.end)
            gr.Markdown(f"# {TITLE}\n{about}")
            with gr.Row():
                with gr.Column(scale=2, min_width=300):
                    self._lay_out_input(examples)
                with gr.Column(scale=3, min_width=300):
                    self._lay_out_result()
            with gr.Row():
                self.map = gr.Image(
                    label="Groups of the network",
                    type="filepath",
                    interactive=False,
                    buttons=[],
                    scale=2,
                    min_width=300,
                    elem_id="groups",
                )
                with gr.Column(scale=3, min_width=300):
                    self.words = gr.HTML(elem_id="words")
            self._connect()

    # ---- what is where

    def _lay_out_input(self, examples: Path) -> None:
        limit = f"at most {self.limits.megapixels:g} megapixels and {self.limits.megabytes:g} MB"
        self.file = gr.File(label=f"Photograph, {limit}", file_types=["image"], height=120, elem_id="photograph")
        self.examples = gr.Dataset(
            label="Or take an example",
            components=[gr.Image(render=False, label="Example")],
            samples=[[str(examples / example.file)] for example in EXAMPLES],
            type="index",
            elem_id="examples",
        )
        self.caption = gr.Textbox(
            label="Caption: what has which colour",
            placeholder="a red balloon above a green house",
            max_lines=6,
            elem_id="caption",
        )
        self.button = gr.Button("Colour it", variant="primary", elem_id="colour")
        self.strength = gr.Slider(0, 2, 1, step=0.05, label="Strength of the colours", elem_id="strength")

    def _lay_out_result(self) -> None:
        self.slider = gr.ImageSlider(
            label="Gray and in colour",
            type="filepath",
            interactive=False,
            buttons=["fullscreen"],
            slider_position=25,
            elem_id="result",
        )
        self.notes = gr.HTML(elem_id="notes")
        with gr.Column(visible=False, elem_id="palette") as self.palette:
            self.word = gr.Radio([], label="Change the colour of", elem_id="word")
            with gr.Row():
                self.swatches = [gr.Button(color, elem_classes=["swatch", color]) for color in palette.SWATCHES]
        self.download = gr.Button("Download at full size", interactive=False, elem_id="download")
        self.ready = gr.DownloadButton(visible="hidden", elem_id="ready")

    def _connect(self) -> None:
        asked = [self.caption, self.strength, self.visit]
        shown = [self.visit, self.slider, self.notes, self.download]
        busy = {"concurrency_id": "network", "api_visibility": "private"}
        raw = {"preprocess": False}  # a chosen word may have gone from the list while the browser was asking
        light = {"concurrency_limit": None, "api_visibility": "private", "show_progress": "hidden"}

        uploaded = self.file.upload(self.upload, [self.file, *asked], [self.file, *shown], **busy)
        chosen = [self.examples, self.strength, self.visit]
        color_it = [self.button.click, self.caption.submit, self.strength.release]
        choices = [swatch.click for swatch in self.swatches]
        for result in (
            uploaded,
            self.examples.click(self.take_example, chosen, [self.caption, *shown], **busy),
            gr.on(color_it, self.color, asked, shown, **busy),
            gr.on(choices, self.recolor, [self.word, *asked], [self.caption, *shown], **raw, **busy),
        ):  # the colours do not wait for the groups
            result.success(self.explain, self.visit, [self.map, self.words], **busy)
        self.map.select(self.point_at, self.visit, [self.map, self.words], **busy)
        words = [self.caption, self.word], [self.palette, self.word]
        self.caption.change(self.list_words, *words, trigger_mode="always_last", **raw, **light)
        made = self.download.click(self.make_full_size, self.visit, [self.visit, self.ready], **busy)
        made.success(None, self.ready, js="(file) => file && document.querySelector('#ready').click()")

    # ---- what happens

    def upload(self, file: str, caption: str, strength: float, visit: Visit | None) -> Values:
        """The place for a file is free again, whatever becomes of this one."""
        path = Path(file).resolve()
        if not path.is_relative_to(self.uploads):
            raise ValueError(f"{file}: not in {self.uploads}")  # no browser with this page asks for it
        try:
            return {self.file: None} | self._open(path, path.name, caption, strength, visit)
        except InputError as error:
            _tell(error)
            return {self.file: None}

    @_told
    def take_example(self, index: int, strength: float, visit: Visit | None) -> Values:
        example = EXAMPLES[index]
        opened = self._open(example.path, example.file, example.caption, strength, visit)
        return {self.caption: example.caption} | opened

    def _open(self, path: Path, name: str, caption: str, strength: float, visit: Visit | None) -> Values:
        visit = self.visits.begin() if visit is None or visit.ended else visit
        visit.open(path, name, self.limits.megapixels)
        return self._color(caption, strength, visit)

    @_told
    def color(self, caption: str, strength: float, visit: Visit | None) -> Values:
        return self._color(caption, strength, _known(visit))

    @_told
    def recolor(
        self, word: int | None, caption: str, strength: float, visit: Visit | None, event: gr.EventData
    ) -> Values:
        """`word`: number of the colour word that gets the colour of the button that was clicked, which is its label."""
        words = palette.labels(caption)
        if words:
            caption = palette.recolored(caption, min(word or 0, len(words) - 1), event.target.value)
        return {self.caption: caption} | self._color(caption, strength, _known(visit))

    def _color(self, caption: str, strength: float, visit: Visit) -> Values:
        gray, colored, notes = visit.color(_text(caption), strength)
        return {
            self.visit: visit,
            self.slider: (str(gray), str(colored)),
            self.notes: markup.notes(visit.title, notes),
            self.download: gr.Button(interactive=True),
        }

    @_told
    def explain(self, visit: Visit | None) -> Values:
        """The groups, once there is a result."""
        if visit is None or visit.shown is None:
            return gr.skip()
        return self._groups(visit, None)

    @_told
    def point_at(self, visit: Visit | None, event: gr.SelectData) -> Values:
        """A place of the map was clicked; the browser tells it in pixels of the preview."""
        visit = _known(visit)
        x, y = (place / side for place, side in zip(event.index, visit.preview_size, strict=True))
        return self._groups(visit, (x, y))

    def _groups(self, visit: Visit, place: tuple[float, float] | None) -> Values:
        explanation, caption = visit.explain()
        if not len(explanation.soft):
            return {self.map: None, self.words: "<p>This network has no groups.</p>"}
        region = None if place is None else regions.region_at(explanation, caption, *place)
        picture = visit.draw(lambda gray: regions.draw_map(explanation, gray, region))
        words = f"<p>{_CLICK}</p>" if region is None else markup.words(region, len(explanation.soft))
        return {self.map: str(picture), self.words: words}

    def list_words(self, caption: str, word: int | None) -> Values:
        """The colour words of the caption, for the palette."""
        words = palette.labels(caption)
        chosen = min(word or 0, len(words) - 1) if words else None
        choices = [(label, number) for number, label in enumerate(words)]
        return {self.palette: gr.Column(visible=bool(words)), self.word: gr.Radio(choices, value=chosen)}

    def make_full_size(self, visit: Visit | None) -> Values:
        try:
            return {self.ready: str(_known(visit).full_size()), self.visit: visit}
        except InputError as error:
            _tell(error)
            return {self.ready: None}


def _known(visit: Visit | None) -> Visit:
    if visit is None:
        raise InputError(NOTHING)
    return visit


def _text(caption: str) -> str:
    """Without halves of characters, which a browser can send and no tokenizer takes."""
    return caption.encode("utf-8", "replace").decode("utf-8")
