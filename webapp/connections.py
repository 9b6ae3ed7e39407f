"""Connections of the server and the bodies of requests: how many, how long, and how long each may wait."""

import asyncio
import ipaddress
import resource
import time

from starlette.types import Message, Receive, Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

from webapp.limits import Share, Shares, owner_at

PATIENCE = 15  # seconds until a request has come whole, its body aside, after the connection or the last answer
STALLED = 60  # seconds in which a visitor takes nothing of an answer
BODY_PATIENCE = 20  # seconds that a body may take, and more for what has arrived of it:
SLOWEST = 20_000  # bytes a second
EACH = 64  # connections of one address; a browser keeps to six
TOGETHER = 512
_SPARE_FILES = 256  # that the process may need beside its connections


class Connection(H11Protocol):
    """uvicorn's, which ends no connection that sends nothing or takes nothing, and has no bound but to answer 503 to
    everybody."""

    shares: Shares["Connection"]  # of the server that runs
    since: float  # time.monotonic when it began to wait for a request
    stalled: float | None = None  # and when it stopped to take what is sent

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        self.since = time.monotonic()
        self.shares.hold(self, self._owner())

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.shares.let_go(self)

    def on_response_complete(self) -> None:
        self.since = time.monotonic()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.stalled = time.monotonic()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.stalled = None

    @property
    def idle(self) -> bool:
        """Nothing is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def overdue(self, now: float) -> bool:
        waits = self.idle and now - self.since > PATIENCE
        return waits or (self.stalled is not None and now - self.stalled > STALLED)

    def end(self) -> None:
        self.transport.abort()

    def _owner(self) -> str:
        """Of connections from this machine each is its own: behind a proxy all visitors' come from here."""
        host = self.client[0] if self.client else ""
        try:
            near = ipaddress.ip_address(host).is_loopback
        except ValueError:
            near = True
        return f"connection {id(self)}" if near else owner_at(host)


def new_shares() -> Shares[Connection]:
    """Bounded by the files that this process may open, too."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    together = TOGETHER if files < 0 else max(EACH, min(TOGETHER, files - _SPARE_FILES))
    return Shares(Share(EACH), Share(together), Connection.end, lambda connection: connection.idle)


# ---- bodies, counted and timed as they arrive: what a request's headers say is not relied on


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


def bounded(scope: Scope, receive: Receive, most: int, patience: float = BODY_PATIENCE) -> Receive:
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


def again(body: bytes, receive: Receive) -> Receive:
    """Gives the body that was read, and then what comes."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def repeated() -> Message:
        return waiting.pop() if waiting else await receive()

    return repeated
