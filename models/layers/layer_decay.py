"""Layer decay over an image and a text encoder: depths of parameters, as timm asks for them (`group_matcher`)."""

import re
from collections.abc import Callable, Sequence

_IMAGE_TOWER = re.compile(r"encoder\.(?:pos_embed|patch_embed|blocks\.(?P<layer>\d+))")
_BERT = re.compile(r"text_encoder\.bert_model\.(?:embeddings|encoder\.layer\.(?P<layer>\d+))\.")


def depth_matcher(towers: Sequence[tuple[re.Pattern, int]]) -> Callable[[str], tuple[int]]:
    """Name of a parameter -> its depth, (layer,), for timm. towers: a pattern with the group `layer`, and its layers.

    The towers are aligned at their tops; their embeddings lie below, and what belongs to none lies above.
    """
    top = max(depth for _, depth in towers)

    def layer(name: str) -> tuple[int]:
        for pattern, depth in towers:
            if match := pattern.match(name):
                embedding = match["layer"] is None
                return (top - depth if embedding else top - depth + 1 + int(match["layer"]),)
        return (top + 1,)

    return layer


def released_depths(image_depth: int, text_depth: int) -> Callable[[str], tuple[int]]:
    """`depth_matcher` of the released networks, which name their encoders alike; arguments: layers of either."""
    return depth_matcher(((_IMAGE_TOWER, image_depth), (_BERT, text_depth)))
