"""InstColorization as a system: three stages, one after the other.

B pictures; M boxes of all of them; S side of the square.

    full       the network of whole pictures
    instance   that of single boxes, from its weights; each sample is one box
    fusion     the weights by which both are fused, and the last layers, on photographs with all their boxes

Differs, where paper and public code differ: the code is followed (docs/SYSTEMS.md); but L is that of the colour picture
in training as in use, where the code trains on that of an 8-bit gray copy.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, smooth_l1_loss

from datasets.batch import Batch
from datasets.boxes import Boxes
from models.instcolorization import official
from models.instcolorization.config import STAGES, InstColorizationConfig
from models.instcolorization.fusion import WEIGHT_LAYERS, FusionNetwork
from models.instcolorization.network import ColorNetwork
from models.system import Coloring, System
from models.text import CaptionTokenizer
from models.weights import load_fully
from utils import color
from utils.devices import full_precision
from utils.errors import InputError

DELTA = 1 / color.AB_SCALE  # of the Huber loss: one unit of ab
LOSS_WEIGHT = 10.0
_NETWORKS = {"full": ColorNetwork, "instance": ColorNetwork, "fusion": FusionNetwork}


class InstColorization(System):
    """Holds the networks of its stage and of those before it, by the stages' names."""

    Config = InstColorizationConfig
    of_authors: ClassVar = {"stage": "fusion"}

    def __init__(self, name: str, config: InstColorizationConfig, tokenizer: CaptionTokenizer | None = None) -> None:
        super().__init__(name, config, tokenizer)
        self.inputs = frozenset({"full": (), "instance": {"one box", "boxes"}, "fusion": {"boxes"}}[config.stage])
        for stage in STAGES[: STAGES.index(config.stage) + 1]:
            self.add_module(stage, _NETWORKS[stage](config.width))
        self.to(memory_format=torch.channels_last)  # by a fifth faster on a CPU
        self.requires_grad_(False)
        for module in self._learning():
            module.requires_grad_(True)
        getattr(self, config.stage).model_class.requires_grad_(False)

    def _learning(self) -> Iterator[nn.Module]:
        network = getattr(self, self.config.stage)
        if self.config.stage != "fusion":
            yield network
            return
        yield from (getattr(network, layer) for layer in (*WEIGHT_LAYERS.values(), "model10", "model_out"))

    def train(self, mode: bool = True) -> Self:
        """BatchNorm learns with its network, and stands still in the stage fusion."""
        super().train(False)
        self.training = mode
        if self.config.stage != "fusion":
            getattr(self, self.config.stage).train(mode)
        return self

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        with full_precision(batch.rgb.device):
            gray, ab = _split(batch.rgb)
        if self.config.stage == "fusion":
            predicted = self._fused(gray, batch.boxes)
        else:
            predicted = getattr(self, self.config.stage)(gray)
        with full_precision(batch.rgb.device):
            chroma = chroma_loss(predicted, ab, self.config.gray_range)
        return {"chroma": chroma, "total": chroma}

    def colorize(self, batch: Batch) -> Coloring:
        """In the stage instance, boxes are coloured one by one and pasted onto the whole picture, the best on top."""
        with full_precision(batch.rgb.device):
            gray = _split(batch.rgb)[0].float()
        boxes, ab = batch.boxes, self.full(gray).float()
        if self.config.stage == "full" or boxes is None or len(boxes) == 0:
            return Coloring(ab)
        if self.config.stage == "instance":
            return Coloring(_pasted(ab, self.instance(_split(boxes.crops)[0].float()).float(), boxes))
        boxed = boxes.picture.unique()  # the others are the first network's alone
        place = torch.zeros(len(gray), dtype=torch.int64).index_copy(0, boxed, torch.arange(len(boxed)))
        own = Boxes(boxes.sides, place[boxes.picture], boxes.crops)
        return Coloring(ab.index_copy(0, boxed.to(ab.device), self._fused(gray[boxed.to(gray.device)], own).float()))

    def _fused(self, gray: Tensor, boxes: Boxes) -> Tensor:
        """gray: (B, 1, S, S). Returns ab (B, 2, S, S). The instance network is not changed by what is learnt here."""
        with torch.no_grad():
            features, _ = self.instance.features(_split(boxes.crops)[0].to(gray.dtype))
        return self.fusion.fuse(gray, features, boxes, self.config.fusion_mask)[1]

    @classmethod
    def from_scratch(cls, name: str, config: InstColorizationConfig) -> Self:
        if config.stage != "full":
            before = STAGES[STAGES.index(config.stage) - 1]
            raise InputError(
                f"--stage {config.stage}: starts from the stage {before}; pass its checkpoint by --finetune"
            )
        return cls(name, config)

    @classmethod
    def recognizes(cls, content: Any) -> bool:
        return official.recognizes(content)

    @classmethod
    def from_authors(cls, name: str, content: Any, config: InstColorizationConfig) -> tuple[Self, list[str]]:
        networks, notes = official.read(content)
        kept = STAGES[: STAGES.index(config.stage) + 1]
        system = cls(name, config)
        for stage in kept:
            load_fully(getattr(system, stage), networks[stage], f"the authors' {stage} network")
        return system, notes

    def load(self, weights: dict[str, Tensor], origin: str) -> list[str]:
        """A checkpoint of the stage before fills the new network with the weights of the last: the boxes' with the
        whole picture's, the fused one with it too. Of a later stage the networks of this one are taken."""
        own = STAGES.index(self.config.stage)
        held = [stage for stage in STAGES if any(name.startswith(f"{stage}.") for name in weights)]
        if not set(STAGES[:own]) <= set(held):
            raise InputError(
                f"{origin}: is of the stage {held[-1] if held else 'none'}; --stage {self.config.stage} starts from"
                f" the stage {STAGES[own - 1]}"
            )
        weights, notes = dict(weights), []
        if left_out := [stage for stage in held if stage not in STAGES[: own + 1]]:
            notes.append(f"not needed: {', '.join(left_out)}")
            weights = {name: tensor for name, tensor in weights.items() if name.split(".")[0] not in left_out}
        if self.config.stage not in held:
            notes.append(f"the {self.config.stage} network starts from the full one")
            full = {name.removeprefix("full."): tensor for name, tensor in weights.items() if name.startswith("full.")}
            fresh = getattr(self, self.config.stage).state_dict() | full
            weights |= {f"{self.config.stage}.{name}": tensor for name, tensor in fresh.items()}
        load_fully(self, weights, origin)
        return notes


def chroma_loss(predicted: Tensor, target: Tensor, gray_range: float) -> Tensor:
    """10 times the Huber loss, divided by its delta of one unit of ab, summed over a and b: a float32 scalar.

    predicted, target: (B, 2, H, W) in [-1, 1]. Pictures whose a and b together span less than `gray_range` CIE units
    count 0. Differs: the public code leaves the whole batch out where one of its pictures is gray.
    """
    target = target.float()
    spans = (target.amax(dim=(2, 3)) - target.amin(dim=(2, 3))).sum(dim=1) * color.AB_SCALE
    per_picture = smooth_l1_loss(predicted.float(), target, beta=DELTA, reduction="none").sum(dim=1).mean(dim=(1, 2))
    return LOSS_WEIGHT * torch.where(spans >= gray_range, per_picture, 0.0).mean()


def _split(rgb: Tensor) -> tuple[Tensor, Tensor]:
    """rgb: (B, 3, S, S) in [0, 1] -> what the networks read, L / 100 - 0.5 (B, 1, S, S), and ab in [-1, 1]."""
    gray, ab = color.split(rgb)
    return gray / 2, ab


def _pasted(ab: Tensor, instances: Tensor, boxes: Boxes) -> Tensor:
    """ab: (B, 2, S, S), instances: (M, 2, S, S); best first."""
    ab = ab.clone()
    height, width = ab.shape[2:]
    cells, owners = boxes.on_grid(height, width), boxes.picture.tolist()
    for own, b, (left, top, right, bottom) in reversed(list(zip(instances, owners, cells, strict=True))):
        resized = interpolate(own[None], (bottom - top, right - left), mode="bilinear", align_corners=False)
        ab[b, :, top:bottom, left:right] = resized[0]
    return ab
