"""Generated scenes: every instance with its mask, noun and colour."""

from datasets.scenes.batch import SceneBatch, instances_of
from datasets.scenes.dataset import TEST_SPLITS, Scenes
from datasets.scenes.layout import PLACES
from datasets.scenes.options import SceneOptions
from datasets.scenes.palette import PALETTE
from datasets.scenes.rules import COLORS, FAVORITE, HELD_OUT, SPLITS, Rules
from datasets.scenes.shapes import BACKGROUNDS, SHAPES

__all__ = ["BACKGROUNDS", "COLORS", "FAVORITE", "HELD_OUT", "PALETTE", "PLACES", "SHAPES", "SPLITS", "TEST_SPLITS"]
__all__ += ["Rules", "SceneBatch", "SceneOptions", "Scenes", "instances_of"]
