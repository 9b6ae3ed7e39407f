"""A published system of colorization: what it reads, how it learns, how it colours.

B batch; H = W = `img_size`; R regions (groups, instances); N image tokens, a square grid; C token width.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn

from datasets.batch import Batch
from models.text import CaptionTokenizer
from models.weights import load_fully
from utils.checkpoint import FORMAT
from utils.errors import InputError


class Coloring(NamedTuple):
    """What a system makes of a batch."""

    ab: Tensor  # (B, 2, H, W) in [-1, 1]: ab / 110
    rgb: Tensor | None = None  # (B, 3, H, W) in [0, 1], from systems that paint their own luminance
    regions: Tensor | None = None  # (B, R, N): how much of image token n is region r's


class System(nn.Module):
    """One published system, whole: network, preparation of the input, losses, tokenizer, numbers.

    A subclass names its dataclass of numbers (`Config`, fields of `utils.options.number` and `setting`, `img_size`
    among them), implements `forward` and `colorize`, and overrides what else is its own. One line in `models.MODELS`
    makes it known to every command.
    """

    Config: ClassVar[type]
    of_authors: ClassVar[dict[str, Any]] = {}  # numbers of the config in their file, where none are given
    inputs: frozenset[str] = frozenset()  # of a sample, beyond photograph and caption: "counter", "boxes", "seed"

    def __init__(self, name: str, config: Any, tokenizer: CaptionTokenizer | None = None) -> None:
        """name: of `models.MODELS`; config: a `Config`; tokenizer: None where captions are not read."""
        super().__init__()
        self.name = name
        self.config = config
        self.tokenizer = tokenizer

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of a training step, scalars, "total" among them: what DistributedDataParallel wraps.

        batch: on the device, RGB float32 in [0, 1] (`Batch.to`).
        """
        raise NotImplementedError

    def colorize(self, batch: Batch) -> Coloring:
        """For evaluation and use, in the mode `eval`. batch: on the device, RGB float32 or float64 in [0, 1]."""
        raise NotImplementedError

    # What can be read once and used for many captions is told apart by a system that can:
    #   encode_image(rgb: (B, 3, H, W) in [0, 1]) -> (B, N, C);  encode_text(words) -> (B, N_L, C);
    #   decode(image, language, word_mask: (B, N_L) bool) -> Coloring
    # and one that can be written as ONNX has from_gray(gray: (B, 1, H, W) in [-1, 1], words) -> Coloring.
    @property
    def reads_apart(self) -> bool:
        return hasattr(self, "decode")

    @property
    def stage(self) -> str | None:
        """Of several stages of training, the one that it is in."""
        return getattr(self.config, "stage", None)

    @property
    def seed(self) -> int:
        """Of what it draws to paint a picture, where a batch names no other."""
        return getattr(self.config, "sample_seed", 0)

    @property
    def training_tokenizer(self) -> CaptionTokenizer | None:
        """Of the captions that `forward` is given."""
        return self.tokenizer

    @property
    def img_size(self) -> int:
        """Side of the square that it sees, in pixels."""
        return self.config.img_size

    def begin_update(self, batches: Sequence[Batch], device: torch.device) -> list[Batch]:
        """The batches of one update of the weights, before the first of them: what their losses share is found here."""
        return list(batches)

    def check_captions(self, captions: Iterable[tuple[str, str]]) -> None:
        """Raises InputError for a caption that it cannot read whole, if it does not cut them. captions: (name of the
        picture, caption)."""

    # ---- starts

    @classmethod
    def from_scratch(cls, name: str, config: Any) -> Self:
        """For a new training: with the encoders and the tokenizer that `config` names. Raises InputError."""
        return cls(name, config)

    @classmethod
    def recognizes(cls, content: Any) -> bool:
        """Whether `content`, of a file that is not this program's, is the checkpoint of this system's authors."""
        return False

    @classmethod
    def from_authors(cls, name: str, content: Any, config: Any) -> tuple[Self, list[str]]:
        """The system of such a file, and in words what was adapted. Raises InputError unless the file is whole."""
        raise NotImplementedError

    def load(self, weights: dict[str, Tensor], origin: str) -> list[str]:
        """Fill every tensor, or raise InputError naming `origin`; returns what was adapted, in words."""
        load_fully(self, weights, origin)
        return []

    # ---- training

    def set_grad_checkpointing(self, enable: bool) -> None:
        """Trade time for memory: activations are computed again in the backward pass."""
        if enable:
            raise InputError(f"--grad_checkpointing: {self.name} does not know it; leave the flag out")

    def no_weight_decay(self) -> set[str]:
        """Names of parameters that weight decay leaves alone beside vectors (timm asks)."""
        return set()

    def group_matcher(self, coarse: bool = False) -> Callable[[str], tuple[int]]:
        """Name of a parameter -> its depth, for layer decay (timm asks). Here all learn at the full rate."""
        return lambda name: (0,)

    def not_for_muon(self) -> tuple[str, ...]:
        """Patterns of names: matrices that optimizers of matrices leave to AdamW."""
        return ()

    # ---- what a checkpoint says of it

    def content(self) -> dict[str, Any]:
        """Plain data that rebuilds it, and its tensors: the head of a checkpoint (utils/checkpoint.py)."""
        return {
            "format": FORMAT,
            "system": self.name,
            "config": dataclasses.asdict(self.config),
            "stage": self.stage,
            "tokenizer": None if self.tokenizer is None else self.tokenizer.to_json(),
            "tensors": self.state_dict(),
        }
