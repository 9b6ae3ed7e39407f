"""L-CoIns as a system: what is prepared for its network, and what it learns from.

B batch; H = W image side; N_I, N_L, N_G image, language and group tokens; C token width.
"""

import dataclasses
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Self

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from transformers import AutoModel

from augment import InputAndTarget, Luminance, LuminanceAugmentation
from datasets.batch import Batch
from losses import ColorizationLoss
from models.layers.bert import plain, text_config
from models.lcoins import release_file
from models.lcoins.config import LCoInsConfig, ReleaseConfig
from models.lcoins.encoders import ImageEncoder, TextEncoder
from models.lcoins.grouping import (
    GroupingAttention,
    GroupingBlock,
    GroupingLayer,
    GroupingTransformer,
    ImageTokensAsGroups,
    JointAttention,
)
from models.lcoins.network import Colorization, LCoInsNetwork
from models.lcoins.release import released
from models.lcoins.upsampler import Upsampler
from models.system import Coloring, System
from models.text import BERT_VOCABULARY, CaptionTokenizer, Words, without_marks
from models.weights import RANDOM, load_fully, load_image_encoder, load_text_encoder, resample_positions, text_config_of
from utils.devices import full_precision
from utils.errors import InputError

logger = logging.getLogger(__name__)
WORDS_TOGETHER = 8  # of compiled runs: captions are padded to a multiple of it, so that graphs are few


class LCoInsSystem(System):
    """What the paper's architecture and the released one share: a network with the interface of `LCoInsNetwork`."""

    network: nn.Module
    criterion: ColorizationLoss
    positions: str  # name of the image tokens' position codes

    def __init__(self, name: str, config: LCoInsConfig | ReleaseConfig, tokenizer: CaptionTokenizer | None) -> None:
        super().__init__(name, config, tokenizer)
        self.luminance = Luminance()
        self.prepare = InputAndTarget(LuminanceAugmentation() if config.luminance_augmentation else self.luminance)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        with full_precision(batch.rgb.device):
            gray, ab = self.prepare(batch.rgb)
        output = self.network(gray, batch.words, batch.counter_words, batch.color_counter)
        with full_precision(batch.rgb.device):
            return self.criterion(output, ab, batch)

    def begin_update(self, batches: Sequence[Batch], device: torch.device) -> list[Batch]:
        count = self.criterion.counter_count(batches, device)
        return [dataclasses.replace(batch, counter_count=count) for batch in batches]

    def colorize(self, batch: Batch) -> Coloring:
        return self.decode(self.encode_image(batch.rgb), self.encode_text(batch.words), batch.words.mask)

    def encode_image(self, rgb: Tensor) -> Tensor:
        """rgb: (B, 3, H, W) in [0, 1], of which the luminance is read. Returns T_img, (B, N_I, C)."""
        with full_precision(rgb.device):
            gray = self.luminance(rgb).float()
        return self.network.encode_image(gray)

    def encode_text(self, words: Words) -> Tensor:
        """Returns T_lag, (B, N_L, C)."""
        return self.network.encode_text(words)

    def decode(self, image: Tensor, language: Tensor, word_mask: Tensor) -> Coloring:
        """From what `encode_image` and `encode_text` gave; word_mask: (B, N_L) bool, True on real words."""
        return self._in_use(self.network.colorize(image, language, word_mask))

    def from_gray(self, gray: Tensor, words: Words) -> Coloring:
        """gray: (B, 1, H, W) in [-1, 1]; what an ONNX file computes."""
        return self._in_use(self.network(gray, words))

    def _in_use(self, output: Colorization) -> Coloring:
        scale = self.config.chroma_scale
        ab = output.ab if scale == 1 else (output.ab * scale).clamp(-1, 1)
        return Coloring(ab, regions=output.soft_assignment)

    def load(self, weights: dict[str, Tensor], origin: str) -> list[str]:
        """Position codes are resampled where the image side is another."""
        notes, own = [], self.state_dict()[self.positions].shape
        if self.positions in weights and weights[self.positions].shape != own:
            weights = weights | {self.positions: self.resample(weights[self.positions], own[1])}
            tokens = (self.img_size // self.config.patch) ** 2
            notes.append(f"its {self.positions.removeprefix('network.')} were resampled to {tokens} image tokens")
        load_fully(self, weights, origin)
        return notes

    def resample(self, positions: Tensor, count: int) -> Tensor:
        """(1, N, C) -> (1, count, C)."""
        return resample_positions(positions, count)

    def set_grad_checkpointing(self, enable: bool) -> None:
        self.network.set_grad_checkpointing(enable)

    def no_weight_decay(self) -> set[str]:
        return {f"network.{name}" for name in self.network.no_weight_decay()}

    def group_matcher(self, coarse: bool = False) -> Callable[[str], tuple[int]]:
        layer = self.network.group_matcher()
        return lambda name: layer(name.removeprefix("network."))

    def not_for_muon(self) -> tuple[str, ...]:
        """Codes and the last layer, and the encoders where the config says so."""
        names = self.network.CODES + (() if self.config.muon_encoders else self.network.ENCODERS)
        return tuple(f"network.{name}" for name in names)

    def compile(self) -> None:
        """By torch.compile; captions come in few lengths then."""
        self.network.compile()
        self.prepare.compile()
        if self.tokenizer is not None:
            self.tokenizer.pad_to_multiple_of(WORDS_TOGETHER)


class LCoIns(LCoInsSystem):
    """The paper's, and Table 1's ablations of it."""

    Config = LCoInsConfig
    positions = "network.image_encoder.vit.pos_embed"

    def __init__(self, name: str, config: LCoInsConfig, tokenizer: CaptionTokenizer | None = None) -> None:
        super().__init__(name, config, tokenizer)
        self.network = build_network(config)
        self.criterion = ColorizationLoss(config.alpha, config.beta, config.word_weight)
        self.inputs = frozenset({"counter"} if config.counter_color else ())
        if config.freeze_encoders:
            self.network.freeze_encoders()

    @classmethod
    def from_scratch(cls, name: str, config: LCoInsConfig) -> Self:
        image_source = _given("image_encoder_weights", config.image_encoder_weights, "vit_base_patch16_224.mae")
        text_source = _given("text_encoder_weights", config.text_encoder_weights, "bert-base-uncased")
        if text_source == RANDOM:
            tokenizer = CaptionTokenizer.from_vocabulary()
        else:
            config = dataclasses.replace(config, text_config=plain(text_config_of(text_source)))
            tokenizer = CaptionTokenizer.from_pretrained(text_source)
        system = cls(name, config, tokenizer)
        network = system.network
        logger.info("%s", load_image_encoder(network.image_encoder.vit, image_source))
        logger.info("%s", load_text_encoder(network.text_encoder.encoder, text_source))
        loaded = ("image_encoder.vit.", "text_encoder.encoder.")
        new = Counter(name.split(".")[0] for name in network.state_dict() if not name.startswith(loaded))
        logger.info("new, from random weights: %s", ", ".join(f"{part} ({n} tensors)" for part, n in new.items()))
        return system


class ReleasedLCoIns(LCoInsSystem):
    """The authors' released checkpoint (models/lcoins/release.py): not the paper's architecture."""

    Config = ReleaseConfig
    positions = "network.encoder.pos_embed"

    def __init__(self, name: str, config: ReleaseConfig, tokenizer: CaptionTokenizer | None = None) -> None:
        super().__init__(name, config, tokenizer)
        self.network = released(config)
        self.criterion = ColorizationLoss(config.alpha)
        if config.freeze_encoders:
            self.network.freeze_encoders()

    @classmethod
    def from_scratch(cls, name: str, config: ReleaseConfig) -> Self:
        raise InputError(f"--model {name}: is for the authors' checkpoint; pass that file by --finetune")

    @classmethod
    def recognizes(cls, content: Any) -> bool:
        return release_file.is_release(content)

    @classmethod
    def from_authors(cls, name: str, content: Any, config: ReleaseConfig) -> tuple[Self, list[str]]:
        tokenizer = without_marks(CaptionTokenizer.from_vocabulary(BERT_VOCABULARY))
        system = cls(name, config, tokenizer)
        weights, notes = release_file.read(content, config)
        weights = {f"network.{name}": tensor for name, tensor in weights.items()}
        return system, notes + system.load(weights, "the release")

    def resample(self, positions: Tensor, count: int) -> Tensor:
        """The first code belongs to a class token that is not there."""
        return torch.cat([positions[:, :1], resample_positions(positions[:, 1:], count - 1)], dim=1)


def build_network(config: LCoInsConfig) -> LCoInsNetwork:
    """With random weights."""
    vit = VisionTransformer(
        img_size=config.img_size,
        patch_size=config.patch,
        embed_dim=config.image_width,
        depth=config.image_depth,
        num_heads=config.image_heads,
        class_token=False,
        global_pool="",
        num_classes=0,
        drop_path_rate=config.drop_path,
        weight_init="jax",  # Xavier: the same scale at every width
    )
    grouped, dim = config.group_tokens, config.dim
    attention = GroupingAttention if config.grouping_attention and grouped else JointAttention
    rates = [config.drop_path * block / max(1, config.depth - 1) for block in range(config.depth)]
    blocks = [GroupingBlock(attention(dim, config.num_heads), dim, mlp_ratio=4.0, drop_path=rate) for rate in rates]
    network = LCoInsNetwork(
        ImageEncoder(vit, dim, config.position_scale),
        TextEncoder(AutoModel.from_config(text_config(config.text_config)), dim, config.sine_positions),
        GroupingTransformer(blocks, dim),
        GroupingLayer(dim) if grouped else ImageTokensAsGroups(),
        Upsampler(dim, config.channels, config.normalize),
        dim,
        config.num_groups if grouped else 0,
        config.group_scale,
    )
    if config.identity_maps:
        for encoder in (network.image_encoder, network.text_encoder):
            nn.init.eye_(encoder.project.weight)
            nn.init.zeros_(encoder.project.bias)
    if not config.counter_color:  # what only L_ctr trains
        for part in (network.grouping_layer, network.language_head, network.group_head):
            part.requires_grad_(False)
    return network


def _given(flag: str, source: str | None, paper: str) -> str:
    if source is None:
        raise InputError(
            f"--{flag} is not given, nor a checkpoint: pass a local file or folder, a hub name (the paper's: {paper}),"
            f" or '{RANDOM}' to start from random weights"
        )
    return source
