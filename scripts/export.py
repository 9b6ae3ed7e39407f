"""A checkpoint's network as a weights file: fp16 safetensors with all that rebuilds it, tokenizer included.

    python scripts/export.py output/scenes/checkpoint-last.pth checkpoints/scenes.safetensors

`--finetune` reads it like a checkpoint; it holds no optimizer, so `--resume` does not.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from utils import checkpoint
from utils.errors import InputError


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="a checkpoint-last.pth or checkpoint-best.pth")
    parser.add_argument("output", type=Path, help="file to write, ending in .safetensors")
    options = parser.parse_args(arguments)
    try:
        if options.output.suffix != ".safetensors":
            raise InputError(f"{options.output}: pass a name that ends in .safetensors")
        options.output.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save_weights(options.output, checkpoint.read(options.checkpoint))
    except InputError as error:
        print(f"export.py: {error}", file=sys.stderr)
        return 2
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
