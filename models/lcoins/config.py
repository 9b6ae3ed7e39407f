"""The numbers of L-CoIns: the paper's, and of the smaller ones for photographs, scenes and two CPU cores."""

import math
from dataclasses import dataclass
from typing import Any

from transformers import PretrainedConfig

from models.layers.bert import SMALL_BERT, plain
from models.text import MAX_WORDS
from utils.errors import InputError
from utils.options import number, setting


@dataclass(frozen=True)
class _Sizes:
    """What the paper's architecture and the released one share: ViT-B/16, BERT-base, 12 blocks of 1024 with 16 heads,
    15 group tokens."""

    img_size: int = number(224)  # side of the square, pixels; a multiple of the patch
    patch: int = number(16)
    image_width: int = number(768)
    image_depth: int = number(12)
    image_heads: int = number(12)
    position_scale: float = number(0.02)  # standard deviation of the image tokens' position codes at the start
    text_config: dict[str, Any] | None = number(None)  # of a BERT-kind encoder of transformers; None: bert-base-uncased
    dim: int = number(1024)
    depth: int = number(12)
    num_heads: int = number(16)
    num_groups: int = number(15)
    group_scale: float = number(0.02)  # standard deviation of the group tokens at the start
    channels: tuple[int, ...] = number((512, 256, 128, 64, 32))  # of the upsampler
    chroma_scale: float = number(
        1.0, "factor of the predicted ab in use: a mean of guesses is duller than any of them", fixed=False
    )

    luminance_augmentation: bool = setting(True, "--no-luminance_augmentation: w/o LA of Table 1")
    drop_path: float = setting(0.1, "stochastic depth of the last blocks, a probability", low=0, high=1)
    freeze_encoders: bool = setting(False, "neither encoder learns: a step costs half as much", resume="refused")
    muon_encoders: bool = setting(
        True,
        "with --opt muon or nmuon: the encoders too; --no-muon_encoders leaves them to AdamW, which is cheaper for"
        " large ones and gentler on pretrained ones",
        resume="refused",
    )
    alpha: float = setting(1.0, "weight of the chroma loss, Eq. 16")

    def __post_init__(self) -> None:
        if self.img_size % self.patch or self.img_size <= 0:
            raise InputError(f"--input_size {self.img_size}: pass a multiple of the patch side {self.patch}")
        if not 0 < self.chroma_scale < math.inf:
            raise InputError(f"--chroma_scale {self.chroma_scale}: pass a factor above 0")
        if isinstance(self.text_config, PretrainedConfig):
            object.__setattr__(self, "text_config", plain(self.text_config))
        object.__setattr__(self, "channels", tuple(self.channels))  # JSON knows lists alone


@dataclass(frozen=True)
class LCoInsConfig(_Sizes):
    """The paper's, and Table 1's ablations."""

    normalize: bool = number(True)  # InstanceNorm in the upsampler
    sine_positions: bool = number(False)  # word positions start as sine-cosine codes
    identity_maps: bool = number(False)  # the encoders' maps into the grouping transformer start as the identity
    group_tokens: bool = number(True, "--no-group_tokens: w/o GE of Table 1")
    grouping_attention: bool = number(True, "--no-grouping_attention: w/o GA of Table 1")
    counter_color: bool = number(True, "--no-counter_color: w/o CL of Table 1")

    image_encoder_weights: str | None = setting(
        None, "ViT to start from: a .pth or .safetensors file, a timm name, or 'random'", resume="free"
    )
    text_encoder_weights: str | None = setting(
        None, "BERT-kind encoder to start from: a folder, a hub name, or 'random'", resume="free"
    )
    beta: float = setting(-1e-4, "weight of the counter-colour loss, Eq. 16; negative")
    word_weight: float = setting(4.0, "with --recolor: weight of what the other colour word changes", low=0)


@dataclass(frozen=True)
class ReleaseConfig(_Sizes):
    """Of the authors' released checkpoint (models/lcoins/release.py)."""

    num_words: int = number(MAX_WORDS)  # every caption is padded to it
    group_mixing: int = number(512)  # width of `mlp_inter`
    color_bins: int = number(313)
    counter_color: bool = number(False, "--no-counter_color: it has no features for Eq. 15, and can do nothing else")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.patch != 2 ** (len(self.channels) - 1):
            raise InputError(f"patch {self.patch}: {len(self.channels) - 1} doublings of the grid do not give it back")
        if self.counter_color:
            raise InputError(
                "--counter_color: the released architecture has no features for Eq. 15: its checkpoint lacks their two"
                " layers; pass --no-counter_color"
            )


PAPER = LCoInsConfig()
RELEASE = ReleaseConfig()
# For two CPU cores: the same code and the same 14x14 grid, a few million parameters. Positions and group tokens start
# at full scale: with codes of 0.02 it learns many times slower.
SMALL = LCoInsConfig(
    img_size=112,
    patch=8,
    image_width=192,
    image_depth=4,
    image_heads=3,
    position_scale=1.0,
    text_config=SMALL_BERT,
    dim=192,
    depth=4,
    num_heads=3,
    group_scale=1.0,
    channels=(128, 64, 32, 16),
)
# For Scenes, and for Table 1's ablations on two CPU cores: an 8x8 grid, codes of full scale, no InstanceNorm. What
# scripts/checkpoints/pretrain_encoders.py taught both encoders to say alike enters the grouping transformer alike.
SCENES = LCoInsConfig(
    img_size=64,
    patch=8,
    image_width=128,
    image_depth=2,
    image_heads=4,
    position_scale=1.0,
    text_config=SMALL_BERT,
    dim=128,
    depth=4,
    num_heads=4,
    group_scale=1.0,
    channels=(64, 48, 32, 16),
    normalize=False,
    sine_positions=True,
    identity_maps=True,
)
# For photographs, in at most 60 MB: two thirds each of a ViT-S and of MiniLM (scripts/checkpoints/compact_encoders.py).
PHOTOS = LCoInsConfig(
    img_size=112,
    patch=8,
    image_width=384,
    image_depth=8,
    image_heads=6,
    text_config={
        "model_type": "bert",
        "vocab_size": 4096,
        "hidden_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
        "max_position_embeddings": MAX_WORDS,
    },
    dim=256,
    depth=4,
    num_heads=4,
    group_scale=1.0,
    channels=(128, 64, 32, 16),
    normalize=False,
)
