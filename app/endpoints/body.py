"""Reading requests strictly, and working on them for as long as somebody waits for the reply."""

import asyncio
import json
import math
from collections.abc import Mapping
from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from app.workers import Busy, Lane, Lost, TooLong

LONGEST_SENTENCE = 600
DIGITS = 20  # of a whole number
MOST_QUERY = 20_000  # characters: two mixtures of 64 components take 8,500


class Refused(Exception):
    """A request that is answered by one sentence and a status; `number` is the request's own."""

    def __init__(self, status: int, sentence: str, number: int | None = None) -> None:
        super().__init__(sentence)
        self.status, self.number = status, number


def refusal(status: int, sentence: str, number: int | None = None) -> JSONResponse:
    """{"error": sentence} on one line, with the request's number where it has one."""
    line = " ".join(sentence.split())
    if len(line) > LONGEST_SENTENCE:
        line = line[: LONGEST_SENTENCE - 1] + "…"
    return JSONResponse({"error": line} | ({} if number is None else {"request": number}), status)


async def read_json(request: Request) -> dict[str, Any]:
    """The object that a request's body holds, its numbers all finite. Raises Refused: 415 for another content type, 400 for what is not such an object."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "the body must be JSON, with the content type application/json")
    return parse_json(await request.body())


def parse_json(body: bytes) -> dict[str, Any]:
    """A JSON object, its numbers all finite and its whole numbers of at most 20 digits; Refused (400) for anything else."""
    try:
        found = json.loads(body, parse_float=_fraction, parse_int=_whole, parse_constant=_constant)
    except RecursionError as error:
        raise Refused(400, "the body's JSON is nested too deeply") from error
    except ValueError as error:  # bad UTF-8 too
        raise Refused(400, f"the body cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise Refused(400, "the body must be a JSON object")
    return found


def number_of(body: Mapping[str, Any]) -> int | None:
    """The request's own number. Raises Refused where it is no whole number."""
    number = body.get("request")
    if number is None or type(number) is int:
        return number
    raise Refused(400, "request must be a whole number")


def query_of(request: Request) -> str:
    """The request's query string. Raises Refused (413) where it is too long to be an address of the lab."""
    query = request.url.query
    if len(query) > MOST_QUERY:
        raise Refused(413, f"the address has a query of {len(query)} characters; at most {MOST_QUERY} are read")
    return query


async def work(request: Request, lane: Lane, task: str, given: Mapping[str, Any], number: int | None = None) -> Any:
    """What the task returns, unless the client goes away, which cancels it. Raises Refused in the place of what the task raises."""
    job = asyncio.ensure_future(lane.run(task, given))
    left = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((job, left), return_when=asyncio.FIRST_COMPLETED)
        if not job.done():
            raise ClientDisconnect
        return job.result()
    except ClientDisconnect as error:
        raise Refused(400, "the client went away", number) from error
    except Busy as error:
        raise Refused(429, str(error), number) from error
    except (Lost, TooLong) as error:
        raise Refused(503, str(error), number) from error
    except MemoryError as error:
        raise Refused(400, "this takes more memory than there is; ask for less", number) from error
    except ValueError as error:
        raise Refused(400, str(error), number) from error
    finally:
        job.cancel()
        left.cancel()


async def work_on_json(request: Request, lane: Lane, task: str, *names: str) -> tuple[Any, int | None]:
    """What a task returns for the named fields of a JSON body (those that are there), and the request's own number. Raises Refused as `read_json` and `work` do."""
    body = await read_json(request)
    number = number_of(body)
    return await work(request, lane, task, {name: body[name] for name in names if name in body}, number), number


async def _gone(request: Request) -> None:
    """Returns when the client has closed its connection; the body must have been read before."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _fraction(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:DIGITS]} is too large a number")
    return number


def _whole(text: str) -> int:
    if len(text) > DIGITS:
        raise ValueError(f"{text[:DIGITS]}... is too long a number")
    return int(text)


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not a number that can be used")
