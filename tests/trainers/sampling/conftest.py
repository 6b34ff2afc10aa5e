"""Small trained models, made once: digits with a few thousand weights, of several methods; and pictures told by text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState

from tests.trainers.latents.encoders import bert
from tests.trainers.latents.gallery import show
from trainers.recipes import Recipe, apply, by_name
from trainers.training import train

SMALL = {
    "network.channels": "24",
    "network.layers": 2,
    "optimiser.warmup": 0,
    "training.batch": 64,
    "training.steps": 20,
    "training.checkpoint_every": 10,
    "training.preview_every": 1000,
    "training.preview_count": 2,
}

# Told captions, by a prior that is too; text.path is to be added.
TEXT = {
    "name": "captions",
    "data.reader": "folder",
    "data.size": 8,
    "autoencoder.kind": "none",
    "network.channels": "16,16",
    "network.norm_groups": 8,
    "network.heads_of": 8,
    "network.cross_attention": 8,
    "text.max_tokens": 3,
    "prior.mapper_steps": 20,
    "prior.mapper_width": 16,
    "prior.mapper_batch": 8,
    "training.batch": 8,
    "training.steps": 4,
    "training.precision": "fp32",
    "training.preview_count": 2,
}


def digits(method: str, **changes: Any) -> Recipe:
    """The laptop recipe, shrunken to a second."""
    return apply(by_name(f"digits-{method}"), SMALL | changes)


def trained(recipe: Recipe, folder: Path, runs: Path) -> Path:
    AcceleratorState._reset_state()  # one process may hold one precision only, and tests are many
    assert train(recipe, folder, runs=runs, say=lambda line: None) == 0
    return folder


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def run_of(home: Path) -> Callable[[str], Path]:
    """The folder of a run of this method on digits, trained at first use; tests leave it as it is."""

    def found(method: str) -> Path:
        folder = home / method
        return folder if folder.exists() else trained(digits(method), folder, home)

    return found


@pytest.fixture(scope="session")
def text_run(home: Path) -> Path:
    """Of a model that is told captions, by a prior that is too."""
    bert(home / "bert")
    with pytest.MonkeyPatch.context() as patch:
        show(patch)
        return trained(apply(by_name("emoji-text-cpd"), TEXT | {"text.path": str(home / "bert")}), home / "text", home)
