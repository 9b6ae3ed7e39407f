"""Losses of L-CAD.  B pictures; H, W sides."""

from torch import Tensor
from torch.nn.functional import l1_loss, pad

WINDOW = 7  # N_win: side of the window in which the residual's variance is taken
LEAST = 1e-12  # variance: the fifth root's slope at 0 is infinite


def artifact_map(predicted: Tensor, target: Tensor) -> Tensor:
    """M_art of L_rec: how much the residual varies around a pixel, times the fifth root of how much it varies at all.

        r = sum over RGB of |x - x~|;   M = var(r)^(1/5) var_7x7(r)

    Both variances are unbiased, windows reflected at the edges. predicted, target: (B, 3, H, W), H, W >= 4. Returns
    (B, 1, H, W), >= 0, float32. Open in the paper: the first factor is the published code's.
    """
    residual = (predicted.float() - target.float()).abs().sum(dim=1, keepdim=True)
    whole = residual.var(dim=(1, 2, 3), keepdim=True).clamp(min=LEAST) ** 0.2
    edge = WINDOW // 2
    windows = pad(residual, (edge,) * 4, mode="reflect").unfold(2, WINDOW, 1).unfold(3, WINDOW, 1)
    return whole * windows.var(dim=(-2, -1))


def artifact_loss(predicted: Tensor, target: Tensor, detached: bool) -> Tensor:
    """L_rec = mean |M x~ - M x|, a float32 scalar. predicted, target: (B, 3, H, W) in [-1, 1].

    detached: no gradient through M; the published code lets it pass.
    """
    weight = artifact_map(predicted, target)
    weight = weight.detach() if detached else weight
    return l1_loss(weight * predicted.float(), weight * target.float())
