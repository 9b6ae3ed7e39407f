"""Connections to a real server on this machine: how many it has, and how long they may wait."""

import asyncio
import resource
import socket
import time

import pytest
import uvicorn

from webapp import connections
from webapp.connections import Connection, new_shares
from webapp.limits import Share, Shares


async def application(scope, receive, send):
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/stream":
        await send({"type": "http.response.body", "body": b"began", "more_body": True})
        await asyncio.sleep(60)
    if scope["path"] == "/long":
        for _ in range(400):
            await send({"type": "http.response.body", "body": bytes(1 << 16), "more_body": True})
    await send({"type": "http.response.body", "body": b"done"})


def served(visit, most=100):
    """Runs the server, and `visit` with its port and its connections."""

    async def both():
        Connection.shares = Shares(Share(3), Share(most), Connection.end, lambda one: one.idle)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            server = uvicorn.Server(uvicorn.Config(application, http=Connection, log_level="error", lifespan="off"))
            running = asyncio.create_task(server.serve([listening]))
            while not server.started:
                await asyncio.sleep(0.01)
            try:
                await visit(listening.getsockname()[1], Connection.shares)
            finally:
                server.force_exit = server.should_exit = True
                await running

    asyncio.run(asyncio.wait_for(both(), 60))


async def ask(port, said):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(said)
    await writer.drain()
    return reader, writer


async def answer(reader):
    return await asyncio.wait_for(reader.read(1 << 16), 10)


def test_who_does_nothing_makes_room_for_who_asks():
    async def visit(port, shares):
        stream, kept = await ask(port, b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n")
        assert b"200 OK" in await answer(stream)
        silent = [await ask(port, b"GET / HTT") for _ in range(12)]
        for _ in range(3):
            reader, writer = await ask(port, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            assert b"200 OK" in await answer(reader)
            silent.append((reader, writer))
        assert len(shares) <= 5
        assert await answer(silent[0][0]) == b""  # it was ended
        assert not stream.at_eof() and not kept.is_closing()

    served(visit, most=5)


def test_a_request_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(connections, "PATIENCE", 0.5)

    async def visit(port, shares):
        _, writer = await ask(port, b"GET / HTTP/1.1\r\n")
        stream, kept = await ask(port, b"GET /stream HTTP/1.1\r\nhost: a\r\n\r\n")
        began = time.monotonic()
        while len(shares) > 1:
            assert time.monotonic() - began < 10
            writer.write(b"a: b\r\n")  # a header now and then
            await asyncio.sleep(0.1)
            for connection in shares:
                if connection.overdue(time.monotonic()):
                    connection.end()
        assert time.monotonic() - began > 0.4
        assert b"200 OK" in await answer(stream) and not kept.is_closing()

    served(visit)


def test_an_answer_that_is_not_taken_is_not_kept(monkeypatch):
    monkeypatch.setattr(connections, "STALLED", 0.5)

    async def visit(port, shares):
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /long HTTP/1.1\r\nhost: a\r\n\r\n")  # its 26 MB are not read
            await watch(shares)

    async def watch(shares):
        await asyncio.sleep(1.5)
        (connection,) = shares
        assert not connection.idle and connection.overdue(time.monotonic())
        connection.end()
        await asyncio.sleep(0.1)
        assert len(shares) == 0

    served(visit)


@pytest.mark.parametrize(("files", "together"), [(300, 64), (700, 444), (4096, 512), (-1, 512)])
def test_their_number_is_bounded_by_the_files_that_may_be_open(monkeypatch, files, together):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (files, files))
    assert new_shares().together.count == together


def test_one_address_has_a_few_and_this_machine_s_proxy_any_number():
    class At(Connection):
        def __init__(self, host):
            self.client = (host, 1)

    several = [At("192.0.2.7"), At("192.0.2.7"), At("127.0.0.1"), At("127.0.0.1")]
    owners = [one._owner() for one in several]
    assert owners[:2] == ["192.0.2.7"] * 2 and len({*owners}) == 3
