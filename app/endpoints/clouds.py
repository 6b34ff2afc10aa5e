"""POST /api/cloud: a mixture fitted to points, from a CSV text or a drawing. POST /api/letters {letters, request}: typed letters (app/tasks/clouds.py)."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.endpoints.body import Refused, number_of, parse_json, work, work_on_json

router = APIRouter()


@router.post("/cloud")
async def cloud(request: Request) -> JSONResponse:
    """mixture, box, note, w2, w2_floor, held_out_log_likelihood, rows, components, class_names, unused, shift, scale and `request`. text/csv holds
    x, y and perhaps class; JSON {points, classes}.

    The request's number is in the JSON, or in the query (?request=N) of a CSV."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        body = parse_json(await request.body())
        number, given = number_of(body), {name: body[name] for name in ("points", "classes") if name in body}
    elif kind in ("text/csv", "text/plain"):
        text = request.query_params.get("request", "")
        if text and not (text.isascii() and text.isdigit() and len(text) < 16):
            raise Refused(400, "request must be a whole number")
        number = int(text) if text else None
        try:
            given = {"text": (await request.body()).decode("utf-8-sig")}
        except UnicodeDecodeError as error:
            raise Refused(400, "the file is not text; a CSV file with columns x, y and perhaps class is needed", number) from error
    else:
        raise Refused(415, "the body must be text/csv, or JSON with the content type application/json")
    found = await work(request, request.app.state.services.heavy, "clouds.cloud", given, number)
    return JSONResponse(found | {"request": number})


@router.post("/letters")
async def letters(request: Request) -> JSONResponse:
    """The mixture's keys, its `box` and `request`."""
    found, number = await work_on_json(request, request.app.state.services.quick, "clouds.letters", "letters")
    return JSONResponse(found | {"request": number})
