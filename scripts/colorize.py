"""Colour photographs of any size as sentences say.

    python scripts/colorize.py photo.jpg --caption "a girl in a red coat beside a brown dog"
    python scripts/colorize.py photos/ --captions captions.csv --output colored/
    python scripts/colorize.py photo.jpg --captions_variants "a red car" "a blue car" "a yellow car"

Each result has its photograph's size, orientation, luminance, EXIF and profile, and its name; formats that cannot hold
it become PNG. A photograph that fails is named and the others go on. Exit status: 0, 1 where some failed, 2 where
nothing could be begun.
"""

import argparse
import glob
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from inference import DEFAULT_CHECKPOINT, Colorizer
from utils.captions import check_caption
from utils.colored_photo import SUFFIXES, ColoredPhoto
from utils.devices import AMP, AMP_HELP, DEVICE_HELP
from utils.errors import InputError
from utils.explained import explained, upright
from utils.photo import MAX_PIXELS, read_photo
from utils.progress import progress
from utils.report import captioned_grid
from utils.text_files import read_csv, read_json

READ = (*SUFFIXES, ".gif", ".bmp", ".ppm", ".pgm", ".jfif", ".jp2", ".tga")  # what is looked for in a folder
SHEET_SIDE = 448  # pixels of the longer side of a picture in a sheet


class Job(NamedTuple):
    path: Path
    captions: list[str]
    outputs: list[Path]  # one for each caption
    sheet: Path | None


def main(words: list[str] | None = None) -> int:
    options = parse(words)
    try:
        jobs = plan(options)
        colorizer = Colorizer.from_checkpoint(options.checkpoint, options.device, options.amp, options.compile)
    except InputError as error:
        print(f"colorize.py: {error}", file=sys.stderr)
        return 2
    failed = 0
    with progress(jobs, "colouring", "photo") as bar:
        for job in bar:
            try:
                notes = run(job, colorizer, options)
            except (InputError, MemoryError) as error:
                failed += 1
                notes = [f"colorize.py: {error or f'{job.path}: not enough memory; pass a smaller copy'}"]
            for note in notes:
                bar.write(note, file=sys.stderr)
    if len(jobs) > 1 or failed:
        print(f"{len(jobs) - failed} of {len(jobs)} photographs coloured", file=sys.stderr)
    return 1 if failed else 0


def parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("photos", nargs="+", help="files, folders (searched with their sub-folders) or patterns such as 'photos/*.jpg'")
    text = parser.add_mutually_exclusive_group()
    text.add_argument("--caption", default="", help="sentence for all of them; empty: colours of the photograph alone")
    text.add_argument("--captions", type=Path, help="CSV of lines image,caption or JSON as in the data sets' lists")
    text.add_argument(
        *("--captions_variants", "--captions-variants"), nargs="+", help="sentences for each photograph, and a sheet"
    )
    add("--output", type=Path, default=Path("colorized"), help="folder, or a file for one result (default: colorized)")
    add("--existing", choices=("error", "skip", "overwrite"), default="error", help="what of results that are there")
    add("--checkpoint", default=str(DEFAULT_CHECKPOINT), help="file, folder or hub name (default: the repository's)")
    add("--strength", type=float, default=1.0, help="factor of the chroma (default: 1)")
    add(
        "--explain",
        action="store_true",
        help="also write each result's groups and words' effects as NAME_explained.png",
    )
    add("--device", default="auto", help=DEVICE_HELP)
    add("--amp", choices=AMP, default="auto", help=f"{AMP_HELP} (default: auto)")
    add("--compile", action="store_true", help="compile the network: minutes at first, then faster")
    add("--max_megapixels", type=float, default=MAX_PIXELS / 1e6, help="largest photograph (default: %(default).0f)")
    return parser.parse_args(words)


def plan(options: argparse.Namespace) -> list[Job]:
    """What is to be done, found possible as far as that can be told without reading a photograph."""
    found = find_photos(options.photos)
    if options.captions is not None:
        captions = match(options.captions, read_captions(options.captions), found)
    else:
        flag, own = "--captions_variants", options.captions_variants or []
        if not own:
            flag, own = "--caption", [options.caption]
        captions = [[check_caption(caption, flag) for caption in own]] * len(found)
    single = options.output.suffix.lower() in SUFFIXES and not options.output.is_dir()
    if single and [len(own) for own in captions] != [1]:
        raise InputError(f"--output {options.output}: a file holds one result; pass a folder for several")
    if single:
        jobs = [Job(found[0][0], captions[0], [options.output], None)]
    else:
        names = output_names([name for _, name in found])
        jobs = [
            _job(path, own, options.output / name, bool(options.captions_variants))
            for (path, _), own, name in zip(found, captions, names, strict=True)
        ]
    there = [job for job in jobs if any(path.exists() for path in _written(job))]
    if there and options.existing == "error":
        first = next(path for path in _written(there[0]) if path.exists())
        raise InputError(f"{first}: is there already; pass --existing skip or overwrite, or another --output")
    return [job for job in jobs if options.existing != "skip" or not all(path.exists() for path in _written(job))]


def _job(path: Path, captions: list[str], output: Path, sheet: bool) -> Job:
    outputs = [output]
    if len(captions) > 1:
        outputs = [output.with_stem(f"{output.stem}_{number}") for number in range(len(captions))]
    return Job(path, captions, outputs, output.with_name(f"{output.stem}_variants.png") if sheet else None)


def _written(job: Job) -> list[Path]:
    return job.outputs + [job.sheet] * (job.sheet is not None)


def find_photos(sources: Sequence[str]) -> list[tuple[Path, str]]:
    """(path, name) of every photograph, none twice; the name is the path from the folder that was asked for."""
    found: dict[Path, str] = {}
    for source in sources:
        path = Path(source)
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in READ and p.is_file())
            if not inside:
                raise InputError(f"{path}: no photograph in this folder ({', '.join(READ)})")
            found |= {p: str(p.relative_to(path)) for p in inside if p not in found}
        elif path.is_file():
            found.setdefault(path, path.name)
        else:
            matching = [Path(name) for name in sorted(glob.glob(source, recursive=True)) if Path(name).is_file()]
            if not matching:
                raise InputError(f"{source}: no such file or folder, nor does a file match it as a pattern")
            found |= {p: p.name for p in matching if p not in found}
    return list(found.items())


def output_names(names: Sequence[str]) -> list[str]:
    """The same names; formats that are not written get .png. Two that would meet keep their own endings or a number."""
    wanted = [Path(name) for name in names]
    wanted = [path if path.suffix.lower() in SUFFIXES else path.with_suffix(".png") for path in wanted]
    twice = Counter(str(path.with_suffix("")).lower() for path in wanted)
    unique: dict[str, None] = {}
    for path, name in zip(wanted, names, strict=True):
        if twice[str(path.with_suffix("")).lower()] > 1:  # a.jpg beside a.gif: a_jpg.jpg and a_gif.png
            path = path.with_stem(f"{path.stem}_{Path(name).suffix[1:].lower()}")
        number, free = 1, str(path)
        while free.lower() in unique:  # some file systems ignore case
            number += 1
            free = str(path.with_stem(f"{path.stem}_{number}"))
        unique[free.lower()] = None
        wanted[len(unique) - 1] = Path(free)
    return [str(path) for path in wanted]


def read_captions(path: Path) -> dict[str, list[str]]:
    """Image name -> its captions, in the file's order. Raises InputError naming the line or entry."""
    if path.suffix.lower() == ".csv":
        rows = [(f"line {line}", cells) for line, cells in read_csv(path, "write lines image,caption")]
        if rows and [cell.strip().lower() for cell in rows[0][1]] == ["image", "caption"]:
            rows = rows[1:]
    else:
        content = read_json(path, "write [[image, caption], ...], or lines image,caption in a file that ends in .csv")
        if isinstance(content, dict):
            lists = [(name, own if isinstance(own, list) else [own]) for name, own in content.items()]
            content = [[name, caption] for name, own in lists for caption in own]
        rows = [(f"entry {n}", row) for n, row in enumerate(content if isinstance(content, list) else [content])]
    captions: dict[str, list[str]] = {}
    for place, row in rows:
        if not (isinstance(row, list) and len(row) == 2 and all(isinstance(part, str) for part in row)):
            raise InputError(f"--captions {path}: {place} is {str(row)[:120]}; each is an image's name and a caption")
        captions.setdefault(row[0].strip(), []).append(check_caption(row[1], f"--captions {path}: {place}"))
    if not captions:
        raise InputError(f"--captions {path}: names no image; write lines image,caption or [[image, caption], ...]")
    return captions


def match(file: Path, captions: dict[str, list[str]], found: list[tuple[Path, str]]) -> list[list[str]]:
    """The captions of each photograph found. Raises InputError unless every one has some and every name is found."""
    missing = [name for _, name in found if name not in captions]
    unknown = captions.keys() - {name for _, name in found}
    if missing or unknown:
        which = f"has none for {missing[0]}" if missing else f"names {min(unknown)}, which is not among the photographs"
        count = len(missing) or len(unknown)
        raise InputError(f"--captions {file}: {which} ({count} in all); complete the file, or pass other photographs")
    return [captions[name] for _, name in found]


def run(job: Job, colorizer: Colorizer, options: argparse.Namespace) -> list[str]:
    """Colour one photograph and write the results; what could not be read or kept, in words."""
    encoded = colorizer.encode(read_photo(job.path, max_pixels=int(options.max_megapixels * 1e6)))
    shown, notes = [], []
    for caption, output in zip(job.captions, job.outputs, strict=True):
        (colored,) = colorizer.colorize(encoded, [caption], options.strength, options.explain)
        colored.photo.save(output)
        notes += [f"{job.path}: {note}" for note in colored.notes]
        if options.explain:
            _save(
                explained(colored.image, caption, colored.explanation), output.with_name(f"{output.stem}_explained.png")
            )
        if job.sheet is not None:
            shown.append((upright(colored.image, SHEET_SIDE), caption))
    if job.sheet is not None:
        gray = np.asarray(Image.fromarray(shown[0][0]).convert("L").convert("RGB"))
        _save(captioned_grid([[(gray, "the photograph"), *shown]], 1), job.sheet)
    return list(dict.fromkeys(notes))


def _save(picture: np.ndarray, path: Path) -> None:
    ColoredPhoto(picture).save(path)


if __name__ == "__main__":
    sys.exit(main())
