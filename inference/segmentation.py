"""The mask of an object that a box or a click names, by transformers' SAM (Segment Anything).

B pictures; H, W sides of a picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import SamModel, SamProcessor

from datasets.boxes import Box
from inference import hub_models
from inference.detection import gray_copy

SAM = "facebook/sam-vit-base"


@dataclass(frozen=True)
class Embedded:
    """Pictures as the image encoder reads them: once, for any number of boxes and clicks."""

    features: Tensor  # (B, C, h, w)
    sizes: list[tuple[int, int]]  # of each its (H, W)
    shown: list[tuple[int, int]]  # and as the encoder sees it, before the padding


class Segmenter:
    def __init__(self, source: str = SAM, device: torch.device | str = "cpu") -> None:
        """source: a folder or a hub name. Raises InputError naming it and the remedy."""
        self.network, self.processor = hub_models.load(SamModel, SamProcessor, source, "--sam", SAM, device)
        self.device = device

    @torch.no_grad()
    def embed(self, pictures: Sequence[Image.Image]) -> Embedded:
        """pictures: RGB, of which the luminance is read, of any sizes."""
        read = self.processor.image_processor([gray_copy(picture) for picture in pictures], return_tensors="pt")
        features = self.network.get_image_embeddings(read["pixel_values"].to(self.device))
        sizes, shown = ([tuple(map(int, size)) for size in read[f"{n}_sizes"]] for n in ("original", "reshaped_input"))
        return Embedded(features, sizes, shown)

    @torch.no_grad()
    def in_boxes(self, embedded: Embedded, place: int, boxes: Sequence[Box]) -> NDArray:
        """(n, H, W) bool: the object of each box of the picture at `place`; some may be empty."""
        height, width = embedded.shown[place]
        scale = torch.tensor([width, height, width, height], dtype=torch.float32)
        asked = (torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4) * scale)[None].to(self.device)
        output = self.network(
            image_embeddings=embedded.features[place][None], input_boxes=asked, multimask_output=False
        )
        return self._full_size(output.pred_masks[0], embedded, place)[:, 0]

    @torch.no_grad()
    def at(self, embedded: Embedded, place: int, x: float, y: float) -> NDArray:
        """(H, W) bool: the object at a point of the picture at `place`, in [0, 1] from the top left. Of the part, the
        thing and the group that a point may mean, the one that the network is surest of."""
        height, width = embedded.shown[place]
        point = torch.tensor([[[[x * width, y * height]]]], dtype=torch.float32, device=self.device)
        output = self.network(image_embeddings=embedded.features[place][None], input_points=point)
        best = int(output.iou_scores[0, 0].argmax())
        return self._full_size(output.pred_masks[0, :, best : best + 1], embedded, place)[0, 0]

    def _full_size(self, masks: Tensor, embedded: Embedded, place: int) -> NDArray:
        """masks: (n, m, h, w), the decoder's. Returns (n, m, H, W) bool."""
        sizes = [embedded.sizes[place]], [embedded.shown[place]]
        (whole,) = self.processor.image_processor.post_process_masks([masks.float()], *sizes)
        return np.asarray(whole.cpu())
