"""Xie2018 as a system.  B pictures; S side of the square; Q bins.

Differs, where the thesis's public code is not followed: docs/SYSTEMS.md.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from datasets.batch import IGNORED, Batch
from models.layers.color_bins import ClassBalance, ColorBins, gamut_bins
from models.layers.words import WordEncoder
from models.system import Coloring
from models.text import CaptionTokenizer, Words
from models.vocabulary import read_vectors
from models.weights import load_backbone, load_fully
from models.word_system import WordSystem, check_vocabulary, imagenet, split
from models.xie2018.config import Xie2018Config
from models.xie2018.network import ColorNetwork, Features, Modulation, SegmentationNetwork
from utils import color
from utils.devices import full_precision
from utils.errors import InputError

logger = logging.getLogger(__name__)
STRIDE = 4  # pixels of the square for one of the logits
SHARPNESS = 2.63  # of the bins' distribution when colours are read: temperature 0.38
NEAREST = 10  # bins that share a pixel's target
_KNOWN = ("unet.cnn_0.0.weight", "segnet.seg_classifier.weight")
_EMBEDDING = "caption_encoder.embedding.weight"


class Output(NamedTuple):
    logits: Tensor  # (B, Q, S / 4, S / 4)
    features: Features


class Network(nn.Module):
    """Under the public file's names."""

    def __init__(self, config: Xie2018Config, bins: int) -> None:
        super().__init__()
        width, caption = config.width, 2 * config.hidden
        sizes = config.vocabulary_size, config.word_width, config.hidden
        self.caption_encoder = WordEncoder(*sizes, config.word_dropout)
        self.caption_encoder.embedding.requires_grad_(config.learn_words)
        self.unet = ColorNetwork(width, bins, config.backbone_norm)
        self.segnet = SegmentationNetwork(width, config.classes)
        self.film0, self.film1 = Modulation(8 * width, caption), Modulation(8 * width, caption)
        self.film2, self.film3 = Modulation(4 * width, caption, attends=False), Modulation(4 * width, caption)

    def forward(self, picture: Tensor, words: Words) -> Output:
        """picture: (B, 3, S, S) with ImageNet's mean and deviation."""
        _, caption = self.caption_encoder(words.gathered())
        return Output(*self.unet(picture, caption, (self.film0, self.film1, self.film2, self.film3)))


class Xie2018(WordSystem):
    Config = Xie2018Config
    inputs = frozenset({"labels"})

    def __init__(self, name: str, config: Xie2018Config, tokenizer: CaptionTokenizer | None = None) -> None:
        super().__init__(name, config, tokenizer)
        self.bins = ColorBins(gamut_bins())
        self.labels = ClassBalance(config.classes)
        self.network = Network(config, len(self.bins.centers))
        self._unlabelled_told = False

    def begin_update(self, batches: Sequence[Batch], device: torch.device) -> list[Batch]:
        for batch in batches:
            self._check_labels(batch)
        return super().begin_update(batches, device)

    def _check_labels(self, batch: Batch) -> None:
        if batch.labels is None:
            if not self._unlabelled_told:
                logger.warning("no labels of the pixels are there: the segmentation, a side task, does not learn")
                self._unlabelled_told = True
            return
        wrong = (batch.labels >= self.config.classes) & (batch.labels != IGNORED)
        if wrong.any():
            name = batch.names[int(wrong.flatten(1).any(dim=1).nonzero()[0])]
            raise InputError(
                f"{name}: its map of labels has class {int(batch.labels[wrong][0])}; this model knows 0 to"
                f" {self.config.classes - 1}, and {IGNORED} for none: pass a model or maps that fit"
            )

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        gray, ab = split(batch.rgb)
        output = self.network(imagenet(self._jittered(gray) if self.training else gray), batch.words)
        segmentation = self.network.segnet(output.features)
        with full_precision(batch.rgb.device):
            ab = color.denormalize_ab(batch.asked(ab))[:, :, ::STRIDE, ::STRIDE]
            bins = self.bins.loss(output.logits, ab, NEAREST)
            if batch.labels is None:
                labels = segmentation.float().sum() * 0  # every parameter gets a gradient
            else:
                own = batch.labels[:, ::STRIDE, ::STRIDE].long()
                labels = self.labels.labels_loss(segmentation, own, IGNORED)
        total = self.config.bins_weight * bins + self.config.labels_weight * labels
        return {"bins": bins, "labels": labels, "total": total}

    def _jittered(self, gray: Tensor) -> Tensor:
        """gray: (B, 1, S, S) in [-1, 1]; of each picture the brightness and the contrast about its mean."""
        brightness, contrast = 2 * torch.rand(2, len(gray), 1, 1, 1, device=gray.device) - 1
        mean = gray.mean(dim=(1, 2, 3), keepdim=True)
        changed = (
            mean + (gray - mean) * (1 + contrast * self.config.jitter / 100) + brightness * self.config.jitter / 50
        )
        return changed.clamp(-1, 1)

    def colorize(self, batch: Batch) -> Coloring:
        self.tell_cut(batch.captions)
        output = self.network(imagenet(split(batch.rgb)[0]), batch.words)
        ab = self.bins.decode(output.logits, SHARPNESS)
        size = (self.img_size, self.img_size)
        return Coloring(color.normalize_ab(interpolate(ab, size, mode="bicubic")).clamp(-1, 1))

    def group_matcher(self, coarse: bool = False) -> Callable[[str], tuple[int]]:
        """With --layer_decay 0.1 VGG's first three blocks learn at a hundredth of the rate, its fourth at a tenth."""

        def depth(name: str) -> tuple[int]:
            return (0 if "pretrained_vgg_22" in name else 1 if "pretrained_vgg_32" in name else 2,)

        return depth

    @classmethod
    def from_scratch(cls, name: str, config: Xie2018Config) -> Self:
        system = cls.with_vocabulary(name, config)
        vectors = read_vectors(config.word_vectors, system.tokenizer, config.word_width, config.learn_words)
        system.network.caption_encoder.start_from(vectors)
        unet, network = system.network.unet, "vgg16_bn" if config.backbone_norm else "vgg16"
        parts = *unet.pretrained_vgg_22.named_children(), *unet.pretrained_vgg_32.named_children()
        whole = nn.Sequential(OrderedDict(parts))
        logger.info("%s", load_backbone(whole, config.backbone_weights, network, "features."))
        return system

    @classmethod
    def recognizes(cls, content: Any) -> bool:
        return isinstance(content, dict) and all(name in content for name in _KNOWN)

    @classmethod
    def from_authors(cls, name: str, content: Any, config: Xie2018Config) -> tuple[Self, list[str]]:
        """The file lacks `vocabulary`."""
        if _EMBEDDING not in content:
            raise InputError(f"the authors' file: lacks {_EMBEDDING}; fetch it again")
        system = cls.with_vocabulary(name, config)
        check_vocabulary(system.tokenizer, len(content[_EMBEDDING]), "the authors' file")
        load_fully(system.network, content, "the authors' file")
        return system, [f"{len(content)} tensors of the authors' file"]
