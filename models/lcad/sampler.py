"""From noise to the latent of a colour picture.  B pictures; h, w sides of the latent; c its channels; L words.

diffusers is imported where it is called: it takes seconds.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.lcad.config import TRAIN_STEPS
from models.lcad.guidance import GuidedAttention, InstanceGuidance
from models.lcad.text_encoder import Context
from utils import seeds

# Stable Diffusion's: square roots of beta on a line.
NOISE = {
    "num_train_timesteps": TRAIN_STEPS,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
}


def noise_schedule() -> Any:
    """Of training: diffusers' DDPMScheduler."""
    from diffusers import DDPMScheduler

    return DDPMScheduler(**NOISE)


def build_scheduler(sampler: str, steps: int) -> Any:
    """One of diffusers' schedulers. sampler: of `config.SAMPLERS`. One sampling's, as it counts its steps.

    DDIM has the published code's times 1, 21, 41, ... and eta 0; DPM-Solver++ is of second order, from the last time.
    """
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

    if sampler == "ddim":
        scheduler = DDIMScheduler(
            **NOISE, clip_sample=False, set_alpha_to_one=False, steps_offset=1, timestep_spacing="leading"
        )
    else:
        scheduler = DPMSolverMultistepScheduler(**NOISE, algorithm_type="dpmsolver++", solver_order=2)
    scheduler.set_timesteps(steps)
    return scheduler


@dataclass(frozen=True)
class Denoiser:
    """The noise that the UNet finds in z_t, under classifier-free guidance and, with instances, in two passes.

    eps = eps(z, "") + guidance (eps(z, caption) - eps(z, ""))
    """

    unet: nn.Module
    luminance: Tensor | None  # (B, C, h, w), the last map of the luminance encoder; None: the UNet does not read it
    captions: Context
    empty: Context  # of no caption, as long
    guidance: float
    instances: InstanceGuidance | None = None
    reuse_self_attention: bool = False

    def __call__(self, z: Tensor, time: Tensor) -> Tensor:
        """z: (B, c, h, w), z_t; time: scalar int64. Returns (B, c, h, w)."""
        guided = self.guidance != 1
        contexts = [self.empty, self.captions] if guided else [self.captions]
        if self.instances is None:
            found = self._noise(z, time, contexts)
            return self._mixed(*found.chunk(2)) if guided else found
        with GuidedAttention(self.unet, self.instances, len(z), self.reuse_self_attention) as attention:
            first = self._noise(z, time, contexts)
            attention.second()
            changed = self._noise(z, time, [self.captions])
        return self._mixed(first[: len(z)], changed) if guided else changed

    def _mixed(self, empty: Tensor, caption: Tensor) -> Tensor:
        return empty + self.guidance * (caption - empty)

    def _noise(self, z: Tensor, time: Tensor, contexts: list[Context]) -> Tensor:
        """Of z under each of the contexts, one after the other."""
        x = z if self.luminance is None else torch.cat([z, self.luminance.to(z.dtype)], dim=1)
        masks = [context.mask for context in contexts if context.mask is not None]
        return self.unet(
            x.repeat(len(contexts), 1, 1, 1),
            time,
            encoder_hidden_states=torch.cat([context.hidden for context in contexts]),
            encoder_attention_mask=torch.cat(masks) if masks else None,
        ).sample.float()


def sample(denoise: Denoiser, sampler: str, steps: int, noise: Tensor) -> Tensor:
    """noise: (B, c, h, w), normal. Returns the latent that it becomes, float32."""
    scheduler = build_scheduler(sampler, steps)
    z = noise * scheduler.init_noise_sigma
    for time in scheduler.timesteps:
        z = scheduler.step(denoise(z, time.to(z.device)), time, z).prev_sample
    return z


def first_noise(seed: int, shape: tuple[int, int, int], device: torch.device) -> Tensor:
    """(1, *shape): of every picture of a seed the same, in any batch, on any device."""
    generator = torch.Generator("cpu").manual_seed(seeds.derive(seed, seeds.SAMPLING))
    return torch.randn(1, *shape, generator=generator).to(device)
