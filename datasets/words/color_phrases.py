"""Which word of a caption is the thing that each colour word colours: pairs for captions that nobody annotated.

Rules on words, without a model: photo captions are short and plain. Positions count the words between spaces from 1.
Against L-CoDer's annotation of 89 COCO captions they have precision 0.94 and recall 0.90 (75 were known when the rules
were written; on the other 14 both are 0.95).

1. The thing stands behind the colour: the last noun before a small word, a verb, a plural's end or a punctuation mark
   ("red double decker BUS parked on ...", "white CUP of tea"). Colours joined by "and", "or", commas or hyphens share
   it, and so does "a red and a blue CAR". "Pair of", "piece of" and their like hand on: "green pair of SHOES".
2. Where none does, the colour is said of something before it: the subject of "is" ("the CAR by the tree is red", "a DOG
   that is brown"), who wears it ("a WOMAN dressed in black", "a MAN in red"), or the noun before "painted red" and
   before "red in color".
3. Else the colour has no pair ("white on its face"). So has any word that `color_words.find` does not count ("orange
   juice", "a black and white photo").

A verb is known by a list, by -ing and -ed before a small word, and by an -s behind a noun of "a" or "an" ("a white bear
rubs against").

No rule looks further than REACH words, so the time is linear in any text.
"""

from typing import NamedTuple

from datasets.words.caption_words import KINDS, SAYS, Word, words_of

REACH = 60  # words; no sentence of a published list has a thing so far from its colour
_HANDS = 3  # "a pair of" that hand a colour on: "a set of pairs of shoes"


class ColorPhrase(NamedTuple):
    """Colours of one thing, next to each other: words[first : last + 1], with what joins them between."""

    first: int
    last: int
    before_thing: bool  # "red car"; else it is said of something before it, or of nothing


def find_phrases(words: list[Word]) -> list[ColorPhrase]:
    """In order, without overlap; every colour word is in one."""
    ones = _ones(words)
    lasts = _last_joined(words, ones)
    found: list[ColorPhrase] = []
    for place, word in enumerate(words):
        if word.color and (not found or place > found[-1].last):
            behind = _behind(words, place, lasts[place], ones[place])
            found.append(ColorPhrase(place, lasts[place], behind is not None))
    return found


def propose(caption: str) -> list[tuple[int, int]]:
    """(object word, colour word) of every colour whose thing the rules find, in the order of the colours."""
    words = words_of(caption)
    ones = _ones(words)
    lasts = _last_joined(words, ones)
    things = {}
    for place, word in enumerate(words):
        if word.color:
            behind = _behind(words, place, lasts[place], ones[place])
            things[place] = _before(words, place, lasts[place]) if behind is None else behind
    return [(thing + 1, color + 1) for color, thing in things.items() if thing is not None]


def _behind(words: list[Word], color: int, last: int, is_one: bool) -> int | None:
    """Rule 1. last: the last colour that shares the thing; is_one: see `_ones`."""
    ahead = words[last + 1] if last + 1 < len(words) else None
    before = next((words[i] for i in _backwards(color - 1) if not words[i].describes), None)
    worn = before is not None and (before.text in KINDS["wearing"] or before.done)
    if ahead is None or (worn and ahead.text in SAYS):  # "a man in black walks", "a bench painted green stands"
        return None
    if words[last].ends and (words[last].ends != "," or worn or not (ahead.describes or ahead.done)):
        return None  # but on through "a pink, flowered dress"
    return _noun(words, last + 1, is_one)


def _backwards(start: int) -> range:
    return range(start, max(-1, start - REACH), -1)


def _last_joined(words: list[Word], ones: list[bool]) -> list[int]:
    """For each colour, the last one of the same thing; of other words, themselves."""
    lasts = list(range(len(words)))
    for place in reversed(lasts[:]):
        following = _joined(words, place, ones[place]) if words[place].color else None
        if following is not None:
            lasts[place] = lasts[following]
    return lasts


def _joined(words: list[Word], color: int, is_one: bool) -> int | None:
    """The next colour of the same thing: "red [, white and] blue", "a red [and a light] blue"."""
    new_article = is_one or (color > 0 and words[color - 1].text == "the")
    for place in range(color + 1, min(color + 5, len(words))):
        if words[place - 1].ends not in ("", ","):
            return None
        if words[place].color:
            return place
        article = words[place].text in ("a", "an", "the", "one") or words[place].describes
        if words[place].text not in KINDS["joints"] | KINDS["shades"] and not (new_article and article):
            return None
    return None


def _ones(words: list[Word]) -> list[bool]:
    """For each word, whether "a" or "an" opens its phrase, so that its thing is a single one."""
    ones = [False] * len(words)
    for place, word in enumerate(words[:-1]):
        if word.text in ("a", "an", "one"):
            ones[place + 1] = True
        elif (not word.small or word.text in KINDS["joints"] | KINDS["shades"]) and word.ends in ("", ","):
            ones[place + 1] = ones[place]
    return ones


def _noun(words: list[Word], start: int, is_one: bool = False) -> int | None:
    """The last noun of the phrase that goes on at `start`, or what it hands on to: from "pair" in "pair of leather
    shoes" to "shoes". None where it holds none."""
    noun = _last_noun(words, start, is_one)
    for _ in range(_HANDS):
        if noun is None or words[noun].text not in KINDS["measures"]:
            break
        if noun + 2 >= len(words) or words[noun + 1].text != "of":
            break
        ahead = range(noun + 2, min(len(words), noun + 2 + REACH))
        counted = next((i for i in ahead if words[i].text not in KINDS["determiners"]), ahead.stop)
        inner = _last_noun(words, counted)
        if inner is None:
            break
        noun = inner
    return noun


def _last_noun(words: list[Word], start: int, is_one: bool = False) -> int | None:
    noun = None
    for place in range(start, min(len(words), start + REACH)):
        word = words[place]
        ahead = words[place + 1] if place + 1 < len(words) and not word.ends else None
        if noun is None and word.text in KINDS["joints"] and ahead is not None and (ahead.describes or ahead.done):
            continue  # "white and fluffy cat"
        if (word.small and not word.text.isdigit()) or (noun is not None and (word.color or word.text in SAYS)):
            break
        if word.done:
            if noun is not None and not (word.text.endswith("ed") and ahead is not None and ahead.thing):
                break  # "a white dog running", "a red car parked on"; "a white snow covered field" goes on
            if ahead is None or ahead.small:
                break
        in_s = word.plural and word.text not in KINDS["always_in_s"]
        if noun is not None and is_one and in_s and ahead is not None and ahead.small:
            break  # "a white bear rubs against"
        if word.thing or (word.text == "light" and (ahead is None or ahead.small)):  # "a red light"
            noun = place
            if word.plural:
                break
        if word.ends:
            break
    return noun


def _before(words: list[Word], color: int, last: int) -> int | None:
    """Rule 2. last: the last colour of the same thing."""

    def passed(place: int) -> bool:
        return words[place].color or words[place].describes or words[place].text in KINDS["joints"] | {"both"}

    place = next((i for i in _backwards(color - 1) if not passed(i)), None)
    if place is None:
        return None
    ahead = [word.text for word in words[last + 1 : last + 3]]
    toned = any(text in KINDS["color_nouns"] for text in ahead)  # "in white color", "red in color"
    pronoun = ahead[:1] in (["one"], ["ones"]) or words[place].text in ("one", "other")  # "a gray one", "one gray"
    told = words[place].text in KINDS["wearing"] or (words[place].text.endswith("ed") and words[place].done)
    if not (told or toned or pronoun or words[place].text in KINDS["be"]):
        return None
    until = max(0, place - REACH)
    while place > until and (words[place].text in KINDS["wearing"] or words[place].describes or words[place].done):
        place -= 1
    if words[place].text in KINDS["be"] and not pronoun:
        return _subject(words, place)
    return _nearest(words, place)


def _nearest(words: list[Word], place: int) -> int | None:
    """The last thing up to `place`, within the sentence."""
    for i in _backwards(place):
        if any(mark in words[i].ends for mark in ".;!?") and i != place:
            return None
        if words[i].thing and words[i].text not in SAYS | KINDS["places"]:
            return i
    return None


def _subject(words: list[Word], be: int) -> int | None:
    """What "is" at `be` speaks of: the noun before "that is", or the first noun of the clause."""
    if words[be].text == "that's" or (be and words[be - 1].text in ("that", "which", "who")):
        return _nearest(words, be - 1)
    start, until = be, max(0, be - REACH)
    while (
        start > until
        and not words[start - 1].ends
        and words[start - 1].text not in ("and", "but", "while", "where", "that")
    ):
        start -= 1
    for i in range(start, be):
        if words[i].thing:
            return _noun(words, i)
    return None
