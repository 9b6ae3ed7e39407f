"""L-CAD as a system: a latent diffusion model that paints what a description says onto a luminance.

B pictures; S side of the square; f = `LCADConfig.factor`; c latent channels; L words.

    autoencoder   pictures to latents of S / f and back
    prior         the UNet that makes latents of captions: with these two, a text-to-image model
    compression   the luminance encoder, which leads the autoencoder's decoder
    latent        the UNet, which reads the luminance encoder's last map as well

Stable Diffusion 1.5 stands for the first two where the text encoder is CLIP's. What a stage before latent paints is
what it learns: autoencoder and compression the photograph that they are given, prior a picture of the caption alone.

Differs from the public code: no attention scores outlive a step; the loss of the stage compression has no
discriminator, whose weight the paper does not give.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from datasets.batch import Batch
from models.lcad import original, prior, stages
from models.lcad.autoencoder import LuminanceEncoder, build_autoencoder, decode
from models.lcad.config import STAGES, TRAIN_STEPS, LCADConfig
from models.lcad.guidance import build_guidance
from models.lcad.losses import artifact_loss
from models.lcad.phrases import check_lengths
from models.lcad.sampler import Denoiser, first_noise, noise_schedule, sample
from models.lcad.text_encoder import CLIP_WORDS, Context, TextEncoder
from models.lcad.unet import build_unet, learning
from models.system import Coloring, System
from models.text import CaptionTokenizer, Words
from models.weights import load_fully, load_text_encoder
from utils import color
from utils.devices import full_precision
from utils.errors import DivergedError, InputError

logger = logging.getLogger(__name__)
LEARNING = {"autoencoder": "autoencoder", "prior": "unet", "compression": "luminance_encoder"}
SCALE_RATE = 0.01  # of the moving average that measures the latents' scale


class LCAD(System):
    """Holds the networks of its stage and of those before it."""

    Config = LCADConfig
    inputs = frozenset({"instances", "seed"})

    def __init__(self, name: str, config: LCADConfig, tokenizer: CaptionTokenizer | None = None) -> None:
        super().__init__(name, config, tokenizer)
        if tokenizer is not None and config.is_stable_diffusion:
            tokenizer.fix_length(CLIP_WORDS)
        self.schedule = noise_schedule()
        self.register_buffer("latent_scale", torch.tensor(config.latent_scale))
        self.autoencoder = build_autoencoder(config)
        self.text = TextEncoder(config)
        if config.stage != "autoencoder":
            self.unet = build_unet(config, reads_luminance=config.stage == "latent")
        if config.stage in ("compression", "latent"):
            self.luminance_encoder = LuminanceEncoder(config)
        if config.low_memory:
            self._save_memory()
        self._cut_told = False
        self.to(memory_format=torch.channels_last)  # by a twentieth faster on a CPU
        self.requires_grad_(False)
        for module in self._learning():
            module.requires_grad_(True)

    def _learning(self) -> Iterator[nn.Module]:
        if self.config.stage == "latent":
            yield from learning(self.unet, self.config.unet_learns)
        else:
            yield getattr(self, LEARNING[self.config.stage])

    def train(self, mode: bool = True) -> Self:
        """What does not learn stays in the mode `eval`."""
        super().train(False)
        self.training = mode
        for module in self._learning():
            module.train(mode)
        return self

    def _save_memory(self) -> None:
        """By diffusers' switches; `decode` slices as its autoencoder would, whose own decoder is not called."""
        self.autoencoder.enable_slicing()
        if self.config.stage != "autoencoder":
            self.unet.set_attention_slice("max")

    def set_grad_checkpointing(self, enable: bool) -> None:
        if self.config.stage not in ("prior", "latent"):
            super().set_grad_checkpointing(enable)
        elif enable:
            self.unet.enable_gradient_checkpointing()

    # ---- training

    def begin_update(self, batches: Sequence[Batch], device: torch.device) -> list[Batch]:
        """Says once that captions are cut."""
        captions = [caption for batch in batches for caption in batch.captions]
        if not self._cut_told and self.tokenizer.cut(captions):
            self._cut_told = True
            logger.warning("captions of more than %d tokens are cut: %s reads no more", self.tokenizer.limit, self.name)
        return list(batches)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        picture = batch.asked_rgb() * 2 - 1
        if self.config.stage == "autoencoder":
            return self._autoencoder_losses(picture)
        if self.config.stage == "compression":
            return self._compression_losses(picture, batch.rgb)
        return self._noise_losses(picture, batch)

    def _autoencoder_losses(self, picture: Tensor) -> dict[str, Tensor]:
        posterior = self.autoencoder.encode(picture).latent_dist
        latent = posterior.sample()
        painted = decode(self.autoencoder, latent)
        with full_precision(picture.device):
            if self.training:
                self.latent_scale.lerp_(1 / latent.detach().float().std(), SCALE_RATE)
            reconstruction, kl = l1_loss(painted.float(), picture), posterior.kl().float().mean()
            return {
                "reconstruction": reconstruction,
                "kl": kl,
                "total": reconstruction + self.config.kl_weight * kl,
            }

    def _compression_losses(self, picture: Tensor, rgb: Tensor) -> dict[str, Tensor]:
        with torch.no_grad():
            latent = self.autoencoder.encode(picture).latent_dist.sample()
        painted = decode(self.autoencoder, latent, self.luminance_encoder(self._gray(rgb)))
        with full_precision(picture.device):
            artifact = artifact_loss(painted, picture, self.config.artifact_detached)
            plain = l1_loss(painted.float(), picture)
            return {"artifact": artifact, "l1": plain, "total": artifact + self.config.l1_weight * plain}

    def _noise_losses(self, picture: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The squared error of the noise found in z_t, t uniform."""
        with torch.no_grad():
            latent = self.autoencoder.encode(picture).latent_dist.sample().float() * self.latent_scale
            luminance = self.luminance_encoder(self._gray(batch.rgb))[-1] if self.config.stage == "latent" else None
            hidden, mask = self._read(batch.words)
        noise, device = torch.randn_like(latent), latent.device
        time = torch.randint(TRAIN_STEPS, (len(latent),), device=device)
        z = self.schedule.add_noise(latent, noise, time)
        x = z if luminance is None else torch.cat([z, luminance.to(z.dtype)], dim=1)
        found = self.unet(x, time, encoder_hidden_states=hidden, encoder_attention_mask=mask).sample
        with full_precision(device):
            loss = mse_loss(found.float(), noise)
            return {"noise": loss, "total": loss}

    def _read(self, words: Words) -> Context:
        """Captions for training: some of them, as the config says, are left out."""
        context, rate = self.text(words), self.config.unconditional
        if rate == 0:
            return context
        dropped = torch.rand(len(words.ids), device=words.ids.device) < rate
        return context.replaced(dropped, self.text.empty(self.tokenizer, words))

    # ---- use

    @torch.no_grad()
    def colorize(self, batch: Batch) -> Coloring:
        self.check_captions(zip(batch.names, batch.captions, strict=True))
        rgb, maps = batch.rgb.float(), ()
        if self.config.stage in ("compression", "latent"):
            maps = self.luminance_encoder(self._gray(rgb))
        if self.config.stage in ("autoencoder", "compression"):
            latent = self.autoencoder.encode(rgb * 2 - 1).latent_dist.mode()
        else:
            latent = self._sampled(batch, maps[-1] if maps else None) / self.latent_scale
        maps = maps if self.config.luminance_guided else ()
        painted = decode(self.autoencoder, latent, maps, one_by_one=self.config.low_memory).float().clamp(-1, 1)
        painted = (painted + 1) / 2
        with full_precision(rgb.device):
            return Coloring(color.split(painted)[1], rgb=painted)

    def check_captions(self, captions: Iterable[tuple[str, str]]) -> None:
        check_lengths(captions, self.tokenizer, self.name)

    def _sampled(self, batch: Batch, luminance: Tensor | None) -> Tensor:
        """The scaled latents (B, c, S / f, S / f) of the captions."""
        config, device = self.config, batch.rgb.device
        captions, empty = self.text(batch.words), self.text.empty(self.tokenizer, batch.words)
        instances = build_guidance(batch, config, self.tokenizer)
        denoise = Denoiser(
            self.unet, luminance, captions, empty, config.guidance, instances, config.reuse_self_attention
        )
        side = batch.rgb.shape[-1] // config.factor
        seed = self.seed if batch.seed is None else batch.seed
        noise = first_noise(seed, (config.latent_channels, side, side), device)
        latent = sample(denoise, config.sampler, config.steps, noise.expand(len(batch.rgb), -1, -1, -1))
        finite = latent.isfinite().flatten(1).all(dim=1).tolist()
        if not all(finite):
            broken = [name for name, is_finite in zip(batch.names, finite, strict=True) if not is_finite]
            raise DivergedError(f"the latent of {', '.join(broken)} is not finite; pass --amp none, or other weights")
        return latent

    # ---- what the networks read

    def _gray(self, rgb: Tensor) -> Tensor:
        """rgb: (B, 3, S, S) in [0, 1]. Returns L / gray_scale - 1, (B, 1, S, S) float32."""
        with full_precision(rgb.device):
            return color.luminance(rgb).float() / self.config.gray_scale - 1

    # ---- starts

    @classmethod
    def from_scratch(cls, name: str, config: LCADConfig) -> Self:
        first = "compression" if config.is_stable_diffusion else "autoencoder"
        if config.stage != first:
            skipped = STAGES.index(config.stage) < STAGES.index(first)
            remedy = "Stable Diffusion has this one" if skipped else "pass the stage before's checkpoint by --finetune"
            raise InputError(f"--stage {config.stage}: --model {name} starts with --stage {first}; {remedy}")
        if config.is_stable_diffusion:
            found = prior.stable_diffusion(config)
            system = cls(name, config, found.tokenizer)
            if found.weights:
                system.load(system._whole(found.weights), f"--prior_weights {config.prior_weights}")
            return system
        config, tokenizer, tensors = prior.own_text(config)
        system, source = cls(name, config, tokenizer), config.text_encoder_weights
        if tensors is None:
            load_text_encoder(system.text.encoder, source)
        else:
            load_fully(system.text.encoder, tensors, f"--text_encoder_weights {source}")
        return system

    @classmethod
    def recognizes(cls, content: Any) -> bool:
        return original.recognizes(content)

    @classmethod
    def from_authors(cls, name: str, content: Any, config: LCADConfig) -> tuple[Self, list[str]]:
        weights, notes = original.read_lcad(content, config)
        system = cls(name, config, prior.clip_tokenizer(config))
        return system, notes + system.load(system._whole(weights), "the public L-CAD file")

    def _whole(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """With the number that files of others do not hold."""
        return weights | {"latent_scale": torch.tensor(self.config.latent_scale)}

    def load(self, weights: dict[str, Tensor], origin: str) -> list[str]:
        """A checkpoint of the stage before starts the next (models/lcad/stages.py)."""
        weights, notes = stages.carried_on(weights, self.state_dict(), self.config, origin)
        load_fully(self, weights, origin)
        return notes
