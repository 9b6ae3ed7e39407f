"""The colour vocabulary: where a caption names a colour, and the counter caption of Eq. 15 (Sec. 3.7).

Open in the paper: which words are colours. Ours: every word of `_PLAIN` (and of `_FORMS`: "blues", "reddish",
"redder") in any case, alone or in a hyphen compound ("red-haired"; "blue-green" is two words). Three sorts stay out:

- Words that mostly name a thing in captions (`_THINGS`: rose, wine, cream, navy, ...) count only directly before
  "color", "colored", ... or another colour word ("cream-colored", "olive green"). Tan, gold, silver, khaki and
  lavender are on the other side: in photo captions they nearly always give the colour.
- "oranges" and "greens" are food, "khakis" trousers, "violets" flowers, "blondes" people: no plural for these.
- Fixed phrases whose colour word names a kind and not what one sees: `FALSE_FRIENDS` and, capitalised only, `NAMES`.
- "an orange" that no thing follows ("an orange on a plate", "a slice of orange") is the fruit; in "an orange and white
  cat" and "wearing orange" it is the colour.

"Colorful" and "multicolored" name no colour: nothing could take their place.
"""

import re

import numpy as np

# What a replacement is drawn from. Every other colour word belongs to one of these families.
CHROMATIC = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "turquoise", "tan")
ACHROMATIC = ("black", "white", "gray")

# Left out by find(), in any case, with or without a final s. A plain table: add a line and it holds. A phrase belongs
# here if the thing need not show the colour ("red onion"); "red carpet" or "green bean" do show it and stay colours.
FALSE_FRIENDS = (
    # the words speak of the whole photograph
    *("black and white photo", "black and white photograph", "black and white picture", "black and white image"),
    *("black and white shot", "black and white film", "black and white portrait", "black and white snapshot"),
    # the fruit, not its colour
    *("orange juice", "orange slice", "orange fruit", "orange peel", "orange tree", "orange wedge", "blood orange"),
    *("orange section", "orange segment", "orange half", "orange rind", "orange zest", "orange marmalade"),
    *("navel orange", "mandarin orange"),
    # kinds of food and drink
    *("red wine", "white wine", "red onion", "green onion", "red cabbage", "blue cheese", "red meat", "white meat"),
    *("green tea", "black tea", "white chocolate", "egg white", "brown bread", "white bread", "brown sugar"),
    *("hash brown", "brown rice", "black forest cake"),
    # makers, medals, things with a name of their own
    *("red bull", "gold medal", "silver medal", "gold fish", "silver ware", "tan line", "blue tooth", "blue ray"),
)

# Left out where every word is capitalised: in lower case ("the white house on the hill") they are plain colours.
NAMES = (
    *("white house", "green bay", "red sox", "white sox", "red cross", "red wings", "blue jays", "golden gate"),
    *("gold coast", "orange county", "black friday", "charlie brown", "cleveland browns", "pink floyd"),
    *("red sea", "black sea", "yellow pages", "red robin", "blue angels", "black hawk", "white castle"),
)

# "orange" is the fruit behind one of these and before one of those, unless they lead on to another colour word.
_COUNTING_FRUIT = "an one whole sliced peeled halved"
_FRUIT_PARTS = "half slice slices halves piece pieces peel pile bowl"  # of orange, of an orange
_AFTER_FRUIT = "and or on in with is are was has that which sitting sits being beside by at from next to under cut"

_PLAIN = {  # family: its words; the family's own name is the first
    "red": "red crimson scarlet maroon burgundy",
    "orange": "orange",
    "yellow": "yellow golden gold blond blonde",
    "green": "green",
    "blue": "blue azure indigo cobalt",
    "purple": "purple violet lavender lilac mauve",
    "pink": "pink magenta fuchsia",
    "brown": "brown brunette auburn",
    "turquoise": "turquoise teal aqua cyan",
    "tan": "tan beige khaki",
    "black": "black",
    "white": "white ivory",
    "gray": "gray grey silver",
}
_THINGS = {
    "red": "wine cherry ruby brick rust",
    "orange": "peach apricot tangerine",
    "yellow": "mustard lemon amber honey",
    "green": "olive lime mint emerald",
    "blue": "navy sapphire",
    "purple": "plum",
    "pink": "rose salmon coral",
    "brown": "chocolate caramel coffee bronze copper",
    "tan": "sand sandy",
    "white": "cream pearl",
    "gray": "charcoal",
}
_FORMS = {  # form: family: its words; a word is replaced by the first word of another family in the same form
    "plural": {
        "red": "reds",
        "yellow": "yellows golds",
        "blue": "blues",
        "purple": "purples",
        "pink": "pinks",
        "brown": "browns",
        "tan": "tans",
        "black": "blacks",
        "white": "whites",
        "gray": "grays greys silvers",
    },
    "-ish": {
        "red": "reddish redish",
        "orange": "orangish orangeish",
        "yellow": "yellowish",
        "green": "greenish",
        "blue": "bluish blueish",
        "purple": "purplish purpleish",
        "pink": "pinkish",
        "brown": "brownish",
        "tan": "tannish",
        "black": "blackish",
        "white": "whitish",
        "gray": "grayish greyish",
    },
    "-er": {
        "red": "redder",
        "yellow": "yellower",
        "green": "greener",
        "blue": "bluer",
        "pink": "pinker",
        "brown": "browner",
        "black": "blacker",
        "white": "whiter",
        "gray": "grayer greyer",
    },
}
# Pairs that a picture hardly tells apart: drawing one for the other would make a counter caption that is true.
_NEAR = {frozenset(pair) for pair in (("brown", "tan"), ("turquoise", "blue"), ("turquoise", "green"))}


def _by_word(table: dict[str, str]) -> dict[str, str]:
    return {word: name for name, words in table.items() for word in words.split()}


_REPLACEMENTS = {form: {name: words.split()[0] for name, words in table.items()} for form, table in _FORMS.items()}
_REPLACEMENTS["plain"] = {name: name for name in (*CHROMATIC, *ACHROMATIC)}
_FORM_OF = {word: form for form, table in _FORMS.items() for word in _by_word(table)}
_FAMILY_OF = _by_word(_PLAIN) | _by_word(_THINGS)
for _table in _FORMS.values():
    _FAMILY_OF |= _by_word(_table)

VOCABULARY = tuple(sorted(_FAMILY_OF))
"""Every word and form that find() can hit, lower case."""


_GAP = 3  # most characters between the words of a phrase
_REACH = 2 * max(len(phrase) + _GAP * phrase.count(" ") for phrase in (*FALSE_FRIENDS, *NAMES))  # two that overlap


def _pattern() -> re.Pattern[str]:
    """One alternation of literal words: linear in the caption.

    Ignoring case is for ASCII only, or "ſ" would pass for "s"; the boundaries know all letters and the combining
    accents, so that no part of a word in another script or spelling counts. "_" separates words.
    """
    start, end = r"(?<![^\W_])", r"(?![^\W_]|[\u0300-\u036f])"
    gap = rf"[\s-]{{1,{_GAP}}}"
    phrases = "|".join(phrase.replace(" ", gap) for phrase in FALSE_FRIENDS)
    names = "|".join(form.replace(" ", gap) for name in NAMES for form in (name.title(), name.upper()))
    colors = "|".join([*_by_word(_PLAIN), *_FORM_OF])
    things = "|".join(_by_word(_THINGS))
    before = rf"(?:{_either(_COUNTING_FRUIT)}|{_either(_FRUIT_PARTS)}{gap}of(?:{gap}an?)?)"
    after = rf"(?=\s*(?:[^\w\s,-]|$)|(?:,|{gap}{_either(_AFTER_FRUIT)}{end}))"
    between = rf",?{gap}(?:(?:and|or){gap})?(?:(?:a|an|in|is|light|dark|{things}){gap})?"
    fruit = rf"{before}{gap}orange{end}{after}(?!{between}(?:colou?r(?:s|ed)?|{colors}){end})"
    # Through other things ("cream rose red"): all count or none, so that replacing the last leaves the count as it was.
    proof = rf"(?:{gap}(?:{things}){end})*+{gap}(?:colou?r(?:s|ed)?|{colors}){end}"
    color = rf"(?P<color>(?ai:{colors}|(?:{things})(?={proof})))"
    return re.compile(rf"{start}(?:(?ai:(?:{phrases})s?|{fruit})|(?a:{names})|{color}){end}")


def _either(words: str) -> str:
    return f"(?:{'|'.join(words.split())})"


_PATTERN = _pattern()


def find(caption: str) -> list[tuple[int, int]]:
    """Character spans (start, end) of the colour words, in order, without overlap."""
    return [hit.span("color") for hit in _PATTERN.finditer(caption) if hit["color"] is not None]


def find_false_friends(caption: str) -> list[str]:
    """The phrases of the caption that hold a colour word and name no colour, as they stand there."""
    return [hit[0] for hit in _PATTERN.finditer(caption) if hit["color"] is None]


def family(word: str) -> str:
    """The basic colour of any vocabulary word or form: "grey" -> "gray", "Crimson" -> "red", "blues" -> "blue".

    Judgement calls: blond and gold are yellow, silver is gray, beige and khaki are tan, indigo is blue, magenta pink.
    """
    try:
        return _FAMILY_OF[word.lower()]
    except KeyError:
        raise ValueError(f"{word!r} is not a colour word; see datasets.color_words.VOCABULARY") from None


def replace(caption: str, rng: np.random.Generator) -> str | None:
    """The counter caption of Eq. 15: EVERY colour word drawn anew from the other families; None without a colour word.

    The number of colour words stays, and so does every character outside their spans ("a red" may become "a orange").
    """
    spans = find(caption)
    if not spans:
        return None
    done, copied = "", 0
    for start, end in spans:
        done += caption[copied:start]
        # No phrase reaches further, so a long caption costs linear time. A word that this cuts in two can at most look
        # like a phrase, never hide one.
        before, after = done[-_REACH:], caption[end : end + _REACH]
        words = _others(caption[start:end])
        # "a red tea pot" must not become a false friend ("a green tea pot"), whose colour word would no longer count.
        shuffled = (words[i] for i in rng.permutation(len(words)))
        done += next(word for word in shuffled if (len(before), len(before + word)) in find(before + word + after))
        copied = end
    return done + caption[copied:]


def _others(word: str) -> list[str]:
    """The words of the other families in the form and case of `word`."""
    own = family(word)
    choices = _REPLACEMENTS[_FORM_OF.get(word.lower(), "plain")]
    words = [text for name, text in choices.items() if name != own and frozenset((name, own)) not in _NEAR]
    recase = str.upper if word.isupper() else str.title if word.istitle() else str.lower
    return [recase(text) for text in words]
