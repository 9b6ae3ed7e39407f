"""The object-colour matrix must name the right tokens, whatever happens to the caption on its way."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import SHARED, needs_shared

from datasets import CaptionedImages, CaptionedOptions, build_dataset
from datasets.loading import build_loader
from datasets.words import color_words, correspondence
from datasets.words.color_phrases import propose
from datasets.words.mirror import mirror
from models.text import BERT_VOCABULARY, CaptionTokenizer
from scripts import correspondence as script
from utils.errors import InputError

COUNTER = frozenset({"counter"})

PUBLISHED = SHARED / "data" / "lists" / "lcoder_obj2col_train.json"
TOKENIZER = CaptionTokenizer.from_vocabulary(BERT_VOCABULARY)
OPTIONS = CaptionedOptions(crop_scale=(0.5, 1.0), flip=1.0)


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def tokens_of(caption, pairs, tokenizer=TOKENIZER):
    """{(object token, colour token)} of the matrix, in words."""
    (encoding,) = tokenizer.tokenizer.encode_batch([caption])
    matrix = correspondence.matrices([caption], [pairs], [encoding.offsets])
    assert matrix.shape == (1, len(encoding.ids), len(encoding.ids)) and matrix.dtype == torch.bool
    return {(encoding.tokens[i], encoding.tokens[j]) for _, i, j in matrix.nonzero().tolist()}


@pytest.mark.parametrize(
    ("caption", "pairs", "expected"),
    [
        ("a red bus", [(3, 2)], {("bus", "red")}),
        ("A  RED, white\tbus.", [(4, 2), (4, 3)], {("bus", "red"), ("bus", "white")}),  # punctuation takes no part
        ("a blue-green boat", [(3, 2)], {("boat", "blue"), ("boat", "green")}),
        ("a red-haired girl", [(3, 2)], {("girl", "red")}),
        ("a red-haired girl", [(2, 2)], {("haired", "red")}),  # a compound that is both
        ("édith’s red kite", [(3, 2)], {("kite", "red")}),
        ("🐕 on a grey rug", [(5, 4)], {("rug", "grey")}),
        ("a colorful kite", [(3, 2)], {("kite", "colorful")}),
        ("a black and white photo", [(5, 2)], {("photo", "black")}),  # no colour of color_words, yet annotated
        ("a red bus", [], set()),
    ],
)
def test_pairs_become_tokens(caption, pairs, expected):
    assert tokens_of(caption, pairs) == expected


def test_every_piece_of_a_word_takes_part():
    pieces = TOKENIZER.tokenizer.encode("skateboarder", add_special_tokens=False).tokens
    assert len(pieces) > 1
    assert tokens_of("a turquoise skateboarder", [(3, 2)]) == {(piece, "turquoise") for piece in pieces}


def test_what_the_cut_takes_away_takes_no_part():
    caption = "red bus " + "dog " * 74 + "blue car and green van"  # [CLS] and 78 words fit, then [SEP]
    words = caption.split()
    blue, green = words.index("blue") + 1, words.index("green") + 1
    assert tokens_of(caption, [(2, 1), (blue + 1, blue), (green + 1, green)]) == {("bus", "red"), ("car", "blue")}
    assert tokens_of(caption, [(green + 1, 1), (2, green)]) == set()


def test_a_short_caption_is_true_in_a_batch_with_a_long_one():
    captions = ["a red bus", "a man in a blue shirt beside a very long green wall"]
    pairs = [[(3, 2)], [(6, 5), (12, 11)]]
    encodings = TOKENIZER.tokenizer.encode_batch(captions)
    matrix = correspondence.matrices(captions, pairs, [e.offsets for e in encodings])
    assert matrix.shape == (2, len(encodings[1].ids), len(encodings[1].ids))
    assert matrix.nonzero().tolist() == [[0, 3, 2], [1, 6, 5], [1, 12, 11]]  # [b, object, colour], behind [CLS]


@pytest.mark.parametrize("caption", ["the red ball on the left, by a blue-green box", "far right: a GREY cat"])
def test_a_flip_or_another_colour_moves_no_word(caption):
    flipped = mirror(caption)
    counter = color_words.replace(caption, np.random.default_rng(0))
    assert flipped != caption and counter != caption
    assert len(flipped.split()) == len(counter.split()) == len(caption.split())
    assert propose(flipped) == propose(caption) == propose(counter)


# The four captions that conftest repeats: "a red ball on the left", "two dogs run", "a blue box and a green cup", ...
PAIRS = [[[3, 2]], [], [[3, 2], [7, 6]], [[3, 2], [6, 5]]]


def metadata_of(data, split="train"):
    names = [name for name, _ in json.loads((data / f"cap-img-pairs_{split}.json").read_text())]
    return write(data / "pairs.json", {name: [PAIRS[i % 4]] for i, name in enumerate(names)})


def batches(data, workers=0, **options):
    given = replace(OPTIONS, correspondence=str(metadata_of(data)))
    dataset = build_dataset(given, str(data), "train", 16, True, COUNTER)
    return list(build_loader(dataset, TOKENIZER, 3, workers, train=True, **options))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_holds_the_matrix_of_its_own_words(data, workers):
    expected = {
        "a red ball on the right": [(3, 2)],  # flipped
        "two dogs run": [],
        "a blue box and a green cup": [(3, 2), (7, 6)],
        "a yellow star over black sand": [(3, 2), (6, 5)],
    }
    seen = set()
    for batch in batches(data, workers):
        assert batch.correspondence.shape == (*batch.words.ids.shape, batch.words.ids.shape[1])
        moved = batch.to(torch.device("cpu")).correspondence
        for caption, matrix in zip(batch.captions, moved, strict=True):
            assert [tuple(cell) for cell in matrix.nonzero().tolist()] == expected[caption]  # [CLS] is position 0
            seen.add(caption)
    assert len(seen) >= 3


def test_without_the_flag_batches_are_as_they_were(data):
    dataset = build_dataset(OPTIONS, str(data), "train", 16, True, COUNTER)
    (batch, *_) = build_loader(dataset, TOKENIZER, 3, 0, train=True)
    assert batch.correspondence is None and batch.to(torch.device("cpu")).correspondence is None
    for ours, theirs in zip(batches(data), build_loader(dataset, TOKENIZER, 3, 0, train=True), strict=True):
        assert torch.equal(ours.rgb, theirs.rgb) and ours.captions == theirs.captions
        assert torch.equal(ours.words.ids, theirs.words.ids) and torch.equal(ours.has_counter, theirs.has_counter)


def test_leaving_images_out_keeps_the_others_pairs(data):
    dataset = CaptionedImages(data, "train", 16, replace(OPTIONS, correspondence=str(metadata_of(data))))
    dataset.leave_out(["0.jpg", "1.jpg"])
    assert [dataset[i].correspondence for i in (0, 1)] == [[(3, 2), (7, 6)], [(3, 2), (6, 5)]]


def test_captions_of_one_image_take_its_pairs_in_their_order(tmp_path):
    captioned = [("a", "a red bus"), ("b", "blue sky"), ("a", "a bus that is red")]
    metadata = {"a": [[(3, 2)], [(2, 5)]], "b": [[(2, 1)]], "not in the list": [[(9, 9)]]}
    assert correspondence.fit(tmp_path, metadata, captioned) == [[(3, 2)], [(2, 1)], [(2, 5)]]


def test_an_object_word_of_0_gives_no_pair(tmp_path):
    assert correspondence.fit(tmp_path, {"a": [[(0, 2), (3, 2)]]}, [("a", "a red bus")]) == [[(3, 2)]]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([[[4, 2]]], r"0\.jpg, caption 1 \('a red bus'\): pair \[4, 2\] leaves its 3 words.*scripts/correspondence.py"),
        ([[[3, 0]]], r"0\.jpg.*pair \[3, 0\] leaves"),
        ([[[-1, 2]]], r"0\.jpg.*pair \[-1, 2\] leaves"),
        ([[[2, 3]]], r"0\.jpg, caption 1.*takes word 3, 'bus', for a colour"),
        ([[[3, 2]], []], r"0\.jpg has pairs for 2 caption\(s\), the list has 1"),
        ([[[3, "red"]]], r"0\.jpg, caption 1: pair \[3, 'red'\]; the form is"),
        ([[[3, True]]], r"0\.jpg, caption 1: pair \[3, True\]"),
        ([[3, 2]], r"0\.jpg, caption 1: pair 3"),
        ("red", r"0\.jpg has red"),
    ],
)
def test_metadata_that_does_not_fit_is_named(data, pairs, message):
    write(data / "cap-img-pairs_train.json", [["0.jpg", "a red bus"]])
    file = write(data / "pairs.json", {"0.jpg": pairs})
    with pytest.raises(InputError, match=r"pairs\.json: " + message):
        CaptionedImages(data, "train", 16, replace(OPTIONS, correspondence=str(file)))


def test_an_image_without_an_entry_and_broken_files_are_named(data):
    with pytest.raises(InputError, match=r"pairs\.json: says nothing of 0\.jpg, which has 1 caption"):
        CaptionedImages(
            data, "train", 16, replace(OPTIONS, correspondence=str(write(data / "pairs.json", {"other.jpg": [[]]})))
        )
    with pytest.raises(InputError, match=r"absent\.json: cannot be read.*pass the metadata"):
        correspondence.read(data / "absent.json")
    (data / "broken.json").write_text('{"0.jpg": [')
    with pytest.raises(InputError, match=r"broken\.json: not valid JSON"):
        correspondence.read(data / "broken.json")
    for content in ([], {}, 3):
        with pytest.raises(InputError, match="holds no images; its form is"):
            correspondence.read(write(data / "pairs.json", content))


def test_names_color():
    yes = ("red", "Red-haired", "blue-green,", "colorful", "multicolored", "multi-coloured", "rose", '"grey"')
    assert all(map(correspondence.names_color, yes))
    assert not any(map(correspondence.names_color, ("dog", "bored", "a", "-", "7", "redwood")))


# The script


@pytest.mark.parametrize(
    "content",
    [
        [["1.jpg", "a red bus"], ["2.jpg", "two dogs run"], ["1.jpg", "the bus is red"]],
        {"1.jpg": ["a red bus", "the bus is red"], "2.jpg": ["two dogs run"]},
        {"1.jpg_0": "a red bus", "1.jpg_1": "the bus is red", "2.jpg_0": "two dogs run"},
        {
            "images": [{"id": 7, "file_name": "1.jpg"}, {"id": 9, "file_name": "2.jpg"}],
            "annotations": [
                {"image_id": image, "id": i, "caption": caption}
                for i, (image, caption) in enumerate([(7, "a red bus"), (9, "two dogs run"), (7, "the bus is red")])
            ],
        },
    ],
    ids=["pairs", "captions", "indexed", "coco"],
)
def test_the_script_writes_the_published_form(tmp_path, content, capsys):
    captions, output = write(tmp_path / "captions.json", content), tmp_path / "pairs.json"
    assert script.main([str(captions), str(output)]) == 0
    assert json.loads(output.read_text()) == {"1.jpg": [[[3, 2]], [[2, 4]]], "2.jpg": [[]]}
    assert "2 pairs in 2 of 3 captions, which name 2 colours" in capsys.readouterr().out
    correspondence.fit(output, correspondence.read(output), script.read_captions(captions))
    assert script.main([str(captions), str(output)]) == 2
    assert "is there already; pass another OUTPUT or --overwrite" in capsys.readouterr().err
    assert script.main([str(captions), str(output), "--overwrite"]) == 0
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".part"] == []


def test_the_script_names_what_is_wrong(tmp_path, capsys):
    captions = write(tmp_path / "c.json", {"1.jpg": ["a red bus"]})
    for arguments, message in (
        ([tmp_path / "absent.json", tmp_path / "o.json"], "absent.json: not there"),
        ([captions, tmp_path / "no" / "o.json"], "cannot be written"),
    ):
        assert script.main([str(argument) for argument in arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("correspondence.py: ") and message in error


@needs_shared("data/lists/lcoder_obj2col_train.json")
def test_the_published_metadata_is_read():
    metadata = correspondence.read(PUBLISHED)
    captions = [pairs for image in metadata.values() for pairs in image]
    assert len(metadata) == 59371 and len(captions) == 104811 and sum(map(len, captions)) == 129901
    assert sum(thing == 0 for pairs in captions for thing, _ in pairs) == 3
