"""The one FastAPI application: the pages that there are, the stage's script, the endpoints under /api, and the gates in front of all of them.

Nothing here imports torch; what needs it runs in workers, which are set to work before the pages are built, so that both take place at once.
"""

import asyncio
import contextlib
import importlib
import importlib.util
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from starlette.types import ASGIApp

from app import endpoints, scripts
from app.endpoints import Services
from app.security import LOOPBACK, guard

if TYPE_CHECKING:
    import gradio as gr

PAGES = {
    "/compare": "app.pages.compare",
    "/train": "app.pages.train",
    "/": "app.pages.explore",
}  # address and module of a page, which has `build` and `head`; the one at the root takes what is left
SETUP_NAME = "FLOWLAB_SETUP"  # the page's global that holds what /api/setup returns


@dataclass(frozen=True)
class Page:
    """A page: `build` makes its blocks, `head` the HTML that its <head> holds after the setup."""

    build: "Callable[[], gr.Blocks]"
    head: Callable[[], str] = str


def create_app(
    *,
    pages: Mapping[str, Page] | None = None,
    hosts: Sequence[str] = LOOPBACK,
    password: str | None = None,
    runs: Path | None = None,
    services: Services | None = None,
) -> ASGIApp:
    """The lab as an ASGI application.

    pages: by address; those of PAGES whose module exists, if not given. hosts: names that a request may ask for. password: asked everywhere, if given. runs: the folder
    of training runs, for the pages that list them (`app.state.runs`). services: the processes behind the endpoints, made afresh if not given; they are ended with the
    application.
    """
    services = services or Services(runs or Path("runs"))
    services.setup.begin()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(services.warm())
        try:
            yield
        finally:
            warming.cancel()
            services.close()

    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, lifespan=lifespan)
    app.state.runs = runs
    app.mount("/api", endpoints.build(services))
    app.mount("/stage", scripts.build())
    for address, page in (_found() if pages is None else pages).items():
        _mount(app, address, page, services)
    return guard(app, hosts=hosts, password=password)


def _found() -> dict[str, Page]:
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when Gradio is imported
    there = {address: importlib.import_module(name) for address, name in PAGES.items() if _exists(name)}
    return {address: Page(module.build, module.head) for address, module in there.items()}


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # not even its folder
        return False


def _mount(app: FastAPI, address: str, page: Page, services: Services) -> None:
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    import gradio as gr
    from gradio.themes import Base

    if address != "/":  # a mount answers below its address; the page at the root would take the address itself

        @app.get(address, include_in_schema=False)
        def below(request: Request) -> RedirectResponse:
            return RedirectResponse(str(request.url.replace(scheme="", netloc="", path=f"{address}/")))

    blocks = page.build()
    blocks.analytics_enabled = False
    setup = services.setup.early().replace("<", "\\u003c")  # no text in it can end the script
    gr.mount_gradio_app(
        app,
        blocks,
        path=address,
        server_name="127.0.0.1",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        show_error=False,
        enable_monitoring=False,
        mcp_server=False,
        pwa=False,
        max_file_size="2mb",
        theme=Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),  # fonts of the machine: none is fetched
        head=f"<script>globalThis.{SETUP_NAME} = {setup};</script>{page.head()}",
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
    )
