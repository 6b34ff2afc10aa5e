"""What a run may be called. A name comes from a page, so it cannot lead out of the folder of runs."""

import re
from pathlib import Path

from trainers.layout import JOB, RECIPE

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RESERVED = ("cache", "index.sqlite")


def check_name(name: str) -> str:
    """The name. Raises ValueError unless it is of letters, digits, dots, dashes and underscores, 64 at most, and not one that the lab uses itself."""
    if not NAME.fullmatch(name):
        raise ValueError(
            f"the name {name[:80]!r} of a run must begin with a letter or digit and have letters, digits, dots, dashes and underscores only, 64 at most"
        )
    if name.lower() in RESERVED:
        raise ValueError(f"the name {name!r} is kept for the lab itself; choose another for the run")
    return name


def folder_of(runs: Path, name: str) -> Path:
    """The folder of a run that is there. Raises ValueError for names that are none, and where there is no run of that name."""
    folder = runs / check_name(name)
    if not is_run(folder):
        raise ValueError(f"there is no run {name!r} in {runs}; `python -m trainers jobs list` names those that are")
    return folder


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's. A link is not: it could lead anywhere."""
    return not folder.is_symlink() and ((folder / RECIPE).is_file() or (folder / JOB).is_file())


def free_name(runs: Path, wish: str) -> str:
    """`wish`, or the first of wish-2, wish-3, ... that is free."""
    check_name(wish)
    name, k = wish, 2
    while (runs / name).exists():
        name, k = f"{wish[:58]}-{k}", k + 1
    return name
