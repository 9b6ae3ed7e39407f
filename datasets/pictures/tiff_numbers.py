"""The numbers of a TIFF file whose meaning or depth Pillow would lose: 9 to 64 bits, signed, floating, white as zero.

H, W sides as stored; C samples of a pixel. Pillow's libtiff decompresses, whatever the compression; what the bytes mean
is decided here, by what the file's tags say and by nothing else.

    white    65535 is the largest number of the type, SMaxSampleValue or, of 10 or 12 bits in 16, MaxSampleValue; of
             floating numbers it is 1.0. Signed numbers, and floating ones beyond [0, 1], say nothing and are refused.
"""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from datasets.pictures import exif
from utils.errors import InputError

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _ROWS, _COUNTS, _PLANAR, _PREDICTOR, _FILL_ORDER = 273, 277, 278, 279, 284, 317, 266
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_COUNTS = 322, 323, 324, 325
_EXTRA, _FORMAT, _LOWEST, _HIGHEST, _MAX_SAMPLE = 338, 339, 340, 341, 281
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
UNSIGNED, SIGNED, FLOATING = 1, 2, 3
_ROUNDING = 1e-4  # by which a floating number may miss [0, 1]
_DARK = 4095  # the brightest value of 16 bits up to which they may be 12: this is said
_MOST_BITS = 192  # of a pixel: three floating numbers of 64
_AT_ONCE = 1 << 24  # bytes that are decompressed, and at least a strip


class Tags:
    """What the first directory of a TIFF file says of its pixels. Raises InputError where it makes no sense."""

    def __init__(self, directory: exif.Directory, name: str) -> None:
        self.directory, self.name = directory, name

        def number(tag: int, default: int) -> int:
            return int(next(iter(directory.numbers(tag)), default))

        self.width, self.height = number(WIDTH, 0), number(HEIGHT, 0)
        self.samples = number(_SAMPLES, 1)
        self.compression, self.planar = number(COMPRESSION, 1), number(_PLANAR, 1) == 2
        self.photometric = number(PHOTOMETRIC, BLACK_IS_ZERO)
        self.bits = self._one(BITS, 1)
        self.format = self._one(_FORMAT, UNSIGNED)
        self.predictor = number(_PREDICTOR, 1)
        self.fill_order = number(_FILL_ORDER, 1)
        self.extra = tuple(map(int, directory.numbers(_EXTRA)))
        if self.width <= 0 or self.height <= 0:
            raise InputError(f"{name}: is {self.width}x{self.height} pixels; pass a whole TIFF file")

    def _one(self, tag: int, default: int) -> int:
        """A number that all samples share; 0 where they differ."""
        values = set(self.directory.numbers(tag)) or {default}
        return int(values.pop()) if len(values) == 1 else 0

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
        raise InputError(f"{name}: {_kind(tags)} of photometric interpretation {tags.photometric}; save it as RGB")
    if tags.samples < colors or tags.samples * tags.bits > _MOST_BITS:
        raise InputError(f"{name}: {tags.samples} samples a pixel, {_kind(tags)} are not read; save it as gray or RGB")
    values = _samples(content, tags)
    if tags.samples > colors + bool(tags.extra):
        notes.append(f"{name}: has {tags.samples} channels; those beyond colours and transparency are not kept")
    deep = _scaled(values[..., : colors + bool(tags.extra)], tags, colors, notes)
    pixels, alpha = deep[..., :colors], None
    if tags.extra[:1] in ((1,), (2,)):
        alpha = np.ascontiguousarray(deep[..., colors])
        if tags.extra[0] == 1:  # the colours are multiplied by it
            opaque = np.maximum(alpha, 1)[..., None]
            pixels = np.minimum(np.rint(pixels * (65535.0 / opaque)), 65535).astype(np.uint16)
    return np.ascontiguousarray(pixels[..., 0] if colors == 1 else pixels), alpha


def _kind(tags: Tags) -> str:
    what = {UNSIGNED: "whole numbers", SIGNED: "signed numbers", FLOATING: "floating numbers"}
    return f"{tags.bits} bits, {what.get(tags.format, f'sample format {tags.format}')},"


def _scaled(values: NDArray, tags: Tags, colors: int, notes: list[str]) -> NDArray:
    """(H, W, C) -> uint16 with black at 0 and white at 65535; transparency is no colour and keeps its direction."""
    name, bounds = tags.name, tags.white()
    lowest, highest = float(values.min()), float(values.max())  # not a number where one is none
    if bounds is None and tags.format == FLOATING:
        bounds = 0.0, 1.0
    elif bounds is None and tags.format == UNSIGNED:
        bounds = 0, 2**tags.bits - 1
        if tags.bits == 16 and 0 < highest <= _DARK:
            notes.append(f"{name}: its brightest value is {highest:.0f} of 65535; if that is white, say so in its tags")
        elif tags.bits > 16 and highest <= 65535:
            bounds = None
    remedy = "scale it to 16 bits without sign, or to floating numbers from 0 to 1, or write SMaxSampleValue"
    if bounds is None:
        raise InputError(f"{name}: {_kind(tags)} from {lowest:g} to {highest:g}: nothing says what is white; {remedy}")
    slack = _ROUNDING * (bounds[1] - bounds[0])
    if not (bounds[0] - slack <= lowest and highest <= bounds[1] + slack):
        said = f"white at {bounds[1]:g} and black at {bounds[0]:g}"
        raise InputError(f"{name}: {_kind(tags)} from {lowest:g} to {highest:g}, with {said}; {remedy}")
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


def _samples(content: bytes, tags: Tags) -> NDArray:
    """(H, W, C) of the file's own type."""
    directory = tags.directory
    tiled = bool(directory.numbers(_TILES))
    offsets = directory.numbers(_TILES if tiled else _STRIPS)
    counts = directory.numbers(_TILE_COUNTS if tiled else _COUNTS)
    if not offsets or len(offsets) != len(counts):
        raise InputError(f"{tags.name}: does not say where its pixels lie; pass a whole TIFF file")
    if any(offset + count > len(content) for offset, count in zip(offsets, counts, strict=True)):
        raise InputError(f"{tags.name}: is truncated; pass a whole TIFF file")
    planes = tags.samples if tags.planar else 1
    share = len(offsets) // planes
    values = []
    for plane in range(planes):
        own = slice(plane * share, (plane + 1) * share)
        parts = [content[o : o + n] for o, n in zip(offsets[own], counts[own], strict=True)]
        values.append(_plane(parts, tags, tiled, tags.samples // planes))
    return np.concatenate(values, axis=2)


def _plane(parts: list[bytes], tags: Tags, tiled: bool, samples: int) -> NDArray:
    """(H, W, samples) of strips, or of tiles, which are strips of a narrower picture that is cut up."""
    first = tags.directory.numbers
    if tiled:
        width, rows = int(first(_TILE_WIDTH)[0]), int(first(_TILE_HEIGHT)[0])
    else:
        width, rows = tags.width, int(min(*first(_ROWS), tags.height, tags.height))
    across, down = -(-tags.width // width), -(-tags.height // rows)
    row_bytes = -(-width * samples * tags.bits // 8)
    total = down * rows * across if tiled else tags.height
    if len(parts) != across * down:
        raise InputError(f"{tags.name}: {len(parts)} parts where {across * down} are needed; pass a whole TIFF file")
    step = max(1, _AT_ONCE // (rows * row_bytes))
    raw = [
        _decompressed(parts[start : start + step], tags, rows, min(step * rows, total - start * rows), row_bytes)
        for start in range(0, len(parts), step)
    ]
    values = _numbers(np.concatenate(raw), tags, width, samples)
    if tiled:
        values = values.reshape(down, across, rows, width, samples).swapaxes(1, 2)
    return values.reshape(-1, across * width, samples)[: tags.height, : tags.width]


def _decompressed(parts: list[bytes], tags: Tags, rows: int, height: int, row_bytes: int) -> NDArray:
    """Strips of `rows` rows, `height` in all -> (height, row_bytes) uint8.

    Each byte is taken for a gray pixel, or four of them for one of four inks: of these Pillow takes more.
    """
    if tags.compression == 1 and tags.fill_order == 1:
        raw = np.concatenate([np.frombuffer(part, np.uint8) for part in parts])
        if raw.size < height * row_bytes:
            raise InputError(f"{tags.name}: is truncated; pass a whole TIFF file")
        return raw[: height * row_bytes].reshape(height, row_bytes)
    inks = 4 if row_bytes % 4 == 0 else 1
    wrapped = exif.Directory("<").having(BITS, 3, *[8] * inks).having(PHOTOMETRIC, 3, 5 if inks == 4 else BLACK_IS_ZERO)
    layout = {WIDTH: row_bytes // inks, HEIGHT: height, COMPRESSION: tags.compression, _ROWS: rows, _SAMPLES: inks}
    layout |= {_FILL_ORDER: tags.fill_order, _COUNTS: tuple(map(len, parts)), _STRIPS: (0,) * len(parts)}
    for tag, value in layout.items():
        wrapped = wrapped.having(tag, 4, *(value if isinstance(value, tuple) else (value,)))
    ends = np.cumsum([8 + len(wrapped.tobytes()), *map(len, parts)]).tolist()
    file = io.BytesIO(exif.header("<") + wrapped.having(_STRIPS, 4, *ends[:-1]).tobytes() + b"".join(parts))
    try:
        with Image.open(file, formats=("TIFF",)) as image:
            return np.asarray(image).reshape(height, row_bytes)
    except Exception as error:
        how = TiffImagePlugin.COMPRESSION_INFO.get(tags.compression, tags.compression)
        raise InputError(
            f"{tags.name}: cannot be decompressed ({how}); save it without compression, or pass a whole file"
        ) from error


def _numbers(raw: NDArray, tags: Tags, width: int, samples: int) -> NDArray:
    """raw: (rows, bytes of a row) -> (rows, width, samples) of the file's own type."""
    shape = (len(raw), width, samples)
    if tags.predictor == 3:  # of floating numbers: differences of bytes, the highest byte of all numbers first
        size = tags.bits // 8
        raw = np.cumsum(raw.reshape(len(raw), -1, samples), axis=1, dtype=np.uint8).reshape(len(raw), size, -1)
        return np.ascontiguousarray(raw.swapaxes(1, 2)).view(f">f{size}").reshape(shape)
    letter = {UNSIGNED: "u", SIGNED: "i", FLOATING: "f"}.get(tags.format)
    if letter is not None and tags.bits in ((16, 32, 64) if letter == "f" else (8, 16, 32, 64)):
        values = np.ascontiguousarray(raw).view(f"{tags.directory.order}{letter}{tags.bits // 8}").reshape(shape)
    elif letter == "u" and 1 <= tags.bits < 16:  # packed, the highest bit first
        bits = np.unpackbits(raw, axis=1)[..., : width * samples * tags.bits].reshape(*shape, tags.bits)
        values = bits @ (1 << np.arange(tags.bits - 1, -1, -1)).astype(np.uint16)
    else:
        raise InputError(f"{tags.name}: {_kind(tags)} cannot be read; save it with 16 bits")
    if tags.predictor == 2:  # differences of neighbours
        values = np.cumsum(values, axis=1, dtype=values.dtype.newbyteorder("="))
    return values
