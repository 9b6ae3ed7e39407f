"""The autoencoder of Stable Diffusion, its decoder led by the luminance (L-CAD, luminance-guided compression).

B pictures; H, W sides; f = `LCADConfig.factor`; C channels of a level.  diffusers is imported where
it is called: it takes seconds.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.lcad.config import LCADConfig


def build_autoencoder(config: LCADConfig) -> nn.Module:
    """diffusers' AutoencoderKL, with random weights."""
    from diffusers import AutoencoderKL

    levels = len(config.autoencoder_widths)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.autoencoder_widths,
        layers_per_block=config.autoencoder_layers,
        latent_channels=config.latent_channels,
        norm_num_groups=config.norm_groups,
        sample_size=config.img_size,
        scaling_factor=config.latent_scale,
    )


class LuminanceEncoder(nn.Module):
    """The autoencoder's encoder for the gray picture, with a zero convolution after each residual block: what they give
    is added to the decoder's features.

    A zero convolution starts with weight and bias 0: the decoder starts as it was.
    """

    def __init__(self, config: LCADConfig) -> None:
        from diffusers.models.autoencoders.vae import Encoder

        super().__init__()
        widths = config.autoencoder_widths
        encoder = Encoder(
            in_channels=3,
            down_block_types=("DownEncoderBlock2D",) * len(widths),
            block_out_channels=widths,
            layers_per_block=config.autoencoder_layers,
            norm_num_groups=config.norm_groups,
        )
        self.conv_in, self.down_blocks, self.mid_block = encoder.conv_in, encoder.down_blocks, encoder.mid_block
        places = [width for width in widths for _ in range(config.autoencoder_layers)] + [widths[-1]] * 2
        self.zero_convs = nn.ModuleList(nn.Conv2d(width, width, 1) for width in places)
        for conv in self.zero_convs:
            nn.init.zeros_(conv.weight)
            nn.init.zeros_(conv.bias)

    def forward(self, gray: Tensor) -> list[Tensor]:
        """gray: (B, 1, H, W), L / gray_scale - 1. Returns the maps, one for each residual block, from (B, C, H, W) of
        the first level to two (B, C, H/f, W/f) of the middle; the last is the UNet's too."""
        features: list[Tensor] = []
        x = self.conv_in(gray.expand(-1, 3, -1, -1))
        for block in self.down_blocks:
            for resnet in block.resnets:
                features.append(x := resnet(x, None))
            for downsample in block.downsamplers or ():
                x = downsample(x)
        features.append(x := self.mid_block.resnets[0](x, None))
        features.append(self.mid_block.resnets[1](self.mid_block.attentions[0](x), None))
        return [conv(feature) for conv, feature in zip(self.zero_convs, features, strict=True)]


def decode(autoencoder: nn.Module, latent: Tensor, maps: Sequence[Tensor] = (), one_by_one: bool = False) -> Tensor:
    """The decoder with the luminance encoder's maps added, the last of them first: two in the middle, then after each
    residual block of a level but its last; without maps the decoder as it is.

    autoencoder: diffusers' AutoencoderKL; latent: (B, c, H/f, W/f), not scaled. Returns RGB (B, 3, H, W)
    in about [-1, 1], not clamped. one_by_one: less memory for more time.
    """
    if one_by_one and len(latent) > 1:
        pictures = [slice(b, b + 1) for b in range(len(latent))]
        return torch.cat([decode(autoencoder, latent[own], [m[own] for m in maps]) for own in pictures])
    left = list(maps)

    def led(x: Tensor) -> Tensor:
        return x + left.pop() if left else x

    decoder = autoencoder.decoder
    x = decoder.conv_in(autoencoder.post_quant_conv(latent))
    x = led(decoder.mid_block.resnets[0](x, None))
    x = led(decoder.mid_block.resnets[1](decoder.mid_block.attentions[0](x), None))
    for block in decoder.up_blocks:
        for resnet in block.resnets[:-1]:
            x = led(resnet(x, None))
        x = block.resnets[-1](x, None)
        for upsample in block.upsamplers or ():
            x = upsample(x)
    assert not left
    return decoder.conv_out(decoder.conv_act(decoder.conv_norm_out(x)))
