"""Complete, partial and scarce descriptions: whole phrases go, seeded by the caption; where its words then stand."""

import pytest
import torch
from conftest import assert_linear

from datasets.scenes import Scenes
from datasets.words import color_words
from datasets.words.levels import LEVELS, describe

SCARCE = {
    "a red cube left of a blue ball": "a cube left of a ball",
    "A light blue sky over dark green grass": "A sky over grass",
    "an orange cat and a red apple": "a cat and an apple",
    "A blue uniform": "A uniform",
    "a red, white and blue flag": "a flag",
    "a fluffy, white dog": "a fluffy dog",
    "a white and fluffy dog, a small and black cat": "a fluffy dog, a small cat",
    "the car is red": "the car is there",
    "the walls are white, the floor is brown.": "the walls are there, the floor is there.",
    "the dog is large and white": "the dog is large",
    "a dog that is brown, and a cat": "a dog, and a cat",
    "a dog, brown and white, on grass": "a dog, on grass",
    "a dog, brown and white.": "a dog.",
    "a woman dressed in black stands by a bench painted green": "a woman stands by a bench",
    "a man is dressed in black": "a man is there",
    "a red truck and a blue one": "a truck and one",
    "a cat with white on its face": "a cat with color on its face",
    "a light glows red": "a light glows",
    "a red-haired woman in a cream-colored dress": "a woman in a dress",
    "red": "color",
    "a black and white photo of an orange, two dogs and a glass of red wine": None,
    "": None,
}


@pytest.mark.parametrize(("caption", "wanted"), SCARCE.items())
def test_a_scarce_description_names_the_things_and_no_colour(caption, wanted):
    assert describe(caption, "scarce").caption == (caption if wanted is None else wanted)
    assert describe(caption, "complete") == (caption, None)


def test_a_partial_description_keeps_some_colours_and_drops_some():
    caption = "a red cube, a blue ball, a light green cup and a black and white cat on a brown table"
    kept = set()
    for number in range(40):
        found = describe(f"{number} {caption}", "partial").caption
        assert found == describe(f"{number} {caption}", "partial").caption
        colors = [found[start:end] for start, end in color_words.find(found)]
        assert ("black" in colors) == ("white" in colors) and "light" not in found.replace("light green", "")
        assert 1 <= len({*colors} - {"white"}) <= 4
        kept.add(tuple(colors))
    assert len(kept) > 10
    assert describe("a red cube on grass", "partial").caption == "a red cube on grass"  # else it were scarce


def test_captions_that_differ_in_their_colours_alone_lose_the_same_phrases():
    first, second = ("a red cube, a blue ball and an orange cup", "a tan cube, a green ball and a pink cup")
    for number in range(20):
        left = []
        for caption in (first, second):
            found = describe(f"{number} {caption}", "partial").caption
            left.append([noun for noun in ("cube", "ball", "cup") if f"a {noun}" in found])
        assert left[0] == left[1]


def test_words_are_found_again():
    caption = "An orange cat, and the small ball is red; a man in blue"
    found = describe(caption, "scarce")
    assert found.caption == "A cat, and the small ball is there; a man"

    def moved(phrase: str) -> str | None:
        start = caption.index(phrase)
        span = found.moved(start, start + len(phrase))
        return None if span is None else found.caption[slice(*span)]

    assert moved("An orange cat") == "A cat" and moved("orange cat") == "cat" and moved("orange") is None
    assert moved("the small ball is red") == "the small ball is there" and moved("small ball") == "small ball"
    assert moved("a man in blue") == "a man" and moved("in blue") is None
    assert describe(caption, "complete").moved(3, 9) == (3, 9)


@pytest.mark.parametrize("level", LEVELS[1:])
def test_scenes_know_which_instances_are_still_described(level):
    """Every colour of a caption is an instance's or the ground's; only what it names is described."""
    for split in ("clear", "instances", "unobserved"):
        before, batch = (Scenes(split, 16, 60, level=name).render(range(60)) for name in ("complete", level))
        assert torch.equal(batch.rgb, before.rgb) and torch.equal(batch.colors, before.colors)
        assert not (batch.named & ~before.named).any() and (batch.named != before.named).any()
        for b, captions in enumerate(zip(batch.captions, batch.counter_captions, strict=True)):
            told = int(batch.named[b].sum()) + int(batch.background_named[b])
            assert [len(color_words.find(caption)) for caption in captions] == [told, told]
            assert (told == 0) == (level == "scarce")
            for caption, spans in zip(captions, (batch.spans[b], batch.counter_spans[b]), strict=True):
                for k, (start, end) in enumerate(spans.tolist()):
                    assert (end > 0) == before.named[b, k].item()
                    assert bool(color_words.find(caption[start:end])) == batch.named[b, k].item()


@pytest.mark.parametrize("piece", ["a red ball, ", "red and ", "red in color ", "is red that is blue ", "red,blue "])
def test_time_is_linear_in_the_text(piece):
    assert_linear(lambda text: describe(text, "partial"), piece)
