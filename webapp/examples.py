"""The pictures that come with the page; webapp/examples/README.md says where they are from."""

from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).with_name("examples")


class Example(NamedTuple):
    file: str  # in FOLDER
    caption: str

    @property
    def path(self) -> Path:
        return FOLDER / self.file


EXAMPLES = (
    Example("coffee.jpg", "a white cup of coffee on a brown table"),
    Example("astronaut.jpg", "a smiling woman in an orange space suit beside a red flag"),
    Example("camera.jpg", "a man in a brown coat on green grass under a blue sky"),
    Example(
        "scene_leaf_and_hat.png", "in front of a green wall there is a striped turquoise leaf and a striped brown hat"
    ),
    Example(
        "scene_five_things.png",
        "a checkered orange hat, a blue box, a plain purple ball, a striped green cone and a turquoise cup,"
        " on a brown floor",
    ),
)
