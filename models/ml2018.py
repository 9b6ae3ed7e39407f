"""ML2018: Learning to Color from Language (Manjunatha et al., NAACL 2018), its FiLM variant.

B pictures; S side; h, w = S / 8; C channels of the features.  The head's modules have the names of the public file.
"""

import logging
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import interpolate

from datasets.batch import Batch
from models.layers.color_bins import ColorBins, grid_bins
from models.layers.film import film
from models.layers.words import WordEncoder
from models.system import Coloring
from models.text import CaptionTokenizer, Words
from models.vocabulary import VECTORS_HELP, VOCABULARY_HELP, read_vectors
from models.weights import load_backbone, load_fully
from models.word_system import WordSystem, check_vocabulary, imagenet, split
from utils import color
from utils.devices import full_precision
from utils.errors import InputError
from utils.options import number, setting

logger = logging.getLogger(__name__)
STRIDE = 4  # pixels of the square for one of the logits
BACKBONES = {"resnet101": 512, "resnet50": 512, "resnet18": 128}  # torchvision's; channels of layer2
_FILM, _LAST = "dense_film_4.weight", "classifier.weight"


@dataclass(frozen=True)
class ML2018Config:
    """The published code's; docs/SYSTEMS.md tells where the paper has others."""

    img_size: int = number(224)  # side of the square, pixels; a multiple of 8
    backbone: str = number("resnet101", "resnet101, or resnet50, whose features have the same sizes, or resnet18")
    word_width: int = number(300)
    hidden: int = number(256)  # of one direction of the caption's LSTM
    limit: int = number(80)  # longest caption, words
    vocabulary_size: int = number(2)  # of the tokenizer; a new training counts it
    learn_backbone: bool = number(False, "the backbone learns too, as it must where it starts from random weights")
    align_corners: bool = number(
        False, "double the grid with its corners aligned, as the public file was trained; it switches this on"
    )
    word_dropout: float = setting(0.2, "share of the word vectors' values that training drops", low=0, high=1)
    backbone_weights: str | None = setting(
        None, "backbone to start from: a file, its torchvision name to fetch it, or 'random'", resume="free"
    )
    vocabulary: str | None = setting(None, VOCABULARY_HELP, resume="free")
    word_vectors: str | None = setting(None, VECTORS_HELP, resume="free")

    def __post_init__(self) -> None:
        if self.img_size % 8 or self.img_size <= 0:
            raise InputError(f"--input_size {self.img_size}: pass a multiple of 8")
        if self.backbone not in BACKBONES:
            raise InputError(f"--backbone {self.backbone}: unknown; pass one of {', '.join(BACKBONES)}")


PAPER = ML2018Config()
SMALL = ML2018Config(  # for Scenes and two CPU cores
    img_size=64, backbone="resnet18", word_width=64, hidden=64, learn_backbone=True
)


class Block(nn.Module):
    """x + relu(film(BN(relu(conv(relu(conv x))))))"""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, image: Tensor, modulation: Tensor) -> Tensor:
        """image: (B, C, h, w); modulation: (B, 2 C), of `film`."""
        inner = self.bn2(self.conv2(self.conv1(image).relu()).relu())
        return image + film(inner, modulation).relu()


class Output(NamedTuple):
    caption: Tensor  # (B, 2 hidden)
    last: Tensor  # (B, C, h, w), of the fourth block
    logits: Tensor  # (B, 625, 2 h, 2 w)


class Head(nn.Module):
    """Features and caption -> colour bins: four blocks, modulated by the caption."""

    def __init__(self, config: ML2018Config, channels: int, bins: int) -> None:
        super().__init__()
        self.align_corners = config.align_corners
        sizes = config.vocabulary_size, config.word_width, config.hidden
        self.caption_encoder = WordEncoder(*sizes, config.word_dropout)
        for place in range(1, 5):
            self.add_module(f"mod{place}", Block(channels))
            self.add_module(f"dense_film_{place}", nn.Linear(2 * config.hidden, 2 * channels))
        self.classifier = nn.Conv2d(channels, bins, 1)

    def forward(self, features: Tensor, words: Words) -> Output:
        """features: (B, C, h, w)."""
        _, caption = self.caption_encoder(words.gathered())
        image = features
        for place in range(1, 5):
            image = getattr(self, f"mod{place}")(image, getattr(self, f"dense_film_{place}")(caption))
        doubled = interpolate(image, scale_factor=2, mode="bilinear", align_corners=self.align_corners)
        return Output(caption, image, self.classifier(doubled))


class ML2018(WordSystem):
    Config = ML2018Config
    of_authors: ClassVar = {"align_corners": True}

    def __init__(self, name: str, config: ML2018Config, tokenizer: CaptionTokenizer | None = None) -> None:
        super().__init__(name, config, tokenizer)
        self.backbone = backbone_of(config.backbone)
        self.bins = ColorBins(grid_bins())
        self.head = Head(config, BACKBONES[config.backbone], len(self.bins.centers))
        self.backbone.requires_grad_(config.learn_backbone)

    def train(self, mode: bool = True) -> Self:
        """A frozen backbone's BatchNorm stands still."""
        super().train(mode)
        if not self.config.learn_backbone:
            self.backbone.eval()
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        gray, ab = split(batch.rgb)
        logits = self._logits(gray, batch.words)
        with full_precision(batch.rgb.device):
            bins = self.bins.loss(logits, color.denormalize_ab(batch.asked(ab))[:, :, ::STRIDE, ::STRIDE])
        return {"bins": bins, "total": bins}

    def colorize(self, batch: Batch) -> Coloring:
        self.tell_cut(batch.captions)
        ab = self.bins.decode(self._logits(split(batch.rgb)[0], batch.words))
        size = (self.img_size, self.img_size)
        return Coloring(color.normalize_ab(interpolate(ab, size, mode="bicubic")).clamp(-1, 1))

    def _logits(self, gray: Tensor, words: Words) -> Tensor:
        """gray: (B, 1, S, S) in [-1, 1], shown as an 8-bit gray picture would be."""
        with torch.set_grad_enabled(self.config.learn_backbone and torch.is_grad_enabled()):
            features = self.backbone(imagenet(gray))
        return self.head(features, words).logits

    @classmethod
    def from_scratch(cls, name: str, config: ML2018Config) -> Self:
        system = cls._with_words(name, config)
        vectors = read_vectors(config.word_vectors, system.tokenizer, config.word_width)
        system.head.caption_encoder.start_from(vectors)
        return system

    @classmethod
    def _with_words(cls, name: str, config: ML2018Config) -> Self:
        system = cls.with_vocabulary(name, config)
        logger.info("%s", load_backbone(system.backbone, config.backbone_weights, config.backbone))
        return system

    @classmethod
    def recognizes(cls, content: Any) -> bool:
        return isinstance(content, dict) and _FILM in content and _LAST in content

    @classmethod
    def from_authors(cls, name: str, content: Any, config: ML2018Config) -> tuple[Self, list[str]]:
        """The file lacks `vocabulary` and `backbone_weights`."""
        system = cls._with_words(name, config)
        check_vocabulary(system.tokenizer, len(content["caption_encoder.embedding.weight"]), "the authors' file")
        load_fully(system.head, content, "the authors' file")
        return system, [f"{len(content)} tensors of the head"]


def backbone_of(name: str) -> nn.Sequential:
    """Torchvision's network up to layer2, under its names: (B, 3, S, S) -> (B, C, S / 8, S / 8)."""
    network = torchvision.models.get_model(name, weights=None)
    parts = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2")
    held = nn.Sequential()
    for part in parts:
        held.add_module(part, getattr(network, part))
    return held
