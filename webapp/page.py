"""The page: what is where, and what happens when it is used."""

import functools
import html
import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from datasets.pictures.drawing import boxed
from datasets.words.captions import check_caption
from utils.errors import InputError
from webapp import palette, regions
from webapp.limits import Limits, owner_at
from webapp.uploads import UploadStore
from webapp.visits import LIFETIME, NOTHING, Visit, Visits

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).with_name("examples")  # webapp/examples/README.md says where they are from
EXAMPLES = (  # files, and captions
    ("coffee.jpg", "a white cup of coffee on a brown table"),
    ("astronaut.jpg", "a smiling woman in an orange space suit beside a red flag"),
    ("camera.jpg", "a man in a brown coat on green grass under a blue sky"),
    ("scene_leaf_and_hat.png", "in front of a green wall there is a striped turquoise leaf and a striped brown hat"),
    (
        "scene_five_things.png",
        "a checkered orange hat, a blue box, a plain purple ball, a striped green cone and a turquoise cup,"
        " on a brown floor",
    ),
)
TITLE = "Colour a photograph by a sentence"
TITLE_WITHOUT_WORDS = "Colour a photograph"
_CLICK = "Click a region of the groups to see which words colour it."
_CORNERS = "Click two opposite corners of an object, to colour it on its own."
_CORNER = "Now the opposite corner."
FAULT = "That went wrong here, and the server's log says how. Try it again, or with another photograph or caption."
_STALE = "The page and the server do not understand each other; load the page again."
_STRONGEST = 2  # factor of the chroma
_MOST_WORDS = 40  # of a caption that are offered for a change
_WORDS_AT_ONCE = 4  # captions whose colour words are sought at a time

_LONGEST_NOTE = 300  # characters of a note that are shown

Values = dict[Any, Any]  # of components; those left out stay as they are


def _told(*emptied: str) -> Callable[[Callable[..., Values]], Callable[..., Values]]:
    """Whatever keeps a handler from its answer is told to the visitor, and the page stays as it is, but for the
    components `emptied`; what no visitor can mend is logged, too."""

    def decorate(handler: Callable[..., Values]) -> Callable[..., Values]:
        @functools.wraps(handler)
        def telling(page: "Page", *args: Any) -> Values:
            try:
                return handler(page, *args)
            except InputError as error:
                message = str(error)
            except Exception:  # of whichever library, or of ours
                logger.exception("page: %s", handler.__name__)
                message = FAULT
            gr.Warning(html.escape(message), duration=20)  # names of files stand in it
            return {getattr(page, name): None for name in emptied} or gr.skip()

        return telling

    return decorate


class Page:
    """`blocks` is the page; the methods are what happens on it, and take the values that the browser sends."""

    def __init__(self, visits: Visits, uploads: UploadStore, examples: Path, limits: Limits, about: str) -> None:
        """uploads: the only files that a browser may name; examples: served copies of `EXAMPLES`; about: a line on the
        network, for the visitor."""
        self.visits, self.uploads, self.limits = visits, uploads, limits
        self.reads_words = visits.colorizer.tokenizer is not None
        self.by_boxes = "boxes" in visits.colorizer.system.inputs
        title = TITLE if self.reads_words else TITLE_WITHOUT_WORDS
        with gr.Blocks(title=title, analytics_enabled=False) as self.blocks:
            # A function, and no method: Gradio copies the page's settings deeply for everyone who opens it, and with a
            # method the visits, the network and all.
            self.visit = gr.State(time_to_live=LIFETIME, delete_callback=lambda visit: visits.end(visit))
            gr.Markdown(f"# {title}\n{about}")
            with gr.Row():
                with gr.Column(scale=2, min_width=300):
                    self._lay_out_input(examples)
                with gr.Column(scale=3, min_width=300):
                    self._lay_out_result()
            with gr.Row():
                shown = {"type": "filepath", "interactive": False, "buttons": []}
                label = "Objects that are coloured one by one" if self.by_boxes else "Groups of the network"
                self.map = gr.Image(label=label, scale=2, min_width=300, elem_id="groups", **shown)
                with gr.Column(scale=3, min_width=300):
                    self.words = gr.HTML(elem_id="words")
                    self.clear = gr.Button("Take all boxes away", visible=self.by_boxes, elem_id="clear")
            self._connect()

    # ---- what is where

    def _lay_out_input(self, examples: Path) -> None:
        limit = f"at most {self.limits.megapixels:g} megapixels and {self.limits.megabytes:g} MB"
        self.file = gr.File(label=f"Photograph, {limit}", height=120, elem_id="photograph")
        pictures = [[str(examples / file)] for file, _ in EXAMPLES]
        shown = {"components": [gr.Image(render=False, label="Example")], "samples": pictures, "type": "index"}
        self.examples = gr.Dataset(label="Or take an example", elem_id="examples", **shown)
        title, hint = "Caption: what has which colour", "a red balloon above a green house"
        read = {"visible": self.reads_words, "elem_id": "caption"}
        self.caption = gr.Textbox(label=title, placeholder=hint, max_lines=6, **read)
        self.button = gr.Button("Colour it", variant="primary", elem_id="colour")
        self.strength = gr.Slider(0, _STRONGEST, 1, step=0.05, label="Strength of the colours", elem_id="strength")

    def _lay_out_result(self) -> None:
        shown = {"type": "filepath", "interactive": False, "buttons": ["fullscreen"]}
        self.slider = gr.ImageSlider(label="Gray and in colour", slider_position=25, elem_id="result", **shown)
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
        private = {"preprocess": False, "api_visibility": "private"}  # the handlers check what a browser sends
        busy = {"concurrency_id": "network"} | private
        light = {"concurrency_limit": _WORDS_AT_ONCE, "show_progress": "hidden"} | private

        uploaded = self.file.upload(self.upload, [self.file, *asked], [self.file, *shown], **busy)
        chosen = [self.examples, self.strength, self.visit]
        color_it = [self.button.click, self.caption.submit, self.strength.release]
        choices = [swatch.click for swatch in self.swatches]
        for result in (
            uploaded,
            self.examples.click(self.take_example, chosen, [self.caption, *shown], **busy),
            gr.on(color_it, self.color, asked, shown, **busy),
            gr.on(choices, self.recolor, [self.word, *asked], [self.caption, *shown], **busy),
        ):  # the colours do not wait for the groups
            result.success(self.explain, self.visit, [self.map, self.words], **busy)
        if self.by_boxes:
            self.map.select(self.add_corner, asked, [*shown, self.map, self.words], **busy)
            self.clear.click(self.clear_boxes, asked, [*shown, self.map, self.words], **busy)
        else:
            self.map.select(self.point_at, self.visit, [self.map, self.words], **busy)
        words = [self.caption, self.word], [self.palette, self.word]
        self.caption.change(self.list_words, *words, trigger_mode="always_last", **light)
        made = self.download.click(self.make_full_size, self.visit, [self.visit, self.ready], **busy)
        made.success(None, self.ready, js="(file) => file && document.querySelector('#ready').click()")

    # ---- what happens

    @_told("file")
    def upload(
        self, file: dict[str, Any] | None, caption: str, strength: float, visit: Visit | None, request: gr.Request
    ) -> Values:
        """The place for a file is free again, whatever becomes of this one."""
        if not isinstance(file, dict):
            raise InputError(_STALE)
        upload = self.uploads.take(file.get("path"))
        try:
            return {self.file: None} | self._open(upload.path, upload.name, caption, strength, visit, request)
        finally:
            upload.remove()

    @_told()
    def take_example(self, index: int, strength: float, visit: Visit | None, request: gr.Request) -> Values:
        if type(index) is not int or not 0 <= index < len(EXAMPLES):
            raise InputError(_STALE)
        file, caption = EXAMPLES[index]
        caption = caption if self.reads_words else ""
        return {self.caption: caption} | self._open(FOLDER / file, file, caption, strength, visit, request)

    def _open(
        self, path: Path, name: str, caption: str, strength: float, visit: Visit | None, request: gr.Request
    ) -> Values:
        caption, strength = _caption(caption), _strength(strength)
        if visit is None or visit.ended:
            visit = self.visits.begin(owner_at(request.client.host))
        visit.open(path, name, self.limits.megapixels)
        return self._color(caption, strength, visit)

    @_told()
    def color(self, caption: str, strength: float, visit: Visit | None) -> Values:
        return self._color(_caption(caption), _strength(strength), _known(visit))

    @_told()
    def recolor(
        self, word: int | None, caption: str, strength: float, visit: Visit | None, event: gr.EventData
    ) -> Values:
        """`word`: number of the colour word that gets the colour of the button that was clicked, which is its label."""
        caption = _caption(caption)
        words = palette.labels(caption)
        color = getattr(event.target, "value", None)
        if color not in palette.SWATCHES:
            raise InputError(_STALE)
        if words:  # a chosen word may have gone from the list while the browser was asking
            caption = palette.recolored(caption, _chosen(word, words), color)
        return {self.caption: caption} | self._color(caption, _strength(strength), _known(visit))

    def _color(self, caption: str, strength: float, visit: Visit) -> Values:
        gray, colored, notes = visit.color(caption, strength)
        return {
            self.visit: visit,
            self.slider: (str(gray), str(colored)),
            self.notes: notes_list(visit.title, notes),
            self.download: gr.Button(interactive=True),
        }

    @_told()
    def explain(self, visit: Visit | None) -> Values:
        """The groups, once there is a result."""
        if visit is None or visit.shown is None:
            return gr.skip()
        return self._objects(visit) if self.by_boxes else self._groups(visit, None)

    @_told()
    def point_at(self, visit: Visit | None, event: gr.EventData) -> Values:
        """A place of the map was clicked."""
        return self._groups(_known(visit), _place(_known(visit), event))

    @_told()
    def add_corner(self, caption: str, strength: float, visit: Visit | None, event: gr.EventData) -> Values:
        """The same, of a box; with its second corner the object is coloured."""
        visit = _known(visit)
        if not visit.add_corner(*_place(visit, event)):
            return self._objects(visit)
        return self._color(_caption(caption), _strength(strength), visit) | self._objects(visit)

    @_told()
    def clear_boxes(self, caption: str, strength: float, visit: Visit | None) -> Values:
        _known(visit).take_boxes([])
        return self._color(_caption(caption), _strength(strength), visit) | self._objects(visit)

    def _objects(self, visit: Visit) -> Values:
        picture = visit.draw(lambda gray: boxed(gray, visit.boxes, visit.corner))
        return {self.map: str(picture), self.words: f"<p>{_CORNERS if visit.corner is None else _CORNER}</p>"}

    def _groups(self, visit: Visit, place: tuple[float, float] | None) -> Values:
        explanation, caption = visit.explain()
        if not len(explanation.soft):
            return {self.map: None, self.words: "<p>This network has no groups.</p>"}
        region = None if place is None else regions.region_at(explanation, caption, *place)
        picture = visit.draw(lambda gray: regions.draw_map(explanation, gray, region))
        words = f"<p>{_CLICK}</p>" if region is None else regions.words_table(region, len(explanation.soft))
        return {self.map: str(picture), self.words: words}

    @_told()
    def list_words(self, caption: str, word: int | None) -> Values:
        """The colour words of the caption, for the palette."""
        words = palette.labels(_caption(caption))[:_MOST_WORDS]
        choices = [(label, number) for number, label in enumerate(words)]
        chosen = _chosen(word, words) if words else None
        return {self.palette: gr.Column(visible=bool(words)), self.word: gr.Radio(choices, value=chosen)}

    @_told("ready")
    def make_full_size(self, visit: Visit | None) -> Values:
        path, notes = _known(visit).full_size()
        for note in notes:
            gr.Info(html.escape(note), duration=20)
        return {self.ready: str(path), self.visit: visit}


def _known(visit: Visit | None) -> Visit:
    if visit is None:
        raise InputError(NOTHING)
    return visit


def _place(visit: Visit, event: gr.EventData) -> tuple[float, float]:
    """Of a click on the map, in [0, 1]; the browser tells it in pixels of the preview."""
    index = event._data.get("index") if isinstance(event._data, dict) else None
    if not isinstance(index, list) or len(index) != 2 or not all(map(_is_number, index)):
        raise InputError(_STALE)
    x, y = (min(max(place / side, 0.0), 1.0) for place, side in zip(index, visit.preview_size, strict=True))
    return x, y


def _caption(value: Any) -> str:
    """Without halves of characters, which a browser can send and no tokenizer takes."""
    if not isinstance(value, str):
        raise InputError(_STALE)
    return check_caption(value.encode("utf-8", "replace").decode("utf-8"), "the caption")


def _strength(value: Any) -> float:
    if not _is_number(value) or not 0 <= value <= _STRONGEST:
        raise InputError(f"The strength of the colours is between 0 and {_STRONGEST}.")
    return float(value)


def _chosen(word: Any, words: list[str]) -> int:
    """The number of a colour word; the last where there are fewer."""
    return min(max(word, 0), len(words) - 1) if type(word) is int else 0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def notes_list(title: str, notes: Sequence[str]) -> str:
    """What the visitor is told of a result."""
    shortened = (note if len(note) <= _LONGEST_NOTE else note[:_LONGEST_NOTE] + " ..." for note in notes)
    items = "".join(f"<li>{html.escape(note)}</li>" for note in shortened)
    return f"<p>{html.escape(title)}</p><ul>{items}</ul>"
