"""EXIF and the tags of TIFF files: a directory of fields, copied byte by byte, so that nothing of a field changes.

Pillow writes fields by guessing their types and replaces letters beyond ASCII; here a field keeps its type and bytes,
and one that is ill-formed is named instead of raising.
"""

import struct
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple

from PIL import ExifTags, TiffTags

HEADER = b"Exif\0\0"
XMP, IPTC, ICC = 700, 33723, 34675  # tags of a TIFF
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
LAYOUT = frozenset(  # a TIFF's tags of how its own pixels are stored
    int(ExifTags.Base[name])
    for name in (
        *("ImageWidth", "ImageLength", "BitsPerSample", "Compression", "PhotometricInterpretation", "FillOrder"),
        *("StripOffsets", "SamplesPerPixel", "RowsPerStrip", "StripByteCounts", "PlanarConfiguration", "Predictor"),
        *("ColorMap", "TileWidth", "TileLength", "TileOffsets", "TileByteCounts", "InkSet", "NumberOfInks"),
        *("ExtraSamples", "SampleFormat", "JPEGTables", "JPEGProc", "JpegIFOffset", "JpegIFByteCount"),
        *("YCbCrCoefficients", "YCbCrSubSampling", "YCbCrPositioning", "ReferenceBlackWhite", "DotRange"),
    )
) | {292, 293}  # of fax compression
_LETTERS = {  # TIFF's number of a type: `struct`'s letters for a value
    **{1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii", 11: "f", 12: "d", 13: "I"},
    **{16: "Q", 17: "q", 18: "Q", 129: "s"},
}
_SIZES = {kind: struct.calcsize(f"={letters}") for kind, letters in _LETTERS.items()}  # bytes of a value
_KINDS = {2: "text", 5: "ratio", 10: "ratio", 7: "any", 11: "float", 12: "float", 129: "text"}  # the rest: "int"
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

    def numbers(self, tag: int) -> tuple[float, ...]:
        """Whole numbers as int, ratios and floating ones as float (not a number where a ratio is none); () where the
        field is not there or holds no numbers."""
        kind, _, data = self.fields.get(tag, Field(2, 0, b""))
        if _LETTERS[kind] == "s":
            return ()
        values = struct.iter_unpack(f"{self.order}{_LETTERS[kind]}", data)
        return tuple(v[0] if len(v) == 1 else v[0] / v[1] if v[1] else float("nan") for v in values)

    def data(self, tag: int) -> bytes:
        return self.fields[tag].data if tag in self.fields else b""

    def without(self, tags: frozenset[int] | set[int]) -> "Directory":
        fields, parts = ({tag: own[tag] for tag in own.keys() - tags} for own in (self.fields, self.parts))
        return replace(self, fields=fields, parts=parts)

    def having(self, tag: int, kind: int, *values: float | Fraction) -> "Directory":
        """With a field of whole numbers, or of ratios where kind is 5."""
        parts = [Fraction(value).as_integer_ratio() if kind == 5 else (int(value),) for value in values]
        data = b"".join(struct.pack(f"{self.order}{_LETTERS[kind]}", *part) for part in parts)
        return self.holding(tag, kind, data)

    def holding(self, tag: int, kind: int, data: bytes) -> "Directory":
        """With a field of these bytes."""
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

    def layout(self, content: bytes) -> bytes:
        """A TIFF of the same pixels that says nothing else: its one directory, behind all of `content`, has the fields
        of the pixels' layout, those of a BigTIFF in 32 bits."""
        content += b"\0" * (len(content) % 2)
        own = Directory(self.order, {tag: found for tag, found in self.fields.items() if tag in LAYOUT})
        for tag, found in own.fields.items():
            if found.type in (16, 18):
                own = own.having(tag, 4, *own.numbers(tag))
        return header(self.order, len(content)) + content[8:] + own.tobytes(len(content))


def header(order: str, start: int = 8) -> bytes:
    """Of a TIFF file, or of EXIF, whose first directory begins at the byte `start`."""
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", start)


def packed(directory: Directory) -> bytes:
    """As JPEG, PNG and WebP hold EXIF, Pillow's `exif`."""
    return HEADER + header(directory.order) + directory.tobytes()


def read(data: bytes) -> Directory:
    """data: a TIFF file or EXIF. Nothing raises: what cannot be read is left out, and named in `damaged`."""
    while data.startswith(HEADER):
        data = data[len(HEADER) :]
    if not data:
        return Directory()
    order, big = "<" if data[:1] == b"I" else ">", 43 in data[2:4]
    try:
        if not data.startswith(TIFF_MAGIC):
            raise struct.error("no TIFF")
        start = struct.unpack_from(f"{order}Q", data, 8)[0] if big else struct.unpack_from(f"{order}I", data, 4)[0]
        return _directory(data, start, order, big, None)
    except struct.error:
        return Directory(order, damaged=("all of it",))


def _directory(data: bytes, start: int, order: str, big: bool, group: int | None) -> Directory:
    """Raises struct.error where there is none at byte `start`."""
    count_code, pointer, entry = ("Q", f"{order}Q", f"{order}HHQ8s") if big else ("H", f"{order}I", f"{order}HHI4s")
    (count,) = struct.unpack_from(f"{order}{count_code}", data, start)
    if count > _MOST:
        raise struct.error("more fields than a directory has")
    fields, parts, damaged = {}, {}, []
    begin, size = start + struct.calcsize(f"={count_code}"), struct.calcsize(entry)
    end = begin + count * size
    for place in range(begin, end, size):
        if place + size > len(data):
            damaged.append("what follows its end")
            break
        tag, kind, values, inline = struct.unpack_from(entry, data, place)
        length = values * _SIZES.get(kind, 0)
        if length > len(inline):
            (offset,) = struct.unpack(pointer, inline)
            found = Field(kind, values, data[offset : offset + length])
        else:
            found = Field(kind, values, inline[:length])
        if not length or len(found.data) != length:
            damaged.append(name_of(tag, group))
        elif tag in _PARTS.get(group, ()):
            try:
                if kind not in (4, 13, 16, 18) or values != 1:
                    raise struct.error("no pointer")
                parts[tag] = _directory(data, *Directory(order, {tag: found}).numbers(tag), order, big, tag)
                damaged += parts[tag].damaged
            except struct.error:
                damaged.append(name_of(tag, group))
        elif _fits(found, tag, group):
            fields[tag] = found
        else:
            damaged.append(name_of(tag, group))
    following = data[end : end + len(struct.pack(pointer, 0))].strip(b"\0") != b""
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
