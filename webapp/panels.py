"""The lower part of the page: a map of the photograph that a visitor clicks, and what is told beside it.

Which one a page has goes by what the system reads: the groups of the network, boxes of objects, or the places of the
caption's phrases.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import gradio as gr

from datasets.pictures.drawing import boxed
from utils.errors import InputError
from webapp import marks, regions
from webapp.handling import Values, checked_caption, chosen, known, place_of, told
from webapp.visit import Visit

Show = Callable[[Any, Any, Visit], Values]  # caption, strength, visit -> the photograph in colour, on the page
_MOST_PHRASES = 40  # of a caption that are offered for a place


class Panel:
    label: ClassVar[str]  # of the map
    clearing: ClassVar[str | None] = None  # what is written on the button that takes all marks away

    def __init__(self, show: Show) -> None:
        self.show = show

    def lay_out(self) -> None:
        shown = {"type": "filepath", "interactive": False, "buttons": []}
        self.map = gr.Image(label=self.label, scale=2, min_width=300, elem_id="groups", **shown)
        with gr.Column(scale=3, min_width=300):
            self._lay_out_beside()
            self.words = gr.HTML(elem_id="words")
            self.clear = gr.Button(self.clearing, visible=self.clearing is not None, elem_id="clear")

    def _lay_out_beside(self) -> None:
        """What is above the words."""

    def connect(self, asked: Sequence[Any], result: Sequence[Any], busy: dict[str, Any], light: dict[str, Any]) -> None:
        """asked: components of caption, strength and visit; result: what `show` changes; busy, light: options of events
        that ask the network, and of others."""
        raise NotImplementedError

    def shown(self, visit: Visit) -> Values:
        """What it shows, once there is a result."""
        raise NotImplementedError


class GroupsPanel(Panel):
    """The groups of the network, and which words colour the one that is clicked."""

    label = "Groups of the network"

    def connect(self, asked: Sequence[Any], result: Sequence[Any], busy: dict[str, Any], light: dict[str, Any]) -> None:
        self.map.select(self.point_at, asked[-1], [self.map, self.words], **busy)

    @told()
    def point_at(self, visit: Visit | None, event: gr.EventData) -> Values:
        return self._groups(known(visit), place_of(known(visit), event))

    def shown(self, visit: Visit) -> Values:
        return self._groups(visit, None)

    def _groups(self, visit: Visit, place: tuple[float, float] | None) -> Values:
        explanation, caption = visit.explain()
        if not len(explanation.soft):
            return {self.map: None, self.words: "<p>This network has no groups.</p>"}
        region = None if place is None else regions.region_at(explanation, caption, *place)
        picture = visit.draw(lambda gray: regions.draw_map(explanation, gray, region))
        words = "<p>Click a region of the groups to see which words colour it.</p>"
        if region is not None:
            words = regions.words_table(region, len(explanation.soft))
        return {self.map: str(picture), self.words: words}


_CORNERS = "Click two opposite corners of an object, to colour it on its own."
_CORNER = "Now the opposite corner."


class BoxesPanel(Panel):
    """Objects that are coloured on their own, each by two clicks."""

    label = "Objects that are coloured one by one"
    clearing = "Take all boxes away"

    def connect(self, asked: Sequence[Any], result: Sequence[Any], busy: dict[str, Any], light: dict[str, Any]) -> None:
        self.map.select(self.add_corner, asked, [*result, self.map, self.words], **busy)
        self.clear.click(self.clear_boxes, asked, [*result, self.map, self.words], **busy)

    @told()
    def add_corner(self, caption: str, strength: float, visit: Visit | None, event: gr.EventData) -> Values:
        """With the second corner the object is coloured."""
        visit = known(visit)
        if not visit.add_corner(*place_of(visit, event)):
            return self.shown(visit)
        return self.show(caption, strength, visit) | self.shown(visit)

    @told()
    def clear_boxes(self, caption: str, strength: float, visit: Visit | None) -> Values:
        known(visit).take_boxes([])
        return self.show(caption, strength, visit) | self.shown(visit)

    def shown(self, visit: Visit) -> Values:
        picture = visit.draw(lambda gray: boxed(gray, visit.boxes, visit.corner))
        return {self.map: str(picture), self.words: f"<p>{_CORNERS if visit.corner is None else _CORNER}</p>"}


class PhrasesPanel(Panel):
    """The places of the caption's colour phrases: one is chosen, its object clicked."""

    label = "Places of the phrases"
    clearing = "Take all places away"

    def __init__(self, show: Show, finds_objects: bool) -> None:
        """finds_objects: from a click; else two clicks are a box."""
        super().__init__(show)
        what = "its object" if finds_objects else "two opposite corners of a box around its object"
        self.hint = f"Choose a phrase, then click {what}"

    def _lay_out_beside(self) -> None:
        self.phrase = gr.Radio([], label="Give a place to", visible=False, elem_id="phrase")

    def connect(self, asked: Sequence[Any], result: Sequence[Any], busy: dict[str, Any], light: dict[str, Any]) -> None:
        changed = [*result, self.map, self.words]
        self.map.select(self.place, [self.phrase, *asked], changed, **busy)
        self.clear.click(self.clear_places, asked, changed, **busy)
        asked[0].change(self.list_phrases, [asked[0], self.phrase], self.phrase, trigger_mode="always_last", **light)

    @told()
    def list_phrases(self, caption: str, number: int | None) -> Values:
        labels = marks.labels(checked_caption(caption))[:_MOST_PHRASES]
        choices = [(label, place) for place, label in enumerate(labels)]
        value = chosen(number, len(labels)) if labels else None
        return {self.phrase: gr.Radio(choices, value=value, visible=bool(labels))}

    @told()
    def place(
        self, number: int | None, caption: str, strength: float, visit: Visit | None, event: gr.EventData
    ) -> Values:
        """With a mask for the chosen phrase the photograph is coloured."""
        visit, caption = known(visit), checked_caption(caption)
        phrases = marks.keyed(caption)
        if not phrases:
            raise InputError("The caption gives nothing a colour: write what has which, as in 'a red car'.")
        if not visit.place(caption, chosen(number, len(phrases)), *place_of(visit, event)):
            return self._drawn(visit, caption)
        return self.show(caption, strength, visit) | self._drawn(visit, caption)

    @told()
    def clear_places(self, caption: str, strength: float, visit: Visit | None) -> Values:
        known(visit).clear_places()
        return self.show(caption, strength, visit) | self._drawn(visit, checked_caption(caption))

    def shown(self, visit: Visit) -> Values:
        return self._drawn(visit, visit.shown.caption)

    def _drawn(self, visit: Visit, caption: str) -> Values:
        picture = visit.draw(lambda gray: marks.draw_places(gray, caption, visit.places, visit.corner))
        hint = _CORNER if visit.corner is not None else f"{self.hint}: its colours are drawn there."
        return {self.map: str(picture), self.words: f"<p>{hint}</p>"}
