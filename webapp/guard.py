"""What of Gradio's server the page needs, and nothing else: every other address is not found.

Gradio serves every file in its folder to who knows the path, fetches addresses that a browser names, and has services
for developers. Here only pictures are served, nothing is fetched, a request is no longer than the page's own are, and
what a visitor may leave behind is bounded.
"""

import asyncio
import json
import posixpath
import re
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webapp.connections import Refused, again, bounded, check_framing
from webapp.limits import owner_of
from webapp.sessions import Sessions
from webapp.uploads import UploadStore

API = "/gradio_api"
LONGEST_REQUEST = 1 << 17  # bytes; the page's own have a caption, some of them twice, and a few numbers
FILE = f"{API}/file="
_PAGE = re.compile(
    r"/|/health|/config|/theme\.css|/favicon\.ico|/manifest\.json|/(?:assets|static)(?:/[\w@-][\w.@-]*)+"
    rf"|{API}/(?:upload_progress|queue/data|heartbeat/\w{{1,32}})"
)
_WHOLE = ("/", "/config")  # the page is written anew for each
_AT_ONCE = 2  # of these
_UPLOADED = 'data: {"msg": "done"}\n\n'  # the page shows its own sign of work where no progress is told
_HEADERS = [  # nothing comes from another host, and no other site gets to see an address of ours
    (
        b"content-security-policy",
        b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'",
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
]


class Guard:
    """Around the whole application."""

    def __init__(
        self, app: ASGIApp, uploads: UploadStore, pictures: Path, sessions: Sessions, prefix: str = ""
    ) -> None:
        """pictures: the only folder that is served; prefix: of every path, where a proxy leaves it there, as /color."""
        self.app, self.uploads, self.sessions, self.prefix = app, uploads, sessions, prefix
        self.pictures = str(pictures)
        self._whole = asyncio.Semaphore(_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = message | {"headers": [*message["headers"], *_HEADERS]}
            await send(message)

        try:
            if scope["type"] != "http":
                raise Refused(404, "not found")
            check_framing(scope)
            scope = self._below_prefix(scope)
            if scope["method"] in ("GET", "HEAD"):
                await self._get(scope, receive, send_with_headers)
            elif scope["method"] == "POST":
                await self._post(scope, receive, send_with_headers)
            else:
                raise Refused(404, "not found")
        except Refused as refusal:
            # The page shows `detail`. What is left of the request is not waited for.
            said = JSONResponse({"detail": str(refusal)}, refusal.status, {"connection": "close"})
            await said(scope, receive, send_with_headers)

    def _below_prefix(self, scope: Scope) -> Scope:
        path = scope["path"]
        if self.prefix and (path == self.prefix or path.startswith(f"{self.prefix}/")):
            path = path.removeprefix(self.prefix) or "/"
            return {**scope, "path": path, "raw_path": quote(path).encode()}
        return scope

    async def _get(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if not _PAGE.fullmatch(path) and not self._is_picture(path):
            raise Refused(404, "not found")
        if path == f"{API}/upload_progress":  # Gradio would keep every name that it is asked for
            await PlainTextResponse(_UPLOADED, media_type="text/event-stream")(scope, receive, send)
            return
        query = b""  # Gradio answers some by a traceback, and none that the page needs
        if path == f"{API}/queue/data":
            name = parse_qs(scope["query_string"][:200].decode("latin-1")).get("session_hash", [None])[-1]
            self.sessions.check(name)
            query = b"session_hash=" + name.encode()
        headers = [(name, value) for name, value in scope["headers"] if name not in (b"range", b"if-range")]
        scope = {**scope, "query_string": query, "headers": headers}
        async with self._whole if path in _WHOLE else nullcontext():
            await self.app(scope, receive, send)

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == f"{API}/upload":
            response = await self.uploads.receive(scope, receive)
            await response(scope, receive, send)
            return
        if scope["path"] != f"{API}/queue/join":
            raise Refused(404, "not found")
        try:
            body = await Request(scope, bounded(scope, receive, LONGEST_REQUEST)).body()
            event = json.loads(body)
            self._check_files(event)
        except (ClientDisconnect, ValueError, RecursionError) as error:
            raise Refused(400, "not understood") from error
        self.sessions.join(event, owner_of(scope))
        await self.app(scope, again(body, receive), send)

    def _is_picture(self, path: str) -> bool:
        return path.startswith(FILE) and _lies_in(self.pictures, path.removeprefix(FILE))

    def _check_files(self, value: Any) -> None:
        """Raises Refused where a request names a file that is no upload: Gradio would read or fetch it."""
        if isinstance(value, dict):
            path = value.get("path", f"{self.uploads.folder}/none")
            if not _lies_in(str(self.uploads.folder), path) or _lies_in(self.pictures, path):
                raise Refused(403, "no such upload")
            value = [*value.values()]
        if isinstance(value, list):
            for one in value:
                self._check_files(one)


def _lies_in(folder: str, path: Any) -> bool:
    """By its name, which has to be the shortest for its place: no '..' and no '//'."""
    return isinstance(path, str) and path.startswith(f"{folder}/") and path == posixpath.normpath(path)
