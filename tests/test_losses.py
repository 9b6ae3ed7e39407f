from types import SimpleNamespace

import numpy as np
import pytest
import torch

from losses import ColorizationLoss, chroma_loss, counter_color_loss, relevance
from models.lcoins import CounterColorization
from models.text_encoder import Words

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


def output_and_batch():
    language, group, counter_language, counter_group, mask, counter_mask = make()
    output = CounterColorization(torch.rand(B, 2, 3, 5), language, group, None, counter_language, counter_group)
    batch = SimpleNamespace(
        words=Words(None, mask), counter_words=Words(None, counter_mask), has_counter=torch.tensor([True, False, True])
    )
    return output, batch, torch.rand(B, 2, 3, 5)


def test_total_is_equation_16_and_captions_without_colour_take_no_part():
    output, batch, target = output_and_batch()
    losses = ColorizationLoss(alpha=2.0, beta=-0.5)(output, target, batch)
    per_caption = counter_color_loss(*make())
    assert losses["counter_color"].item() == pytest.approx((per_caption[0] + per_caption[2]).item() / 2)
    expected = 2.0 * losses["chroma"] - 0.5 * losses["counter_color"]
    torch.testing.assert_close(losses["total"], expected)
    assert set(losses) == {"chroma", "counter_color", "total"}


def test_a_batch_without_any_colour_word_keeps_the_graph():
    output, batch, target = output_and_batch()
    batch.has_counter[:] = False
    group = output.group.clone().requires_grad_()
    losses = ColorizationLoss()(output._replace(group=group), target, batch)
    losses["total"].backward()
    assert losses["counter_color"] == 0 and group.grad.eq(0).all()  # zero, not None: DDP waits for it


def test_without_counter_captions_the_total_is_the_chroma_loss():
    output, batch, target = output_and_batch()
    batch.counter_words = None
    losses = ColorizationLoss()(output, target, batch)
    assert losses["counter_color"] == 0 and losses["total"] == losses["chroma"]


def test_negative_beta_makes_the_right_words_more_relevant():
    """The optimum of Eq. (16) pulls words to their own groups and away from the counter caption's."""
    torch.manual_seed(0)
    features = [torch.randn(1, n, C, requires_grad=True) for n in (L, G, L, G)]
    optimizer, mask = torch.optim.Adam(features, lr=0.05), torch.ones(1, L, dtype=torch.bool)
    batch = SimpleNamespace(words=Words(None, mask), counter_words=Words(None, mask), has_counter=torch.tensor([True]))
    for _ in range(100):
        language, group, counter_language, counter_group = features
        output = CounterColorization(torch.zeros(1, 2, 1, 1), language, group, None, counter_language, counter_group)
        optimizer.zero_grad()
        ColorizationLoss(beta=-1.0)(output, torch.zeros(1, 2, 1, 1), batch)["total"].backward()
        optimizer.step()
    assert relevance(language, group, mask) > 0.5 > -0.5 > relevance(counter_language, group, mask)
