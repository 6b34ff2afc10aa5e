"""An index over many runs' folders, so that a thousand of them are listed without reading a thousand recipes. The folders are the truth: an index that is lost, damaged or of
another version is made again from them.

A row is good as long as the files that it was read from are those of then: recipe, records, job and checkpoints, by time and size.
"""

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path

from trainers.files import remove
from trainers.jobs.names import is_run
from trainers.jobs.state import Facts, RunState, live_state, read_facts
from trainers.layout import CHECKPOINTS, JOB, LOG, METRICS, RECIPE

FILE = "index.sqlite"
VERSION = 1
READ_FROM = (RECIPE, METRICS, JOB, LOG, CHECKPOINTS)


class Index:
    """Over a folder of runs. Each call opens the file anew, so that processes and threads may share it."""

    def __init__(self, runs: Path, say: Callable[[str], None] = lambda _: None) -> None:
        self.runs, self.say = runs, say
        self.path = runs / FILE

    def list(self) -> list[RunState]:
        """All runs, the newest first; none where the folder is missing."""
        if not self.runs.is_dir():
            return []
        names = [entry.name for entry in os.scandir(self.runs) if not entry.name.startswith(".") and is_run(Path(entry.path))]
        try:
            found = self._facts(names)
        except sqlite3.DatabaseError as error:  # no database, a cut one, one of others
            self.say(f"{self.path} is made again from the runs: {error}")
            self._forget()
            found = self._facts(names)
        states = [live_state(self.runs, name, facts) for name, facts in found.items()]
        return sorted(states, key=lambda state: (-state.created, state.name))

    def _facts(self, names: "list[str]") -> dict[str, Facts]:
        with closing(self._open()) as base, base:
            kept = {name: (mark, told) for name, mark, told in base.execute("SELECT name, mark, facts FROM runs")}
            found: dict[str, Facts] = {}
            changed = []
            for name in names:
                mark = _mark(self.runs / name)
                if name in kept and kept[name][0] == mark:
                    found[name] = Facts(**json.loads(kept[name][1]))
                    continue
                found[name] = read_facts(self.runs / name)
                changed.append((name, mark, json.dumps(asdict(found[name]))))
            base.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", changed)
            base.executemany("DELETE FROM runs WHERE name = ?", [(name,) for name in kept if name not in found])
        return found

    def _open(self) -> sqlite3.Connection:
        base = sqlite3.connect(self.path, timeout=10)
        try:
            base.execute("PRAGMA journal_mode=WAL")
            base.execute("PRAGMA synchronous=NORMAL")
            version = base.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                raise sqlite3.DatabaseError(f"it is of version {version}, this is {VERSION}")
            base.execute("CREATE TABLE IF NOT EXISTS runs (name TEXT PRIMARY KEY, mark TEXT NOT NULL, facts TEXT NOT NULL)")
            base.execute(f"PRAGMA user_version={VERSION}")
        except BaseException:
            base.close()
            raise
        return base

    def _forget(self) -> None:
        for path in (self.path, self.path.with_name(f"{FILE}-wal"), self.path.with_name(f"{FILE}-shm")):
            remove(path)


def _mark(folder: Path) -> str:
    """Of the files that facts are read from: another mark, other facts."""
    told, place = [], str(folder)
    for name in READ_FROM:
        try:
            found = os.stat(f"{place}/{name}")
        except FileNotFoundError:
            told.append("-")
        else:
            told.append(f"{found.st_mtime_ns}.{found.st_size}")
    return " ".join(told)
