"""Planted faults: each changes one line of the code, and the named test must go red. `python -m tests.faults` replays them all in copies of the project.

    python -m tests.faults                every fault, two at a time (minutes)
    python -m tests.faults lab/paths.py   only those planted in that file

A fault that stays green shows a test that cannot fail; it, or the test, has to be mended. The lists are in tests/planted/.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 600  # seconds for one test
ROOMS = ("lab", "toy", "trainers", "app", "tests", "assets", "pyproject.toml")


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


def replay(fault: Fault) -> str | None:
    """None where the test went red, else what happened instead."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for room in ROOMS:
            source = ROOT / room
            if source.is_dir():
                shutil.copytree(source, copy / room, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, copy / room)
        path = copy / fault.file
        text = path.read_text()
        if text.count(fault.old) != 1:
            return f"the text to change occurs {text.count(fault.old)} times, not once"
        path.write_text(text.replace(fault.old, fault.new))
        command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-q", "-p", "no:cacheprovider", fault.test]
        quiet = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(command, cwd=copy, env=quiet, capture_output=True, text=True, timeout=LONGEST, check=False)
        except subprocess.TimeoutExpired:
            return f"the test had not ended after {LONGEST} s"
    if done.returncode == 1:  # pytest: tests ran and some failed; 2 to 5 are mishaps that prove nothing
        return None
    return "the test stayed green" if done.returncode == 0 else f"pytest ended with status {done.returncode}:\n{done.stdout[-1500:]}"


def main() -> int:
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return 0
    only = set(sys.argv[1:])
    chosen = [f for f in faults() if not only or f.file in only]
    if not chosen:
        print(f"no fault is planted in {', '.join(sorted(only))}")
        return 2
    survivors = 0
    with ThreadPoolExecutor(2) as pool:
        for fault, verdict in zip(chosen, pool.map(replay, chosen), strict=True):
            survivors += verdict is not None
            print(f"{'red  ' if verdict is None else 'GREEN'} {fault.file}: {fault.old!r} -> {fault.new!r}  {verdict or ''}", flush=True)
    print(f"{len(chosen) - survivors} passed, {survivors} failed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
