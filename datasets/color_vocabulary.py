"""The tables of the colour vocabulary; what they mean in a caption is told by `datasets.color_words`.

A plain table each: add a line and it holds. All lower case.
"""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# What a replacement is drawn from. Every other colour word belongs to one of these families.
CHROMATIC = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "turquoise", "tan")
ACHROMATIC = ("black", "white", "gray")

# No colours, with or without a final s. A phrase belongs here if the thing need not show the colour ("red onion"); "red
# carpet" or "green bean" do show it and stay colours.
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

# No colours where every word is capitalised: in lower case ("the white house on the hill") they are plain colours.
NAMES = (
    *("white house", "green bay", "red sox", "white sox", "red cross", "red wings", "blue jays", "golden gate"),
    *("gold coast", "orange county", "black friday", "charlie brown", "cleveland browns", "pink floyd"),
    *("red sea", "black sea", "yellow pages", "red robin", "blue angels", "black hawk", "white castle"),
)

# "orange" is the fruit behind one of these and before one of those, unless they lead on to another colour word.
COUNTING_FRUIT = _set("an one whole sliced peeled halved")
FRUIT_PARTS = _set("half slice slices halves piece pieces peel pile bowl")  # of orange, of an orange
AFTER_FRUIT = _set("and or on in with is are was has that which sitting sits being beside by at from next to under cut")
COLOR_NOUNS = _set("color colors colored colour colours coloured")

_PLAIN = {  # colours wherever they stand. Family: its words; the family's own name is the first
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
_THINGS = {  # colours where the rules of `datasets.color_words` say so; else what they are named after
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
NEAR = {frozenset(pair) for pair in (("brown", "tan"), ("turquoise", "blue"), ("turquoise", "green"))}


def _by_word(table: dict[str, str]) -> dict[str, str]:
    return {word: name for name, words in table.items() for word in words.split()}


# Form: the word of each family to replace a word of that form by.
REPLACEMENTS = {form: {name: words.split()[0] for name, words in table.items()} for form, table in _FORMS.items()}
REPLACEMENTS["plain"] = {name: name for name in (*CHROMATIC, *ACHROMATIC)}
FORM_OF = {word: form for form, table in _FORMS.items() for word in _by_word(table)}
THINGS = frozenset(_by_word(_THINGS))
FAMILY_OF = _by_word(_PLAIN) | _by_word(_THINGS)
for _table in _FORMS.values():
    FAMILY_OF |= _by_word(_table)
COLORS = frozenset(FAMILY_OF) - THINGS

VOCABULARY = tuple(sorted(FAMILY_OF))
"""Every word and form that `color_words.find` can hit, lower case."""
