"""Trainings on real pictures: runs in the folder that the server was started with, each a process of its own that outlives the server (trainers.jobs).

    GET  /api/recipes                              what can be started, and the form's fields          app/tasks/recipes.py
    POST /api/plan {recipe, settings}              parameters, memory, images a second, hours, notes
    GET  /api/jobs                                 {runs: [...], limit}
    POST /api/jobs {recipe, settings, name}        {run}; the name is made up where it is missing
    GET  /api/jobs/NAME                            {run, curves, samples: [steps], prior: whether there is a picture of the prior alone, log}
    GET  /api/jobs/NAME/samples/FILE               a preview, PNG
    POST /api/jobs/NAME/pause|resume|stop|delete   {run}; delete gives {}
    POST /api/limit {number}                       {limit}

A name is a run's, never a path; a recipe is one of the list, with values for known fields only.
"""

import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response

from app.endpoints.body import Refused, read_json, work, work_on_json
from trainers import jobs
from trainers.jobs.control import start_text
from trainers.jobs.names import free_name
from trainers.layout import SAMPLES

LOG = 20_000  # bytes of a log's end
PREVIEW = re.compile(r"[A-Za-z0-9_-]{1,40}\.png")
ACTIONS = {"pause": jobs.pause, "resume": jobs.resume, "stop": jobs.stop, "delete": jobs.delete}
router = APIRouter()


def _runs(request: Request) -> Path:
    return request.app.state.services.runs


@router.get("/recipes")
async def recipes(request: Request) -> JSONResponse:
    """See app.tasks.recipes.describe."""
    return JSONResponse(await work(request, request.app.state.services.quick, "recipes.describe", {}))


@router.post("/plan")
async def plan(request: Request) -> JSONResponse:
    """See app.tasks.recipes.plan; some steps are timed, which takes seconds."""
    found, number = await work_on_json(request, request.app.state.services.heavy, "recipes.plan", "recipe", "settings")
    return JSONResponse(found | {"request": number})


@router.get("/jobs")
def listed(request: Request) -> JSONResponse:
    """The newest first."""
    runs = _runs(request)
    return JSONResponse({"runs": [asdict(state) for state in jobs.Index(runs).list()], "limit": jobs.limit(runs)})


@router.post("/jobs")
async def begin(request: Request) -> JSONResponse:
    """Checks the recipe in a worker, then queues the run."""
    body = await read_json(request)
    name = body.get("name")
    if name is not None and not isinstance(name, str):
        raise Refused(400, "name must be a text")
    given = {key: body[key] for key in ("recipe", "settings") if key in body}
    found = await work(request, request.app.state.services.quick, "recipes.text", given)
    state = await run_in_threadpool(_begin, _runs(request), name, found)
    return JSONResponse({"run": state, "notes": found["notes"]})


def _begin(runs: Path, name: str | None, found: dict[str, Any]) -> dict[str, Any]:
    try:
        return asdict(start_text(runs, name or free_name(runs, found["name"]), found["recipe"]))
    except ValueError as error:
        raise Refused(400, str(error)) from error


@router.get("/jobs/{name}")
def one(request: Request, name: str) -> JSONResponse:
    """Everything about one run."""
    runs = _runs(request)
    folder = _folder(runs, name)
    pictures = sorted(path.stem for path in (folder / SAMPLES).glob("*.png"))
    found = {
        "run": asdict(jobs.read_state(runs, name)),
        "curves": asdict(jobs.curves(folder)),
        "samples": pictures,
        "log": jobs.log(runs, name, LOG),
    }
    return JSONResponse(found)


@router.get("/jobs/{name}/samples/{file}")
def sample(request: Request, name: str, file: str) -> Response:
    """image/png."""
    path = _folder(_runs(request), name) / SAMPLES / file
    if not PREVIEW.fullmatch(file) or not path.is_file():
        raise Refused(404, "there is no such preview")
    return FileResponse(path, media_type="image/png", headers={"Cache-Control": "private, no-cache"})


@router.post("/jobs/{name}/{action}")
def act(request: Request, name: str, action: str) -> JSONResponse:
    """One of ACTIONS."""
    runs = _runs(request)
    if action not in ACTIONS:
        raise Refused(404, f"a run takes {', '.join(ACTIONS)}")
    _folder(runs, name)
    try:
        state = ACTIONS[action](runs, name)
    except ValueError as error:
        raise Refused(400, str(error)) from error
    return JSONResponse({} if state is None else {"run": asdict(state)})


@router.post("/limit")
async def set_limit(request: Request) -> JSONResponse:
    """How many train at once."""
    number = (await read_json(request)).get("number")
    if type(number) is not int:
        raise Refused(400, "number must be a whole number")
    try:
        await run_in_threadpool(jobs.set_limit, _runs(request), number)
    except ValueError as error:
        raise Refused(400, str(error)) from error
    return JSONResponse({"limit": number})


def _folder(runs: Path, name: str) -> Path:
    try:
        return jobs.folder_of(runs, name)
    except ValueError as error:
        raise Refused(404, str(error)) from error
