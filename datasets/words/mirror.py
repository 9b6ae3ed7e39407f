"""The caption of the horizontally flipped picture, so that a flip may augment a picture without a wrong label.

"the dog on the left" becomes "the dog on the right". Where words are not sure to be about the side of the picture the
answer is None and the picture is not flipped: a flip lost costs nothing, a wrong caption does. None stands for

- a bare left or right in no place of the short list in `_is_side`: "right next to", "has left", "all right";
- an idiom (`spoilers`, "right angle") or a sense of turning or side that we do not swap (`_NO_FLIP`);
- writing that the caption speaks of (`_WRITING`): mirrored, it can no longer be read.

Every rule treats left and right alike, so mirror(mirror(caption)) == caption.

Differs: the paper names no flip; this serves an augmentation of ours.
"""

import re

from datasets.words.vocabulary import sets

# Clockwise and its like turn over with the picture; a ship's sides and handed people do so in words we do not have.
_NO_FLIP = re.compile(
    r"""(?aix)
    clockwise | \bo'?\s?clock\b | \bo’clock\b | \b\d{1,2}:\d\d\b
    | \b(starboard | port[ -]side | southpaw | left(y|ies|ie) | right(y|ies|ie) | rights)\b
    | \((l|r|lt|rt)\) | \b(l[ -]to[ -]r | r[ -]to[ -]l)\b
    | \b(left|right)[\s-](of[\s-]way | sides?[\s-](by|up|out|in|down))\b
    """
)

# Captions that quote or name readable writing. Plain "sign", "flag" or "book" says nothing of what is written there.
_WRITING = re.compile(
    r"""(?aix)
    ["“”„«»‘`] | (?<!\w)'[^']+'(?!\w)
    | \b(says? | saying | spell(s|ed|ing)? | writ(es?|ten|ings?) | wrote | letter(s|ed|ing)? | texts? | words? | wording
      | initials? | slogans? | logos? | inscri\w+ | labell?ed | monogram\w* | numerals? | copyright\w* | watermark\w*)\b
    | \breads\b(?!\s*([.,;]|$) | \s+(an?|the|his|her|its|their|to|from|in|on|at|by|with|while|and|aloud|some\w*)\b)
    | \b(that|which)\s+reads?\b
    | \b(signs? | shirts? | t-?shirts? | jerseys? | banners? | posters? | boards? | caps? | hats? | plates? | placards?
      | stickers? | cakes? | buttons? | screens? | billboards?)\s+(read | reads | reading)\b
    | \bnumbered\b | \bnumbers?\b(?!\s+of\b) | \#\s?\d | \bno\.\s?\d
    """
)

# A side inside one word, always a place: "leftmost", "righthand", "upperleft". Longer words come first.
_SIDE_WORD = re.compile(
    r"(?ai)(top|bottom|upper|lower)?(left|right)(most|est|wards?|hand(?:ed|er|ers|side)?|sided?|facing)?(?:['’]s)?"
)
# Words that hold the letters by chance, or a sense that a mirror does not turn over.
_CHANCE = re.compile(
    r"(?:[bfw]|up|out|down|forth|birth|al)right|cleft|^(?:aright$|right(?:eous|ful|ly|ed|ing)|leftovers?$)"
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_POINTERS, _PARTS, _MOVES, _BESIDE, _ADVERBS, _SPOILERS = (
    sets("sides")[name] for name in ("pointers", "parts", "moves", "beside", "adverbs", "spoilers")
)
_SWAP = {"left": "right", "right": "left"}
_SWAP |= {a.title(): b.title() for a, b in _SWAP.items()} | {a.upper(): b.upper() for a, b in _SWAP.items()}


def mirror(caption: str) -> str | None:
    """The caption with left and right exchanged, case kept, or None where the picture should not be flipped.

    A caption that names no side comes back as it is.
    """
    if _NO_FLIP.search(caption) or _WRITING.search(caption):
        return None
    words = list(_WORD.finditer(caption))
    parts, copied = [], 0
    for index, word in enumerate(words):
        text = word[0].lower()
        if not ("left" in text or "right" in text):
            continue
        if text.isascii() and text.isalnum() and _CHANCE.search(text):
            continue
        side = _SIDE_WORD.fullmatch(word[0])
        if side is None or side[2] not in _SWAP:  # a slip of the pen ("fromright"), or a case such as "lEFT"
            return None
        if text in ("left", "right") and not _is_side(caption, words, index):
            return None
        start, end = word.start() + side.start(2), word.start() + side.end(2)
        parts += [caption[copied:start], _SWAP[side[2]]]
        copied = end
    return "".join(parts) + caption[copied:]


def _is_side(caption: str, words: list[re.Match[str]], index: int) -> bool:
    """Whether the bare left or right at `words[index]` is surely a place, judged by the words that touch it."""

    def neighbour(step: int) -> str:
        """The word `step` away in lower case; "" where the caption or a punctuation mark other than "-" ends first."""
        low, high = sorted((index, index + step))
        if low < 0 or high >= len(words):
            return ""
        gaps = (caption[a.end() : b.start()] for a, b in zip(words[low:high], words[low + 1 : high + 1], strict=True))
        return words[index + step][0].lower() if all(not gap.strip().strip("-") for gap in gaps) else ""

    before, after = neighbour(-1), neighbour(1)
    # "from left to right", "left and right"
    if any(neighbour(step) in ("and", "or", "to") and neighbour(2 * step) in ("left", "right") for step in (-1, 1)):
        return True
    if after in _SPOILERS:
        return False
    if before in ("the", "far") or (after in _PARTS and neighbour(2) not in ("print", "prints")):  # who left paw prints
        return True
    if after in _ADVERBS:
        return False
    if before in _POINTERS or (before in _MOVES and after == "") or (before in _BESIDE and after == "of"):
        return True
    # "the man's left", "to the man's left is a dog"; but "that's right" is neither
    owner = before.endswith(("'s", "’s")) and neighbour(-2) != ""
    return owner and (after == "" or neighbour(-3) in ("to", "on", "at", "by"))
