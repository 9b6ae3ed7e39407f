"""Where a phrase is in a gray picture, by transformers' Grounding DINO.

B items, a picture with its phrases each; Q queries; T text tokens.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import box_convert, nms
from transformers import GroundingDinoForObjectDetection, GroundingDinoProcessor

from datasets.boxes import Box
from inference import hub_models
from inference.detection import gray_copy

GROUNDING_DINO = "IDEA-Research/grounding-dino-tiny"
LEAST_SCORE = 0.25
_SAME = 0.5  # intersection over union from which two boxes are one object's


class Scored(NamedTuple):
    score: float
    box: Box


class PhraseDetector:
    """A phrase's score at a query is the mean over its tokens, as of phrase grounding by GLIP."""

    def __init__(
        self, source: str = GROUNDING_DINO, device: torch.device | str = "cpu", least_score: float = LEAST_SCORE
    ) -> None:
        """source: a folder or a hub name. Raises InputError naming it and the remedy."""
        kinds = GroundingDinoForObjectDetection, GroundingDinoProcessor
        self.network, self.processor = hub_models.load(*kinds, source, "--grounding_dino", GROUNDING_DINO, device)
        self.device, self.least_score = device, least_score

    def __call__(
        self, pictures: Sequence[Image.Image], phrases: Sequence[Sequence[str]]
    ) -> list[dict[str, list[Scored]]]:
        """pictures: RGB, of which the luminance is read; phrases: of each, without colours, in lower case. Returns for
        each picture the objects of each phrase, best first. Pictures of one size are read together: nothing is padded,
        so that what one is read with changes nothing."""
        found: list[dict[str, list[Scored]]] = [{} for _ in pictures]
        by_size: dict[tuple[int, int], list[tuple[int, list[str]]]] = {}
        for place, (picture, own) in enumerate(zip(pictures, phrases, strict=True)):
            found[place] = {phrase: [] for phrase in own}
            for prompt in self._prompts(own):
                by_size.setdefault(picture.size, []).append((place, prompt))
        for items in by_size.values():
            shown = [gray_copy(pictures[place]) for place, _ in items]
            for (place, _), objects in zip(items, self._detect(shown, [own for _, own in items]), strict=True):
                found[place] |= objects
        return found

    def _prompts(self, phrases: Sequence[str]) -> list[list[str]]:
        """As few as hold all phrases; one that is too long by itself is left out."""
        most = self.network.config.max_text_len - 2  # beside the marks of beginning and end
        prompts: list[list[str]] = []
        room = 0
        for phrase in dict.fromkeys(phrases):
            length = len(self.processor.tokenizer.tokenize(phrase)) + 1  # and the full stop
            if length > most:
                continue
            if length > room:
                prompts.append([])
                room = most
            prompts[-1].append(phrase)
            room -= length
        return prompts

    @torch.no_grad()
    def _detect(self, shown: list[Image.Image], phrases: Sequence[Sequence[str]]) -> list[dict[str, list[Scored]]]:
        prompts = [". ".join(phrase.replace(".", " ") for phrase in own) + "." for own in phrases]
        tokens = self.processor.tokenizer(prompts, padding=True, return_tensors="pt")
        pixels = self.processor.image_processor(images=shown, return_tensors="pt")
        output = self.network(**{name: held.to(self.device) for name, held in {**tokens, **pixels}.items()})
        scores, boxes = output.logits.sigmoid().float().cpu(), output.pred_boxes.float().cpu()  # (B, Q, T), (B, Q, 4)
        boxes = box_convert(boxes, "cxcywh", "xyxy").clamp(0, 1)
        found = []
        for b, own in enumerate(phrases):
            objects, start = {}, 0
            for phrase in own:
                end = start + len(phrase)
                read_as = [t for t, (first, last) in enumerate(tokens[b].offsets) if start <= first < last <= end]
                objects[phrase] = self._best(scores[b][:, read_as], boxes[b]) if read_as else []
                start = end + 2  # behind ". "
            found.append(objects)
        return found

    def _best(self, scores: Tensor, boxes: Tensor) -> list[Scored]:
        """scores: (Q, tokens of the phrase); boxes: (Q, 4)."""
        score = scores.mean(dim=1)
        kept = (score >= self.least_score) & (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
        score, boxes = score[kept], boxes[kept]
        return [Scored(score[i].item(), Box(*boxes[i].tolist())) for i in nms(boxes, score, _SAME).tolist()]
