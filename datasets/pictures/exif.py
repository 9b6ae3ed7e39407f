"""EXIF and the tags of TIFF files: one directory of fields, copied byte by byte, so that nothing of a field changes.

Pillow writes fields by guessing their types and replaces letters beyond ASCII; here a field keeps its type and bytes,
and one that is ill-formed is named instead of raising.
"""

import contextlib
import struct
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

from PIL import ExifTags, TiffTags

HEADER = b"Exif\0\0"
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8, 129: 1}
_KINDS = {2: "text", 5: "ratio", 10: "ratio", 7: "any", 11: "float", 12: "float", 129: "text"}  # the rest: "int"
_NUMBERS = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 11: "f", 12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q"}
_MOST = 4096  # fields of a directory; more is no directory
_PARTS = {None: (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo), ExifTags.IFD.Exif: (ExifTags.IFD.Interop,)}


class Field(NamedTuple):
    type: int  # TIFF's number of it
    count: int
    data: bytes  # in the directory's byte order


@dataclass(frozen=True)
class Directory:
    order: str = "<"  # byte order, as `struct` calls it
    fields: dict[int, Field] = field(default_factory=dict)
    parts: dict[int, "Directory"] = field(default_factory=dict)  # by the tag that points to them
    damaged: tuple[str, ...] = ()  # names of the fields that are left out, of the parts too
    following: bool = False  # another directory follows: a thumbnail, or a page

    def __bool__(self) -> bool:
        return bool(self.fields or self.parts)

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Whole numbers as int, ratios and floating ones as float (not a number where a ratio is none); () where the
        field is not there or holds no numbers."""
        kind, _, data = self.fields.get(tag, Field(0, 0, b""))
        if kind in (5, 10):
            values = struct.unpack(f"{self.order}{len(data) // 4}{'I' if kind == 5 else 'i'}", data)
            return tuple(a / b if b else float("nan") for a, b in zip(values[::2], values[1::2], strict=True))
        if kind not in _NUMBERS:
            return ()
        return struct.unpack(f"{self.order}{len(data) // _SIZES[kind]}{_NUMBERS[kind]}", data)

    def text(self, tag: int) -> str:
        return self.fields[tag].data.split(b"\0")[0].decode("utf-8", "replace") if tag in self.fields else ""

    def without(self, tags: frozenset[int] | set[int]) -> "Directory":
        return replace(
            self,
            fields={tag: own for tag, own in self.fields.items() if tag not in tags},
            parts={tag: own for tag, own in self.parts.items() if tag not in tags},
        )

    def having(self, tag: int, kind: int, *values: int | Fraction) -> "Directory":
        """With a field of whole numbers, or of ratios where kind is 5."""
        if kind == 5:
            values = tuple(part for value in values for part in Fraction(value).as_integer_ratio())
        data = struct.pack(f"{self.order}{len(values)}{'I' if kind == 5 else _NUMBERS[kind]}", *values)
        return replace(self, fields=self.fields | {tag: Field(kind, len(data) // _SIZES[kind], data)})

    def tobytes(self, offset: int = 8) -> bytes:
        """As it stands in a file from the byte `offset` on, its parts behind it."""
        tags = sorted(self.fields.keys() | self.parts.keys())
        table, behind = b"", b""
        end = offset + 2 + 12 * len(tags) + 4
        for tag in tags:
            if tag in self.parts:
                kind, count, data = 4, 1, struct.pack(f"{self.order}I", end + len(behind))
                behind += self.parts[tag].tobytes(end + len(behind))
            else:
                kind, count, data = self.fields[tag]
            if len(data) > 4:
                place = struct.pack(f"{self.order}I", end + len(behind))
                behind += data
            else:
                place = data.ljust(4, b"\0")
            behind += b"\0" * (len(behind) % 2)
            table += struct.pack(f"{self.order}HHI", tag, kind, count) + place
        return struct.pack(f"{self.order}H", len(tags)) + table + b"\0" * 4 + behind


def header(order: str) -> bytes:
    """Of a TIFF file, or of EXIF, whose first directory follows at byte 8."""
    return b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"


def packed(directory: Directory) -> bytes:
    """As JPEG, PNG and WebP hold EXIF, Pillow's `exif`."""
    return HEADER + header(directory.order) + directory.tobytes()


def read(data: bytes) -> Directory:
    """data: a TIFF file or EXIF. Nothing raises: what cannot be read is left out, and named in `damaged`."""
    while data.startswith(HEADER):
        data = data[len(HEADER) :]
    if not data:
        return Directory()
    if not data.startswith(TIFF_MAGIC):
        return Directory(damaged=("all of it",))
    order = "<" if data[:1] == b"I" else ">"
    big = 43 in data[2:4]
    try:
        start = struct.unpack_from(f"{order}Q", data, 8)[0] if big else struct.unpack_from(f"{order}I", data, 4)[0]
        return _directory(data, start, order, big, None)
    except struct.error:
        return Directory(order, damaged=("all of it",))


def pages(data: bytes) -> int:
    """Directories that follow each other in a TIFF file, 1 at least."""
    order, big = "<" if data[:1] == b"I" else ">", 43 in data[2:4]
    pointer, count_code, size = ("Q", "Q", 20) if big else ("I", "H", 12)
    place, seen = 8 if big else 4, set()
    with contextlib.suppress(struct.error):
        while start := struct.unpack_from(f"{order}{pointer}", data, place)[0]:
            (count,) = struct.unpack_from(f"{order}{count_code}", data, start)
            if start in seen or not 0 < count <= _MOST:
                break
            seen.add(start)
            place = start + struct.calcsize(f"={count_code}") + count * size
    return max(1, len(seen))


def _directory(data: bytes, start: int, order: str, big: bool, group: int | None) -> Directory:
    """Raises struct.error where there is none at byte `start`."""
    count_size, size, entry = (8, 20, f"{order}HHQ8s") if big else (2, 12, f"{order}HHI4s")
    (count,) = struct.unpack_from(f"{order}{'Q' if big else 'H'}", data, start)
    if count > _MOST:
        raise struct.error("more fields than a directory has")
    fields, parts, damaged, following = {}, {}, [], False
    for place in range(start + count_size, start + count_size + count * size, size):
        try:
            tag, kind, values, inline = struct.unpack_from(entry, data, place)
        except struct.error:
            damaged.append("what follows its end")
            break
        length = values * _SIZES.get(kind, 0)
        if length > len(inline):
            (offset,) = struct.unpack(f"{order}{'Q' if big else 'I'}", inline)
            content = data[offset : offset + length]
        else:
            content = inline[:length]
        found = Field(kind, values, content)
        if not length or len(content) != length:
            damaged.append(name_of(tag, group))
        elif tag in _PARTS.get(group, ()):
            try:
                (offset,) = Directory(order, {tag: found}).numbers(tag)
                if kind not in (4, 13, 16, 18):
                    raise ValueError("no pointer")
                parts[tag] = _directory(data, offset, order, big, tag)
                damaged += parts[tag].damaged
            except (struct.error, ValueError, TypeError):
                damaged.append(name_of(tag, group))
        elif not _fits(found, tag, group):
            damaged.append(name_of(tag, group))
        else:
            fields[tag] = found
    else:
        end = start + count_size + count * size
        following = data[end : end + count_size * (1 if big else 2)].strip(b"\0") != b""
    return Directory(order, fields, parts, tuple(dict.fromkeys(damaged)), following)


def _fits(found: Field, tag: int, group: int | None) -> bool:
    """A known field has the type and the number of values that it ought to have."""
    known = TiffTags.lookup(tag, group)
    if not known.type:
        return True
    ours, theirs = (_KINDS.get(kind, "int") for kind in (found.type, known.type))
    if ours != theirs and "any" not in (ours, theirs) and {ours, theirs} != {"int", "float"}:
        return False
    return not known.length or ours in ("text", "any") or theirs == "any" or found.count == known.length


def name_of(tag: int, group: int | None = None) -> str:
    """As the standard calls a field; GPS fields share numbers with others."""
    if group == ExifTags.IFD.GPSInfo:
        return ExifTags.GPSTAGS.get(tag, f"GPS field {tag}")
    return ExifTags.TAGS.get(tag) or TiffTags.lookup(tag, group).name.replace("unknown", f"field {tag}")
