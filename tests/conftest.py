"""Shapes and types of every annotated function in lab/ and toy/ are checked (jaxtyping with beartype) while tests run."""

from jaxtyping import install_import_hook

import tests.typechecking  # noqa: F401  # the hook finds it as an attribute of `tests`

install_import_hook(["lab", "toy"], "tests.typechecking.checked")

import torch  # noqa: E402

torch.set_num_threads(1)  # two workers share two cores; and on small arrays a second thread costs far more than it gives
