"""The command line as a process of its own, for tests that kill it."""

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[3]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """`python -m trainers ...`, in a folder of the test's own, on one thread."""
    command = [sys.executable, "-m", "trainers", *arguments]
    return subprocess.Popen(command, cwd=cwd, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


KILLED = """
import os, signal, sys, threading
from trainers import cli, loop
step, delay, real = int(sys.argv[1]), float(sys.argv[2]), loop.Loop._digest
def seen(self, before, at, batch):
    if at + 1 == step:
        threading.Timer(delay, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return real(self, before, at, batch)
loop.Loop._digest = seen
sys.exit(cli.main(sys.argv[3:]))
"""


def run_killed(step: int, delay: float, *arguments: str, cwd: Path) -> int:
    """The command with a SIGKILL `delay` seconds after it drew the data of a step, wherever it is by then; its status. A kill from outside would come late on a busy machine."""
    command = [sys.executable, "-c", KILLED, str(step), str(delay), *arguments]
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, timeout=570, check=False).returncode


def run(*arguments: str, cwd: Path) -> tuple[int, str, str]:
    """Status, output and what it said."""
    process = start(*arguments, cwd=cwd)
    out, said = process.communicate(timeout=570)
    return process.returncode, out, said


def wait_for_step(folder: Path, step: int, process: subprocess.Popen[str], seconds: float = 300) -> None:
    """Until a run's sample log says that a step was taken."""
    log, end = folder / "samples.log", time.monotonic() + seconds
    while time.monotonic() < end:
        if log.exists() and any(int(line.split()[0]) >= step for line in log.read_text().splitlines() if line):
            return
        if process.poll() is not None:
            raise AssertionError(f"the training ended with status {process.returncode}: {process.communicate()[1]}")
        time.sleep(0.005)
    raise AssertionError(f"step {step} was not reached")
