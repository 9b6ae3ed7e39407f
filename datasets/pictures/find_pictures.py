"""Which files of a folder are photographs: one rule for every room.

A folder is searched with its sub-folders, linked ones too; every real folder once, so links that lead back end. Hidden
names, and what systems and cameras leave beside photographs, are none. Of the others the ending says whether they can
be opened here; where there is no ending, the contents do.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from datasets.pictures.formats import ENDINGS, openable
from datasets.pictures.picture_file import format_of

_COMPANIONS = frozenset({"__macosx", "@eadir", "$recycle.bin", "lost+found", "system volume information"})
_OTHERS = frozenset(  # endings of photographs that other programs open: left out too, but not as if they were none
    (
        *(".heic", ".heif", ".hif", ".heics", ".heifs", ".avif", ".avifs", ".webp", ".jxl", ".jxr", ".wdp", ".hdp"),
        *(".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".psb", ".xcf", ".exr", ".hdr", ".bpg", ".dng", ".cr2"),
        *(".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2", ".pef", ".ptx", ".srw"),
        *(".x3f", ".3fr", ".fff", ".iiq", ".mos", ".mef", ".mrw", ".erf", ".kdc", ".dcr", ".gpr", ".rwl"),
    )
) - {*ENDINGS}
_SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Found:
    """What a folder holds. Paths lie below the folder as it was given, in alphabetical order."""

    folder: Path
    pictures: list[Path] = field(default_factory=list)  # by their names; reading finds out whether they are
    unopened: list[Path] = field(default_factory=list)  # photographs of formats that cannot be opened here
    others: Counter[str] = field(default_factory=Counter)  # number of the other files by their endings, lower case
    unlisted: list[str] = field(default_factory=list)  # folders that could not be looked into, and why

    def add(self, path: Path) -> None:
        """A file, by its name's ending, or by its contents where there is none."""
        ending = path.suffix.lower()
        if openable(path) or (not ending and format_of(path) is not None):
            self.pictures.append(path)
        elif ending in _OTHERS:
            self.unopened.append(path)
        else:
            self.others[ending or "without an ending"] += 1

    def failures(self) -> list[str]:
        """What keeps photographs from being read, in words for the user: a line each."""
        lines = [f"{reason}; change its permissions" for reason in self.unlisted]
        for kind, number in sorted(Counter(path.suffix.lower() for path in self.unopened).items()):
            names = [str(path.relative_to(self.folder)) for path in self.unopened if path.suffix.lower() == kind]
            shown = ", ".join(names[:_SHOWN] + ["..."] * (number > _SHOWN))
            what = f"left out {number} {kind}, which cannot be opened here ({shown})"
            lines.append(f"{self.folder}: {what}; convert to JPEG, PNG or TIFF")
        return lines

    def left_out(self) -> list[str]:
        """The files that are no pictures by their names, in words for the user: a line, or none."""
        counts = ", ".join(f"{number} {kind}" for kind, number in sorted(self.others.items()))
        return [f"{self.folder}: left out {counts}: no pictures by their names"] if counts else []


def find_pictures(folder: Path, without: Iterable[Path] = ()) -> Found:
    """without: folders and files that are passed over, however they are reached."""
    found = Found(folder)
    for path in walk(folder, without, found.unlisted):
        found.add(path)
    found.pictures.sort()
    found.unopened.sort()
    return found


def names_picture(path: Path) -> bool:
    """Whether the name is a photograph's, which perhaps cannot be opened here."""
    return openable(path) or path.suffix.lower() in _OTHERS


def is_companion(name: str) -> bool:
    """Whether a file or folder of this name is passed over where nobody named it: hidden, or not the user's own."""
    return name.startswith(".") or name.lower() in _COMPANIONS


def walk(folder: Path, without: Iterable[Path] = (), unlisted: list[str] | None = None) -> Iterator[Path]:
    """Every file below the folder, in no order; what is neither file nor folder (a dangling link, a pipe) is one too.

    A link is followed after all that is reached without it, and never to a folder around this one. unlisted: gets the
    folders that cannot be looked into.
    """
    top = os.path.realpath(folder)
    barred = [real for real in map(os.path.realpath, without) if not lies_in(top, real)]  # who names it, means it
    seen = {identity(parent) for parent in Path(top).parents}
    waiting, links = [folder], []
    while waiting or links:
        place = waiting.pop() if waiting else links.pop(0)
        own, real = identity(place), os.path.realpath(place) if barred else ""
        if (own in seen and own is not None) or any(lies_in(real, one) for one in barred):
            continue
        seen.add(own)
        try:
            with os.scandir(place) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if unlisted is not None:
                unlisted.append(f"{place}: cannot be listed ({error.strerror})")
            continue
        for entry in listed:
            path, linked = place / entry.name, entry.is_symlink()
            if is_companion(entry.name):
                continue
            if os.path.isdir(path) if linked else entry.is_dir():
                (links if linked else waiting).append(path)
                continue
            target = os.path.realpath(path) if barred and linked else os.path.join(real, entry.name)
            if not any(lies_in(target, one) for one in barred):
                yield path


def stored_as(folder: Path, name: str) -> str:
    """The name under which a file is stored: `name`, or its composed or decomposed form of Unicode, as a Mac writes it,
    where only that is there."""
    forms = (name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))
    return next((form for form in forms if os.path.lexists(folder / form)), name)


def composed(name: str) -> str:
    """The form in which names are compared."""
    return unicodedata.normalize("NFC", name)


def identity(path: Path) -> tuple[int, int] | None:
    """Equal for names of one file or folder; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def lies_in(path: str, folder: str) -> bool:
    """Both real paths: whether the first is the second, or lies in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
