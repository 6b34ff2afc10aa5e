"""The instruments of flow matching, in any dimension: paths, priors, couplings, solvers, measures, likelihood.

This room knows nothing of the rest of the project, reads no files and draws no pages, so that another project can copy it whole. It may
import torch, numpy, scipy, POT, torchdiffeq and jaxtyping only. Import the module you need: `import lab.paths`, `from lab.solvers import solve`.
"""

import importlib
from types import ModuleType


def __getattr__(name: str) -> ModuleType:
    """`import lab; lab.paths` works without importing every instrument at start."""
    if name.startswith("_"):
        raise AttributeError(name)
    try:
        return importlib.import_module(f"lab.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"lab.{name}":
            raise
        raise AttributeError(f"the lab has no instrument {name!r}") from error
