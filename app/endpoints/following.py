"""What endpoints of work that goes on share: whose it is, and its events as a stream."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from app.endpoints.body import Refused
from app.endpoints.trainings import Training

SESSION = re.compile(r"[A-Za-z0-9_-]{8,64}")


def session_of(body: Mapping[str, Any], request: Request, number: int | None) -> str:
    """The text that a page made up once; the client's address stands for it where it is missing. Raises Refused."""
    session = body.get("session")
    if session is None:
        return request.client.host if request.client else "unknown"
    if not isinstance(session, str) or not SESSION.fullmatch(session):
        raise Refused(400, "session must be 8 to 64 letters, digits, - or _", number)
    return session


def stream(request: Request, work: Training | None, what: str) -> Response:
    """text/event-stream of what it says, from the event after Last-Event-ID on; 204, which ends a browser's attempts to reconnect, where all has been said."""
    if work is None:
        raise Refused(404, f"there is no such {what}, or it ended some time ago")
    last = request.headers.get("last-event-id", "")
    first = int(last) + 1 if last.isascii() and last.isdigit() and len(last) < 10 else 0
    if work.ended is not None and first >= len(work.events):
        return Response(status_code=204)

    async def lines() -> AsyncIterator[str]:
        async for event in work.follow(first):
            if event is None:
                yield ": still here\n\n"  # so that a closed connection is noticed
            else:
                place, name, numbers = event
                yield f"id: {place}\nevent: {name}\ndata: {json.dumps(numbers, separators=(',', ':'))}\n\n"

    return StreamingResponse(lines(), media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
