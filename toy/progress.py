"""Signs of life from long work: what is being done, and for how long, every few seconds."""

import threading
import time
from collections.abc import Callable
from types import TracebackType

Say = Callable[[str], None]
EVERY = 5.0  # seconds


def silent(_: str) -> None:
    """Says nothing."""


class Heartbeat:
    """A context in which long work is reported: call it with what begins now. Quick work passes without a word; after `every` seconds, and again after each, one line says
    what is being done and how long it has taken.

    with Heartbeat(say) as stage:
        stage("following the exact flow")
        ...
    """

    def __init__(self, say: Say, first: str = "", every: float = EVERY) -> None:
        self._say, self._doing, self._every = say, first, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __call__(self, doing: str) -> None:
        self._doing = doing

    def __enter__(self) -> "Heartbeat":
        self._start = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._over.wait(self._every):
            self._say(f"{self._doing}: {time.perf_counter() - self._start:.0f} s so far")
