"""The rules that find the thing of a colour, on captions annotated by hand for this test."""

import numpy as np
import pytest
from conftest import assert_linear

from datasets.words import color_words
from datasets.words.color_phrases import propose
from datasets.words.mirror import mirror

# "word:thing" for every colour that has one; a word that stands in the caption more than once is word#n.
ANNOTATED = """
a red and white bus waits at the corner | red:bus white:bus
a dark blue shirt hangs on a chair | blue:shirt
a dog that is brown lies on a rug | brown:dog
the car by the tree is red | red:car
a bus, red in colour, with people inside | red:bus,
a red-haired woman smiles at the camera | red-haired:woman
A red, white and blue flag waves in the wind. | red,:flag white:flag blue:flag
A man dressed in black walks his dog. | black:man
a woman in a red and a green scarf | red:scarf green:scarf
a red and a blue car on a street | red:car blue:car
a man in red holding a white ball | red:man white:ball
a bench painted green stands in the park | green:bench
the walls are painted light blue | blue:walls
a green pair of leather shoes on the floor | green:shoes
a blue-green boat by the pier | blue-green:boat
the wall is in white and brown colour | white:wall brown:wall
a white color remote on the table | white:remote
the color of the car is red | red:car
a cat that is black with white spots | black:cat white:spots
a horse with white on its face |
a little girl with long blond hair | blond:hair
the bus is red and yellow | red:bus yellow:bus
a white snow covered field | white:field
a man in a blue shirt and white pants riding a brown horse | blue:shirt white:pants brown:horse
a red and white striped shirt | red:shirt white:shirt
orange juice in a glass on a yellow table | yellow:table
Two dogs, one black and one white, run on grass | black:dogs, white,:dogs,
the clear sky is blue above the sea | blue:sky
an orange cat and a gray one | orange:cat gray:cat
a shirt that's blue | blue:shirt
a bright red double decker bus drives by | red:bus
a black cat watches a bird | black:cat
a white plastic chair stands there | white:chair
a pink, flowered dress on a hanger | pink,:dress
a man wearing a black hat, a blue tie and brown shoes | black:hat, blue:tie brown:shoes
A GREEN Truck. | GREEN:Truck.
a tennis player in white swings his racket | white:player
a yellow-and-black taxi | yellow-and-black:taxi
a house with a red-tiled roof | red-tiled:roof
brown horses graze in a green pasture | brown:horses green:pasture
cars stopped at a red light | red:light
the bathroom is small and white and gray | white:bathroom gray:bathroom
a building with green, peeling paint | green,:paint
a large white bear rubs against some rocks | white:bear
a silver plane descends over an orange desert | silver:plane orange:desert
a white bathroom sink covered in clutter | white:sink
a silver parking meter a green car and a lamp post | silver:meter green:car
a bright yellow fire hydrant sprays water | yellow:hydrant
a brown teddy bear next to a blue and white cup of coffee | brown:bear blue:cup white:cup
the kitchen is yellow with white cabinets | yellow:kitchen white:cabinets
an old black and white photo of a train |
a young man wearing all black jumps a fence | black:man
the red stop sign next to a bush with red flowers | red:sign red#2:flowers
a big brown and a small white dog share a bed | brown:dog white:dog
a plate of green vegetables, white rice and brown sauce | green:vegetables, white:rice brown:sauce
three purple flowers in a clear glass vase | purple:flowers
a boy with blonde hair and a turquoise t-shirt | blonde:hair turquoise:t-shirt
the light brown sofa faces a flat screen tv | brown:sofa
several green and yellow kites flying over a beach | green:kites yellow:kites
a cat with green eyes sleeps on a grey blanket | green:eyes grey:blanket
a group of kids in orange life vests | orange:vests
the front of a silver train at a station | silver:train
a black sheep among many white ones | black:sheep white:sheep
two polar bears, their fur white, on the ice | white,:fur
a wedding cake of white chocolate with pink icing | pink:icing
white clouds float over the olive green hills | white:clouds green:hills olive:hills
a plastic toy that looks purple | purple:toy
a purple velvet sofa with gold trim | purple:sofa gold:trim
a rusty old truck with a touch of red |
"""


def by_hand(line):
    """(caption, pairs) of a line of `ANNOTATED`."""
    caption, marks = (part.strip() for part in line.split("|"))
    words = caption.split()

    def position(mark):
        word, _, number = mark.partition("#")
        return [i for i, other in enumerate(words, 1) if other == word][int(number or 1) - 1]

    return caption, {(position(thing), position(color)) for color, thing in (m.rsplit(":", 1) for m in marks.split())}


CAPTIONS = [by_hand(line) for line in ANNOTATED.strip().splitlines()]


def test_agreement_with_annotation_by_hand():
    assert len(CAPTIONS) >= 60
    common = sum(len(pairs & set(propose(caption))) for caption, pairs in CAPTIONS)
    proposed = sum(len(propose(caption)) for caption, _ in CAPTIONS)
    annotated = sum(len(pairs) for _, pairs in CAPTIONS)
    assert common / proposed >= 0.97 and common / annotated >= 0.95, (common, proposed, annotated)


@pytest.mark.parametrize(("caption", "pairs"), CAPTIONS[:59])
def test_every_rule(caption, pairs):
    assert set(propose(caption)) == pairs


def test_pairs_come_in_the_order_of_the_colours_and_once():
    pairs = propose("the bus is red and yellow by a green tree and a blue, white and green wall")
    colors = [color for _, color in pairs]
    assert colors == sorted(set(colors)) == [4, 6, 9, 13, 14, 16]


@pytest.mark.parametrize(
    "caption", ["", "   ", "red", "is red", "in white", "red and", "12 red", "red, ,", "🟥 ROUGE", "."]
)
def test_scraps_are_no_trouble(caption):
    assert propose(caption) == []


def test_positions_stay_within_the_words():
    for caption, _ in CAPTIONS:
        words = caption.split()
        for thing, color in propose(f"  {caption}\t"):
            assert 1 <= thing <= len(words) and 1 <= color <= len(words) and thing != color


@pytest.mark.parametrize(
    "piece",
    ["red ", "a red car, ", "a man in red ", "red pair of ", "red parked ", "red very ", "is red ", "red pink is "],
)
def test_the_time_is_linear_in_any_text(piece):
    assert_linear(propose, piece, "é red car")


@pytest.mark.parametrize("caption", ["the red ball on the left, by a blue-green box", "far right: a GREY cat"])
def test_a_flip_or_another_colour_moves_no_word(caption):
    flipped = mirror(caption)
    counter = color_words.replace(caption, np.random.default_rng(0))
    assert flipped != caption and counter != caption
    assert len(flipped.split()) == len(counter.split()) == len(caption.split())
    assert propose(flipped) == propose(caption) == propose(counter)
