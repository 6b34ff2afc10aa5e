"""Shapes and types of every annotated function in lab/, toy/ and trainers/ are checked (jaxtyping with beartype) while tests run."""

from collections.abc import Iterator

import pytest
from jaxtyping import config, install_import_hook

import tests.typechecking  # noqa: F401  # the hook finds it as an attribute of `tests`

install_import_hook(["lab", "toy", "trainers"], "tests.typechecking.checked")

import torch  # noqa: E402

torch.set_num_threads(1)  # two workers share two cores; and on small arrays a second thread costs far more than it gives


@pytest.fixture
def unchecked() -> Iterator[None]:
    """The lab as others run it, without the type checks of the tests: for what these would refuse before the lab can."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)
