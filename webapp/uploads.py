"""Uploaded files: what the page takes, judged before it is decoded, and where a file waits for the page to take it.

Gradio's own door for them keeps every file for an hour, also the pieces of those that never arrived whole, and lets
whoever uploads the same file share one copy. This one keeps each under a random name, bounded (webapp/limits.py).
"""

import secrets
import shutil
import time
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope

from datasets.pictures.picture_file import PictureFile, TooLarge, max_pixels
from utils.errors import InputError
from webapp.connections import Refused, bounded
from webapp.limits import Share, Shares, owner_of

SMALL = 16  # pixels: a picture with a shorter side has hardly anything in it to colour
_ENDINGS = {  # what Pillow calls a format: the endings that `ColoredPhoto.save` writes it under, the usual one first
    "JPEG": (".jpg", ".jpeg"),
    "MPO": (".jpg", ".jpeg"),  # of a telephone, found by the JPEG reader
    "PNG": (".png",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
_LONGEST_STEM = 100  # characters of a file's name that the coloured file's keeps
MARGIN = 1 << 14  # bytes around a file in its request
LIFETIME = 600  # seconds that a file waits; the page asks for it at once, and behind a full queue within minutes
ARRIVING = Share(4), Share(16)  # uploads at a time, of one visitor and of all
WAITING = Share(8), Share(64)  # files
_FILES = 4, 16  # and how many of the longest files they may be as long as
_LONGEST_NAME = 200  # characters
_GONE = "The uploaded file is not here any more; upload it again."


class Header(NamedTuple):
    width: int  # pixels, as stored
    height: int
    format: str  # as Pillow calls it

    @property
    def megapixels(self) -> float:
        return self.width * self.height / 1e6


def read_header(path: Path, name: str, max_megapixels: float) -> Header:
    """Raises InputError, in words for the visitor who called the file `name`, where it is no picture or too large."""
    try:
        with PictureFile(path, name, most=2**62) as file:
            header = Header(*file.size, file.format)
    except TooLarge as error:  # twice what Pillow finds safe: its size is not even told
        raise InputError(
            f"{name} says that it has more than {2 * max_pixels() / 1e6:.0f} megapixels. This page takes up"
            f" to {max_megapixels:g}: make it smaller and upload it again."
        ) from error
    except InputError as error:
        raise InputError(
            f"{name} is not a picture that this page can read. Upload a JPEG, PNG, TIFF, WebP, GIF or BMP file."
        ) from error
    if header.megapixels > max_megapixels:
        raise InputError(
            f"{name} has {header.megapixels:.0f} megapixels ({header.width}×{header.height}). This page takes up to"
            f" {max_megapixels:g}: make it smaller and upload it again."
        )
    return header


def small_notes(name: str, header: Header) -> list[str]:
    """What the visitor is told of a picture that is too small."""
    there = f"{name}: only {header.width}×{header.height} pixels; there is hardly anything to colour"
    return [there] * (min(header.width, header.height) < SMALL)


def colored_name(name: str, format: str) -> str:
    """ "beach.jpeg" -> "beach_colored.jpeg". The ending tells the format, and is .png where that cannot be written."""
    path = Path(name.replace("\\", "/"))
    endings = _ENDINGS.get(format, (".png",))
    ending = path.suffix if path.suffix.lower() in endings else endings[0]
    stem = "".join(c for c in path.stem if c.isprintable() and c not in '<>:"/|?*').strip(". ")[:_LONGEST_STEM]
    return f"{stem or 'photo'}_colored{ending}"


class Upload(NamedTuple):
    path: Path
    name: str  # as the visitor calls it
    arrived: float  # time.monotonic

    def remove(self) -> None:
        shutil.rmtree(self.path.parent, ignore_errors=True)


class UploadStore:
    def __init__(self, folder: Path, most: int) -> None:
        """folder: for the files; most: bytes of one."""
        self.folder, self.most = folder, most
        each, together = (Share(share.count, files * most) for share, files in zip(WAITING, _FILES, strict=True))
        self._waiting: Shares[Upload] = Shares(each, together, Upload.remove)
        self._arriving: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    async def receive(self, scope: Scope, receive: Receive) -> Response:
        """The answer that Gradio's page expects: the path of the file. Raises Refused."""
        owner = owner_of(scope)
        if self._arriving[owner] >= ARRIVING[0].count or self._arriving.total() >= ARRIVING[1].count:
            raise Refused(503, "too many uploads at a time; try again when one has ended")
        self._arriving[owner] += 1
        try:
            form = await _form(scope, bounded(scope, receive, self.most + MARGIN))
            try:
                path = await run_in_threadpool(self._keep, form.get("files"), owner)
            finally:
                await form.close()
        finally:
            self._arriving[owner] -= 1
            self._arriving += Counter()  # forgets who has none
        return JSONResponse([str(path)])

    def _keep(self, file: UploadFile | str | None, owner: str) -> Path:
        if not isinstance(file, UploadFile):
            raise Refused(400, "no file in it")
        if file.size > self.most:
            raise Refused(413, f"a file longer than {self.most} bytes")
        path = self.folder / secrets.token_urlsafe() / "photograph"
        path.parent.mkdir()
        with path.open("wb") as kept:
            shutil.copyfileobj(file.file, kept)
        name = PurePosixPath((file.filename or "").replace("\\", "/")).name[-_LONGEST_NAME:]
        self._waiting.hold(Upload(path, name or "photograph", time.monotonic()), owner, file.size)
        return path

    def take(self, path: str) -> Upload:
        """It is the caller's now, who removes it. Raises InputError, for the visitor, where it is not here."""
        upload = next((one for one in self._waiting if str(one.path) == path), None)
        if upload is None or not self._waiting.let_go(upload):
            raise InputError(_GONE)
        return upload

    def expire(self, before: float) -> None:
        """Removes what arrived sooner than this, of `time.monotonic`."""
        for upload in self._waiting:
            if upload.arrived < before and self._waiting.let_go(upload):
                upload.remove()


async def _form(scope: Scope, receive: Receive) -> FormData:
    """One file in pieces, on the disk from a megabyte on, in a file that has no name there. Raises Refused."""
    request = Request(scope, receive)
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise Refused(400, "no form")
    try:
        return await request.form(max_files=1, max_fields=0)
    except (MultiPartException, ClientDisconnect) as error:
        raise Refused(400, "not understood") from error
