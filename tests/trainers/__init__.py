"""Tests of the trainers."""

import os
from pathlib import Path


def data_folder() -> Path | None:
    """The folder with pieces of the real data sets, where there is one (FLOWLAB_DATA); tests make files of the same layout otherwise."""
    named = os.environ.get("FLOWLAB_DATA")
    return Path(named) if named and Path(named).is_dir() else None
