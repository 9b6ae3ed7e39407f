"""Colour photographs of any size as sentences say.

    python scripts/colorize.py photo.jpg --caption "a girl in a red coat beside a brown dog"
    python scripts/colorize.py photos/ --captions captions.csv --output colored/
    python scripts/colorize.py photo.jpg --captions_variants "a red car" "a blue car" "a yellow car"

Each result has its photograph's size, orientation, luminance, EXIF and profile, and its name; formats that cannot hold
it become PNG. A photograph that fails is named and the others go on. Exit status: 0, 1 where a photograph could not be
coloured, 2 where nothing could be begun, 130 where it was interrupted.
"""

import argparse
import errno
import itertools
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from datasets.pictures.drawing import captioned_grid
from datasets.pictures.find_pictures import identity, names_picture
from datasets.words.captions import check_caption
from inference import DEFAULT_CHECKPOINT, Colorizer
from inference.colored_photo import ColoredPhoto
from inference.coloring_plan import (
    Job,
    Photographs,
    find_photos,
    job_of,
    jobs_of,
    match,
    read_boxes,
    read_captions,
    read_masks,
)
from inference.explanation import explained, upright
from inference.photo import MAX_PIXELS, read_photo
from models import system_of
from models.restore import named_in
from utils import checkpoint
from utils.devices import AMP, AMP_HELP, DEVICE_HELP
from utils.errors import InputError
from utils.log import progress
from utils.options import parse_numbers

SHEET_SIDE = 448  # pixels of the longer side of a picture in a sheet
_FULL = (errno.ENOSPC, errno.EDQUOT)


def main(words: list[str] | None = None) -> int:
    options = parse(words)
    try:
        jobs, photos = plan(options)
        colorizer = load(options)
    except InputError as error:
        print(f"colorize.py: {_line(error)}", file=sys.stderr)
        return 2
    for line in [*photos.notes, *(f"colorize.py: {failure}" for failure in photos.failures)]:
        print(_line(line), file=sys.stderr)
    tally, status = color_all(jobs, colorizer, options)
    total = len(photos.named) + len(photos.unopened)
    there = len(photos.named) - len(jobs) + tally["there"]
    if total > 1 or tally["coloured"] < total:
        known = f", {there} were there already" if there else ""
        print(f"{tally['coloured']} of {total} photographs coloured{known}", file=sys.stderr)
    return status or (1 if photos.failures else 0)


def load(options: argparse.Namespace) -> Colorizer:
    """The checkpoint's, with the numbers of --set. Raises InputError, also for flags that its system does not know."""
    numbers = {}
    if options.set:
        name, _ = named_in(checkpoint.locate(options.checkpoint))
        if name is None:
            raise InputError(f"--set {options.set[0]}: {options.checkpoint} holds no system to set it of; leave it out")
        numbers = parse_numbers(system_of(name).Config, options.set, "--set")
    colorizer = Colorizer.from_checkpoint(
        options.checkpoint, options.device, options.amp, options.compile, options.detector_weights, numbers
    )
    name, inputs = colorizer.system.name, colorizer.system.inputs
    if options.masks is not None and "instances" not in inputs:
        raise InputError(f"--masks {options.masks}: {name} reads no masks; leave it out")
    if (options.seed is not None or options.variants > 1) and "seed" not in inputs:
        raise InputError(
            f"--seed, --variants: {name} draws no colours, it has one picture of a caption; leave them out"
        )
    return colorizer


def color_all(jobs: Sequence[Job], colorizer: Colorizer, options: argparse.Namespace) -> tuple[Counter[str], int]:
    """How many photographs were "coloured", "there" already, and "failed"; and the exit status.

    Whatever one of them raises is told in a line, and the others go on, unless the disk is full. What is written stays.
    """
    tally: Counter[str] = Counter()
    with progress(jobs, "colouring", "photo") as bar:
        try:
            for job in bar:
                try:
                    notes = run(job, colorizer, options)
                except Exception as error:  # of reading, colouring or saving: not limited to anything
                    tally["failed"] += 1
                    words = f"{job.path}: {type(error).__name__}: {error}"
                    if isinstance(error, MemoryError):
                        words = f"{job.path}: not enough memory; pass a smaller copy"
                    bar.write(
                        f"colorize.py: {_line(error if isinstance(error, InputError) else words)}", file=sys.stderr
                    )
                    if _disk_is_full(error):
                        break
                    continue
                tally["there" if notes is None else "coloured"] += 1
                for note in notes or ():
                    bar.write(_line(note), file=sys.stderr)
        except KeyboardInterrupt:
            bar.write("colorize.py: interrupted; what is written stays, --existing skip goes on", file=sys.stderr)
            return tally, 130
    return tally, 1 if tally["failed"] else 0


def _line(words: object) -> str:
    return str(words).replace("\n", " ")


def _disk_is_full(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        error = error.__cause__ or error.__context__
    return False


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("photos", nargs="+", help="files, folders (searched with their sub-folders) or patterns such as 'photos/*.jpg'")
    text = parser.add_mutually_exclusive_group()
    text.add_argument("--caption", default="", help="sentence for all of them; empty: colours of the photograph alone")
    text.add_argument("--captions", type=Path, help="CSV of lines image,caption or JSON as in the data sets' lists")
    names = ("--captions_variants", "--captions-variants")
    text.add_argument(*names, nargs="+", help="sentences for each photograph, and a sheet")
    add("--output", type=Path, default=Path("colorized"), help="folder, or a file for one result (default: colorized)")
    add("--existing", choices=("error", "skip", "overwrite"), default="error", help="what of results that are there")
    add("--checkpoint", default=str(DEFAULT_CHECKPOINT), help="file, folder or hub name (default: the repository's)")
    add("--strength", type=float, default=1.0, help="factor of the chroma (default: 1)")
    add("--explain", action="store_true", help="also write groups and words' effects of each as NAME_explained.png")
    add("--boxes", type=Path, help="JSON of scripts/detect_boxes.py, for systems that colour objects one by one")
    add("--detector_weights", help="torchvision's Mask R-CNN, for them, where no boxes are given")
    add(
        "--masks",
        type=Path,
        help="JSON {image: [[phrase, file], ...]}, for systems that read where a phrase's thing is",
    )
    add("--seed", type=int, help="for systems that draw their colours: one seed, one picture (default: theirs)")
    add("--variants", type=int, default=1, help="so many pictures of a caption, by seeds from --seed on, and a sheet")
    add("--set", nargs="+", metavar="NAME=VALUE", help="numbers of the system, such as steps=10 sampler=dpm guidance=6")
    add("--device", default="auto", help=DEVICE_HELP)
    add("--amp", choices=AMP, default="auto", help=f"{AMP_HELP} (default: auto)")
    add("--compile", action="store_true", help="compile the network: minutes at first, then faster")
    add("--max_megapixels", type=float, default=MAX_PIXELS / 1e6, help="largest photograph (default: %(default).0f)")
    return parser.parse_args(words)


def plan(options: argparse.Namespace) -> tuple[list[Job], Photographs]:
    """What is to be done, found possible as far as that can be told without reading a photograph."""
    output = options.output
    single = names_picture(output) and not os.path.isdir(output)
    one = [output.with_suffix(".png"), output.with_name(f"{output.stem}_explained.png")] if single else []
    photos = find_photos(options.photos, output, one)
    if options.captions is not None:
        captions = match("--captions", options.captions, read_captions(options.captions), photos)
    else:
        flag = "--captions_variants" if options.captions_variants else "--caption"
        own = options.captions_variants or [options.caption]
        captions = [[check_caption(caption, flag) for caption in own]] * len(photos.named)
    masks = None if options.masks is None else read_masks(options.masks, photos, captions)
    if options.variants < 1 or (options.seed or 0) < 0:
        raise InputError(f"--variants {options.variants}, --seed {options.seed}: pass 1 or more, and 0 or more")
    seeds: list[int | None] = [options.seed]
    if options.variants > 1:
        seeds = list(range(options.seed or 0, (options.seed or 0) + options.variants))
        captions = [[caption for caption in own for _ in seeds] for own in captions]
    if single and [len(own) for own in captions] != [1]:
        raise InputError(f"--output {output}: a file holds one result; pass a folder for several")
    if single:
        jobs = [job_of(photos.named[0][0], captions[0], output, options.explain, sheet=False)]
    else:
        sheet = bool(options.captions_variants) or options.variants > 1
        jobs = jobs_of(photos.named, captions, output, options.explain, sheet)
    jobs = [job._replace(seeds=seeds * (len(job.captions) // len(seeds))) for job in jobs]
    if masks is not None:
        jobs = [job._replace(masks=own) for job, own in zip(jobs, masks, strict=True)]
    if options.boxes is not None:
        boxes = match("--boxes", options.boxes, read_boxes(options.boxes), photos)
        jobs = [job._replace(boxes=own) for job, own in zip(jobs, boxes, strict=True)]
    sources = {identity(job.path) for job in jobs} - {None}
    for path in itertools.chain(*(job.written for job in jobs)):
        if identity(path) in sources:
            raise InputError(f"{path}: is one of the photographs; pass another --output")
    if options.existing == "skip":
        jobs = [job for job in jobs if not all(os.path.exists(path) for path in job.written)]
    elif options.existing == "error":
        for job in jobs:
            check_free(job)
    return jobs, photos


def check_free(job: Job) -> None:
    there = [path for path in job.written if os.path.exists(path)]
    if there:
        raise InputError(f"{there[0]}: is there already; pass --existing skip or overwrite, or another --output")


def run(job: Job, colorizer: Colorizer, options: argparse.Namespace) -> list[str] | None:
    """Colour one photograph and write the results; what could not be read or kept, in words. None where all are there
    already, which is found only now where the photograph's contents change their endings."""
    photo = read_photo(job.path, max_pixels=int(options.max_megapixels * 1e6))
    channels = 3 if photo.alpha is None else 4
    like = ColoredPhoto(np.broadcast_to(np.zeros((), photo.pixels.dtype), (*photo.pixels.shape[:2], channels)))
    found = [like.fitting(output) for output in job.outputs]
    job, notes = job._replace(outputs=[path for path, _ in found]), [why for _, why in found if why]
    if notes and options.existing == "skip" and all(os.path.exists(path) for path in job.written):
        return None
    if notes and options.existing == "error":
        check_free(job)
    encoded = colorizer.encode(photo, job.boxes, job.masks)
    shown = []
    for number, (caption, seed, output) in enumerate(zip(job.captions, job.seeds, job.outputs, strict=True)):
        (colored,) = colorizer.colorize(encoded, [caption], options.strength, options.explain, seed)
        named = f"{job.path}: "
        notes += [note if note.startswith(named) else named + note for note in colored.notes]
        notes += colored.photo.save(output)
        if job.explained:
            ColoredPhoto(explained(colored.image, caption, colored.explanation)).save(job.explained[number])
        if job.sheet is not None:
            shown.append((upright(colored.image, SHEET_SIDE), caption if seed is None else f"{caption} (seed {seed})"))
    if job.sheet is not None:
        gray = np.asarray(Image.fromarray(shown[0][0]).convert("L").convert("RGB"))
        ColoredPhoto(captioned_grid([[(gray, "the photograph"), *shown]], 1)).save(job.sheet)
    return list(dict.fromkeys(notes))


if __name__ == "__main__":
    sys.exit(main())
