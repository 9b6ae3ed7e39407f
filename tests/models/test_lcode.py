"""L-CoDe: against the original's numbers, its public files, a step of training, bad input."""

import logging

import pytest
import torch
from parity import filled, fixture, keys
from words import VOCABULARY, batch_of, moved, vocabulary_file

import models
from models.layers.biaffine import Biaffine, correspondence_loss
from models.lcode.system import draw_words, from_bytes, to_bytes
from models.restore import authors_of, restore
from models.text import CaptionTokenizer, Words
from utils.errors import InputError

TINY = {"img_size": 16, "width": 4, "word_width": 6, "limit": 7}


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    """The authors' two files as `checkpoint.load` gives their folder, and a vocabulary of their length."""
    text = {name: [200 if n == "vocabulary" else n for n in shape] for name, shape in keys("lcode_text").items()}
    path = tmp_path_factory.mktemp("lcode") / "words.txt"
    path.write_text("\n".join(f"word{n}" for n in range(200)))
    content = {"generator.pth": filled(keys("lcode_generator"), 1.4), "text.pth": filled(text, 3.0)}
    return content, str(path)


@pytest.fixture(scope="module")
def official(public):
    content, vocabulary = public
    return restore("folder", content, vocabulary=vocabulary)[0].eval()


@torch.no_grad()
def test_it_is_the_original(official):
    held = fixture("lcode")
    mask = torch.arange(15) < held["lengths"][:, None]
    text = official.text(Words(held["word_ids"], mask))
    close = {"atol": 1e-4, "rtol": 0}
    torch.testing.assert_close(text.matrix.sigmoid(), held["occm"], **close)
    torch.testing.assert_close(text.objects[:, ::16], held["object_embedding"], **close)
    torch.testing.assert_close(text.colors[:, ::16], held["color_embedding"], **close)
    found = []
    hook = official.generator.attn1.register_forward_hook(lambda module, given, output: found.extend(output))
    ab = official.generator(held["gray"], text)
    hook.remove()
    torch.testing.assert_close(found[0][:, ::32, ::2, ::2], held["read_out"], **close)
    torch.testing.assert_close(found[1], held["gate"], **close)
    torch.testing.assert_close(ab[:, :, ::2, ::2], held["ab"], **close)


def test_public_files_are_whole_or_refused(public):
    content, vocabulary = public
    assert authors_of(content) == models.LCODE
    with pytest.raises(InputError, match=r"lacks the text encoder's file; it has generator.pth"):
        restore("folder", {"generator.pth": content["generator.pth"]}, vocabulary=vocabulary)
    less = {name: tensor for name, tensor in content["generator.pth"].items() if name != "module.bn1.running_mean"}
    with pytest.raises(InputError, match=r"1 missing .first: bn1.running_mean"):
        restore("folder", content | {"generator.pth": less}, vocabulary=vocabulary)
    with pytest.raises(InputError, match="vectors of 200 words, and --vocabulary 9 words"):
        restore("folder", content, vocabulary=vocabulary_file())
    with pytest.raises(InputError, match="--vocabulary is not given"):
        restore("folder", content)


def tiny(**numbers) -> models.System:
    torch.manual_seed(0)
    config = models.config_of(models.LCODE, vocabulary_size=len(VOCABULARY), **TINY | numbers)
    return models.system_of(models.LCODE)(models.LCODE, config, CaptionTokenizer.of_words(VOCABULARY, 7))


def test_a_step_moves_every_parameter():
    system = tiny()
    losses, still = moved(system, batch_of(system, 16, ["a red car and a blue bus", "green car"]))
    assert not still and all(losses[name] > 0 for name in ("chroma", "occm"))
    torch.testing.assert_close(losses["total"], losses["chroma"] + 0.1 * losses["occm"])
    with pytest.raises(InputError, match="--occm_weight 0: nothing else"):
        tiny(occm_weight=0.0)


@pytest.mark.parametrize("detached", [True, False])
def test_the_pairs_teach_the_words_where_they_may(detached):
    system = tiny(occm_detached=detached)
    torch.nn.init.normal_(system.text.arc_biaffine.linear.weight)  # of zeros nothing would flow back
    system(batch_of(system, 16, ["a red car and a blue bus", "green car"]))["occm"].backward()
    taught = {name for name, tensor in system.text.named_parameters() if tensor.grad is not None}
    assert "arc_biaffine.linear.weight" in taught and ("words.embedding.weight" in taught) == (not detached)


def test_the_matrix_is_object_by_color():
    torch.manual_seed(0)
    biaffine = Biaffine(3)
    torch.nn.init.normal_(biaffine.linear.weight)
    colors, objects = torch.randn(1, 4, 3), torch.randn(1, 5, 3)
    matrix = biaffine(colors, objects)
    assert matrix.shape == (1, 5, 4)
    wanted = objects[0, 2] @ biaffine.linear.weight @ torch.cat([colors[0, 1], torch.ones(1)])
    torch.testing.assert_close(matrix[0, 2, 1], wanted)
    text = tiny().text
    torch.nn.init.normal_(text.arc_biaffine.linear.weight)
    said = text(Words(torch.tensor([[3, 4]]), torch.ones(1, 2, dtype=torch.bool)))
    torch.testing.assert_close(said.matrix, text.arc_biaffine(said.colors.mT, said.objects.mT))
    truth = torch.zeros(1, 2, 2, dtype=torch.bool)
    truth[0, 1, 0] = True
    logits = torch.full((1, 3, 3), -20.0)
    logits[0, 1, 0] = 20.0
    half = torch.tensor(0.5).log().neg()  # a true pair weighs 6, each of eight others 1
    torch.testing.assert_close(correspondence_loss(torch.zeros(1, 3, 3), truth, 5.0), half * (6 + 8) / 9)
    assert correspondence_loss(logits, truth, 5.0) < 1e-6 < 1 < correspondence_loss(logits.mT, truth, 5.0)


def test_colors_are_on_the_scale_of_bytes():
    ab = torch.tensor([[-110.0, 0.0, 60.0]]) / 110
    torch.testing.assert_close(to_bytes(ab), (torch.tensor([[18.0, 128.0, 188.0]]) / 255 - 0.5) / 0.5)
    torch.testing.assert_close(from_bytes(to_bytes(ab)), ab)


@torch.no_grad()
def test_hidden_words_and_padding_are_not_read():
    system = tiny().eval()
    torch.nn.init.normal_(system.text.arc_biaffine.linear.weight)
    words = system.tokenizer(["a red blue car", "red"])
    hidden = Words(words.ids, words.mask & (words.ids != system.tokenizer.tokenizer.token_to_id("blue")))
    other = system.tokenizer(["a red car", "red"])
    for given, wanted in zip(system.text(hidden), system.text(other), strict=True):
        torch.testing.assert_close(given, wanted)


def test_training_draws_words_of_long_captions_and_keeps_pairs_right():
    system = tiny()
    captions = ["a red car and a blue bus and a green car", "red car", "a red bus and a green car and a blue bus"]
    system.tokenizer, cut = system.training_tokenizer, system.tokenizer
    batch = batch_of(system, 16, captions)
    assert batch.words.ids.shape == (3, 11)
    vocabulary, drawn = {i: word for word, i in system.tokenizer.tokenizer.get_vocab().items()}, set()
    for _ in range(60):
        words, pairs = draw_words(batch.words, batch.correspondence, 7)
        read = [[vocabulary[int(i)] for i in ids[mask]] for ids, mask in zip(*words, strict=True)]
        assert read[1] == ["red", "car"] and [len(own) for own in read] == [7, 2, 7]
        for own, caption, matrix in zip(read, captions, pairs, strict=True):
            left = iter(caption.split())
            assert all(word in left for word in own)  # in their order
            for thing, color in matrix.nonzero().tolist():
                assert f"{own[color]} {own[thing]}" in caption and color < thing
        drawn |= {tuple(read[0])}
    assert len(drawn) > 20 and any("green" in own for own in drawn)  # beyond the first seven
    assert draw_words(batch.words, batch.correspondence, 11)[0] is batch.words
    system.train()
    torch.manual_seed(0)
    first, second = system(batch)["chroma"], system(batch)["chroma"]
    assert first != second
    loss = system(batch)
    assert loss["total"].isfinite() and cut(captions).ids.shape == (3, 7)  # what `colorize` is given


def test_long_captions_are_cut_and_said_once(caplog):
    system = tiny()
    caption = "a red car and a blue bus and a green car"
    batch = batch_of(system, 16, [caption, "red car"])
    assert batch.words.ids.shape == (2, 7) and batch.correspondence.shape == (2, 7, 7)
    assert batch.correspondence.nonzero().tolist() == [[0, 2, 1], [0, 6, 5], [1, 1, 0]]  # the green car is cut off
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            system.begin_update([batch], torch.device("cpu"))
    assert [record.message for record in caplog.records] == [
        "captions of more than 7 words are cut: lcode reads no more"
    ]
