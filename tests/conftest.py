"""Shapes and types of every annotated function in lab/ and toy/ are checked (jaxtyping with beartype) while tests run."""

import os

from jaxtyping import install_import_hook

install_import_hook(["lab", "toy"], "beartype.beartype")

import torch  # noqa: E402

if "PYTEST_XDIST_WORKER" in os.environ:  # two workers share two cores: one thread each, or they stall one another
    torch.set_num_threads(1)
