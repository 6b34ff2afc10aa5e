"""The analytic 2-D world: targets and priors are Gaussian mixtures, so that the exact velocity, score and density are known in closed form.

This room may import `lab` and never `trainers` or `app`. `python -m toy measure | figure | train` is its command line.
"""

import importlib
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    """`import toy; toy.scene` works without importing the whole world at start."""
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return importlib.import_module(f"toy.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"toy.{name}":
            raise
        raise AttributeError(f"the toy world has no part {name!r}") from error
