"""Signs of life on standard error: a bar where it is a terminal, elsewhere (a log file, a scheduler) a line at the start and one every half minute; never both."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

from lab.command_line import duration

T = TypeVar("T")
EVERY = 30.0  # seconds between lines
QUIET = 3.0  # seconds in which what is mostly short says nothing


class Lines:
    """Plain lines in place of a bar: `train latents: 3,200 of 10,000 pictures (32 %), 85 a second, 80 s left`. The first comes after `wait` seconds."""

    def __init__(self, total: int | None, desc: str, unit: str, start: int = 0, wait: float = 0.0) -> None:
        self.n, self._total, self._desc, self._unit, self._first = start, total, desc, unit, start
        self._began, self._more = time.monotonic(), ""
        self._next = self._began + wait
        if wait == 0:
            self._say(desc + ("" if total is None else f": {total:,} {unit}") + (f", from {start:,} on" if start else ""))

    def update(self, count: int = 1) -> None:
        """So many more are done."""
        self.at(self.n + count)

    def skip(self, count: int) -> None:
        """So many more were done before, and count for no speed."""
        self._first += count
        self.update(count)

    def at(self, n: int) -> None:
        """n are done in all."""
        self.n = n
        now = time.monotonic()
        if now < self._next or n == self._total:  # who asked for the work says when it is done
            return
        if self._total is None:
            self._say(f"{self._desc}: {n:,} {self._unit} so far")
            return
        rate = (n - self._first) / (now - self._began) if now > self._began else 0.0
        left = f", {rate:.3g} a second, {duration((self._total - n) / rate)} left" if rate else ""
        self._say(f"{self._desc}: {n:,} of {self._total:,} {self._unit} ({n / max(1, self._total):.0%}){left}{self._more}")

    def set_postfix_str(self, text: str) -> None:
        """What the next line ends with."""
        self._more = f"; {text}" if text else ""

    def close(self) -> None:
        """Nothing more to say."""

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)
        self._next = time.monotonic() + EVERY


class Bar(tqdm):
    """A bar that can be told how many are done in all, and what was done before."""

    def skip(self, count: int) -> None:
        self.initial += count
        self.update(count)

    def at(self, n: int) -> None:
        self.update(n - self.n)


def bar(total: int | None, desc: str, unit: str, *, start: int = 0, wait: float = 0.0, leave: bool = True) -> Bar | Lines:
    """A bar or lines, as a context: `start` of `total` are done (None: nobody knows of how many). Nothing is shown before `wait` seconds have passed."""
    if not sys.stderr.isatty():
        return Lines(total, desc, unit, start, wait)
    return Bar(total=total, desc=desc, unit=f" {unit}", initial=start, delay=wait, leave=leave, dynamic_ncols=True)


def track(items: Iterable[T], total: int | None, desc: str, unit: str, *, wait: float = 0.0, leave: bool = True) -> Iterator[T]:
    """The items, counted by a bar or lines as they are used."""
    with bar(total, desc, unit, wait=wait, leave=leave) as shown:
        for each in items:
            yield each
            shown.update()
