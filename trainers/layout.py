"""The names of what lies in a run's folder, and whether somebody holds it. Imports nothing heavy: lists of runs are made from these by a server."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

RECIPE, METRICS, SAMPLES, CHECKPOINTS, EVALUATIONS = "recipe.toml", "metrics.jsonl", "samples", "checkpoints", "evaluations"
STATE = "state.json"  # of a checkpoint
CONVENTIONS = "conventions.json"  # of a checkpoint made elsewhere (trainers.checkup)
INSIDE = ("", "unet", "transformer")  # where a diffusers folder keeps its network
PROCESS, LOCK = "process.json", "lock"  # of a training: its number and start, and what it holds while it lives
JOB, JOB_LOCK, LOG = (
    "job.json",
    "job.lock",
    "log.txt",
)  # of a training that runs in the background: what was asked, its keeper's lock, what it said


def steps_of(run: Path) -> tuple[int, ...]:
    """Of a run's checkpoints by their folders' names, the newest first; they are not looked into."""
    place = run / CHECKPOINTS
    names = [entry.name for entry in os.scandir(place)] if place.is_dir() else []
    return tuple(sorted((int(name[5:]) for name in names if name.startswith("step-") and name[5:].isdigit()), reverse=True))


def is_held(lock: Path) -> bool:
    """Whether a living process holds a lock file. The system lets go of it when the process ends, however it ends, so no number of a process can mislead."""
    import fcntl

    try:
        with lock.open("r") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False
    except FileNotFoundError:
        return False


@contextmanager
def held(lock: Path, *, inherited: bool = False) -> Iterator[int]:
    """Holds a lock file, made if it is missing; gives its descriptor, which children keep where `inherited`. Raises BlockingIOError where another process holds it."""
    import fcntl

    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.set_inheritable(file.fileno(), inherited)
        yield file.fileno()
