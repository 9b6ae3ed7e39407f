"""Objects of a gray photograph, found by torchvision's Mask R-CNN (InstColorization, Sec. 3.1).

Differs: the paper's detector is Detectron2's, of a ResNeXt-101; threshold, number and gray input are its.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_V2_Weights, maskrcnn_resnet50_fpn_v2

from datasets.boxes import Boxes, Wanted, best, classes, cut
from datasets.image_files import squash
from models.weights import load_fully
from utils import checkpoint, color
from utils.errors import InputError, reason

WANTED = Wanted(most=8, least_score=0.7)
WEIGHTS = MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1
_NAMES = WEIGHTS.meta["categories"]  # with gaps and a background


def is_cached() -> bool:
    """Whether torchvision's weights were fetched before."""
    return (Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS.url.rpartition("/")[2]).is_file()


def gray_copy(picture: Image.Image) -> Image.Image:
    """L of CIE Lab with 8 bits in three channels, as networks for coloured pictures are shown a gray one. RGB both."""
    rgb = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255
    gray = (color.luminance(rgb) / color.L_MAX * 255).round().to(torch.uint8)  # (1, 1, H, W)
    return Image.fromarray(gray[0, 0].numpy()).convert("RGB")


class Detector:
    def __init__(self, weights: str | None = None, device: torch.device | str = "cpu", side: int = 800) -> None:
        """weights: a file with torchvision's names; None: from torchvision's cache, or fetched; side: the shorter, that
        pictures are enlarged to. Raises InputError naming the file and the remedy."""
        network = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None, min_size=side)
        if weights is not None:
            load_fully(
                network, checkpoint.load(weights), f"--detector_weights {weights} (Mask R-CNN, ResNet-50-FPN v2)"
            )
        else:
            try:
                network.load_state_dict(WEIGHTS.get_state_dict(check_hash=True))
            except Exception as error:  # whatever the network and the cache make of it
                raise InputError(
                    f"the detector's weights cannot be fetched ({reason(error)}); pass their file by"
                    f" --detector_weights: {WEIGHTS.url.rpartition('/')[2]} of torchvision"
                ) from error
        self.network = network.eval().requires_grad_(False).to(device)
        self.device = device

    @torch.no_grad()
    def __call__(self, picture: Image.Image, wanted: Wanted = WANTED) -> list[list[float]]:
        """picture: RGB, of which the luminance is read. Returns rows of a boxes file (`datasets.boxes`), best first."""
        shown = torch.from_numpy(np.array(gray_copy(picture))).to(self.device).permute(2, 0, 1).float() / 255
        (found,) = self.network([shown])
        size = torch.tensor([picture.width, picture.height] * 2)
        rows = zip(
            (found["boxes"].cpu() / size).clamp(0, 1).tolist(),
            found["scores"].tolist(),
            found["labels"].tolist(),
            strict=True,
        )
        kept = [
            (sides, score, label) for sides, score, label in rows if score >= wanted.least_score and _has_area(sides)
        ]
        return [
            [*(round(side, 4) for side in sides), round(score, 3), classes().index(_NAMES[label])]
            for sides, score, label in sorted(kept, key=lambda row: -row[1])[: wanted.most]
        ]


def _has_area(sides: Sequence[float]) -> bool:
    left, top, right, bottom = (round(side, 4) for side in sides)
    return left < right and top < bottom


def crops(
    picture: Image.Image, given: Sequence[Sequence[float]] | None, detector: Detector | None, side: int
) -> tuple[Boxes | None, str]:
    """The objects of a photograph as it is seen, each a square of `side`, and a note on where they are from.

    given: rows of a boxes file. Without them and without a detector there are none: the photograph is coloured as a
    whole.
    """
    if given is not None:
        rows, whence = list(map(list, given)), "given"
    elif detector is not None:
        rows, whence = detector(picture), "found by the detector"
    else:
        return None, "is coloured as a whole: no boxes are given (--boxes), and no detector (--detector_weights)"
    boxes = best(rows, replace(WANTED, least_score=0.0), "the photograph")
    found = Boxes.of([[(box, squash(cut(picture, box), side)) for box in boxes]], side)
    return found, f"{len(boxes)} objects, {whence}, are coloured one by one"
