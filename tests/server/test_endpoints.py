"""The endpoints over a real connection: what they return, what they refuse, and what they do when a client or a worker goes away."""

import concurrent.futures
import json
import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import numpy as np
import psutil
import pytest

from tests.faults import ROOT
from tests.server.conftest import Lab, eventually
from toy.scene import Scene, View
from toy.trace import trace

SLOW = {"scene": {"count": 20_000, "nfe": 2048, "solver": "rk4"}}  # about a minute


def test_the_server_does_not_import_torch():
    code = "import sys, app.server, app.__main__; app.server.create_app(pages={}); print('torch' in sys.modules, 'gradio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.split() == ["False", "False"], done.stderr


def test_the_setup_is_made_once_and_then_at_hand(lab: Lab):
    began = time.perf_counter()
    found = lab.client.get("/api/setup").json()
    assert time.perf_counter() - began < 0.5
    assert found["later"] == []
    assert {"version", "targets", "boxes", "controls", "defaults", "opening"} <= found.keys()


def test_a_view_is_clamped_and_says_so(lab: Lab):
    query = View(a=Scene(prior="ring"), b=Scene(nfe=8), time=0.5).to_query()
    found = lab.client.get(f"/api/view?{query}&scale=900").json()
    assert found["view"]["a"]["prior"] == "ring"
    assert found["view"]["a"]["scale"] == 5
    assert (found["view"]["b"]["nfe"], found["view"]["time"]) == (8, 0.5)
    assert len(found["notes"]) == 1


def test_verification_over_the_wire_gives_pythons_numbers(lab: Lab):
    found = lab.client.post("/api/verify", json={"scene": {"count": 300}, "request": 12}).json()
    summary = json.loads(json.dumps(trace(Scene(count=300)).summary()))
    assert {name: found[name] for name in summary} == summary
    assert found["request"] == 12


def test_every_post_repeats_the_requests_number(lab: Lab):
    post = lab.client.post
    assert post("/api/letters", json={"letters": "A", "request": 5}).json()["request"] == 5
    assert post("/api/letters", json={"letters": "", "request": 6}).json()["request"] == 6
    assert (
        post("/api/fit", json={"scene": {"coupling": "batch-ot", "batch_size": 2, "target": "two-modes"}, "request": 7}).json()["request"]
        == 7
    )
    pairing = post("/api/pairing", json={"scene": {"coupling": "full-ot", "count": 50}, "request": 8})
    assert pairing.headers["x-request"] == "8"
    assert sorted(np.frombuffer(pairing.content, dtype="<i4")) == list(range(50))
    points = [[i % 7 * 0.3, i % 5 * 0.2] for i in range(40)]
    assert post("/api/cloud", json={"points": points, "request": 9}).json()["request"] == 9
    text = "\n".join(f"{x},{y}" for x, y in points)
    cloud = post("/api/cloud?request=10", content=text, headers={"Content-Type": "text/csv"}).json()
    assert (cloud["request"], cloud["rows"]) == (10, 40)
    scene = {"count": 40}
    drawn = post("/api/figure", json={"view": {"a": scene, "b": scene}, "format": "pdf", "request": 11})
    assert drawn.headers["x-request"] == "11"
    assert drawn.headers["content-type"] == "application/pdf"
    assert drawn.content.startswith(b"%PDF")


def test_the_program_is_plain_text(lab: Lab):
    found = lab.client.get("/api/python?nfe=8")
    assert found.headers["content-type"].startswith("text/plain")
    compile(found.text, "view.py", "exec")


def test_a_client_that_goes_away_frees_its_worker(lab: Lab):
    """Both workers are taken by requests that nobody waits for any more: they are killed, and a third request is answered by others."""
    assert lab.client.post("/api/verify", json={"scene": {"count": 50}}).status_code == 200
    before = {p.pid for p in workers() if p.nice() > 0}
    assert len(before) == 2
    for _ in range(2):
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{lab.address}/api/verify", json=SLOW, timeout=1.5)
    assert lab.client.post("/api/verify", json={"scene": {"count": 50}}).status_code == 200
    assert eventually(lambda: not before & {p.pid for p in workers()}, 5)
    assert eventually(lambda: lab.services.heavy.inside == 0)


def test_more_requests_than_the_queue_holds_are_refused_and_waiting_ones_cost_nothing_when_dropped(lab: Lab):
    held = []
    body = json.dumps(SLOW).encode()
    head = f"POST /api/verify HTTP/1.1\r\nHost: {lab.address[7:]}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    for _ in range(10):
        connection = socket.create_connection(("127.0.0.1", int(lab.address.rsplit(":", 1)[1])))
        connection.sendall(head.encode() + body)
        held.append(connection)
    try:
        assert eventually(lambda: lab.services.heavy.inside == 10)
        refused = lab.client.post("/api/verify", json={"scene": {}, "request": 3})
        assert refused.status_code == 429
        assert refused.json()["request"] == 3
        assert "try again" in refused.json()["error"]
        assert lab.client.get("/api/view?nfe=8").status_code == 200  # quick ones do not wait for heavy ones
    finally:
        for connection in held:
            connection.close()
    assert eventually(lambda: lab.services.heavy.inside == 0)
    assert lab.client.post("/api/verify", json={"scene": {"count": 50}}).status_code == 200


def workers() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if "spawn_main" in " ".join(p.cmdline())]


def test_killed_workers_are_said_to_be_lost_and_replaced(lab: Lab):
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lab.client.post, "/api/verify", json=SLOW)
        assert eventually(lambda: any(p.cpu_percent(0.2) > 30 for p in workers() if p.nice() > 0))
        for process in workers():
            os.kill(process.pid, signal.SIGKILL)
        lost = waiting.result(30)
    assert lost.status_code == 503
    assert "lost" in lost.json()["error"]
    assert lab.client.post("/api/verify", json={"scene": {"count": 50}}).status_code == 200
    assert lab.client.get("/api/view?nfe=8").status_code == 200


def test_a_worker_killed_while_idle_is_not_noticed_at_all(lab: Lab):
    assert lab.client.get("/api/view?nfe=8").status_code == 200
    for process in workers():
        os.kill(process.pid, signal.SIGKILL)
    assert lab.client.get("/api/view?nfe=8").status_code == 200
    assert lab.client.post("/api/verify", json={"scene": {"count": 50}}).status_code == 200


def test_a_task_that_takes_too_long_is_stopped(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lab.services.heavy, "seconds", 4.0)
    stopped = lab.client.post("/api/verify", json=SLOW)
    assert stopped.status_code == 503
    assert "more than 4 s" in stopped.json()["error"]


def test_bodies_that_are_too_large_are_refused_by_their_length_and_by_their_bytes(lab: Lab):
    large = b"x" * (2 * 2**20 + 1)
    headers = {"Content-Type": "application/json"}
    assert lab.client.post("/api/verify", content=large, headers=headers).status_code == 413

    def chunks():
        for _ in range(6):
            yield b" " * 2**20

    refused = lab.client.post("/api/cloud", content=chunks(), headers={"Content-Type": "text/csv"})
    assert refused.status_code == 413
    assert "5 MB" in refused.json()["error"]
    assert lab.client.post("/api/cloud", content=large, headers={"Content-Type": "text/csv"}).status_code == 400  # read, and no CSV


def test_a_view_of_many_components_fits_an_address(lab: Lab):
    target = json.loads(lab.client.get("/api/setup").text)["targets"]["spiral"]
    from app.tasks.scenes import mixture_from

    own = Scene(target="custom", mixture=mixture_from(target))
    query = View(a=own, b=Scene(target="custom", mixture=own.mixture.separated(1.5) if own.mixture else None)).to_query()
    found = lab.client.get(f"/api/view?{query}")
    assert found.status_code == 200
    assert found.json()["view"]["a"]["mixture"] == target
