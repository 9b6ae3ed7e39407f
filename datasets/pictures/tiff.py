"""Pixels of a TIFF file whose meaning or depth Pillow would lose: 9 to 64 bits, signed, floating, white as zero.

tifffile decodes them; what the numbers mean is decided here, by the file's tags and by nothing else.

    white    65535 is the largest number of the type, SMaxSampleValue or, of 10 or 12 bits in 16, MaxSampleValue; of
             floating numbers it is 1.0. Signed numbers, and floating ones beyond [0, 1], say nothing and are refused.

H, W sides as stored; C samples of a pixel.
"""

import io
import math
import operator

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin

from datasets.pictures import exif
from utils.errors import InputError

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 256, 257, 258, 259, 262, 277
_MAX_SAMPLE, _EXTRA, _FORMAT, _LOWEST, _HIGHEST = 281, 338, 339, 340, 341
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
UNSIGNED, _SIGNED, _FLOATING = 1, 2, 3
_KINDS = {UNSIGNED: "whole numbers", _SIGNED: "signed numbers", _FLOATING: "floating numbers"}
_ROUNDING = 1e-4  # by which a floating number may miss [0, 1]
_DARK = 4095  # the brightest value of 16 bits up to which they may be 12: this is said
_COMPRESSIONS = (1, 5, 8, 32946, 32773)  # none, LZW, deflate twice, PackBits: no decoder beyond what a file claims
_LARGEST_TILE = 1 << 30  # bytes
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
        self.compression = number(_COMPRESSION, 1)
        self.extra = tuple(map(int, directory.numbers(_EXTRA)))
        self.kind = f"{self.bits} bits, {_KINDS.get(self.format, f'sample format {self.format}')}"
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
    if tags.samples < colors or tags.samples * tags.bits > _MOST_BITS:
        raise InputError(f"{name}: {tags.samples} samples a pixel, {tags.kind}, are not read; save it as gray or RGB")
    if tags.format not in _KINDS:
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
    import tifffile  # takes a tenth of a second, which few pictures should pay for

    try:
        with tifffile.TiffFile(io.BytesIO(tags.directory.layout(content))) as file:
            page = file.pages[0]
            if max(map(operator.add, page.dataoffsets, page.databytecounts), default=0) > len(content):
                raise InputError(f"{tags.name}: is truncated; pass a whole TIFF file")
            if tags.compression not in _COMPRESSIONS or math.prod(page.chunks) * page.dtype.itemsize > _LARGEST_TILE:
                raise ValueError("not supported")
            values = page.asarray(squeeze=False)  # (planes, 1, H, W, samples of a plane)
        return np.moveaxis(values[:, 0], 0, 2).reshape(tags.height, tags.width, tags.samples)
    except InputError:
        raise
    except Exception as error:  # decoders raise many kinds
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
