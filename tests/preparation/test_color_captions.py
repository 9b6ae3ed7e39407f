"""The rules of extended COCO-Stuff, on captions of the kinds that COCO has."""

from collections import Counter

import pytest
from conftest import SHARED, assert_linear, needs_shared

from preparation.caption_lists import Pair, read_coco_captions, read_list
from preparation.color_captions import RULES, drop_rule, judge
from preparation.selection import select

LISTS = SHARED / "data" / "lists"


@pytest.mark.parametrize(
    ("caption", "rule"),
    [
        ("A red double-decker bus travels down the road", None),
        ("A dark-blue vase and a multicolored, black-spotted cat", None),
        ("An orange and white cat on a brown couch", None),
        ("A black and white cat lies on a photo album", None),
        ("A bathroom decorated in black and white", None),
        ("A black and white photo above a red couch", None),  # the photo is a thing in the picture
        ("Selective color: a black and white picture with a single red bus", None),
        ("A black and white photograph of a motorcycle.", "black_and_white_photo"),
        ("black-and white picture of a rack", "black_and_white_photo"),
        ("A blurry black an white image of a girl", "black_and_white_photo"),
        ("A old photo in black and white of a city street.", "black_and_white_photo"),
        ("An old man walking down a sidewalk in black and white.", "black_and_white_photo"),
        ("This is a black and white photo of a white kitchen.", "black_and_white_photo"),
        ("Sepia photograph of three elephants", "black_and_white_photo"),
        ("a gray scale picture of a street", "black_and_white_photo"),
        ("a B&W shot of a bus", "black_and_white_photo"),
        ("Monochrome picture of a bus", "black_and_white_photo"),
        ("A can of Red Bull, orange juice and brown bread", "false_friend_only"),
        ("green onions at the White House", "false_friend_only"),
        ("An orange sitting on top of a wooden table", "false_friend_only"),
        ("A multi-colored umbrella and colorful kites", "colorful_only"),
        ("two different coloured dogs under a rainbow", "colorful_only"),
        ("A man gathered oranges, bored and tired", "no_color_word"),
        ("...", "empty"),
        ("", "empty"),
    ],
)
def test_each_caption_falls_under_its_rule(caption, rule):
    assert drop_rule(caption) == rule


def test_every_caption_is_counted_once_and_the_rest_keeps_its_order():
    said = ["A black and white photo of a bus", "A black and white picture", "a man in white"]
    pairs = [Pair("gray.jpg", caption) for caption in said]
    pairs += [Pair("a.jpg", caption) for caption in ("A red bus", "a  RED bus", "a dog", "a blue bus", "")]
    pairs += [
        Pair("b.jpg", "A red bus"),
        Pair("b.jpg", "a black and white photo on a wall"),
        Pair("b.jpg", "a white wall"),
    ]
    kept, counts, *_ = select(judge(pairs), RULES)
    assert kept == [("a.jpg", "A red bus"), ("a.jpg", "a blue bus"), ("b.jpg", "A red bus"), ("b.jpg", "a white wall")]
    assert counts == Counter(
        black_and_white_photo=3, picture_said_gray=1, repeated=1, no_color_word=1, empty=1, kept=4
    ) and set(counts) == {*RULES, "kept"}


@needs_shared("data/lists")
def test_the_rules_agree_with_the_published_list_of_validation_images():
    kept, counts, *_ = select(judge(read_coco_captions(LISTS / "coco_captions_val2017.json")), RULES)
    assert counts.total() == 25_014 and 4000 < counts["kept"] < 4200
    published = {pair.image for pair in read_list(LISTS / "lcoder_selected_val.json")}
    ours = {pair.image for pair in kept}
    assert len(published) == 2386 and len(published & ours) > 0.9 * len(ours)
    agreed = Counter(drop_rule(pair.caption) for pair in read_list(LISTS / "lcoder_selected_val.json"))
    assert agreed[None] > 0.9 * agreed.total() and agreed["no_color_word"] < 20


@pytest.mark.parametrize("piece", ["1", " ", "black         ", "in black and white -", "photo is ", "monochrom"])
@pytest.mark.parametrize("start", ["", "black", "a cat "])
def test_the_time_is_linear_in_any_text(start, piece):
    assert_linear(lambda text: drop_rule(start + text), piece, " cat & dog")
