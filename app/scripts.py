"""What the pages' <head> loads: the stage's script and style, and Plotly's own script for whoever looks closer at a curve.

A page asks for script and style by their fingerprint (?FINGERPRINT), and then a browser may keep them.
"""

from functools import lru_cache

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app import stage

YEAR, DAY = 365 * 24 * 3600, 24 * 3600  # seconds
JAVASCRIPT, CSS = "text/javascript", "text/css"


def build() -> Starlette:
    """The application behind /stage, compressed on the wire."""
    routes = [route for page in stage.STYLES_OF for route in (_script(page), _style(page))]
    return Starlette(routes=[*routes, Route("/plotly.js", plotly)], middleware=[Middleware(GZipMiddleware, minimum_size=1000)])


def _script(page: str) -> Route:
    async def answer(request: Request) -> Response:
        return _kept(request, stage.script(page), JAVASCRIPT)

    return Route(f"/{page}.js", answer)


def _style(page: str) -> Route:
    async def answer(request: Request) -> Response:
        return _kept(request, stage.style(page), CSS)

    return Route(f"/{page}.css", answer)


def plotly(request: Request) -> Response:
    """Plotly as its Python package carries it: 4.8 MB, asked for when it is first wanted."""
    return Response(_plotly(), media_type=JAVASCRIPT, headers={"Cache-Control": f"private, max-age={DAY}"})


@lru_cache(maxsize=1)
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def _kept(request: Request, text: str, kind: str) -> Response:
    known = request.url.query == stage.fingerprint()
    return Response(text, media_type=kind, headers={"Cache-Control": f"private, max-age={YEAR}, immutable"} if known else {})
