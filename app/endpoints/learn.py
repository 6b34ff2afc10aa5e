"""Networks that learn while somebody watches, each training in a process of its own (app/tasks/learn.py).

    POST /api/learn {scenes: [one or two], options, session, request}     {id, sides, seed, options, notes, request}
    GET  /api/learn/ID/events                 server-sent events, `data` in JSON: preparing, started, progress, snapshot, paused, resumed, measuring, report, and last of all
                                              end (done, stopped, or ended by the server), failed (the scene cannot be trained on; not
                                              called error, which is the browser's own event for a lost connection) or lost (the process is gone)
    GET  /api/learn/ID/snapshot/K/SIDE        the grid of snapshot K for side a or b, in the layout of app/tasks/grids.py
    POST /api/learn/ID/pause|resume|stop      {ok: true}; stop still measures what has been learned

`session` is a text that a page makes up once (8 to 64 letters, digits, - or _); the client's address stands for it where it is missing. A session
trains once at a time, the server twice. Every
training has a seed of its own unless the options name one (`first_seed`). One that nobody listens to for 20 s ends. A listener that comes back
(Last-Event-ID) hears what it has missed.
"""

import secrets

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from app.endpoints.body import Refused, number_of, read_json, work
from app.endpoints.following import session_of, stream
from app.endpoints.trainings import TooMany, Training

SIDES = ("a", "b")
COMMANDS = ("pause", "resume", "stop")
router = APIRouter()


@router.post("/learn")
async def begin(request: Request) -> JSONResponse:
    """Starts a training, after its scenes and options have been looked at."""
    body = await read_json(request)
    number = number_of(body)
    session = session_of(body, request, number)
    services = request.app.state.services
    given = {"scenes": body.get("scenes"), "options": body.get("options")}
    checked = await work(request, services.quick, "learn.check", given, number)
    options = checked["options"]
    if not (isinstance(body.get("options"), dict) and "first_seed" in body["options"]):
        options["first_seed"] = secrets.randbelow(2**32 - 1)
    try:
        training = services.trainings.begin({"scenes": body["scenes"], "options": options}, session)
    except TooMany as error:
        raise Refused(429, str(error), number) from error
    found = {"id": training.id, "sides": training.sides, "seed": options["first_seed"], "options": options, "notes": checked["notes"]}
    return JSONResponse(found | {"request": number})


@router.get("/learn/{id_}/events")
async def events(request: Request, id_: str) -> Response:
    """text/event-stream; 204, which ends a browser's attempts to reconnect, where all has been said."""
    return stream(request, request.app.state.services.trainings.get(id_), "training")


@router.get("/learn/{id_}/snapshot/{k}/{side}")
async def snapshot(request: Request, id_: str, k: str, side: str) -> Response:
    """application/octet-stream."""
    training = _training(request, id_)
    if side not in SIDES[: training.sides]:
        raise Refused(404, f"this training has {' and '.join(SIDES[: training.sides])}, no such side")
    grids = training.grids.get(int(k)) if k.isascii() and k.isdigit() and len(k) < 10 else None
    if grids is None:
        raise Refused(404, "there is no such snapshot, or it was let go; the last snapshot event says which are kept")
    return Response(
        grids[SIDES.index(side)], media_type="application/octet-stream", headers={"Cache-Control": "private, max-age=3600, immutable"}
    )


@router.post("/learn/{id_}/{command}")
async def command(request: Request, id_: str, command: str) -> JSONResponse:
    """Passes one of the three words on."""
    training = _training(request, id_)
    if command not in COMMANDS:
        raise Refused(404, f"a training takes {', '.join(COMMANDS)}")
    training.tell(command)
    return JSONResponse({"ok": True})


def _training(request: Request, id_: str) -> Training:
    training = request.app.state.services.trainings.get(id_)
    if training is None:
        raise Refused(404, "there is no such training, or it ended some time ago")
    return training
