"""Trainings over the server's endpoints: what may be started, what is refused, and what a run shows."""

import json
import time
from pathlib import Path

import pytest

from tests.server.conftest import Lab, eventually
from tests.trainers.jobs.folders import folder
from trainers.jobs.control import wait

SMALL = {
    "network.channels": "16",
    "training.batch": "32",
    "training.steps": "40",
    "training.checkpoint_every": "20",
    "training.log_every": "5",
}


@pytest.fixture
def runs(lab: Lab, tmp_path: Path):
    before = lab.services.runs
    lab.services.runs = tmp_path
    yield tmp_path
    for run in lab.client.get("/api/jobs").json()["runs"]:
        if run["state"] in ("running", "queued", "paused"):
            lab.client.post(f"/api/jobs/{run['name']}/stop", json={})
            wait(tmp_path, run["name"])
    lab.services.runs = before


def test_the_form_is_the_recipes_own_schema(lab: Lab):
    found = lab.client.get("/api/recipes").json()
    assert found["first"] in found["recipes"]
    fields = {field["name"]: field for section in found["sections"] for field in section["fields"]}
    assert fields["training.steps"]["kind"] == "whole"
    assert (fields["optimiser.learning_rate"]["least"], fields["optimiser.learning_rate"]["most"]) == (0, 10)
    assert "independent" in fields["coupling.kind"]["choices"]
    assert fields["optimiser.clip"]["optional"]
    assert fields["optimiser.clip"]["about"].startswith("Largest norm of the gradient")
    for recipe in found["recipes"].values():
        assert set(recipe["values"]) == set(fields)
    assert not any(name.endswith("path") or name == "coupling.pairs" for name in fields)  # a page names no place on the server


def test_a_run_is_started_seen_and_deleted(lab: Lab, runs: Path):
    begun = lab.client.post("/api/jobs", json={"recipe": "digits-condot", "settings": SMALL, "name": "mine"})
    assert begun.status_code == 200, begun.text
    assert begun.json()["run"]["state"] in ("queued", "running")
    assert lab.client.post("/api/jobs/mine/delete", json={}).status_code == 400
    again = lab.client.post("/api/jobs", json={"recipe": "digits-condot", "settings": SMALL, "name": "mine"})
    assert (again.status_code, again.json()["error"]) == (400, "there is a run 'mine' already; choose another name, or resume that one")
    assert eventually(lambda: lab.client.get("/api/jobs/mine").json()["run"]["state"] == "finished", 120)
    found = lab.client.get("/api/jobs/mine").json()
    assert found["run"]["step"] == 40
    assert found["curves"]["curves"]["loss"]["step"] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert "prior" in found["samples"]
    assert "step-00000040" in found["samples"]
    assert "step 40" in found["log"]
    picture = lab.client.get("/api/jobs/mine/samples/step-00000040.png")
    assert (picture.headers["content-type"], picture.content[:4]) == ("image/png", b"\x89PNG")
    assert lab.client.post("/api/jobs/mine/resume", json={}).status_code == 400
    assert lab.client.post("/api/jobs/mine/delete", json={}).json() == {}
    assert lab.client.get("/api/jobs").json()["runs"] == []
    assert not (runs / "mine").exists()


def test_a_run_is_paused_resumed_and_stopped(lab: Lab, runs: Path):
    settings = SMALL | {"training.steps": "100000"}
    name = lab.client.post("/api/jobs", json={"recipe": "digits-condot", "settings": settings}).json()["run"]["name"]
    assert name == "digits-condot"
    state = lambda: lab.client.get(f"/api/jobs/{name}").json()["run"]  # noqa: E731
    assert eventually(lambda: state()["step"] >= 10, 120)
    assert lab.client.post(f"/api/jobs/{name}/pause", json={}).json()["run"]["state"] == "paused"
    assert lab.client.post(f"/api/jobs/{name}/pause", json={}).status_code == 400
    assert lab.client.post(f"/api/jobs/{name}/resume", json={}).json()["run"]["state"] == "running"
    lab.client.post(f"/api/jobs/{name}/stop", json={})
    assert eventually(lambda: state()["state"] == "stopped", 60)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"recipe": "cpd-imagenet64"}, "cannot be started from a page"),
        ({"recipe": "digits-reflow"}, "cannot be started from a page"),
        ({"recipe": "runs/mine/recipe.toml"}, "cannot be started from a page"),
        ({"recipe": 3}, "cannot be started from a page"),
        ({"recipe": "digits-condot", "settings": {"data.path": "/etc"}}, "'data.path' cannot be set from a page"),
        ({"recipe": "digits-condot", "settings": {"text.path": "x"}}, "'text.path' cannot be set from a page"),
        ({"recipe": "digits-condot", "settings": {"nonsense": "1"}}, "'nonsense' cannot be set from a page"),
        ({"recipe": "digits-condot", "settings": {"training.steps": 5}}, "training.steps must be a text"),
        ({"recipe": "digits-condot", "settings": {"training.steps": "many"}}, "training.steps='many' must be a whole number"),
        ({"recipe": "digits-condot", "settings": {"training.batch": "0"}}, "training.batch=0 must lie in"),
        ({"recipe": "digits-condot", "settings": {"training.steps": "1" * 300}}, "at most 200 characters"),
        ({"recipe": "digits-condot", "settings": []}, "settings must be an object"),
        ({"recipe": "digits-condot", "name": "../out"}, "the name '../out' of a run must begin"),
        ({"recipe": "digits-condot", "name": "cache"}, "is kept for the lab itself"),
        ({"recipe": "digits-condot", "name": 4}, "name must be a text"),
    ],
)
def test_what_cannot_be_started_is_one_sentence_and_leaves_nothing(body: dict, words: str, lab: Lab, runs: Path):
    answer = lab.client.post("/api/jobs", json=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert list(runs.iterdir()) == []
    assert not (runs.parent / "out").exists()


@pytest.mark.parametrize(
    "path",
    [
        "nobody",
        "..%2Fcache",
        "a%00b",
        ".queue",
        "cache",
        "mine/samples/..%2Frecipe.toml",
        "mine/samples/recipe.toml",
        "mine/samples/%2e%2e",
    ],
)
def test_no_path_leads_out_of_a_run(path: str, lab: Lab, runs: Path):
    folder(runs, "mine", step=3)
    (runs / "cache").mkdir()
    answer = lab.client.get(f"/api/jobs/{path}")
    assert answer.status_code in (404, 405)
    assert "error" in answer.json()


@pytest.mark.parametrize(("name", "action"), [("mine", "shout"), ("nobody", "stop"), ("mine", "")])
def test_unknown_runs_and_actions_are_refused(name: str, action: str, lab: Lab, runs: Path):
    folder(runs, "mine", step=3)
    assert lab.client.post(f"/api/jobs/{name}/{action}", json={}).status_code in (404, 405)


def test_a_plan_is_counted_and_measured(lab: Lab):
    found = lab.client.post("/api/plan", json={"recipe": "digits-condot", "settings": {"training.steps": "100"}, "request": 3}).json()
    assert found["request"] == 3
    assert found["parameters"] == pytest.approx(0.967e6, rel=0.01)
    assert found["images"] == 25_600
    assert found["measured"]
    assert found["images_per_second"] > 0
    bad = lab.client.post("/api/plan", json={"recipe": "digits-condot", "settings": {"training.batch": "none"}})
    assert bad.status_code == 400
    assert "training.batch" in bad.json()["error"]


def test_how_many_train_at_once_is_kept_with_the_runs(lab: Lab, runs: Path):
    assert lab.client.get("/api/jobs").json()["limit"] == 1
    assert lab.client.post("/api/limit", json={"number": 3}).json() == {"limit": 3}
    assert lab.client.get("/api/jobs").json()["limit"] == 3
    for bad in (0, 65, "3", 1.5, None):
        assert lab.client.post("/api/limit", json={"number": bad}).status_code == 400
    assert lab.client.get("/api/jobs").json()["limit"] == 3


def test_a_thousand_runs_answer_in_under_300_ms(lab: Lab, runs: Path):
    for k in range(1000):
        folder(runs, f"run-{k}", step=3, job={"pid": 1, "status": 75})
    lab.client.get("/api/jobs")
    taken = []
    for _ in range(3):
        began = time.process_time()
        assert len(json.loads(lab.client.get("/api/jobs").content)["runs"]) == 1000
        taken.append(time.process_time() - began)
    assert min(taken) < 0.6  # twice the bar, of the processor: the server is a thread of this process, and others may be at work
