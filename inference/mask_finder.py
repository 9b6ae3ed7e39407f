"""The masks of the things that captions give colours to, by two networks: phrase to box, box to mask.

As L-CAD has its contours from SAM (Sec. 3.4 of its paper: of the objects that the description mentions).
Open in the paper: what finds the object of a phrase; here Grounding DINO, which is asked for the thing without its
colours. Of several things of one noun ("a red car beside a blue car") a gray picture cannot tell which is which: the
first phrase has the leftmost of them, and so on.

H, W sides of a picture.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from inference.grounding import PhraseDetector, Scored
from inference.phrases import Phrase, phrases_of
from inference.segmentation import Segmenter
from utils import files

LEAST_SIDE = 64  # pixels of the smallest square that a network sees: what vanishes there is left out
_SAME = 0.5  # intersection over union from which two masks are one object's
_DISPUTED = 0.25  # of the smaller of two masks: from there on the larger gives up what they share
Key = tuple[str, int]  # a phrase as its caption writes it, and its number among those alike


class Found(NamedTuple):
    phrase: str
    score: float
    mask: NDArray  # (H, W) bool


class MaskFinder:
    def __init__(self, detector: PhraseDetector, segmenter: Segmenter) -> None:
        self.detector, self.segmenter = detector, segmenter

    def __call__(self, pictures: Sequence[Image.Image], captions: Sequence[Sequence[str]]) -> list[list[Found]]:
        """pictures: RGB, of which the luminance is read; captions: of each picture. Returns of each what was found,
        longest phrases first; in no caption two of them overlap by much."""
        phrases = [_by_caption(own) for own in captions]
        nouns = [[phrase.noun for own in one for phrase, _ in own] for one in phrases]
        detected = self.detector(pictures, nouns)
        wanted = [i for i, objects in enumerate(detected) if any(objects.values())]
        found: list[list[Found]] = [[] for _ in pictures]
        if not wanted:
            return found
        embedded = self.segmenter.embed([pictures[i] for i in wanted])
        for place, i in enumerate(wanted):
            boxes = _placed(phrases[i], detected[i])
            masks = self.segmenter.in_boxes(embedded, place, [scored.box for scored in boxes.values()])
            held = {key: Found(key[0], boxes[key].score, mask) for key, mask in zip(boxes, masks, strict=True)}
            _settle(held, [[key for _, key in own] for own in phrases[i]])
            kept = (one for one in held.values() if _is_seen(one.mask))
            found[i] = sorted(kept, key=lambda one: -len(one.phrase))
        return found


def _by_caption(captions: Sequence[str]) -> list[list[tuple[Phrase, Key]]]:
    """The phrases of each caption; the caption of most phrases first."""
    found = []
    for caption in captions:
        counts: dict[str, int] = defaultdict(int)
        own = []
        for phrase in phrases_of(caption):
            text = caption[phrase.start : phrase.end]
            own.append((phrase, (text, counts[text])))
            counts[text] += 1
        found.append(own)
    return sorted(found, key=len, reverse=True)


def _placed(captions: Sequence[Sequence[tuple[Phrase, Key]]], objects: dict[str, list[Scored]]) -> dict[Key, Scored]:
    """The object of each phrase that has one: of a caption's things of one noun, the best from left to right."""
    placed: dict[Key, Scored] = {}
    for own in captions:
        by_noun: dict[str, list[Key]] = defaultdict(list)
        for phrase, key in own:
            by_noun[phrase.noun].append(key)
        for noun, keys in by_noun.items():
            best = sorted(objects[noun][: len(keys)], key=lambda scored: scored.box.left + scored.box.right)
            for key, scored in zip(keys, best, strict=False):
                placed.setdefault(key, scored)
    return placed


def _settle(held: dict[Key, Found], captions: Sequence[Sequence[Key]]) -> None:
    """Takes out of `held` the less certain of two phrases of a caption with the same object, and from the larger of two
    masks what the smaller one needs: "a woman in a red dress with a blue bag"."""
    for own in captions:
        for one, other in combinations([key for key in own if key in held], 2):
            if one not in held or other not in held:
                continue
            small, large = sorted((one, other), key=lambda key: held[key].mask.sum())
            shared = held[small].mask & held[large].mask
            common = int(shared.sum())
            if common > _SAME * (held[small].mask | held[large].mask).sum():
                del held[min((one, other), key=lambda key: held[key].score)]
            elif common > _DISPUTED * held[small].mask.sum():
                held[large] = held[large]._replace(mask=held[large].mask & ~shared)


def _is_seen(mask: NDArray) -> bool:
    small = Image.fromarray(mask).resize((LEAST_SIDE, LEAST_SIDE), Image.Resampling.NEAREST)
    return bool(np.asarray(small).any())


def folders_of(names: Sequence[str]) -> dict[str, str]:
    """For each image the folder of its masks: its name without the ending, and with it where two share one."""
    stems = {name: str(PurePosixPath(name).with_suffix("")) for name in names}
    counts: dict[str, int] = defaultdict(int)
    for stem in stems.values():
        counts[stem] += 1
    return {name: stem if counts[stem] == 1 else name for name, stem in stems.items()}


def save_masks(found: Sequence[Found], root: Path, folder: str) -> list[list[str]]:
    """Rows of a file of masks (`datasets.masks`), and the files: root/folder/0.png, ... Raises InputError."""
    rows = []
    for number, one in enumerate(found):
        file = f"{folder}/{number}.png"
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        files.replace(root / file, lambda part, mask=one.mask: Image.fromarray(mask).save(part, "PNG"))
        rows.append([one.phrase, file])
    return rows
