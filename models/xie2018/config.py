"""The numbers of Xie2018."""

from dataclasses import dataclass

from models.vocabulary import VECTORS_HELP, VOCABULARY_HELP
from utils.errors import InputError
from utils.options import number, setting


@dataclass(frozen=True)
class Xie2018Config:
    """The published code's full method; docs/SYSTEMS.md."""

    img_size: int = number(224)  # side of the square, pixels; a multiple of 8
    width: int = number(64)  # channels of VGG's first block
    backbone_norm: bool = number(
        True, "--no-backbone_norm: VGG-16 without BatchNorm, where only such weights are there"
    )
    word_width: int = number(300)
    hidden: int = number(512)  # of one direction of the caption's LSTM
    limit: int = number(20)  # longest caption, words
    vocabulary_size: int = number(2)  # of the tokenizer; a new training counts it
    classes: int = number(182, "classes of the labels: COCO-Stuff's 182; the scenes' nouns and grounds are 21")
    learn_words: bool = number(False, "the word vectors learn too, as random ones have to")
    word_dropout: float = setting(0.2, "share of the word vectors' values that training drops", low=0, high=1)
    jitter: float = setting(
        10.0, "training changes L by up to so many units, and its contrast by as many per cent", low=0
    )
    bins_weight: float = setting(2.0, "weight of the colour bins' loss", low=0)
    labels_weight: float = setting(1.0, "weight of the segmentation, the side task", low=0)
    backbone_weights: str | None = setting(
        None, "VGG-16 (with BatchNorm) to start from: a file, vgg16_bn to fetch it, or 'random'", resume="free"
    )
    vocabulary: str | None = setting(None, VOCABULARY_HELP, resume="free")
    word_vectors: str | None = setting(None, VECTORS_HELP, resume="free")

    def __post_init__(self) -> None:
        if self.img_size % 8 or self.img_size <= 0:
            raise InputError(f"--input_size {self.img_size}: pass a multiple of 8")


PAPER = Xie2018Config()
# For Scenes, with their 15 nouns and 6 grounds, and two CPU cores.
SMALL = Xie2018Config(img_size=64, width=16, word_width=64, hidden=64, limit=64, classes=21, learn_words=True)
