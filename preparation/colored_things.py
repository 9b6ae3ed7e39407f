"""Which things of a caption have a colour: the rules of the multi-instance data set (Sec. 4).

Open in the paper: its recipe; it asks for "distinctive visual characteristics" of several instances in one picture.

The thing of each colour word is found by `datasets.words.color_phrases`, sentence by sentence. A question gives a
colour only to the thing behind the colour, and none by "or": "is the cup near the white plate?".
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from datasets.words import color_words
from datasets.words.caption_words import words_of
from datasets.words.color_phrases import propose
from preparation.color_captions import speaks_of_gray_photo

RULES = {
    "empty": "the caption has no letter",
    "black_and_white_photo": "speaks of a black-and-white, sepia or monochrome photo and names no chromatic colour",
    "no_color_word": "names no colour of datasets/words/color_words.py",
    "one_colored_thing": "gives a colour to fewer than two things (preparation/colored_things.py)",
}

_SENTENCE = re.compile(r"[^.!?;]+[.!?;]*")


class Mention(NamedTuple):
    """A thing and the colours that the caption gives it. Spans are characters (start, end) of the caption."""

    thing: str  # lower case, without a final s
    colors: frozenset[str]  # families of datasets.color_words
    thing_span: tuple[int, int]
    color_spans: tuple[tuple[int, int], ...]

    def may_be(self, other: "Mention") -> bool:
        """Whether both may speak of one instance: the same word, and one says no colour that the other does not."""
        return self.thing == other.thing and (self.colors <= other.colors or other.colors <= self.colors)


def find(caption: str) -> list[Mention]:
    """The mentions of coloured things, in the order of their first colours."""
    return [
        mention for sentence in _SENTENCE.finditer(caption) for mention in _in_sentence(sentence[0], sentence.start())
    ]


def instances(mentions: Sequence[Mention]) -> list[Mention]:
    """The mentions that surely speak of different instances: the first of each thing and colour."""
    kept: list[Mention] = []
    of_thing: dict[str, list[Mention]] = {}
    for mention in mentions:
        alike = of_thing.setdefault(mention.thing, [])
        if not any(mention.may_be(other) for other in alike):
            alike.append(mention)
            kept.append(mention)
    return kept


def drop_rule(caption: str) -> str | None:
    """The rule of RULES by which the caption is left out; None where it gives colours to at least two instances."""
    if not any(character.isalpha() for character in caption):
        return "empty"
    if speaks_of_gray_photo(caption):
        return "black_and_white_photo"
    if len(instances(find(caption))) >= 2:
        return None
    return "one_colored_thing" if color_words.find(caption) else "no_color_word"


def _in_sentence(sentence: str, offset: int) -> Iterator[Mention]:
    """offset: of the sentence's first character in the caption."""
    words = words_of(sentence)
    colors: dict[int, list[int]] = {}  # place of the thing: of its colour words
    for thing, color in propose(sentence):
        colors.setdefault(thing - 1, []).append(color - 1)
    for place, given in colors.items():
        if sentence.endswith("?"):
            between = [word.text for word in words[given[0] : place]]  # none where the colour is said after its thing
            if not between or "or" in between:
                continue
        spans = [span for color in given for span in words[color].colors]
        families = frozenset(color_words.family(sentence[start:end]) for start, end in spans)
        thing = words[place]
        yield Mention(
            thing.text.removesuffix("s"),
            families,
            (offset + thing.start, offset + thing.end),
            tuple((offset + start, offset + end) for start, end in spans),
        )
