"""Hundreds of senseless requests to every endpoint: each is answered by a 4xx and one sentence, and the lab answers as before."""

import itertools
import random
import socket

import httpx
import pytest

from tests.server.conftest import Lab

POSTS = ("/api/verify", "/api/fit", "/api/pairing", "/api/letters", "/api/cloud", "/api/figure", "/api/learn")
GETS = ("/api/setup", "/api/view", "/api/python")
TRAINING = ("/api/learn/x/events", "/api/learn/x/snapshot/0/a", "/api/learn/x/snapshot/-1/..", "/api/learn/%00/snapshot/1e9/a")
COMMANDS = ("/api/learn/x/pause", "/api/learn/x/resume", "/api/learn/x/stop", "/api/learn/x/explode")
KEYS = ("scene", "scenes", "view", "letters", "points", "classes", "options", "session", "kind", "format", "request")

DEEP = "[" * 100_000 + "]" * 100_000
BODIES = (
    b"",
    b"{",
    b"null",
    b"[]",
    b"3",
    b'"text"',
    b"\xff\xfe\x00",
    b'{"scene": NaN}',
    b'{"scene": {"nfe": Infinity}}',
    b'{"scene": {"nfe": 1e999}}',
    b'{"scene": {"nfe": ' + b"9" * 5000 + b"}}",
    DEEP.encode(),
    b'{"scene": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001,
    b'{"scene": {"target": "' + b"x" * 1_000_000 + b'"}}',
    b"{" + b",".join(b'"%d": 0' % i for i in range(50_000)) + b"}",
)
VALUES = (
    None,
    True,
    -1,
    0,
    1e308,
    -1e308,
    10**19,
    0.5,
    "",
    "x",
    "\0",
    "é" * 5000,
    [],
    [[]],
    [None] * 100,
    {},
    {"a": {"b": {}}},
    {"__class__": "x"},
)
FIELDS = (
    "target",
    "mixture",
    "nfe",
    "count",
    "seed",
    "scale",
    "prior",
    "coupling",
    "path",
    "solver",
    "tolerance",
    "letters",
    "x" * 1000,
    "__init__",
)


def refused(reply: httpx.Response, what: object) -> None:
    assert 400 <= reply.status_code < 500, (what, reply.status_code, reply.text[:300])
    sentence = reply.json()["error"]
    assert sentence, what
    assert "\n" not in sentence
    assert len(sentence) <= 600
    assert "Traceback" not in sentence


def still_answers(lab: Lab) -> None:
    assert lab.client.post("/api/verify", json={"scene": {"count": 50}}).status_code == 200
    assert lab.client.get("/api/view?nfe=8").status_code == 200
    assert lab.services.trainings.running == 0


@pytest.mark.parametrize("address", POSTS)
def test_bodies_that_are_no_requests(lab: Lab, address: str):
    for body in BODIES:
        refused(lab.client.post(address, content=body, headers={"Content-Type": "application/json"}), body[:60])
    for kind in ("", "text/html", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "application/json5"):
        refused(lab.client.post(address, content=b'{"scene": {}}', headers={"Content-Type": kind}), kind)
    if address == "/api/cloud":
        for text in (b"", b"\0\0", b"\xff\xff", b"x,y\n" + b"nan,inf\n" * 50, b'x,y\n"1,2', b"x,y\n" + b"1,2\n" * 50, b"a" * 10**6):
            refused(lab.client.post(address, content=text, headers={"Content-Type": "text/csv"}), text[:60])
    still_answers(lab)


@pytest.mark.parametrize("address", POSTS)
def test_objects_with_senseless_values(lab: Lab, address: str):
    chance = random.Random(address)
    for i, value in enumerate(VALUES):
        body = dict.fromkeys(KEYS, value)
        refused(lab.client.post(address, json=body), value)
        some = {key: chance.choice(VALUES) for key in chance.sample(KEYS, 4)} | {"request": "late"}
        refused(lab.client.post(address, json=some), some)
        field = FIELDS[i % len(FIELDS)]
        scene = {field: chance.choice([v for v in VALUES if not _may_be(field, v)])}
        body = {"scene": scene, "scenes": [scene], "view": {"a": scene, "b": scene}, "letters": "", "points": [scene]}
        refused(lab.client.post(address, json=body), scene)
    still_answers(lab)


def _may_be(field: str, value: object) -> bool:
    """Whether a scene can have this value there."""
    number = type(value) in (int, float)
    return (
        (field == "mixture" and value is None)
        or (field == "letters" and value == "x")
        or (number and (value == 0.5 or field in ("seed", "count")))
    )


def test_other_methods_and_other_addresses(lab: Lab):
    for method, address in itertools.product(("GET", "PUT", "DELETE", "PATCH", "OPTIONS"), POSTS):
        refused(lab.client.request(method, address), (method, address))
    for method, address in itertools.product(("POST", "PUT", "DELETE", "PATCH", "OPTIONS"), GETS):
        refused(lab.client.request(method, address), (method, address))
    for address in TRAINING:
        refused(lab.client.get(address), address)
    for address in COMMANDS:
        refused(lab.client.post(address), address)
    for address in ("/api", "/api/", "/api/setup/", "/api/%2e%2e%2fserver.py", "/api/learn", "/api/docs", "/api/openapi.json"):
        refused(lab.client.get(address, follow_redirects=True), address)
    still_answers(lab)


def test_addresses_with_senseless_queries(lab: Lab):
    """A view is never refused for its values, only for its length; whatever comes, it is a view."""
    chance = random.Random(0)
    names = (
        "nfe",
        "b-nfe",
        "time",
        "show",
        "v",
        "mixture",
        "b-mixture",
        "target",
        "letters",
        "count",
        "seed",
        "fit-count",
        "%00",
        "=",
        "&&",
    )
    texts = ("", "nan", "inf", "-1e999", "9" * 4000, "%ff%fe", "AAAA", "custom", "x" * 3000, "%0a", "1_000", "0x10", "digits")
    for _ in range(60):
        query = "&".join(f"{chance.choice(names)}={chance.choice(texts)}" for _ in range(chance.randint(1, 4)))
        found = lab.client.get(f"/api/view?{query}")
        assert found.status_code == 200, query
        assert found.json()["view"]["a"]["target"]
        assert lab.client.get(f"/api/python?{query}").status_code == 200, query
    for address in ("/api/view", "/api/python"):
        refused(lab.client.get(f"{address}?nfe={'9' * 30_000}"), address)
    still_answers(lab)


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: nine",
        "Content-Length: 99999999999999999999",
        "Content-Length: -1",
        "Transfer-Encoding: gzip",
        "Content-Length: 2\r\nHost: elsewhere.example",
        "Content-Length: 2\r\nOrigin: null",
        "Content-Length: 2\r\nX: " + "y" * 70_000,
        "\0\1\2",
    ],
    ids=lambda lines: lines[-30:].encode().hex()[:20],
)
def test_senseless_headers(lab: Lab, lines: str):
    """What uvicorn itself refuses is no JSON, and still a 4xx."""
    host = lab.address.removeprefix("http://")
    name, port = host.split(":")
    own = "" if "Host:" in lines else f"Host: {host}\r\n"
    with socket.create_connection((name, int(port)), timeout=20) as connection:
        connection.sendall(f"POST /api/verify HTTP/1.1\r\n{own}Content-Type: application/json\r\n{lines}\r\n\r\n{{}}".encode())
        reply = connection.recv(4096).decode(errors="replace")
    assert reply.startswith("HTTP/1.1 4"), reply[:200]
    still_answers(lab)
