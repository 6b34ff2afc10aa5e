"""GET /api/python?QUERY: the view of an address as a Python program that prints the same numbers (app/tasks/program.py)."""

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse

from app.endpoints.body import query_of, work

router = APIRouter()


@router.get("/python")
async def python(request: Request) -> PlainTextResponse:
    """text/plain."""
    return PlainTextResponse(await work(request, request.app.state.services.quick, "program.program", {"query": query_of(request)}))
