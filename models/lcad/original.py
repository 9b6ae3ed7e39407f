"""Files in the original layout: Stable Diffusion 1.5's single file, and the public L-CAD file, which extends it.

Names are converted by diffusers, which is imported where it is called: it takes seconds.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from models.lcad.config import LCADConfig
from utils.errors import InputError

_UNET, _AUTOENCODER, _TEXT = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
_LUMINANCE = f"{_AUTOENCODER}g_encoder."
_MARK = f"{_LUMINANCE}conv_in.weight"  # only L-CAD has it
_UNUSED = (f"{_LUMINANCE}norm_out.", f"{_LUMINANCE}conv_out.")  # of its luminance encoder: nothing ever calls them
# What follows from other numbers: the noise schedule, and positions counted from 0.
_COMPUTED = (
    *("betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod"),
    *("log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "logvar"),
    *("posterior_variance", "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2"),
    f"{_TEXT}text_model.embeddings.position_ids",
)
_OTHER_MODELS = {
    "v2": "Stable Diffusion 2",
    "inpainting": "Stable Diffusion 1.5 for inpainting",
    "inpainting_v2": "Stable Diffusion 2 for inpainting",
    "xl_base": "Stable Diffusion XL",
    "xl_inpaint": "Stable Diffusion XL for inpainting",
    "xl_refiner": "the refiner of Stable Diffusion XL",
}
Tensors = dict[str, Tensor]


def recognizes(content: Any) -> bool:
    """Whether a loaded file is the public L-CAD file."""
    return isinstance(content, dict) and _MARK in _state_dict(content)


def read_lcad(content: dict[str, Any], config: LCADConfig) -> tuple[Tensors, list[str]]:
    """The public file's tensors by the names of `LCAD`, and what was adapted, in words. Raises InputError where it has
    tensors that nothing here knows; whether any is missing, `LCAD.load` tells."""
    held = _state_dict(content)
    left_out = [name for name in held if name in _COMPUTED or name.startswith(_UNUSED)]
    tensors = {name: tensor for name, tensor in held.items() if name not in left_out}
    luminance = {name: tensor for name, tensor in tensors.items() if name.startswith(_LUMINANCE)}
    found, known = prior({name: t for name, t in tensors.items() if name not in luminance}, config)
    own, known_too = luminance_encoder(luminance, config)
    if unknown := sorted(tensors.keys() - known - known_too):
        raise InputError(
            f"the public L-CAD file: {len(unknown)} unknown tensors (first: {unknown[0]}); fetch the file again"
        )
    return found | own, [f"not needed: {len(left_out)} tensors of the noise schedule and of layers without use"]


def read_stable_diffusion(content: Any, config: LCADConfig, origin: str) -> Tensors:
    """A single file of Stable Diffusion 1.5, by the names of `LCAD`. Raises InputError for another model's."""
    from diffusers.loaders.single_file_utils import infer_diffusers_model_type

    held = _state_dict(content) if isinstance(content, dict) else {}
    if not any(str(name).startswith(_UNET) for name in held):
        raise InputError(f"{origin}: is no Stable Diffusion in the original layout; pass that of version 1.5")
    if (kind := infer_diffusers_model_type(held)) in _OTHER_MODELS:
        raise InputError(f"{origin}: is {_OTHER_MODELS[kind]}; L-CAD builds on Stable Diffusion 1.5: pass that")
    return prior(held, config)[0]


def _state_dict(content: dict[str, Any]) -> dict[str, Any]:
    return content["state_dict"] if isinstance(content.get("state_dict"), dict) else content


def prior(tensors: Tensors, config: LCADConfig) -> tuple[Tensors, set[str]]:
    """Text-to-image model: our names -> tensors, and the names that were read."""
    from diffusers.loaders import single_file_utils as diffusers

    levels = range(len(config.autoencoder_widths))
    numbers = {"layers_per_block": config.unet_layers, "down_block_types": levels, "up_block_types": levels}
    unet, known = _converted(tensors, _UNET, lambda own: diffusers.convert_ldm_unet_checkpoint(own, numbers))
    autoencoder, more = _converted(
        tensors, _AUTOENCODER, lambda own: diffusers.convert_ldm_vae_checkpoint(own, numbers)
    )
    text, most = _converted(tensors, _TEXT, diffusers.convert_ldm_clip_checkpoint)
    text = {name.removeprefix("text_model."): t for name, t in text.items() if not name.endswith("position_ids")}
    parts = (("unet.", unet), ("autoencoder.", autoencoder), ("text.encoder.", text))
    return {prefix + name: t for prefix, part in parts for name, t in part.items()}, known | more | most


def luminance_encoder(tensors: Tensors, config: LCADConfig) -> tuple[Tensors, set[str]]:
    """It is an autoencoder's encoder, converted as one, with zero convolutions beside."""
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    levels, layers = len(config.autoencoder_widths), config.autoencoder_layers
    places = [f"down.{level}.zero_conv.{place}" for level in range(levels) for place in range(layers)]
    places += ["zero_conv_mid1", "zero_conv_mid2"]
    zero = {
        f"{_LUMINANCE}{theirs}.{part}": f"zero_convs.{ours}.{part}"
        for ours, theirs in enumerate(places)
        for part in ("weight", "bias")
    }
    found = {ours: tensors[theirs] for theirs, ours in zero.items() if theirs in tensors}
    as_encoder = {
        name.replace("g_encoder.", "encoder.", 1): tensor for name, tensor in tensors.items() if name not in zero
    }
    numbers = {"down_block_types": range(levels), "up_block_types": range(levels)}
    rest, known = _converted(as_encoder, _AUTOENCODER, lambda own: convert_ldm_vae_checkpoint(own, numbers))
    found |= {name.removeprefix("encoder."): tensor for name, tensor in rest.items()}
    known = {name.replace(".encoder.", ".g_encoder.", 1) for name in known} | zero.keys()
    return {f"luminance_encoder.{name}": tensor for name, tensor in found.items()}, known


def _converted(tensors: Tensors, prefix: str, convert: Callable[[Tensors], Tensors]) -> tuple[Tensors, set[str]]:
    """What diffusers makes of the tensors with this prefix, and the names among them that it read: it passes over
    those that it does not know, so that marks are sent the same way."""
    own = {str(name): tensor for name, tensor in tensors.items() if str(name).startswith(prefix)}
    names = list(own)
    marks = {name: torch.full((1,) * own[name].ndim, place, device="cpu") for place, name in enumerate(names)}
    known = {names[int(mark.flatten()[0])] for mark in convert(marks).values()}
    return convert(own), known
