"""Pixels of a TIFF file whose meaning or depth Pillow would lose: 9 to 64 bits, signed, floating, white as zero.

OpenCV decodes them as rows of gray numbers; what these mean is decided here, by the file's tags and by nothing else.

    white    65535 is the largest number of the type, SMaxSampleValue or, of 10 or 12 bits in 16, MaxSampleValue; of
             floating numbers it is 1.0. Signed numbers, and floating ones beyond [0, 1], say nothing and are refused.

H, W sides as stored; C samples of a pixel.
"""

import math
import operator

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from datasets.pictures import exif
from utils.errors import InputError

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _STRIPS, _SAMPLES = 256, 257, 258, 259, 262, 273, 277
_COUNTS, _PLANAR, _PREDICTOR, _TILE_WIDTH, _TILES, _TILE_COUNTS = 279, 284, 317, 322, 324, 325
_EXTRA, _FORMAT, _LOWEST, _HIGHEST, _MAX_SAMPLE = 338, 339, 340, 341, 281
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
UNSIGNED, _SIGNED, _FLOATING = 1, 2, 3
_KINDS = {UNSIGNED: ("u", "whole numbers"), _SIGNED: ("i", "signed numbers"), _FLOATING: ("f", "floating numbers")}
_ROUNDING = 1e-4  # by which a floating number may miss [0, 1]
_DARK = 4095  # the brightest value of 16 bits up to which they may be 12: this is said
_MOST_BITS = 192  # of a pixel: three floating numbers of 64


class Tags:
    """What the first directory of a TIFF file says of its pixels. Raises InputError where it makes no sense."""

    def __init__(self, directory: exif.Directory, name: str) -> None:
        self.directory, self.name = directory, name

        def number(tag: int, default: int) -> int:
            """0 where samples differ in it."""
            values = {*directory.numbers(tag)} or {default}
            return int(values.pop()) if len(values) == 1 else 0

        self.width, self.height, self.samples = number(_WIDTH, 0), number(_HEIGHT, 0), number(_SAMPLES, 1)
        self.photometric = number(_PHOTOMETRIC, BLACK_IS_ZERO)
        self.bits, self.format = number(_BITS, 1), number(_FORMAT, UNSIGNED)
        self.predictor, self.compression = number(_PREDICTOR, 1), number(_COMPRESSION, 1)
        self.planes = self.samples if number(_PLANAR, 1) == 2 else 1
        self.extra = tuple(map(int, directory.numbers(_EXTRA)))
        letter, self.kind = _KINDS.get(self.format, ("", f"sample format {self.format}"))
        self.kind = f"{self.bits} bits, {self.kind}"
        self.dtype = f"{letter}{max(2, -(-self.bits // 8)) if self.bits != 8 else 1}" if letter else ""
        if self.width <= 0 or self.height <= 0:
            raise InputError(f"{name}: is {self.width}x{self.height} pixels; pass a whole TIFF file")

    @property
    def plain(self) -> bool:
        """Pillow reads all of it, and what it reads is what is meant."""
        white = self.white()
        return self.bits <= 8 and self.format in (UNSIGNED, 4) and (white is None or white == (0, 2**self.bits - 1))

    def white(self) -> tuple[float, float] | None:
        """The numbers of black and of white, by the tags that say so; None where none does."""
        lowest, highest = self.directory.numbers(_LOWEST), self.directory.numbers(_HIGHEST)
        if highest and self.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
            black, white = min(lowest, default=0), max(highest)
            if math.isfinite(black) and math.isfinite(white) and black < white:
                return black, white
        most = self.directory.numbers(_MAX_SAMPLE)
        # A largest value is a statistic, by the standard; one that is a depth of bits is what cameras mean by it.
        if most and self.format == UNSIGNED and max(most) in {2**bits - 1 for bits in range(9, self.bits)}:
            return 0, max(most)
        return None


def read(content: bytes, tags: Tags, notes: list[str]) -> tuple[NDArray, NDArray | None]:
    """Pixels (H, W) or (H, W, 3) and alpha (H, W) or None, uint16. Raises InputError for numbers of unknown meaning."""
    name, colors = tags.name, 3 if tags.photometric == RGB else 1
    if tags.photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
        raise InputError(f"{name}: {tags.kind}, of photometric interpretation {tags.photometric}; save it as RGB")
    odd = tags.predictor == 3 and tags.samples // tags.planes not in (1, 3, 4)
    if tags.samples < colors or tags.samples * tags.bits > _MOST_BITS or odd:
        raise InputError(f"{name}: {tags.samples} samples a pixel, {tags.kind}, are not read; save it as gray or RGB")
    if not tags.dtype:
        raise InputError(f"{name}: {tags.kind}, cannot be read; save it with 16 bits")
    kept = colors + bool(tags.extra)
    if tags.samples > kept:
        notes.append(f"{name}: has {tags.samples} channels; those beyond colours and transparency are not kept")
    deep = _scaled(_samples(content, tags)[..., :kept], tags, colors, notes)
    pixels, alpha = deep[..., :colors], None
    if tags.extra[:1] in ((1,), (2,)):
        alpha = np.ascontiguousarray(deep[..., colors])
        if tags.extra[0] == 1:  # the colours are multiplied by it
            opaque = np.maximum(alpha, 1)[..., None]
            pixels = np.minimum(np.rint(pixels * (65535.0 / opaque)), 65535).astype(np.uint16)
    return np.ascontiguousarray(pixels[..., 0] if colors == 1 else pixels), alpha


def _samples(content: bytes, tags: Tags) -> NDArray:
    """(H, W, C) of the file's own type."""
    across, directory = tags.samples // tags.planes, tags.directory
    for offsets, counts in ((_STRIPS, _COUNTS), (_TILES, _TILE_COUNTS)):
        ends = map(operator.add, directory.numbers(offsets), directory.numbers(counts))
        if max(ends, default=0) > len(content):
            raise InputError(f"{tags.name}: is truncated; pass a whole TIFF file")
    if tags.predictor == 3 and across > 1:  # of floating numbers: needs to know the pixels, and not only the rows
        return _decoded(content, tags, directory, across)[..., [2, 1, 0, 3][:across]]
    gray = directory.without({_EXTRA}).having(_SAMPLES, 3, 1).having(_BITS, 3, tags.bits).having(_PLANAR, 3, 1)
    gray = gray.having(_FORMAT, 3, tags.format).having(_PHOTOMETRIC, 3, BLACK_IS_ZERO)
    for tag in {_WIDTH, _TILE_WIDTH} & gray.fields.keys():
        gray = gray.having(tag, 4, gray.numbers(tag)[0] * across)
    differences = tags.predictor == 2 and across > 1  # between pixels, which are undone below
    if differences:
        gray = gray.having(_PREDICTOR, 3, 1)
    planes = []
    for plane in range(tags.planes):
        own = gray
        for tag in {_STRIPS, _COUNTS, _TILES, _TILE_COUNTS} & gray.fields.keys():
            numbers = gray.numbers(tag)
            share = len(numbers) // tags.planes
            own = own.having(tag, 4, *numbers[plane * share : (plane + 1) * share])
        planes.append(_decoded(content, tags, own, across))
    values = np.concatenate(planes, axis=2)
    if differences:
        width = int(max(directory.numbers(_TILE_WIDTH), default=tags.width))
        for left in range(0, tags.width, width):
            part = values[:, left : left + width]
            np.cumsum(part, axis=1, dtype=values.dtype, out=part)
    return values


def _decoded(content: bytes, tags: Tags, directory: exif.Directory, across: int) -> NDArray:
    """What OpenCV makes of the pixels that the directory describes, (H, W, across)."""
    if tags.dtype == "f2":  # OpenCV has no numbers of this type
        directory = directory.having(_FORMAT, 3, UNSIGNED)
    try:
        values = cv2.imdecode(np.frombuffer(directory.layout(content), np.uint8), cv2.IMREAD_UNCHANGED)
        if 8 < tags.bits < 16:  # which OpenCV shifts to the upper end of 16
            values = values >> (16 - tags.bits)
        return values.view(tags.dtype).reshape(tags.height, tags.width, across)
    except (cv2.error, AttributeError, TypeError, ValueError) as error:
        how = TiffImagePlugin.COMPRESSION_INFO.get(tags.compression, tags.compression)
        raise InputError(
            f"{tags.name}: cannot be decompressed ({how}, {tags.kind}); save it without compression, with 16 bits, or"
            " pass a whole file"
        ) from error


def _scaled(values: NDArray, tags: Tags, colors: int, notes: list[str]) -> NDArray:
    """(H, W, C) -> uint16 with black at 0 and white at 65535; transparency is no colour and keeps its direction."""
    name, bounds = tags.name, tags.white()
    lowest, highest = float(values.min()), float(values.max())  # not a number where one is none
    if bounds is None and tags.format == _FLOATING:
        bounds = 0.0, 1.0
    elif bounds is None and tags.format == UNSIGNED:
        bounds = 0, 2**tags.bits - 1
        if tags.bits == 16 and 0 < highest <= _DARK:
            notes.append(f"{name}: its brightest value is {highest:.0f} of 65535; if that is white, say so in its tags")
        elif tags.bits > 16 and highest <= 65535:
            bounds = None
    remedy = "scale it to 16 bits without sign, or to floating numbers from 0 to 1, or write SMaxSampleValue"
    if bounds is None:
        raise InputError(f"{name}: {tags.kind}, from {lowest:g} to {highest:g}: nothing says what is white; {remedy}")
    slack = _ROUNDING * (bounds[1] - bounds[0])
    if not (bounds[0] - slack <= lowest and highest <= bounds[1] + slack):
        said = f"white at {bounds[1]:g} and black at {bounds[0]:g}"
        raise InputError(f"{name}: {tags.kind}, from {lowest:g} to {highest:g}, with {said}; {remedy}")
    if bounds == (0, 65535) and values.dtype.itemsize == 2:
        deep = values.astype(np.uint16)
    else:
        deep = np.empty(values.shape, np.uint16)
        for row, stored in zip(deep, values, strict=True):  # a copy in 64 bits of all of it would be large
            share = (stored.astype(np.float64) - bounds[0]) / (bounds[1] - bounds[0])
            row[:] = np.rint(share.clip(0, 1) * 65535)
    if tags.photometric == WHITE_IS_ZERO:
        deep[..., :colors] = 65535 - deep[..., :colors]
    return deep
