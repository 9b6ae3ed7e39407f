"""Descriptions of three levels, made of one caption: complete, partial, scarce (L-CAD).

    complete   the caption as it is
    partial    some of its colours, at least one, are not told: "a red cube left of a blue ball" -> "a red cube left of
               a ball". A caption that tells the colour of one thing alone stays as it is
    scarce     no colour is told, the things are: "a cube left of a ball"

Open in the paper: how its descriptions of the lower levels were made. Its claim is that colours of objects which the
description leaves out come from the prior, so what is dropped here are colours, in whole phrases ("light blue", "red,
white and blue", "dressed in black"), and not the objects.

What is dropped is drawn by a hash of the scarce caption: the same on every machine and in every order, and the same
phrases for two captions that differ in their colours alone. The rules are those of `datasets.words.color_phrases`; the
time is linear in any text. They keep the sentence whole where they can: "the car is red" becomes "the car is there",
"white on its face" becomes "color on its face", "an orange cat" becomes "a cat".
"""

import hashlib
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from datasets.words.caption_words import KINDS, PUNCTUATION, Word, words_of
from datasets.words.color_nuances import COLOR_NOUNS
from datasets.words.color_phrases import ColorPhrase, find_phrases

LEVELS = ("complete", "partial", "scarce")

_SOUNDS_LIKE_A_CONSONANT = ("uni", "use", "usu", "one", "once", "eu", "ute")
_SOUNDS_LIKE_A_VOWEL = ("hour", "honest", "honor", "heir")


class _Kept(NamedTuple):
    """A word of the caption, without its punctuation, as it comes again: characters [start, end) of either."""

    start: int
    end: int
    new_start: int
    new_end: int


class Description(NamedTuple):
    """A caption at a level, and where its words are from."""

    caption: str
    kept: tuple[_Kept, ...] | None = None  # None: it is the caption itself

    def moved(self, start: int, end: int) -> tuple[int, int] | None:
        """Where the words of the complete caption's characters [start, end) stand; None where none of them is left."""
        if self.kept is None:
            return start, end
        own = [word for word in self.kept if word.start < end and word.end > start]
        return (own[0].new_start, own[-1].new_end) if own else None


def describe(caption: str, level: str) -> Description:
    """level: of LEVELS."""
    if level == "complete":
        return Description(caption)
    words = words_of(caption)
    phrases = find_phrases(words)
    if not phrases:
        return Description(caption)
    scarce = _without(caption, words, phrases, range(len(phrases)))
    if level == "scarce":
        return scarce
    if len(phrases) == 1:
        return Description(caption)
    seed = hashlib.sha256(scarce.caption.lower().encode()).digest()
    draw = np.random.default_rng(list(seed))
    count = int(draw.integers(1, len(phrases)))
    return _without(caption, words, phrases, draw.permutation(len(phrases))[:count].tolist())


class _Cut(NamedTuple):
    """words[start:end] go, and `text` stands for them."""

    start: int
    end: int
    text: str = ""
    inside: bool = True  # of a phrase that goes on: the punctuation goes too


def _without(
    caption: str, words: Sequence[Word], phrases: Sequence[ColorPhrase], dropped: Collection[int]
) -> Description:
    """The caption without some of its colour phrases, words a space apart."""
    cuts = [_cut(words, phrases[place]) for place in sorted(dropped)]
    pieces: list[str] = []
    origins: list[tuple[int, int, int]] = []  # of each piece: its word in the caption, and where it begins in the piece
    done = 0
    for cut in cuts:
        start = max(cut.start, done)
        _keep(caption, words, range(done, start), pieces, origins)
        done = max(cut.end, start)
        ends = "" if cut.inside else words[done - 1].ends
        if cut.text:
            pieces.append(cut.text + ends)
            origins.append((words[start].start, words[done - 1].end, 0))
        elif pieces and cut.inside and start and words[start - 1].describes:
            pieces[-1] = pieces[-1].rstrip(",")  # "a fluffy, white dog"
        elif pieces and not cut.inside:
            pieces[-1] = pieces[-1].rstrip(",") + ("" if pieces[-1].endswith(tuple(".;:!?")) else ends)
        _fit_article(pieces, words[done].text if not cut.text and done < len(words) else cut.text)
    _keep(caption, words, range(done, len(words)), pieces, origins)
    if pieces and caption.lstrip()[:1].isupper():
        pieces[0] = pieces[0][:1].upper() + pieces[0][1:]
    kept, length = [], 0
    for piece, (start, end, before) in zip(pieces, origins, strict=True):
        bare = len(piece.rstrip(PUNCTUATION)) - before
        kept.append(_Kept(start, end, length + before, length + before + max(bare, 0)))
        length += len(piece) + 1
    return Description(" ".join(pieces), tuple(kept))


def _keep(
    caption: str, words: Sequence[Word], places: range, pieces: list[str], origins: list[tuple[int, int, int]]
) -> None:
    """With the punctuation around each word."""
    for place in places:
        start = words[place].start
        while start > 0 and not caption[start - 1].isspace():
            start -= 1
        end = words[place].end
        while end < len(caption) and not caption[end].isspace():
            end += 1
        pieces.append(caption[start:end])
        origins.append((words[place].start, words[place].end, words[place].start - start))


def _fit_article(pieces: list[str], following: str) -> None:
    """ "a" or "an" at the end of the pieces, as the word behind it wants it."""
    if not pieces or pieces[-1].lower() not in ("a", "an") or not following:
        return
    vowel = following.startswith(tuple("aeiou")) and not following.startswith(_SOUNDS_LIKE_A_CONSONANT)
    article = "an" if vowel or following.startswith(_SOUNDS_LIKE_A_VOWEL) else "a"
    pieces[-1] = pieces[-1][0] + article[1:]


def _cut(words: Sequence[Word], phrase: ColorPhrase) -> _Cut:
    """What goes with the colours of a phrase: shades before them, "colored" and "in color" behind, and, where no thing
    stands behind, the words that say the colour of something before."""
    start, end = phrase.first, phrase.last + 1
    while end < len(words) and not words[end - 1].ends and words[end].text in COLOR_NOUNS:
        end += 1
    if not words[end - 1].ends and [word.text for word in words[end : end + 2]][:1] == ["in"]:
        end += 2 * (end + 1 < len(words) and words[end + 1].text in COLOR_NOUNS)
    while start > 0 and words[start - 1].text in KINDS["shades"] and not words[start - 1].ends:
        start -= 1
    return _cut_inside(words, start, end) if phrase.before_thing else _cut_told(words, start, end)


def _cut_inside(words: Sequence[Word], start: int, end: int) -> _Cut:
    """Of a colour before its thing, with the "and" that joins it to another property of that thing."""
    if start > 1 and _joins(words[start - 1]) and (words[start - 2].describes or words[start - 2].done):
        return _Cut(start - 1, end)
    if end + 1 < len(words) and _joins(words[end]) and (words[end + 1].describes or words[end + 1].done):
        return _Cut(start, end + 1)
    return _Cut(start, end)


def _cut_told(words: Sequence[Word], start: int, end: int) -> _Cut:
    """Of a colour behind its thing, or of none."""
    before = words[start - 1] if start else None
    if end < len(words) and words[end].text in ("one", "ones"):  # "and a red one"
        return _Cut(start - (before is not None and before.text in ("a", "an")), end)
    if before is not None and before.ends == ",":  # "a dog, brown and white, on grass"
        return _Cut(start, end, inside=False)
    if before is None or before.ends:
        return _Cut(start, end, "color", inside=False)
    if start > 1 and _joins(before) and words[start - 2].describes:  # "is large and white"
        return _Cut(start - 1, end, inside=False)
    if before.text in KINDS["be"]:
        if start > 1 and words[start - 2].text in ("that", "which", "who"):
            return _Cut(start - 2, end, inside=False)
        if before.text == "that's":
            return _Cut(start - 1, end, inside=False)
        if end + 1 < len(words) and _joins(words[end]) and words[end + 1].describes:  # "is white and large"
            return _Cut(start, end + 1)
        return _Cut(start, end, "there", inside=False)
    told = start
    while told > 0 and not words[told - 1].ends and _tells(words[told - 1]):
        told -= 1
    if told == start:
        return _Cut(start, end, "color" if before.small else "", inside=False)  # "with white on its face", "glows red"
    after_be = told > 0 and words[told - 1].text in KINDS["be"]  # "a man is dressed in black"
    return _Cut(told, end, "there" if after_be else "", inside=False)


def _joins(word: Word) -> bool:
    return word.text in KINDS["joints"]


def _tells(word: Word) -> bool:
    """ "dressed in", "painted"."""
    return word.text in KINDS["wearing"] or (word.done and word.text.endswith("ed"))
