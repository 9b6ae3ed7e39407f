"""Image-caption pairs on disk.  `root/cap-img-pairs_{split}.json` and the images in `root/{split}/`, or in shards.

For systems that read no words the list may be missing, and for those that read boxes `datasets/boxes.py` has theirs.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import Dataset

from datasets.batch import Sample
from datasets.boxes import Box, Wanted, boxes_path, cut, read_boxes, seen_in
from datasets.captioned_options import CaptionedOptions
from datasets.image_files import check_usable, draw_crop, find_images, open_image, read_image, squash
from datasets.label_maps import LabelMaps
from datasets.masks import Instance, instances_of, read_masks
from datasets.pair_list import list_path, read_pairs
from datasets.pictures.decode import decode_rgb
from datasets.recolor import recolor
from datasets.regions import read_regions, seen_in_crop
from datasets.shards import PackedImage, Shards, index_path, open_shards
from datasets.words import color_words, correspondence
from datasets.words.levels import describe
from datasets.words.mirror import mirror
from utils.errors import InputError
from utils.log import progress

logger = logging.getLogger(__name__)
UNCAPTIONED = "uncaptioned"  # what the photographs without captions are called among shards, as if they were a split


class CaptionedImages(Dataset):
    """Pairs of an image and a caption, in file order; an image with two captions is two pairs.

    The JSON is a list of [image name, caption] or an object {image name: [captions]}. With `options`, a pair is
    drawn from a random generator of its own, seeded by (seed, epoch, index): the same whatever the number of workers
    and processes. Set `epoch` before each pass. Without, the picture is squashed to the square and nothing is drawn.
    """

    def __init__(
        self,
        root: Path,
        split: str,
        size: int,
        options: CaptionedOptions | None = None,
        inputs: frozenset[str] = frozenset(),
        seed: int = 0,
        captions: bool = True,
        boxes: Wanted | None = None,
        level: str = "complete",
    ) -> None:
        """Reads and checks the list and that every file or shard is there; pictures are decoded when asked for.

        size: side of the square in pixels; options: of training; inputs: of `models.System`, of which "counter" and
        "labels" are heeded in training, "instances" outside of it, where the split has such a file; captions: not for a
        system that reads none: without a list all pictures of the folder are taken, and training shows each once;
        boxes: to be given with the samples, and training leaves out pictures that have none; level: of the captions
        outside of training, of `datasets.words.levels.LEVELS`. Raises InputError naming file, value and remedy.
        """
        self.folder = root / split
        self.pairs = read_pairs(root, split) if captions else self._pictures(root, split, options is not None)
        self.correspondence: list[correspondence.Pairs] | None = None  # of each pair
        if options is not None and options.correspondence is not None:
            path = Path(options.correspondence)
            self.correspondence = correspondence.fit(path, correspondence.read(path), self.pairs)
        self.regions = read_regions(root, split) if options is None or options.recolor > 0 else {}
        self.size, self.options, self.seed = size, options, seed
        self.counter = options is not None and "counter" in inputs
        self.epoch = 0
        self.near_file_order = True  # indices are asked for in about their own order: shards may be read ahead
        self.shards: list[Shards] = []
        self._stored: dict[str, str] = {}  # names of files that are stored in another form of Unicode
        names, own = [name for name, _ in self.pairs], open_shards(root, split)
        if own is None:
            if not self.folder.is_dir():
                raise InputError(
                    f"{self.folder}: no such folder; the images of a split lie in <data_path>/<split>/, or in shards"
                    f" with their index {index_path(root, split).name} (scripts/make_shards.py)"
                )
            self._stored = check_usable(self.folder, names)
        else:
            own.check_pairs(root / f"cap-img-pairs_{split}.json", names)
            self.shards.append(own)
        if options is not None and options.uncaptioned is not None:
            added = self._add_uncaptioned(Path(options.uncaptioned))
            self.pairs += [(name, "") for name in added]
            if self.correspondence is not None:
                self.correspondence += [()] * len(added)
        self.labels = LabelMaps.beside(root, split) if options is not None and "labels" in inputs else None
        self.boxes: dict[str, list[Box]] | None = None
        self.wanted = boxes
        if boxes is not None:
            self._read_boxes(boxes_path(root, split))
        with_masks = options is None and "instances" in inputs
        self.masks = read_masks(root, split, self.pairs) if with_masks else None
        self.complete, self.level = self.pairs, level if options is None else "complete"
        if self.level != "complete":
            self.pairs = [(name, describe(caption, self.level).caption) for name, caption in self.pairs]

    def _pictures(self, root: Path, split: str, once: bool) -> list[tuple[str, str]]:
        """The pairs for a system that reads no captions; `once`: each image."""
        if list_path(root, split).is_file():
            pairs = read_pairs(root, split)
            return [(name, "") for name in dict.fromkeys(name for name, _ in pairs)] if once else pairs
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder; the images of a split lie in <data_path>/<split>/")
        return [(path.relative_to(self.folder.resolve()).as_posix(), "") for path in find_images(self.folder)]

    def _read_boxes(self, path: Path) -> None:
        self.boxes = read_boxes(path, [name for name, _ in self.pairs], self.wanted)
        if self.options is None:
            return
        without = [name for name, own in self.boxes.items() if not own]
        self.leave_out(without)
        if without:
            logger.info("%s: %d of %d images have no box and are left out", path, len(without), len(self.boxes))

    def _add_uncaptioned(self, folder: Path) -> list[str]:
        """Whole paths, so that they are no names of the list, and `folder / name` is the name itself."""
        if not index_path(folder, UNCAPTIONED).exists():
            return [str(path) for path in find_images(folder)]
        self.shards.append(Shards(folder, UNCAPTIONED, prefix=f"{folder.resolve()}/"))
        return list(self.shards[-1].images)

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        name, caption = self.pairs[index]
        if self.options is None:
            picture = read_image(self.image(name))
            boxes = None if self.boxes is None else self._crops(picture, self.boxes[name])
            instances = None if self.masks is None else self._instances(index, picture.size)
            return Sample(squash(picture, self.size), caption, None, name, index, boxes=boxes, instances=instances)
        words = None if self.correspondence is None else self.correspondence[index]
        draw = np.random.default_rng((self.seed, self.epoch, index))
        if self.boxes is not None:
            return self._with_boxes(name, index, draw)
        rgb, crop = self._random_crop(self.image(name), draw)
        regions, flipped = self.regions.get((name, caption), ()), False
        labels = None if self.labels is None else self.labels.read(name, crop, self.size)
        if draw.random() < self.options.flip and (mirrored := mirror(caption)) is not None:
            rgb, caption, flipped = rgb.flip(-1), mirrored, True
            labels = None if labels is None else labels.flip(-1)
        if self.options.caption_dropout > 0 and draw.random() < self.options.caption_dropout:
            caption, words = "", None
        repaint = self.options.recolor > 0 and draw.random() < self.options.recolor
        if repaint and (found := recolor(rgb, caption, draw, seen_in_crop(regions, crop, flipped))) is not None:
            ab, (caption, counter) = found  # no word moves, so `words` stay true
        else:
            ab, counter = None, color_words.replace(caption, draw)
        return Sample(rgb, caption, counter if self.counter else None, name, index, ab, words, labels=labels)

    def _instances(self, index: int, size: tuple[int, int]) -> list[Instance]:
        """Phrases are found in the complete caption; what is left of them at the data set's level counts."""
        name, caption = self.complete[index]
        found = instances_of(self.masks.get(name, []), caption, size, self.size, name)
        description = describe(caption, self.level)
        moved = [(description.moved(start, end), mask) for start, end, mask in found]
        return [Instance(*span, mask) for span, mask in moved if span is not None]

    def _with_boxes(self, name: str, index: int, draw: np.random.Generator) -> Sample:
        """For training. A random crop keeps the boxes of which it shows half; where none is left it is not taken."""
        picture, boxes = read_image(self.image(name)), self.boxes[name]
        if self.wanted.alone:
            picture, boxes = cut(picture, boxes[int(draw.integers(len(boxes)))]), []
        else:
            width, height = picture.size
            top, left, h, w = draw_crop(width, height, self.options.crop_scale, int(draw.integers(2**63)))
            part = Box(left / width, top / height, (left + w) / width, (top + h) / height)
            if seen := seen_in(boxes, part):
                picture, boxes = picture.crop((left, top, left + w, top + h)), seen
        if draw.random() < self.options.flip:
            picture = ImageOps.mirror(picture)
            boxes = [Box(1 - box.right, box.top, 1 - box.left, box.bottom) for box in boxes]
        return Sample(squash(picture, self.size), "", None, name, index, boxes=self._crops(picture, boxes))

    def _crops(self, picture: Image.Image, boxes: Sequence[Box]) -> list[tuple[Box, Tensor]]:
        return [(box, squash(cut(picture, box), self.size)) for box in boxes]

    def image(self, name: str) -> Path | PackedImage:
        """What `read_image` takes."""
        for shards in self.shards:
            if name in shards:
                return shards.read(name, soon=self.epoch if self.near_file_order else None)
        return self.folder / self._stored.get(name, name)

    def _random_crop(self, path: Path | PackedImage, draw: np.random.Generator) -> tuple[Tensor, Box]:
        """A random resized crop (3, size, size), uint8, and which part of the picture it shows.

        JPEG is decoded at the smallest scale that holds the crop.
        """
        with open_image(path) as file:
            width, height = file.seen_size
            top, left, h, w = draw_crop(width, height, self.options.crop_scale, int(draw.integers(2**63)))
            shrink = min(w, h) / self.size
            image = decode_rgb(file, (int(width / shrink), int(height / shrink)) if shrink > 1 else None)
        x, y = image.width / width, image.height / height
        part = Box(left / width, top / height, (left + w) / width, (top + h) / height)
        return squash(image, self.size, box=(left * x, top * y, (left + w) * x, (top + h) * y)), part

    def leave_out(self, names: list[str]) -> None:
        """Forget the pairs of these images; their other pairs keep their order."""
        gone = set(names)
        kept = [place for place, (name, _) in enumerate(self.pairs) if name not in gone]
        self.pairs = [self.pairs[place] for place in kept]
        if self.correspondence is not None:
            self.correspondence = [self.correspondence[place] for place in kept]

    def unreadable(self, workers: int = 8) -> list[str]:
        """Decode every image file once; the names of those that fail, in file order. In shards they all decoded."""

        def broken(name: str) -> bool:
            try:
                read_image(self.image(name), at_least=(1, 1))  # a JPEG's every byte is read, at an eighth of its size
            except InputError:
                return True
            return False

        packed = set().union(*(shards.images for shards in self.shards))
        names = [name for name in dict.fromkeys(name for name, _ in self.pairs) if name not in packed]
        with ThreadPoolExecutor(workers) as pool:
            found = progress(pool.map(broken, names), f"{self.folder}, decoding", "image", total=len(names))
            return [name for name, bad in zip(names, found, strict=True) if bad]
