"""Pairs drawn from a scene's coupling: their batches are optimally paired, their laws and costs are those of the coupling."""

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from toy.drawn_pairs import LabelledPairs, draw_pairs
from toy.sampled_pairs import batch_ot_pairs, pair_count
from toy.scene import Scene
from toy.trace import coupling_cost
from toy.world import world

CONDITIONAL = Scene(prior="conditional")


def points(pairs: LabelledPairs) -> tuple[Tensor, Tensor]:
    return pairs.x_0, pairs.x_1


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("per_class", [False, True], ids=["blind", "per-class"])
@pytest.mark.parametrize("size", [7, 200])
def test_each_batch_is_paired_at_scipys_optimum(size: int, per_class: bool):
    """No pair of the batch could be exchanged at less cost: the cost of each batch equals that of the optimal assignment of the same points."""
    made = world(Scene(target="bimodal"))
    drawn = batch_ot_pairs(made.source, made.target, made.plan, batch_size=size, per_class=per_class, generator=generator(), count=3 * size)
    classes = made.target.classes[drawn.component]
    for x_0, x_1, c in zip(drawn.x_0.split(size), drawn.x_1.split(size), classes.split(size), strict=True):
        groups = [torch.nonzero(c == k)[:, 0] for k in c.unique()] if per_class else [torch.arange(size)]
        for rows in groups:
            cost = torch.cdist(x_1[rows], x_0[rows]).square().numpy()
            assert abs(cost.trace() - cost[linear_sum_assignment(cost)].sum()) < 1e-9 * len(rows)


def test_batches_of_one_are_pairs_of_the_plan():
    """A class-conditional prior keeps its classes: x_0 and x_1 of a pair lie in the same class, whose strips are far apart."""
    made = world(CONDITIONAL)
    drawn = batch_ot_pairs(made.source, made.target, made.plan, batch_size=1, per_class=False, generator=generator(), count=2000)
    same = made.source.class_log_prob(drawn.x_0).argmax(1) == made.target.classes[drawn.component]
    assert float(same.double().mean()) > 0.95


def test_pairs_are_counted_in_whole_batches():
    assert pair_count(64) == 200_000
    assert pair_count(48) % 48 == 0
    assert pair_count(4096) == 4 * 4096
    made = world(Scene())
    with pytest.raises(ValueError, match="at least 1"):
        batch_ot_pairs(made.source, made.target, made.plan, batch_size=0, per_class=False, generator=generator())


@pytest.mark.parametrize(
    "scene",
    [
        Scene(),
        CONDITIONAL,
        Scene(target="bimodal", prior="conditional-mixture", prior_covariance="isotropic", scale=0.5, coupling="component-ot"),
        Scene(coupling="batch-ot"),
        Scene(coupling="class-batch-ot", sees="class"),
    ],
    ids=lambda s: f"{s.target}-{s.prior}-{s.coupling}",
)
def test_drawn_pairs_cost_what_the_coupling_costs(scene: Scene):
    """Mean squared distance of 40,000 fresh pairs against the closed form (or the mean over the fit's own pairs): within four standard errors of batch means."""
    made = world(scene)
    x_0, x_1 = points(draw_pairs(made, 40_000, generator(3)))
    blocks = (x_1 - x_0).square().sum(1).reshape(100, 400).mean(1)
    assert abs(float(blocks.mean()) - coupling_cost(made)) < 4 * float(blocks.std()) / 10 + 4e-3 * coupling_cost(made) * (
        made.fitted is not None
    )


def test_pairs_of_component_transport_have_its_cross_covariance():
    """Within a pair of components: Cov(x_0, x_1) = C and Cov(x_1) = Sigma, from 40,000 draws, within four standard errors of a covariance."""
    scene = Scene(target="two-modes", prior="mirrored", coupling="component-ot", scale=0.5)
    made = world(scene)
    assert made.cross is not None
    x_0, x_1 = points(draw_pairs(made, 40_000, generator(5)))
    inside = made.target.responsibilities(x_1).argmax(1) == 0
    own = made.source.responsibilities(x_0[inside]).argmax(1)
    j = int(own.mode().values)
    pair = torch.cat((x_0[inside], x_1[inside]), 1)
    found = torch.cov(pair.T)
    error = 4 * float(found.diagonal().max()) / len(pair) ** 0.5
    assert (found[:2, 2:] - made.cross[j, 0]).abs().max() < error
    assert (found[2:, 2:] - made.target.covariances[0]).abs().max() < error


def test_full_transport_shows_its_own_points():
    made = world(Scene(coupling="full-ot", count=200))
    x_0, x_1 = points(draw_pairs(made, 50, generator()))
    cost = torch.cdist(made.field.x_1, made.field.x_0).square().numpy()  # pyright: ignore[reportAttributeAccessIssue]  # full OT's field is of pairs
    assert abs(cost.trace() - cost[linear_sum_assignment(cost)].sum()) < 1e-9
    assert (made.target.class_log_prob(x_1).argmax(1) == draw_pairs(made, 50, generator()).condition).all()
    assert torch.equal(x_0, made.field.x_0[:50])  # pyright: ignore[reportAttributeAccessIssue]
    assert torch.equal(x_1, made.field.x_1[:50])  # pyright: ignore[reportAttributeAccessIssue]
