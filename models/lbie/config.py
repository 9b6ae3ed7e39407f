"""The numbers of LBIE."""

from dataclasses import dataclass

from models.vocabulary import VECTORS_HELP, VOCABULARY_HELP
from utils.errors import InputError
from utils.options import number, setting

SMALLEST = 32  # pixels: less, and nothing is left of the discriminator's map


@dataclass(frozen=True)
class LBIEConfig:
    """The paper's recurrent form with the widths of the released file; docs/SYSTEMS.md."""

    img_size: int = number(256)  # side of the square, pixels; a multiple of 4
    width: int = number(32)  # channels of the encoder's first stage
    discriminator_width: int = number(64)
    word_width: int = number(300)
    instance_norm: bool = number(
        True, "--no-instance_norm: the generator's BatchNorm has the statistics of many pictures"
    )
    limit: int = number(77)  # longest caption, words
    vocabulary_size: int = number(2)  # of the tokenizer; a new training counts it
    steps: int = number(4, "steps of the merger, with termination gates; 1: the released form, without a gate")
    learn_words: bool = number(False, "the word vectors learn too, as random ones have to")
    gan_weight: float = setting(1.0, "weight of the generator's adversarial loss", low=0)
    l1_weight: float = setting(100.0, "weight of the L1 distance of ab / 110", low=0)
    vocabulary: str | None = setting(None, VOCABULARY_HELP, resume="free")
    word_vectors: str | None = setting(None, VECTORS_HELP, resume="free")

    def __post_init__(self) -> None:
        if self.img_size % 4 or self.img_size < SMALLEST:
            raise InputError(f"--input_size {self.img_size}: pass a multiple of 4, at least {SMALLEST}")
        if self.steps < 1:
            raise InputError(f"--steps {self.steps}: pass at least 1")


PAPER = LBIEConfig()
SMALL = LBIEConfig(
    img_size=64, width=16, discriminator_width=16, word_width=64, steps=2, learn_words=True, instance_norm=False
)  # for Scenes and two CPU cores
