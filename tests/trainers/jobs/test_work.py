"""Trainings in the background, as real processes: they outlive whoever started them, and are found again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from trainers.files import read_json
from trainers.jobs import Index, delete, log, pause, read_state, resume, start, stop
from trainers.jobs.control import wait
from trainers.jobs.state import processes_of
from trainers.layout import CHECKPOINTS, JOB, PROCESS
from trainers.recipes import Recipe, apply, by_name

SMALL = {
    "network.channels": "16",
    "training.batch": "32",
    "training.checkpoint_every": "20",
    "training.log_every": "5",
    "training.preview_count": "2",
}


def recipe(steps: int, **changes: str) -> Recipe:
    return apply(by_name("digits-condot"), SMALL | {"training.steps": str(steps)} | changes)


def until(done, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)


def is_over(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for is a zombie still."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture
def runs(tmp_path: Path):
    yield tmp_path
    for state in Index(tmp_path).list():
        if state.alive:
            stop(tmp_path, state.name)
    for state in Index(tmp_path).list():
        wait(tmp_path, state.name)


def test_one_trains_the_next_waits_and_begins_by_itself(runs: Path):
    assert start(runs, "a", recipe(60)).state in ("running", "queued")
    assert start(runs, "b", recipe(20)).state == "queued"
    with pytest.raises(ValueError, match="there is a run 'b' already"):
        start(runs, "b", recipe(20))
    until(lambda: read_state(runs, "a").state == "finished")
    until(lambda: read_state(runs, "b").state == "finished")
    a, b = (read_json(runs / name / JOB) for name in "ab")
    assert (a["status"], b["status"]) == (0, 0)
    assert b["began"] >= a["began"]
    assert (runs / "a" / CHECKPOINTS / "step-00000060").is_dir()
    assert "step 60" in log(runs, "a")
    with pytest.raises(ValueError, match="is finished"):
        resume(runs, "a")
    delete(runs, "a")
    assert [state.name for state in Index(runs).list()] == ["b"]


def test_it_outlives_who_started_it_sleeps_wakes_stops_and_goes_on(runs: Path):
    program = (
        "from pathlib import Path; from trainers.jobs import start; from trainers.recipes import by_name, apply; import os, signal, sys;"
        f"start(Path({str(runs)!r}), 'a', apply(by_name('digits-condot'), {SMALL | {'training.steps': '100000'}!r}));"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    until(lambda: read_state(runs, "a").step >= 10)
    leader = processes_of(runs / "a")[0]
    assert os.getpgid(leader) == leader != os.getpgid(0)
    assert psutil.Process(leader).nice() == min(19, psutil.Process().nice() + 10)
    with pytest.raises(ValueError, match="stop it before"):
        delete(runs, "a")
    assert pause(runs, "a").state == "paused"
    step = read_state(runs, "a").step
    time.sleep(0.5)
    assert read_state(runs, "a").step == step
    assert resume(runs, "a").state == "running"
    until(lambda: read_state(runs, "a").step > step)
    pause(runs, "a")
    stop(runs, "a")  # one that is asleep must wake to hear it
    stopped = wait(runs, "a")
    assert (stopped.state, stopped.resumable) == ("stopped", True)
    assert read_json(runs / "a" / JOB)["status"] == 75
    resume(runs, "a")
    until(lambda: read_state(runs, "a").step > stopped.step)


def test_a_training_whose_keeper_was_killed_goes_on_and_keeps_its_slot(runs: Path):
    start(runs, "a", recipe(100_000))
    until(lambda: read_state(runs, "a").step >= 10)
    keeper, training = processes_of(runs / "a")
    os.kill(keeper, signal.SIGKILL)
    until(lambda: is_over(keeper))
    assert read_state(runs, "a").state == "running"
    assert start(runs, "b", recipe(20)).state == "queued"
    step = read_state(runs, "a").step
    until(lambda: read_state(runs, "a").step > step)
    assert read_state(runs, "b").state == "queued"
    assert stop(runs, "a").name == "a"
    until(lambda: read_state(runs, "b").state == "finished")
    assert read_state(runs, "a").state == "stopped"
    assert is_over(training)


def test_one_that_was_killed_says_so_and_goes_on(runs: Path):
    start(runs, "a", recipe(100_000))
    until(lambda: (runs / "a" / CHECKPOINTS / "step-00000020").is_dir() and (runs / "a" / PROCESS).exists())
    os.killpg(processes_of(runs / "a")[0], signal.SIGKILL)
    until(lambda: not read_state(runs, "a").alive)
    found = read_state(runs, "a")
    assert (found.state, found.resumable) == ("interrupted", True)
    resume(runs, "a")
    until(lambda: "going on from step" in log(runs, "a"))
    until(lambda: read_state(runs, "a").step > 20)


def test_one_that_fails_says_why_and_can_be_resumed_when_mended(runs: Path):
    start(runs, "a", recipe(20, **{"training.batch": "100000"}))
    until(lambda: not read_state(runs, "a").alive)
    found = read_state(runs, "a")
    assert found.state == "failed"
    assert "training.batch=100000 is more than" in (found.message or "")
    assert json.loads((runs / "a" / JOB).read_text())["status"] == 2
