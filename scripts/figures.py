"""The paper's pictures, drawn from our own networks and photographs.

    python scripts/figures.py augmentation photo.jpg other.jpg --output fig3.png
    python scripts/figures.py ablations --networks full=A.pth "w/o GE=B.pth" --scenes 4 --output fig5.png
    python scripts/figures.py ablations photos/ --captions captions.json --networks full=A.pth --output fig5.png
    python scripts/figures.py legacy --captions captions.json photos/ --output fig6.png

augmentation (Fig. 3): what luminance augmentation makes of a photograph: the hue rotation that spreads its luminance
    most, the one that turns it round most, a gamma that brightens and one that darkens.
ablations (Fig. 5): the same scenes or photographs by several networks, each with its caption.
legacy (Fig. 6): photographs, each under all of its captions.

Nothing is picked by hand: every rule is in this file, and scenes are the first of the split `instances`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from augment import gamma_correct, rotate_hue
from datasets.pictures.drawing import captioned_grid
from datasets.scenes import Scenes
from inference import DEFAULT_CHECKPOINT, Colorizer
from inference.colored_photo import ColoredPhoto
from inference.coloring_plan import Photographs, find_photos, match, read_captions
from inference.explanation import upright
from inference.photo import Photo, from_image, read_photo
from utils import color
from utils.devices import DEVICE_HELP
from utils.errors import InputError, exit_status
from utils.log import progress

SIDE = 256  # pixels of a panel's longer side
LINE = 26  # letters below a panel, a few fewer than fit
TURNS = torch.arange(-180.0, 180.0, 5.0)  # degrees that Fig. 3 tries
GAMMAS = {"brighter": 0.4, "darker": 2.5}  # within LuminanceAugmentation's own range

Panel = tuple[NDArray, str]  # (H, W, 3) uint8 and the words below it


@exit_status
def main(words: list[str] | None = None) -> None:
    options = parse(words)
    ColoredPhoto(_sheet(options.draw(options))).save(options.output)
    print(options.output)


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    figures = parser.add_subparsers(dest="figure", required=True)
    for draw in (augmentation, ablations, legacy):
        figure = figures.add_parser(draw.__name__)
        figure.set_defaults(draw=draw)
        add = figure.add_argument
        add("photos", nargs="*" if draw is ablations else "+", help="files, folders or patterns")
        add("--output", type=Path, required=True, help="picture to write")
        if draw is not augmentation:
            add("--captions", type=Path, required=draw is legacy, help="JSON or CSV, as scripts/colorize.py takes it")
            add("--device", default="auto", help=DEVICE_HELP)
        if draw is ablations:
            add("--networks", nargs="+", required=True, metavar="NAME=CHECKPOINT", help="a column each")
            add("--scenes", type=int, default=4, help="generated scenes, where no photographs are given (default: 4)")
        if draw is legacy:
            add("--checkpoint", default=str(DEFAULT_CHECKPOINT), help="file, folder or hub name")
    return parser.parse_args(words)


def augmentation(options: argparse.Namespace) -> list[list[Panel]]:
    """Fig. 3, a row for each photograph."""
    rows = []
    for path, _ in progress(_found(options).named, "augmentation", "photo"):
        picture = upright(_image(read_photo(path)), SIDE)
        rgb = _tensor(picture)
        gray = color.luminance(rgb)
        turned = color.luminance(rotate_hue(rgb.expand(len(TURNS), -1, -1, -1), TURNS))  # (turns, 1, H, W)
        spread = turned.flatten(1).std(dim=1)
        likeness = torch.corrcoef(torch.cat([gray, turned]).flatten(1))[0, 1:].nan_to_num(1.0)
        panels = [(picture, "photograph"), (_picture(gray), "its luminance")]
        for title, place in (("spread", int(spread.argmax())), ("turned round", int(likeness.argmin()))):
            panels.append((_picture(turned[place : place + 1]), f"{title}: hue {TURNS[place]:+.0f} degrees"))
        for title, gamma in GAMMAS.items():
            bent = gamma_correct(gray / color.L_MAX, torch.tensor([gamma])) * color.L_MAX
            panels.append((_picture(bent), f"{title}: gamma {gamma}"))
        rows.append(panels)
    return rows


def ablations(options: argparse.Namespace) -> list[list[Panel]]:
    """Fig. 5: gray, the networks' columns, and the truth where it is known."""
    pairs = [network.partition("=")[::2] for network in options.networks]
    if not all(name and file for name, file in pairs):
        raise InputError(f"--networks {' '.join(options.networks)}: pass each as NAME=CHECKPOINT")
    networks = [(name, Colorizer.from_checkpoint(file, options.device)) for name, file in pairs]
    if not options.photos:
        batch = Scenes("instances", networks[0][1].system.img_size, options.scenes).render(range(options.scenes))
        photos = (from_image(Image.fromarray(rgb.permute(1, 2, 0).numpy())) for rgb in batch.rgb)
        captioned = list(zip(photos, batch.captions, strict=True))
    elif options.captions is None:
        raise InputError("ablations of photographs need --captions FILE")
    else:
        captioned = [(read_photo(path), caption) for path, captions in _captioned(options) for caption in captions]
    rows = []
    for photo, caption in progress(captioned, "ablations", "caption"):
        panels = [(_gray(photo), caption)]
        for name, colorizer in networks:
            (colored,) = colorizer.colorize(colorizer.encode(photo), [caption])
            panels.append((_panel(colored.image), name))
        rows.append(panels + [(_panel(_image(photo)), "truth")] * (photo.pixels.ndim == 3))
    return rows


def legacy(options: argparse.Namespace) -> list[list[Panel]]:
    """Fig. 6: each photograph, gray and under its captions."""
    colorizer = Colorizer.from_checkpoint(options.checkpoint, options.device)
    rows = []
    for path, captions in progress(_captioned(options), "photographs", "photo"):
        encoded = colorizer.encode(read_photo(path))
        results = (_panel(colored.image) for colored in colorizer.colorize(encoded, captions))
        rows.append([(_gray(encoded.photo), ""), *zip(results, captions, strict=True)])
    return rows


def _found(options: argparse.Namespace) -> Photographs:
    photos = find_photos(options.photos, options.output)
    for note in (*photos.failures, *photos.notes):
        print(f"figures.py: {note}", file=sys.stderr)
    return photos


def _captioned(options: argparse.Namespace) -> list[tuple[Path, list[str]]]:
    found = _found(options)
    captions = match("--captions", options.captions, read_captions(options.captions), found)
    return [(path, own) for (path, _), own in zip(found.named, captions, strict=True)]


def _panel(image: Image.Image) -> NDArray:
    """Upright, the longer side SIDE; small pictures enlarged by whole pixels."""
    times = max(1, SIDE // max(image.size))
    return upright(image, SIDE).repeat(times, axis=0).repeat(times, axis=1)


def _image(photo: Photo) -> Image.Image:
    pixels = photo.pixels if photo.pixels.ndim == 3 else photo.pixels[..., None].repeat(3, axis=2)
    return photo.colored(pixels).image


def _gray(photo: Photo) -> NDArray:
    """What the network is given, at a panel's size."""
    return _picture(color.luminance(_tensor(_panel(_image(photo)))))


def _tensor(picture: NDArray) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, H, W) in [0, 1]."""
    return torch.from_numpy(picture / np.float32(255)).permute(2, 0, 1)[None]


def _picture(lightness: Tensor) -> NDArray:
    """L (1, 1, H, W) in [0, 100] -> gray (H, W, 3) uint8."""
    lab = torch.cat([lightness, torch.zeros_like(lightness).expand(-1, 2, -1, -1)], dim=1)
    return color.to_uint8(color.lab_to_rgb(lab), rounded=True)[0].permute(1, 2, 0).numpy()


def _sheet(rows: list[list[Panel]]) -> NDArray:
    """The rows one below another, each on white of the widest one's width."""
    drawn = [captioned_grid([row], 1, lines=1 + max(len(words) for _, words in row) // LINE) for row in rows]
    width = max(picture.shape[1] for picture in drawn)
    return np.concatenate([np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0)), constant_values=255) for p in drawn])


if __name__ == "__main__":
    sys.exit(main())
