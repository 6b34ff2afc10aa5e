"""What a run's folder says of its training. A function of the folder and of who holds its locks; nothing is remembered."""

import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.command_line import FINISHED, STOPPED
from trainers.files import read_json
from trainers.jobs.queue import place
from trainers.layout import JOB, JOB_LOCK, LOCK, LOG, METRICS, PROCESS, RECIPE, is_held, steps_of

ALIVE = ("queued", "running", "paused")
STATES = (*ALIVE, "stopped", "finished", "failed", "interrupted", "damaged")
TAIL = 16_384  # bytes of a file's end that are looked at
GONE = "its process is gone: it was killed, or the machine was switched off"


@dataclass(frozen=True)
class RunState:
    """A run as its folder shows it.

    state: queued (waits for its turn; `before` others come first), running, paused (in memory, asleep), stopped (resumable), finished, failed (`message` says why),
    interrupted (its process is gone without a word: killed, or the machine went off; resumable), damaged (its recipe cannot be read; `message` says why).
    step of steps done; loss, held_out, images_per_second, eta (seconds left at that speed) as last recorded; None where nothing was.
    """

    name: str
    state: str
    recipe: str
    about: str
    step: int
    steps: int
    loss: float | None
    images_per_second: float | None
    eta: float | None
    created: float
    before: int | None
    message: str | None

    @property
    def resumable(self) -> bool:
        return self.state in ("paused", "stopped", "failed", "interrupted")

    @property
    def alive(self) -> bool:
        return self.state in ALIVE


def read_state(runs: Path, name: str) -> RunState:
    """Of the run `name` in the folder `runs`."""
    return live_state(runs, name, read_facts(runs / name))


@dataclass(frozen=True)
class Facts:
    """What changes only when a file of the folder does; an index may keep it."""

    recipe: str
    about: str
    step: int
    steps: int
    saved: int
    loss: float | None
    images_per_second: float | None
    seconds_left: float | None
    created: float
    job: dict[str, Any] | None
    message: str | None
    damage: str | None


def read_facts(folder: Path) -> Facts:
    """Of a run's folder. What is damaged is told, not raised: a list of runs must show it."""
    recipe, damage = _recipe(folder)
    job, job_damage = read_job(folder)
    record = last_record(folder / METRICS)
    training = recipe.get("training", {})
    made = [path.stat().st_mtime for path in (folder / RECIPE, folder / JOB) if path.exists()]
    return Facts(
        recipe=str(recipe.get("name", "")),
        about=str(recipe.get("about", "")),
        step=int(record.get("step", 0)),
        steps=int(training.get("steps", 0)),
        saved=next(iter(steps_of(folder)), 0),
        loss=_number(record.get("loss")),
        images_per_second=_number(record.get("images_per_second")),
        seconds_left=_number(record.get("seconds_left")),
        created=float((job or {}).get("asked", min(made, default=0.0))),
        job=job,
        message=_last_error(folder / LOG),
        damage=damage or job_damage,
    )


def live_state(runs: Path, name: str, facts: Facts) -> RunState:
    """With what only the moment tells: whether a process holds the folder."""
    folder = runs / name
    state, before, message = _state(runs, folder, facts)
    return RunState(
        name,
        state,
        facts.recipe,
        facts.about,
        facts.step,
        facts.steps,
        facts.loss,
        facts.images_per_second,
        facts.seconds_left if state == "running" else None,
        facts.created,
        before,
        message,
    )


def _state(runs: Path, folder: Path, facts: Facts) -> tuple[str, int | None, str | None]:
    training, kept = is_held(folder / LOCK), is_held(folder / JOB_LOCK)
    if training or kept:
        pids = processes_of(folder)
        if any(map(_is_asleep, pids)):
            return "paused", None, None
        if training or (facts.job or {}).get("began") is not None:
            return "running", None, None
        return "queued", place(runs, pids[0]) if pids else None, None
    if facts.damage is not None:
        return "damaged", None, facts.damage
    if facts.steps and facts.saved >= facts.steps:
        return "finished", None, None
    job = facts.job or {}
    if job.get("status") == STOPPED:
        return "stopped", None, None
    if job.get("status") not in (None, FINISHED):
        return "failed", None, facts.message or f"the training ended with status {job['status']}; its log says more"
    unbegun = job.get("pid") is not None and job.get("status") is None and job.get("began") is None
    if unbegun or (folder / PROCESS).exists():  # which a training takes away when it ends in order
        return "interrupted", None, GONE
    return "stopped", None, None


def processes_of(folder: Path) -> list[int]:
    """The numbers of the processes that hold a run: its keeper's (which leads their group), then the training's. Only true while a lock is held."""
    found = []
    for name, lock in ((JOB, JOB_LOCK), (PROCESS, LOCK)):
        if is_held(folder / lock):
            try:
                pid = read_json(folder / name).get("pid")
            except (ValueError, AttributeError):  # being written, or damaged
                continue
            if isinstance(pid, int):
                found.append(pid)
    return found


def _is_asleep(pid: int) -> bool:
    import psutil

    try:
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def _recipe(folder: Path) -> tuple[dict[str, Any], str | None]:
    path = folder / RECIPE
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), None
    except FileNotFoundError:
        return {}, f"{path} is missing"
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return {}, f"{path} is damaged: {error}"


def read_job(folder: Path) -> tuple[dict[str, Any] | None, str | None]:
    """What job.json holds, and what is wrong with it; (None, None) where there is none."""
    path = folder / JOB
    if not path.exists():
        return None, None
    try:
        found = read_json(path)
    except ValueError as error:
        return None, str(error)
    return (found, None) if isinstance(found, dict) else (None, f"{path} is damaged: it holds no object")


def last_record(metrics: Path) -> dict[str, Any]:
    """The last whole line of a run's records of steps (not of a held-out loss); empty where there is none."""
    for line in reversed(tail(metrics).splitlines()):
        try:
            found = json.loads(line)
        except ValueError:  # cut off by a kill, or by where we began to read
            continue
        if isinstance(found, dict) and "held_out_loss" not in found:
            return found
    return {}


def tail(path: Path, size: int = TAIL) -> str:
    """The last bytes of a text file, "" where it is missing."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _last_error(log: Path) -> str | None:
    lines = [line for line in tail(log).splitlines() if line.strip()]
    told = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return told[-1] if told else lines[-1] if lines else None


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
