"""Worker processes for what a page asks of Python: spawned, with torch imported only there and on one thread, in lanes with a queue and a limit.

A task is named "module.function" and lives in app/tasks/module.py, so that the process that serves pages never imports what a task needs. It takes
one JSON-like dict and returns what can
be pickled. pebble's pool does the rest: a task that is cancelled or takes too long has its process killed and replaced.
"""

import asyncio
import contextlib
import gc
import importlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Mapping
from concurrent.futures import Future, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from pebble import ProcessExpired, ProcessPool

SPAWN = multiprocessing.get_context("spawn")  # a fork of a server with threads may hang
GRACE = 2.0  # seconds that a running task nobody waits for is given: a new process costs as much (torch's import)
TASKS_EACH = 500  # then a worker is replaced, so that what libraries keep does not pile up
LOST = "the process that computed this was lost; try again"

log = logging.getLogger(__name__)


class Busy(RuntimeError):
    """The queue is full."""


class Lost(RuntimeError):
    """A worker process ended before its task did."""


class TooLong(RuntimeError):
    """A task took longer than its lane allows, and was stopped."""


def enter(niceness: int) -> None:
    """What every worker process begins with: one thread for each library, below the pages in priority, deaf to Ctrl-C (the server ends it)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"  # before torch and numpy are imported
    os.environ.setdefault("MPLBACKEND", "Agg")
    if hasattr(os, "nice"):
        os.nice(niceness)


def call(task: str, given: Mapping[str, Any]) -> Any:
    """Runs a task in the worker that it was sent to."""
    import torch

    torch.set_num_threads(1)
    module, function = task.split(".")
    try:
        return getattr(importlib.import_module(f"app.tasks.{module}"), function)(given)
    finally:
        gc.collect()  # a trace of 20,000 particles does not stay until the next one;
        gc.freeze()  # what imports made does, and is not looked through again, which would take 0.15 s each time


class Lane:
    """A few workers that share a queue. `workers` tasks run at once and `queue` more may wait; a task that takes more than `seconds` is stopped."""

    def __init__(self, name: str, *, workers: int, queue: int, seconds: float, niceness: int) -> None:
        self.name, self.workers, self.queue, self.seconds, self.niceness = name, workers, queue, seconds, niceness
        self._pool: ProcessPool | None = None
        self._free = asyncio.Semaphore(workers)
        self._inside = 0
        self._leaving: set[asyncio.Task[None]] = set()

    def begin(self, task: str, given: Mapping[str, Any]) -> "Future[Any]":
        """Hands a task to the pool past the queue, and starts the pool where there is none: for the server's own start."""
        if self._pool is None or not self._pool.active:  # pebble gives up a pool whose worker is killed while idle
            if self._pool is not None:
                log.warning("the %s workers were lost and are started anew", self.name)
                self._end_pool()
            self._pool = ProcessPool(self.workers, max_tasks=TASKS_EACH, initializer=enter, initargs=(self.niceness,), context=SPAWN)
        return self._pool.schedule(call, args=(task, dict(given)), timeout=self.seconds)

    async def run(self, task: str, given: Mapping[str, Any]) -> Any:
        """What the task returns. Cancelling this drops a task that still waits; one that runs is killed if it has not ended after a short while.

        Raises Busy, TooLong, Lost, and whatever the task raises.
        """
        if self._inside >= self.workers + self.queue:
            raise Busy(f"{self._inside} requests of this kind are being worked on or waiting, which is the most; try again in a moment")
        self._inside += 1
        try:
            await self._free.acquire()
        except asyncio.CancelledError:
            self._inside -= 1
            raise
        future: Future[Any] | None = None
        try:
            future = self.begin(task, given)
            try:
                return await asyncio.shield(_awaited(future))
            except (BrokenProcessPool, RuntimeError) as error:
                if self._pool is not None and self._pool.active:
                    raise
                log.info("%s again: %s", task, error)  # an idle worker had been killed just before
                future = self.begin(task, given)
                return await asyncio.shield(_awaited(future))
        except (ProcessExpired, BrokenProcessPool) as error:
            raise Lost(LOST) from error
        except TimeoutError as error:
            raise TooLong(f"this took more than {self.seconds:.0f} s and was stopped; ask for fewer particles or evaluations") from error
        finally:
            if future is None or future.done():
                self._leave()
            else:  # nobody waits any more
                leaving = asyncio.create_task(self._let_end(future))
                self._leaving.add(leaving)
                leaving.add_done_callback(self._leaving.discard)

    async def _let_end(self, future: "Future[Any]") -> None:
        try:
            await asyncio.wait([_awaited(future)], timeout=GRACE)
            future.cancel()
        finally:
            self._leave()

    def _leave(self) -> None:
        self._inside -= 1
        self._free.release()

    @property
    def inside(self) -> int:
        """Tasks that run or wait."""
        return self._inside

    def close(self) -> None:
        """Ends the lane's processes."""
        for leaving in self._leaving:
            leaving.cancel()
        if self._pool is not None:
            self._end_pool()
            self._pool = None

    def _end_pool(self) -> None:
        assert self._pool is not None
        self._pool.stop()
        with contextlib.suppress(RuntimeError, TimeoutError):  # a pool that broke has nothing left to wait for
            self._pool.join(timeout=5)


def _awaited(future: "Future[Any]") -> "asyncio.Future[Any]":
    """The future for an event loop, whose error is not complained of where nobody waits any more."""
    awaited = asyncio.wrap_future(future)
    awaited.add_done_callback(lambda done: done.cancelled() or done.exception())
    return awaited


class Companion:
    """A process of its own for work that goes on for minutes and talks meanwhile: `task` is called with the given dict and the other end of `pipe`."""

    def __init__(self, task: str, given: Mapping[str, Any], niceness: int) -> None:
        self.pipe, other = SPAWN.Pipe()
        self.process: BaseProcess = SPAWN.Process(target=_accompany, args=(task, dict(given), other, niceness), daemon=True)
        self.process.start()
        other.close()  # so that reading ends when the process does

    def kill(self) -> None:
        """Ends the process at once, and waits for it."""
        if self.process.is_alive():
            self.process.kill()
        self.process.join(5)


def _accompany(task: str, given: dict[str, Any], pipe: Connection, niceness: int) -> None:
    enter(niceness)
    import torch

    torch.set_num_threads(1)
    module, function = task.split(".")
    getattr(importlib.import_module(f"app.tasks.{module}"), function)(given, pipe)
