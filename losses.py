"""The training objective (Sec. 3.7).  B batch; N_L words; N_G group tokens; C feature width; H, W image side."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize, smooth_l1_loss

from utils import distributed


def chroma_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """L_delta, Eq. (13): smooth-L1 with delta = 1 over ab (B, 2, H, W) in [-1, 1]. Returns a float32 scalar.

    Open in the paper: the units. On ab / 110 the values of alpha and beta in Eq. (16) make sense.
    """
    return smooth_l1_loss(predicted.float(), target.float(), beta=1.0)


def relevance(language: Tensor, group: Tensor, word_mask: Tensor) -> Tensor:
    """Mean cosine similarity over all (word, group) pairs: the argument of the sigmoid F_sim in Eq. (14).

    The mean over pairs of dot products of unit vectors is the dot product of the two means: O(N_L + N_G) work.

    language: (B, N_L, C); group: (B, N_G, C); word_mask: (B, N_L) bool, True on real words: padding never reaches
    the mean. Returns (B,) in [-1, 1], float32.
    """
    words = normalize(language.float(), dim=-1) * word_mask[..., None]
    mean_word = words.sum(dim=1) / word_mask.sum(dim=1, keepdim=True)
    mean_group = normalize(group.float(), dim=-1).mean(dim=1)
    return (mean_word * mean_group).sum(dim=-1)


def counter_color_loss(
    language: Tensor,
    group: Tensor,
    counter_language: Tensor,
    counter_group: Tensor,
    word_mask: Tensor,
    counter_word_mask: Tensor,
) -> Tensor:
    """L_ctr, Eq. (15), in nats, one per caption (B,), never above 0. It is a log-likelihood: it grows with training.

        log(F(l, g) (1 - F(l', g))) + log(F(l', g') (1 - F(l, g')))      with F = sigmoid(relevance), Eq. (14)

    Shapes and masks as in `relevance`; primes are the counter caption's. log(1 - sigmoid x) = logsigmoid(-x), so the
    result is finite for any input.
    """
    own = relevance(language, group, word_mask)
    crossed = relevance(counter_language, group, counter_word_mask)
    counter_own = relevance(counter_language, counter_group, counter_word_mask)
    counter_crossed = relevance(language, counter_group, word_mask)
    return logsigmoid(own) + logsigmoid(-crossed) + logsigmoid(counter_own) + logsigmoid(-counter_crossed)


def word_loss(ab: Tensor, counter_ab: Tensor, recolored: Tensor) -> Tensor:
    """Smooth-L1 between what the counter caption changes and what it should: (R,) float32.

    ab, counter_ab: (R, 2, H, W) under both captions; recolored: (R, 2, 2, H, W), what they ask for; all in [-1, 1].
    Differs: ours, for `datasets.recolor`. Most of L_delta is about colours that no word tells; they are the same under
    both captions, and gone in the difference. What is left is what the word means, and where.
    """
    change = ab.float() - counter_ab.float()
    asked = recolored[:, 0].float() - recolored[:, 1].float()
    return smooth_l1_loss(change, asked, beta=1.0, reduction="none").mean(dim=(1, 2, 3))


class ColorizationLoss(nn.Module):
    """L_total = alpha (L_delta + word_weight L_word) + beta L_ctr; without the second, Eq. (16).

    beta is negative: L_ctr is to grow.
    """

    def __init__(self, alpha: float = 1.0, beta: float = -1e-4, word_weight: float = 0.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.beta = beta
        self.word_weight = word_weight

    def counter_count(self, batches: Sequence[Any], device: torch.device) -> Tensor:
        """Captions that have a counter caption, per batch: the mean over an update's batches and all ranks (scalar).

        `forward` divides by it, not by its own batch's: neither --update_freq nor the number of processes weighs a
        caption by its neighbours. Not 0, where there is none.
        """
        if batches[0].counter_words is None:
            return torch.ones((), device=device)  # not asked for
        count = sum(batch.has_counter.sum() for batch in batches).to(device, torch.float32)
        count = distributed.mean_over_ranks(count / len(batches))
        return count.clamp(min=1 / (len(batches) * distributed.world_size()))

    def forward(self, output: Any, target: Tensor, batch: Any) -> dict[str, Tensor]:
        """output: what the network gave for `batch` (`models.lcoins.network`); target: ab (B, 2, H, W) in [-1, 1].
        An update's losses are the means of its batches'; `batch.counter_count` is what they share.

        A batch without counter captions (w/o CL) has L_ctr = 0. Recoloured samples have their own target; the mean of
        L_word is over all samples of the batch, those that are not recoloured counting 0.
        """
        chroma = chroma_loss(output.ab, batch.asked(target))
        counter = chroma.new_zeros(()) if batch.counter_words is None else self._counter_color(output, batch)
        losses = {"chroma": chroma, "counter_color": counter}
        total = self.alpha * chroma + self.beta * counter
        if self.word_weight > 0 and batch.recolored is not None and batch.counter_words is not None:
            losses["word"] = self._word(output, batch) if batch.color_counter else chroma.new_zeros(())
            total = total + self.alpha * self.word_weight * losses["word"]
        return losses | {"total": total}

    def _word(self, output: Any, batch: Any) -> Tensor:
        of_pairs = word_loss(output.ab[batch.recolored_at], output.counter_ab[batch.recolored_at], batch.recolored)
        return of_pairs.sum() / len(output.ab)

    def _counter_color(self, output: Any, batch: Any) -> Tensor:
        """This batch's part in the mean of Eq. (15) over the captions that have a colour word; the others take none."""
        features = output.language, output.group, output.counter_language, output.counter_group
        per_caption = counter_color_loss(*features, batch.words.mask, batch.counter_words.mask)
        return torch.where(batch.has_counter, per_caption, 0.0).sum() / batch.counter_count
