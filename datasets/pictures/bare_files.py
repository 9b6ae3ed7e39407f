"""Picture files without what they say beside their pixels: ill-formed metadata must not keep pixels from being read."""

import struct
from collections.abc import Iterator

from PIL import ExifTags

from datasets.pictures import exif

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
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_START_OF_SCAN, _JFIF, _ADOBE, _COMMENT = 0xDA, 0xE0, 0xEE, 0xFE


def bare(content: bytes) -> bytes:
    """A PNG or JPEG of the same pixels; others as they are. What is truncated stays so."""
    if content.startswith(_PNG):
        return _PNG + b"".join(chunk for kind, chunk in png_chunks(content) if kind in _PNG_KEPT)
    return _bare_jpeg(content) if content.startswith(b"\xff\xd8\xff") else content


def png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, the whole chunk) of a PNG; the last may be truncated."""
    place = len(_PNG)
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        yield kind, content[place : place + 12 + length]
        place += 12 + length


def _bare_jpeg(content: bytes) -> bytes:
    """JFIF's and Adobe's segments say how the colours are stored, and stay."""
    kept, place = [content[:2]], 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == 0xFF:  # a filling byte
            place += 1
            continue
        if marker == _START_OF_SCAN:
            break
        end = place + 2 + int.from_bytes(content[place + 2 : place + 4], "big")
        if marker in (_JFIF, _ADOBE) or not (0xE0 <= marker <= 0xEF or marker == _COMMENT):
            kept.append(content[place:end])
        place = end
    return b"".join([*kept, content[place:]])


def bare_tiff(content: bytes, directory: exif.Directory) -> bytes:
    """A TIFF whose one directory, behind everything else, holds the layout of the first page. Not of a BigTIFF."""
    content += b"\0" * (len(content) % 2)
    layout = exif.Directory(directory.order, {tag: own for tag, own in directory.fields.items() if tag in LAYOUT})
    start = struct.pack(f"{directory.order}I", len(content))
    return content[:4] + start + content[8:] + layout.tobytes(len(content))
