"""A lab that really serves: uvicorn in a thread, on a free port, with worker processes of its own and an empty cache."""

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
import uvicorn

from app.endpoints import Services
from app.server import create_app


@dataclass(frozen=True)
class Lab:
    """A running lab: its address, a client of it, and the processes behind it."""

    address: str
    client: httpx.Client
    services: Services


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        services = Services()
        app = create_app(pages={}, services=services)
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    held.listen(128)
    address = f"http://127.0.0.1:{held.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [held]}, daemon=True)
    thread.start()
    with httpx.Client(base_url=address, timeout=300) as client:
        client.get("/api/setup")  # so that no test waits for torch's import by surprise
        yield Lab(address, client, services)
    server.should_exit = True
    thread.join(15)
    assert not thread.is_alive()


def eventually(holds, seconds: float = 20.0) -> bool:
    """Whether it holds before so many seconds are over."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.05)
    return bool(holds())
