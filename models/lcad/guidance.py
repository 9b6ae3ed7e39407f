"""Instance-aware sampling: the attention of a phrase's words is drawn to its object's contour (L-CAD, Algorithm 1).

B pictures; H heads; N cells of a layer's square grid; L words; M instances of all pictures.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from datasets.batch import Batch
from datasets.masks import changed, parse_change
from models.lcad.config import LCADConfig
from models.lcad.phrases import token_spans
from models.text import CaptionTokenizer


@dataclass(frozen=True)
class InstanceGuidance:
    """What changes the scores of a layer of cross-attention.

        s' = s - lambda d/ds sum over instances i of BCE(sigmoid(s_i), mask_i)

    s_i: the scores QK^T / sqrt(d) of all heads and cells with the words of phrase i. The loss is the sum over them.
    Differs: the published code takes their mean, whose gradient moves a score by 0.0025 at most, and where a layer's
    grid is too coarse for a mask it draws the phrase away from everywhere (`mean`); here it leaves the phrase alone.
    """

    masks: Tensor  # (M, H, W) bool
    picture: Tensor  # (M,) int64, on the host: place in the batch
    tokens: Tensor  # (M, 2) int64, on the host: the phrase's words are [start, end)
    weight: float = 1.0  # lambda
    mean: bool = False

    def gradient(self, scores: Tensor) -> Tensor:
        """scores: (B, H, N, L), before the softmax. Returns the loss's gradient by them, float32."""
        scores = scores.float()
        side = math.isqrt(scores.shape[2])
        masks = interpolate(self.masks[:, None].float(), (side, side), mode="nearest").flatten(1)  # (M, N)
        gradient = torch.zeros_like(scores)
        for mask, b, (start, end) in zip(masks, self.picture.tolist(), self.tokens.tolist(), strict=True):
            if not self.mean and not mask.any():
                continue
            own = scores[b, :, :, start:end]
            part = own.sigmoid() - mask[None, :, None]
            gradient[b, :, :, start:end] += part / own.numel() if self.mean else part
        return gradient

    def __call__(self, scores: Tensor) -> Tensor:
        return scores - self.weight * self.gradient(scores)


def build_guidance(batch: Batch, config: LCADConfig, tokenizer: CaptionTokenizer) -> InstanceGuidance | None:
    """By the phrases and masks of a batch; None where there are none, or where they have no weight."""
    instances = batch.instances
    if instances is None or len(instances) == 0 or config.instance_weight == 0:
        return None
    masks = instances.masks
    if config.mask_change is not None:
        masks = changed(masks, *parse_change("--mask_change", config.mask_change))
    tokens = token_spans(instances, batch.captions, batch.names, tokenizer)
    return InstanceGuidance(masks, instances.picture, tokens, config.instance_weight, config.instance_mean)


@dataclass
class GuidedAttention:
    """For the length of a step: attention of two passes over the same input. In the first, scores are kept, changed;
    the second takes them. With it ends all that was kept.

        with GuidedAttention(unet, guidance, B) as attention:
            unet(...)  # of 2 B pictures
            attention.second()
            unet(...)  # of B

    The second pass is of the last B pictures of the first, with captions: those without are the same in both.
    """

    unet: nn.Module
    guidance: InstanceGuidance
    pictures: int  # B
    reuse_self_attention: bool = False
    kept: dict[str, Tensor] = field(default_factory=dict)
    keeps: bool = True
    before: dict[str, Any] = field(default_factory=dict)

    def __enter__(self) -> "GuidedAttention":
        for name, module in self.unet.named_modules():
            crosses = name.endswith(".attn2")
            if crosses or (self.reuse_self_attention and name.endswith(".attn1")):
                self.before[name] = module.processor
                module.processor = _Processor(self, name, crosses)
        return self

    def __exit__(self, *error: object) -> None:
        for name, processor in self.before.items():
            self.unet.get_submodule(name).processor = processor
        self.kept.clear()

    def second(self) -> None:
        self.keeps = False

    def scores(self, name: str, crosses: bool, own: Callable[[], Tensor]) -> Tensor:
        """Of the layer `name` in this pass, (b, H, N, L). own: computes its own."""
        if not self.keeps:
            return self.kept.pop(name)
        scores = own()
        last = scores[-self.pictures :]
        self.kept[name] = self.guidance(last) if crosses else last
        return scores


class _Processor:
    """Attention by its formula, as diffusers' `AttnProcessor`, of scores that may be another pass's."""

    def __init__(self, passes: GuidedAttention, name: str, crosses: bool) -> None:
        self.passes, self.name, self.crosses = passes, name, crosses

    def __call__(
        self,
        attn: nn.Module,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        """hidden_states: (b, N, C); encoder_hidden_states: (b, L, C'), or None for itself; attention_mask: (b, 1, L),
        added to the scores."""
        words = hidden_states if encoder_hidden_states is None else encoder_hidden_states

        def heads(x: Tensor) -> Tensor:
            return x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)

        def own() -> Tensor:
            return (heads(attn.to_q(hidden_states)) @ heads(attn.to_k(words)).transpose(-1, -2)).float() * attn.scale

        scores = self.passes.scores(self.name, self.crosses, own)
        if attention_mask is not None:
            scores = scores + attention_mask[:, None]
        value = heads(attn.to_v(words))
        read = (scores.softmax(dim=-1).to(value.dtype) @ value).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](read))
