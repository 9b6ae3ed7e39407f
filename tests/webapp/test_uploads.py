"""Uploads: what is taken, judged before it is decoded; what is kept of it, and for how long; the result's name."""

import asyncio
import json
import struct
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from utils.errors import InputError
from webapp import connections, uploads
from webapp.connections import Refused
from webapp.uploads import MARGIN, UploadStore, colored_name, read_header

MOST = 300_000


@pytest.fixture
def store(tmp_path):
    return UploadStore(tmp_path, MOST)


def form(content, name="a.png", field="files", boundary="x"):
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="{field}"'
    head += f'; filename="{name}"\r\n\r\n' if name is not None else "\r\n\r\n"
    return head.encode() + content + f"\r\n--{boundary}--\r\n".encode()


async def send(store, body, owner="192.0.2.7", headers=None, pieces=8192, wait=None):
    """The path that the answer tells. `headers` go over the right ones; wait: what is awaited before the last piece."""
    fields = {"content-type": "multipart/form-data; boundary=x", "content-length": str(len(body))} | (headers or {})
    raw = [(name.encode(), value.encode()) for name, value in fields.items()]
    parts = [body[start : start + pieces] for start in range(0, len(body), pieces)]
    messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
    messages[-1]["more_body"] = False

    async def receive():
        if len(messages) == 1 and wait is not None:
            await wait
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": raw, "client": (owner, 1), "query_string": b""}
    response = await store.receive(scope, receive)
    assert response.status_code == 200
    (path,) = json.loads(response.body)
    return path


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def refused(store, body, **more):
    with pytest.raises(Refused) as caught:
        asyncio.run(send(store, body, **more))
    assert not files(store.folder) and len(store) == 0
    return caught.value.status


@pytest.mark.parametrize("length", [0, 5000, MOST])
def test_a_file_is_kept_whole_until_it_is_taken(store, length):
    content = bytes(range(256)) * (length // 256 + 1)
    path = asyncio.run(send(store, form(content[:length], "Beach 🙂.JPG")))
    assert Path(path).read_bytes() == content[:length]
    assert Path(path).is_relative_to(store.folder) and len(Path(path).parent.name) >= 40
    upload = store.take(path)
    assert upload.name == "Beach 🙂.JPG" and str(upload.path) == path and len(store) == 0
    upload.remove()
    assert not [*store.folder.iterdir()]
    with pytest.raises(InputError, match="upload it again"):
        store.take(path)


@pytest.mark.parametrize("path", [None, 7, "", "/etc/passwd"])
def test_nothing_else_can_be_taken(store, path):
    with pytest.raises(InputError):
        store.take(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("../../etc/passwd", "passwd"), ("C:\\\\photos\\\\a.png", "a.png"), ("x" * 300 + ".png", "x" * 196 + ".png")],
)
def test_the_name_is_the_visitor_s_and_no_path(store, name, expected):
    path = asyncio.run(send(store, form(b"1", name)))
    assert Path(path).parent.parent == store.folder and store.take(path).name == expected


def test_what_arrives_is_counted_whatever_the_header_says(store):
    body = form(bytes(MOST + MARGIN))
    assert refused(store, body) == 413
    assert refused(store, body, headers={"content-length": "10"}) == 413
    assert refused(store, form(bytes(MOST + 1))) == 413  # of the file alone
    assert refused(store, body, headers={"content-length": "1" * 5000}) == 413
    assert refused(store, body, headers={"content-length": "-1"}) == 411


def test_what_is_no_file_is_refused_and_leaves_nothing(store):
    whole = form(bytes(9000))
    assert refused(store, whole[:-4000]) == 400  # the visitor left
    assert refused(store, form(b"1", None)) == 400
    assert refused(store, form(b"1", field="other")) == 400
    assert refused(store, b"hello", headers={"content-type": "text/plain"}) == 400
    assert refused(store, b"hello", headers={"content-type": "multipart/form-data"}) == 400
    assert refused(store, b"a=1&b=2", headers={"content-type": "application/x-www-form-urlencoded"}) == 400
    two = form(b"1")[: -len("--\r\n")] + b"\r\n" + form(b"2")[len("--x\r\n") :]
    assert refused(store, two) == 400


def test_the_oldest_of_a_visitor_s_and_of_all_make_room(store, monkeypatch):
    paths = [asyncio.run(send(store, form(b"%d" % number))) for number in range(9)]
    assert not Path(paths[0]).parent.exists() and all(Path(path).exists() for path in paths[1:])
    with pytest.raises(InputError):
        store.take(paths[0])
    more = [asyncio.run(send(store, form(b"1"), owner=f"198.51.100.{n}")) for n in range(60)]
    assert len(store) == len(files(store.folder)) == 64 and Path(more[0]).exists() and not Path(paths[-5]).exists()


def test_their_bytes_are_bounded_too(store):
    long = bytes(MOST)
    for _ in range(5):
        asyncio.run(send(store, form(long)))
    assert len(files(store.folder)) == 4
    for number in range(16):
        asyncio.run(send(store, form(long), owner=f"198.51.100.{number}"))
    assert sum(path.stat().st_size for path in files(store.folder)) == 16 * MOST


def test_they_expire(store):
    old = asyncio.run(send(store, form(b"1")))
    between = time.monotonic()
    new = asyncio.run(send(store, form(b"2")))
    store.expire(between)
    assert not Path(old).parent.exists() and Path(new).exists() and len(store) == 1


def test_a_visitor_uploads_a_few_at_a_time(store):
    async def several():
        done = asyncio.Event()
        sent = [asyncio.create_task(send(store, form(bytes(9000)), wait=done.wait())) for _ in range(4)]
        await asyncio.sleep(0.05)
        with pytest.raises(Refused, match="too many"):
            await send(store, form(b"1"))
        await send(store, form(b"1"), owner="198.51.100.1")
        done.set()
        await asyncio.gather(*sent)
        await send(store, form(b"1"))

    asyncio.run(several())
    assert not store._arriving


def test_a_body_that_drips_is_given_up(store, monkeypatch):
    monkeypatch.setattr(uploads, "bounded", lambda *a: connections.bounded(*a, patience=0.2))

    async def drip():
        began = time.monotonic()
        with pytest.raises(Refused, match="too slow"):
            await send(store, form(bytes(5000)), pieces=1000, wait=asyncio.Event().wait())
        return time.monotonic() - began

    assert 0.2 < asyncio.run(drip()) < 5
    assert not files(store.folder) and not store._arriving


def write_png_header(path, width, height):
    """A PNG that claims a size, and has no pixels."""
    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", size), (b"IDAT", b""))
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


def refusal(path, limit=24.0):
    with pytest.raises(InputError) as caught:
        read_header(path, "my photo.png", limit)
    assert "my photo.png" in str(caught.value) and str(path) not in str(caught.value)  # no path of the server's
    return str(caught.value)


def test_a_picture_s_size_and_format_are_read_and_not_its_pixels(tmp_path):
    path = write_png_header(tmp_path / "a.png", 4000, 3000)
    assert read_header(path, "a.png", 24) == (4000, 3000, "PNG")
    assert read_header(path, "a.png", 12) == (4000, 3000, "PNG")  # not more than the limit


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"])
def test_every_kind_that_the_page_names_is_taken(tmp_path, kind):
    Image.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7)).save(tmp_path / "a", kind)
    assert read_header(tmp_path / "a", "a", 24) == (7, 5, kind)


def test_too_many_pixels_are_refused_with_their_number(tmp_path):
    assert "100 megapixels (10000×10000)" in refusal(write_png_header(tmp_path / "a", 10_000, 10_000))
    assert "up to 11.5" in refusal(write_png_header(tmp_path / "a", 4000, 3000), 11.5)


def test_a_decompression_bomb_is_refused_unopened(tmp_path):
    assert "more than" in (said := refusal(write_png_header(tmp_path / "a", 200_000, 200_000)))
    assert "up to 24" in said


@pytest.mark.parametrize("content", [b"", b"hello", b"\x89PNG\r\n\x1a\n", b"<svg/>", b"%!PS-Adobe-3.0 EPSF-3.0"])
def test_what_is_no_picture_is_refused(tmp_path, content):
    """Nor kinds that Pillow reads by starting another program."""
    (tmp_path / "a").write_bytes(content)
    assert "not a picture" in refusal(tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "format", "expected"),
    [
        ("beach.jpg", "JPEG", "beach_colored.jpg"),
        ("Beach.2.JPEG", "MPO", "Beach.2_colored.JPEG"),
        ("scan.tiff", "TIFF", "scan_colored.tiff"),
        ("a.webp", "WEBP", "a_colored.webp"),
        ("dance.gif", "GIF", "dance_colored.png"),
        ("old.bmp", "BMP", "old_colored.png"),
        ("png really.jpg", "PNG", "png really_colored.png"),
        ("no ending", "PNG", "no ending_colored.png"),
        ("фото 🙂.png", "PNG", "фото 🙂_colored.png"),
        ("../../etc/passwd", "JPEG", "passwd_colored.jpg"),
        ("C:\\photos\\a.png", "PNG", "a_colored.png"),
        ('a"b\r\n.png', "PNG", "ab_colored.png"),
        ("...", "PNG", "photo_colored.png"),
        ("", "PNG", "photo_colored.png"),
        ("x" * 300 + ".png", "PNG", "x" * 100 + "_colored.png"),
    ],
)
def test_the_result_has_the_visitor_s_name_and_an_ending_of_its_format(name, format, expected):
    assert colored_name(name, format) == expected
