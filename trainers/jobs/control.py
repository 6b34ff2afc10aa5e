"""Starting, stopping, pausing, resuming and deleting trainings in the background."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainers.files import beside, remove, write_atomically, write_json
from trainers.jobs.names import check_name, folder_of
from trainers.jobs.state import RunState, processes_of, read_job, read_state, tail
from trainers.layout import JOB, JOB_LOCK, LOG, RECIPE, is_held

if TYPE_CHECKING:
    from trainers.recipes import Recipe

AWAKE = 60.0  # seconds in which a keeper must have taken its lock: an interpreter starts slowly on a busy machine
GONE = 120.0  # seconds in which a stopped training must have written its checkpoint, before `delete` gives up
LOOK_EVERY = 0.05
ROOT = str(Path(__file__).parents[2])  # where `trainers` is, wherever the lab was started


def start(runs: Path, name: str, recipe: "Recipe") -> RunState:
    """Queues a new run; returns how it stands. Raises ValueError for a bad name, a name in use, or a recipe whose values do not go together."""
    from trainers.recipes import check
    from trainers.recipes.files import to_toml

    check(recipe)
    return start_text(runs, name, to_toml(recipe))


def start_text(runs: Path, name: str, recipe: str) -> RunState:
    """As `start`, of a recipe in TOML that has been checked: a server need not import what checking takes."""
    folder = runs / check_name(name)
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise ValueError(f"there is a run {name!r} already; choose another name, or resume that one") from None
    try:
        write_atomically(folder / RECIPE, lambda partial: partial.write_text(recipe, encoding="utf-8"))
        write_json(folder / JOB, {"asked": time.time(), "pid": None, "status": None, "began": None, "ended": None})
    except BaseException:
        remove(folder)
        raise
    return _keep(runs, name)


def resume(runs: Path, name: str) -> RunState:
    """Wakes a paused run; queues a stopped, failed or interrupted one again. Raises ValueError where the run goes on anyway, is finished, or is damaged."""
    folder, state = folder_of(runs, name), read_state(runs, name)
    if state.state == "paused":
        _signal(folder, signal.SIGCONT)
        return _until(runs, name, lambda state: state.state != "paused")
    if not state.resumable:
        raise ValueError(f"the run {name!r} cannot be resumed: it is {state.state}{f' ({state.message})' if state.message else ''}")
    before = _job(folder)
    write_json(
        folder / JOB, before | {"asked": before.get("asked", state.created), "pid": None, "status": None, "began": None, "ended": None}
    )
    return _keep(runs, name)


def stop(runs: Path, name: str) -> RunState:
    """Has a run write a checkpoint and end, or give its place in the queue up. Returns at once: the step on its way is finished first. Raises ValueError where it does not run."""
    folder, state = folder_of(runs, name), read_state(runs, name)
    if not state.alive:
        raise ValueError(f"the run {name!r} does not run: it is {state.state}")
    _signal(folder, signal.SIGTERM)
    _signal(folder, signal.SIGCONT)  # one that is asleep hears nothing
    return read_state(runs, name)


def pause(runs: Path, name: str) -> RunState:
    """Puts a running training to sleep where it is, in memory; it keeps its place. Raises ValueError where it does not run."""
    folder, state = folder_of(runs, name), read_state(runs, name)
    if state.state != "running":
        raise ValueError(f"the run {name!r} cannot be paused: it is {state.state}")
    _signal(folder, signal.SIGSTOP)
    return _until(runs, name, lambda state: state.state == "paused" or not state.alive)


def delete(runs: Path, name: str) -> None:
    """Takes a run away for good. Raises ValueError where it is alive: stop it first."""
    folder, state = folder_of(runs, name), read_state(runs, name)
    if state.alive:
        raise ValueError(f"the run {name!r} is {state.state}; stop it before it is deleted")
    away = beside(folder)  # gone from every list at once, whole or not at all
    folder.rename(away)
    remove(away)


def log(runs: Path, name: str, size: int = 65_536) -> str:
    """The end of what a run said."""
    return tail(folder_of(runs, name) / LOG, size)


def wait(runs: Path, name: str, seconds: float = GONE) -> RunState:
    """Until a run is no longer alive, or the seconds are over."""
    return _until(runs, name, lambda state: not state.alive, seconds)


def _keep(runs: Path, name: str) -> RunState:
    """Starts the keeper, which outlives this process, and waits until it holds the run."""
    folder = runs / name
    with (folder / LOG).open("ab") as said:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "trainers.jobs.work", str(runs.absolute()), name],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (ROOT, os.environ.get("PYTHONPATH"))))},
        )
    _reaped(keeper)
    end = time.monotonic() + AWAKE
    while time.monotonic() < end and keeper.poll() is None and not (is_held(folder / JOB_LOCK) and _job(folder).get("pid") == keeper.pid):
        time.sleep(LOOK_EVERY)
    return read_state(runs, name)


def _reaped(keeper: subprocess.Popen[bytes]) -> None:
    """Has a thread wait for the keeper, so that a server which started it is left with no dead child."""
    import threading

    threading.Thread(target=keeper.wait, daemon=True, name=f"keeper {keeper.pid}").start()


def _signal(folder: Path, number: int) -> None:
    """To the keeper and its training, which are one process group; to a training without a keeper by itself."""
    kept = is_held(folder / JOB_LOCK)
    for pid in processes_of(folder)[:1]:
        try:
            if kept:
                os.killpg(pid, number)
            else:
                os.kill(pid, number)
        except ProcessLookupError:
            return  # it has just ended


def _until(runs: Path, name: str, done: Callable[[RunState], bool], seconds: float = 5.0) -> RunState:
    end = time.monotonic() + seconds
    while not done(state := read_state(runs, name)) and time.monotonic() < end:
        time.sleep(LOOK_EVERY)
    return state


def _job(folder: Path) -> dict[str, Any]:
    return read_job(folder)[0] or {}
