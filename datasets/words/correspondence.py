"""Object-colour correspondence: which word of a caption is the thing and which word gives its colour.

For systems that learn from it, L-CoDe and L-CoDer, whose matrix (OCCM) it becomes in the batch.

Metadata, in the form in which L-CoDer publishes it, with an entry for every caption of an image, in the order in which
the list of captions has them:

    {image: [[[object word, colour word], ...], ...]}

Positions count the words between spaces from 1; "red-haired" and "hat," are one word each. An object word of 0 says
that the caption names none: the pair is read and gives nothing (L-CoDer's file has three). L-CoDer's captions are in
lower case, without punctuation, rare words left out, cut at 20 words; its positions fit those captions and no others.

B batch; N_L language tokens.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from datasets.words import color_words
from utils.errors import InputError
from utils.text_files import read_json

Pairs = list[tuple[int, int]]
"""(object word, colour word) of one caption, both from 1."""

FORM = "{image: [[[object word, colour word], ...] for every caption]}, positions from 1"
_REMEDY = "pass the metadata of these captions, or write it with scripts/correspondence.py"
_LETTERS = re.compile(r"[^\W\d_]+")


def read(path: Path) -> dict[str, list[Pairs]]:
    """The metadata of every image. Raises InputError where the file is not of this form."""
    content = read_json(path, f"{_REMEDY}; its form is {FORM}")
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: holds no images; its form is {FORM}")
    for image, captions in content.items():
        if not isinstance(captions, list) or not all(isinstance(pairs, list) for pairs in captions):
            raise InputError(f"{path}: {image} has {_short(captions)}; the form is {FORM}")
        for number, pairs in enumerate(captions, 1):
            for pair in pairs:
                if not (isinstance(pair, list) and len(pair) == 2 and all(type(p) is int for p in pair)):
                    raise InputError(f"{path}: {image}, caption {number}: pair {_short(pair)}; the form is {FORM}")
    return {image: [[(o, c) for o, c in pairs] for pairs in captions] for image, captions in content.items()}


def fit(path: Path, metadata: dict[str, list[Pairs]], captioned: Sequence[tuple[str, str]]) -> list[Pairs]:
    """The pairs of every caption of `captioned`, which lists (image, caption); images that it lacks are passed over.

    path: where the metadata lay, for the message. Raises InputError where it does not fit the captions.
    """
    places = defaultdict(list)
    for place, (image, _) in enumerate(captioned):
        places[image].append(place)
    fitted: list[Pairs] = [[] for _ in captioned]
    for image, own in places.items():
        if image not in metadata:
            raise InputError(f"{path}: says nothing of {image}, which has {len(own)} caption(s); {_REMEDY}")
        if len(metadata[image]) != len(own):
            raise InputError(
                f"{path}: {image} has pairs for {len(metadata[image])} caption(s), the list has {len(own)}; {_REMEDY}"
            )
        for number, (place, pairs) in enumerate(zip(own, metadata[image], strict=True), 1):
            caption = captioned[place][1]
            words = caption.split()
            for pair in pairs:
                problem = _problem(words, pair)
                if problem:
                    raise InputError(f"{path}: {image}, caption {number} ({caption!r}): {problem}; {_REMEDY}")
            fitted[place] = [pair for pair in pairs if pair[0]]
    return fitted


def _problem(words: list[str], pair: tuple[int, int]) -> str | None:
    """What is wrong with the pair, in words."""
    thing, color = pair
    if not 0 <= thing <= len(words) or not 1 <= color <= len(words):
        return f"pair {list(pair)} leaves its {len(words)} words, which count from 1"
    if not names_color(words[color - 1]):
        return f"pair {list(pair)} takes word {color}, {words[color - 1]!r}, for a colour"
    return None


def names_color(word: str) -> bool:
    """Whether a colour may stand at this word: a vocabulary word, alone or in a compound, or "colorful" and its like.

    "Colorful" and "multicolored" are no colours of `color_words`, but L-CoDer's annotators gave them things.
    """
    parts = _LETTERS.findall(word.lower())
    return any(part in _VOCABULARY or "color" in part or "colour" in part for part in parts)


_VOCABULARY = frozenset(color_words.VOCABULARY)


def matrices(captions: Sequence[str], pairs: Sequence[Pairs], offsets: Sequence[Sequence[tuple[int, int]]]) -> Tensor:
    """(B, N_L, N_L) bool: [b, i, j] where token j gives the colour of the object that token i belongs to.

    offsets: of every caption, the characters (start, end) of each of its N_L tokens; (0, 0) of marks and padding. Of a
    word in several tokens all take part but its punctuation; of a compound's ("red-haired") those of its colours give
    the colour and the others are the thing. A token that was cut off takes part in nothing.
    """
    length = len(offsets[0])
    matrix = torch.zeros(len(captions), length, length, dtype=torch.bool)
    for b, (caption, own) in enumerate(zip(captions, pairs, strict=True)):
        if not own:
            continue
        words = [hit.span() for hit in re.finditer(r"\S+", caption)]
        colors = color_words.find(caption)
        for thing, color in own:
            rows = _tokens(caption, words[thing - 1], offsets[b])
            columns = _tokens(caption, words[color - 1], offsets[b])
            rows = [i for i in rows if not _touch(offsets[b][i], colors)] or rows
            columns = [j for j in columns if _touch(offsets[b][j], colors)] or columns
            for i in rows:
                matrix[b, i, columns] = True
    return matrix


def _tokens(caption: str, word: tuple[int, int], offsets: Sequence[tuple[int, int]]) -> list[int]:
    """The tokens with a letter or digit that lie in the word."""
    inside = [i for i, (start, end) in enumerate(offsets) if word[0] <= start < end <= word[1]]
    return [i for i in inside if any(map(str.isalnum, caption[slice(*offsets[i])]))]


def _touch(token: tuple[int, int], spans: list[tuple[int, int]]) -> bool:
    return any(start < token[1] and token[0] < end for start, end in spans)


def _short(value: Any) -> str:
    return str(value)[:100]
