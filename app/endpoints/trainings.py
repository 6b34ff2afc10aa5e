"""Work that goes on while a page listens, trainings and comparisons: each in a process of its own, with the events and snapshots that its page has not let go of."""

import asyncio
import contextlib
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

from app.workers import Companion

AT_ONCE = 2  # trainings on this server
PER_SESSION = 1
ALONE = 20.0  # seconds without a listener after which a training ends: its tab was closed
AWAY = 3.0  # seconds without one after which it makes room for another visitor's; a browser that lost its connection is back before
LONGEST, LONGEST_PAUSED = 15 * 60.0, 30 * 60.0  # seconds in all, and without an iteration
KEPT_AFTER = 120.0  # seconds that an ended training's snapshots stay for a page that still listens
NICENESS = 12  # below pages and verification
LAST = frozenset({"end", "failed", "lost"})  # events after which nothing comes

log = logging.getLogger(__name__)


class TooMany(RuntimeError):
    """There are as many trainings as there may be."""


class Training:
    """One training: its process, what it has said (`events`, numbered from 0), and the grids of the snapshots that are kept."""

    def __init__(self, given: Mapping[str, Any], session: str, task: str = "learn.train", what: str = "training") -> None:
        self.id, self.what = secrets.token_urlsafe(16), what
        self.session, self.sides = session, len(given.get("scenes", ()))
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.grids: dict[int, list[bytes]] = {}
        self.listeners = 0
        self.begun = self.alone_since = self.heard = time.monotonic()
        self.ended: float | None = None
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._companion = Companion(task, given, NICENESS)
        threading.Thread(target=self._read, name=f"{what} {self.id[:4]}", daemon=True).start()

    @property
    def process_id(self) -> int | None:
        return self._companion.process.pid

    def tell(self, word: str) -> None:
        """pause, resume or stop. Nothing happens where the training has ended."""
        with contextlib.suppress(OSError):  # the pipe of a process that has just ended
            if self.ended is None:
                self._companion.pipe.send(word)

    async def follow(self, first: int) -> AsyncIterator[tuple[int, str, dict[str, Any]] | None]:
        """Events from number `first` on as they come, each with its number, to the last; None whenever nothing has come for a while."""
        self.listeners += 1
        try:
            while True:
                while first < len(self.events):
                    name, numbers = self.events[first]
                    yield first, name, numbers
                    first += 1
                    if name in LAST:
                        return
                if self.ended is not None:
                    return
                self._news.clear()
                try:
                    await asyncio.wait_for(self._news.wait(), 5)
                except TimeoutError:
                    yield None
        finally:
            self.listeners -= 1
            self.alone_since = time.monotonic()

    def end(self, name: str, sentence: str) -> None:
        """Ends the process now, with a last event that says why."""
        if self.ended is None:
            self._take(name, {"why": sentence, "error": sentence}, [])
            self._companion.kill()

    @property
    def alone(self) -> float:
        """Seconds for which nobody has listened; 0 while somebody does."""
        return 0.0 if self.listeners else time.monotonic() - self.alone_since

    def overdue(self) -> str | None:
        """Why the training should be ended, where it should."""
        now = time.monotonic()
        if self.alone > ALONE:
            return f"nobody listened any more, so the {self.what} was ended"
        if now - self.begun > LONGEST + LONGEST_PAUSED:
            return f"the {self.what} was ended after {(LONGEST + LONGEST_PAUSED) / 60:.0f} minutes"
        if now - self.heard > LONGEST_PAUSED:
            return f"nothing happened for {LONGEST_PAUSED / 60:.0f} minutes, so the {self.what} was ended"
        return None

    def _read(self) -> None:
        """In a thread: what the process says, until it ends."""
        while True:
            try:
                name, numbers, grids = self._companion.pipe.recv()
            except (EOFError, OSError):
                name, numbers, grids = "lost", None, []
                self._companion.process.join()
            try:
                self._loop.call_soon_threadsafe(self._take, name, numbers, grids)
            except RuntimeError:  # the server's loop is closed
                return
            if numbers is None:
                return

    def _take(self, name: str, numbers: dict[str, Any] | None, grids: list[bytes]) -> None:
        if self.ended is not None:
            return
        if numbers is None:
            numbers = {"error": f"the {self.what}'s process was lost; what was received stays, and a new {self.what} can begin"}
            log.warning("a %s's process ended with exit code %s", self.what, self._companion.process.exitcode)
        self.heard = time.monotonic()
        if name == "snapshot":
            self.grids[numbers["k"]] = grids
            for k in self.grids.keys() - set(numbers["kept"]):
                del self.grids[k]
        self.events.append((name, numbers))
        if name in LAST:
            self.ended = self.heard
        self._news.set()


class Trainings:
    """All of one kind on the server, by their unguessable ids. task: what each process works on; what: a word for people."""

    def __init__(self, task: str = "learn.train", what: str = "training") -> None:
        self._task, self._what = task, what
        self._held: dict[str, Training] = {}
        self._watch: asyncio.Task[None] | None = None

    def begin(self, given: Mapping[str, Any], session: str) -> Training:
        """Starts a process. A training that nobody listens to makes room: the session's own at once, another's after AWAY. Raises TooMany."""
        for training in self._held.values():
            if training.ended is None and training.alone > (0.0 if training.session == session else AWAY):
                training.end("end", f"nobody listened any more, and another {self._what} wanted the place")
        running = [t for t in self._held.values() if t.ended is None]
        if sum(t.session == session for t in running) >= PER_SESSION:
            raise TooMany(f"this page has a {self._what} already; stop that one first")
        if len(running) >= AT_ONCE:
            raise TooMany(f"{AT_ONCE} {self._what}s are running on this server, which is the most; try again when one has ended")
        training = Training(given, session, self._task, self._what)
        self._held[training.id] = training
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look_after())
        return training

    def end_of(self, session: str, why: str) -> None:
        """Ends those of a session, to make room for its next one."""
        for training in self._held.values():
            if training.ended is None and training.session == session:
                training.end("end", why)

    def get(self, id_: str) -> Training | None:
        """The training of that id, where it is still held."""
        return self._held.get(id_)

    @property
    def running(self) -> int:
        """Trainings whose process has not ended."""
        return sum(t.ended is None for t in self._held.values())

    async def _look_after(self) -> None:
        """Ends trainings that nobody listens to, and lets go of what ended trainings have left."""
        while self._held:
            await asyncio.sleep(1)
            for training in list(self._held.values()):
                if training.ended is None:
                    if (why := training.overdue()) is not None:
                        training.end("end", why)
                elif time.monotonic() - training.ended > KEPT_AFTER or training.alone > ALONE:
                    del self._held[training.id]

    def close(self) -> None:
        """Ends every training."""
        for training in self._held.values():
            training.end("lost", "the server was stopped")
        self._held.clear()
        if self._watch is not None:
            self._watch.cancel()
