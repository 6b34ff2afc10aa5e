"""Planted faults: each changes one line of the code, and the named test must go red. `python -m tests.faults` replays them all in copies of the project.

    python -m tests.faults                every fault, two at a time (minutes)
    python -m tests.faults lab/paths.py   only those planted in that file
    python -m tests.faults --minutes 20   as many as that time allows, in an order that is another after each commit

A fault that stays green shows a test that cannot fail; it, or the test, has to be mended. The lists are in tests/planted/.
"""

import argparse
import hashlib
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 600  # seconds for one test
AT_ONCE = 2
ROOMS = ("lab", "toy", "trainers", "app", "tests", "assets", "pyproject.toml")
# Other people's packages that most tests need: imported once, since every fault is replayed in a fork. None of them may start a thread.
HEAVY = (
    "torch",
    "scipy.stats",
    "sklearn.datasets",
    "ot",
    "jaxtyping",
    "beartype",
    "diffusers.models",
    "accelerate",
    "transformers",
    "PIL.Image",
    "pytest",
)


@dataclass(frozen=True)
class Fault:
    """In `file`, `old` (which occurs once) becomes `new`; then `test` (a pytest node id) must fail."""

    file: str
    old: str
    new: str
    test: str


def faults() -> tuple[Fault, ...]:
    """All planted faults."""
    import tests.planted  # its modules import Fault from here

    modules = (import_module(f"tests.planted.{found.name}") for found in iter_modules(tests.planted.__path__))
    return tuple(fault for module in modules for fault in module.FAULTS)


def shuffled(found: Sequence[Fault], salt: str) -> list[Fault]:
    """In an order that only `salt` decides: over many of them every fault comes early."""
    return sorted(found, key=lambda fault: hashlib.sha256(f"{salt} {fault}".encode()).digest())


def _commit() -> str:
    return subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout


def copied(folder: Path) -> Path:
    """The project in another folder; of the assets, which no fault is planted in, a link."""
    for room in ROOMS:
        source = ROOT / room
        if room == "assets":
            (folder / room).symlink_to(source)
        elif source.is_dir():
            shutil.copytree(source, folder / room, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / room)
    return folder


def plant(fault: Fault, project: Path) -> str | None:
    """What is wrong with the fault, if it does not fit."""
    path = project / fault.file
    text = path.read_text()
    if text.count(fault.old) != 1:
        return f"the text to change occurs {text.count(fault.old)} times, not once"
    path.write_text(text.replace(fault.old, fault.new))
    return None


def tested(test: str, project: Path) -> int:
    """Starts the test on that project in a fork of this process, a group of its own; the fork's id. Its output is in `output.txt` beside the project's folders."""
    child = os.fork()
    if child:
        return child
    status = 70  # of a fork that came to no verdict
    try:
        os.setpgid(0, 0)
        with (project / "output.txt").open("w") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        os.chdir(project)
        sys.path[:] = [str(project), *(entry for entry in sys.path if entry not in ("", str(ROOT)))]
        for name in [name for name in sys.modules if name.partition(".")[0] in ROOMS]:
            del sys.modules[name]  # the copy's are imported, with the fault in them
        import pytest

        status = int(pytest.main(["-n", "0", "-x", "-q", "-p", "no:cacheprovider", test]))
    finally:
        sys.stdout.flush()
        os._exit(status)


def verdict(status: int | None, project: Path) -> str | None:
    """None where the test went red, else what happened instead. pytest: 1 where tests ran and some failed; 2 to 5 are mishaps that prove nothing."""
    if status == 1:
        return None
    if status is None:
        return f"the test had not ended after {LONGEST} s"
    if status == 0:
        return "the test stayed green"
    return f"pytest ended with status {status}:\n{(project / 'output.txt').read_text()[-1500:]}"


def replays(chosen: list[Fault], until: float = math.inf) -> Iterator[tuple[Fault, str | None]]:
    """Each fault with its verdict, as they come, AT_ONCE at a time; none is begun after `until` by the monotonic clock."""
    waiting, running = list(reversed(chosen)), dict[int, tuple[Fault, Path, float]]()
    while waiting or running:
        if time.monotonic() > until:
            waiting = []
        while waiting and len(running) < AT_ONCE:
            fault = waiting.pop()
            project = copied(Path(tempfile.mkdtemp(prefix="fault-")))
            if misfit := plant(fault, project):
                shutil.rmtree(project)
                yield fault, misfit
            else:
                running[tested(fault.test, project)] = (fault, project, time.monotonic() + LONGEST)
        for child, (fault, project, end) in list(running.items()):
            ended, how = os.waitpid(child, os.WNOHANG)
            late = not ended and time.monotonic() > end
            if not ended and not late:
                continue
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # whatever it started and left behind goes too
            if late:
                os.waitpid(child, 0)
            del running[child]
            found = verdict(None if late else os.waitstatus_to_exitcode(how), project)
            shutil.rmtree(project, ignore_errors=True)
            yield fault, found
        time.sleep(0.02)


def main() -> int:
    if os.environ.get("OMP_NUM_THREADS") != "1":  # read by torch as it is imported; and a fork must not come after threads
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.faults", *sys.argv[1:]],
            os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        )
    parser = argparse.ArgumentParser("python -m tests.faults", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="only faults planted in these")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin none after so many")
    given = parser.parse_args()
    chosen = [f for f in faults() if not given.files or f.file in given.files]
    if not chosen:
        print(f"no fault is planted in {', '.join(given.files)}")
        return 2
    if given.minutes < math.inf:
        chosen = shuffled(chosen, _commit())
    until = time.monotonic() + 60 * given.minutes
    for name in HEAVY:
        import_module(name)
    survivors = replayed = 0
    for fault, found in replays(chosen, until):
        survivors, replayed = survivors + (found is not None), replayed + 1
        print(f"{'red  ' if found is None else 'GREEN'} {fault.file}: {fault.old!r} -> {fault.new!r}  {found or ''}", flush=True)
    if replayed < len(chosen):
        print(f"{given.minutes:g} minutes are over: {replayed} of {len(chosen)} were replayed; after another commit they are others")
    print(f"{replayed - survivors} passed, {survivors} failed")
    return 1 if survivors or not replayed else 0


if __name__ == "__main__":
    sys.exit(main())
