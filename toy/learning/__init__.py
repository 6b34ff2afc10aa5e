"""Small networks trained on a scene while somebody watches: `from toy.learning import Learner, LearningOptions, train`.

options: how they are trained. pairs: what they are trained on. networks: what they are. learner: the loop, its snapshots and rounds of reflow. grids: a velocity on a grid.
report: loss against its floor, field error, shares of the error. run: all of it from the command line.
"""

import importlib
from typing import Any

HOMES = {
    "Learner": "learner",
    "Learned": "learner",
    "train": "learner",
    "LearningOptions": "options",
    "GridField": "grids",
    "on_grid": "grids",
}


def __getattr__(name: str) -> Any:
    """The parts, and what others use of them, without loading all of it for the options alone."""
    if name.startswith("_"):
        raise AttributeError(name)
    if name in HOMES:
        return getattr(importlib.import_module(f"toy.learning.{HOMES[name]}"), name)
    try:
        return importlib.import_module(f"toy.learning.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"toy.learning.{name}":
            raise
        raise AttributeError(f"learning has no part {name!r}") from error
