"""From the weights of one stage to those of the next."""

from torch import Tensor
from torch.nn.functional import pad

from models.lcad.config import STAGES, LCADConfig
from utils.errors import InputError

_CONV = "unet.conv_in.weight"


def stage_of(weights: dict[str, Tensor], config: LCADConfig) -> str:
    """The stage that tensors of `LCAD` are of, told by their names and the UNet's input channels."""
    if not any(name.startswith("unet.") for name in weights):
        return "autoencoder"
    if not any(name.startswith("luminance_encoder.") for name in weights):
        return "prior"
    conv = weights.get(_CONV)
    narrow = conv is not None and conv.ndim == 4 and conv.shape[1] == config.latent_channels
    return "compression" if narrow else "latent"


def carried_on(
    weights: dict[str, Tensor], fresh: dict[str, Tensor], config: LCADConfig, origin: str
) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors of the stage of `config`, or of the one before it, as the former, and in words what was added.

    fresh: the system's own, as it was made. A new UNet stays random; a new luminance encoder takes what the
    autoencoder's encoder has (open in the paper: where it starts); new input channels of the UNet are 0. Raises
    InputError for any other stage.
    """
    own, held = config.stage, stage_of(weights, config)
    if own == held:
        return weights, []
    before = STAGES[max(0, STAGES.index(own) - 1)]
    if held != before:
        raise InputError(f"{origin}: is of the stage {held}; --stage {own} starts from the stage {before}")
    if own == "latent":
        return weights | {_CONV: extended(weights[_CONV], fresh[_CONV].shape[1])}, ["the UNet's new inputs start at 0"]
    if own == "prior":
        new = {name: tensor for name, tensor in fresh.items() if name.startswith("unet.")}
        return new | weights, ["the UNet starts from random weights"]
    new = {name: tensor for name, tensor in fresh.items() if name.startswith("luminance_encoder.")}
    for name in new:
        new[name] = weights.get(name.replace("luminance_encoder.", "autoencoder.encoder.", 1), new[name])
    return new | weights, ["the luminance encoder starts as the autoencoder's encoder"]


def extended(weight: Tensor, channels: int) -> Tensor:
    """The prior's input convolution (O, c, 3, 3) with zeros for the new channels: (O, channels, 3, 3)."""
    return pad(weight, (0, 0, 0, 0, 0, channels - weight.shape[1]))
