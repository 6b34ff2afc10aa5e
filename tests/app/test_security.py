"""Hosts, origins, the password, sizes and headers: the same gates before pages, endpoints and WebSockets."""

import base64
import contextlib
import json
from pathlib import Path

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from app import security
from app.endpoints import Services
from app.endpoints.body import Refused, parse_json
from app.endpoints.setup import Setup
from app.security import BODY, CLOUD_BODY, COOKIE, guard
from app.server import SETUP_NAME, Page, create_app

HERE = "http://127.0.0.1:7860"
PASSWORD = "correct: horse"  # a colon parts the user's name from it, and may be in it


async def echo(request: Request) -> JSONResponse:
    return JSONResponse(
        {"read": len(await request.body())}, headers={"Access-Control-Allow-Origin": "*", "access-control-allow-credentials": "true"}
    )


async def socket(ws: WebSocket) -> None:
    await ws.accept()
    await ws.send_text("open")
    await ws.close()


def client(**kwargs) -> TestClient:
    routes = [Route("/{rest:path}", echo, methods=["GET", "POST", "DELETE"]), WebSocketRoute("/ws", socket)]
    return TestClient(guard(Starlette(routes=routes), **kwargs), base_url=HERE)


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()}


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:7860", "", "localhost.evil.example", "[::2]"])
def test_another_host_is_refused(host: str):
    """So that a foreign name that is made to point here (DNS rebinding) reaches nothing."""
    assert client().get("/", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "LOCALHOST", "[::1]:7860"])
def test_this_machines_own_names_are_let_in(host: str):
    assert client().get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://127.0.0.1.evil.example:7860", "http://[bad", "file://"]
)
def test_what_another_sites_page_sends_is_refused(origin: str):
    for method in ("POST", "DELETE"):
        reply = client().request(method, "/", headers={"Origin": origin})
        assert reply.status_code == 403
        assert "another site" in reply.json()["error"]
    with pytest.raises(WebSocketDisconnect), client().websocket_connect("/ws", headers={"Origin": origin, "Host": "127.0.0.1:7860"}):
        pass


def test_what_says_that_it_is_from_another_site_is_refused_without_an_origin():
    for site in ("cross-site", "same-site"):
        assert client().post("/", headers={"Sec-Fetch-Site": site}).status_code == 403
    assert client().post("/", headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_our_own_page_and_programs_are_let_in():
    assert client().post("/", headers={"Origin": HERE}).status_code == 200
    assert client().post("/").status_code == 200
    assert client().get("/", headers={"Origin": "http://evil.example"}).status_code == 200  # it cannot read the reply:
    with client().websocket_connect("/ws", headers={"Origin": HERE, "Host": "127.0.0.1:7860"}) as ws:
        assert ws.receive_text() == "open"


@pytest.mark.parametrize("status", ["let in", "refused"])
def test_every_reply_keeps_to_itself(status: str):
    reply = client().get("/") if status == "let in" else client().post("/", headers={"Origin": "null"})
    policy = reply.headers["content-security-policy"]
    assert "frame-ancestors 'self'" in policy
    assert "default-src 'self'" in policy
    assert "object-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "http:" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["x-frame-options"] == "SAMEORIGIN"
    for name in ("referrer-policy", "cross-origin-opener-policy", "cross-origin-resource-policy"):
        assert reply.headers[name] == "same-origin"
    assert reply.headers["cache-control"] == "no-cache"
    assert not [name for name in reply.headers if name.startswith("access-control-")]


def test_a_password_is_asked_of_pages_endpoints_and_websockets():
    locked = client(password=PASSWORD)
    for method, address in (("GET", "/"), ("POST", "/api/verify"), ("GET", "/gradio_api/queue/data"), ("HEAD", "/")):
        reply = locked.request(method, address)
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith("Basic")
    with pytest.raises(WebSocketDisconnect), locked.websocket_connect("/ws", headers={"Host": "127.0.0.1:7860"}):
        pass
    for wrong in (
        {"Authorization": "Basic ???"},
        {"Authorization": "Bearer x"},
        basic("wrong"),
        basic(""),
        {"Cookie": f"{COOKIE}=guess"},
        {"Cookie": "\x7f;;=="},
    ):
        assert locked.get("/", headers=wrong).status_code == 401


def test_a_password_once_given_stands_in_a_cookie():
    locked = client(password=PASSWORD)
    opened = locked.get("/", headers=basic(PASSWORD))
    assert opened.status_code == 200
    assert {"HttpOnly", "SameSite=Strict"} <= set(opened.headers["set-cookie"].split("; "))
    assert "Secure" not in opened.headers["set-cookie"].split("; ")
    safe = TestClient(locked.app, base_url="https://127.0.0.1:7860").get("/", headers=basic(PASSWORD))
    assert "Secure" in safe.headers["set-cookie"].split("; ")
    assert locked.get("/").status_code == 200  # by the client's cookie
    cookie = {"Cookie": f"{COOKIE}={locked.cookies[COOKIE]}"}
    with locked.websocket_connect("/ws", headers=cookie | {"Host": "127.0.0.1:7860"}) as ws:
        assert ws.receive_text() == "open"
    assert client(password=PASSWORD).get("/", headers=cookie).status_code == 401  # another start, another key


def test_guessing_is_slowed_down(monkeypatch: pytest.MonkeyPatch):
    locked = client(password=PASSWORD)
    for _ in range(security.TRIES):
        assert locked.get("/").status_code == 401  # who has given none has guessed nothing
    for _ in range(security.TRIES):
        assert locked.get("/", headers=basic("guess")).status_code == 401
    assert locked.get("/", headers=basic(PASSWORD)).status_code == 429
    elsewhere = TestClient(locked.app, base_url=HERE, client=("192.0.2.7", 50_000))
    assert elsewhere.get("/", headers=basic(PASSWORD)).status_code == 200  # one guesser does not lock out the others
    monkeypatch.setattr(security, "TRY_AGAIN", 0.0)
    assert locked.get("/", headers=basic(PASSWORD)).status_code == 200


def test_a_body_of_the_largest_size_is_read_and_one_byte_more_is_not():
    for address, most in (("/api/verify", BODY), ("/api/cloud", CLOUD_BODY), ("/gradio_api/queue/join", BODY)):
        assert client().post(address, content=b"x" * most).json() == {"read": most}
        assert client().post(address, content=b"x" * (most + 1)).status_code == 413

    def chunks():
        yield from (b"x" * 2**19 for _ in range(5))

    assert client().post("/api/verify", content=chunks()).status_code == 413


@pytest.mark.parametrize(("prefix", "slash"), [("", ""), ("/compare", ""), ("", "/")])
@pytest.mark.parametrize("closed", security.CLOSED)
def test_what_gradio_tells_of_itself_is_closed_wherever_a_page_is(prefix: str, slash: str, closed: str):
    assert client().post(f"{prefix}{closed}{slash}").json() == {"error": "there is no such address"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a": NaN}', "NaN"),
        (b'{"a": 1e999}', "too large"),
        (b'{"a": 123456789012345678901}', "too long"),
        (b"[1]", "a JSON object"),
        (b"\xff", "JSON"),
        (b'{"a":' * 9 + b"1", "JSON"),
        (b"[" * 100_000, "nested"),
    ],
)
def test_json_that_cannot_be_used_is_refused_in_a_sentence(body: bytes, words: str):
    with pytest.raises(Refused, match=words) as refused:
        parse_json(body)
    assert refused.value.status == 400


def test_json_that_can_be_used_is_read():
    assert parse_json(b'{"a": 12345678901234567890, "b": [1.5, -2e3], "c": {"d": null}}') == {
        "a": 12345678901234567890,
        "b": [1.5, -2e3],
        "c": {"d": None},
    }


def build() -> gr.Blocks:
    with gr.Blocks() as page:
        gr.Slider(1, 64, label="NFE")
    return page


def test_a_page_holds_no_text_that_could_end_its_script_and_answers_to_the_names_it_was_given(monkeypatch: pytest.MonkeyPatch):
    text = '{"about": "a < b</script><b>"}'
    monkeypatch.setattr(Setup, "begin", lambda setup: None)
    monkeypatch.setattr(Setup, "early", lambda setup: text)
    app = create_app(pages={"/": Page(build)}, hosts=("lab.example",))
    head = TestClient(app, base_url="http://lab.example").get("/config").json()["head"]
    script = head.removeprefix(f"<script>globalThis.{SETUP_NAME} = ").removesuffix(";</script>")
    assert "<" not in script
    assert json.loads(script) == json.loads(text)
    assert TestClient(app, base_url=HERE).get("/config").status_code == 400


def test_a_page_carries_the_setup_and_is_behind_the_same_gates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with (
        contextlib.closing(Services()) as services,
        TestClient(  # what fails on the way leaves no worker behind
            create_app(pages={"/": Page(build)}, password=PASSWORD, services=services), base_url=HERE
        ) as browser,
    ):
        assert browser.get("/").status_code == 401
        assert browser.get("/config").status_code == 401
        page = browser.get("/", headers=basic(PASSWORD))
        assert page.status_code == 200
        assert f"globalThis.{SETUP_NAME} = {{" in page.text  # inside Gradio's config, which puts it into the page's head
        assert "NFE" in page.text
        assert page.headers["content-security-policy"] == security.POLICY
        config = browser.get("/config").json()
        assert config["analytics_enabled"] is False
        assert config["run_history"] is False
        for closed in (
            "/docs",
            "/redoc",
            "/openapi.json",
            "/gradio_api/info",
            "/gradio_api/openapi.json",
            "/api/docs",
            "/api/openapi.json",
        ):
            assert browser.get(closed).status_code == 404, closed
        assert browser.get("/monitoring").status_code in (403, 404)
        assert browser.get("/api/setup").json()["later"] == []
        assert browser.get("/api/nothing").json() == {"error": "there is no such address"}
    assert services.trainings.running == 0
