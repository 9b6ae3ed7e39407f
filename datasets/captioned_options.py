"""What the command line may ask of image-caption pairs on disk."""

from dataclasses import dataclass

from utils.errors import InputError
from utils.options import setting


@dataclass(frozen=True)
class CaptionedOptions:
    """Flags of --data_set captioned_images, all of training."""

    crop_scale: tuple[float, float] = setting((0.5, 1.0), "share of the area a random crop keeps, from to")
    flip: float = setting(0.5, "probability of a horizontal flip where the caption can be mirrored", low=0, high=1)
    uncaptioned: str | None = setting(None, "folder of photographs that join the training with empty captions")
    caption_dropout: float = setting(0.0, "probability that training shows an empty caption instead", low=0, high=1)
    recolor: float = setting(
        0.0,
        "probability that training shows a named colour as two others, in picture and captions alike",
        low=0,
        high=1,
    )
    correspondence: str | None = setting(
        None,
        "object-colour pairs of the training captions (scripts/correspondence.py writes such a JSON), which every batch"
        " then holds; for systems that learn from them, by default correspondence_train.json of the data folder",
    )
    shuffle_window: int = setting(0, "pairs that are shuffled at a time, for a far disk; 0: all", low=0)
    epoch_pairs: int = setting(0, "pairs of an epoch of training, which then goes on in the order; 0: all", low=0)
    max_boxes: int = setting(8, "boxes of a picture that a system reads: the best", low=1)
    box_score: float = setting(0.0, "least score of a box in boxes_{split}.json", low=0)
    skip_unreadable: int = setting(0, "leave out at most so many broken training images, by name", low=0)

    def __post_init__(self) -> None:
        low, high = self.crop_scale
        if not 0 < low <= high <= 1:
            raise InputError(f"--crop_scale {low} {high}: shares of the area, pass 0 < from <= to <= 1")
