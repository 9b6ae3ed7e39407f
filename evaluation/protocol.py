"""What an evaluation compares, as bytes.  B batch; H, W sides of what is compared; S side of the network's square.

paper    at the network's size: the photograph squashed to the square, the truth sent through Lab, cut to the whole
         number below. The protocol of Table 1
rounded  the same, rounded to the nearest, which gives the truth back its own bytes
full     at the photograph's own size: the predicted ab enlarged beside the photograph's own L, the truth the
         photograph itself sent through Lab; cut as in `paper`
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from models import Coloring
from utils import color
from utils.devices import side_by_side
from utils.errors import DivergedError

PROTOCOLS = ("paper", "rounded", "full")
ROWS = ("model", "gray", "ceiling")
PAINTED = "painted"  # one more row, of systems that paint their own luminance


class Colorized(NamedTuple):
    """Evaluated pairs of one size, as the visits of `measure.Measure` see them; all images uint8 (B, 3, H, W)."""

    indices: list[int]  # places of the pairs in their file
    names: list[str]
    captions: list[str]
    photo: Tensor
    gray: Tensor  # ab = 0
    predicted: Tensor
    truth: Tensor  # the photograph after the Lab round trip
    regions: Tensor  # (B, R, N) of `models.Coloring`; R = 0 where there are none
    painted: Tensor | None = None  # the system's picture with the luminance that it painted

    def compared(self) -> dict[str, Tensor]:
        """What each of ROWS, and PAINTED, sets against the truth."""
        own = dict(zip(ROWS, (self.predicted, self.gray, self.photo), strict=True))
        return own if self.painted is None else own | {PAINTED: self.painted}


class LabBatch(NamedTuple):
    """Photographs of one size, taken apart in float64: float32 would cut twice as many bytes one too low."""

    photo: Tensor  # (B, 3, H, W) uint8
    gray: Tensor  # (B, 1, H, W) float64 in [-1, 1]
    ab: Tensor  # (B, 2, H, W) float64 in [-1, 1]

    @classmethod
    def of(cls, photo: Tensor) -> "LabBatch":
        """photo: (B, 3, H, W) uint8."""
        images = photo.split(_piece(photo))
        parts = side_by_side(lambda piece: color.split(piece.double() / 255), images, photo.device)
        gray, ab = (torch.cat(part) for part in zip(*parts, strict=True))
        return cls(photo, gray, ab)


def check_finite(ab: Tensor, names: Sequence[str]) -> None:
    """Raises DivergedError that names the first picture whose predicted ab, (B, 2, H, W), is not finite."""
    broken = ~ab.isfinite().flatten(1).all(dim=1)
    if broken.any():
        name = names[int(broken.nonzero()[0])]
        raise DivergedError(
            f"{name}: the network's ab is not finite, so nothing can be measured; pass --amp none, or a checkpoint"
            " whose training did not diverge"
        )


def pieces(squashed: LabBatch, protocol: str) -> list[slice]:
    """The parts of a batch that are computed at once: on a CPU and at the photographs' own sizes, single images."""
    step = 1 if protocol == "full" else _piece(squashed.photo)
    return [slice(start, start + step) for start in range(0, len(squashed.photo), step)]


def colorized(
    batch: Any,
    squashed: LabBatch,
    coloring: Coloring,
    protocol: str,
    photograph: Callable[[str], Tensor] | None,
    part: slice,
) -> Colorized:
    """One of the `pieces` of a batch.

    squashed: the batch's photographs at the system's size; photograph: image name -> uint8 (3, H, W), asked by `full`
    alone.
    """
    own = LabBatch(*(tensor[part] for tensor in squashed))
    if protocol == "full":
        (name,) = batch.names[part]
        own = LabBatch.of(photograph(name).to(own.photo.device).unsqueeze(0))
    chromas = (torch.zeros_like(own.ab), enlarge(coloring.ab[part], own.photo.shape[2:]), own.ab)
    rounded, size = protocol == "rounded", own.photo.shape[2:]
    nothing, predicted, truth = (color.to_uint8(color.colorize(own.gray, ab), rounded=rounded) for ab in chromas)
    painted = None
    if coloring.rgb is not None:
        painted = color.to_uint8(enlarge(coloring.rgb[part], size), rounded=rounded)
    words = batch.indices[part], batch.names[part], batch.captions[part]
    regions = coloring.ab.new_zeros(len(coloring.ab), 0, 1) if coloring.regions is None else coloring.regions
    return Colorized(*words, own.photo, nothing, predicted, truth, regions[part], painted)


def enlarge(ab: Tensor, size: tuple[int, int]) -> Tensor:
    """Predicted ab or RGB (B, C, S, S), unsquashed to (B, C, *size), bilinear; as it is where it has that size."""
    if ab.shape[2:] == size:
        return ab
    return interpolate(ab.double(), tuple(size), mode="bilinear", align_corners=False)


def _piece(images: Tensor) -> int:
    """Images in one computation: one on a CPU, whose caches hold it, all on a GPU."""
    return 1 if images.device.type == "cpu" else len(images)
