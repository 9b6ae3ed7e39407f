"""LBIE: against the original's numbers, its public file, turns of generator and discriminator, steps, bad input."""

import zlib

import numpy as np
import pytest
import torch
from parity import fixture, keys
from words import VOCABULARY, batch_of, moved, vocabulary_file

import models
from models.lbie.network import Generator, Merger, stick_breaking
from models.restore import authors_of, restore
from models.text import CaptionTokenizer, Words
from utils.errors import InputError

TINY = {"img_size": 32, "width": 4, "discriminator_width": 3, "word_width": 6, "limit": 7}
VECTORS, WIDTH = 4291, 300


def drawn(name: str, shape: list[int]) -> np.ndarray:
    w = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(int(np.prod(shape))).reshape(shape)
    return w.astype(np.float32).astype(np.float64)


@pytest.fixture(scope="module")
def public():
    """By the fixtures' rule for TensorFlow's names and layouts."""
    content = {}
    for name, shape in keys("lbie").items():
        w = drawn(name, shape)
        if name.endswith(("gamma", "scale")):
            w = 1 + 0.05 * w
        elif len(shape) >= 2:
            w = (2.0 if "RNN" in name or "Linear" in name else 0.75) * w / np.sqrt(np.prod(shape[:-1]))
        else:
            w = 0.02 * w
        content[name] = torch.from_numpy(w.astype(np.float32))
    return content


@torch.no_grad()
def test_it_is_the_original(public):
    held = fixture("lbie")
    assert authors_of(public) == models.LBIE
    system, _ = restore("file", public, vocabulary=vocabulary_file(), word_vectors="random", learn_words=True)
    networks, merged = system.eval().networks, []
    rows = torch.from_numpy(0.5 * drawn("generator/colornet/embedding", [VECTORS, WIDTH])).float()
    torch.testing.assert_close(rows[held["word_ids"][0]], held["embedding_rows"], atol=1e-6, rtol=0)
    networks.words.embedding = torch.nn.Embedding.from_pretrained(rows)
    words = Words(held["word_ids"], torch.arange(7) < held["lengths"][:, None])
    gray = held["gray"].permute(0, 3, 1, 2).contiguous()
    states, _ = networks.words(words)
    torch.testing.assert_close(states, held["text"], atol=1e-5, rtol=0)
    encoded = networks.generator.encode(gray)
    thin = (slice(None), slice(None, None, 4), slice(None, None, 4), slice(None, None, 8))
    torch.testing.assert_close(encoded.permute(0, 2, 3, 1)[thin], held["encoder"], atol=5e-4, rtol=0)
    merged = networks.generator.merger(encoded, states, words.mask)
    torch.testing.assert_close(merged.attention[:, :, ::4, ::4], held["attention"], atol=5e-5, rtol=0)
    torch.testing.assert_close(merged.image.permute(0, 2, 3, 1)[thin], held["merged"], atol=5e-4, rtol=0)
    for ab in (
        networks.generator.last(gray, states, words.mask),
        networks.generator(gray, states, words.mask).ab[:, 0],
    ):
        torch.testing.assert_close(ab.permute(0, 2, 3, 1)[:, ::2, ::2], held["ab"], atol=1e-2, rtol=0)
    target = held["ab_target"].permute(0, 3, 1, 2).contiguous()
    judged = networks.discriminator(gray, target, states, words.mask).sigmoid().permute(0, 2, 3, 1)
    torch.testing.assert_close(judged, held["discriminator"], atol=1e-4, rtol=0)


def test_instance_norm_forgets_what_is_the_same_all_over_a_picture():
    image, apart = torch.rand(2, 16, 4, 4) + 1, []
    for instance_norm in (True, False):
        torch.manual_seed(0)
        generator = Generator(4, 16, 2, instance_norm).eval()
        with torch.no_grad():
            apart.append((generator.decode(image + 0.5)[0] - generator.decode(image)[0]).abs().max())
    assert 100 * apart[0] < apart[1] > 1e-3
    published, small = models.config_of("lbie"), models.config_of("lbie_small")
    assert published.instance_norm and not small.instance_norm


def test_the_public_file_is_whole_or_refused(public):
    given = {"vocabulary": vocabulary_file(), "word_vectors": "random", "learn_words": True}
    gone = "discriminator/layer_5/gates/Linear/Matrix"
    with pytest.raises(InputError, match=r"1 missing .first: discriminator.merger.gates.weight"):
        restore("file", {name: tensor for name, tensor in public.items() if name != gone}, **given)
    with pytest.raises(InputError, match=r"1 unknown .first: generator/colornet/conv3_1/w"):
        restore("file", public | {"generator/colornet/conv3_1/w": torch.zeros(1)}, **given)
    with pytest.raises(InputError, match="--word_vectors is not given"):
        restore("file", public, vocabulary=vocabulary_file())


def tiny(**numbers) -> models.System:
    torch.manual_seed(0)
    config = models.config_of(models.LBIE, vocabulary_size=len(VOCABULARY), **TINY | numbers)
    return models.system_of(models.LBIE)(models.LBIE, config, CaptionTokenizer.of_words(VOCABULARY, 7))


CAPTIONS = ["a red car and a blue bus", "green car"]


@pytest.mark.parametrize("steps", [1, 3])
def test_a_step_moves_both_networks(steps):
    system = tiny(steps=steps, learn_words=True)
    losses, still = moved(system, batch_of(system, 32, CAPTIONS))
    assert not still
    wanted = losses["gan"] + 100 * losses["l1"] + losses["discriminator"]
    torch.testing.assert_close(losses["total"], wanted)
    assert all(losses[name] > 0 for name in ("gan", "l1", "discriminator"))


def test_each_network_learns_from_its_own_loss():
    system = tiny(steps=2)
    losses = system.train()(batch_of(system, 32, CAPTIONS))
    parts = {"generator": ("words", "generator"), "discriminator": ("discriminator",)}
    for side, own in parts.items():
        loss = losses["discriminator"] if side == "discriminator" else losses["total"] - losses["discriminator"]
        system.zero_grad()
        loss.backward(retain_graph=True)
        got = {name.split(".")[1] for name, p in system.named_parameters() if p.grad is not None and p.grad.any()}
        assert got == set(own)


def test_the_generator_is_taught_to_be_taken_for_real():
    system = tiny(steps=1)
    batch = batch_of(system, 32, CAPTIONS)
    learning = [p for name, p in system.named_parameters() if ".generator." in name]
    optimizer = torch.optim.Adam(learning, lr=1e-3)
    seen, judged = [], []
    system._judged, judge = lambda *given, **how: judged.append(judge(*given, **how)) or judged[-1], system._judged
    for _ in range(15):
        losses = system.train()(batch)
        seen.append(judged[-1].mean().item())  # of the coloured pictures
        optimizer.zero_grad()
        losses["gan"].backward()
        optimizer.step()
    assert seen[-1] > seen[0] + 0.01


def test_the_stick_is_broken_into_probabilities():
    half = torch.zeros(1, 4)
    torch.testing.assert_close(stick_breaking(half), torch.tensor([[0.5, 0.25, 0.125, 0.125]]))
    assert stick_breaking(torch.tensor([[-3.0]])).tolist() == [[1.0]]
    torch.testing.assert_close(stick_breaking(torch.randn(5, 3)).sum(dim=1), torch.ones(5))


@torch.no_grad()
def test_steps_differ_and_the_last_is_used():
    system = tiny(steps=3).eval()
    batch = batch_of(system, 32, CAPTIONS)
    words = batch.words.gathered()
    states, _ = system.networks.words(words)
    gray = torch.randn(2, 1, 32, 32).clamp(-1, 1)
    steps = system.networks.generator(gray, states, words.mask)
    assert steps.ab.shape == (2, 3, 2, 32, 32) and not torch.equal(steps.ab[:, 1], steps.ab[:, 2])
    assert torch.equal(system.networks.generator.last(gray, states, words.mask), steps.ab[:, 2])
    single, several = Merger(4, 4, recurrent=False), Merger(4, 4, recurrent=True)
    several.load_state_dict(single.state_dict())
    image, words, mask = torch.randn(1, 4, 2, 2), torch.randn(1, 2, 4), torch.ones(1, 2, dtype=torch.bool)
    assert not torch.allclose(single(image, words, mask).image, several(image, words, mask).image)


@torch.no_grad()
def test_neighbours_in_a_batch_change_nothing():
    system = tiny(steps=2).eval()
    short_first = CAPTIONS[::-1]
    together = system.colorize(batch_of(system, 32, short_first)).ab
    alone = system.colorize(batch_of(system, 32, short_first[:1])).ab
    torch.testing.assert_close(together[:1], alone, atol=1e-4, rtol=0)
    batch = batch_of(system, 32, CAPTIONS)
    swapped = batch_of(system, 32, ["a blue car and a red bus", "green car"])
    assert not torch.allclose(system.colorize(batch).ab[0], system.colorize(swapped).ab[0])


def test_sizes_that_the_discriminator_cannot_judge_are_refused():
    for size in (28, 34):
        with pytest.raises(InputError, match=f"--input_size {size}: pass a multiple of 4, at least 32"):
            tiny(img_size=size)
    with pytest.raises(InputError, match="--steps 0: pass at least 1"):
        tiny(steps=0)
