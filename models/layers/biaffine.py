"""Which word belongs to which: object-colour correspondence as a biaffine form (L-CoDe, L-CoDer)."""

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad


class Biaffine(nn.Module):
    """s[j, i] = second_j . W [first_i ; 1], of zero at the start.  B captions; N, M words; C channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels + 1, channels, bias=False)
        nn.init.zeros_(self.linear.weight)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """first: (B, N, C); second: (B, M, C). Returns logits (B, M, N)."""
        ones = first.new_ones(*first.shape[:2], 1)
        return second @ self.linear(torch.cat([first, ones], dim=2)).transpose(1, 2)


def correspondence_loss(logits: Tensor, truth: Tensor, positive: float) -> Tensor:
    """Binary cross-entropy of the object-colour correspondence matrix (OCCM), nats, the mean: a float32 scalar.

    logits: (B, N, N), [b, object, colour]; truth: (B, N_L, N_L) bool, N_L <= N: 0 on padding; positive: added to the
    weight 1 of a true pair.
    """
    room = logits.shape[1] - truth.shape[1]
    truth = pad(truth.float(), (0, room, 0, room))
    return binary_cross_entropy_with_logits(logits.float(), truth, weight=positive * truth + 1)
