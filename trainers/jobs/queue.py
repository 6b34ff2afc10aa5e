"""So many trainings at once, the others in the order in which they were asked for; kept by locks in the file system alone, so that there is no master that could die.

Who waits holds a ticket: a file named by the time of asking, locked as long as its process lives. The first living ticket takes a slot as soon as one is free: one of
`limit` lock files, kept by the training and its keeper until both have ended. Two servers on one folder see the same queue.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from trainers.files import write_atomically
from trainers.layout import held, is_held

MOST = 64
AT_ONCE = 1
LOOK_EVERY = 0.25  # seconds


def queue_folder(runs: Path) -> Path:
    """Hidden, beside the runs."""
    return runs / ".queue"


def limit(runs: Path) -> int:
    """How many trainings run at once. Raises ValueError naming the file where somebody wrote nonsense into it."""
    path = queue_folder(runs) / "limit"
    try:
        return _checked(int(path.read_text()))
    except FileNotFoundError:
        return AT_ONCE
    except ValueError:
        raise ValueError(f"{path} must hold a whole number from 1 to {MOST}; `python -m trainers jobs limit N` writes it") from None


def set_limit(runs: Path, number: int) -> None:
    """Raises ValueError outside 1 to 64. More slots serve at once; fewer, as trainings end."""
    _checked(number)
    queue_folder(runs).mkdir(parents=True, exist_ok=True)
    write_atomically(queue_folder(runs) / "limit", lambda partial: partial.write_text(f"{number}\n"))


def _checked(number: int) -> int:
    if not 1 <= number <= MOST:
        raise ValueError(f"limit={number} must lie in 1 to {MOST}")
    return number


@contextmanager
def turn(runs: Path, give_up: Callable[[], bool]) -> Iterator[int | None]:
    """Waits for a slot and holds it; gives the descriptor of its lock, which a child must keep, or None where `give_up` said so meanwhile."""
    folder = queue_folder(runs)
    folder.mkdir(parents=True, exist_ok=True)
    ticket = folder / f"{time.time_ns():020d}-{os.getpid()}.ticket"
    slot: int | None = None
    with held(ticket):
        try:
            while slot is None and not give_up():
                if _first(folder, ticket):
                    slot = _free_slot(folder, limit(runs))
                if slot is None:
                    time.sleep(LOOK_EVERY)
        finally:
            ticket.unlink(missing_ok=True)
    try:
        yield slot
    finally:
        if slot is not None:
            os.close(slot)


def _first(folder: Path, ticket: Path) -> bool:
    """Whether no living ticket is older. Those of processes that were killed are taken away."""
    for other in sorted(folder.glob("*.ticket")):
        if other.name == ticket.name:
            return True
        if is_held(other):
            return False
        other.unlink(missing_ok=True)
    return True


def _free_slot(folder: Path, limit: int) -> int | None:
    """The descriptor of a slot that nobody holds, held now."""
    for k in range(limit):
        handle = os.open(folder / f"slot-{k}.lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
        else:
            os.set_inheritable(handle, True)
            return handle
    return None


def place(runs: Path, pid: int) -> int | None:
    """How many wait before the keeper with this number; None where it does not wait."""
    waiting = [path for path in sorted(queue_folder(runs).glob("*.ticket")) if is_held(path)]
    return next((k for k, path in enumerate(waiting) if path.stem.endswith(f"-{pid}")), None)
