"""Who may ask, and for how much: hosts, origins, a password, the size of a body, and the headers that keep a page to itself.

Each is a small ASGI middleware, so that pages, endpoints and WebSockets go through the same gates; `guard` puts them around an application in the
order in which they must be asked.
"""

import asyncio
import base64
import binascii
import contextlib
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")
BODY, CLOUD_BODY = 2 * 2**20, 5 * 2**20  # bytes; the second for /api/cloud
CLOUD = "/api/cloud"
DISCARDED, PATIENCE = 4, 2.0  # of a body that is too large: so many times the most that is read, and seconds, are read and thrown away
CLOSED = (
    "/gradio_api/info",
    "/gradio_api/openapi.json",
    "/gradio_api/upload",
)  # what Gradio tells of its handlers, and where it keeps files: no page asks for them
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
COOKIE = "flowlab_key"
TRIES, TRY_AGAIN = 10, 60.0  # wrong passwords from one address, and the seconds in which they are counted

# Gradio starts its pages by inline scripts and styles, and runs `js_on_load` through Function, which needs 'unsafe-eval'. Nothing comes from elsewhere.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "frame-src 'self'",
        "frame-ancestors 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
}


def guard(app: ASGIApp, *, hosts: Sequence[str] = LOOPBACK, password: str | None = None) -> ASGIApp:
    """The application behind all gates. hosts: names that a request may ask for ("*": any). password: asked of every page, endpoint and WebSocket, where there is one."""
    app = BodyLimit(app)
    if password is not None:
        app = Password(app, password)
    app = SameOrigin(app)
    return SecurityHeaders(TrustedHostMiddleware(app, allowed_hosts=list(hosts), www_redirect=False))


class SecurityHeaders:
    """Sets HEADERS on every reply, takes away what would let another site read it, and hides what is CLOSED."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        app = _nothing_here if scope["path"].rstrip("/").endswith(CLOSED) else self.app

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name in [n for n in headers if n.lower().startswith("access-control-")]:  # Gradio lets other origins in on some hosts
                    del headers[name]
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await app(scope, receive, with_headers)


class SameOrigin:
    """Refuses what another site's page sends: any request that may change something, and any WebSocket, whose Origin is not the host that was asked."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (scope["type"] == "http" and scope["method"] in SAFE):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        foreign = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if foreign or (origin is not None and _authority(origin) != headers.get("host", "").lower()):
            await _refuse(scope, send, 403, "this request comes from another site's page and is refused")
            return
        await self.app(scope, receive, send)


class Password:
    """HTTP basic authentication, any user name; once given, a cookie stands for it, which WebSockets and event streams carry too. Ten wrong ones
    from an address a minute are enough."""

    def __init__(self, app: ASGIApp, password: str) -> None:
        self.app, self._password, self._key = app, password.encode(), secrets.token_urlsafe(32)
        self._wrong: dict[str, list[float]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers, address = Headers(scope=scope), (scope.get("client") or ("unknown", 0))[0]
        if hmac.compare_digest(_cookie(headers), self._key.encode()):
            await self.app(scope, receive, send)
            return
        since = time.monotonic() - TRY_AGAIN
        self._wrong = {who: recent for who, times in self._wrong.items() if (recent := [t for t in times if t > since])}
        if len(self._wrong.get(address, ())) >= TRIES:
            await _refuse(scope, send, 429, f"too many wrong passwords; try again in {TRY_AGAIN:.0f} seconds")
            return
        given = _basic(headers)
        if given is None or not hmac.compare_digest(given, self._password):
            if given is not None:
                self._wrong.setdefault(address, []).append(time.monotonic())
            await _refuse(scope, send, 401, "a password is needed here", {"WWW-Authenticate": 'Basic realm="Flow Lab", charset="UTF-8"'})
            return

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                secure = "; Secure" if scope.get("scheme") == "https" else ""
                MutableHeaders(scope=message).append("Set-Cookie", f"{COOKIE}={self._key}; Path=/; HttpOnly; SameSite=Strict{secure}")
            await send(message)

        await self.app(scope, receive, with_cookie if scope["type"] == "http" else send)


class BodyLimit:
    """Reads a body to its end before anything else sees it, and refuses one that is too large as soon as that is known."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] in SAFE:
            await self.app(scope, receive, send)
            return
        most = CLOUD_BODY if scope["path"] == CLOUD else BODY
        said = Headers(scope=scope).get("content-length", "")
        body = b""
        too_large = said.isascii() and said.isdigit() and int(said[:15]) > most
        while not too_large:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            too_large = len(body) > most
            if not message.get("more_body", False):
                break
        if too_large:
            await _discard(receive, DISCARDED * most)
            await _refuse(scope, send, 413, f"the body is larger than {most // 2**20} MB, the most that is read here")
            return
        given = False

        async def replay() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)


async def _discard(receive: Receive, most: int) -> None:
    """Reads the rest of a body into nothing, up to `most` bytes or for two seconds: a sender that is cut off in the middle never sees why."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while most > 0:
                message = await receive()
                most -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    await _refuse(scope, send, 404, "there is no such address")


def _authority(origin: str) -> str:
    """host[:port] of an origin, in lower case; empty for "null" and anything that is none."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _cookie(headers: Headers) -> bytes:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return b""
    return b"" if found is None else found.value.encode()


def _basic(headers: Headers) -> bytes | None:
    """The password of an Authorization header; None where there is none."""
    kind, _, text = headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        return base64.b64decode(text, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


async def _refuse(scope: Scope, send: Send, status: int, sentence: str, more: dict[str, str] | None = None) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": sentence})  # before it is accepted: the server answers 403
        return
    body = json.dumps({"error": sentence}).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"} | (more or {})
    start = {"type": "http.response.start", "status": status, "headers": [(n.lower().encode(), v.encode()) for n, v in headers.items()]}
    await send(start)
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
