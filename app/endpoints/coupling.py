"""POST /api/fit {scene, request}: batch OT as a block coupling. POST /api/pairing {scene, request}: full OT of the shown points (app/tasks/coupling.py)."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from app.endpoints.body import work_on_json

router = APIRouter()


@router.post("/fit")
async def fit(request: Request) -> JSONResponse:
    """source, target, cross, cost, pairs, sub_components, estimate and `request`; some four seconds the first time."""
    found, number = await work_on_json(request, request.app.state.services.heavy, "coupling.fit", "scene")
    return JSONResponse(found | {"request": number})


@router.post("/pairing")
async def pairing(request: Request) -> Response:
    """application/octet-stream: N little-endian int32, the place among the scene's data of the x_1 of each particle; the request's number is in the header X-Request."""
    order, number = await work_on_json(request, request.app.state.services.heavy, "coupling.pairing", "scene")
    return Response(order, media_type="application/octet-stream", headers={} if number is None else {"X-Request": str(number)})
