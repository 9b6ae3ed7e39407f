"""The colour vocabulary: where a caption names a colour, and the counter caption of Eq. 15 (Sec. 3.7).

Open in the paper: which words are colours. Ours, from vocabulary.toml: every plain colour word and form ("blues",
"reddish", "redder") in any case, alone or in a hyphen compound ("red-haired"; "blue-green" is two words). Stay out:

- Words that mostly name a thing in captions ([things]: rose, wine, cream, navy, ...) count only as a nuance: before
  "colored" or a colour, before what they colour, or said of it (`datasets.words.color_nuances`: "olive green", "a navy
  suit", "the walls are cream"). Tan, gold, silver, khaki and lavender are on the other side: in photo captions they
  nearly always give the colour.
- "oranges" and "greens" are food, "khakis" trousers, "violets" flowers, "blondes" people: no plural for these.
- Fixed phrases whose colour word names a kind and not what one sees: `false_friends` and, capitalised only, `names`.
- "an orange" that no thing follows ("an orange on a plate", "a slice of orange") is the fruit; in "an orange and white
  cat" and "wearing orange" it is the colour.

"Colorful" and "multicolored" name no colour: nothing could take their place.

A caption is cut into words once, and each rule looks at a bounded number of them: the time is linear in any text.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from datasets.words import vocabulary as table
from datasets.words.color_nuances import COLOR_NOUNS, Words, named
from datasets.words.vocabulary import ACHROMATIC, CHROMATIC, VOCABULARY

__all__ = ["ACHROMATIC", "CHROMATIC", "VOCABULARY", "family", "find", "find_false_friends", "negations", "replace"]


def _by_first_word(phrases: list[str]) -> dict[str, list[list[str]]]:
    table = defaultdict(list)
    for phrase in sorted(phrases, key=len, reverse=True):
        table[phrase.split()[0]].append(phrase.split())
    return dict(table)


_FRIENDS, _NAMES = (table.TABLES["colors"][kind] for kind in ("false_friends", "names"))
_FRIENDS_FROM, _NAMES_FROM = _by_first_word(_FRIENDS), _by_first_word(_NAMES)
_WORDS, _NEGATION = table.sets("colors"), table.sets("negation")
_STARTS = frozenset({*_FRIENDS_FROM, *_NAMES_FROM, *_WORDS["counting_fruit"], *_WORDS["fruit_parts"]})
_NEGATED_WITHIN = 5  # words between a negation and its colour, and the colour
_LONGEST_PHRASE = max(4, *(len(phrase.split()) for phrase in (*_FRIENDS, *_NAMES)))  # 4: "slice of an orange"


class _Hit(NamedTuple):
    first: int  # words[first:last] of the caption
    last: int
    color: bool  # a colour word, or else a false friend


class _Caption(Words):
    """Its words, and which of them count."""

    def __init__(self, caption: str) -> None:
        super().__init__(caption)
        self.nuances = named(self)

    def scan(self) -> Iterator[_Hit]:
        """The colour words and false friends, in order, without overlap."""
        place = 0
        while place < len(self):
            length = self.false_friend(place)
            if length:
                yield _Hit(place, place + length, False)
            elif self.lower[place] in table.COLORS or self.nuances[place]:
                yield _Hit(place, place + 1, True)
            place += length or 1

    def false_friend(self, place: int) -> int:
        """How many words the false friend has that begins at `place`; 0 where none does."""
        if self.lower[place] not in _STARTS:
            return 0
        for phrase in _FRIENDS_FROM.get(self.lower[place], ()):
            if self._holds(place, phrase):
                return len(phrase)
        for phrase in _NAMES_FROM.get(self.lower[place], ()):
            if self._holds(place, phrase, plural=False):
                written = self.written[place : place + len(phrase)]
                if written in ([word.title() for word in phrase], [word.upper() for word in phrase]):
                    return len(phrase)
        return self._fruit(place)

    def _holds(self, place: int, phrase: list[str], plural: bool = True) -> bool:
        end = place + len(phrase)
        if end > len(self) or not all(self.joined[place : end - 1]) or self.lower[place : end - 1] != phrase[:-1]:
            return False
        return self.lower[end - 1] == phrase[-1] or (plural and self.lower[end - 1] == phrase[-1] + "s")

    def _fruit(self, place: int) -> int:
        """Of "an orange", "slice of orange", "slice of an orange" where they name the fruit."""
        last = place
        if self.lower[place] in _WORDS["fruit_parts"] and self.follows(place) == "of":
            last += 1
            if self.follows(last) in ("a", "an"):
                last += 1
        elif self.lower[place] not in _WORDS["counting_fruit"]:
            return 0
        if self.follows(last) != "orange":
            return 0
        orange = last + 1
        mark = self.behind[orange].lstrip()[:1]
        ends = mark not in ("", "-", "_") or (mark == "" and orange == len(self) - 1)
        if not (ends or self.follows(orange) in _WORDS["after_fruit"]) or self._goes_on_to_color(orange):
            return 0
        return orange - place + 1

    def _goes_on_to_color(self, orange: int) -> bool:
        """ "orange and white", "orange, rose red", "orange in color"."""
        if orange == len(self) - 1 or self.behind[orange].replace("-", " ").strip() not in ("", ","):
            return False
        place = orange + 1
        if self.lower[place] in ("and", "or"):
            if not self.joined[place]:
                return False
            place += 1
        if self.nuances[place]:
            return True
        if self.lower[place] in ("a", "an", "in", "is", "light", "dark") or self.lower[place] in table.THINGS:
            if not self.joined[place]:
                return False
            place += 1
        return self.lower[place] in COLOR_NOUNS or self.lower[place] in table.COLORS

    def negator(self, place: int) -> int | None:
        """The last word of the negation that begins at `place`: "not", "isn't", "rather than"; None where none does."""
        word = self.lower[place]
        if f"{word} {self.follows(place)}" in _NEGATION["pairs"]:
            return place + 1
        if (
            word in _NEGATION["verbs"]
            and self.behind[place] in ("'", "’")
            and self.lower[place + 1 : place + 2] == ["t"]
        ):
            return place + 1
        return place if word in _NEGATION["words"] else None

    def in_false_friend(self, place: int) -> bool:
        starts = range(max(0, place - _LONGEST_PHRASE + 1), place + 1)
        return any(start + self.false_friend(start) > place for start in starts)


def find(caption: str) -> list[tuple[int, int]]:
    """Character spans (start, end) of the colour words, in order, without overlap."""
    words = _Caption(caption)
    return [words.spans[hit.first] for hit in words.scan() if hit.color]


def find_false_friends(caption: str) -> list[str]:
    """The phrases of the caption that hold a colour word and name no colour, as they stand there."""
    words = _Caption(caption)
    return [caption[words.spans[hit.first][0] : words.spans[hit.last - 1][1]] for hit in words.scan() if not hit.color]


def negations(caption: str) -> list[str]:
    """Where the caption says that something does not have a colour, as it stands there: "not orange", "without any
    blue", "isn't green"."""
    words = _Caption(caption)
    colors = {hit.first for hit in words.scan() if hit.color}
    found, done = [], 0
    for start in range(len(words)):
        last = words.negator(start) if start >= done else None
        if last is None:
            continue
        for place in range(last + 1, min(last + 1 + _NEGATED_WITHIN, len(words))):
            if not words.joined[place - 1] or not (place in colors or words.lower[place] in _NEGATION["between"]):
                break
            if place in colors:
                found.append(caption[words.spans[start][0] : words.spans[place][1]])
                done = place + 1
                break
    return found


def family(word: str) -> str:
    """The basic colour of any vocabulary word or form: "grey" -> "gray", "Crimson" -> "red", "blues" -> "blue".

    Judgement calls: blond and gold are yellow, silver is gray, beige and khaki are tan, indigo is blue, magenta pink.
    """
    try:
        return table.FAMILY_OF[word.lower()]
    except KeyError:
        raise ValueError(f"{word!r} is not a colour word; see datasets.words.color_words.VOCABULARY") from None


def replace(caption: str, rng: np.random.Generator) -> str | None:
    """The counter caption of Eq. 15: EVERY colour word drawn anew from the other families; None without a colour word.

    The number of colour words stays, and so does every character outside their spans ("a red" may become "a orange").
    """
    words = _Caption(caption)
    colors = [hit.first for hit in words.scan() if hit.color]
    if not colors:
        return None
    parts, copied = [], 0
    for place in colors:
        start, end = words.spans[place]
        others = _others(words.written[place])
        # "a red tea pot" must not become a false friend ("a green tea pot"), whose colour word would no longer count.
        for choice in rng.permutation(len(others)):
            words.written[place], words.lower[place] = others[choice], others[choice].lower()
            if not words.in_false_friend(place):
                break
        parts += [caption[copied:start], words.written[place]]
        copied = end
    return "".join([*parts, caption[copied:]])


def _others(word: str) -> list[str]:
    """The words of the other families in the form and case of `word`."""
    own = family(word)
    choices = table.REPLACEMENTS[table.FORM_OF.get(word.lower(), "plain")]
    words = [text for name, text in choices.items() if name != own and frozenset((name, own)) not in table.NEAR]
    recase = str.upper if word.isupper() else str.title if word.istitle() else str.lower
    return [recase(text) for text in words]
