"""The counter caption of Eq. 15 must change every colour of the caption and nothing else."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from conftest import assert_linear
from tokenizers import BertWordPieceTokenizer

from datasets.words.color_words import family, find, find_false_friends, negations, replace
from datasets.words.vocabulary import ACHROMATIC, CHROMATIC, TABLES, VOCABULARY

NUANCES = ("olive", "navy", "salmon", "rose", "plum", "coral", "cream", "charcoal", "rust", "wine", "mustard", "camel")


def _a(word):
    return "an" if word[0] in "aeo" else "a"


def colors(caption):
    return [caption[start:end] for start, end in find(caption)]


def counter(caption, seed=0):
    return replace(caption, np.random.default_rng(seed))


def outside(caption):
    """The pieces between the colour words."""
    edges = [0, *(edge for span in find(caption) for edge in span), len(caption)]
    return [caption[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)]


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A red-haired girl, dark-blue sky; a blue-green/white boat", ["red", "blue", "blue", "green", "white"]),
        ("Grey cat, GRAY cat, an orange CRIMSON one", ["Grey", "GRAY", "orange", "CRIMSON"]),
        (
            "reddish blues and whites, a redder bluish red's edge",
            ["reddish", "blues", "whites", "redder", "bluish", "red"],
        ),
        ("a tanned bored greyhound in a redwood, covered in credit and blackberries, goldfish", []),
        ("olive green, cream-colored, rust coloured, peach color", ["olive", "green", "cream", "rust", "peach"]),
        ("a cream sandy rose color", ["cream", "sandy", "rose"]),
        ("a rose, wine, lime and cream on a peach by the navy officer", []),
        ("oranges and greens in khakis", []),
        ("orange juice, Red Bull, green  onions, brown-bread, black and white photos", []),
        ("the White House, a white house and a red bullet", ["white", "red"]),
        ("red\u0301 r\u0435d éred redé 红red赤 🟥red🟥 ſilver", ["red"]),  # accents, Cyrillic, CJK, emoji, long s
        ("e\u0301red, cream redé, lime colorés, red_wine", ["red"]),
        ("red     wine, orange\u00a0juice, an orange , a pear, one orange ,", []),
        ("an orange,red and white sign", ["orange", "red", "white"]),
    ],
)
def test_find(caption, expected):
    assert colors(caption) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        *((f"a woman in {_a(nuance)} {nuance} suit", [nuance]) for nuance in NUANCES),
        *((f"{nuance.title()} silk dresses, {_a(nuance)} {nuance} and blue cap", None) for nuance in NUANCES),
        *((f"a chair with {nuance} on a plate, {nuance} of the trees", []) for nuance in NUANCES),
        ("a cream and brown dog by a navy and white striped shirt", ["cream", "brown", "navy", "white"]),
        (
            "a chestnut horse, a chocolate lab, ginger hair, a sandy-haired man",
            ["chestnut", "chocolate", "ginger", "sandy"],
        ),
        ("the walls are cream. a hat that is mustard and a dress; the car is navy", ["cream", "mustard", "navy"]),
        (
            "a woman dressed in black and coral, a man in olive, a girl wearing plum and holding a rose",
            ["black", "coral", "olive", "plum"],
        ),
        (
            "houses in cream and brown color, a pillow which is cream in color, olive drab",
            ["cream", "brown", "cream", "olive"],
        ),
        ("a shade of plum, the door painted salmon", ["plum", "salmon"]),
        ("an orange and navy shirt", ["orange", "navy"]),
        ("a plate of salmon, salmon steak and grilled salmon on a table", []),
        ("olive oil, an olive tree, a pizza with olive toppings in the Olive Garden", []),
        ("a navy ship, navy planes, navy officers, a navy uniform, a man in the navy", []),
        ("a rose garden, rose petals, a rose in her hair, the sun rose", []),
        ("a glass of wine, wine glasses, a wine bottle in a wine cabinet, a wine bar", []),
        ("a coffee cup on a coffee table by the coffee maker of a coffee shop", []),
        ("an ice cream truck, ice cream cones, cream cheese, sour cream, whipped cream shirts", []),
        ("a brick wall, a brick house, a brick floor, a bronze statue, a copper pot, a pearl necklace", []),
        ("chocolate cake, honey bees, a plum tree, a coral reef, a charcoal grill, mint leaves, a lime", []),
        ("wine and cheese on a chair, salmon and white napkins, mustard and a hat", ["white"]),
        ("people in sand, a sandy beach, a rust mark, a bronze towel holder, the ash tray", []),
    ],
)
def test_a_nuance_is_a_color_where_it_colors_something(caption, expected):
    if expected is None:
        expected = [caption.split()[0], caption.split()[-4], "blue"]
    assert colors(caption) == expected


def test_counter_captions_keep_the_count_of_nuances():
    for seed in range(30):
        caption = "an olive and navy suit, an orange and rose shirt, walls that are cream, in black and coral, ash hair"
        changed = counter(caption, seed)
        assert len(find(changed)) == len(find(caption)) == 7 and outside(changed) == outside(caption)


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("a suit that is not orange", ["not orange"]),
        ("no red, please", ["no red"]),
        ("a room without any blue", ["without any blue"]),
        ("the car isn't green; it isn’t a navy car", ["isn't green", "isn’t a navy"]),
        ("neither red nor blue, blue rather than red", ["neither red", "nor blue", "rather than red"]),
        ("a woman who is not wearing a bright red hat", ["not wearing a bright red"]),
        ("a man with no shirt in red pants, not only blue; there is no wine, it is red", []),
        ("nothing but red, a knot of green, noted blue, not. red", []),
        ("", []),
    ],
)
def test_negations_of_colors_are_told(caption, expected):
    assert negations(caption) == expected


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("An orange on a bench. a slice of orange with cake; one sliced orange; an ORANGE!", 0),
        ("an orange, a pear and a bowl of orange", 0),
        ("an orange and white cat, an orange and a red flag, an orange, red and blue sign", 3),
        ("wearing orange on a court, an orange cat, an orange in color, an orange and navy blue bus", 4),
    ],
)
def test_an_orange_is_a_fruit_where_no_thing_follows(caption, expected):
    assert colors(caption).count("orange") == expected and bool(find_false_friends(caption)) == (expected == 0)


def test_false_friends_are_told_as_they_stand():
    caption = "Red  Bull, a red bus and green-onions near an orange."
    assert find_false_friends(caption) == ["Red  Bull", "green-onions", "an orange"]


def test_counter_captions_keep_what_is_fruit_and_what_is_color():
    for seed in range(40):
        changed = counter(
            "an orange is by an orange and red kite, an orange and navy blue bus, a slice of orange", seed
        )
        assert len(find(changed)) == 5 and changed.endswith("a slice of orange") and changed.startswith("an orange is")


@pytest.mark.parametrize("seed", range(20))
def test_replace_changes_every_color_and_nothing_else(seed):
    caption = "Édith’s\tRED kite,  a dark-grey\u00a0dog 🐕 and two blues; a reddish blue-green LAVENDER Navy-blue van\n"
    changed = counter(caption, seed)
    assert outside(changed) == outside(caption)
    assert len(find(changed)) == 9
    for old, new in zip(colors(caption), colors(changed), strict=True):
        assert family(old) != family(new), (old, new)
        assert old[0].isupper() == new[0].isupper() and old[1].isupper() == new[1].isupper()


def test_replacement_keeps_the_form():
    for seed in range(50):
        plural, ish, comparative = colors(counter("blues, reddish, Whiter", seed))
        assert plural.endswith("s") and ish.endswith("ish") and comparative.endswith("er") and comparative[0].isupper()


def test_every_other_family_is_drawn_about_equally_often():
    drawn = [counter("gray", seed) for seed in range(1200)]
    counts = {word: drawn.count(word) for word in (*CHROMATIC, *ACHROMATIC)}
    assert counts.pop("gray") == 0
    assert min(counts.values()) > 60 and max(counts.values()) < 140  # 100 expected of each of the 12


def test_no_color_word_gives_none():
    assert counter("a dog drinks orange juice") is None and counter("") is None


def test_replace_follows_the_generator():
    caption = "a red, a green, a blue and a pink ball"
    assert counter(caption, 3) == counter(caption, 3)
    assert len({counter(caption, seed) for seed in range(10)}) > 5


def test_replace_never_makes_a_false_friend():
    """ "purple onion" must not become "green onion", where find() would lose the word."""
    for phrase in TABLES["colors"]["false_friends"]:
        mixed = " ".join("purple" if word in (*CHROMATIC, *ACHROMATIC) else word for word in phrase.split())
        for seed in range(30):
            changed = counter(f"the Purple House and {mixed}", seed)
            assert len(find(changed)) == 1 + mixed.count("purple"), changed


def test_vocabulary_families():
    assert {family(word) for word in VOCABULARY} == {*CHROMATIC, *ACHROMATIC}
    assert len(CHROMATIC) >= 10 and all(family(word) == word for word in (*CHROMATIC, *ACHROMATIC))
    pairs = {
        "grey": "gray",
        "Violet": "purple",
        "crimson": "red",
        "blonde": "yellow",
        "GOLDEN": "yellow",
        "blues": "blue",
    }
    assert {word: family(word) for word in pairs} == pairs
    with pytest.raises(ValueError, match="dog"):
        family("dog")


def test_every_vocabulary_word_is_found_and_replaced():
    for word, colored in product(VOCABULARY, ("", " colored")):
        if colors(word + colored):
            assert family(counter(word + colored).removesuffix(colored)) != family(word)
    assert all(colors(f"{word} colored") for word in VOCABULARY)


LONG = [
    "red ",
    "wine ",
    "lime ",
    "lime - ",
    "black and white ",
    "blue-",
    "red\u0301",
    "an orange and ",
    "r",
    " ",
    "_",
    "é",
]


@pytest.mark.parametrize("piece", [*LONG, "slice of an orange, wine ", "cream and ", "navy cotton ", "1", "-", "no "])
def test_the_time_is_linear_in_any_text(piece):
    for work in (find, find_false_friends, negations, counter):
        assert_linear(work, piece, "é red")
    assert len(find(counter(piece * 500 + " red"))) == len(find(piece * 500 + " red"))


def test_own_vocabulary_keeps_each_color_and_side_in_one_token():
    file = Path(__file__).parents[3] / "models" / "wordpiece_vocab.txt"
    tokenizer = BertWordPieceTokenizer(str(file), lowercase=True)
    assert file.read_text(encoding="utf-8").split("\n")[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    younger = {"ash", "camel", "chestnut", "cranberry", "eggplant", "ginger", "jade", "raspberry", "slate", "taupe"}
    for word in (
        *sorted({*VOCABULARY} - younger),
        "left",
        "right",
        "middle",
        "top",
        "bottom",
        "ball",
        "pyramid",
        "background",
    ):
        assert tokenizer.encode(word, add_special_tokens=False).tokens == [word]
    tokens = set(file.read_text(encoding="utf-8").split("\n"))
    for letter in "abcdefghijklmnopqrstuvwxyz0123456789":  # so that no English word is [UNK]
        assert {letter, f"##{letter}"} <= tokens
