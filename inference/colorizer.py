"""Colour photographs of any size as sentences say.

    colorizer = Colorizer.from_checkpoint()  # the repository's own, for photographs
    colorizer(image, "a woman in a red dress beside a woman in a blue dress").save("colored.png")

S side of the network's square.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from datasets.batch import Batch
from datasets.masks import Instances, Mask, check_apart, check_phrase, fit_mask, placed, places
from datasets.words.captions import check_caption, shorten
from inference import onnx_file
from inference.caption_notes import notes_on
from inference.colored_photo import ColoredPhoto
from inference.detection import Detector, crops, is_cached
from inference.enlarge import explain, gray_of, hardly_colorable, paint
from inference.explanation import Explanation
from inference.frozen_system import FrozenSystem
from inference.hub_folder import HubMixin
from inference.photo import Photo, from_image, turn_back
from models.restore import restore
from models.system import System
from utils import checkpoint, devices
from utils.errors import InputError

logger = logging.getLogger(__name__)
DEFAULT_CHECKPOINT = Path(__file__).resolve().parent.parent / "checkpoints" / "photos.safetensors"


@dataclass(frozen=True)
class Colored:
    photo: ColoredPhoto
    notes: list[str]  # what the network could not read in the caption, and what the file could not keep
    explanation: Explanation | None

    @property
    def image(self) -> Image.Image:
        """Of the photograph's size, 8 bits a channel; `ColoredPhoto.save` writes 16 where the photograph had them."""
        return self.photo.image


class EncodedPhoto(NamedTuple):
    """A photograph that the image encoder has read, for as many captions as one likes."""

    photo: Photo
    gray: NDArray  # (H, W) of the photograph's luminance, `inference.enlarge.gray_of`
    seen: Tensor | Batch  # of `FrozenSystem.see`
    masks: tuple[tuple[str, Tensor | None], ...] = ()  # phrases, and (S, S) bool of their objects


class Colorizer(HubMixin):
    """A network that colours photographs. On one device the same photograph and caption give the same picture: every
    caption is decoded alone, whatever is asked beside it.

    For the Hugging Face hub it also has `from_pretrained`, `save_pretrained`, `push_to_hub` (inference/hub_folder.py).
    """

    def __init__(
        self,
        system: System,
        device: str = "auto",
        amp: str = "auto",
        compile: bool = False,
        copied: bool = True,
        detector: Detector | None = None,
    ) -> None:
        """system: stays as it is, its copy is frozen and moved; not `copied`, it is given away, which saves memory;
        device: of `devices.choose`; amp: of `devices.precision`, 'auto' being what the device multiplies natively;
        compile: by torch.compile, which takes minutes at the first photograph; detector: finds the boxes of systems
        that read them, where none are given. Raises InputError for a device that is not there, or where nothing can be
        compiled."""
        self._frozen = FrozenSystem(system, device, amp, compile, copied)
        self.system, self.device, self.tokenizer = self._frozen.system, self._frozen.device, system.tokenizer
        self.detector = detector

    @classmethod
    def from_checkpoint(
        cls,
        source: str | Path = DEFAULT_CHECKPOINT,
        device: str = "auto",
        amp: str = "auto",
        compile: bool = False,
        detector_weights: str | None = None,
        numbers: Mapping[str, Any] | None = None,
    ) -> "Colorizer":
        """source: a checkpoint or weights file of ours, the authors' file, a folder or ONNX file of scripts/export.py,
        or such a folder's name on the Hugging Face hub; detector_weights: of `inference.detection`, for systems that
        read boxes; if None, torchvision's cache is looked into; numbers: of its config in the place of the
        checkpoint's, such as {"steps": 10}, none that makes another network. Raises InputError naming the file and the
        remedy."""
        path = checkpoint.locate(str(source))
        if path.endswith(".onnx"):
            if numbers:
                raise InputError(f"{path}: an ONNX file has no numbers to change; leave {min(numbers)} out")
            if device not in ("auto", "cpu") or amp not in ("auto", "none") or compile:
                raise InputError(
                    f"{path}: an ONNX file is computed on the CPU as it is; leave --device, --amp and --compile out, or"
                    " pass the checkpoint that it was made from"
                )
            return cls(onnx_file.read(path), "cpu", "none", copied=False)
        system, notes = restore(path, checkpoint.load(path), **numbers or {})
        for note in notes:
            logger.info("%s", note)
        detector = None
        if "boxes" in system.inputs and (detector_weights is not None or is_cached()):
            detector = Detector(detector_weights, devices.choose(device))
        elif detector_weights is not None:
            raise InputError(f"--detector_weights {detector_weights}: {system.name} reads no boxes; leave it out")
        return cls(system, device, amp, compile, copied=False, detector=detector)

    def content(self) -> dict[str, Any]:
        """What a weights file holds of it (utils/checkpoint.py)."""
        return self.system.content()

    def __call__(
        self,
        image: Image.Image,
        caption: str | Sequence[str] = "",
        strength: float = 1.0,
        boxes: Sequence[Sequence[float]] | None = None,
        masks: Sequence[tuple[str, Mask]] = (),
        seed: int | None = None,
    ) -> Image.Image | list[Image.Image]:
        """The picture in colour, of the same size and orientation, EXIF and profile kept; a list for several captions.

        image: any mode and size, colours in it are not looked at; boxes, masks: of `encode`; seed: of `colorize`, which
        also says what it could not keep or read. Raises InputError for a mask whose phrase no caption holds.
        """
        several = [caption] if isinstance(caption, str) else caption
        for phrase, _ in masks:
            check_phrase(phrase, several, "masks")
        encoded = self.encode(from_image(image), boxes, masks)
        images = [colored.image for colored in self.colorize(encoded, several, strength, seed=seed)]
        return images[0] if isinstance(caption, str) else images

    def encode(
        self,
        photo: Photo,
        boxes: Sequence[Sequence[float]] | None = None,
        masks: Sequence[tuple[str, Mask]] = (),
    ) -> EncodedPhoto:
        """boxes: [left, top, right, bottom, score] of its objects, as it is seen, in [0, 1]: of a system that reads
        them. None: the detector's, where there is one, else the photograph is coloured as a whole; a note says which.
        masks: phrases of the captions to come, and the masks of what they mean: of a system that reads them. Raises
        InputError for masks of another size, empty or overlapping ones.
        """
        found, notes = None, []
        if "boxes" in self.system.inputs:
            found, note = crops(photo.upright(), boxes, self.detector, self.system.img_size)
            notes.append(note)
        elif boxes is not None:
            raise InputError(f"boxes: {self.system.name} reads none; leave them out")
        rgb = torch.from_numpy(photo.square(self.system.img_size)).permute(2, 0, 1)[None]
        seen = self._frozen.see(Batch.plain(rgb, [""], None, found, names=["the photograph"]))
        gray = gray_of(photo.pixels)
        notes += [note] if (note := hardly_colorable(gray, photo.alpha)) else []
        encoded = EncodedPhoto(replace(photo, notes=(*photo.notes, *notes)), gray, seen)
        if not masks:
            return encoded
        encoded = self.with_masks(encoded, masks)
        check_apart([mask for _, mask in encoded.masks], [f"of {phrase!r}" for phrase, _ in masks], "the photograph")
        return encoded

    def with_masks(self, encoded: EncodedPhoto, masks: Sequence[tuple[str, Mask | None]]) -> EncodedPhoto:
        """The same photograph with these phrases and masks, which may overlap, in the place of others. None: this
        occurrence of the phrase has no mask. Raises InputError as `encode`."""
        if "instances" not in self.system.inputs:
            raise InputError(f"masks: {self.system.name} reads none; leave them out")
        size, side = encoded.photo.upright_size, self.system.img_size
        fitted = ((p, None if mask is None else fit_mask(mask, size, side, f"the mask of {p!r}")) for p, mask in masks)
        return encoded._replace(masks=tuple(fitted))

    def colorize(
        self,
        encoded: EncodedPhoto,
        captions: Sequence[str],
        strength: float = 1.0,
        explain_words: bool = False,
        seed: int | None = None,
    ) -> list[Colored]:
        """strength: factor of the chroma, 0 gray, 1 as the network says; explain_words: with explanations; seed: of a
        system that draws its colours, 0 or more: the same gives the same picture; None: the system's own.

        An empty caption leaves the colours to the photograph alone. Raises InputError for a strength below 0, or a seed
        that means nothing.
        """
        if not 0 <= strength < float("inf"):
            raise InputError(f"strength {strength}: pass a factor of the chroma from 0, 1 being the network's own")
        if seed is not None:
            if "seed" not in self.system.inputs:
                raise InputError(f"seed {seed}: {self.system.name} draws no colours, it has one picture; leave it out")
            if seed < 0:
                raise InputError(f"seed {seed}: pass 0 or more")
        checked = [check_caption(caption, "the caption") for caption in captions]
        return [self._color(encoded, caption, strength, explain_words, seed) for caption in checked]

    def _color(
        self, encoded: EncodedPhoto, caption: str, strength: float, explain_words: bool, seed: int | None
    ) -> Colored:
        seen, notes = encoded.seen, notes_on(caption, self.system)
        if isinstance(seen, Batch):
            instances = Instances.of([placed(caption, encoded.masks)], *seen.rgb.shape[2:]).to(self.device)
            seen = replace(seen, instances=instances if len(instances) else None, seed=seed)
            notes += [
                f"the caption {shorten(caption)!r} does not hold {phrase!r}: its mask is not used"
                for phrase, _ in encoded.masks
                if places([phrase], caption) == [None]
            ]
        ab, soft = self._frozen.color(seen, caption)
        photo = encoded.photo
        stored = turn_back(ab * np.float32(strength), photo.orientation)
        rgb = paint(encoded.gray, explain(encoded.gray, stored), photo.pixels.dtype)
        explanation = None
        if explain_words:
            groups = soft.argmax(axis=0) if len(soft) else np.empty((0, 0), np.int64)
            explanation = Explanation(ab, groups, soft, self._frozen.word_effects(seen, caption, ab))
        return Colored(photo.colored(rgb), [*photo.notes, *notes], explanation)
