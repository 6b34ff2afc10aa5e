"""What a run's folder says, without any process but the one that holds its locks."""

import json
import os
from pathlib import Path

import pytest

from tests.trainers.jobs.folders import folder
from trainers.jobs import folder_of, read_state
from trainers.jobs.names import check_name, free_name, is_run
from trainers.layout import JOB, JOB_LOCK, LOCK, METRICS, PROCESS, RECIPE, held, is_held


def test_a_lock_is_held_as_long_as_its_process_lives(tmp_path: Path):
    lock = tmp_path / "lock"
    assert not is_held(lock)
    with held(lock):
        assert is_held(lock)
        with pytest.raises(BlockingIOError), held(lock):
            pass
    assert lock.exists()
    assert not is_held(lock)


@pytest.mark.parametrize(
    ("made", "state", "message"),
    [
        ({"step": 100, "saved": 100, "job": {"pid": 1, "status": 0}}, "finished", None),
        ({"step": 100, "saved": 100}, "finished", None),
        ({"step": 100, "saved": 50, "job": {"pid": 1, "status": 75}}, "stopped", None),
        ({"step": 40, "saved": 40, "job": {"pid": 1, "status": 75}}, "stopped", None),
        (
            {"step": 40, "saved": 20, "job": {"pid": 1, "status": 1}, "said": "step 20\nerror: the disk is full\n"},
            "failed",
            "the disk is full",
        ),
        ({"job": {"pid": 1, "status": -9}}, "failed", "status -9"),
        ({"job": {"pid": 1}}, "interrupted", "its process is gone"),
        ({"step": 40}, "stopped", None),
    ],
)
def test_states_of_runs_that_nobody_holds(made: dict, state: str, message: str | None, tmp_path: Path):
    folder(tmp_path, "a", **made)
    found = read_state(tmp_path, "a")
    assert found.state == state
    assert (found.message is None) if message is None else (message in (found.message or ""))
    assert found.resumable == (state != "finished")
    assert (found.step, found.steps, found.recipe) == (made.get("step", 0), 100, "digits-condot")
    assert found.eta is None


def test_a_training_that_left_its_process_file_is_interrupted(tmp_path: Path):
    made = folder(tmp_path, "a", step=40, saved=20, job={"pid": 1, "began": 1.0})
    assert read_state(tmp_path, "a").state == "stopped"
    (made / PROCESS).write_text(json.dumps({"pid": 1, "started": 0}))
    assert read_state(tmp_path, "a").state == "interrupted"


@pytest.mark.parametrize(
    ("lock", "job", "state"), [(LOCK, None, "running"), (JOB_LOCK, {"began": 2.0}, "running"), (JOB_LOCK, {}, "queued")]
)
def test_a_held_run_is_alive(lock: str, job: dict | None, state: str, tmp_path: Path):
    made = folder(tmp_path, "a", step=40, job=None if job is None else job | {"pid": os.getpid()})
    with held(made / lock):
        found = read_state(tmp_path, "a")
    assert (found.state, found.alive, found.resumable) == (state, True, False)
    assert found.eta == (6.0 if state == "running" else None)
    assert found.loss == pytest.approx(1 / 40)


@pytest.mark.parametrize(("file", "content"), [(RECIPE, "name = "), (JOB, "{"), (JOB, "[]"), (RECIPE, None)])
def test_damage_is_told_and_the_run_still_listed(file: str, content: str | None, tmp_path: Path):
    made = folder(tmp_path, "a", step=4, job={"pid": 1, "status": 75})
    (made / file).unlink()
    if content is not None:
        (made / file).write_text(content)
    found = read_state(tmp_path, "a")
    assert found.state == "damaged"
    assert file in (found.message or "")
    assert found.step == 4


def test_a_record_that_was_being_written_is_passed_over(tmp_path: Path):
    made = folder(tmp_path, "a", step=7)
    with (made / METRICS).open("a") as file:
        file.write('{"step": 8, "lo')
    assert read_state(tmp_path, "a").step == 7


def test_a_held_out_loss_is_no_record_of_a_step(tmp_path: Path):
    made = folder(tmp_path, "a", step=7)
    before = read_state(tmp_path, "a")
    with (made / METRICS).open("a") as file:
        file.write('{"step": 7, "held_out_loss": 0.5}\n')
    after = read_state(tmp_path, "a")
    assert (after.step, after.loss) == (7, before.loss)
    assert after.loss not in (None, 0.5)


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "../a", "a\\b", "a" * 65, "cache", "Cache", "-a", "a b", "a\n", "ä"])
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path):
    with pytest.raises(ValueError, match="the name"):
        check_name(name)
    with pytest.raises(ValueError, match="the name"):
        folder_of(tmp_path, name)


def test_a_link_is_no_run(tmp_path: Path):
    outside = folder(tmp_path / "outside", "a")
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "a").symlink_to(outside)
    assert not is_run(runs / "a")
    with pytest.raises(ValueError, match="there is no run 'a'"):
        folder_of(runs, "a")


def test_a_name_in_use_gets_a_number(tmp_path: Path):
    assert free_name(tmp_path, "a") == "a"
    folder(tmp_path, "a")
    folder(tmp_path, "a-2")
    assert free_name(tmp_path, "a") == "a-3"
