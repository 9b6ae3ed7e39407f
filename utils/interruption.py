"""SIGTERM and SIGINT ask a training to end after its step; clusters send the first before they take a machine away."""

import signal
import threading
from types import FrameType

from utils import distributed

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption:
    """Within `with`, the first such signal is noted; a second one does what it would do without this class."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._former: dict[int, object] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is threading.main_thread():  # Python handles signals there alone
            self._former = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()

    def asked(self) -> bool:
        """Whether any rank was asked to end; the same answer on every rank, so that all stop after the same step."""
        return distributed.any_rank(self.received is not None)

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = signal.Signals(number)
        self._give_back()

    def _give_back(self) -> None:
        while self._former:
            number, handler = self._former.popitem()
            signal.signal(number, handler)
