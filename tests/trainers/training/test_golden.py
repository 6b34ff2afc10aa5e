"""The first twenty losses of every method equal those of a plain loop with the formulas by hand (tests/trainers/training/plain.py), to 1e-6 of the loss."""

import json
from dataclasses import replace

import pytest
import torch

from tests.trainers.training.plain import plain_losses
from tests.trainers.training.small import data_for, loop_for, shrunk
from trainers.batches import assignment_table
from trainers.loop import fresh
from trainers.methods import Method
from trainers.recipes import METHODS, by_name

STEPS = 20


@pytest.mark.parametrize("method", METHODS)
def test_the_first_losses_are_those_of_a_plain_loop(method: str, tmp_path):
    base = shrunk(by_name(f"emoji-{method}"), **{"training.steps": STEPS, "training.precision": "fp32", "optimiser.learning_rate": 1e-3})
    recipe = replace(base, coupling=replace(base.coupling, pairs="pairs")) if base.coupling.kind == "pairs" else base
    source, prior = data_for(recipe)
    loop, progress = loop_for(recipe, tmp_path, source=source, prior=prior)
    assert loop.train(progress) == 0
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    whole = Method(recipe, prior)
    twin = fresh(recipe, source, whole, 0).network
    expected = plain_losses(recipe, source, prior, twin, STEPS, assignment_table(whole, source))
    found = torch.tensor([line["loss"] for line in lines])
    assert len(found) == STEPS
    assert torch.allclose(found, torch.tensor(expected), rtol=1e-6, atol=2e-7), (found - torch.tensor(expected)).abs().max()
    assert found[-1] != found[0]
