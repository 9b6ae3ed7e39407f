"""Generated scenes: every instance with its mask, noun and colour."""

from datasets.scenes.dataset import (
    BACKGROUNDS,
    COLORS,
    HELD_OUT,
    PALETTE,
    PLACES,
    SHAPES,
    SPLITS,
    TEST_SPLITS,
    SceneBatch,
    Scenes,
)

__all__ = ["BACKGROUNDS", "COLORS", "HELD_OUT", "PALETTE", "PLACES", "SHAPES", "SPLITS", "TEST_SPLITS"]
__all__ += ["SceneBatch", "Scenes"]
