"""The sentences of the scenes.  The counter caption is the same sentence with other colours."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from numpy.typing import NDArray

from datasets.scenes.draws import Draws
from datasets.scenes.layout import PLACES
from datasets.scenes.rules import COLORS
from datasets.scenes.shapes import BACKGROUNDS, SHAPES, TEXTURES

NOUNS = tuple(SHAPES)
TEXTURE_WORDS = {"plain": "plain", "stripes": "striped", "dots": "dotted", "checks": "checkered"}
# {}: "a yellow", or "yellow" where the noun takes no article; then the form that says the colour last
_ON = {
    "ground": ("on {a} ground", "the ground is {}"),
    "wall": ("in front of {a} wall", "the wall is {}"),
    "sky": ("under {a} sky", "the sky is {}"),
    "grass": ("on {} grass", "the grass is {}"),
    "table": ("on {a} table", "the table is {}"),
    "floor": ("on {a} floor", "the floor is {}"),
}
_LEADS = ("", "there is ", "a picture of ")  # what may stand before the list
# Shares of the five sentences: list then background, with each lead; background first; places first; colours last.
_SHARES = (0.3, 0.4, 0.5, 0.65, 0.8)
"""A draw below the first share takes the first sentence, and so on; the rest says the colours last."""


class Sentence(NamedTuple):
    caption: str
    spans: list[tuple[int, int]]  # (N,) the characters that speak of each instance, [0, 0) of one that is not named


def captions(draws: Draws, colors: NDArray) -> Iterator[str]:
    """The caption of each scene, its instances called by `colors` (B, N), indices into COLORS."""
    return (sentence.caption for sentence in sentences(draws, colors))


def sentences(draws: Draws, colors: NDArray) -> Iterator[Sentence]:
    """The same, with the words for each instance."""
    columns = {name: value.tolist() for name, value in draws._asdict().items()}
    for *values, own in zip(*columns.values(), colors.tolist(), strict=True):
        yield _sentence(dict(zip(columns, values, strict=True)), own)


def _sentence(scene: dict, colors: Sequence[int]) -> Sentence:
    """colors: (N,) index into COLORS of every instance."""
    mentioned = [k for k in scene["order"] if scene["named"][k]]
    form = sum(scene["template"] >= share for share in _SHARES)
    if form == 4 and not all(scene["say_place"][k] for k in mentioned):
        form = 0
    things = [_thing(scene, k, COLORS[colors[k]], form) for k in mentioned]
    caption = _joined(scene, things, form)
    spans, end = [(0, 0)] * len(colors), 0
    for k, thing in zip(mentioned, things, strict=True):  # in the order of the sentence
        start = caption.index(thing, end)
        spans[k] = start, (end := start + len(thing))
    return Sentence(caption, spans)


def _joined(scene: dict, things: Sequence[str], form: int) -> str:
    if scene["say_background"]:
        noun, color = BACKGROUNDS[scene["background"]], COLORS[scene["background_color"]]
        before, last = _ON[noun]
        where = before.format(color, a=_article(color))
        if form == 5:
            return _join([*things, last.format(color)])
        if form == 3:
            return f"{where} there is {_join(things)}"
        return f"{_LEADS[form] if form < 3 else ''}{_join(things)}, {where}"
    return f"{_LEADS[form] if form < 3 else ''}{_join(things)}"


def _thing(scene: dict, k: int, color: str, form: int) -> str:
    """The words for instance k."""
    noun = NOUNS[scene["shape"][k]]
    size = ("large" if scene["is_large"][k] else "small") if scene["say_size"] else ""
    texture = TEXTURE_WORDS[TEXTURES[scene["texture"][k]]] if scene["say_texture"][k] else ""
    place = PLACES[scene["place"][k]] if scene["say_place"][k] else ""
    if form == 5:
        return " ".join(filter(None, ("the", size, texture, noun, place, "is", color)))
    thing = " ".join(filter(None, (size, texture, _article(color) if not size + texture else color, noun)))
    thing = thing if not size + texture else f"a {thing}"
    return f"{place} {thing}" if form == 4 else f"{thing} {place}".rstrip()


def _article(color: str) -> str:
    """The colour with its article; no other word of ours begins with a vowel."""
    return f"{'an' if color[0] in 'aeiou' else 'a'} {color}"


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
