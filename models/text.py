"""Captions as a text encoder takes them.  B batch; N_L language tokens."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers
from tokenizers.implementations import BertWordPieceTokenizer
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from torch.nn.functional import pad
from transformers import AutoTokenizer

from utils.errors import InputError

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # captions are tokenised in loader workers, one thread each

MAX_WORDS = 80  # N_L at most, the marks [CLS] and [SEP] counted
BERT_VOCABULARY = Path(__file__).with_name("bert_uncased_vocab.txt")  # of bert-base-uncased; Google, Apache-2.0
OWN_VOCABULARY = Path(__file__).with_name("wordpiece_vocab.txt")
PADDING, UNKNOWN = "[PAD]", "[UNK]"  # of a vocabulary of whole words


class Words(NamedTuple):
    """A batch of captions as the text encoder takes them."""

    ids: Tensor  # (B, N_L) int64, padded to the batch's own longest caption
    mask: Tensor  # (B, N_L) bool, True on real words; at least one in each caption

    def to(self, device: torch.device, non_blocking: bool = False) -> "Words":
        return Words(self.ids.to(device, non_blocking=non_blocking), self.mask.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Words":
        return Words(self.ids.pin_memory(), self.mask.pin_memory())

    def stack(self, other: "Words") -> "Words":
        """Both batches as one of (2B, max N_L): one pass through the encoder and the grouping transformer.

        The shorter is padded with id 0, whatever the tokenizer's [PAD] is: nothing reads an id outside of the mask.
        """
        length = max(self.ids.shape[1], other.ids.shape[1])
        pairs = zip(self, other, strict=True)
        return Words(*(torch.cat([pad(t, (0, length - t.shape[1])) for t in pair]) for pair in pairs))

    def gathered(self) -> "Words":
        """The real words of each caption first, in their order: where some were hidden, no gap is left."""
        order = (~self.mask).long().argsort(dim=1, stable=True)
        return Words(self.ids.gather(1, order), self.mask.gather(1, order))

    def padded(self, length: int) -> "Words":
        """(B, length), the real words first, id 0 on padding. ValueError for more words."""
        words = self.gathered()
        if words.ids.shape[1] > length and words.mask[:, length:].any():
            raise ValueError(f"{words.ids.shape[1]} words in a caption, {length} at most")
        ids = words.ids.masked_fill(~words.mask, 0)[:, :length]
        room = (0, length - ids.shape[1])
        return Words(pad(ids, room), pad(words.mask[:, :length], room))

    def differ(self, other: "Words") -> Tensor:
        """(B,) bool: whether the caption has other tokens in `other`; padding does not count."""
        both = self.stack(other)
        ids, others = both.ids.masked_fill(~both.mask, -1).chunk(2)
        return (ids != others).any(dim=1)


class CaptionTokenizer:
    """list of captions -> `Words`, cut at `limit` tokens, padded to the longest of the list.

    An empty caption still gives [CLS] [SEP], or the unknown word of a vocabulary of whole words, so that no mean over
    words is ever empty.
    Open in the paper: whether BERT's marks take part; they do here, as in BERT's own training.
    """

    def __init__(self, tokenizer: Tokenizer, limit: int = MAX_WORDS) -> None:
        if tokenizer.padding is None:
            raise InputError("the tokenizer names no padding token; pass a text encoder folder that has one")
        self.tokenizer = tokenizer
        self.limit = limit
        self.tokenizer.enable_truncation(limit)

    @classmethod
    def from_vocabulary(cls, file: Path = OWN_VOCABULARY) -> "CaptionTokenizer":
        """WordPiece over `file`, one token a line (scripts/checkpoints/make_vocabulary.py made ours)."""
        tokenizer = BertWordPieceTokenizer(str(file), lowercase=True)
        tokenizer.enable_padding(pad_id=tokenizer.token_to_id("[PAD]"))
        return cls(Tokenizer.from_str(tokenizer.to_str()))

    @classmethod
    def of_words(cls, vocabulary: Sequence[str], limit: int) -> "CaptionTokenizer":
        r"""Whole words (`\w+`, lower case), an id each: the place in `vocabulary`, whose first is padding. UNKNOWN
        stands for other words, or padding where the vocabulary lacks it. limit: longest caption, words."""
        tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(vocabulary)}, _unknown(vocabulary)))
        tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\w+"), "removed", invert=True)
        tokenizer.enable_padding(pad_id=0, pad_token=vocabulary[0])
        return cls(tokenizer, limit)

    @classmethod
    def from_pretrained(cls, name: str) -> "CaptionTokenizer":
        """`name`: a folder in Hugging Face's layout, or a hub name."""
        try:
            auto = AutoTokenizer.from_pretrained(name, use_fast=True)
            tokenizer = auto.backend_tokenizer
        except (OSError, ValueError, AttributeError) as error:
            raise InputError(
                f"--text_encoder_weights {name}: its tokenizer cannot be loaded ({error}); pass a folder with"
                " config.json, the weights and tokenizer.json or vocab.txt, a hub name this machine can reach,"
                " or 'random'"
            ) from error
        tokenizer.enable_padding(pad_id=auto.pad_token_id, pad_token=auto.pad_token)
        return cls(tokenizer)

    @classmethod
    def from_json(cls, text: str) -> "CaptionTokenizer":
        """The inverse of `to_json`: a checkpoint carries its tokenizer, so that testing needs no hub."""
        tokenizer = Tokenizer.from_str(text)
        return cls(tokenizer, MAX_WORDS if tokenizer.truncation is None else tokenizer.truncation["max_length"])

    def pad_to_multiple_of(self, count: int) -> None:
        """Batches of few lengths: for compiled graphs and GPU kernels. Not part of `to_json`."""
        self.tokenizer.enable_padding(**self.tokenizer.padding | {"pad_to_multiple_of": count})

    def fix_length(self, count: int) -> None:
        """Every caption has `count` tokens from here on, cut or padded: as CLIP's encoder was trained."""
        self.tokenizer.enable_truncation(count)
        self.tokenizer.enable_padding(**self.tokenizer.padding | {"length": count})

    def to_json(self) -> str:
        content = json.loads(self.tokenizer.to_str())
        content["padding"]["pad_to_multiple_of"] = None
        return json.dumps(content, ensure_ascii=False)

    def __call__(self, captions: list[str]) -> Words:
        encoded = self.tokenizer.encode_batch(captions)
        ids = torch.tensor([e.ids for e in encoded], dtype=torch.int64)
        words = Words(ids, torch.tensor([e.attention_mask for e in encoded], dtype=torch.bool))
        return self._unknown_for_none(words) if isinstance(self.tokenizer.model, WordLevel) else words

    def _unknown_for_none(self, words: Words) -> Words:
        if words.ids.shape[1] == 0:
            words = Words(*(pad(held, (0, 1)) for held in words))
        empty = ~words.mask.any(dim=1)
        words.ids[empty, 0], words.mask[empty, 0] = self.tokenizer.token_to_id(self.tokenizer.model.unk_token), True
        return words

    def cut(self, captions: Sequence[str]) -> int:
        """How many captions are longer than the limit."""
        return sum(bool(encoding.overflowing) for encoding in self.tokenizer.encode_batch(list(captions)))

    @property
    def vocabulary_size(self) -> int:
        return self.tokenizer.get_vocab_size()


def _unknown(vocabulary: Sequence[str]) -> str:
    return UNKNOWN if UNKNOWN in vocabulary else vocabulary[0]


def without_marks(tokenizer: CaptionTokenizer, limit: int = MAX_WORDS) -> CaptionTokenizer:
    """The same tokenizer without [CLS] and [SEP], as the released systems read captions. Padding and mask stay.

    An empty caption has no word at all. limit: longest caption, tokens.
    """
    bare = CaptionTokenizer.from_json(tokenizer.to_json())
    bare.tokenizer.post_processor = TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    return CaptionTokenizer(bare.tokenizer, limit)
