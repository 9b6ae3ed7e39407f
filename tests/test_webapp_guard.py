"""Which requests reach Gradio at all."""

import asyncio
import json
from pathlib import Path

import pytest

from webapp.guard import LONGEST_REQUEST, UPLOAD_MARGIN, Guard

UPLOADS = Path("/srv/page/uploads")
MOST = 1000  # bytes of an upload


def ask(method, path, body=b"", headers=None):
    """(status, body that the application behind was given or None where it was not reached, headers of the answer)."""
    reached, sent = [], []

    async def application(scope, receive, send):
        content = b""
        more = scope["method"] == "POST"
        while more:
            message = await receive()
            content += message["body"]
            more = message["more_body"]
        reached.append(content)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y")]})
        await send({"type": "http.response.body", "body": b""})

    parts = [body[start : start + 70] for start in range(0, len(body), 70)] or [b""]
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = False

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    fields = {"content-length": str(len(body))} | (headers or {})
    raw = [(name.encode(), value.encode()) for name, value in fields.items() if value is not None]
    scope = {"type": "http", "method": method, "path": path, "headers": raw}
    asyncio.run(Guard(application, UPLOADS, UPLOADS / "pictures", MOST)(scope, receive, send))
    return sent[0]["status"], reached[0] if reached else None, dict(sent[0]["headers"])


def join(*data, **more):
    body = json.dumps({"data": data, "fn_index": 0, "session_hash": "a"} | more).encode()
    status, given, _ = ask("POST", "/gradio_api/queue/join", body)
    assert (given == body) == (status == 200) and (given is None) == (status != 200)
    return status


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/health", "/config", "/theme.css", "/assets/Index-a_b.1.js", "/static/fonts/a.woff2"),
        *("/gradio_api/queue/data", "/gradio_api/heartbeat/abc123", "/gradio_api/upload_progress"),
        *(f"/gradio_api/file={UPLOADS}/pictures/key/gray.jpg", f"/gradio_api/file={UPLOADS}/pictures/k/é 🙂.png"),
    ],
)
def test_what_the_page_needs_is_there(path):
    status, given, headers = ask("GET", path)
    assert status == 200 and given is not None
    assert headers[b"x"] == b"y" and b"default-src 'self'" in headers[b"content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        f"/gradio_api/file={UPLOADS}/0a1b/photo.jpg",  # an upload, even one's own
        f"/gradio_api/file={UPLOADS}/pictures",
        f"/gradio_api/file={UPLOADS}/pictures/../0a1b/photo.jpg",
        f"/gradio_api/file={UPLOADS}/pictures/./key/gray.jpg",
        f"/gradio_api/file={UPLOADS}/pictures//key/gray.jpg",
        f"/gradio_api/file={UPLOADS}/pictures-of-others/a.jpg",
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=pictures/key/gray.jpg",
        "/gradio_api/file=http://example.org/a.png",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/proxy=http://example.org",
        *("/gradio_api/deep_link", "/gradio_api/runs", "/gradio_api/queue/status", "/gradio_api/app_id", "/monitoring"),
        *("/gradio_api/vibe-code/", "/gradio_api/call/color", "/gradio_api/stream/a/b/1/playlist.m3u8"),
        *("/docs", "/openapi.json", "/gradio_api/openapi.json", "/assets/../secret", "/assets/"),
        *("/health/", "//health", "/robots.txt\n/", ""),
    ],
)
def test_nothing_else_is(path):
    assert ask("GET", path)[:2] == (404, None)
    assert ask("HEAD", path)[:2] == (404, None)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(
            ("POST", "/gradio_api/cancel"),
            ("POST", "/gradio_api/run/color"),
            ("POST", "/gradio_api/component_server"),
            ("POST", "/login"),
        ),
        *(("POST", "/gradio_api/vibe-edit"), ("POST", "/"), ("PUT", "/gradio_api/queue/join"), ("OPTIONS", "/")),
        *(("POST", "/gradio_api/call/color"), ("GET", "/gradio_api/queue/join"), ("DELETE", "/gradio_api/upload")),
    ],
)
def test_other_methods_and_services_are_not_found(method, path):
    assert ask(method, path, b"{}")[:2] == (404, None)


def file(path):
    return {"path": path, "meta": {"_type": "gradio.FileData"}}


def test_a_request_of_the_page_passes_as_it_was():
    assert join("a red ball 🙂" * 20, 1.0, None, event_data={"index": [1, 2]}) == 200
    assert join(file(f"{UPLOADS}/0a1b/photo.jpg"), "a red ball", 1.0, None) == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/passwd", "http://example.org/a.png", f"{UPLOADS}/../originals/key/x/original", f"{UPLOADS}/./a", ""),
        *(f"{UPLOADS}", f"{UPLOADS}-too/a.jpg", f"{UPLOADS}/pictures/key/gray.jpg", "a.jpg", 7, None),
    ],
)
def test_a_request_names_no_file_but_an_upload(path):
    assert join(file(path)) == 403
    assert join(1, [{"a": [file(path)]}]) == 403
    assert join("a", event_data={"value": file(path)}) == 403


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": NaN'])
def test_what_is_not_understood_is_refused(body):
    assert ask("POST", "/gradio_api/queue/join", body)[:2] == (400, None)


def test_long_requests_are_refused_by_their_length():
    for path, most in (("queue/join", LONGEST_REQUEST), ("upload", MOST + UPLOAD_MARGIN)):
        address = f"/gradio_api/{path}"
        assert ask("POST", address, b"{}", {"content-length": str(most + 1)})[:2] == (413, None)
        assert ask("POST", address, b"{}", {"content-length": None})[:2] == (411, None)
        assert ask("POST", address, b"{}", {"content-length": "-1"})[:2] == (411, None)
        assert ask("POST", address, b"{}")[:2] == (200, b"{}")
