"""A running lab and a real browser. Without a browser the tests are skipped, loudly; with CI=true that is a failure."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PICTURES = Path(os.environ.get("FLOWLAB_PICTURES", ROOT / "runs" / "pictures"))  # screenshots, to be looked at
LOOPBACK = ("127.0.0.1", "localhost")
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is not None or os.environ.get("CI") == "true":
        return
    words = (
        "NO BROWSER: install chromium (Debian: apt-get install chromium) or name one in CHROMIUM=path; the tests of the page are skipped"
    )
    for item in items:
        if "browser" in Path(str(item.fspath)).parts:
            item.add_marker(pytest.mark.skip(reason=words))
    print(f"\n{words}\n", file=sys.stderr)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


@contextlib.contextmanager
def started(**environment: str) -> Iterator[str]:
    """The address of a lab started as the README says, on a free port; the server's answer has been waited for."""
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "app", "--port", str(port)],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{address}/", timeout=5).read()
                break
            except OSError:
                if server.poll() is not None:
                    assert server.stderr is not None
                    pytest.fail(f"the lab did not start: {server.stderr.read().decode()[-2000:]}")
                time.sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(20)


@pytest.fixture(scope="session")
def lab() -> Iterator[str]:
    """The address of a running lab."""
    if CHROMIUM is None and os.environ.get("CI") == "true":
        pytest.fail("CI=true needs a browser")
    with started() as address:
        yield address


@pytest.fixture(scope="session")
def chromium() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page whose requests, errors and exceptions are kept; requests that leave the machine are refused."""

    def __init__(self, browser, address: str, query: str = "", **context) -> None:
        self.context = browser.new_context(**({"viewport": {"width": 1400, "height": 900}} | context))
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.outside: list[str] = []
        self.faults: list[str] = []
        self.context.route("**/*", self._route)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("console", lambda said: self.faults.append(said.text) if said.type == "error" else None)
        self.page.goto(f"{address}/{query}")
        from playwright.sync_api import TimeoutError as TooLate

        try:
            self.page.wait_for_function("() => window.explore && window.explore.page.opened && window.explore.session.sides.b.measured")
        except TooLate as error:
            raise AssertionError(f"the page did not open; its console says {self.faults}") from error

    def _route(self, route) -> None:
        url = route.request.url
        self.requests.append(url)
        if url.startswith(("data:", "blob:")) or any(url.startswith(f"http://{host}:") for host in LOOPBACK):
            route.continue_()
        else:
            self.outside.append(url)
            route.abort()

    def settle(self) -> None:
        """Until the worker has measured all particles of both sides."""
        self.page.wait_for_function(
            "() => ['a', 'b'].every((name) => window.explore.session.sides[name].complete && !window.explore.session.sides[name].waiting)"
        )
        self.page.wait_for_timeout(150)

    def number(self, name: str) -> float:
        """A number on a card, such as "Solver error A"."""
        return float(self.page.locator(f"[data-number='{name}']").inner_text().replace(" %", ""))

    def still(self, time_: float = 1.0) -> None:
        """The clock stopped at a time."""
        self.page.evaluate("(t) => window.explore.page.clock.seek(t)", time_)
        self.page.wait_for_timeout(100)

    def picture(self, name: str, **how) -> Path:
        """A screenshot, kept to be looked at."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        file = PICTURES / f"{name}.png"
        self.page.screenshot(path=file, **how)
        return file

    def close(self) -> None:
        self.context.close()


@pytest.fixture
def opened(lab, chromium):
    """Opens pages of the lab, and closes them afterwards; no request may have left the machine and no script failed."""
    pages: list[Watched] = []

    def open_page(query: str = "", **context) -> Watched:
        pages.append(Watched(chromium, lab, query, **context))
        return pages[-1]

    yield open_page
    outside, faults = [url for page in pages for url in page.outside], [text for page in pages for text in page.faults]
    for page in pages:
        page.close()
    assert not outside, outside
    assert not faults, faults
