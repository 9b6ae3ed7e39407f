"""Write generated scenes as files: the on-disk layout of docs/DATA.md, with masks and the colours of every instance.

    python scripts/export_scenes.py data/scenes --split clear --count 200 --size 112 --seed 0

    OUTPUT/test/clear_000000.png ...        the pictures; --as names the folder
    OUTPUT/cap-img-pairs_test.json          [[image name, caption], ...]
    OUTPUT/masks_test/clear_000000.png ...  palette PNG: 0 the background, k the pixels of instance k
    OUTPUT/scenes_test.json                 of every scene: captions, nouns, colours, counter colours; the palette

The scenes are those of `datasets.scenes.Scenes`, byte for byte.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.scenes import BACKGROUNDS, COLORS, PALETTE, SHAPES, SPLITS, SceneBatch, Scenes
from utils.errors import InputError
from utils.progress import progress

CHUNK = 64  # scenes rendered at once
NOUNS = tuple(SHAPES)
LABEL_RGB = (0, 0, 0, 230, 60, 60, 60, 180, 75, 60, 100, 230, 240, 200, 40, 200, 70, 220)  # how viewers show the masks


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, metavar="OUTPUT", help="data folder to write")
    parser.add_argument("--split", choices=SPLITS, default="clear", help="which scenes (default: clear)")
    parser.add_argument("--as", dest="part", choices=("train", "val", "test"), default="test", help="default: test")
    parser.add_argument("--count", type=int, default=200, help="number of scenes (default: 200)")
    parser.add_argument("--size", type=int, default=112, help="side in pixels (default: 112)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other scenes (default: 0)")
    parser.add_argument("--overwrite", action="store_true", help="write over what an earlier export left there")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    try:
        scenes = Scenes(options.split, options.size, options.count, options.seed)
        export(scenes, options.output, options.part, options.overwrite)
    except InputError as error:
        print(f"export_scenes.py: {error}", file=sys.stderr)
        return 2
    print(f"{options.output / options.part}: {len(scenes)} {options.split} scenes, {options.size} px")
    return 0


def export(scenes: Scenes, output: Path, part: str, overwrite: bool) -> None:
    """Every scene of `scenes`. The lists are written last. InputError where anything of this part is there already."""
    images, masks = output / part, output / f"masks_{part}"
    lists = {"pairs": output / f"cap-img-pairs_{part}.json", "scenes": output / f"scenes_{part}.json"}
    there = [path for path in (images, masks, *lists.values()) if path.exists()]
    if there and not overwrite:
        raise InputError(f"{there[0]}: is there already; pass another folder, another --as, or --overwrite")
    for folder in (images, masks):
        folder.mkdir(parents=True, exist_ok=True)
    described = []
    for start in progress(range(0, len(scenes), CHUNK), part, f"batches of {CHUNK}"):
        batch = scenes.render(range(start, min(start + CHUNK, len(scenes))))
        for i, name in enumerate(batch.names):
            Image.fromarray(batch.rgb[i].permute(1, 2, 0).numpy()).save(images / name)
            labels = Image.fromarray(batch.labels[i].numpy()).convert("P")
            labels.putpalette(LABEL_RGB)
            labels.save(masks / name)
            described.append(describe(batch, i))
    pairs = [[scene["name"], scene["caption"]] for scene in described]
    write(lists["pairs"], pairs)
    write(lists["scenes"], {"palette": PALETTE, "scenes": described})


def describe(batch: SceneBatch, i: int) -> dict[str, Any]:
    """Scene i in words; `label` is the instance's number in the mask's picture."""
    return {
        "name": batch.names[i],
        "caption": batch.captions[i],
        "counter_caption": batch.counter_captions[i],
        "background": {
            "noun": BACKGROUNDS[batch.background[i]],
            "color": COLORS[batch.background_color[i]],
            "named": bool(batch.background_named[i]),
        },
        "instances": [
            {
                "label": k + 1,
                "noun": NOUNS[batch.shapes[i, k]],
                "color": COLORS[color],
                "counter_color": COLORS[batch.counter_colors[i, k]],
                "named": bool(batch.named[i, k]),
            }
            for k, color in enumerate(batch.colors[i].tolist())
            if color >= 0
        ],
    }


def write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
