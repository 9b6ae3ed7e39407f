"""The UNet of Stable Diffusion, its input extended by the luminance encoder's last map.

B pictures; h, w sides of the latent; c its channels; C channels of the map.  diffusers is imported where it
is called: it takes seconds.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from models.lcad.config import LCADConfig


class ExtendedConv(nn.Conv2d):
    """A convolution of latent and luminance, one after the other among the channels: omega_fix and omega_ext.

    Both are convolved apart and added, so that with omega_ext = 0 the result is the prior's to the last bit.
    """

    def __init__(self, latent: int, luminance: int, outputs: int) -> None:
        super().__init__(latent + luminance, outputs, 3, padding=1)
        self.latent = latent
        with torch.no_grad():
            self.weight[:, latent:] = 0

    def forward(self, x: Tensor) -> Tensor:
        fixed, extension = self.weight[:, : self.latent], self.weight[:, self.latent :]
        prior = conv2d(x[:, : self.latent], fixed, self.bias, padding=1)
        return prior + conv2d(x[:, self.latent :], extension, padding=1)


def build_unet(config: LCADConfig, reads_luminance: bool) -> nn.Module:
    """diffusers' UNet2DConditionModel, with random weights. Its input is cat(z_t, map) of c + C channels, or z_t
    alone."""
    from diffusers import UNet2DConditionModel

    attends = [level < len(config.unet_widths) - config.unet_plain for level in range(len(config.unet_widths))]
    unet = UNet2DConditionModel(
        in_channels=config.latent_channels,
        out_channels=config.latent_channels,
        down_block_types=tuple("CrossAttnDownBlock2D" if own else "DownBlock2D" for own in attends),
        up_block_types=tuple("CrossAttnUpBlock2D" if own else "UpBlock2D" for own in reversed(attends)),
        block_out_channels=config.unet_widths,
        layers_per_block=config.unet_layers,
        cross_attention_dim=config.text_width,
        attention_head_dim=config.heads,  # the number of heads: an old name of diffusers, kept there
        norm_num_groups=config.norm_groups,
        sample_size=config.img_size // config.factor,
    )
    if reads_luminance:
        c, luminance = config.latent_channels, config.autoencoder_widths[-1]
        unet.conv_in = ExtendedConv(c, luminance, config.unet_widths[0])
        unet.register_to_config(in_channels=c + luminance)
    return unet


def learning(unet: nn.Module, part: str) -> Iterator[nn.Module]:
    """What the stage latent trains. part: of `config.LEARNT`."""
    if part == "all":
        yield unet
        return
    yield unet.conv_in
    if part == "decoder":
        yield from (unet.up_blocks, unet.conv_norm_out, unet.conv_out)
