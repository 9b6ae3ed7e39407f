"""Which captions make a data set of colours: the rules of extended COCO-Stuff, each with its own count (Sec. 4).

Open in the paper: its recipe was never published; it says that samples whose captions describe no colour are discarded.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from datasets.words import color_words
from preparation.caption_lists import Pair
from utils.log import progress

RULES = {  # the first that holds counts
    "empty": "the caption has no letter",
    "black_and_white_photo": "speaks of a black-and-white, sepia or monochrome photo and names no chromatic colour",
    "false_friend_only": "its only colour words name kinds (orange juice, Red Bull: FALSE_FRIENDS, NAMES, the fruit)",
    "colorful_only": "says colorful, multicolored or colored and names no colour",
    "no_color_word": "names no colour of datasets/words/color_words.py",
    "picture_said_gray": "names a colour, but two or more captions of its picture speak of a photo without colour",
    "repeated": "the picture has the same caption already",
}
SAID_GRAY = 2  # captions that must agree: one alone often speaks of a photograph on the wall

_KIND = r"(?:photo(?:graph|graphy)?|picture|pic|image|shot|film|portrait|snapshot|scene|view|print|still|video)s?"
_GRAY = r"(?:black\W{0,6}(?:(?:and?|n)\W{0,6})?white|b\s?[&/]\s?w|mono\W?chrom\w*|gr[ae]y\W?scale|sepia(?:\W?toned)?)"
_BEFORE = rf"\b{_GRAY}\W+(?:(?:old|vintage|antique|close\W?up|still|aerial|an?|of)\W+){{0,2}}(?:{_KIND}\b|of\b)"
_AFTER = rf"\b{_KIND}\W+(?:(?:is|was|that|which|taken|shot|done|all|entirely|an?|old)\W+){{0,4}}in\W+{_GRAY}\b"
_THING = "".join(f"(?<!{word} )" for word in ("decorated", "dressed", "painted", "tiled", "clad", "wearing"))
_GRAY_PHOTO = re.compile(
    rf"(?:{_BEFORE}|{_AFTER}|{_THING}\bin\W+{_GRAY}\W*$|\bgr[ae]y\W?scale\b|\bsepia\b)", re.IGNORECASE
)
_HINTS = ("white", "mono", "scale", "sepia", "&", "/")  # no match of _GRAY without one of them
_COLORFUL = re.compile(r"colou?r(?:s|ed|ful|fully)?\b|\brainbow\b", re.IGNORECASE)


def drop_rule(caption: str) -> str | None:
    """The rule of RULES by which the caption alone is left out; None where it stays."""
    if not any(character.isalpha() for character in caption):
        return "empty"
    if speaks_of_gray_photo(caption):
        return "black_and_white_photo"
    if color_words.find(caption):
        return None
    if color_words.find_false_friends(caption):
        return "false_friend_only"
    return "colorful_only" if _COLORFUL.search(caption) else "no_color_word"


def speaks_of_gray_photo(caption: str) -> bool:
    """ "A black and white photo of a street" is; "a black and white photo above a red couch" and "cat" are not."""
    lower = caption.lower()
    if not any(hint in lower for hint in _HINTS) or not _GRAY_PHOTO.search(caption):
        return False
    named = {color_words.family(caption[start:end]) for start, end in color_words.find(caption)}
    return not named & set(color_words.CHROMATIC)


def judge(pairs: Iterable[Pair]) -> Iterator[tuple[Pair, str | None]]:
    """Each pair with the rule that drops it; "repeated" is left to `selection.select`."""
    judged = [(pair, drop_rule(pair.caption)) for pair in progress(list(pairs), "rules", "caption")]
    said_gray = Counter(pair.image for pair, rule in judged if rule == "black_and_white_photo")
    for pair, rule in judged:
        yield pair, "picture_said_gray" if rule is None and said_gray[pair.image] >= SAID_GRAY else rule
