"""Trainings over a real connection: events, snapshots, commands, limits, and what happens when a tab or a process goes away."""

import gc
import json
import os
import signal
import struct
import threading
import time
import weakref
from collections.abc import Iterator

import httpx
import psutil
import pytest

from app.endpoints import trainings
from tests.server.conftest import Lab, eventually

SMALL = {"iterations": 100, "train_batch": 64, "width": 16, "depth": 2}
LONG = SMALL | {"iterations": 20_000, "width": 256, "depth": 5, "train_batch": 1024}
SCENE = {"count": 200}


def begin(lab: Lab, session: str, options: dict = LONG, scenes: list[dict] | None = None) -> httpx.Response:
    return lab.client.post("/api/learn", json={"scenes": scenes or [SCENE], "options": options, "session": session})


def events(lab: Lab, id_: str, last: int | None = None) -> Iterator[tuple[int, str, dict]]:
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    with lab.client.stream("GET", f"/api/learn/{id_}/events", headers=headers) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        held: dict[str, str] = {}
        for line in reply.iter_lines():
            if line and not line.startswith(":"):
                name, _, value = line.partition(": ")
                held[name] = value
            elif held and not line:
                yield int(held["id"]), held["event"], json.loads(held["data"])
                held = {}


@pytest.fixture(autouse=True)
def _none_left(lab: Lab) -> Iterator[None]:
    yield
    lab.services.trainings.close()
    assert eventually(lambda: lab.services.trainings.running == 0)


def test_a_training_from_the_first_event_to_the_last_snapshot(lab: Lab):
    begun = begin(lab, "session-1", SMALL, [SCENE, SCENE | {"prior": "conditional"}])
    assert begun.status_code == 200, begun.text
    id_ = begun.json()["id"]
    assert len(id_) >= 20
    heard = list(events(lab, id_))
    assert [place for place, _, _ in heard] == list(range(len(heard)))
    assert heard[-1][1] == "end"
    reports = [numbers for _, name, numbers in heard if name == "report"]
    assert [r["side"] for r in reports] == ["a", "b"]
    started = next(numbers for _, name, numbers in heard if name == "started")
    assert started["seed"] == begun.json()["seed"]
    last = [numbers for _, name, numbers in heard if name == "snapshot"][-1]
    for side in "ab":
        grid = lab.client.get(f"/api/learn/{id_}/snapshot/{last['k']}/{side}").content
        (length,) = struct.unpack("<I", grid[:4])
        header = json.loads(grid[4 : 4 + length])
        assert (header["side"], header["iteration"], header["k"]) == (side, 100, last["k"])
        assert len(grid) == 4 + length + 8 * header["classes"] * header["times"] * header["ny"] * header["nx"]
    assert lab.client.get(f"/api/learn/{id_}/snapshot/99/a").status_code == 404
    assert lab.client.get(f"/api/learn/{id_}/snapshot/0/c").status_code == 404
    again = list(events(lab, id_, last=len(heard) - 3))  # a listener that comes back hears what it has missed
    assert again == heard[-2:]
    assert lab.client.get(f"/api/learn/{id_}/events", headers={"Last-Event-ID": str(len(heard) - 1)}).status_code == 204


def test_pause_resume_and_stop(lab: Lab):
    id_ = begin(lab, "session-2", SMALL | {"iterations": 20_000}).json()["id"]
    names, held = [], -1
    for _, name, numbers in events(lab, id_):
        names.append(name)
        if name == "progress" and "paused" not in names:
            assert lab.client.post(f"/api/learn/{id_}/pause").json() == {"ok": True}
        if name == "paused":
            held = numbers["iteration"]
            lab.client.post(f"/api/learn/{id_}/resume")
        if name == "resumed":
            assert numbers["iteration"] == held
            lab.client.post(f"/api/learn/{id_}/stop")
    assert names[-1] == "end"
    assert "report" in names
    assert lab.client.post(f"/api/learn/{id_}/explode").status_code == 404
    assert lab.client.post(f"/api/learn/{id_}/pause").status_code == 200  # too late, and no harm


def listened(lab: Lab, id_: str) -> Iterator[tuple[int, str, dict]]:
    """The events of a training that somebody listens to from now on."""
    stream = events(lab, id_)
    next(stream)
    return stream


def test_one_training_a_session_two_on_the_server_and_no_seed_shared(lab: Lab):
    first = begin(lab, "visitor-1")
    one = listened(lab, first.json()["id"])
    again = begin(lab, "visitor-1")
    assert again.status_code == 429
    assert "stop" in again.json()["error"]
    second = begin(lab, "visitor-2")
    assert second.status_code == 200
    two = listened(lab, second.json()["id"])
    assert first.json()["seed"] != second.json()["seed"]
    assert first.json()["id"] != second.json()["id"]
    third = begin(lab, "visitor-3")
    assert third.status_code == 429
    assert "try again" in third.json()["error"]
    assert lab.client.post("/api/learn", json={"scenes": [SCENE], "session": "<bad>"}).status_code == 400
    one.close()  # type: ignore[attr-defined]
    two.close()  # type: ignore[attr-defined]


def test_a_training_nobody_listens_to_makes_room(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    """Its own session's at once, as after a page that was left and begins anew; another visitor's after a while, so that a page loaded again does not block the server."""
    first = begin(lab, "visitor-x1").json()["id"]
    second = begin(lab, "visitor-x1").json()["id"]
    assert lab.client.get(f"/api/learn/{first}/events").text.splitlines()[-2].startswith("data: ")
    begin(lab, "visitor-x2")
    assert begin(lab, "visitor-x3").status_code == 429
    monkeypatch.setattr(trainings, "AWAY", 0.0)
    assert begin(lab, "visitor-x3").status_code == 200
    training = lab.services.trainings.get(second)
    assert training is not None
    assert training.ended is not None


def test_a_snapshot_that_is_let_go_is_held_no_longer(lab: Lab):
    training = lab.services.trainings.get(begin(lab, "session-7").json()["id"])
    assert training is not None
    assert eventually(lambda: training.grids)
    training.tell("pause")
    assert eventually(lambda: training.events[-1][0] == "paused")
    training._take("snapshot", {"k": 999, "kept": [0, 999]}, [b"late"])
    assert set(training.grids) == {0, 999}


def test_a_seed_that_is_asked_for_is_used(lab: Lab):
    assert begin(lab, "session-5", SMALL | {"first_seed": 3}).json()["seed"] == 3


def test_a_killed_process_is_said_in_one_sentence_and_harms_nothing_else(lab: Lab):
    one, other = begin(lab, "visitor-5").json()["id"], begin(lab, "visitor-6", SMALL).json()["id"]
    heard: dict[str, list] = {one: [], other: []}

    def listen(id_: str) -> None:
        with httpx.Client(base_url=lab.address, timeout=60) as client:
            heard[id_] += list(events(Lab(lab.address, client, lab.services), id_))

    threads = [threading.Thread(target=listen, args=(id_,)) for id_ in heard]
    for thread in threads:
        thread.start()
    training = lab.services.trainings.get(one)
    assert training is not None
    assert training.process_id is not None
    assert eventually(lambda: training.grids)
    os.kill(training.process_id, signal.SIGKILL)
    for thread in threads:
        thread.join(60)
    assert heard[one][-1][1] == "lost"
    assert "lost" in heard[one][-1][2]["error"]
    assert heard[other][-1][1] == "end"
    assert begin(lab, "visitor-5", SMALL).status_code == 200


def test_a_closed_tab_ends_its_training_and_everything_it_held(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(trainings, "ALONE", 1.5)
    id_ = begin(lab, "visitor-7").json()["id"]
    training = lab.services.trainings.get(id_)
    assert training is not None
    process = training.process_id
    stream = events(lab, id_)
    for _, name, _ in stream:
        if name == "progress":
            break
    time.sleep(2.5)
    assert training.ended is None  # somebody listens
    stream.close()  # type: ignore[attr-defined]
    assert eventually(lambda: training.ended is not None, 15)
    assert process is not None
    assert eventually(lambda: not psutil.pid_exists(process), 5)
    assert eventually(lambda: lab.services.trainings.get(id_) is None, 15)
    assert lab.client.get(f"/api/learn/{id_}/events").status_code == 404


def test_a_training_that_cannot_begin_says_why(lab: Lab):
    assert begin(lab, "visitor-8", scenes=[{"nfe": 0}]).status_code == 400
    id_ = begin(lab, "visitor-8", SMALL, [{"coupling": "full-ot", "count": 20}]).json()["id"]
    *_, (_, name, numbers) = events(lab, id_)
    assert name == "failed"
    assert "at least 400" in numbers["error"]


def test_nothing_of_a_training_stays_when_it_has_ended(lab: Lab, monkeypatch: pytest.MonkeyPatch):
    """No object that holds grids, no thread, no process. The resident memory is printed and not judged: it moves by more than a training with the allocator's own habits."""
    monkeypatch.setattr(trainings, "KEPT_AFTER", 0.5)
    monkeypatch.setattr(trainings, "ALONE", 1.0)
    here = psutil.Process()
    before, children = here.memory_info().rss, len(here.children(recursive=True))
    begun = begin(lab, "visitor-9", SMALL, [SCENE | {"sees": "class"}]).json()["id"]
    training = lab.services.trainings.get(begun)
    assert training is not None
    gone, name = weakref.ref(training), f"training {begun[:4]}"
    assert any(thread.name == name for thread in threading.enumerate())
    for _ in events(lab, begun):
        pass
    held = sum(len(grid) for grids in training.grids.values() for grid in grids)
    assert held > 8 * 2**20
    del training
    assert eventually(lambda: lab.services.trainings.get(begun) is None, 10)
    assert eventually(lambda: gc.collect() >= 0 and gone() is None, 10)
    assert not any(thread.name == name for thread in threading.enumerate())
    assert len(here.children(recursive=True)) <= children
    print(f"held {held / 2**20:.1f} MB of grids; resident memory moved by {(here.memory_info().rss - before) / 2**20:.1f} MB")
