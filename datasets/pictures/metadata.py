"""What a picture file says beside its pixels: read from any format, written into any, and named where it has no place.

Nothing here decides whether a picture can be read: what is ill-formed is left out and said.
"""

import struct
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from PIL import ExifTags, PngImagePlugin

from datasets.pictures import exif
from datasets.pictures.exif import IPTC, XMP, Directory, name_of
from datasets.pictures.picture_file import PictureFile

ORIENTATION = int(ExifTags.Base.Orientation)
DESCRIPTION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 270, 282, 283, 296
_PHOTOSHOP = (34377, 37724)  # its own resources and layers, which hold the gray picture once more
_OTHERS = (  # tags of a TIFF's own pixels, and those that are carried in other ways
    *("SubIFDs", "InterColorProfile", "TransferFunction", "WhitePoint", "PrimaryChromaticities"),
    *("SMinSampleValue", "SMaxSampleValue", "NewSubfileType", "SubfileType"),
)
_NOT_EXIF = exif.LAYOUT | {int(ExifTags.Base[name]) for name in _OTHERS} | {280, 281, 290, 291, XMP, IPTC, *_PHOTOSHOP}
_SEGMENT = 65533  # bytes of a JPEG segment
_LARGEST = _SEGMENT - len("http://ns.adobe.com/xap/1.0/\0")  # that are left for XMP, or for EXIF
_PNG_OWN = ("XML:com.adobe.xmp", "Raw profile type exif", "Raw profile type xmp", "Raw profile type APP1")


@dataclass
class Metadata:
    exif: Directory = field(default_factory=Directory)
    resolution: tuple[float, float] | None = None  # dots per inch, across and down
    xmp: bytes = b""
    iptc: bytes = b""  # an IIM record
    comment: str = ""
    texts: dict[str, str] = field(default_factory=dict)  # of a PNG, by keyword

    @property
    def packed_exif(self) -> bytes:
        return exif.packed(self.exif) if self.exif.fields or self.exif.parts else b""


# ---- reading


def read(file: PictureFile, notes: list[str]) -> Metadata:
    """Of a file whose pixels were read. What cannot be kept joins `notes`, in words for the user."""
    found = Metadata()
    if file.bare:
        notes.append(f"{file.name}: what it says beside its pixels is ill-formed and left out")
    for part, what in ((_exif, "EXIF"), (_resolution, "resolution"), (_others, "XMP, IPTC or comments")):
        try:
            part(found, file, notes)
        except Exception:
            notes.append(f"{file.name}: its {what} cannot be read and are left out")
    return found


def _exif(found: Metadata, file: PictureFile, notes: list[str]) -> None:
    tags = file.tags
    if tags.damaged:
        notes.append(f"{file.name}: EXIF that is ill-formed is left out: {', '.join(tags.damaged[:8])}")
    if tags.following and file.tiff is None:
        notes.append(f"{file.name}: its thumbnail shows the gray picture and is left out")
    if any(tag in tags.fields for tag in _PHOTOSHOP):
        notes.append(f"{file.name}: Photoshop's own resources and layers are not kept")
    kept = tags.without(_NOT_EXIF)
    said = ORIENTATION in tags.fields or name_of(ORIENTATION) in tags.damaged
    if said and tags.numbers(ORIENTATION) != (file.orientation,):
        notes.append(f"{file.name}: its orientation cannot be read; it is taken for upright")
    if said or file.orientation != 1:  # which XMP alone may tell
        kept = kept.having(ORIENTATION, 3, file.orientation)
    if not {X_RESOLUTION, Y_RESOLUTION} & kept.fields.keys():
        kept = kept.without({RESOLUTION_UNIT})
    found.exif = kept


def _resolution(found: Metadata, file: PictureFile, notes: list[str]) -> None:
    found.resolution = _dpi(found.exif)
    if file.tiff is not None:
        return
    info = file.image.info
    stored = info.get("dpi") if info.get("jfif_unit", 1) in (1, 2) else None  # without a unit Pillow takes EXIF's
    if isinstance(stored, tuple) and len(stored) == 2 and all(0 < float(value) < 1e6 for value in stored):
        found.resolution = float(stored[0]), float(stored[1])
    if found.resolution is None:
        across, down = info.get("aspect") or info.get("jfif_density", (1, 1))
        if across != down:
            notes.append(f"{file.name}: its pixels are {across}:{down} and no squares, which is not kept")


def _dpi(tags: Directory) -> tuple[float, float] | None:
    across, down, unit = (tags.numbers(tag) for tag in (X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT))
    if not across or not down or unit == (1,) or not (0 < across[0] < 1e6 and 0 < down[0] < 1e6):
        return None
    inches = 2.54 if unit == (3,) else 1.0
    return across[0] * inches, down[0] * inches


def _others(found: Metadata, file: PictureFile, notes: list[str]) -> None:
    found.xmp = file.xmp
    if file.tiff is not None:
        found.iptc = file.tags.data(IPTC)
        return
    info = file.image.info
    if file.format in ("JPEG", "MPO"):
        found.iptc = info.get("photoshop", {}).get(0x0404, b"")
    comment = info.get("comment", "")
    found.comment = (comment.decode("utf-8", "replace") if isinstance(comment, bytes) else str(comment)).rstrip("\0")
    texts: dict[str, str] = getattr(file.image, "text", {}) if file.format == "PNG" else {}
    found.texts = {key: value for key, value in texts.items() if key not in _PNG_OWN}
    lost = [key for key in texts if key in _PNG_OWN[2:]]
    if lost:
        notes.append(f"{file.name}: PNG text is not kept: {', '.join(lost)}")


# ---- writing: what has no place is added to `lost`, in words for the user


def for_pillow(found: Metadata, kind: str, lost: list[str]) -> dict[str, Any]:
    """What Pillow's `save` takes of it; kind: "JPEG", "PNG" or "WebP"."""
    how: dict[str, Any] = {"exif": found.packed_exif, "xmp": found.xmp}
    if kind == "PNG":
        how |= {"dpi": found.resolution, "pnginfo": _png_info(found, lost), "xmp": b""}
    elif kind == "WebP":
        how["exif"] = Metadata(_with_resolution(found)).packed_exif
    else:
        if found.resolution is not None:
            how["dpi"] = tuple(min(65535, max(1, round(value))) for value in found.resolution)
        how |= {"comment": found.comment.encode()[:_SEGMENT], "extra": _iptc_segment(found.iptc)}
        for key, what in (("exif", "EXIF"), ("xmp", "XMP")):
            if len(how[key]) > _LARGEST:
                lost.append(f"its {what} of {len(how.pop(key))} bytes")
    if found.iptc and not how.get("extra"):
        lost.append("its IPTC record")
    if found.comment and kind == "WebP":
        lost.append("its comment")
    if found.texts and kind != "PNG":
        lost.append(f"its text ({', '.join(found.texts)})")
    return {name: value for name, value in how.items() if value}


def _png_info(found: Metadata, lost: list[str]) -> PngImagePlugin.PngInfo | None:
    info = PngImagePlugin.PngInfo()
    if found.xmp:
        info.add_itxt("XML:com.adobe.xmp", found.xmp.decode("utf-8", "replace"))
    for key, text in [*found.texts.items(), ("Comment", found.comment)]:
        try:
            if text or key in found.texts:
                info.add_text(key, text)
        except (ValueError, UnicodeError):
            lost.append(f"its text {key!r}")
    return info if info.chunks else None


def _iptc_segment(iptc: bytes) -> bytes:
    """A JPEG's segment of Photoshop; b"" where it does not hold the record."""
    segment = b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc + b"\0" * (len(iptc) % 2)
    fits = iptc and len(segment) <= _SEGMENT
    return b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment if fits else b""


def for_tiff(found: Metadata, lost: list[str]) -> Directory:
    """The fields of its first directory; the writer adds those of the pixels."""
    tags = _with_resolution(found)
    for tag, kind, data in ((XMP, 1, found.xmp), (IPTC, 7, found.iptc)):
        if data:
            tags = tags.holding(tag, kind, data)
    if found.comment and DESCRIPTION in tags.fields:
        lost.append("its comment")
    elif found.comment:
        tags = tags.holding(DESCRIPTION, 2, found.comment.encode() + b"\0")
    if found.texts:
        lost.append(f"its text ({', '.join(found.texts)})")
    return tags


def _with_resolution(found: Metadata) -> Directory:
    """EXIF that also says the resolution, where the file said it elsewhere."""
    if found.resolution is None or _dpi(found.exif) is not None:
        return found.exif
    across, down = (Fraction(value).limit_denominator(10000) for value in found.resolution)
    tags = found.exif.having(X_RESOLUTION, 5, across).having(Y_RESOLUTION, 5, down)
    return tags.having(RESOLUTION_UNIT, 3, 2)
