"""The numbers of L-CoDer."""

from dataclasses import dataclass
from typing import Any

from transformers import PretrainedConfig

from models.layers.bert import SMALL_BERT, plain
from utils.errors import InputError
from utils.options import number, setting


@dataclass(frozen=True)
class LCoDerConfig:
    """The published code's; docs/SYSTEMS.md tells where the paper has others."""

    img_size: int = number(224)  # side of the square, pixels; a multiple of the patch
    patch: int = number(16)
    image_width: int = number(768)
    image_depth: int = number(12)
    image_heads: int = number(12)
    position_scale: float = number(0.02)  # standard deviation of the image tokens' position codes at the start
    text_config: dict[str, Any] | None = number(None)  # of a BERT-kind encoder of transformers; None: bert-base-uncased
    limit: int = number(20)  # every caption is cut and padded to so many tokens
    dim: int = number(1024)
    depth: int = number(12)
    num_heads: int = number(16)
    channels: tuple[int, ...] = number((512, 256, 128, 64, 32))  # of the upsampler
    drop_path: float = setting(0.1, "stochastic depth of the last blocks, a probability", low=0, high=1)
    freeze_encoders: bool = setting(False, "neither encoder learns: a step costs half as much", resume="refused")
    occm_weight: float = setting(0.1, "weight of the correspondence loss", low=0)
    published_occm: bool = number(
        False, "the correspondence matrix as the public code computes it, of image tokens; it does not learn"
    )
    image_encoder_weights: str | None = setting(
        None, "ViT to start from: a .pth or .safetensors file, a timm name, or 'random'", resume="free"
    )
    text_encoder_weights: str | None = setting(
        None, "BERT-kind encoder to start from: a folder, a hub name, or 'random'", resume="free"
    )

    def __post_init__(self) -> None:
        if self.img_size % self.patch or self.img_size <= 0:
            raise InputError(f"--input_size {self.img_size}: pass a multiple of the patch side {self.patch}")
        if isinstance(self.text_config, PretrainedConfig):
            object.__setattr__(self, "text_config", plain(self.text_config))
        object.__setattr__(self, "channels", tuple(self.channels))  # JSON knows lists alone
        if self.patch != 2 ** (len(self.channels) - 1):
            raise InputError(f"patch {self.patch}: {len(self.channels) - 1} doublings of the grid do not give it back")

    @property
    def learns_matrix(self) -> bool:
        return self.occm_weight > 0 and not self.published_occm


PAPER = LCoDerConfig()
SMALL = LCoDerConfig(  # for Scenes and two CPU cores, of the sizes of L-CoIns's for them
    img_size=64,
    patch=8,
    image_width=128,
    image_depth=2,
    image_heads=4,
    position_scale=1.0,
    text_config=SMALL_BERT,
    limit=64,
    dim=128,
    depth=4,
    num_heads=4,
    channels=(64, 48, 32, 16),
)
