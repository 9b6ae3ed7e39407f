"""The tables of the colour vocabulary; what they mean in a caption is told by `datasets.words.color_words`.

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
COLOR_NOUNS = _set("color colors colored colour colours coloured toned tinted hued drab")  # "olive drab"

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
    "tan": "tan beige khaki taupe",
    "black": "black",
    "white": "white ivory",
    "gray": "gray grey silver",
}
_THINGS = {  # colours where the rules of `datasets.words.color_words` say so; else what they are named after
    "red": "wine cherry ruby brick rust cranberry",
    "orange": "peach apricot tangerine ginger",
    "yellow": "mustard lemon amber honey",
    "green": "olive lime mint emerald jade",
    "blue": "navy sapphire",
    "purple": "plum eggplant",
    "pink": "rose salmon coral raspberry",
    "brown": "chocolate caramel coffee bronze copper chestnut",
    "tan": "sand sandy camel",
    "white": "cream pearl",
    "gray": "charcoal ash slate",
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


THINGS = frozenset(_by_word(_THINGS))

# What a nuance of THINGS colours where it stands before it ("a navy suit", "a salmon wool jacket"). Nouns of a kind:
_PAINTED = {
    "cloth": (
        "suit suits dress dresses gown gowns robe robes shirt shirts tshirt tshirts tee tees blouse blouses sweater "
        "sweaters pullover jumper cardigan hoodie sweatshirt jersey jerseys vest vests waistcoat jacket jackets coat "
        "coats blazer blazers tuxedo raincoat raincoats parka overcoat cloak cape poncho shawl scarf scarves tie "
        "ties bowtie necktie skirt skirts pant pants trousers jeans shorts slacks khakis leggings tights "
        "stockings sock socks overalls jumpsuit romper onesie bodysuit swimsuit swimsuits bikini bikinis swimwear "
        "trunks wetsuit leotard leotards tutu pajamas pyjamas underwear bra outfit outfits costume costumes clothes "
        "clothing attire garment garments apron kimono sari saree tunic turtleneck polo tank halter camisole hat "
        "hats cap caps beanie bonnet beret hood headband bandana turban veil headscarf glove gloves mitten mittens "
        "shoe shoes boot boots sneaker sneakers sandals heels slippers ribbon ribbons bow sash handbag purse "
        "backpack lipstick polish stripe stripes curtain curtains drape drapes blanket blankets quilt comforter "
        "bedspread duvet bedding sheets pillow pillows cushion cushions pillowcase towel towels rug rugs carpet "
        "carpets carpeting tablecloth upholstery fabric yarn velvet couch couches sofa sofas loveseat armchair "
        "recliner ottoman"
    ),
    "paint": (
        "wall walls door doors ceiling tile tiles floor floors flooring chair chairs stool stools cabinet cabinets "
        "cupboard cupboards dresser headboard shutters awning paint car cars truck trucks van vans bus sedan suv "
        "minivan convertible motorcycle scooter bike bicycle house houses building buildings bag bags belt helmet "
        "umbrella umbrellas parasol surfboard balloon balloons background room bathroom bedroom kitchen clothing "
        "uniform uniforms"
    ),
    "hair": "hair haired fur furred mane beard mustache moustache curls ponytail braids wig eyebrows coat coated",
    "animal": "dog dogs puppy puppies cat cats kitten kittens lab labs labrador retriever poodle spaniel horse horses",
    "top": "top tops",
}
PAINTED: dict[str, frozenset[str]] = {}  # noun: the kinds that it is of
for _kind, _nouns in _PAINTED.items():
    for _noun in _nouns.split():
        PAINTED[_noun] = PAINTED.get(_noun, frozenset()) | {_kind}
PAINTED |= dict.fromkeys(COLOR_NOUNS, frozenset({"cloth"}))  # "in cream and pink color"
_COLORED_BY = {  # kind of noun: the nuances that colour it; cloth takes them all
    "paint": (
        "rust cranberry peach apricot mustard lemon olive lime mint emerald jade navy sapphire plum eggplant rose "
        "salmon coral raspberry caramel cream charcoal ash"
    ),
    "hair": "honey ginger apricot chestnut caramel chocolate copper bronze rust sandy sand ash cream charcoal camel",
    "animal": "cream chocolate caramel chestnut copper rust sand ginger apricot charcoal ash honey",
    "top": "navy coral salmon plum mustard charcoal rust emerald sapphire ruby peach rose wine raspberry mint",
}
COLORS_KIND = {word: frozenset({"cloth"}) for word in THINGS}
for _kind, _words in _COLORED_BY.items():
    for _word in _words.split():
        COLORS_KIND[_word] |= {_kind}
# Not the colour of the second word, but what it is, holds, sells or belongs to.
KINDS_OF = frozenset(
    [
        *("cream truck", "cream trucks", "cream van", "cream vans", "cream house", "cream polish"),
        *("navy building", "navy buildings", "navy house", "navy uniform", "navy uniforms", "navy bus"),
        *("navy truck", "navy trucks", "navy van", "navy cat", "mint building", "mint car", "mint cars", "ash wood"),
        *("coffee house", "lemon car", "lemon cars", "olive cat", "sand cat", "sand cats", "rose bow", "sand shoes"),
    ]
)
HOLDERS = _set("holder holders rack racks hook hooks hanger hangers shop store wash bar")  # a towel holder is no towel
# The second word is no colour behind the first.
KINDS_WITH = frozenset(
    ["ice cream", "whipped cream", "whip cream", "sour cream", "shaving cream", "sun cream", "butter cream"]
)
MODIFIERS = _set(  # may stand between a nuance and what it colours
    "wool woolen woollen cotton silk satin leather suede denim linen knit knitted lace fleece plaid striped "
    "checkered checked patterned print printed polka dot dotted floral flowered embroidered pleated quilted padded "
    "ruffled hooded long short sleeve sleeved sleeveless strapless collared button up down buttoned fitted tight "
    "loose baggy skinny fancy formal casual business three two piece evening wedding bridesmaid prom cocktail party "
    "sun summer winter sport sports tennis baseball football soccer basketball ski swim swimming bath bathing beach "
    "hand rain snow cargo sweat track golf mini maxi knee high ankle cowboy ball bucket throw area window shower bed "
    "t crew neck crop tube sectional upholstered wooden painted metal stucco garage front big large small little old "
    "new bright light dark pale deep soft shiny vintage antique classic modern pickup station sided curly wavy "
    "straight labrador cocker"
)
OPENERS = _set(  # before "navy and white socks", whose first colour does not touch its thing
    "a an the his her its their my your our one two three four in wearing wears wore with light dark pale bright deep"
)
WORN = _set("wearing wears wore painted dyed")  # and what is said behind it is a colour: "wearing navy"
WORN_IN = _set("dressed clad clothed attired painted dyed draped")  # in navy
PEOPLE = _set(  # "a man in navy"
    "man men woman women boy boys girl girls lady ladies guy guys person people child children kid kids bride groom"
)
SHADES_OF = _set("shade shades hue hues tint tints tone tones")  # of plum
BE = _set("is are was were")  # "the walls are cream"
TOLD_ON = _set("light dark bright pale deep soft mostly all very solid and or & both either")
BEHIND_TOLD = _set(  # what may follow "wearing navy" without being what navy colours
    "and or with on in at is are was were while by near beside next who that which but as to from for standing "
    "sitting holding walking"
)
# What makes a colour word say the opposite, and what may stand between.
NEGATIONS = _set(
    "not no without never neither nor non except excluding lacking cannot isnt arent wasnt werent dont doesnt didnt"
)
NEGATED_VERBS = _set("isn aren wasn weren don doesn didn won wouldn shouldn couldn can ain hasn haven hadn")  # 't
NEGATING_PAIRS = frozenset(["rather than", "other than", "instead of", "free of", "anything but"])
BEHIND_NEGATION = _set(
    "a an the any any of his her its their it as so very really at all wearing wear dressed in painted colored "
    "coloured be been being longer quite exactly even light dark bright pale single one more kind of or and to have "
    "has"
)

# Form: the word of each family to replace a word of that form by.
REPLACEMENTS = {form: {name: words.split()[0] for name, words in table.items()} for form, table in _FORMS.items()}
REPLACEMENTS["plain"] = {name: name for name in (*CHROMATIC, *ACHROMATIC)}
FORM_OF = {word: form for form, table in _FORMS.items() for word in _by_word(table)}
FAMILY_OF = _by_word(_PLAIN) | _by_word(_THINGS)
for _table in _FORMS.values():
    FAMILY_OF |= _by_word(_table)
COLORS = frozenset(FAMILY_OF) - THINGS

VOCABULARY = tuple(sorted(FAMILY_OF))
"""Every word and form that `color_words.find` can hit, lower case."""
