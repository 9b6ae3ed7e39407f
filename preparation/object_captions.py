"""Captions of things whose colours were measured, from one thing in a few words to six in sixty.

Short ones read as captions of COCO do, long ones as those of the multi-instance set: phrases strung together, or a
narrative that goes through the picture. Of every colour word it is known where its thing is.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from datasets.regions import Box, Region
from datasets.words import color_words
from preparation.object_colors import SCENERY, Painted, Thing

MOST_WORDS = 62
_NOUNS = {
    "person": ("person", "person", "person", "someone"),
    "airplane": ("airplane", "plane", "jet"),
    "motorcycle": ("motorcycle", "motorbike"),
    "car": ("car", "car", "vehicle"),
    "truck": ("truck", "vehicle"),
    "bus": ("bus", "bus", "vehicle"),
    "couch": ("couch", "sofa"),
    "potted plant": ("plant", "potted plant"),
    "sports ball": ("ball",),
    "cell phone": ("phone", "cell phone"),
    "dining table": ("table", "dining table"),
    "tv": ("tv", "television", "screen"),
    "teddy bear": ("teddy bear", "stuffed animal"),
    "suitcase": ("suitcase", "bag", "luggage"),
    "handbag": ("handbag", "bag", "purse"),
    "backpack": ("backpack", "bag"),
    "refrigerator": ("refrigerator", "fridge"),
    "background": ("background", "wall"),
    "foreground": ("foreground", "ground", "surface"),
}
_WORN = {"upper": ("shirt", "top", "jacket", "shirt", "t-shirt"), "lower": ("pants", "pants", "trousers", "bottoms")}
_PLURALS = {"person": "people", "sheep": "sheep", "knife": "knives", "bus": "buses", "couch": "couches"}
_SYNONYMS = {"gray": "grey", "tan": "beige", "turquoise": "teal"}
_SYNONYM, _SHADE, _SIDE = 0.2, 0.6, 0.45  # how often they are said
_LEFT, _RIGHT = 0.36, 0.64  # middle of a box, from which it is on a side
_MARK = "\x1a"  # stands before every colour word while a caption is made

_SHORT = (  # {0}, {1}: phrases with article
    *("{0}", "{0} in the picture", "there is {0}", "a picture of {0}", "a close up of {0}", "a view of {0}"),
    "this is {0}",
)
_SHORT_TWO = (
    *("{0} and {1}", "{0} next to {1}", "{0} beside {1}", "{0} with {1}", "{0} near {1}", "there is {0} and {1}"),
)
_NARRATIVE = (
    *("in this image there is {0}", "in this picture we can see {0}", "we can see {0}", "there is {0}", "here is {0}"),
    *("this image consists of {0}", "i can see {0}", "in the picture there is {0}", "we see {0}", "also there is {0}"),
)
_LINKS = ("", "", "", "and ", "in the background ", "in front ", "beside it ", "behind it ", "also ", "at the back ")
_WITHOUT_COLOR = (
    *("this is an outdoor view", "the photo was taken during the day", "what is in the picture?", "part of a thing"),
    *("there are some objects", "it is a photograph", "is there a person in the picture?", "edge of an object"),
    *("the shadow on the ground", "a reflection of light", "in the background there are a few things"),
)


class ObjectCaption(NamedTuple):
    text: str
    regions: tuple[Region, ...]  # of its colour words


class _Said(NamedTuple):
    """One thing, or several that look alike."""

    kind: str
    noun: str
    colors: dict[str, tuple[Painted, ...]]  # part -> how each of them is painted there
    side: str  # "left", "right" or ""
    count: int


def write(things: Sequence[Thing], number: int, long: bool, draw: np.random.Generator) -> ObjectCaption | None:
    """A caption that gives colours to at most `number` of the things; None where none has a colour.

    Chromatic colours and large things are named more often. Long captions also name things without a colour.
    """
    said = _gather(things, draw)
    colored, plain = [one for one in said if one.colors], [one for one in said if not one.colors]
    if not colored:
        return None
    weights = np.array([_weight(one) for one in colored])
    number = min(number, len(colored))
    chosen = [colored[i] for i in draw.choice(len(colored), size=number, replace=False, p=weights / weights.sum())]
    boxes: list[list[Box]] = []  # of the colour words, in the order of their marks
    text = _long(chosen, plain, boxes, draw) if long else _short(chosen, boxes, draw)
    return _finished(text, boxes)


def _finished(marked: str, boxes: list[list[Box]]) -> ObjectCaption | None:
    """None where the marked words are not all that `color_words` finds ("an orange on a plate")."""
    starts, text = [], ""
    for part in marked.split(_MARK):
        text += part
        starts.append(len(text))
    if [start for start, _ in color_words.find(text)] != starts[:-1]:
        return None
    regions = (Region(place, *(round(side, 4) for side in box)) for place, of in enumerate(boxes) for box in of)
    return ObjectCaption(text, tuple(regions))


def _gather(things: Sequence[Thing], draw: np.random.Generator) -> list[_Said]:
    """Things of one kind that are painted alike become one in the plural: a word means all of them."""
    groups: dict[tuple, list[Thing]] = {}
    for thing in things:
        look = tuple((part, painted.names) for part, painted in sorted(thing.colors.items()))
        groups.setdefault((thing.kind, look), []).append(thing)
    said = []
    for (kind, _), alike in groups.items():
        noun = str(draw.choice(_NOUNS.get(kind, (kind,))))
        if len(alike) > 1:
            noun = "people" if kind == "person" else _PLURALS.get(noun, noun if noun.endswith("s") else f"{noun}s")
        middles = [(thing.box[0] + thing.box[2]) / 2 for thing in alike]
        side = "left" if max(middles) < _LEFT else "right" if min(middles) > _RIGHT else ""
        colors = {part: tuple(thing.colors[part] for thing in alike) for part in alike[0].colors}
        said.append(_Said(kind, noun, colors, side, len(alike)))
    return said


def _weight(said: _Said) -> float:
    painted = [one for of in said.colors.values() for one in of]
    area = sum((p.box[2] - p.box[0]) * (p.box[3] - p.box[1]) for p in painted)
    chromatic = any(name in color_words.CHROMATIC for p in painted for name in p.names)
    return (area**0.5 + 0.05) * (3.0 if chromatic else 1.0)


def _color(painted: Sequence[Painted], boxes: list[list[Box]], draw: np.random.Generator, toned: bool = False) -> str:
    """ "dark blue", "red and white", "red color"; every colour word marked and its boxes noted."""
    first = painted[0]
    words = [_SYNONYMS.get(name, name) if draw.random() < _SYNONYM else name for name in first.names]
    boxes += [[one.box for one in painted] for _ in words]
    text = " and ".join(_MARK + word for word in words)
    shades = {one.shade for one in painted}
    if len(shades) == 1 and first.shade and draw.random() < _SHADE:
        text = f"{first.shade} {text}"
    return f"{text} {'colored' if draw.random() < 0.3 else 'color'}" if toned and draw.random() < 0.4 else text


def _phrase(said: _Said, boxes: list[list[Box]], draw: np.random.Generator, toned: bool = False) -> str:
    """ "a dark red bus on the left", "two people in blue shirts"."""
    if "" in said.colors:
        text = f"{_color(said.colors[''], boxes, draw, toned)} {said.noun}"
        if said.kind in SCENERY:
            text = text if said.noun in ("grass", "trees", "water") else f"the {text}"
        else:
            text = _counted(text, said)
    else:
        text = _counted(said.noun, said)
        if said.colors:
            text = f"{text} {_clothes(said, boxes, draw, toned)}"
    if said.side and draw.random() < _SIDE:
        text += f" on the {said.side}" + str(draw.choice(("", "", " side")))
    return text


def _clothes(said: _Said, boxes: list[list[Box]], draw: np.random.Generator, toned: bool) -> str:
    wearing = str(draw.choice(("wearing", "in", "with") if said.count == 1 else ("wearing", "in")))
    upper, lower = said.colors.get("upper"), said.colors.get("lower")
    if upper and lower and upper[0].names == lower[0].names:
        both = [*upper, *lower]
        if draw.random() < 0.3:
            return f"dressed in {_color(both, boxes, draw)}"
        return f"{wearing if wearing != 'with' else 'in'} {_color(both, boxes, draw, toned)} clothes"
    worn = []
    for part, painted in (("upper", upper), ("lower", lower)):
        if painted and not (worn and draw.random() < 0.25):
            noun = str(draw.choice(_WORN[part]))
            color = _color(painted, boxes, draw, toned)
            if part == "upper":
                worn.append(f"{color} {noun}s" if said.count > 1 else f"{_a(color)} {noun}")
            else:
                worn.append(f"{color} {noun}")
    return f"{wearing} {' and '.join(worn)}"


def _counted(text: str, said: _Said) -> str:
    if said.count == 1:
        return text if text.startswith("someone") else _a(text)
    return f"{('two', 'three')[said.count - 2] if said.count < 4 else 'several'} {text}"


def _a(text: str) -> str:
    return f"{'an' if text.replace(_MARK, '')[0] in 'aeio' else 'a'} {text}"


def _short(chosen: Sequence[_Said], boxes: list[list[Box]], draw: np.random.Generator) -> str:
    if len(chosen) == 1:
        one = chosen[0]
        if "" in one.colors and draw.random() < 0.2:
            verb = "are" if one.count > 1 or one.noun == "trees" else "is"
            side = f" on the {one.side}" if one.side and draw.random() < _SIDE else ""
            return f"the {one.noun}{side} {verb} {_color(one.colors[''], boxes, draw)}"
        return _filled(_SHORT, one, _phrase(one, boxes, draw), draw)
    phrases = [_phrase(one, boxes, draw) for one in chosen]
    text = str(draw.choice(_SHORT_TWO)).format(*phrases[:2])
    return ", ".join([text, *phrases[2:]])


def _long(chosen: Sequence[_Said], plain: Sequence[_Said], boxes: list[list[Box]], draw: np.random.Generator) -> str:
    narrative = draw.random() < 0.5
    least = int(draw.integers(22, 52))  # words, if there is enough to say
    others: list[_Said | str] = [*plain, *(str(one) for one in draw.permutation(_WITHOUT_COLOR)[:4])]
    others = [others[i] for i in draw.permutation(len(others))]
    queue = list(chosen)
    sentences: list[str] = []
    while queue or (others and _words(sentences) < least):
        other = others and _words(sentences) < least and (not queue or draw.random() < 0.35)
        one = others.pop() if other else queue.pop(0)
        noted = len(boxes)
        sentence = one if isinstance(one, str) else _sentence(one, boxes, draw, narrative)
        if _words([*sentences, sentence]) > MOST_WORDS:
            del boxes[noted:]
            break
        sentences.append(sentence)
    return " ".join(sentence if sentence.endswith("?") else f"{sentence}." for sentence in sentences)


def _sentence(said: _Said, boxes: list[list[Box]], draw: np.random.Generator, narrative: bool) -> str:
    if not narrative:
        if "" in said.colors and draw.random() < 0.35:
            return _short([said], boxes, draw)
        return _phrase(said, boxes, draw)
    phrase = _phrase(said, boxes, draw, toned=True)
    if draw.random() < 0.5:
        return str(draw.choice(_LINKS)) + _filled(_NARRATIVE, said, phrase, draw)
    return f"{draw.choice(_LINKS)}there {'are' if said.count > 1 else 'is'} {phrase}"


def _filled(templates: Sequence[str], said: _Said, phrase: str, draw: np.random.Generator) -> str:
    template = str(draw.choice(templates))
    if said.count > 1:
        template = template.replace(" is ", " are ").replace("this are", "these are")
    return template.format(phrase)


def _words(sentences: Sequence[str]) -> int:
    return sum(len(sentence.split()) for sentence in sentences)
