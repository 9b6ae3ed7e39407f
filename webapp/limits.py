"""How much the page takes on, and what visitors hold of it, bounded for each of them and for all."""

import ipaddress
import math
import threading
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from starlette.types import Scope

from inference.photo import MAX_PIXELS
from utils.errors import InputError

Item = TypeVar("Item", bound=Hashable)


@dataclass(frozen=True)
class Limits:
    megapixels: float = 24.0  # of a photograph
    megabytes: float = 40.0  # of its file
    visitors: int = 100  # whose photographs are kept at a time; each takes 2 to 20 MB of memory
    waiting: int = 40  # requests in the queue
    at_once: int = 2  # requests that the network works on

    def __post_init__(self) -> None:
        """Raises InputError."""
        flags = {"megapixels": "--max_megapixels", "megabytes": "--max_megabytes", "visitors": "--max_visitors"}
        flags |= {"waiting": "--queue", "at_once": "--concurrency"}
        for name, flag in flags.items():
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise InputError(f"{flag} {value:g}: pass a number above 0")
        safe = MAX_PIXELS // 10**6
        if self.megapixels > safe:
            raise InputError(f"--max_megapixels {self.megapixels:g}: above {safe} it is not safe to decode; pass less")

    @property
    def upload(self) -> int:
        """Bytes of a file."""
        return int(self.megabytes * 1e6)

    @property
    def disk(self) -> float:
        """Bytes of all visitors' photographs and pictures: each visitor may have a longest file."""
        return self.visitors * self.megabytes * 1e6

    @property
    def sessions(self) -> int:
        """Open pages: also of those who have no photograph yet."""
        return 4 * self.visitors


class Share(NamedTuple):
    count: int
    size: float = math.inf  # bytes


class Shares(Generic[Item]):
    """Items in the order of their last use. `drop` is called for each that made room, outside of the lock."""

    def __init__(
        self,
        each: Share,
        together: Share,
        drop: Callable[[Item], None],
        idle: Callable[[Item], bool] = lambda item: True,
    ) -> None:
        """each: of one owner; together: of all owners; idle: items that make room before the others do."""
        self.each, self.together, self.drop, self.idle = each, together, drop, idle
        self._held: dict[Item, tuple[str, int]] = {}  # owner, and bytes
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, item: Item) -> bool:
        return item in self._held

    def __iter__(self) -> Iterator[Item]:
        """The oldest first, as they are now."""
        with self._lock:
            return iter([*self._held])

    def hold(self, item: Item, owner: str, size: int = 0) -> None:
        """`item` is in use, and has `size` bytes now; others make room for it."""
        with self._lock:
            self._held.pop(item, None)
            self._held[item] = owner, size
            gone = self._over(item, owner, self.each) + self._over(item, None, self.together)
        for one in gone:
            self.drop(one)

    def let_go(self, item: Item) -> bool:
        """Whether it was held. It is not dropped."""
        with self._lock:
            return self._held.pop(item, None) is not None

    def _over(self, newest: Item, owner: str | None, bound: Share) -> list[Item]:
        """Takes out what is more than `bound` of this owner's, or of all; never the newest."""
        if len(self._held) <= bound.count and bound.size == math.inf:
            return []
        own = {item: size for item, (whose, size) in self._held.items() if owner in (None, whose)}
        count, size = len(own), sum(own.values())
        if count <= bound.count and size <= bound.size:
            return []
        gone = []
        for item in sorted(own, key=lambda item: not self.idle(item)):  # stable: the oldest first
            if count <= bound.count and size <= bound.size:
                break
            if item != newest:
                count, size = count - 1, size - own[item]
                del self._held[item]
                gone.append(item)
        return gone


def owner_of(scope: Scope) -> str:
    """Whose request it is, as far as a server without passwords can tell: its address, of IPv6 the network."""
    client = scope.get("client")
    return owner_at(client[0]) if client else ""


def owner_at(host: str) -> str:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.version == 6:
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host
