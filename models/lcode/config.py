"""The numbers of L-CoDe."""

from dataclasses import dataclass

from models.vocabulary import VOCABULARY_HELP
from utils.errors import InputError
from utils.options import number, setting


@dataclass(frozen=True)
class LCoDeConfig:
    """The published code's; docs/SYSTEMS.md tells where the paper has others."""

    img_size: int = number(224)  # side of the square, pixels; a multiple of 8
    width: int = number(64)  # channels of VGG's first block; of image and words where they meet: 8 times as many
    backbone_norm: bool = number(
        True, "--no-backbone_norm: VGG-16 without BatchNorm, where only such weights are there"
    )
    word_width: int = number(300)
    limit: int = number(15)  # longest caption, words: the gate has a weight for each place
    vocabulary_size: int = number(2)  # of the tokenizer; a new training counts it
    word_dropout: float = setting(0.33, "share of the word vectors' values that training drops", low=0, high=1)
    occm_weight: float = setting(0.1, "weight of the correspondence loss, above 0", low=0)
    occm_detached: bool = setting(True, "--no-occm_detached: the pairs of words teach the text encoder too")
    backbone_weights: str | None = setting(
        None, "VGG-16 (with BatchNorm) to start from: a file, vgg16_bn to fetch it, or 'random'", resume="free"
    )
    vocabulary: str | None = setting(None, VOCABULARY_HELP, resume="free")

    def __post_init__(self) -> None:
        if self.img_size % 8 or self.img_size <= 0:
            raise InputError(f"--input_size {self.img_size}: pass a multiple of 8")
        if self.occm_weight == 0:
            raise InputError("--occm_weight 0: nothing else teaches which colour is whose; pass more than 0")


PAPER = LCoDeConfig()
SMALL = LCoDeConfig(img_size=64, width=16, word_width=64, limit=64)  # for Scenes and two CPU cores: 1.2 million
