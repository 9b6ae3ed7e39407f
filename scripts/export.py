"""A checkpoint's network for use elsewhere, with all that it needs, tokenizer included.

    python scripts/export.py output/scenes/checkpoint-last.pth scenes.safetensors   # a weights file
    python scripts/export.py output/scenes/checkpoint-last.pth scenes/              # a folder, for the Hugging Face hub
    python scripts/export.py output/scenes/checkpoint-last.pth scenes.onnx          # a graph, for onnxruntime

scripts/colorize.py reads all three, and `--finetune` the first; none holds an optimizer, so `--resume` does not.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from inference import Colorizer, hub_folder, onnx_file
from models import System
from utils import checkpoint
from utils.errors import InputError, exit_status
from utils.files import temporary_folder


@exit_status
def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="a checkpoint or weights file of this program or the authors', or a folder")
    parser.add_argument("output", help="what to write: NAME.safetensors, NAME.onnx, or a folder (ending in /)")
    parser.add_argument(
        "--dtype",
        choices=("float16", "float32", "int8"),
        help="precision of the tensors (default: float16). An ONNX file is computed in it: float32 is its default, and"
        " int8, which only it can have, is smaller and faster on a CPU, and changes the colours a little",
    )
    parser.add_argument(
        "--chroma_scale", type=float, help="factor of the chroma in use, to be held (default: the checkpoint's)"
    )
    options = parser.parse_args(arguments)
    output, kind = Path(options.output), kind_of(options.output)
    if kind == ".onnx" and options.dtype == "float16":
        raise InputError(f"--dtype float16: {output} is computed in the precision of its tensors; leave it out")
    if kind != ".onnx" and options.dtype == "int8":
        raise InputError(f"--dtype int8: is for ONNX files, and {output} is none; leave it out")
    colorizer = Colorizer.from_checkpoint(options.checkpoint, "cpu", "none")
    if options.chroma_scale is not None:
        scale_chroma(colorizer.system, options.chroma_scale)
    if kind == ".onnx":
        onnx_file.write(output, colorizer.system, int8=options.dtype == "int8")
    elif kind == "folder":
        hub_folder.write(output, colorizer.content(), getattr(torch, options.dtype or "float16"))
    else:
        with temporary_folder(output):  # for the folders above it, and what the disk may say to them
            checkpoint.save_weights(output, colorizer.content(), getattr(torch, options.dtype or "float16"))
    weights = output / checkpoint.WEIGHTS if kind == "folder" else output
    print(f"{weights}: {weights.stat().st_size / 1e6:.1f} MB")


def scale_chroma(system: System, factor: float) -> None:
    if not hasattr(system.config, "chroma_scale"):
        raise InputError(f"--chroma_scale {factor}: {system.name} has none; leave it out")
    system.config = dataclasses.replace(system.config, chroma_scale=factor)


def kind_of(output: str) -> str:
    """'.safetensors', '.onnx' or 'folder'."""
    suffix = Path(output).suffix
    if output.endswith("/") or not suffix or Path(output).is_dir():
        return "folder"
    if suffix not in (".safetensors", ".onnx"):
        raise InputError(f"{output}: pass a name that ends in .safetensors or .onnx, or a folder's, ending in /")
    return suffix


if __name__ == "__main__":
    sys.exit(main())
