"""Where the priors of text CPD come from: of training items from the mapper that did not see them, of all else from the mean of the mappers."""

from typing import Any

import pytest
import torch

from lab.random import normals
from tests.trainers.training.small import loop_for, shrunk, texts_for
from trainers.batches import Batches
from trainers.methods import Method
from trainers.order import Order
from trainers.priors import FittedPrior
from trainers.priors.cross_fitting import fold_of
from trainers.recipes import by_name
from trainers.sampling import NOISE, start
from trainers.sources import CacheSource
from trainers.validation import held_out_loss

RECIPE = shrunk(
    by_name("emoji-text-cpd"),
    **{"training.precision": "fp32", "prior.folds": 3, "prior.mapper_steps": 60, "prior.mapper_learning_rate": 1e-2},
)


@pytest.fixture(scope="module")
def fitted() -> tuple[CacheSource, FittedPrior]:
    return texts_for(RECIPE)


def said(prior: FittedPrior, states: torch.Tensor) -> torch.Tensor:
    """What each mapper says of the texts, (folds, b, c, h, w)."""
    assert prior.mappers is not None
    with torch.no_grad():
        return torch.stack([mapper(states[:, 0]) for mapper in prior.mappers.mappers])


def test_training_draws_from_the_mapper_that_did_not_see_the_item_and_held_out_items_from_all(fitted):
    source, prior = fitted
    order, rows, sigma = Order(source.n, 8, 0), torch.arange(8), prior.report["sigma"]["value"]
    for held_out in (False, True):
        batch = Batches(Method(RECIPE, prior), source, order, held_out=held_out).draw(0, rows)
        assert batch.condition is not None
        each, fold = said(prior, batch.condition), fold_of(RECIPE.training.seed, batch.index, 3)
        assert len(fold.unique()) > 1
        expected = each.mean(0) if held_out else each[fold, rows]
        assert torch.allclose(batch.x_0, expected + sigma * order.normals(batch.samples, source.shape), atol=1e-5)
        assert not torch.allclose(each.mean(0), each[fold, rows], atol=1e-2)  # else the above would tell nothing


def test_the_held_out_loss_takes_no_item_for_a_training_item(fitted, tmp_path, monkeypatch: pytest.MonkeyPatch):
    source, prior = fitted
    _, progress = loop_for(RECIPE, tmp_path, source=source, prior=prior)
    monkeypatch.delattr(FittedPrior, "for_training")
    loss = held_out_loss(progress.network, progress.averages[0], Method(RECIPE, prior), source, torch.device("cpu"))
    assert loss is not None
    assert loss > 0


def test_samples_start_from_the_mean_of_all_mappers(fitted):
    source, prior = fitted
    condition = source.cache.captions.states(torch.arange(5))
    sampled: Any = Drawn(source, prior)
    numbers = torch.arange(5)
    z = normals(11, numbers, 128, NOISE, torch.float32).reshape(5, *source.shape)
    expected = said(prior, condition).mean(0) + prior.report["sigma"]["value"] * z
    assert torch.allclose(start(sampled, numbers, condition, 11), expected, atol=1e-5)


class Drawn:
    """All that `start` needs of a trained model."""

    velocity = path = last_time = label_law = null = noise = None

    def __init__(self, source: CacheSource, prior: FittedPrior) -> None:
        self.shape, self.prior = source.shape, prior
