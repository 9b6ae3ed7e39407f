"""The architecture of the authors' released checkpoint: not the paper's, but the one that has trained weights.

Written from the names and shapes of its tensors, all kept, and a description of what is computed with them.
Differs from the paper, and so from `LCoInsNetwork`:

  encoder        ViT as in MAE; row 0 of `pos_embed` belongs to a class token that is not there
  text_encoder   no [CLS], no [SEP]; padded with id 0 to 80 tokens and NO mask: padding takes part in every attention,
                 so the colours depend on it
  decoder        plain joint attention over image, language and group tokens; the groups get no modality embedding
  group_block    reads the last group tokens and gives nothing back to the colours
  *_classify     313 colour bins for every pixel: a training target of the authors', never computed here

Saved without any change to the colours: those bins, and the last block's work on language tokens, which nobody reads.

B batch; H, W image side; N_I image, N_L language (`num_words`, always), N_G group tokens; N all three; C token width.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import AutoModel

from models.layers.bert import text_config
from models.layers.image_tower import ImageTower
from models.layers.layer_decay import released_depths
from models.lcoins.config import ReleaseConfig
from models.lcoins.network import Colorization
from models.lcoins.release_decoder import BinnedUpsample, Decoder, GroupBlock, JointBlock, xavier_linear
from models.text import Words
from utils.errors import InputError


def released(config: ReleaseConfig) -> "ReleasedNetwork":
    """The network with random weights.

    What does not reach the colours (colour bins, grouping block, BERT's pooler) is frozen: no loss here trains it.
    Open in the release: how weights start. Here as in `LCoInsNetwork`: Xavier, and codes of `position_scale`,
    `group_scale`.
    """
    tower = config.img_size, config.patch, config.image_width, config.image_depth, config.image_heads
    encoder = ImageTower(*tower, config.position_scale, config.drop_path)
    rates = [config.drop_path * block / max(1, config.depth - 1) for block in range(config.depth)]
    decoder = Decoder(
        [JointBlock(config.dim, config.num_heads, rate) for rate in rates],
        GroupBlock(config.dim, config.num_heads, config.num_groups, config.group_mixing),
        BinnedUpsample(config.channels, config.color_bins),
        config.dim,
        config.num_groups,
        config.group_scale,
        config.channels[0],
    )
    bert = AutoModel.from_config(text_config(config.text_config))
    network = ReleasedNetwork(encoder, decoder, PaddedTextEncoder(bert, config.num_words, config.dim))
    for name, parameter in network.named_parameters():
        if any(part in name for part in ("classif", "group_block", "pooler")):
            parameter.requires_grad_(False)
    return network


class ReleasedNetwork(nn.Module):
    """`LCoInsNetwork`'s interface on the released architecture."""

    ENCODERS = ("encoder.*", "text_encoder.bert_model.*")
    CODES = ("text_encoder.bert_model.embeddings.*", "decoder.conv_upsample.c4.0.*")  # and the last layer

    def __init__(self, encoder: ImageTower, decoder: Decoder, text_encoder: "PaddedTextEncoder") -> None:
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
        """The rest of `forward`, as `LCoInsNetwork.colorize`. word_mask: (B, N_L), whose length alone is used."""
        image, language, group = self.decoder.exchange(image, language)
        merged, assignment, soft = self.decoder.group_block(image, group)
        return Colorization(self.decoder.colorize(image), language[:, : word_mask.shape[1]], merged, assignment, soft)

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
        return {"decoder.group_token", "decoder.token_type_embeddings.weight", "encoder.pos_embed"}

    def group_matcher(self, coarse: bool = False) -> Callable[[str], tuple[int]]:
        """Depth of a parameter for layer decay (timm asks), as in `LCoInsNetwork`."""
        return released_depths(len(self.encoder.blocks), self.text_encoder.bert_model.config.num_hidden_layers)


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
