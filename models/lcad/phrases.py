"""Captions and their phrases as the tokens that a text encoder reads them as."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from datasets.masks import Instances
from datasets.words.captions import shorten
from models.text import CaptionTokenizer
from utils.errors import InputError


def check_lengths(captions: Iterable[tuple[str, str]], tokenizer: CaptionTokenizer, system: str) -> None:
    """captions: (name of the picture, caption). Raises InputError for one that would be cut."""
    for name, caption in captions:
        if tokenizer.cut([caption]):
            raise InputError(
                f"{name}: the caption {shorten(caption)!r} has more than the {tokenizer.limit} tokens that {system}"
                " reads; shorten it"
            )


def token_spans(
    instances: Instances, captions: Sequence[str], names: Sequence[str], tokenizer: CaptionTokenizer
) -> Tensor:
    """(M, 2) int64: each instance's phrase is the tokens [start, end) of its caption, the mark of the beginning being
    the first. names: of the pictures, for errors. Raises InputError for a phrase outside of what is read."""
    offsets = [encoding.offsets for encoding in tokenizer.tokenizer.encode_batch(list(captions))]
    spans = []
    for b, (start, end) in zip(instances.picture.tolist(), instances.spans.tolist(), strict=True):
        own = [at for at, (first, last) in enumerate(offsets[b]) if first < min(last, end) and last > start]
        if not own:
            raise InputError(
                f"{names[b]}: the phrase {captions[b][start:end]!r} is behind the {len(offsets[b])} tokens of its"
                " caption that are read; shorten the caption, or leave its mask out"
            )
        spans.append((own[0], own[-1] + 1))
    return torch.tensor(spans, dtype=torch.int64).reshape(-1, 2)
