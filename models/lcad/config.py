"""The numbers of L-CAD: the published ones, and a small one that two CPU cores can train without any download."""

from dataclasses import dataclass
from typing import Any

from datasets.masks import parse_change
from models.lcoins.config import SCENES as LCOINS_SCENES
from utils.errors import InputError
from utils.options import number, setting

STAGES = ("autoencoder", "prior", "compression", "latent")
SAMPLERS = ("ddim", "dpm")
LEARNT = ("decoder", "input", "all")
TRAIN_STEPS = 1000  # of the diffusion


@dataclass(frozen=True)
class LCADConfig:
    """The published code's, which builds on Stable Diffusion 1.5; docs/SYSTEMS.md tells where the paper has others."""

    img_size: int = number(256)  # side of the square; a multiple of what autoencoder and UNet halve it to
    autoencoder_widths: tuple[int, ...] = number((128, 256, 512, 512))  # channels at 1, 1/2, ... of the side
    autoencoder_layers: int = number(2)  # residual blocks a level; the decoder has one more
    latent_channels: int = number(4)
    latent_scale: float = number(0.18215)  # 1 / standard deviation of latents; the stage autoencoder measures its own
    gray_scale: float = number(127.5)  # the gray input is L / gray_scale - 1; the published code takes L for 8-bit
    unet_widths: tuple[int, ...] = number((320, 640, 1280, 1280))
    unet_layers: int = number(2)
    unet_plain: int = number(1)  # so many of the deepest levels have no attention
    heads: int = number(8)
    norm_groups: int = number(32)  # of every GroupNorm
    text_config: dict[str, Any] | None = number(None)  # of a text encoder of transformers; None: CLIP ViT-L/14's
    stage: str = number(
        "latent",
        "what learns: autoencoder and prior, the text-to-image model, where it is not Stable Diffusion; compression,"
        " the luminance encoder; latent, the UNet that reads it. Each starts from the stage before by --finetune",
        fixed=False,
        resume="refused",
    )

    prior_weights: str | None = setting(
        None,
        "Stable Diffusion 1.5, from which the stage compression starts: a folder in diffusers' layout, a hub name, a"
        " single file in the original layout, or 'random'",
        resume="free",
    )
    text_encoder_weights: str | None = setting(
        None,
        "of the stage autoencoder: the text encoder, which never learns: a checkpoint of L-CoIns, a folder, a hub"
        " name, or 'random'",
        resume="free",
    )
    clip_tokenizer: str = setting(
        "openai/clip-vit-large-patch14",
        "with a single file in the original layout, which has none: CLIP's tokenizer, a folder or a hub name",
        resume="free",
    )
    artifact_detached: bool = setting(False, "compression: no gradient through the artifact map, unlike published")
    l1_weight: float = setting(0.0, "compression: weight of the plain error beside the artifact-weighted one", low=0)
    kl_weight: float = setting(1e-6, "autoencoder: weight of the divergence of latents from a normal law", low=0)
    unet_learns: str = setting(
        "decoder",
        "latent: the input convolution and the UNet's decoder, as published (decoder); that convolution alone, as"
        " first published (input); all of it (all)",
        resume="refused",
    )
    unconditional: float = setting(
        0.0,
        "prior and latent: probability that a caption is left out, for classifier-free guidance; published: 0",
        low=0,
        high=1,
    )

    sampler: str = number("ddim", "DDIM (ddim, published) or DPM-Solver++ (dpm)", fixed=False, resume="free")
    steps: int = number(50, "of the sampler", fixed=False, resume="free")
    guidance: float = number(4.5, "scale of classifier-free guidance; 1: none", fixed=False, resume="free")
    instance_weight: float = number(1.0, "lambda of instance-aware sampling, 0: none", fixed=False, resume="free")
    instance_mean: bool = number(
        False,
        "mean over scores in the loss of instance-aware sampling, as published, which changes next to nothing; else"
        " their sum",
        fixed=False,
        resume="free",
    )
    reuse_self_attention: bool = number(
        False,
        "instance-aware sampling: the second pass takes the self-attention of the first, as published",
        fixed=False,
        resume="free",
    )
    sample_seed: int = number(
        0, "of the noise that a picture starts from; others give variants", fixed=False, resume="free"
    )

    luminance_guided: bool = setting(
        True, "the luminance encoder leads the decoder; without, to see what that is for", resume="free"
    )
    mask_change: str | None = setting(
        None,
        "masks of instances made rough, to see what exact ones are worth: grow=N, shrink=N or shift=N, pixels of the"
        " square that the system sees",
        resume="free",
    )
    low_memory: bool = setting(
        False,
        "in use: attention in slices, and one picture after the other through the autoencoder; slower",
        resume="free",
    )

    def __post_init__(self) -> None:
        for name in ("autoencoder_widths", "unet_widths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # JSON knows lists alone
        if self.img_size % self.multiple or self.img_size <= 0:
            raise InputError(f"--input_size {self.img_size}: pass a multiple of {self.multiple}")
        for flag, known in (("stage", STAGES), ("sampler", SAMPLERS), ("unet_learns", LEARNT)):
            if getattr(self, flag) not in known:
                raise InputError(f"--{flag} {getattr(self, flag)}: unknown; pass one of {', '.join(known)}")
        if self.mask_change is not None:
            parse_change("--mask_change", self.mask_change)
        if not 1 <= self.steps <= TRAIN_STEPS:
            raise InputError(f"--steps {self.steps}: pass 1 to {TRAIN_STEPS}")
        for flag, low in (("guidance", 1), ("instance_weight", 0), ("sample_seed", 0)):
            if not getattr(self, flag) >= low:
                raise InputError(f"--{flag} {getattr(self, flag)}: pass {low} or more")

    @property
    def factor(self) -> int:
        """Pixels of a picture's side to one of its latent's."""
        return 2 ** (len(self.autoencoder_widths) - 1)

    @property
    def multiple(self) -> int:
        return self.factor * 2 ** (len(self.unet_widths) - 1)

    @property
    def text_width(self) -> int:
        return 768 if self.text_config is None else self.text_config["hidden_size"]

    @property
    def is_stable_diffusion(self) -> bool:
        """Whether text encoder and prior are Stable Diffusion's, and never trained here."""
        return self.text_config is None or self.text_config["model_type"] == "clip_text_model"


PAPER = LCADConfig()
# On 64-pixel Scenes, with an autoencoder and a text-to-image model of its own; text by the scenes model's encoder.
SMALL = LCADConfig(
    img_size=64,
    autoencoder_widths=(24, 48, 96),
    autoencoder_layers=1,
    latent_scale=1.0,
    gray_scale=50.0,
    unet_widths=(64, 128, 128),
    unet_layers=1,
    unet_plain=0,
    heads=4,
    norm_groups=8,
    text_config=LCOINS_SCENES.text_config,
    sampler="dpm",
    steps=20,
)
