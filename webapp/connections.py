"""Connections of the server: how many, and how long each may wait."""

import asyncio
import ipaddress
import resource
import time

from uvicorn.protocols.http.h11_impl import H11Protocol

from webapp.shares import Share, Shares, owner_at

PATIENCE = 15  # seconds until a request has come whole, its body aside, after the connection or the last answer
STALLED = 60  # seconds in which a visitor takes nothing of an answer
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
