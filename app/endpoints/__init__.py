"""What the pages ask of the server, one file for each idea; JSON in and out unless a file says otherwise.

    GET  /api/setup                        targets, controls, defaults, the opening view                 setup.py
    GET  /api/view?QUERY                   an address's view, clamped, with notes                        setup.py
    POST /api/verify {scene}               the float64 numbers of a scene                                verify.py
    POST /api/fit {scene}                  batch OT as a block coupling                                  coupling.py
    POST /api/pairing {scene}              full OT of the shown points, int32                            coupling.py
    POST /api/cloud  CSV or {points}       a mixture fitted to points                                    clouds.py
    POST /api/letters {letters}            typed letters as a mixture                                    clouds.py
    POST /api/figure {view, kind, format}  PNG, SVG or PDF                                               figure.py
    GET  /api/python?QUERY                 a program that prints the same numbers                        program.py
    POST /api/learn {scenes, options}      training in a process of its own, followed by events          learn.py
    GET  /api/models, POST /api/compare    checkpoints side by side, followed by events                  compare.py
    GET  /api/recipes, /api/jobs, ...      trainings on real pictures, which outlive the server          jobs.py

A POST may carry `request`, a whole number, which its reply repeats (in JSON, or as the header X-Request of bytes), so that a page can tell a late
reply from the one it waits for. A client that
goes away cancels its task. Errors are {"error": "one sentence"} with 400 (input that cannot be used), 404, 405, 413, 415, 429 (too many at once) or
503 (a worker was lost, or took too long).
"""

import asyncio
import contextlib
import logging
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from app.endpoints import clouds, compare, coupling, figure, jobs, learn, program, setup, verify
from app.endpoints.body import Refused, refusal
from app.endpoints.setup import Setup
from app.endpoints.trainings import Trainings
from app.workers import Lane

log = logging.getLogger(__name__)
SENTENCES = {404: "there is no such address", 405: "this address does not take that method"}


class Services:
    """What the endpoints share: `quick` for what takes milliseconds, `heavy` for what takes seconds, trainings, and the setup. Two heavy tasks at
    once and eight waiting, then 429. runs: the folder of training runs."""

    def __init__(self, runs: Path = Path("runs")) -> None:
        self.runs = runs
        self.quick = Lane("quick", workers=1, queue=32, seconds=30, niceness=0)
        self.heavy = Lane("heavy", workers=2, queue=8, seconds=120, niceness=10)  # what a page draws meanwhile comes first
        self.trainings = Trainings()
        self.comparisons = Trainings("compare.run", "comparison")
        self.setup = Setup(self.quick)

    async def warm(self) -> None:
        """Has the workers import what they need, so that the first request does not wait for it; the quick one first."""
        await asyncio.to_thread(self.setup.text)
        await self.quick.run("setup.ready", {})
        await asyncio.gather(*(self.heavy.run("verify.ready", {}) for _ in range(self.heavy.workers)))

    def close(self) -> None:
        """Ends every process."""
        self.trainings.close()
        self.comparisons.close()
        self.setup.close()
        for lane in (self.quick, self.heavy):
            lane.close()


def build(services: Services) -> FastAPI:
    """The endpoints as an application of their own, to be mounted at /api."""
    api = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    api.state.services = services
    for part in (setup, verify, coupling, clouds, figure, program, learn, jobs, compare):
        api.include_router(part.router)
    api.add_exception_handler(Refused, _refused)
    api.add_exception_handler(HTTPException, _http_error)
    api.add_exception_handler(Exception, _fault)
    return api


async def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refused)
    return refusal(error.status, str(error), error.number)


async def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    reply = refusal(error.status_code, SENTENCES.get(error.status_code, str(error.detail)))
    with contextlib.suppress(AttributeError):
        reply.headers.update(error.headers or {})
    return reply


async def _fault(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return refusal(500, "the server made a mistake; its log says which")
