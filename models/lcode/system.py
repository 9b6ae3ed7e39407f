"""L-CoDe as a system.  B batch; S side of the square; N words.

Differs, where paper and public code differ: docs/SYSTEMS.md.
"""

import logging
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from datasets.batch import Batch
from datasets.words.captions import LONGEST_CAPTION
from models.layers.biaffine import correspondence_loss
from models.lcode.config import LCoDeConfig
from models.lcode.network import Generator, TextEncoder
from models.system import Coloring
from models.text import CaptionTokenizer, Words
from models.weights import load_backbone, load_fully
from models.word_system import WordSystem, check_vocabulary, split
from utils import color
from utils.checkpoint import unwrap
from utils.devices import full_precision
from utils.errors import InputError

logger = logging.getLogger(__name__)
POSITIVE = 5.0  # added to the weight of a true pair
_HALF = 127.5  # 8-bit ab, CIE units + 128, is scaled to [-1, 1] by x / 127.5 - 1
_GENERATOR, _TEXT = "attn1.conv_context_obj.weight", "arc_biaffine.linear.weight"
_WORDS = {"encoder.": "words.embedding.", "rnn.": "words.lstm."}  # the public text encoder's names -> ours


class LCoDe(WordSystem):
    Config = LCoDeConfig
    inputs = frozenset({"correspondence"})

    def __init__(self, name: str, config: LCoDeConfig, tokenizer: CaptionTokenizer | None = None) -> None:
        super().__init__(name, config, tokenizer)
        sizes = config.vocabulary_size, config.word_width, 8 * config.width, config.limit
        self.text = TextEncoder(*sizes, config.word_dropout, config.occm_detached)
        self.generator = Generator(config.width, config.limit, config.backbone_norm)

    @property
    def training_tokenizer(self) -> CaptionTokenizer | None:
        """Whole captions, of which `forward` draws words."""
        if self.tokenizer is None:
            return None
        return CaptionTokenizer(CaptionTokenizer.from_json(self.tokenizer.to_json()).tokenizer, LONGEST_CAPTION)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Of a caption that is too long, random words, as published; in use it is cut."""
        gray, ab = split(batch.rgb)
        words, correspondence = draw_words(batch.words, batch.correspondence, self.config.limit)
        text = self.text(words)
        predicted = self.generator(gray, text)
        with full_precision(batch.rgb.device):
            chroma = smooth_l1_loss(predicted.float(), to_bytes(batch.asked(ab)))
            occm = correspondence_loss(text.matrix, correspondence, POSITIVE)
        return {"chroma": chroma, "occm": occm, "total": chroma + self.config.occm_weight * occm}

    def colorize(self, batch: Batch) -> Coloring:
        self.tell_cut(batch.captions)
        ab = self.generator(split(batch.rgb)[0], self.text(batch.words))
        return Coloring(from_bytes(ab.float()))

    @classmethod
    def from_scratch(cls, name: str, config: LCoDeConfig) -> Self:
        system = cls.with_vocabulary(name, config)
        network = "vgg16_bn" if config.backbone_norm else "vgg16"
        logger.info("%s", load_backbone(system.generator.features, config.backbone_weights, network, "features."))
        return system

    @classmethod
    def recognizes(cls, content: Any) -> bool:
        """A folder of its authors' two files."""
        return isinstance(content, dict) and any(
            isinstance(f, dict) and _GENERATOR in _bare(f) for f in content.values()
        )

    @classmethod
    def from_authors(cls, name: str, content: Any, config: LCoDeConfig) -> tuple[Self, list[str]]:
        """The files lack `vocabulary`."""
        parts = {part: _bare(file) for part, file in content.items() if isinstance(file, dict)}
        generator = next(file for file in parts.values() if _GENERATOR in file)
        text = next((file for file in parts.values() if _TEXT in file and "encoder.weight" in file), None)
        if text is None:
            raise InputError(f"the authors' folder lacks the text encoder's file; it has {', '.join(sorted(parts))}")
        system = cls.with_vocabulary(name, config)
        check_vocabulary(system.tokenizer, len(text["encoder.weight"]), "the authors' text encoder")
        load_fully(system.generator, generator, "the authors' generator")
        load_fully(system.text, {_ours(n): tensor for n, tensor in text.items()}, "the authors' text encoder")
        return system, [f"{len(generator)} tensors of the generator, {len(text)} of the text encoder"]


def draw_words(words: Words, correspondence: Tensor, limit: int) -> tuple[Words, Tensor]:
    """Of captions with more than `limit` words so many at random, in their order, and the pairs among them.

    words: the real ones first in each caption; correspondence: (B, N, N) bool. Differs: the public code lays the pairs
    of the whole caption onto the words that are left.
    """
    count = words.ids.shape[1]
    if count <= limit:
        return words, correspondence
    chances = torch.rand(words.ids.shape, device=words.ids.device).masked_fill(~words.mask, -1.0)
    kept = chances.topk(limit, dim=1).indices.sort(dim=1).values  # (B, limit); of shorter captions all words
    pairs = correspondence.gather(1, kept[:, :, None].expand(-1, -1, count))
    pairs = pairs.gather(2, kept[:, None].expand(-1, limit, -1))
    return Words(words.ids.gather(1, kept), words.mask.gather(1, kept)), pairs


def to_bytes(ab: Tensor) -> Tensor:
    """ab / 110 -> the scale of 8-bit Lab in [-1, 1]: (ab + 128) / 127.5 - 1."""
    return (color.denormalize_ab(ab) + 0.5) / _HALF


def from_bytes(ab: Tensor) -> Tensor:
    """The inverse of `to_bytes`."""
    return color.normalize_ab(ab * _HALF - 0.5)


def _bare(file: dict[Any, Any]) -> dict[Any, Any]:
    return unwrap(file)[0]


def _ours(name: str) -> str:
    return next((name.replace(theirs, own, 1) for theirs, own in _WORDS.items() if name.startswith(theirs)), name)
