"""POST /api/verify {scene, request}: the float64 numbers that the page's own are held to (app/tasks/verify.py). About two seconds at 2,000 particles."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.endpoints.body import number_of, read_json, work

router = APIRouter()


@router.post("/verify")
async def verify(request: Request) -> JSONResponse:
    """toy's summary of the scene's trace, `prior_alone` and `request`."""
    body = await read_json(request)
    number = number_of(body)
    found = await work(request, request.app.state.services.heavy, "verify.verify", {"scene": body.get("scene")}, number)
    return JSONResponse(found | {"request": number})
