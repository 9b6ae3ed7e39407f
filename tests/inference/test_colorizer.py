"""Colorizer: one photograph, many sentences."""

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import ExifTags, Image

from inference import Colorizer
from inference.caption_notes import notes_on
from inference.photo import from_image, read_photo
from models import SCENES_MODEL, create_model
from models.text import CaptionTokenizer
from utils import color
from utils.errors import InputError

CHECKPOINT = ROOT / "checkpoints" / "scenes.safetensors"
CAPTIONS = ["a red ball on the left and a blue cup on the right", "a green box", ""]
rng = np.random.default_rng(0)
GRAY = rng.integers(0, 256, (90, 130)).astype(np.uint8)


@pytest.fixture(scope="module")
def colorizer():
    return Colorizer.from_checkpoint(CHECKPOINT, "cpu", "none")


def untrained(**options):
    torch.manual_seed(0)
    system = create_model(SCENES_MODEL, CaptionTokenizer.from_vocabulary())
    return Colorizer(system, "cpu", **{"amp": "none"} | options)


def test_a_picture_of_the_same_size_and_other_words_are_other_colours(colorizer):
    image = Image.fromarray(GRAY)
    one, other = colorizer(image, CAPTIONS[:2])
    assert one.size == other.size == image.size and one.mode == "RGB"
    assert np.abs(np.asarray(one).astype(int) - np.asarray(other)).mean() > 2
    alone = colorizer(image, CAPTIONS[1])
    np.testing.assert_array_equal(np.asarray(alone), np.asarray(other))  # whatever is asked beside it


def test_colours_in_the_photograph_are_not_looked_at(colorizer):
    """A red and a gray picture of one luminance are coloured alike, up to the rounding of that luminance."""
    red = np.full((64, 64, 3), (150, 60, 60), np.uint8)
    y = color.luminance(torch.tensor([150, 60, 60]).view(1, 3, 1, 1) / 255)
    value = round(255 * color.lab_to_rgb(torch.tensor([y.item(), 0, 0]).view(1, 3, 1, 1))[0, 0].item())
    gray = np.full((64, 64), value, np.uint8)
    pair = [np.asarray(colorizer(Image.fromarray(pixels), CAPTIONS[0])).astype(int) for pixels in (red, gray)]
    assert np.abs(pair[0] - pair[1]).max() <= 6


def test_the_image_encoder_runs_once_for_many_captions():
    colorizer = untrained()
    calls, encode = [], colorizer._frozen._encode_image
    colorizer._frozen._encode_image = lambda gray: calls.append(len(gray)) or encode(gray)
    colorizer(Image.fromarray(GRAY), CAPTIONS)
    assert calls == [1]


def test_the_text_encoder_runs_once_for_a_caption_of_many_photographs():
    colorizer = untrained()
    calls, encode = [], colorizer._frozen._encode_text
    colorizer._frozen._encode_text = lambda words: calls.append(words.ids.tolist()) or encode(words)
    first, again = (colorizer(Image.fromarray(GRAY), CAPTIONS[0]) for _ in range(2))
    colorizer(Image.fromarray(GRAY[:40]), CAPTIONS)
    assert calls == [colorizer.tokenizer([caption]).ids.tolist() for caption in CAPTIONS]
    assert first.tobytes() == again.tobytes()


def test_it_predicts_what_the_network_does_in_an_evaluation():
    """`forward` on the same square, the same caption."""
    colorizer = untrained()
    network = colorizer.system.network
    image = Image.fromarray(GRAY)
    (colored,) = colorizer.colorize(colorizer.encode(from_image(image)), [CAPTIONS[0]], explain_words=True)
    square = np.asarray(image.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR))
    gray, _ = color.split(torch.from_numpy(square / np.float32(255)).permute(2, 0, 1)[None])
    with torch.no_grad():
        output = network(gray, colorizer.tokenizer([CAPTIONS[0]]))
    np.testing.assert_allclose(colored.explanation.ab, output.ab[0].numpy() * 110, atol=1e-4)
    groups = output.assignment[0].argmax(dim=0).view(8, 8).numpy()
    np.testing.assert_array_equal(colored.explanation.groups, groups)
    np.testing.assert_allclose(colored.explanation.soft.sum(axis=0), 1, atol=1e-5)


def test_strength(colorizer):
    encoded = colorizer.encode(from_image(Image.fromarray(GRAY)))
    (none,) = colorizer.colorize(encoded, [CAPTIONS[0]], strength=0)
    np.testing.assert_array_equal(none.photo.pixels, np.repeat(GRAY[..., None], 3, axis=2))
    half, whole = (colorizer.colorize(encoded, [CAPTIONS[0]], strength=s)[0].photo.pixels for s in (0.5, 1.0))
    spread = [np.ptp(pixels.astype(int), axis=2).mean() for pixels in (half, whole)]
    assert 0.3 * spread[1] < spread[0] < 0.75 * spread[1]
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="strength"):
            colorizer.colorize(encoded, CAPTIONS, strength=wrong)


def test_orientation_turns_the_network_s_view_and_not_the_file(tmp_path, colorizer):
    """A scene stored on its side, with the tag that says so, is coloured as the upright one."""
    side = Image.fromarray(GRAY[:64, :64])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    side.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.png", exif=exif)
    photo = read_photo(tmp_path / "a.png")
    (colored,) = colorizer.colorize(colorizer.encode(photo), [CAPTIONS[0]])
    upright = np.rot90(colored.photo.pixels, -1)
    expected = np.asarray(colorizer(side, CAPTIONS[0])).astype(int)
    assert np.abs(upright.astype(int) - expected).mean() < 1  # the windows of the guided filter differ at the rims
    assert colored.image.getexif()[ExifTags.Base.Orientation] == 6


def test_a_word_s_effect_is_what_hiding_it_changes(colorizer):
    caption = "a red ball on the left"
    encoded = colorizer.encode(from_image(Image.fromarray(GRAY)))
    (colored,) = colorizer.colorize(encoded, [caption], explain_words=True)
    effects = {caption[word.start : word.end]: word.change for word in colored.explanation.words}
    assert list(effects) == caption.split() and all(change.shape == (64, 64) for change in effects.values())
    assert effects["red"].mean() > 2 * effects["a"].mean()
    words = colorizer.tokenizer([caption])
    mask = words.mask.clone()
    mask[0, colorizer.tokenizer.tokenizer.encode(caption).tokens.index("red")] = False
    rest = words._replace(mask=mask)
    without, _ = colorizer._frozen._coloring(encoded.seen, caption, rest, colorizer._frozen._encode_words(rest))
    np.testing.assert_allclose(effects["red"], np.linalg.norm(without - colored.explanation.ab, axis=0), atol=1e-4)


@pytest.mark.parametrize(
    "caption, note",
    [
        ("", "the caption is empty"),
        ("   ", "the caption is empty"),
        ("a ball and a box", "the caption 'a ball and a box' names no colour that the program knows"),
        ("a suit that is not orange", "says 'not orange': negation is not understood"),
        ("a red ball 🎈 и мяч", "unknown words: 🎈"),
        ("word " * 1999 + "blue", "what follows 'word' is not read"),
    ],
)
def test_what_is_not_read_is_said(colorizer, caption, note):
    (colored,) = colorizer.colorize(colorizer.encode(from_image(Image.fromarray(GRAY))), [caption])
    assert any(note in said for said in colored.notes), colored.notes
    assert not notes_on("a red ball", colorizer.system)


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("red " * 2501, r"the caption has 10,004 characters \('red red .*at most 10,000: shorten it"),
        ("\ud800", "no text"),
    ],
)
def test_a_caption_that_nobody_should_read_is_refused(colorizer, caption, message):
    with pytest.raises(InputError, match=message):
        colorizer(Image.fromarray(GRAY), ["a red ball", caption])


def test_a_note_says_only_what_the_program_knows(colorizer):
    for caption in ("a woman in an olive suit", "a navy and salmon suit"):
        assert not notes_on(caption, colorizer.system)
    assert not any("photograph alone" in note for note in notes_on("a dalmatian", colorizer.system))


def test_under_several_captions_each_note_names_its_own(colorizer):
    captions = ["a ball", "a red ball", "a long sentence that names a thing, and another thing, and " * 2, "no red"]
    encoded = colorizer.encode(from_image(Image.fromarray(GRAY)))
    ball, red, long, negated = (colored.notes for colored in colorizer.colorize(encoded, captions))
    assert len(ball) == 1 and "'a ball'" in ball[0] and red == []
    assert "'a long sentence that names a thing, and another thing, a ...'" in long[0] and "'no red'" in negated[0]


def test_a_word_without_a_token_ends_no_other_word_s_effect(colorizer):
    usual, caption = "a red ball on the left", "a red \u200b\u200b ball on the left"  # which the tokenizer drops
    encoded = colorizer.encode(from_image(Image.fromarray(GRAY)))
    plain, odd = colorizer.colorize(encoded, [usual, caption], explain_words=True)
    assert [caption[word.start : word.end] for word in odd.explanation.words] == [
        "a",
        "red",
        "ball",
        "on",
        "the",
        "left",
    ]
    for one, other in zip(plain.explanation.words, odd.explanation.words, strict=True):
        np.testing.assert_allclose(one.change, other.change, atol=1e-4)


def test_bf16_and_the_compiled_network_give_nearly_the_same():
    image = Image.fromarray(GRAY)
    plain = np.asarray(untrained()(image, CAPTIONS[0])).astype(int)
    half = np.asarray(untrained(amp="bf16")(image, CAPTIONS[0])).astype(int)
    assert 0 < np.abs(half - plain).mean() < 3


def test_no_checkpoint_and_no_device():
    with pytest.raises(InputError, match=r"nothing\.pth: no such checkpoint"):
        Colorizer.from_checkpoint("nothing.pth")
    with pytest.raises(InputError, match="--device warp: unknown"):
        Colorizer.from_checkpoint(CHECKPOINT, "warp")


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (2000, 3)])
def test_any_size(colorizer, size):
    assert colorizer(Image.new("L", size, 90), "a red ball").size == size


def test_the_network_that_is_handed_in_stays_its_caller_s():
    network = create_model(SCENES_MODEL, CaptionTokenizer.from_vocabulary()).train()
    modules = [type(module) for module in network.modules()]
    Colorizer(network, "cpu", amp="bf16")
    assert network.training and all(tensor.requires_grad for tensor in network.parameters())
    assert [type(module) for module in network.modules()] == modules
    given = Colorizer(network, "cpu", copied=False)
    assert given.system is network and not network.training


def test_a_line_drawing_is_said_to_take_hardly_any_colour(colorizer):
    page = np.full((90, 130), 255, np.uint8)
    page[20:24] = page[:, 60:63] = 0
    encoded = colorizer.encode(from_image(Image.fromarray(page)))
    (colored,) = colorizer.colorize(encoded, [CAPTIONS[0]])
    assert colored.notes == ["100 % of the picture is black or white or nearly so: nearly nothing can take colour"]
    (colored,) = colorizer.colorize(colorizer.encode(from_image(Image.fromarray(GRAY))), [CAPTIONS[0]])
    assert colored.notes == []


def test_colours_that_are_no_numbers_are_an_error():
    colorizer = untrained()
    next(colorizer.system.parameters()).fill_(torch.nan)
    with pytest.raises(InputError, match="the network's ab is not finite; pass --amp none"):
        colorizer(Image.fromarray(GRAY), "a red ball")
