"""The colour words of a sentence, and the sentence with one of them changed."""

import re

from datasets.words import color_words

# What a visitor may choose; style.css says how each looks.
SWATCHES = (
    *("red", "orange", "yellow", "green", "turquoise", "blue", "purple", "pink", "brown", "tan"),
    *("black", "gray", "white"),
)
_WORD = re.compile(r"\w+(?:['-]\w+)*")
_ARTICLE = re.compile(r"(?<!\w)(an?)(\s+)$", re.IGNORECASE)


def labels(caption: str) -> list[str]:
    """Each colour word of the caption with the word behind it, in order: what a visitor chooses from."""
    return [named(caption, start, end) for start, end in color_words.find(caption)]


def named(caption: str, start: int, end: int) -> str:
    """caption[start:end], and the word behind it, which tells one "red" from another."""
    following = _WORD.search(caption, end)
    word = caption[start:end]
    return word if following is None else f"{word} {following[0]}"


def recolored(caption: str, index: int, color: str) -> str:
    """The caption with `color` in place of its colour word number `index`; an article before it is made to fit.

    Where the new word would name a kind and no colour ("green" before "tea"), it is written as "green-colored".
    Raises IndexError where the caption has not so many colour words, ValueError for a colour that is none.
    """
    color_words.family(color)
    spans = color_words.find(caption)
    start, end = spans[index]
    old = caption[start:end]
    new = color.upper() if old.isupper() else color.capitalize() if old[0].isupper() else color
    before = _ARTICLE.sub(lambda article: _article(article[1], new) + article[2], caption[:start])
    for word in (new, f"{new}-colored"):
        changed = before + word + caption[end:]
        if len(color_words.find(changed)) == len(spans):
            break
    return changed


def _article(article: str, word: str) -> str:
    """ "a" or "an" before `word`, as large as `article` is."""
    right = "an" if word[0].lower() in "aeiou" else "a"
    return right.capitalize() if article[0].isupper() else right
