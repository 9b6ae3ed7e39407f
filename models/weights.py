"""Weights into networks, all or nothing: tensors by name, and pretrained encoders from a file, a folder or a hub."""

import os

import timm
import torch
import torchvision
from safetensors.torch import load_file
from timm.layers import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers import logging as transformers_logging

from utils.checkpoint import unwrap
from utils.errors import InputError

RANDOM = "random"
# Beside the encoder, a ViT checkpoint may hold these; an image token never meets them.
_IMAGE_EXTRAS = ("head.", "fc_norm.", "cls_token", "mask_token", "decoder_", "dist_token")


def load_image_encoder(vit: VisionTransformer, source: str) -> str:
    """Fill timm's ViT from `source`: a .pth or .safetensors file with timm's names (a class token and its position are
    dropped, the position grid is resampled), the name of a pretrained timm model, or 'random': left as it is. Returns
    what was done, in words.
    """
    if source == RANDOM:
        return "image encoder: random weights, as asked"
    weights, wrapper = unwrap(_image_tensors(source))
    dropped = sorted(name for name in weights if name.startswith(_IMAGE_EXTRAS))
    weights = {name: tensor for name, tensor in weights.items() if name not in dropped}
    notes = [f"image encoder: {len(weights)} tensors from {source}"]
    notes += [f"their names begin with {wrapper!r}, which is left out"] * bool(wrapper)
    notes += [f"not needed: {', '.join(dropped)}"] * bool(dropped)
    positions = weights.get("pos_embed")
    if positions is not None and positions.ndim == 3:
        grid = round(positions.shape[1] ** 0.5) ** 2
        if positions.shape[1] != grid:
            positions = positions[:, -grid:]  # the class token's position comes first
        if positions.shape != vit.pos_embed.shape:
            positions = resample_positions(positions, vit.pos_embed.shape[1])
            notes.append("positions resampled")
        weights["pos_embed"] = positions
    load_fully(vit, weights, f"--image_encoder_weights {source}")
    return "; ".join(notes)


def _image_tensors(source: str) -> dict[str, Tensor]:
    if os.path.exists(source):
        try:
            if source.endswith(".safetensors"):
                return load_file(source)
            content = torch.load(source, map_location="cpu", weights_only=True)
        except Exception as error:
            raise _not_loaded("image", source, error) from error
        content = content.get("model", content) if isinstance(content, dict) else content
        if not isinstance(content, dict) or not all(isinstance(t, Tensor) for t in content.values()):
            raise InputError(f"--image_encoder_weights {source}: holds no named tensors; pass a ViT state dict")
        return dict(content)
    try:
        return timm.create_model(source, pretrained=True).state_dict()
    except Exception as error:  # hub, network and registry errors have no common type
        raise _not_loaded("image", source, error) from error


def text_config_of(source: str) -> PretrainedConfig:
    """The configuration of a BERT-kind encoder: a folder in Hugging Face's layout, or a hub name."""
    try:
        return AutoConfig.from_pretrained(source)
    except Exception as error:  # as above
        raise _not_loaded("text", source, error) from error


def load_text_encoder(encoder: PreTrainedModel, source: str) -> str:
    """Fill the encoder from a folder or hub name, its pooler dropped, or leave it ('random'). Returns it in words."""
    if source == RANDOM:
        return "text encoder: random weights, as asked"
    transformers_logging.disable_progress_bar()
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()  # it reports the pooler as a surprise; we report it below
    try:
        loaded, info = AutoModel.from_pretrained(source, output_loading_info=True)
    except Exception as error:  # as above
        raise _not_loaded("text", source, error) from error
    finally:
        transformers_logging.set_verbosity(verbosity)
    missing = sorted(name for name in info["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise InputError(
            f"--text_encoder_weights {source}: lacks {len(missing)} tensors of its configuration (first: {missing[0]});"
            " pass a complete folder"
        )
    weights = {name: tensor for name, tensor in loaded.state_dict().items() if not name.startswith("pooler.")}
    load_fully(encoder, weights, f"--text_encoder_weights {source}")
    return f"text encoder: {len(weights)} tensors from {source}; not needed: its pooler"


def _not_loaded(which: str, source: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:300]
    kind = "file" if which == "image" else "folder"
    return InputError(
        f"--{which}_encoder_weights {source}: cannot be loaded ({reason}); pass a local {kind}, a hub name that this"
        f" machine can reach, or '{RANDOM}' to start from random weights"
    )


def load_backbone(module: nn.Module, source: str | None, name: str, prefix: str = "") -> str:
    """Fill a convolutional backbone from `source`: a .pth or .safetensors file with torchvision's names, a pretrained
    torchvision network's name such as vgg16_bn, or 'random': left as it is. Returns what was done, in words.

    name: torchvision's, of the network that is wanted; prefix: of its tensors that the module has, without. Raises
    InputError, also where nothing is given.
    """
    flag = f"--backbone_weights {source}"
    if source is None:
        raise InputError(
            f"--backbone_weights is not given, nor a checkpoint: pass a file of {name}'s weights with torchvision's"
            f" names, {name} to fetch them, or '{RANDOM}' to start from random weights"
        )
    if source == RANDOM:
        return "backbone: random weights, as asked"
    try:
        if os.path.exists(source):
            held = load_file(source) if source.endswith(".safetensors") else torch.load(source, weights_only=True)
        else:
            held = torchvision.models.get_model(source, weights="DEFAULT").state_dict()
    except Exception as error:  # of file, hub and network
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{flag}: cannot be loaded ({reason}); pass a file of {name}'s weights, a torchvision name that this"
            f" machine can reach, or '{RANDOM}'"
        ) from error
    if not isinstance(held, dict) or not all(isinstance(tensor, Tensor) for tensor in held.values()):
        raise InputError(f"{flag}: holds no named tensors; pass a state dict of {name}")
    held, _ = unwrap(held)
    own = module.state_dict()
    given = {str(n).removeprefix(prefix): tensor for n, tensor in held.items() if str(n).startswith(prefix)}
    counters = {n: tensor for n, tensor in own.items() if n.endswith("num_batches_tracked")}  # older files lack them
    weights = counters | {n: tensor for n, tensor in given.items() if n in own}
    lacking = sorted(n for n in own if n not in weights or weights[n].shape != own[n].shape)
    if lacking:
        raise InputError(
            f"{flag}: is of another network than {name} as this model has it ({prefix}{lacking[0]} is"
            f" {'another size' if lacking[0] in weights else 'missing'}); pass a file of {name}, or '{RANDOM}'"
        )
    module.load_state_dict(weights)
    return f"backbone: {len(weights)} tensors from {source}"


def load_fully(module: nn.Module, weights: dict[str, Tensor], origin: str) -> None:
    """`load_state_dict`, strictly, with an error that names the first missing, unknown or misshapen tensor."""
    own = module.state_dict()
    missing, unknown = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    shapes = [n for n in own if n in weights and own[n].shape != weights[n].shape]
    problems = [
        *(f"{len(missing)} missing (first: {name})" for name in missing[:1]),
        *(f"{len(unknown)} unknown (first: {name})" for name in unknown[:1]),
        *(f"{name} is {tuple(weights[name].shape)}, not {tuple(own[name].shape)}" for name in shapes[:1]),
    ]
    if problems:
        raise InputError(f"{origin}: does not fit this network: {'; '.join(problems)}; pass weights of the same sizes")
    module.load_state_dict(weights, strict=True)


def resample_positions(positions: Tensor, tokens: int) -> Tensor:
    """(1, N, C) position codes on a square grid -> (1, tokens, C), bicubic."""
    side = round(tokens**0.5)
    return resample_abs_pos_embed(positions, [side, side], num_prefix_tokens=0)
