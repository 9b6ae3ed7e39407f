"""The body of a request, counted and timed as it arrives: what its headers say of it is not relied on."""

import asyncio

from starlette.types import Message, Receive, Scope

PATIENCE = 20  # seconds that a body may take, and more for what has arrived of it:
SLOWEST = 20_000  # bytes a second


class Refused(Exception):
    """A request that no page of ours makes, or that asks for too much."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def check_framing(scope: Scope) -> None:
    """A request says in one way how long it is, or two servers in a row understand it differently. Raises Refused."""
    names = [name for name, _ in scope["headers"]]
    if b"transfer-encoding" in names and b"content-length" in names:
        raise Refused(400, "content-length and transfer-encoding exclude each other")


def bounded(scope: Scope, receive: Receive, most: int, patience: float = PATIENCE) -> Receive:
    """What gives the body of at most `most` bytes, in time. It and the call raise Refused."""
    length = dict(scope["headers"]).get(b"content-length", b"")
    if not length.isdigit():
        raise Refused(411, "tell the length")
    if len(length) > 20 or int(length) > most:
        raise Refused(413, f"longer than {most} bytes")
    arrived = 0
    began: float | None = None

    async def counted() -> Message:
        nonlocal arrived, began
        now = asyncio.get_running_loop().time()
        began = now if began is None else began
        try:
            message = await asyncio.wait_for(receive(), began + patience + arrived / SLOWEST - now)
        except TimeoutError:
            raise Refused(408, "too slow") from None
        arrived += len(message.get("body", b""))
        if arrived > most:
            raise Refused(413, f"longer than {most} bytes")
        return message

    return counted


async def read(receive: Receive) -> bytes:
    """All of it. Raises Refused where the visitor leaves before its end."""
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "not whole")
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def again(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, and then what comes."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def repeated() -> Message:
        return waiting.pop() if waiting else await receive()

    return repeated
