"""The flags of --data_set scenes, and what scenes there can be."""

from dataclasses import dataclass

from datasets.scenes.layout import N
from datasets.scenes.rules import COLORS, SPARE, SPLITS, Rules
from datasets.scenes.shapes import SHAPES
from utils.errors import InputError
from utils.options import setting

SMALLEST_SIZE = 16  # pixels: less, and an instance has no inside
FEWEST_SHAPES = 5  # nouns: enough for five different ones, with held-out pairs for every colour


@dataclass(frozen=True)
class SceneOptions:
    scenes: int = setting(20000, "scenes in an epoch of training, all new", low=1)
    eval_scenes: int = setting(500, "scenes in each split of an evaluation", resume="free", low=1)
    scene_instances: tuple[int, int] = setting((2, 5), "fewest and most objects of a scene")
    scene_colors: int = setting(10, "so many colours, from the palette's first")
    scene_shapes: int = setting(15, "so many kinds of objects, from the first")
    scene_favorites: float = setting(
        0.0, "probability that an object has the favourite colour of its kind: for systems without words", low=0, high=1
    )
    scene_curriculum: int = setting(0, "epochs that begin with the fewest objects, colours and kinds", low=0)


def check(split: str, size: int, length: int, seed: int, rules: Rules) -> None:
    """Raises InputError naming the value and the remedy."""
    if split not in SPLITS:
        raise InputError(f"split {split!r}: unknown; pass one of {', '.join(SPLITS)}")
    if size < SMALLEST_SIZE:
        raise InputError(f"size {size}: scenes need {SMALLEST_SIZE} pixels or more")
    if length < 1 or seed < 0:
        raise InputError(f"length {length}, seed {seed}: pass at least 1 scene and a seed from 0")
    if not 2 <= rules.min_instances <= rules.max_instances <= N:
        raise InputError(f"{rules.min_instances} to {rules.max_instances} instances: pass 2 <= min <= max <= {N}")
    if not rules.max_instances + SPARE <= rules.num_colors <= len(COLORS):
        raise InputError(
            f"{rules.num_colors} colours for {rules.max_instances} instances: pass"
            f" {rules.max_instances + SPARE} to {len(COLORS)}, for the background and counter captions take some too"
        )
    if not FEWEST_SHAPES <= rules.num_shapes <= len(SHAPES):
        raise InputError(f"{rules.num_shapes} shapes: pass {FEWEST_SHAPES} to {len(SHAPES)}")
