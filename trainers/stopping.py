"""SIGTERM as an exception, so that whatever is half-written is taken away on the way out."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Terminated(BaseException):
    """SIGTERM came. No Exception: nothing between may swallow it."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Turns SIGTERM into Terminated. Nothing outside the main thread, where no signal comes in."""

    def stop(_number: int, _frame: Any) -> None:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
