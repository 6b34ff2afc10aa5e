"""Checkpoints sampled side by side, in a process of its own that streams what it makes (app/tasks/compare.py).

    GET  /api/models                          {models: [{id, name, place, recipe, about, condition, classes, steps, weights, ...}]}
    POST /api/compare {panels, n, seed, nfe, told, prompts, exact, session, request}     {id, wish, request}; a panel: {model, step, weights, solver, grid, guidance}
    GET  /api/compare/ID/events               server-sent events, `data` in JSON: loaded, rung, film, nearest, known, exact, and last of all end, failed or lost
    GET  /api/compare/opening                 {wish, events}: the comparison that ships; {} where there is none
    GET  /api/scores?model=ID                 {evaluation: the newest of `python -m trainers evaluate`, or null}
    GET  /api/table                           {boards}: `python -m trainers table` over all methods that ship; {} where there is none
    POST /api/compare/ID/stop                 {ok: true}: its process is ended

A new comparison of a session takes the place of its last one. A model is named by its id, never by a path.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from app.endpoints.body import Refused, number_of, read_json, work
from app.endpoints.following import session_of, stream
from app.endpoints.trainings import TooMany
from app.opening import OPENING
from trainers.catalogue import SHIPPED, checkpoint_folder, evaluation, models

router = APIRouter()


@router.get("/models")
def listed(request: Request) -> JSONResponse:
    """Those of the server's folder of runs, and those that ship."""
    return JSONResponse({"models": [asdict(model) | {"id": model.id} for model in models(request.app.state.services.runs)]})


@router.get("/compare/opening")
def opening() -> Response:
    """Made by `python -m app.opening`."""
    return _file(OPENING)


@router.get("/table")
def table() -> Response:
    """Made by `python -m trainers table --out`."""
    return _file(SHIPPED / "table.json")


def _file(path: Path) -> Response:
    text = path.read_text(encoding="utf-8") if path.is_file() else "{}"
    return Response(text, media_type="application/json")


@router.get("/scores")
def scores(request: Request) -> JSONResponse:
    """Of one model."""
    try:
        return JSONResponse({"evaluation": evaluation(request.app.state.services.runs, request.query_params.get("model", ""))})
    except ValueError as error:
        raise Refused(400, str(error)) from error


@router.post("/compare")
async def begin(request: Request) -> JSONResponse:
    """Starts sampling, after the wish has been looked at."""
    body = await read_json(request)
    number = number_of(body)
    session = session_of(body, request, number)
    services = request.app.state.services
    given = {name: body[name] for name in ("panels", "n", "seed", "nfe", "told", "prompts", "exact") if name in body}
    wish = await work(request, services.quick, "compare.check", given, number)
    folders = await run_in_threadpool(lambda: [_folder(request, panel, number) for panel in body["panels"]])
    services.comparisons.end_of(session, "another comparison of this page began")
    try:
        comparison = services.comparisons.begin(wish | {"folders": folders}, session)
    except TooMany as error:
        raise Refused(429, str(error), number) from error
    return JSONResponse({"id": comparison.id, "wish": wish, "request": number})


def _folder(request: Request, panel: dict[str, Any], number: int | None) -> str:
    model, step = panel.get("model"), panel.get("step")
    if not isinstance(model, str) or not (step is None or type(step) is int):
        raise Refused(400, "a panel needs the id of a model, and a step that is a whole number or none", number)
    try:
        return str(checkpoint_folder(request.app.state.services.runs, model, step))
    except ValueError as error:
        raise Refused(400, str(error), number) from error


@router.get("/compare/{id_}/events")
async def events(request: Request, id_: str) -> Response:
    """See app.endpoints.following."""
    return stream(request, request.app.state.services.comparisons.get(id_), "comparison")


@router.post("/compare/{id_}/stop")
async def stop(request: Request, id_: str) -> JSONResponse:
    """Ends it; what was made stays with the page."""
    comparison = request.app.state.services.comparisons.get(id_)
    if comparison is None:
        raise Refused(404, "there is no such comparison, or it ended some time ago")
    comparison.end("end", "it was stopped")
    return JSONResponse({"ok": True})
