"""Packs a data folder into tar shards: few large files, for disks that are far or dislike many small ones.

    python scripts/make_shards.py DATA SHARDS                       # the files' own bytes: training sees the same
    python scripts/make_shards.py DATA SHARDS --size 256            # JPEG copies, shorter side at most 256 pixels
    python scripts/make_shards.py DATA SHARDS --uncaptioned FOLDER  # and photographs without captions

SHARDS then is a --data_path (and an --uncaptioned) of run_colorization.py; datasets/shards.py says what lies there. A
shard is in the layout of the library `webdataset`: 00000042.jpg beside 00000042.json, which holds the image's name, its
captions, and their places in the list. Every picture is decoded once; a broken one is an error, and nothing is written.
"""

import argparse
import io
import json
import os
import shutil
import sys
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from webdataset import ShardWriter

from datasets.captioned_images import UNCAPTIONED, CaptionedImages
from datasets.image_files import find_images, image_size, read_image
from datasets.pictures.picture_file import PictureFile
from datasets.shards import FORMAT, VERSION, PackedImage, index_path, sha256
from preparation.picture_copies import save_reduced
from utils.errors import InputError, exit_status
from utils.files import temporary_folder
from utils.log import progress

SPLITS = ("train", "val", "test")
ENDINGS = {"JPEG": "jpg", "MPO": "jpg", "TIFF": "tif"}  # by which readers of webdataset know a format; others: its name
_AHEAD = 32  # pictures in memory per thread


class Packing(NamedTuple):
    """What one split's shards are made of."""

    split: str
    names: list[str]  # of the images, in the order in which they are written
    image: Callable[[str], Path | PackedImage]  # of a name
    list_file: Path | None = None
    pairs: Sequence[tuple[str, str]] = ()  # (name, caption), of the list


@exit_status
def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_path", type=Path, metavar="DATA", help="data folder in the layout of docs/DATA.md")
    parser.add_argument("output", type=Path, metavar="SHARDS", help="folder to write to")
    parser.add_argument("--splits", nargs="+", choices=SPLITS, help="which (default: those that DATA has a list of)")
    parser.add_argument("--uncaptioned", type=Path, metavar="FOLDER", help="photographs without captions, packed too")
    parser.add_argument("--size", type=int, help="shorter side of copies in pixels (default: the files as they are)")
    parser.add_argument("--shard_megabytes", type=float, default=200, help="size of a shard, in 10^6 bytes")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="threads that decode")
    parser.add_argument("--overwrite", action="store_true", help="write over shards that are there")
    options = parser.parse_args(arguments)
    for name, least in (("size", 1), ("workers", 1)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise InputError(f"--{name} {value}: pass at least {least}")
    if not options.shard_megabytes > 0:
        raise InputError(f"--shard_megabytes {options.shard_megabytes}: pass more than 0")
    if options.output.resolve() == options.data_path.resolve():
        raise InputError(f"{options.output}: is the data folder itself; pass another for the shards")
    for packing in packings(options.data_path, options.splits, options.uncaptioned):
        pack(packing, options)


def packings(root: Path, splits: Sequence[str] | None, uncaptioned: Path | None) -> Iterator[Packing]:
    """Of every split that is asked for, or else that `root` has a list of; then of the photographs without captions."""
    there = [split for split in SPLITS if (root / f"cap-img-pairs_{split}.json").is_file()]
    if not (splits or there):
        raise InputError(f"{root}: has no list cap-img-pairs_{{train,val,test}}.json; pass a data folder")
    for split in splits or there:
        data = CaptionedImages(root, split, size=1)
        names = list(dict.fromkeys(name for name, _ in data.pairs))
        yield Packing(split, names, data.image, root / f"cap-img-pairs_{split}.json", data.pairs)
    if uncaptioned is not None:
        names = [path.relative_to(uncaptioned.resolve()).as_posix() for path in find_images(uncaptioned)]
        yield Packing(UNCAPTIONED, names, lambda name: uncaptioned / name)


def pack(packing: Packing, options: argparse.Namespace) -> None:
    """Writes the shards to a temporary folder, renames them when all are whole, the index last."""
    target = index_path(options.output, packing.split)
    old = sorted(options.output.glob(f"{packing.split}-[0-9]*.tar"))
    if (target.exists() or old) and not options.overwrite:
        raise InputError(f"{target}: shards of {packing.split} are there already; pass --overwrite, or another folder")
    with temporary_folder(target) as folder:
        sums = write(packing, folder, options)
        shards = sorted(folder.glob("*.tar"))
        index = {
            "format": FORMAT,
            "version": VERSION,
            "shorter_side": options.size,  # pixels at most; null: the files as they were
            "pairs": len(packing.pairs),
            "pairs_sha256": None if packing.list_file is None else sha256(packing.list_file),
            "shards": [{"file": path.name, "bytes": path.stat().st_size} for path in shards],
            "images": dict(zip(packing.names, places(shards, sums), strict=True)),
        }
        (folder / target.name).write_text(json.dumps(index), encoding="utf-8")
        for path in (target, *old):
            path.unlink(missing_ok=True)
        for path in shards:
            os.replace(path, options.output / path.name)
        if packing.list_file is not None:
            shutil.copyfile(packing.list_file, options.output / packing.list_file.name)
        os.replace(folder / target.name, target)
    total = sum(shard["bytes"] for shard in index["shards"]) / 1e6
    print(
        f"{packing.split}: {len(packing.names):,} images, {len(packing.pairs):,} pairs in {len(shards):,} shards of"
        f" {total:,.1f} MB in all"
    )


def write(packing: Packing, folder: Path, options: argparse.Namespace) -> list[int]:
    """The shards of a split, into `folder`. Gives the CRC-32 of every image."""
    pairs, sums = defaultdict(list), []
    for place, (name, caption) in enumerate(packing.pairs):
        pairs[name].append((place, caption))
    pattern = str(folder.resolve()).replace("%", "%%") + f"/{packing.split}-%06d.tar"
    size = options.shard_megabytes * 1e6
    with (
        ShardWriter(pattern, maxsize=size, verbose=0, mtime=0) as writer,  # the same images make the same bytes
        ThreadPoolExecutor(options.workers) as pool,
        progress(None, packing.split, "picture", total=len(packing.names)) as bar,
    ):
        for start in range(0, len(packing.names), _AHEAD * options.workers):
            names = packing.names[start : start + _AHEAD * options.workers]
            contents = pool.map(lambda name: encoded(packing.image(name), options.size), names)
            for name, (ending, content) in zip(names, contents, strict=True):
                bar.update()
                places, captions = zip(*pairs[name], strict=True) if pairs[name] else ((), ())
                known = {"name": name, "captions": captions, "pairs": places}
                writer.write({"__key__": f"{len(sums):08d}", ending: content, "json": known})
                sums.append(zlib.crc32(content))
    return sums


def encoded(source: Path | PackedImage, side: int | None) -> tuple[str, bytes]:
    """(ending, bytes) of an image: its file's own, or a JPEG copy where its shorter side is longer than `side`."""
    if side is not None and min(image_size(source)) > side:
        file = io.BytesIO()
        save_reduced(read_image(source, at_least=(2 * side, 2 * side)), file, "JPEG", side)  # decoded at half size
        return "jpg", file.getvalue()
    read_image(source, at_least=(1, 1))  # the whole of the file, to find out whether it is broken
    content = source.read_bytes()
    with PictureFile(content, str(source)) as file:
        return ENDINGS.get(file.format, file.format.lower()), content


def places(shards: Sequence[Path], sums: Sequence[int]) -> Iterator[tuple[int, int, int, int]]:
    """(shard, first byte, bytes, CRC-32) of every image in turn, from the finished tar files."""
    crc = iter(sums)
    for number, path in enumerate(shards):
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                if not member.name.endswith(".json"):
                    yield number, member.offset_data, member.size, next(crc)


if __name__ == "__main__":
    sys.exit(main())
