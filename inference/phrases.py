"""Colour phrases of captions: a thing with its colours, and the thing alone, as a gray picture shows it.

Which word is the thing of which colour, `datasets.words.color_phrases` tells. A phrase runs from the first to the last
of them: "red double decker bus", "man dressed in black". A colour that is said of a thing behind another ("the car by
the tree is red") is left out: the words between them mean something else.
"""

from collections import defaultdict
from typing import NamedTuple

from datasets.words.caption_words import KINDS, SAYS, Word, words_of
from datasets.words.color_phrases import propose

LONGEST_NOUN = 6  # words, the last ones


class Phrase(NamedTuple):
    start: int  # characters of the caption: [start, end)
    end: int
    noun: str  # the thing without its colours, lower case


def phrases_of(caption: str) -> list[Phrase]:
    """In their order, without overlap; things whose colours nothing names are none."""
    words = words_of(caption)
    colors = defaultdict(list)
    for thing, color in propose(caption):
        colors[thing - 1].append(color - 1)
    phrases = [_phrase(words, thing, own) for thing, own in colors.items()]
    found: list[Phrase] = []
    for phrase in sorted(phrase for phrase in phrases if phrase is not None):
        if not found or found[-1].end <= phrase.start:
            found.append(phrase)
    return found


def _phrase(words: list[Word], thing: int, colors: list[int]) -> Phrase | None:
    before = [color for color in colors if color < thing]
    behind = [color for color in colors if color > thing and not _other_between(words, thing, color, colors)]
    if not before and not behind:
        return None
    start = _noun_start(words, thing, max(before, default=None))
    first = min([start, *before])
    while first > 0 and words[first - 1].text in KINDS["shades"] and not words[first - 1].ends:
        first -= 1
    noun = [word.text for word in words[start : thing + 1] if not word.color][-LONGEST_NOUN:]
    return Phrase(words[first].start, words[max([thing, *behind])].end, " ".join(noun))


def _other_between(words: list[Word], thing: int, color: int, colors: list[int]) -> bool:
    between = range(thing + 1, color)
    return any((words[i].color and i not in colors) or (words[i].thing and words[i].text not in SAYS) for i in between)


def _noun_start(words: list[Word], thing: int, last_color: int | None) -> int:
    """Where the thing's words begin: behind its last colour, or with what describes it."""
    start = thing
    if last_color is not None:
        start = last_color + 1
        while start < thing and words[start].small:
            start += 1
        return start
    while start > 0 and not words[start - 1].ends and (words[start - 1].describes or words[start - 1].thing):
        if words[start - 1].text in SAYS:
            break
        start -= 1
    return start
