"""What systems share that read a caption word by word, or cut it short.  B pictures; H, W side."""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from datasets.batch import Batch
from models.system import System
from models.text import CaptionTokenizer
from models.vocabulary import build_tokenizer
from utils import color
from utils.devices import full_precision
from utils.errors import InputError

logger = logging.getLogger(__name__)
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, of RGB in [0, 1]


class WordSystem(System):
    """Says once that captions were cut."""

    def __init__(self, name: str, config: Any, tokenizer: CaptionTokenizer | None = None) -> None:
        super().__init__(name, config, tokenizer)
        self._cut_told = False

    @classmethod
    def with_vocabulary(cls, name: str, config: Any) -> Self:
        """Random weights for the words of `config.vocabulary`. Raises InputError."""
        tokenizer = build_tokenizer(config.vocabulary, config.limit)
        return cls(name, dataclasses.replace(config, vocabulary_size=tokenizer.vocabulary_size), tokenizer)

    def begin_update(self, batches: Sequence[Batch], device: torch.device) -> list[Batch]:
        self.tell_cut([caption for batch in batches for caption in batch.captions])
        return list(batches)

    def tell_cut(self, captions: Sequence[str]) -> None:
        """Once for all captions."""
        if not self._cut_told and self.tokenizer is not None and self.tokenizer.cut(captions):
            self._cut_told = True
            limit = self.tokenizer.limit
            logger.warning("captions of more than %d words are cut: %s reads no more", limit, self.name)


def split(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """rgb: (B, 3, H, W) in [0, 1]. Returns gray (B, 1, H, W) and ab (B, 2, H, W), both in [-1, 1], float32."""
    with full_precision(rgb.device):
        gray, ab = color.split(rgb)
    return gray.float(), ab.float()


def check_vocabulary(tokenizer: CaptionTokenizer, rows: int, origin: str) -> None:
    """Raises InputError unless the vocabulary has as many words as the public file has vectors."""
    if tokenizer.vocabulary_size != rows:
        raise InputError(
            f"{origin}: has vectors of {rows} words, and --vocabulary {tokenizer.vocabulary_size} words; pass the list"
            " that it was trained with, one word a line in the order of its numbers"
        )


def imagenet(gray: Tensor) -> Tensor:
    """gray: (B, 1, H, W), L / 50 - 1. Its gray sRGB picture (B, 3, H, W), with ImageNet's mean and deviation."""
    with full_precision(gray.device):
        rgb = color.colorize(gray, gray.new_zeros(len(gray), 2, *gray.shape[2:])).clamp(0, 1)
        mean, deviation = (gray.new_tensor(held)[:, None, None] for held in (_MEAN, _DEVIATION))
        return (rgb - mean) / deviation
