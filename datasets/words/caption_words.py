"""The kinds of words in captions of photographs, told from the word alone; for `datasets.words.color_phrases`."""

import re
from collections import deque
from typing import NamedTuple

from datasets.words import color_words
from datasets.words.vocabulary import sets

KINDS = sets("captions")
_SMALL = KINDS["determiners"] | KINDS["be"] | KINDS["small"]
_DESCRIBING = KINDS["color_nouns"] | KINDS["shades"] | KINDS["describing"]
PUNCTUATION = ".,;:!?\"'()[]“”‘’"


def _third_person(verb: str) -> str:
    if verb.endswith("y") and verb[-2] not in "aeo":
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("sh", "ch", "ss", "o")) else "s")


SAYS = (KINDS["verbs"] - KINDS["verbs_or_things"]) | {_third_person(verb) for verb in KINDS["verbs"]}


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
        return self.text in _SMALL or not any(map(str.isalpha, self.text))

    @property
    def describes(self) -> bool:
        """Stands before a thing, as a colour does, and is none."""
        return self.text in _DESCRIBING or (self.text.endswith(("ly", "'s", "’s")) and self.text not in KINDS["be"])

    @property
    def done(self) -> bool:
        """A form of a verb that may also describe: "parked", "flying"."""
        ing = self.text.endswith("ing") and self.text not in KINDS["things_in_ing"]
        return ing or (self.text.endswith("ed") and self.text not in KINDS["things_in_ed"])

    @property
    def thing(self) -> bool:
        return not (self.color or self.small or self.describes or self.done)

    @property
    def plural(self) -> bool:
        return self.text.endswith("s") and not self.text.endswith("ss") and self.text not in KINDS["one_in_s"]


def words_of(caption: str) -> list[Word]:
    spans = deque(color_words.find(caption))
    words = []
    for hit in re.finditer(r"\S+", caption):
        text = hit[0].strip(PUNCTUATION)
        start = hit.start() + len(hit[0]) - len(hit[0].lstrip(PUNCTUATION)) if text else hit.start()
        colors = []
        while spans and spans[0][0] < hit.end():
            colors.append(spans.popleft())
        if text.endswith(("'s", "’s")):  # "Blue's toys"
            colors = []
        ends = hit[0][len(hit[0].rstrip(PUNCTUATION)) :]
        words.append(Word(text.lower(), tuple(colors), ends, start, start + len(text)))
    return words
