"""What of Gradio's server the page needs, and nothing else: every other address is not found.

Gradio serves every file in its folder to who knows the path, fetches addresses that a browser names, and has services
for developers. Here only pictures are served, nothing is fetched, and a request is no longer than the page's own are.
"""

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

API = "/gradio_api"
LONGEST_REQUEST = 1 << 18  # bytes; the page's own have a caption and a few numbers
UPLOAD_MARGIN = 1 << 14  # bytes around an uploaded file
FILE = f"{API}/file="
_PAGE = re.compile(
    r"/|/health|/config|/theme\.css|/favicon\.ico|/manifest\.json|/(?:assets|static)(?:/[\w@-][\w.@-]*)+"
    rf"|{API}/(?:upload_progress|queue/data|heartbeat/\w+)"
)
_POSTS = {f"{API}/queue/join", f"{API}/upload"}
_HEADERS = [  # nothing comes from another host, and no other site gets to see an address of ours
    (
        b"content-security-policy",
        b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


class Refused(Exception):
    """A request that no page of ours makes."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Guard:
    """Around the whole application."""

    def __init__(self, app: ASGIApp, uploads: Path, pictures: Path, max_upload: int) -> None:
        """uploads: where Gradio puts what is uploaded; pictures: the folder below it that is served; max_upload: bytes
        of a file."""
        self.app = app
        self.uploads = str(uploads)
        self.pictures = str(pictures)
        self.max_upload = max_upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        try:
            receive = await self._check(scope, receive)
        except Refused as refusal:
            await PlainTextResponse(str(refusal), refusal.status)(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = message | {"headers": [*message["headers"], *_HEADERS]}
            await send(message)

        await self.app(scope, receive, send_with_headers)

    async def _check(self, scope: Scope, receive: Receive) -> Receive:
        """What the application is to receive from. Raises Refused."""
        path = scope.get("path", "")
        if scope["type"] != "http":
            raise Refused(404, "not found")
        if scope["method"] in ("GET", "HEAD"):
            if not _PAGE.fullmatch(path) and not self._is_picture(path):
                raise Refused(404, "not found")
            return receive
        if scope["method"] != "POST" or path not in _POSTS:
            raise Refused(404, "not found")
        if path.endswith("/upload"):
            _check_length(scope, self.max_upload + UPLOAD_MARGIN)
            return receive
        _check_length(scope, LONGEST_REQUEST)
        body = await _read(receive)
        try:
            self._check_files(json.loads(body))
        except (ValueError, RecursionError) as error:
            raise Refused(400, "not understood") from error
        return _again(body, receive)

    def _is_picture(self, path: str) -> bool:
        return path.startswith(FILE) and _lies_in(self.pictures, path.removeprefix(FILE))

    def _check_files(self, value: Any) -> None:
        """Raises Refused where a request names a file that is no upload: Gradio would read or fetch it."""
        if isinstance(value, dict):
            path = value.get("path", f"{self.uploads}/none")
            if not _lies_in(self.uploads, path) or _lies_in(self.pictures, path):
                raise Refused(403, "no such upload")
            value = [*value.values()]
        if isinstance(value, list):
            for one in value:
                self._check_files(one)


def _lies_in(folder: str, path: Any) -> bool:
    """By its name, which has to be the shortest for its place: no '..' and no '//'."""
    return isinstance(path, str) and path.startswith(f"{folder}/") and path == posixpath.normpath(path)


def _check_length(scope: Scope, most: int) -> None:
    """By the header: no more than it says is read. Raises Refused."""
    length = dict(scope["headers"]).get(b"content-length", b"")
    if not length.isdigit():
        raise Refused(411, "tell the length")
    if int(length) > most:
        raise Refused(413, f"longer than {most} bytes")


async def _read(receive: Receive) -> bytes:
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, and then what comes."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
