import dataclasses

import numpy as np
import pytest
import torch

from datasets.batch import Batch
from losses import ColorizationLoss, chroma_loss, counter_color_loss, relevance, word_loss
from models.lcoins.network import CounterColorization
from models.text import Words
from utils import distributed

B, L, M, G, C = 3, 5, 7, 4, 6  # M: words of the counter caption


def make():
    torch.manual_seed(0)
    language, counter_language = torch.randn(B, L, C).double(), torch.randn(B, M, C).double()
    group, counter_group = torch.randn(B, G, C).double(), torch.randn(B, G, C).double()
    mask = torch.arange(L).expand(B, L) < torch.tensor([[5], [3], [1]])
    counter_mask = torch.arange(M).expand(B, M) < torch.tensor([[7], [2], [4]])
    return language, group, counter_language, counter_group, mask, counter_mask


def mean_cosine(language, group, mask) -> np.ndarray:
    """Eq. (14)'s double sum, pair by pair."""
    result = []
    for words, groups, real in zip(language.numpy(), group.numpy(), mask.numpy(), strict=True):
        cosines = [w @ g / (np.linalg.norm(w) * np.linalg.norm(g)) for w in words[real] for g in groups]
        result.append(np.mean(cosines))
    return np.array(result)


def test_relevance_is_the_mean_over_real_pairs():
    language, group, _, _, mask, _ = make()
    np.testing.assert_allclose(relevance(language, group, mask).numpy(), mean_cosine(language, group, mask), atol=1e-6)
    noisy = language.masked_fill(~mask[..., None], 1e4)
    torch.testing.assert_close(relevance(noisy, group, mask), relevance(language, group, mask))


def test_counter_color_loss_is_equation_15():
    language, group, counter_language, counter_group, mask, counter_mask = make()

    def similarity(words, groups, real):  # F_sim of Eq. (14)
        return 1 / (1 + np.exp(-mean_cosine(words, groups, real)))

    own, crossed = similarity(language, group, mask), similarity(counter_language, group, counter_mask)
    counter_own = similarity(counter_language, counter_group, counter_mask)
    counter_crossed = similarity(language, counter_group, mask)
    expected = np.log(own * (1 - crossed)) + np.log(counter_own * (1 - counter_crossed))
    loss = counter_color_loss(language, group, counter_language, counter_group, mask, counter_mask)
    np.testing.assert_allclose(loss.numpy(), expected, atol=1e-6)


def test_counter_color_loss_is_finite_for_huge_and_zero_features():
    language, group, counter_language, counter_group, mask, counter_mask = (
        t.float() if t.is_floating_point() else t for t in make()
    )
    for scale in (0.0, 1e-30, 1e18):
        tokens = (language, group, counter_language, counter_group)
        features = [(t * scale).requires_grad_() for t in tokens]
        loss = counter_color_loss(*features, mask, counter_mask)
        assert torch.isfinite(loss).all() and (loss <= 0).all()
        loss.sum().backward()
        assert all(torch.isfinite(t.grad).all() for t in features)


def test_chroma_loss_is_equation_13():
    torch.manual_seed(0)
    predicted, target = torch.randn(B, 2, 3, 5).double() * 2, torch.randn(B, 2, 3, 5).double()
    difference = np.abs((predicted - target).numpy())
    assert (difference < 1).any() and (difference >= 1).any()  # both branches
    expected = np.where(difference < 1, 0.5 * difference**2, difference - 0.5).mean()
    np.testing.assert_allclose(chroma_loss(predicted, target).item(), expected, rtol=1e-6)


def losses_of(criterion, output, target, batch):
    """Of an update of one batch."""
    count = criterion.counter_count([batch], torch.device("cpu"))
    return criterion(output, target, dataclasses.replace(batch, counter_count=count))


def output_and_batch():
    language, group, counter_language, counter_group, mask, counter_mask = make()
    output = CounterColorization(torch.rand(B, 2, 3, 5), language, group, None, counter_language, counter_group)
    some = torch.tensor([True, False, True])
    batch = Batch(None, Words(None, mask), Words(None, counter_mask), some, [], [], [])
    return output, batch, torch.rand(B, 2, 3, 5)


def test_total_is_equation_16_and_captions_without_colour_take_no_part():
    output, batch, target = output_and_batch()
    losses = losses_of(ColorizationLoss(alpha=2.0, beta=-0.5), output, target, batch)
    per_caption = counter_color_loss(*make())
    assert losses["counter_color"].item() == pytest.approx((per_caption[0] + per_caption[2]).item() / 2)
    expected = 2.0 * losses["chroma"] - 0.5 * losses["counter_color"]
    torch.testing.assert_close(losses["total"], expected)
    assert set(losses) == {"chroma", "counter_color", "total"}


def parts_of(output, batch, target, place):
    """Output, target and batch of some of the captions."""
    output = output._replace(**{name: value[place] for name, value in output._asdict().items() if value is not None})
    words, counter_words = (Words(None, words.mask[place]) for words in (batch.words, batch.counter_words))
    return output, target[place], Batch(None, words, counter_words, batch.has_counter[place], [], [], [])


@pytest.mark.parametrize("with_counter", [[True, False, True, True], [True, True, False, False], [False] * 4])
@pytest.mark.parametrize("ranks", [1, 2])
def test_an_update_s_losses_do_not_hang_on_how_its_captions_are_shared_out(monkeypatch, with_counter, ranks):
    output, batch, target = output_and_batch()
    output = output._replace(
        **{name: torch.cat([v, v[:1] * 2 + 1]) for name, v in output._asdict().items() if v is not None}
    )
    masks = [torch.cat([words.mask, words.mask[:1]]) for words in (batch.words, batch.counter_words)]
    target = torch.cat([target, target[:1]])
    batch = Batch(None, *(Words(None, mask) for mask in masks), torch.tensor(with_counter), [], [], [])
    criterion = ColorizationLoss(beta=-0.5)
    whole = losses_of(criterion, output, target, batch)

    # Two batches of two, of one rank in two steps or of two ranks in one.
    parts = [parts_of(output, batch, target, slice(start, start + 2)) for start in (0, 2)]
    monkeypatch.setattr(distributed, "world_size", lambda: ranks)
    counts = [float(sum(with_counter[place : place + 2])) for place in (0, 2)]
    monkeypatch.setattr(
        distributed, "mean_over_ranks", lambda own: own if ranks == 1 else torch.tensor(sum(counts) / ranks)
    )
    of_ranks = [parts] if ranks == 1 else [parts[:1], parts[1:]]
    losses = []
    for of_one in of_ranks:
        count = criterion.counter_count([batch for _, _, batch in of_one], torch.device("cpu"))
        losses += [criterion(out, ab, dataclasses.replace(own, counter_count=count)) for out, ab, own in of_one]
    for name, value in whole.items():
        torch.testing.assert_close(torch.stack([part[name] for part in losses]).mean(), value, msg=name)


def test_a_batch_without_any_colour_word_keeps_the_graph():
    output, batch, target = output_and_batch()
    batch.has_counter[:] = False
    group = output.group.clone().requires_grad_()
    losses = losses_of(ColorizationLoss(), output._replace(group=group), target, batch)
    losses["total"].backward()
    assert losses["counter_color"] == 0 and group.grad.eq(0).all()  # zero, not None: DDP waits for it


def test_without_counter_captions_the_total_is_the_chroma_loss():
    output, batch, target = output_and_batch()
    losses = losses_of(ColorizationLoss(), output, target, dataclasses.replace(batch, counter_words=None))
    assert losses["counter_color"] == 0 and losses["total"] == losses["chroma"]


def test_what_the_counter_caption_changes_is_compared_with_what_it_should_change():
    output, batch, target = output_and_batch()
    recolored = torch.rand(2, 2, 2, 3, 5)
    output = output._replace(counter_ab=torch.rand(B, 2, 3, 5))
    batch = dataclasses.replace(batch, recolored=recolored, recolored_at=torch.tensor([0, 2]))
    losses = losses_of(ColorizationLoss(alpha=2.0, beta=-0.5, word_weight=3.0), output, target, batch)

    own = torch.stack([recolored[0, 0], target[1], recolored[1, 0]])  # the recoloured ones' own target
    torch.testing.assert_close(losses["chroma"], chroma_loss(output.ab, own))
    change, asked = (output.ab - output.counter_ab)[[0, 2]], recolored[:, 0] - recolored[:, 1]
    assert (change - asked).abs().max() > 1 > (change - asked).abs().min()  # both branches of smooth-L1
    torch.testing.assert_close(losses["word"], chroma_loss(change, asked) * 2 / B)
    total = 2.0 * (losses["chroma"] + 3.0 * losses["word"]) - 0.5 * losses["counter_color"]
    torch.testing.assert_close(losses["total"], total)

    none = dataclasses.replace(batch, recolored=recolored[:0], recolored_at=torch.tensor([], dtype=torch.int64))
    assert losses_of(ColorizationLoss(word_weight=3.0), output, target, none)["word"] == 0  # so that means have it
    plain = dataclasses.replace(batch, recolored=None)
    assert "word" not in losses_of(ColorizationLoss(word_weight=3.0), output, target, plain)


def test_the_word_loss_of_an_update_does_not_hang_on_the_size_of_its_batches():
    output, batch, target = output_and_batch()
    output = output._replace(counter_ab=torch.rand(B, 2, 3, 5))
    recolored, criterion = torch.rand(2, 2, 2, 3, 5), ColorizationLoss(word_weight=3.0)
    batch = dataclasses.replace(batch, recolored=recolored, recolored_at=torch.tensor([0, 2]))
    whole, words = losses_of(criterion, output, target, batch)["word"], []
    for place in range(B):
        own_output, own_target, own = parts_of(output, batch, target, slice(place, place + 1))
        if place in (0, 2):
            pair = recolored[place // 2][None]
            own = dataclasses.replace(own, recolored=pair, recolored_at=torch.tensor([0]))
        else:
            own = dataclasses.replace(own, recolored=recolored[:0], recolored_at=torch.tensor([], dtype=torch.int64))
        words.append(losses_of(criterion, own_output, own_target, own)["word"])
    torch.testing.assert_close(torch.stack(words).mean(), whole)


def test_colours_that_no_word_tells_do_not_count_in_the_word_loss():
    ab, counter_ab, recolored = torch.rand(2, 2, 3, 5), torch.rand(2, 2, 3, 5), torch.rand(2, 2, 2, 3, 5)
    common = torch.rand(2, 2, 3, 5)
    expected = word_loss(ab, counter_ab, recolored)
    torch.testing.assert_close(word_loss(ab + common, counter_ab + common, recolored), expected)
    torch.testing.assert_close(word_loss(ab, counter_ab, recolored + common[:, None]), expected)
    assert word_loss(recolored[:, 0], recolored[:, 1], recolored).abs().max() == 0 < expected.min()


def test_negative_beta_makes_the_right_words_more_relevant():
    """The optimum of Eq. (16) pulls words to their own groups and away from the counter caption's."""
    torch.manual_seed(0)
    features = [torch.randn(1, n, C, requires_grad=True) for n in (L, G, L, G)]
    optimizer, mask = torch.optim.Adam(features, lr=0.05), torch.ones(1, L, dtype=torch.bool)
    batch = Batch(None, Words(None, mask), Words(None, mask), torch.tensor([True]), [], [], [])
    for _ in range(100):
        language, group, counter_language, counter_group = features
        output = CounterColorization(torch.zeros(1, 2, 1, 1), language, group, None, counter_language, counter_group)
        optimizer.zero_grad()
        losses_of(ColorizationLoss(beta=-1.0), output, torch.zeros(1, 2, 1, 1), batch)["total"].backward()
        optimizer.step()
    assert relevance(language, group, mask) > 0.5 > -0.5 > relevance(counter_language, group, mask)
