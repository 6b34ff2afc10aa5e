"""GET /api/setup: what the page has to know before it can draw. GET /api/view?QUERY: the view of an address.

The setup takes a worker some five seconds, most of them torch's import and the fits of `digits` and `letters`; it depends on nothing but the code,
so it is kept in the user's cache
folder under a hash of that code, and later starts find it there at once.
"""

import asyncio
import hashlib
import importlib.metadata
import json
import logging
import os
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from app.endpoints.body import query_of, work
from app.workers import Lane

ROOT = Path(__file__).resolve().parent.parent.parent
BEHIND = ("lab", "toy", "app/tasks")  # the code that a setup is made by
LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "matplotlib")
DAY = 24 * 3600

log = logging.getLogger(__name__)
router = APIRouter()


class Setup:
    """The setup as JSON text: from the cache, or made by a worker while the server starts."""

    def __init__(self, lane: Lane, folder: Path | None = None) -> None:
        self._lane, self._file = lane, (folder or cache_folder()) / f"setup-{fingerprint()}.json"
        self._text: str | None = None
        self._first: Future[Any] | None = None
        self._whole: Future[Any] | None = None
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Reads the cache, or sets a worker to work; returns at once."""
        with self._lock:
            self._begin()

    def early(self) -> str:
        """The whole text where there is one, else one that lacks the targets that it names in `later`: soon there, for a page that must not wait."""
        with self._lock:
            if self._text is None:
                self._begin()
            if self._text is not None:
                return self._text
            assert self._first is not None
            return _text(self._first.result())

    def text(self) -> str:
        """The whole text; waits for the worker. Raises what the worker raised."""
        with self._lock:
            if self._text is None:
                self._begin()
            if self._text is None:
                assert self._whole is not None
                try:
                    self._text = _text(self._whole.result())
                finally:
                    self._first = self._whole = None
                self._keep(self._text)
            return self._text

    def close(self) -> None:
        """Lets go of whoever waits for the worker, which may end now: a thread that waits for ever would keep the server from ending."""
        for waited in (self._first, self._whole):
            if waited is not None:
                waited.cancel()

    def _begin(self) -> None:
        if self._text is not None or self._whole is not None:
            return
        try:
            text = self._file.read_text(encoding="utf-8")
            if "targets" in json.loads(text):
                self._text = text
                return
        except (OSError, ValueError) as error:
            log.debug("no setup in the cache: %s", error)
        self._first, self._whole = (self._lane.begin(task, {}) for task in ("setup.first", "setup.setup"))

    def _keep(self, text: str) -> None:
        partial = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(text, encoding="utf-8")
            partial.replace(self._file)
            for old in self._file.parent.glob("setup-*.json"):
                if old != self._file and old.stat().st_mtime < self._file.stat().st_mtime - DAY:
                    old.unlink()
        except OSError as error:
            log.warning("the setup cannot be kept in %s (%s): every start makes it anew", self._file.parent, error.strerror)


def _text(found: dict[str, Any]) -> str:
    return json.dumps(found, separators=(",", ":"), allow_nan=False)


def cache_folder() -> Path:
    """The user's folder for what can be made again."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "flow-matching-lab"


def fingerprint() -> str:
    """A hash of the code and of the libraries' versions that a setup depends on."""
    seen = hashlib.sha256()
    for folder in BEHIND:
        for file in sorted((ROOT / folder).rglob("*.py")):
            seen.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    seen.update(" ".join(f"{name}={importlib.metadata.version(name)}" for name in LIBRARIES).encode())
    return seen.hexdigest()[:16]


@router.get("/setup")
async def setup(request: Request) -> Response:
    """version, later, targets, boxes, controls, view_controls, shown, defaults, opening, learning, figures, limits (app/tasks/setup.py)."""
    found = request.app.state.services.setup
    return Response(await asyncio.to_thread(found.text), media_type="application/json")


@router.get("/view")
async def view(request: Request) -> Response:
    """{view, notes, boxes}: clamped, never refused for its values."""
    given = {"query": query_of(request)}
    return JSONResponse(await work(request, request.app.state.services.quick, "setup.view", given))
