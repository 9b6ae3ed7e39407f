"""Which words that name things (rose, wine, navy, ...) name a colour where they stand in a caption.

One of vocabulary.toml's [things] counts

1. directly before "color", "colored", "in color", ... or a colour word, or another of them that does
   ("cream-colored", "olive green", "a cream rose color");
2. before a thing that such a nuance colours, as the tables say, over the words of `modifiers` and other
   colours ("a navy suit", "salmon wool coats", "a cream and brown dog"; not "a navy ship" or "a wine glass");
3. where it is said of such a thing or of a person's clothes and nothing follows that it could belong to ("the walls are
   cream", "a woman dressed in black and coral", "a shade of plum").

Each rule is one pass over the words, forwards or backwards: linear in any text.
"""

import re
from typing import NamedTuple

from datasets.words.vocabulary import COLORS, THINGS, sets

_WORD = re.compile(r"[\w\u0300-\u036f]+")  # accents belong to the word, which is none of ours then
_CLOTH, _PAINT = frozenset({"cloth"}), frozenset({"paint"})
_WORDS = sets("nuances")
COLOR_NOUNS = sets("colors")["nouns"]


def _kinds_of(section: str) -> dict[str, frozenset[str]]:
    """Of each word of a section the tables that hold it."""
    held = sets(section)
    return {word: frozenset(kind for kind in held if word in held[kind]) for word in frozenset().union(*held.values())}


_PAINTED = _kinds_of("painted") | dict.fromkeys(COLOR_NOUNS, _CLOTH)  # nouns; "in cream and pink color"
_COLORED_BY = dict.fromkeys(THINGS, _CLOTH) | {word: _CLOTH | kinds for word, kinds in _kinds_of("colored_by").items()}


class Words:
    """A caption as its words: letters and digits of any script, cut at everything else and at "_"."""

    def __init__(self, caption: str) -> None:
        hits = list(_WORD.finditer(caption.replace("_", " ")))
        self.spans = [hit.span() for hit in hits]
        self.written = [hit[0] for hit in hits]
        self.lower = [word.lower() if word.isascii() else "" for word in self.written]
        ends = [*(start for start, _ in self.spans[1:]), len(caption)][: len(hits)]
        self.behind = [caption[end:following] for (_, end), following in zip(self.spans, ends, strict=True)]
        self.joined = [gap != "" and not gap.replace("-", " ").strip() for gap in self.behind]  # only spaces, hyphens
        if hits:
            self.joined[-1] = False

    def __len__(self) -> int:
        return len(self.lower)

    def before(self, place: int, steps: int = 1) -> str:
        """The word `steps` before `place` where only spaces and hyphens are between; else ""."""
        start = place - steps
        return self.lower[start] if start >= 0 and all(self.joined[start:place]) else ""

    def follows(self, place: int) -> str:
        """The word behind the one at `place` where only spaces and hyphens are between; else ""."""
        return self.lower[place + 1] if self.joined[place] else ""


def named(words: Words) -> list[bool]:
    """For each word, whether it is a nuance that names a colour here."""
    if THINGS.isdisjoint(words.lower):
        return [False] * len(words)
    parts = zip(_before_colors(words), _before_things(words), _told(words), strict=True)
    return [any(rules) for rules in parts]


def _before_colors(words: Words) -> list[bool]:
    """Rule 1. Of nuances in a row all count or none, so that replacing the last leaves the count as it was."""
    leads = [False] * len(words)
    for place in range(len(words) - 2, -1, -1):
        if words.lower[place] in THINGS:
            ahead = words.follows(place)
            in_color = ahead == "in" and words.follows(place + 1) in COLOR_NOUNS
            leads[place] = in_color or ahead in COLOR_NOUNS | COLORS or (ahead != "" and leads[place + 1])
    return leads


class _Ahead(NamedTuple):
    """What the phrase that goes on at a word comes to."""

    thing: str  # a word of [painted]; "" for none
    over_and: bool = False  # "and" or its like stands between


_NOTHING = _Ahead("")


def _before_things(words: Words) -> list[bool]:
    """Rule 2."""
    found = [False] * len(words)
    ahead = _NOTHING  # of the word behind `place`
    for place in range(len(words) - 1, -1, -1):
        if not words.joined[place]:
            ahead = _NOTHING
        word = words.lower[place]
        if word in THINGS:
            found[place] = _colors(word, ahead, words, place)
        elif word in _PAINTED and (word not in _WORDS["modifiers"] or not ahead.thing):
            ahead = _NOTHING if words.follows(place) in _WORDS["holders"] else _Ahead(word)
        elif word in ("and", "or", "n"):
            a_color = words.follows(place) in COLORS or words.follows(place) in THINGS
            ahead = ahead._replace(over_and=True) if a_color else _NOTHING
        elif word not in _WORDS["modifiers"] and word not in COLORS:
            ahead = _NOTHING
    return found


def _colors(nuance: str, ahead: _Ahead, words: Words, place: int) -> bool:
    before = words.before(place)
    if f"{before} {nuance}" in _WORDS["kinds_with"] or f"{nuance} {ahead.thing}" in _WORDS["kinds_of"]:
        return False
    if ahead.over_and and not (before in _WORDS["openers"] or before in COLORS or before in THINGS):
        return False
    return not _COLORED_BY[nuance].isdisjoint(_PAINTED.get(ahead.thing, ()))


def _told(words: Words) -> list[bool]:
    """Rule 3."""
    found = [False] * len(words)
    of: frozenset[str] = frozenset()  # the kinds of the thing of which what follows is said
    for place, word in enumerate(words.lower):
        if place and not words.joined[place - 1] and words.behind[place - 1].strip() != ",":
            of = frozenset()
        if word in THINGS:
            end = not words.joined[place] or words.follows(place) in _WORDS["behind_told"]
            found[place] = end and not of.isdisjoint(_COLORED_BY[word])
        elif word not in COLORS and word not in _WORDS["told_on"]:
            of = _said_of(words, place)
    return found


def _said_of(words: Words, place: int) -> frozenset[str]:
    """The kinds of things of which a colour is said behind the word at `place`."""
    word, before = words.lower[place], words.before(place)
    if (
        word in _WORDS["worn"]
        or (word == "in" and before in _WORDS["worn_in"])
        or (word == "of" and before in _WORDS["shades_of"])
    ):
        return _CLOTH
    if word == "in" and before in _WORDS["people"]:
        return _PAINT
    if word not in _WORDS["be"]:
        return frozenset()
    subject = words.before(place, 2) if before in ("that", "which") else before
    return _PAINTED.get(subject, frozenset())
