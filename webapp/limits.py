"""How much the page takes on."""

from dataclasses import dataclass

from inference.photo import MAX_PIXELS
from utils.errors import InputError


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
