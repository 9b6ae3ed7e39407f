"""What L-CAD starts from: Stable Diffusion 1.5, or, for one of its own prior, a text encoder.

diffusers is imported where it is called: it takes seconds.
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import NamedTuple

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from torch import Tensor, nn
from transformers import CLIPTextModel

from models.lcad.config import LCADConfig
from models.lcad.original import read_stable_diffusion
from models.lcoins.config import plain
from models.text import CaptionTokenizer
from models.weights import RANDOM, text_config_of
from utils import checkpoint
from utils.errors import InputError, reason

_PARTS = ("unet", "vae", "text_encoder", "tokenizer")  # folders of diffusers' layout
_OTHER_MODELS = {1024: "Stable Diffusion 2", 1280: "the refiner of Stable Diffusion XL", 2048: "Stable Diffusion XL"}


class Prior(NamedTuple):
    """A text-to-image model. Empty weights: random ones are asked for."""

    weights: dict[str, Tensor]  # by the names of `LCAD`
    tokenizer: CaptionTokenizer


def stable_diffusion(config: LCADConfig) -> Prior:
    """What --prior_weights names. Raises InputError naming it and the remedy, for another base model too."""
    source = config.prior_weights
    if source is None:
        raise InputError(
            "--prior_weights is not given, nor a checkpoint: pass Stable Diffusion 1.5, as a folder in diffusers'"
            " layout, a hub name (stable-diffusion-v1-5/stable-diffusion-v1-5) or a single .safetensors file"
        )
    if source == RANDOM:
        return Prior({}, clip_tokenizer(config))
    origin = f"--prior_weights {source}"
    if os.path.isfile(source):
        content = checkpoint.load(source)
        return Prior(read_stable_diffusion(content, config, origin), clip_tokenizer(config))
    folder = Path(source) if os.path.isdir(source) else _fetched(source, origin, ["*/config.json", "tokenizer/*"])
    _check_base(folder, config, origin)
    if not os.path.isdir(source):
        _fetched(source, origin, [f"{part}/*.safetensors" for part in _PARTS])
    return Prior(_folder_weights(folder, origin), CaptionTokenizer.from_pretrained(str(folder / "tokenizer")))


def clip_tokenizer(config: LCADConfig) -> CaptionTokenizer:
    """For files that hold none."""
    try:
        return CaptionTokenizer.from_pretrained(config.clip_tokenizer)
    except InputError as error:
        raise InputError(
            f"--clip_tokenizer {config.clip_tokenizer}: cannot be loaded ({reason(error.__cause__ or error)}); pass a"
            " folder with CLIP's vocab.json and merges.txt or tokenizer.json, or a hub name that this machine can reach"
        ) from error


def _fetched(name: str, origin: str, patterns: list[str]) -> Path:
    try:
        return Path(snapshot_download(name, allow_patterns=patterns))
    except (HfHubHTTPError, OSError, ValueError) as error:
        raise InputError(
            f"{origin}: neither a file nor a folder here, nor a repository of the hub that could be fetched"
            f" ({reason(error)}); pass the path of Stable Diffusion 1.5, or check the name and the connection"
        ) from error


def _check_base(folder: Path, config: LCADConfig, origin: str) -> None:
    missing = [part for part in _PARTS if not (folder / part).is_dir()]
    if missing:
        raise InputError(f"{origin}: lacks the folder {missing[0]}; diffusers' layout has {', '.join(_PARTS)}")
    try:
        numbers = json.loads((folder / "unet" / "config.json").read_text())
        width, channels = numbers["cross_attention_dim"], numbers["in_channels"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{origin}: its unet/config.json cannot be read ({reason(error)}); fetch it again") from error
    if width != config.text_width:
        kind = _OTHER_MODELS.get(width, f"a model whose text is {width} wide")
    elif channels != config.latent_channels:
        kind = f"a model of {channels} input channels, such as one for inpainting"
    else:
        return
    raise InputError(f"{origin}: is {kind}; L-CAD builds on Stable Diffusion 1.5: pass that")


def _folder_weights(folder: Path, origin: str) -> dict[str, Tensor]:
    from diffusers import AutoencoderKL, UNet2DConditionModel

    weights: dict[str, Tensor] = {}
    readers = (("unet.", UNet2DConditionModel, "unet"), ("autoencoder.", AutoencoderKL, "vae"))
    try:
        for prefix, kind, part in readers:
            network = kind.from_pretrained(folder, subfolder=part, torch_dtype=torch.float32, low_cpu_mem_usage=False)
            weights |= {prefix + name: tensor for name, tensor in network.state_dict().items()}
        text: nn.Module = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
    except Exception as error:  # diffusers, transformers and safetensors have no common type
        raise InputError(f"{origin}: cannot be loaded ({reason(error)}); fetch it again, whole") from error
    text = getattr(text, "text_model", text)
    return weights | {f"text.encoder.{name}": tensor for name, tensor in text.state_dict().items()}


def own_text(config: LCADConfig) -> tuple[LCADConfig, CaptionTokenizer, dict[str, Tensor] | None]:
    """What --text_encoder_weights names: the config with its numbers, its tokenizer, and its tensors where they are a
    checkpoint's of ours; else `models.weights.load_text_encoder` reads them."""
    source = config.text_encoder_weights
    if source is None:
        raise InputError(
            "--text_encoder_weights is not given, nor a checkpoint: pass checkpoints/scenes.safetensors or another"
            f" checkpoint of L-CoIns, the folder or hub name of a BERT-kind encoder, or '{RANDOM}'"
        )
    if source == RANDOM:
        return config, CaptionTokenizer.from_vocabulary(), None
    if not os.path.isfile(source):
        held = plain(text_config_of(source))
        return dataclasses.replace(config, text_config=held), CaptionTokenizer.from_pretrained(source), None
    content = checkpoint.read(source)
    mark = "text_encoder.encoder."
    tensors = {n.partition(mark)[2]: t for n, t in checkpoint.averaged(content).items() if mark in n}
    if not tensors or content["tokenizer"] is None:
        raise InputError(f"--text_encoder_weights {source}: holds no text encoder; pass a checkpoint of L-CoIns")
    config = dataclasses.replace(config, text_config=content["config"].get("text_config"))
    return config, CaptionTokenizer.from_json(content["tokenizer"]), tensors
