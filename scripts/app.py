"""A web page that colours photographs as sentences say.

    python scripts/app.py                                # http://127.0.0.1:7860
    python scripts/app.py --checkpoint FILE --port 8000 --device cuda --amp bf16

A visitor uploads a photograph, writes a sentence, compares gray and colour, clicks a region to see which words colour
it, changes one colour from a palette, and downloads the picture at full size. Where the system reads boxes or masks, a
visitor clicks objects instead. `/health` answers {"status": "ok", ...}.

Photographs are kept in a temporary folder, each visitor's under a random name, for an hour after the visitor last did
something; the folder goes with the server. SIGTERM or Ctrl-C ends it with status 0. Nothing is fetched from the
internet, and nothing sent there, but by --share and a --checkpoint or --sam on the hub. There are no passwords: on a
--host that others reach, they see the page, and not each other's photographs. What an address and all of them can take
of memory, disk and time is bounded (docs/BENCHMARKS.md); behind a proxy an address is what X-Forwarded-For says.
"""

import argparse
import os
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from inference import DEFAULT_CHECKPOINT, Colorizer
from inference.hub_models import cached_folder
from inference.segmentation import SAM, Segmenter
from utils.devices import AMP, AMP_HELP, DEVICE_HELP
from utils.errors import InputError, exit_status
from webapp.limits import Limits

USUAL = Limits()


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--checkpoint", default=str(DEFAULT_CHECKPOINT), help="file, folder or hub name (default: the one that ships)")
    add("--detector_weights", help="torchvision's Mask R-CNN, for systems that colour objects one by one")
    add("--sam", help="folder or hub name of SAM: finds the object of a click, for systems that read masks")
    add("--device", default="auto", help=f"{DEVICE_HELP} (default: auto)")
    add("--amp", choices=AMP, default="auto", help=f"{AMP_HELP} (default: auto)")
    add("--host", default="127.0.0.1", help="address to listen at; 0.0.0.0: all (default: 127.0.0.1)")
    add("--port", type=int, default=7860, help="0: any that is free (default: 7860)")
    add("--root_path", default="", help="where a proxy shows the page: /color, https://example.org/color (default: /)")
    add("--share", action="store_true", help="a public link by Gradio's service (default: none)")
    add("--max_megapixels", type=float, default=USUAL.megapixels, help="of a photograph (default: 24)")
    add("--max_megabytes", type=float, default=USUAL.megabytes, help="of its file (default: 40)")
    add("--max_visitors", type=int, default=USUAL.visitors, help="whose photographs are kept (100)")
    add("--queue", type=int, default=USUAL.waiting, help="requests that may wait (default: 40)")
    add("--concurrency", type=int, default=USUAL.at_once, help="worked on at a time (default: 2)")
    return parser.parse_args(arguments)


@exit_status
def main(arguments: list[str] | None = None) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    options = parse_arguments(arguments)
    limits = Limits(
        options.max_megapixels, options.max_megabytes, options.max_visitors, options.queue, options.concurrency
    )
    colorizer = Colorizer.from_checkpoint(
        options.checkpoint, options.device, options.amp, False, options.detector_weights
    )
    segmenter = segmenter_for(colorizer, options.sam)
    with tempfile.TemporaryDirectory(prefix="lcoins-page-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = os.path.join(os.path.realpath(folder), "uploads")
        from webapp.server import serve  # not sooner: where Gradio writes is settled when it is imported

        name = about(options.checkpoint, colorizer)
        address = options.host, options.port, options.share, options.root_path
        serve(colorizer, name, limits, *address, segmenter)


def segmenter_for(colorizer: Colorizer, source: str | None) -> Segmenter | None:
    """None where the system reads no masks, or nothing is given nor cached. Raises InputError."""
    if "instances" not in colorizer.system.inputs:
        if source is not None:
            raise InputError(f"--sam {source}: {colorizer.system.name} reads no masks; leave it out")
        return None
    source = cached_folder(SAM) if source is None else source
    return None if source is None else Segmenter(source, colorizer.device)


def end(number: int, frame: FrameType | None) -> None:
    """SIGTERM and Ctrl-C are how this program is meant to end; uvicorn lets its answers finish before it is called."""
    raise SystemExit(0)


def about(checkpoint: str, colorizer: Colorizer) -> str:
    """The network, for the visitor."""
    name, side = Path(checkpoint).name, colorizer.system.img_size
    text = f"Your photograph keeps its size and luminance; {name} chooses colours from a copy of {side}×{side} pixels."
    if name in ("scenes.safetensors", "lcad_scenes.safetensors"):
        text += " It was trained on generated scenes like the last two examples: expect little of photographs."
    if name == "photos.safetensors":
        text += " It was trained on photographs, so expect little of the last two examples, which are generated scenes."
    return text


if __name__ == "__main__":
    sys.exit(main())
