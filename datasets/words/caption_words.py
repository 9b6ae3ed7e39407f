"""The kinds of words in captions of photographs, told from the word alone; for `datasets.words.color_phrases`."""

import re
from collections import deque
from typing import NamedTuple

from datasets.words import color_words


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


DETERMINERS = _set(
    "a an the this that these those its it's his her hers their my your our some any each every another both all no "
    "one two three four five six seven eight nine ten several many few various which what who whose other others lots"
)
BE = _set("is are was were be been being isn't aren't look looks seem seems appear appears that's it's")
# No phrase of a noun runs on through one of these.
SMALL = (
    DETERMINERS
    | BE
    | _set(
        "in on at of off to from by with without for as into onto over under above below behind beside besides near "
        "next around about along across through between among amongst inside outside within toward towards against "
        "upon beneath underneath during past like up down out atop amid until after before than via there here while "
        "where when if because so then and or but nor i you he she it we they them him us me not just also only too "
        "together alone away back apart indoors outdoors upright sideways upside asleep awake ready able full open "
        "available nearby someone something everyone himself herself itself themselves can could will would may might "
        "should must do does did has have had sat stood ran held hung seen shown worn drawn put hit got took left ate "
        "flew rode went came laid lies let"
    )
)
_VERBS = _set(
    "sit ride walk hold wear look eat drive hang rest run play take make fly show jump swing stare smile prepare pose "
    "perform watch lean talk sleep graze travel pull throw pass carry wait lay float roam fill line cover surround "
    "touch overlook contain feature display drink catch reach kick cut say read have go move approach sail glide surf "
    "peer face cross stretch lead chew lick gather grow perch balance share try enjoy use stand race spray rub "
    "stick wave sniff"
)
# As often a thing as a verb, without its -s ("a white line", "a red drink").
_VERBS_OR_THINGS = _set(
    "ride walk look rest run play show jump swing watch lay line cover feature display drink catch reach cut read "
    "move face cross stretch lead stand race spray perch balance pass surf stick use graze sail float wave"
)
_THINGS_IN_ING = _set(
    "building painting ceiling clothing wedding awning railing icing frosting string ring wing king thing parking "
    "dining living swing spring sling siding flooring lighting crossing landing bedding piping netting shelving "
    "pudding topping stuffing covering trimming lettering writing drawing earring evening morning serving opening "
    "setting seating shopping bowling boxing racing fishing swimming cutting washing vending plumbing packaging "
    "flowering"
)
_THINGS_IN_ED = _set("bed shed seed weed sled reed bread head thread moped speed breed bobsled")
_ONE_IN_S = _set("bus gas tennis lens christmas cactus walrus octopus canvas sports citrus us this")
ALWAYS_IN_S = _set("pants shorts jeans glasses scissors trousers skis sunglasses clothes headphones overalls tights")
MEASURES = _set(
    "pair pairs piece pieces bunch bunches group groups herd herds set sets slice slices kind kinds type types "
    "variety couple row rows stack pile bundle flock patch patches"
)
COLOR_NOUNS = _set("color colour colors colours colored coloured colord toned tone tinted tint hued hue shade shades")
SHADES = _set("light dark bright pale deep neon pastel solid mostly partly partially completely entirely all very")
_DESCRIBING = (
    COLOR_NOUNS
    | SHADES
    | _set(
        "small large big little long tall shiny fluffy furry shaggy wooden old clean modern new tiny huge plain soft "
        "thick tiled empty wet dirty dry bare"
    )
)
WEARING = _set("in wearing wears wear wore dressed clad clothed")
PLACES = _set("left right top bottom middle center centre front back side corner background foreground")
JOINTS = _set("and or & / n")
_PUNCTUATION = ".,;:!?\"'()[]“”‘’"


def _third_person(verb: str) -> str:
    if verb.endswith("y") and verb[-2] not in "aeo":
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("sh", "ch", "ss", "o")) else "s")


SAYS = (_VERBS - _VERBS_OR_THINGS) | {_third_person(verb) for verb in _VERBS}


class Word(NamedTuple):
    text: str  # lower case, without the punctuation around it
    colors: tuple[tuple[int, int], ...]  # the spans of `color_words.find` in it, in characters of the caption
    ends: str  # the punctuation behind it
    start: int  # of `text` in the caption, in characters
    end: int

    @property
    def color(self) -> bool:
        return bool(self.colors)

    @property
    def small(self) -> bool:
        return self.text in SMALL or not any(map(str.isalpha, self.text))

    @property
    def describes(self) -> bool:
        """Stands before a thing, as a colour does, and is none."""
        return self.text in _DESCRIBING or (self.text.endswith(("ly", "'s", "’s")) and self.text not in BE)

    @property
    def done(self) -> bool:
        """A form of a verb that may also describe: "parked", "flying"."""
        ing = self.text.endswith("ing") and self.text not in _THINGS_IN_ING
        return ing or (self.text.endswith("ed") and self.text not in _THINGS_IN_ED)

    @property
    def thing(self) -> bool:
        return not (self.color or self.small or self.describes or self.done)

    @property
    def plural(self) -> bool:
        return self.text.endswith("s") and not self.text.endswith("ss") and self.text not in _ONE_IN_S


def words_of(caption: str) -> list[Word]:
    spans = deque(color_words.find(caption))
    words = []
    for hit in re.finditer(r"\S+", caption):
        text = hit[0].strip(_PUNCTUATION)
        start = hit.start() + len(hit[0]) - len(hit[0].lstrip(_PUNCTUATION)) if text else hit.start()
        colors = []
        while spans and spans[0][0] < hit.end():
            colors.append(spans.popleft())
        if text.endswith(("'s", "’s")):  # "Blue's toys"
            colors = []
        ends = hit[0][len(hit[0].rstrip(_PUNCTUATION)) :]
        words.append(Word(text.lower(), tuple(colors), ends, start, start + len(text)))
    return words
