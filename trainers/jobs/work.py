"""The keeper of a training in the background: python -m trainers.jobs.work RUNS NAME. Waits for its turn, trains in a child, and writes down how that ended.

It leads a session and a process group of its own, so neither a closed terminal nor a killed server reaches it. If it is killed itself, the child goes on and keeps the
slot and the run's lock; what is lost is the note of how it ended.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lab.command_line import STOPPED
from trainers.files import read_json, write_json
from trainers.jobs.queue import turn
from trainers.layout import JOB, JOB_LOCK, LOG, PROCESS, RECIPE, held

NICE = 10  # the lab's pages come first


class Keeper:
    """Keeps one run's training."""

    def __init__(self, runs: Path, folder: Path) -> None:
        self.runs, self.folder = runs, folder
        self.child: subprocess.Popen[bytes] | None = None
        self.asked_to_stop = False

    def stop(self, *_: Any) -> None:
        """SIGTERM: passed on to the training, which writes a checkpoint; a job that still waits gives its place up."""
        self.asked_to_stop = True
        if self.child is not None:
            self.child.terminate()

    def keep(self) -> int:
        """The exit status of the training; 75 where it never began."""
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        with held(self.folder / JOB_LOCK, inherited=True) as lock:
            self._note(pid=os.getpid(), status=None, ended=None, began=None)
            with turn(self.runs, lambda: self.asked_to_stop) as slot:
                status = STOPPED if slot is None else self._train(lock, slot)
            self._note(status=status, ended=time.time())
        return status

    def _train(self, *kept: int) -> int:
        command = [
            sys.executable,
            "-m",
            "trainers",
            "train",
            str(self.folder / RECIPE),
            "--run",
            str(self.folder),
            "--runs",
            str(self.runs),
        ]
        self._note(began=time.time())
        with (self.folder / LOG).open("ab") as log:
            self.child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, pass_fds=kept)
        if self.asked_to_stop:  # between the turn and the child
            self.child.terminate()
        # The training writes this too, when it has come so far, and takes it away when it ends in order: what is left of it tells of one that was killed.
        write_json(self.folder / PROCESS, {"pid": self.child.pid, "started": time.time()})
        status = self.child.wait()
        (self.folder / PROCESS).unlink(missing_ok=True)
        return STOPPED if self.asked_to_stop and status == -signal.SIGTERM else status  # it had not yet begun to listen

    def _note(self, **facts: Any) -> None:
        path = self.folder / JOB
        write_json(path, read_json(path) | facts)


def main(runs: str, name: str) -> int:
    """The exit status of the training."""
    os.nice(NICE)
    try:
        return Keeper(Path(runs), Path(runs) / name).keep()
    except BlockingIOError:  # another keeper was quicker
        return 2


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
