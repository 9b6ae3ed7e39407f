"""What a picture file says beside its pixels: read from any format, written into any, and named where it has no place.

Nothing here decides whether a picture can be read: what is ill-formed is left out and said.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from PIL import ExifTags, PngImagePlugin

from datasets.pictures.bare_files import LAYOUT
from datasets.pictures.exif import Directory, Field, name_of, packed
from datasets.pictures.picture_file import PictureFile

ORIENTATION = int(ExifTags.Base.Orientation)
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
DESCRIPTION, XMP, IPTC, ICC = 270, 700, 33723, 34675
_PHOTOSHOP = (34377, 37724)  # its own resources and layers, which hold the gray picture once more
_OTHERS = (  # tags of a TIFF's own pixels, and those that are carried in other ways
    *("SubIFDs", "InterColorProfile", "TransferFunction", "WhitePoint", "PrimaryChromaticities"),
    *("SMinSampleValue", "SMaxSampleValue", "NewSubfileType", "SubfileType"),
)
_NOT_EXIF = LAYOUT | {int(ExifTags.Base[name]) for name in _OTHERS} | {280, 281, 290, 291, XMP, IPTC, *_PHOTOSHOP}
_LARGEST = 65533 - len("http://ns.adobe.com/xap/1.0/\0")  # bytes of a JPEG segment that are left for XMP, or for EXIF
_PNG_OWN = ("XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type xmp", "Raw profile type APP1")


@dataclass(frozen=True)
class Metadata:
    exif: Directory = field(default_factory=Directory)
    resolution: tuple[float, float] | None = None  # dots per inch, across and down
    xmp: bytes = b""
    iptc: bytes = b""  # an IIM record
    comment: str = ""
    texts: tuple[tuple[str, str], ...] = ()  # of a PNG: keyword and text

    @property
    def orientation(self) -> int:
        return int(next(iter(self.exif.numbers(ORIENTATION)), 1))

    @property
    def packed_exif(self) -> bytes | None:
        return packed(self.exif) if self.exif else None


def read(file: PictureFile, notes: list[str]) -> Metadata:
    """Of a file whose pixels were read. What cannot be kept joins `notes`, in words for the user."""
    found = Metadata()
    if file.bare:
        notes.append(f"{file.name}: what it says beside its pixels is ill-formed and left out")
    for part, what in ((_exif, "EXIF"), (_resolution, "resolution"), (_others, "XMP, IPTC or comments")):
        try:
            found = part(found, file, notes)
        except Exception:
            notes.append(f"{file.name}: its {what} cannot be read and are left out")
    return found


def _exif(found: Metadata, file: PictureFile, notes: list[str]) -> Metadata:
    tags = file.tags
    if tags.damaged:
        notes.append(f"{file.name}: EXIF that is ill-formed is left out: {', '.join(tags.damaged[:8])}")
    if tags.following and file.tiff is None:
        notes.append(f"{file.name}: its thumbnail shows the gray picture and is left out")
    if any(tag in tags.fields for tag in _PHOTOSHOP):
        notes.append(f"{file.name}: Photoshop's own resources and layers are not kept")
    kept = tags.without(_NOT_EXIF)
    if ORIENTATION in tags.fields or name_of(ORIENTATION) in tags.damaged:
        if tags.numbers(ORIENTATION) != (file.orientation,):
            notes.append(f"{file.name}: its orientation cannot be read; it is taken for upright")
        kept = kept.having(ORIENTATION, 3, file.orientation)
    elif file.orientation != 1:  # told by XMP alone
        kept = kept.having(ORIENTATION, 3, file.orientation)
    if {RESOLUTION_UNIT} == {X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT} & kept.fields.keys():
        kept = kept.without({RESOLUTION_UNIT})
    return replace(found, exif=kept)


def _resolution(found: Metadata, file: PictureFile, notes: list[str]) -> Metadata:
    dpi = _dpi(found.exif)
    if file.tiff is None and file.image is not None:
        info = file.image.info
        stored = info.get("dpi")
        if "jfif_unit" in info and info["jfif_unit"] not in (1, 2):
            stored = None  # Pillow takes EXIF's then
        if isinstance(stored, tuple) and len(stored) == 2 and all(0 < float(value) < 1e6 for value in stored):
            dpi = float(stored[0]), float(stored[1])
        across, down = info.get("aspect") or info.get("jfif_density", (1, 1)) if dpi is None else (1, 1)
        if across != down:
            notes.append(f"{file.name}: its pixels are {across}:{down} and no squares, which is not kept")
    return replace(found, resolution=dpi)


def _dpi(tags: Directory) -> tuple[float, float] | None:
    across, down, unit = (tags.numbers(tag) for tag in (X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT))
    if not across or not down or unit == (1,) or not (0 < across[0] < 1e6 and 0 < down[0] < 1e6):
        return None
    inches = 2.54 if unit == (3,) else 1.0
    return across[0] * inches, down[0] * inches


def _others(found: Metadata, file: PictureFile, notes: list[str]) -> Metadata:
    if file.tiff is not None:
        fields = file.tiff.directory.fields
        return replace(found, xmp=file.xmp, iptc=fields[IPTC].data if IPTC in fields else b"")
    info = file.image.info
    iptc = info.get("photoshop", {}).get(0x0404, b"") if file.format in ("JPEG", "MPO") else b""
    comment = info.get("comment", "")
    comment = comment.decode("utf-8", "replace") if isinstance(comment, bytes) else str(comment)
    texts: dict[str, str] = getattr(file.image, "text", {}) if file.format == "PNG" else {}
    kept = tuple((key, value) for key, value in texts.items() if key not in _PNG_OWN)
    lost = [key for key in texts if key in _PNG_OWN[2:]]
    if lost:
        notes.append(f"{file.name}: PNG text is not kept: {', '.join(lost)}")
    return replace(found, xmp=file.xmp, iptc=iptc, comment=comment.rstrip("\0"), texts=kept)


# ---- writing


def for_jpeg(found: Metadata, lose: Callable[[str], None]) -> dict[str, Any]:
    """What Pillow's `save` takes; what has no place is told to `lose`."""
    how: dict[str, Any] = _common(found)
    for key, what in (("exif", "EXIF"), ("xmp", "XMP")):
        if len(how.get(key, b"")) > _LARGEST:
            lose(f"its {what} of {len(how.pop(key))} bytes")
    if found.resolution is not None:
        how["dpi"] = tuple(min(65535, max(1, round(value))) for value in found.resolution)
    if found.comment:
        how["comment"] = found.comment.encode()[:65533]
    if found.iptc:
        record = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(found.iptc)) + found.iptc + b"\0" * (len(found.iptc) % 2)
        segment = b"Photoshop 3.0\0" + record
        if len(segment) <= 65533:
            how["extra"] = b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment
        else:
            lose("its IPTC record")
    _lose_texts(found, lose)
    return how


def for_png(found: Metadata, lose: Callable[[str], None]) -> dict[str, Any]:
    how, info = _common(found), PngImagePlugin.PngInfo()
    xmp = how.pop("xmp", b"")
    texts = [*found.texts, *([("Comment", found.comment)] if found.comment else [])]
    if xmp:
        info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    for key, text in texts:
        try:
            info.add_text(key, text)
        except (ValueError, UnicodeError):
            lose(f"its text {key!r}")
    if info.chunks:
        how["pnginfo"] = info
    if found.resolution is not None:
        how["dpi"] = found.resolution
    if found.iptc:
        lose("its IPTC record")
    return how


def for_webp(found: Metadata, lose: Callable[[str], None]) -> dict[str, Any]:
    how = _common(replace(found, exif=_with_resolution(found)))
    if found.comment:
        lose("its comment")
    if found.iptc:
        lose("its IPTC record")
    _lose_texts(found, lose)
    return how


def for_tiff(found: Metadata, lose: Callable[[str], None]) -> Directory:
    """The fields of its first directory; the writer adds those of the pixels."""
    tags = _with_resolution(found)
    if found.xmp:
        tags = replace(tags, fields=tags.fields | {XMP: Field(1, len(found.xmp), found.xmp)})
    if found.iptc:
        tags = replace(tags, fields=tags.fields | {IPTC: Field(7, len(found.iptc), found.iptc)})
    if found.comment and DESCRIPTION not in tags.fields:
        text = found.comment.encode() + b"\0"
        tags = replace(tags, fields=tags.fields | {DESCRIPTION: Field(2, len(text), text)})
    elif found.comment:
        lose("its comment")
    _lose_texts(found, lose)
    return tags


def _common(found: Metadata) -> dict[str, Any]:
    how = {"exif": found.packed_exif, "xmp": found.xmp}
    return {name: value for name, value in how.items() if value}


def _with_resolution(found: Metadata) -> Directory:
    """EXIF that also says the resolution, where the file said it elsewhere."""
    if found.resolution is None or _dpi(found.exif) is not None:
        return found.exif
    across, down = (Fraction(value).limit_denominator(10000) for value in found.resolution)
    tags = found.exif.having(X_RESOLUTION, 5, across).having(Y_RESOLUTION, 5, down)
    return tags.having(RESOLUTION_UNIT, 3, 2)


def _lose_texts(found: Metadata, lose: Callable[[str], None]) -> None:
    if found.texts:
        lose(f"its text ({', '.join(key for key, _ in found.texts)})")
