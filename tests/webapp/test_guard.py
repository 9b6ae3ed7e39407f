"""Which requests reach Gradio at all."""

import asyncio
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from webapp import connections
from webapp.connections import Refused
from webapp.guard import LONGEST_REQUEST, Guard
from webapp.uploads import UploadStore

UPLOADS = Path("/srv/page/uploads")
MOST = 1000  # bytes of an upload


class OneSession:
    """Knows the session `a`, and lets every event in but those of `b`."""

    def check(self, name):
        if name != "a":
            raise Refused(404, "no such session")

    def join(self, body, owner):
        if body["session_hash"] == "b":
            raise Refused(429, "too many")


def ask(method, path, body=b"", headers=None, query=b"", prefix="", scopes=None, client=None):
    """(status, body that the application behind was given or None where it was not reached, headers of the answer).
    scopes: gets what the application was asked for; client: messages in place of the body."""
    reached, sent = [], []

    async def application(scope, receive, send):
        content = b""
        if scopes is not None:
            scopes.append(scope)
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
        return messages.pop(0) if client is None else await anext(client)

    async def send(message):
        sent.append(message)

    fields = {"content-length": str(len(body))} | (headers or {})
    raw = [(name.encode(), value.encode()) for name, value in fields.items() if value is not None]
    scope = {"type": "http", "method": method, "path": path, "headers": raw, "query_string": query}
    scope["raw_path"] = quote(path).encode()

    async def guarded():
        guard = Guard(application, UploadStore(UPLOADS, MOST), UPLOADS / "pictures", OneSession(), prefix)
        await guard(scope, receive, send)

    asyncio.run(guarded())
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
        "/gradio_api/heartbeat/abc123",
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
        f"/gradio_api/heartbeat/{'x' * 33}",
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
    join = "/gradio_api/queue/join"
    assert ask("POST", join, b"{}", {"content-length": str(LONGEST_REQUEST + 1)})[:2] == (413, None)
    for length in (None, "-1", "", "1e3"):
        assert ask("POST", join, b"{}", {"content-length": length})[:2] == (411, None)
        assert ask("POST", "/gradio_api/upload", b"{}", {"content-length": length})[0] == 411
    assert ask("POST", join, b'{"session_hash": "a"}')[0] == 200


def pieces(taken, count, pause=0.0):
    """A body that has no end of itself, in pieces of 1,000 bytes."""

    async def arriving():
        for _ in range(count):
            await asyncio.sleep(pause)
            taken.append(1000)
            yield {"type": "http.request", "body": bytes(1000), "more_body": True}

    return arriving()


def test_what_arrives_is_counted_and_not_what_the_header_says():
    taken = []
    assert (
        ask("POST", "/gradio_api/queue/join", headers={"content-length": "10"}, client=pieces(taken, 10**4))[0] == 413
    )
    assert LONGEST_REQUEST < sum(taken) < LONGEST_REQUEST + 2000


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/gradio_api/queue/join"), ("POST", "/gradio_api/upload"), ("GET", "/health"), ("POST", "/")],
)
def test_a_request_tells_its_length_in_one_way(method, path):
    taken = []
    framing = {"content-length": "2", "transfer-encoding": "chunked"}
    status, given, headers = ask(method, path, headers=framing, client=pieces(taken, 10**4))
    assert (status, given, taken) == (400, None, []) and headers[b"connection"] == b"close"
    framing["content-length"] = None
    assert ask("POST", "/gradio_api/queue/join", headers=framing, client=pieces(taken, 10**4))[:2] == (411, None)


def test_a_body_that_drips_is_given_up(monkeypatch):
    monkeypatch.setattr(connections.bounded, "__defaults__", (0.3,))
    taken = []
    drip = pieces(taken, 60, pause=0.1)  # within its length, and six seconds long
    assert ask("POST", "/gradio_api/queue/join", headers={"content-length": "130000"}, client=drip)[:2] == (408, None)
    assert 1 <= len(taken) < 20


def test_a_body_whose_visitor_leaves_is_given_up():
    async def leaving():
        yield {"type": "http.request", "body": b'{"session_hash"', "more_body": True}
        yield {"type": "http.disconnect"}

    assert ask("POST", "/gradio_api/queue/join", client=leaving())[:2] == (400, None)


def test_only_who_joined_listens():
    scopes = []
    path = "/gradio_api/queue/data"
    assert ask("GET", path, query=b"session_hash=a", scopes=scopes)[0] == 200
    for query in (b"", b"session_hash=b", b"session_hash=" + b"x" * 60_000, b"session_hash=%00", b"a&session_hash"):
        assert ask("GET", path, query=query, scopes=scopes)[:2] == (404, None)
    assert len(scopes) == 1
    status, given, headers = ask("POST", "/gradio_api/queue/join", b'{"session_hash": "b"}')
    assert (status, given) == (429, None) and headers[b"content-type"] == b"application/json"


def test_what_the_page_does_not_need_of_a_request_is_left_out():
    scopes = []
    ask("GET", "/", query=b"page=none&deep_link=x", scopes=scopes)
    picture = f"/gradio_api/file={UPLOADS}/pictures/key/gray.jpg"
    ask("GET", picture, headers={"range": "bytes=0-1,1-2,2-3", "if-range": "x", "accept": "image/*"}, scopes=scopes)
    assert [scope["query_string"] for scope in scopes] == [b"", b""]
    assert [name for name, _ in scopes[1]["headers"]] == [b"content-length", b"accept"]


def test_the_progress_of_an_upload_is_no_state_of_gradio_s():
    assert ask("GET", "/gradio_api/upload_progress", query=b"upload_id=" + b"x" * 1000)[:2] == (200, None)


@pytest.mark.parametrize("prefix", ["/color", "/a/b"])
def test_behind_a_prefix_the_same_rules_hold(prefix):
    scopes = []
    for path in ("/", "/health", "/assets/a.js", f"/gradio_api/file={UPLOADS}/pictures/key/gray.jpg"):
        for asked in (path, prefix + path):  # a proxy takes the prefix off, or leaves it there
            assert ask("GET", asked, prefix=prefix, scopes=scopes)[0] == 200
            assert scopes[-1]["path"] == path and scopes[-1]["raw_path"].decode() == quote(path)
    assert ask("GET", prefix, prefix=prefix, scopes=scopes)[0] == 200 and scopes[-1]["path"] == "/"
    body = b'{"session_hash": "a"}'
    assert ask("POST", f"{prefix}/gradio_api/queue/join", body, prefix=prefix)[:2] == (200, body)
    for path in (
        f"{prefix}{prefix}/health",
        f"{prefix}x/health",
        f"{prefix}//health",
        f"{prefix}/docs",
        f"{prefix}/gradio_api/file=/etc/passwd",
        f"{prefix}/gradio_api/file={UPLOADS}/pictures/../0a1b/photo.jpg",
        f"{prefix}/../health",
    ):
        assert ask("GET", path, prefix=prefix)[:2] == (404, None), path
    assert ask("POST", f"{prefix}/gradio_api/cancel", b"{}", prefix=prefix)[:2] == (404, None)
    assert ask("GET", f"{prefix}/health")[:2] == (404, None)  # without --root_path
