"""POST /api/figure {view: {a, b}, kind, format, request}: the view as matplotlib draws it (app/tasks/figure.py)."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.endpoints.body import number_of, read_json, work

KINDS = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}
router = APIRouter()


@router.post("/figure")
async def figure(request: Request) -> Response:
    """The file, as an attachment; the request's number is in the header X-Request."""
    body = await read_json(request)
    number = number_of(body)
    given = {name: body[name] for name in ("view", "kind", "format") if name in body}
    drawn = await work(request, request.app.state.services.heavy, "figure.figure", given, number)
    ending = given.get("format", "png")  # the worker has refused others
    headers = {"Content-Disposition": f'attachment; filename="flow-matching.{ending}"'}
    return Response(drawn, media_type=KINDS[ending], headers=headers | ({} if number is None else {"X-Request": str(number)}))
