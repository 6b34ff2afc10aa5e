"""POST /api/verify {scene, request}: the float64 numbers that the page's own are held to (app/tasks/verify.py). About two seconds at 2,000 particles."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from app.endpoints.body import work_on_json

router = APIRouter()


@router.post("/verify")
async def verify(request: Request) -> JSONResponse:
    """toy's summary of the scene's trace, `prior_alone` and `request`."""
    found, number = await work_on_json(request, request.app.state.services.heavy, "verify.verify", "scene")
    return JSONResponse(found | {"request": number})
