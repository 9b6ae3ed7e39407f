"""Images packed into tar files, by scripts/make_shards.py, where a data folder would have a folder of files.

SHARDS/cap-img-pairs_{split}.json   the list of pairs, as in a data folder
SHARDS/{split}-000000.tar, ...      the images in the order of the list, in the layout of `webdataset`
SHARDS/shards_{split}.json          the index: of every image its shard, first byte, number of bytes and CRC-32

An image is read by its place, not by streaming the tar: so any order can be read, dealt out to any number of ranks and
workers and begun anywhere, just as from files, and a worker reads none of the others' images. A stream gives a rank of
a shuffled epoch only what it reads all shards for, and ranks that own a shard each end unevenly.
"""

import hashlib
import os
import zlib
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple

from utils.errors import InputError
from utils.text_files import read_json

FORMAT, VERSION = "lcoins-shards", 1
STRETCH = 8 << 20
"""Bytes that are read at once where neighbours are wanted soon; small enough to be read before a loader runs dry."""
_AGAIN = "write the shards again (scripts/make_shards.py), or copy them again from where they were written"


class PackedImage(NamedTuple):
    """One image file out of a shard; for reading, as good as its path."""

    place: str  # shard and name, for messages
    content: bytes

    def __str__(self) -> str:
        return self.place

    def read_bytes(self) -> bytes:
        return self.content


class Shards:
    """The images of one split. Opens every shard once a process, at its first image."""

    def __init__(self, root: Path, split: str, prefix: str = "") -> None:
        """Reads the index and checks that every shard is there, whole. prefix: put before the names of the index.

        Raises InputError naming file, value and remedy.
        """
        self.index = index_path(root, split)
        content = _read_index(self.index)
        try:
            self.pairs_sha256: str | None = content["pairs_sha256"]  # None where there is no list: photographs alone
            self.paths = [root / Path(shard["file"]).name for shard in content["shards"]]
            sizes = [int(shard["bytes"]) for shard in content["shards"]]
            self.images: dict[str, tuple[int, ...]] = {  # name -> shard, first byte, bytes, CRC-32
                f"{prefix}{name}": tuple(map(int, image)) for name, image in content["images"].items()
            }
            damaged = any(len(image) != 4 or not 0 <= image[0] < len(sizes) for image in self.images.values())
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(f"{self.index}: is damaged ({error!r}); {_AGAIN}") from error
        if damaged or not self.images:
            raise InputError(f"{self.index}: is damaged (an image without its place, or none at all); {_AGAIN}")
        for path, size in zip(self.paths, sizes, strict=True):
            _check_size(path, size)
        self._files: dict[int, FileIO] = {}  # shard -> file
        self._fetched: set[tuple[int, int, int]] = set()  # shard, stretch, pass

    def __contains__(self, name: str) -> bool:
        return name in self.images

    def __getstate__(self) -> dict[str, Any]:
        """For a loader process that is not forked: it opens the shards itself."""
        return self.__dict__ | {"_files": {}, "_fetched": set()}

    def check_pairs(self, path: Path, names: list[str]) -> None:
        """path: the list of pairs, of the images `names`. Raises InputError where it is not the one that was packed."""
        if sha256(path) != self.pairs_sha256:
            raise InputError(f"{path}: is not the list that {self.index.name} was written for; restore it, or {_AGAIN}")
        missing = [name for name in names if name not in self.images]
        if missing:
            raise InputError(f"{self.index}: {missing[0]!r} and {len(missing) - 1} more are missing; {_AGAIN}")

    def read(self, name: str, soon: int | None) -> PackedImage:
        """soon: number of the pass, where this image's neighbours are wanted soon too; None where they are not.

        The first of them to be asked for in a pass then fetches a stretch of the shard in one go. The bytes are left
        to the page cache, which the processes of a machine share. Raises InputError where the bytes are not the image.
        """
        shard, first, size, crc = self.images[name]
        place = f"{self.paths[shard]}: {name}"
        try:
            file = self._files.get(shard)
            if file is None:
                file = self._files[shard] = open(self.paths[shard], "rb", buffering=0)  # noqa: SIM115  until the end
            if soon is not None:
                self._fetch(file, shard, first, size, soon)
            content = os.pread(file.fileno(), size, first)  # shares no position: a forked process may use it too
        except OSError as error:
            raise InputError(f"{place}: cannot be read ({error}); restore the shard, or {_AGAIN}") from error
        if len(content) != size or zlib.crc32(content) != crc:
            raise InputError(f"{place}: is not what {self.index.name} says; the shard was changed: {_AGAIN}")
        return PackedImage(place, content)

    def _fetch(self, file: FileIO, shard: int, first: int, size: int, soon: int) -> None:
        for stretch in range(first // STRETCH, (first + size - 1) // STRETCH + 1):
            if (shard, stretch, soon) not in self._fetched:
                self._fetched.add((shard, stretch, soon))
                os.pread(file.fileno(), STRETCH, stretch * STRETCH)  # posix_fadvise would be a wish, not a reading


def index_path(root: Path, split: str) -> Path:
    return root / f"shards_{split}.json"


def open_shards(root: Path, split: str) -> Shards | None:
    """None where the images of `split` are files. Raises InputError where they are both."""
    if not index_path(root, split).exists():
        return None
    if (root / split).exists():
        raise InputError(f"{root}: holds the images of {split} twice, as files and as shards; take one of them out")
    return Shards(root, split)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_index(path: Path) -> dict[str, Any]:
    content = read_json(path, f"so it is no index of shards; {_AGAIN}")
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path}: is no index of shards (no format {FORMAT!r}); {_AGAIN}")
    if content.get("version") != VERSION:
        raise InputError(f"{path}: has version {content.get('version')!r}, this program reads {VERSION}; {_AGAIN}")
    return content


def _check_size(path: Path, size: int) -> None:
    try:
        found = os.stat(path).st_size
    except OSError as error:
        raise InputError(f"{path}: a shard is missing ({error.strerror}); {_AGAIN}") from error
    if found != size:
        raise InputError(f"{path}: has {found} bytes, not {size}: truncated, or changed since; {_AGAIN}")
