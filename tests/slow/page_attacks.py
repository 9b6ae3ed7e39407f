"""What attackers of the web page do: each function is one attack, done again and again by tests/slow/attack_page.py."""

import contextlib
import http.client
import io
import json
import os
import random
import re
import socket
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from datasets.words.captions import LONGEST_CAPTION

PATIENCE = 60  # seconds for an answer; a photograph waits behind others
_ADDRESSES = 100
_API = "/gradio_api"
_FORM = {"content-type": "multipart/form-data; boundary=x"}


class Client:
    """One visitor, or several: an address is chosen for each request."""

    def __init__(self, address: str, seed: int) -> None:
        self.address = address
        self.random = random.Random(seed)
        self.functions = {}  # what happens on the page: a handler, by what causes it and how many values it takes
        config = json.loads(self.ask("GET", "/config")[1])
        for handler in config["dependencies"]:
            for _, event in handler["targets"]:
                self.functions.setdefault((event, len(handler["inputs"])), handler["id"])

    def ask(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.address, timeout=PATIENCE)
        with contextlib.closing(connection):
            connection.request(method, path, body, self.headers() | (headers or {}))
            answer = connection.getresponse()
            return answer.status, answer.read()

    def headers(self) -> dict[str, str]:
        return {"x-forwarded-for": f"198.51.100.{self.random.randrange(_ADDRESSES)}"}

    def connect(self, start: str, headers: dict[str, str]) -> socket.socket:
        """A request's beginning is sent, and the connection is left as it is."""
        host, port = self.address.split(":")
        connection = socket.create_connection((host, int(port)), timeout=PATIENCE)
        fields = "".join(f"{name}: {value}\r\n" for name, value in ({"host": "a"} | self.headers() | headers).items())
        connection.sendall(f"{start} HTTP/1.1\r\n{fields}".encode())
        return connection

    def upload(self, content: bytes, name: str = "a.png") -> str | None:
        """The path that the page may name."""
        head = f'--x\r\ncontent-disposition: form-data; name="files"; filename="{name}"\r\n\r\n'
        status, said = self.ask("POST", f"{_API}/upload", head.encode() + content + b"\r\n--x--\r\n", _FORM)
        return json.loads(said)[0] if status == 200 else None

    def join(self, event: str, data: list[Any], session: str) -> int:
        body = {"data": data, "fn_index": self.functions[event, len(data)], "session_hash": session}
        return self.ask("POST", f"{_API}/queue/join", json.dumps(body), {"content-type": "application/json"})[0]

    def session(self) -> str:
        return f"{self.random.getrandbits(50):x}"

    def happens(self, event: str, data: list[Any], session: str) -> str:
        """What the page is told of it, as it comes; nothing where it is busy."""
        if self.join(event, data, session) != 200:
            return ""
        return self.ask("GET", f"{_API}/queue/data?session_hash={session}")[1].decode()

    def color(self, path: str, caption: str) -> list[str]:
        """The addresses of the pictures that the page shows and gives of an upload."""
        session = self.session()
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        said = self.happens("upload", [file, caption, 1, None], session)
        if "colored.jpg" in said:
            said += self.happens("select", [None], session) + self.happens("click", [None], session)
        found = dict.fromkeys(re.findall(r"/pictures/[^\"]+?\.\w+(?=\")", said))
        return [f"{_API}/file={quote(path.split('/uploads/')[0])}/uploads{quote(one)}" for one in found]


# ---- what an attacker does, again and again


def long_captions(client: Client, photo: bytes) -> None:
    caption = client.random.choice(["wine ", "red ", "a red-", "🙂", "olive green, "]) * LONGEST_CAPTION
    session = client.session()
    for length in (LONGEST_CAPTION, LONGEST_CAPTION - 1, 10 * LONGEST_CAPTION):
        client.join("change", [caption[:length], None], session)
    client.join("click", [0, 1, None], session)


def long_bodies(client: Client, photo: bytes) -> None:
    for path in ("queue/join", "upload", "cancel"):
        for length in ({"content-length": "9"}, {}, {"content-length": str(10**9)}):
            framing = {"transfer-encoding": "chunked"} if length.get("content-length") != str(10**9) else {}
            with client.connect(f"POST {_API}/{path}", _FORM | length | framing) as connection:
                connection.sendall(b"\r\n")
                with contextlib.suppress(OSError):
                    for _ in range(50):
                        connection.sendall(b"10000\r\n" + bytes(1 << 16) + b"\r\n")


def unused_uploads(client: Client, photo: bytes) -> None:
    client.upload(photo)
    client.upload(os.urandom(1000))


def half_uploads(client: Client, photo: bytes) -> None:
    with client.connect(f"POST {_API}/upload", _FORM | {"content-length": str(len(photo))}) as connection:
        connection.sendall(b'\r\n--x\r\ncontent-disposition: form-data; name="files"; filename="a"\r\n\r\n')
        connection.sendall(photo[: len(photo) // 2])


def waiting(client: Client, photo: bytes) -> None:
    """Nothing, a part of the headers, a body that drips, a stream without end, an answer that nobody takes."""
    starts = [
        ("GET /", "a: b\r\n"),
        (f"POST {_API}/upload", "content-type: multipart/form-data; boundary=x\r\ncontent-length: 900000\r\n\r\n--x"),
        (f"POST {_API}/queue/join", "content-length: 9000\r\n\r\n{"),
        (f"GET {_API}/heartbeat/{client.session()}", "\r\n"),
        ("GET /config", "\r\n" + "GET /config HTTP/1.1\r\nhost: a\r\n\r\n" * 200),
    ]
    connections = []
    with contextlib.ExitStack() as stack:
        for _ in range(20):
            for start, rest in starts:
                connections.append(stack.enter_context(client.connect(start, {})))
                connections[-1].sendall(rest.encode())
        for _ in range(5):
            time.sleep(0.5)
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.sendall(b"-")


def sessions(client: Client, photo: bytes) -> None:
    for _ in range(50):
        client.join("change", ["a red ball", None], client.session())
    for _ in range(20):
        client.ask("GET", f"{_API}/upload_progress?upload_id={client.session()}")


def nonsense(client: Client, photo: bytes) -> None:
    for path in ("/?page=none", "/?deep_link=a", "/config?page=none", f"{_API}/queue/data?session_hash=none", "/none"):
        client.ask("GET", path)
    for change in ({"fn_index": 99}, {"data": []}, {"data": [{}]}, {"trigger_id": "a"}, {"session_hash": "x" * 9000}):
        body = {"data": ["a", None], "fn_index": client.functions["change", 2], "session_hash": "a"} | change
        client.ask("POST", f"{_API}/queue/join", json.dumps(body))
    client.ask("POST", f"{_API}/queue/join", b"[" * 100_000)
    with client.connect("GARBAGE", {}) as connection:
        connection.sendall(os.urandom(1000))


def photographs(client: Client, photo: bytes) -> None:
    path = client.upload(photo)
    if path is not None:
        client.color(path, "a red wall")


ATTACKS = (
    long_captions,
    long_bodies,
    unused_uploads,
    half_uploads,
    waiting,
    sessions,
    nonsense,
    photographs,
    photographs,
)


def photograph(megapixels: float, megabytes: float) -> bytes:
    """A PNG as large as the page takes: noise in as many rows as the file has room for, then plain."""
    side = int((megapixels * 1e6) ** 0.5)
    pixels = np.zeros((side, side, 3), np.uint8)
    rows = min(side, int(0.9e6 * megabytes / (3 * side)))
    pixels[:rows] = np.random.default_rng(0).integers(0, 256, (rows, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
