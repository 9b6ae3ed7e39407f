"""The numbers of InstColorization."""

from dataclasses import dataclass

from utils.errors import InputError
from utils.options import number, setting

STAGES = ("full", "instance", "fusion")


@dataclass(frozen=True)
class InstColorizationConfig:
    """The published code's; docs/SYSTEMS.md tells where the paper has others."""

    img_size: int = number(256)  # side of the square that picture and crops are squashed to; a multiple of 8
    width: int = number(64)  # channels of the first stage, an eighth of the widest
    stage: str = number(
        "full",
        "what learns: full, the network of whole pictures; instance, that of single boxes; fusion, the weights of both."
        " Each starts from the stage before by --finetune",
        fixed=False,
        resume="refused",
    )
    fusion_mask: bool = number(
        False,
        "leave the padding around an instance out of the fusion's softmax, where the published code weighs it",
        fixed=False,
    )
    gray_range: float = setting(
        10.0, "a picture or crop whose a and b both span less than this, CIE units, teaches nothing", low=0
    )

    def __post_init__(self) -> None:
        if self.img_size % 8 or self.img_size <= 0:
            raise InputError(f"--input_size {self.img_size}: pass a multiple of 8")
        if self.stage not in STAGES:
            raise InputError(f"--stage {self.stage}: unknown; pass one of {', '.join(STAGES)}")


PAPER = InstColorizationConfig()
SMALL = InstColorizationConfig(img_size=112, width=24)  # for two CPU cores: 4.8 million parameters a network
