"""The architecture of the authors' released checkpoint: not the paper's, but the one that has trained weights.

Written from the names and shapes of its tensors, all kept, and a description of what is computed with them.
Differs from the paper, and so from `LCoIns`:

  encoder        ViT as in MAE; row 0 of `pos_embed` belongs to a class token that is not there
  text_encoder   no [CLS], no [SEP]; padded with id 0 to 80 tokens and NO mask: padding takes part in every attention,
                 so the colours depend on it
  decoder        plain joint attention over image, language and group tokens; the groups get no modality embedding
  group_block    reads the last group tokens and gives nothing back to the colours
  *_classify     313 colour bins for every pixel: a training target of the authors', never computed here

Saved without any change to the colours: those bins, and the last block's work on language tokens, which nobody reads.

B batch; H, W image side; N_I image, N_L language (`num_words`, always), N_G group tokens; N all three; C token width.
"""

import re
from collections.abc import Callable, Sequence

from timm.layers import PatchEmbed, build_sincos2d_pos_embed
from timm.models.vision_transformer import Block
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint
from transformers import AutoModel, BertConfig, PretrainedConfig

from models.lcoins.network import Colorization, depth_matcher
from models.lcoins.release_decoder import ConvUpsample, Decoder, GroupBlock, JointBlock, norm, xavier_linear
from models.text import MAX_WORDS, CaptionTokenizer, Words
from utils.errors import InputError

_IMAGE_PARAMETER = re.compile(r"encoder\.(?:pos_embed|patch_embed|blocks\.(?P<layer>\d+))")
_TEXT_PARAMETER = re.compile(r"text_encoder\.bert_model\.(?:embeddings|encoder\.layer\.(?P<layer>\d+))\.")
POSITIONS = "encoder.pos_embed"


def released(
    img_size: int = 224,
    drop_path: float = 0.0,
    patch: int = 16,
    image_width: int = 768,
    image_depth: int = 12,
    image_heads: int = 12,
    position_scale: float = 0.02,
    text_config: PretrainedConfig | None = None,
    num_words: int = MAX_WORDS,
    dim: int = 1024,
    depth: int = 12,
    num_heads: int = 16,
    num_groups: int = 15,
    group_scale: float = 0.02,
    group_mixing: int = 512,
    channels: Sequence[int] = (512, 256, 128, 64, 32),
    color_bins: int = 313,
) -> "ReleasedLCoIns":
    """The network with random weights. text_config: None is bert-base-uncased's; group_mixing: width of `mlp_inter`.

    What does not reach the colours (colour bins, grouping block, BERT's pooler) is frozen: no loss here trains it.
    Open in the release: how weights start. Here as in `LCoIns`: Xavier, and codes of `position_scale`, `group_scale`.
    """
    if img_size % patch or img_size <= 0:
        raise InputError(f"--input_size {img_size}: pass a multiple of the patch side {patch}")
    if patch != 2 ** (len(channels) - 1):
        raise InputError(f"patch {patch}: {len(channels) - 1} doublings of the grid do not give it back")
    encoder = ImageTower(img_size, patch, image_width, image_depth, image_heads, position_scale, drop_path)
    rates = [drop_path * block / max(1, depth - 1) for block in range(depth)]
    decoder = Decoder(
        [JointBlock(dim, num_heads, rate) for rate in rates],
        GroupBlock(dim, num_heads, num_groups, group_mixing),
        ConvUpsample(channels, color_bins),
        dim,
        num_groups,
        group_scale,
        channels[0],
    )
    text_encoder = PaddedTextEncoder(AutoModel.from_config(text_config or BertConfig()), num_words, dim)
    model = ReleasedLCoIns(encoder, decoder, text_encoder)
    for name, parameter in model.named_parameters():
        if any(part in name for part in ("classif", "group_block", "pooler")):
            parameter.requires_grad_(False)
    return model


class ReleasedLCoIns(nn.Module):
    """`LCoIns`'s interface on the released architecture."""

    def __init__(self, encoder: "ImageTower", decoder: Decoder, text_encoder: "PaddedTextEncoder") -> None:
        super().__init__()
        dim = decoder.group_token.shape[-1]
        self.encoder = encoder
        self.decoder = decoder
        self.encoder_to_decoder = nn.Linear(encoder.pos_embed.shape[-1], dim, bias=False)
        self.text_encoder = text_encoder
        for part in (encoder, decoder, self.encoder_to_decoder, text_encoder.mlp_arc_object):
            part.apply(xavier_linear)

    def forward(
        self, gray: Tensor, words: Words, counter_words: Words | None = None, color_counter: bool = False
    ) -> Colorization:
        """gray: (B, 1, H, W) in [-1, 1]; words: at most `num_words` each, without [CLS] and [SEP] (`without_marks`).

        `language` are the given words as the last block reads them, `group` the grouping block's tokens.
        """
        if counter_words is not None:
            raise InputError(
                "the released architecture has no features for Eq. (15): its checkpoint lacks their two layers;"
                " pass --no-counter_color"
            )
        return self.colorize(self.encode_image(gray), self.encode_text(words), words.mask)

    def encode_image(self, gray: Tensor) -> Tensor:
        """gray: (B, 1, H, W) in [-1, 1]. Returns (B, N_I, C)."""
        return self.encoder_to_decoder(self.encoder(gray))

    def encode_text(self, words: Words) -> Tensor:
        """Returns (B, num_words, C): padding too is read."""
        return self.text_encoder(words)

    def colorize(self, image: Tensor, language: Tensor, word_mask: Tensor) -> Colorization:
        """The rest of `forward`, as `LCoIns.colorize`. word_mask: (B, N_L), of which the length alone is used."""
        image, language, group = self.decoder.exchange(image, language)
        merged, assignment, soft = self.decoder.group_block(image, group)
        return Colorization(self.decoder.colorize(image), language[:, : word_mask.shape[1]], merged, assignment, soft)

    @property
    def img_size(self) -> int:
        return self.encoder.patch_embed.img_size[0]

    @property
    def text_config(self) -> PretrainedConfig:
        return self.text_encoder.bert_model.config

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade time for memory: the activations inside every block are computed again in the backward pass."""
        self.encoder.grad_checkpointing = self.decoder.grad_checkpointing = enable
        if enable:
            self.text_encoder.bert_model.gradient_checkpointing_enable({"use_reentrant": False})

    def freeze_encoders(self) -> None:
        """Both encoders stay as they are; their maps to the decoder's width learn on."""
        self.encoder.requires_grad_(False)
        self.text_encoder.bert_model.requires_grad_(False)

    def no_weight_decay(self) -> set[str]:
        """Names that weight decay leaves alone (timm asks): codes, which have no scale to be pulled to."""
        return {"decoder.group_token", "decoder.token_type_embeddings.weight", POSITIONS}

    def group_matcher(self, coarse: bool = False) -> Callable[[str], tuple[int]]:
        """Depth of a parameter for layer decay (timm asks), as in `LCoIns`."""
        image_depth = len(self.encoder.blocks)
        text_depth = self.text_encoder.bert_model.config.num_hidden_layers
        return depth_matcher(((_IMAGE_PARAMETER, image_depth), (_TEXT_PARAMETER, text_depth)))


class ImageTower(nn.Module):
    """Gray image -> image tokens: MAE's encoder without its class token."""

    def __init__(
        self, img_size: int, patch: int, width: int, depth: int, num_heads: int, position_scale: float, drop_path: float
    ) -> None:
        super().__init__()
        self.grad_checkpointing = False
        self.patch_embed = PatchEmbed(img_size, patch, 3, width)
        codes = build_sincos2d_pos_embed(self.patch_embed.grid_size, width) * position_scale  # (N_I, width)
        self.pos_embed = nn.Parameter(pad(codes, (0, 0, 1, 0))[None])  # (1, 1 + N_I, width)
        rates = [drop_path * block / max(1, depth - 1) for block in range(depth)]
        self.blocks = nn.ModuleList(
            Block(width, num_heads, qkv_bias=True, drop_path=rate, norm_layer=norm) for rate in rates
        )
        self.norm = norm(width)

    def forward(self, gray: Tensor) -> Tensor:
        """gray: (B, 1, H, W) in [-1, 1], repeated to three channels. Returns (B, N_I, width)."""
        z = self.patch_embed(gray.expand(-1, 3, -1, -1)) + self.pos_embed[:, 1:]
        for block in self.blocks:
            z = checkpoint(block, z, use_reentrant=False) if self.grad_checkpointing and self.training else block(z)
        return self.norm(z)


class PaddedTextEncoder(nn.Module):
    """BERT without a mask, a linear map and ReLU.

    The padding is part of the architecture, so it is done here: batches come padded to any length, and the colours of
    a caption do not depend on its neighbours.
    """

    def __init__(self, bert_model: nn.Module, num_words: int, dim: int) -> None:
        super().__init__()
        self.num_words = num_words
        self.bert_model = bert_model
        self.mlp_arc_object = nn.Module()  # the checkpoint's names
        self.mlp_arc_object.linear = nn.Linear(bert_model.config.hidden_size, dim)

    def forward(self, words: Words) -> Tensor:
        """Returns (B, num_words, C)."""
        room = self.num_words - words.ids.shape[1]
        if room < 0:
            raise InputError(
                f"{words.ids.shape[1]} words in a caption: the released architecture takes {self.num_words}"
            )
        ids = pad(words.ids.masked_fill(~words.mask, 0), (0, room))
        hidden = self.bert_model(input_ids=ids).last_hidden_state
        return self.mlp_arc_object.linear(hidden).relu()


def without_marks(tokenizer: CaptionTokenizer) -> CaptionTokenizer:
    """The same tokenizer without [CLS] and [SEP], as the release's text encoder reads captions. Padding and mask stay.

    An empty caption has no word at all.
    """
    bare = CaptionTokenizer.from_json(tokenizer.to_json())
    bare.tokenizer.post_processor = TemplateProcessing(single="$A", pair="$A $B", special_tokens=[])
    return bare
