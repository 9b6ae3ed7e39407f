"""The default data that needs no download: scikit-image's colour photographs with captions of ours.

    python scripts/prepare_samples.py output/demo/data

Each photograph also comes recoloured (its hue turned, its luminance kept), with a caption that says so: the same gray
picture then has several right answers, and only the words tell which. train, val and test hold the same
pictures: this shows that the program works, not that a network generalises.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from skimage import data
from torch import Tensor
from torchvision.transforms.v2.functional import gaussian_blur

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from augment import rotate_hue
from utils.color import colorize, split, to_uint8

SIDE = 256  # pixels; the network's input is smaller
ROUNDS = 20  # times that the training list names every pair, so that an epoch is worth an evaluation


class Photograph(NamedTuple):
    captions: tuple[str, ...]  # {0}: the colour word that the turned hue changes, with its article
    colors: dict[str, float]  # that word -> degrees of hue
    saturation: float = 0.0  # HSV saturation from which on a pixel is recoloured: the suit, not the face


PHOTOGRAPHS = {
    "astronaut": Photograph(
        ("an astronaut in {0} space suit smiles beside a flag", "a smiling woman wearing {0} suit"),
        {"orange": 0.0, "green": 100.0, "blue": 200.0, "purple": 260.0},
        saturation=0.6,
    ),
    "chelsea": Photograph(
        ("a close-up of {0} cat looking at the camera", "the face of {0} striped cat"),
        {"orange": 0.0, "green": 100.0, "blue": 190.0, "pink": 300.0},
    ),
    "coffee": Photograph(
        ("a cup of coffee and a spoon on {0} table", "an espresso in {0} cup"),
        {"brown": 0.0, "green": 90.0, "blue": 190.0, "purple": 250.0},
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="data folder to write")
    output = parser.parse_args().output
    for part in ("train", "val", "test"):
        (output / part).mkdir(parents=True, exist_ok=True)
        pairs = [pair for name, photograph in PHOTOGRAPHS.items() for pair in write(output / part, name, photograph)]
        pairs = pairs * ROUNDS if part == "train" else pairs[::2]  # evaluated with the first of its two captions
        (output / f"cap-img-pairs_{part}.json").write_text(json.dumps(pairs, indent=1) + "\n")
        print(f"{output / part}: {len(pairs)} pairs")


def write(folder: Path, name: str, photograph: Photograph) -> list[tuple[str, str]]:
    """The photograph in every colour, as PNG; returns its (image name, caption) pairs."""
    image = Image.fromarray(getattr(data, name)()).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    rgb = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).view(1, SIDE, SIDE, 3).permute(0, 3, 1, 2)
    pairs = []
    for color, degrees in photograph.colors.items():
        recolored = recolor(rgb / 255, degrees, photograph.saturation)
        Image.fromarray(to_uint8(recolored, rounded=True)[0].permute(1, 2, 0).numpy()).save(
            folder / f"{name}_{color}.png"
        )
        words = f"an {color}" if color[0] in "aeiou" else f"a {color}"
        pairs += [(f"{name}_{color}.png", caption.format(words)) for caption in photograph.captions]
    return pairs


def recolor(rgb: Tensor, degrees: float, saturation: float) -> Tensor:
    """Turn the hue of the pixels that are at least so saturated, with a soft edge; L stays. rgb: (1, 3, H, W)."""
    high, low = rgb.amax(dim=1, keepdim=True), rgb.amin(dim=1, keepdim=True)
    share = (1 - low / high.clamp(min=1e-6) >= saturation).float()
    turned = rgb.lerp(rotate_hue(rgb, torch.tensor([degrees])), gaussian_blur(share, kernel_size=5))
    return colorize(split(rgb)[0], split(turned)[1])


if __name__ == "__main__":
    main()
