"""The first twenty losses of every method equal those of a plain loop with the formulas by hand (tests/trainers/training/plain.py), to 1e-6 of the loss."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.trainers.training.plain import plain_losses
from tests.trainers.training.small import WIDTH, data_for, loop_for, shrunk, texts_for
from trainers.batches import assignment_table
from trainers.loop import fresh
from trainers.methods import Method
from trainers.priors import FittedPrior
from trainers.recipes import METHODS, Recipe, by_name
from trainers.sources import Source

pytestmark = pytest.mark.usefixtures("unchecked")  # shapes are checked where each function is tested; here they would take half of the time

STEPS = 20


@pytest.mark.parametrize("method", METHODS)
def test_the_first_losses_are_those_of_a_plain_loop(method: str, tmp_path):
    base = shrunk(by_name(f"emoji-{method}"), **{"training.steps": STEPS, "training.precision": "fp32", "optimiser.learning_rate": 1e-3})
    recipe = replace(base, coupling=replace(base.coupling, pairs="pairs")) if base.coupling.kind == "pairs" else base
    compare(recipe, *data_for(recipe), tmp_path)


@pytest.mark.parametrize("name", ["emoji-text-condot", "emoji-text-cpd", "emoji-text-loom"])
def test_the_first_losses_told_texts_are_those_of_a_plain_loop(name: str, tmp_path):
    """With several captions for a picture, or none, one drawn at each visit; CPD's prior is that of the mapper that did not see the picture."""
    changes = {"training.steps": STEPS, "training.precision": "fp32", "optimiser.learning_rate": 1e-3, "network.condition_dropout": 0.3}
    recipe = shrunk(by_name(name), **changes, **{"prior.mapper_steps": 60, "prior.mapper_learning_rate": 1e-2})
    source, prior = texts_for(recipe)
    if prior.mappers is not None:  # else nothing would tell captions and mappers from one another
        assert prior.report["explained_variance"]["cross_fitted"] > 0.1
    compare(recipe, source, prior, tmp_path)


def compare(recipe: Recipe, source: Source, prior: FittedPrior, folder: Path) -> None:
    """Twenty steps of the loop and of the plain one."""
    loop, progress = loop_for(recipe, folder, source=source, prior=prior)
    assert loop.train(progress) == 0
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    whole = Method(recipe, prior)
    twin = fresh(recipe, source, whole, WIDTH if recipe.data.condition == "text" else 0).network
    expected = plain_losses(recipe, source, prior, twin, STEPS, assignment_table(whole, source))
    found = torch.tensor([line["loss"] for line in lines])
    assert len(found) == STEPS
    assert torch.allclose(found, torch.tensor(expected), rtol=1e-6, atol=2e-7), (found - torch.tensor(expected)).abs().max()
    assert found[-1] != found[0]
