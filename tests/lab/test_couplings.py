"""Couplings: exact cost, permutations, and what each does to p(x_0 | condition)."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from lab.couplings import BatchOT, ConditionalOT, Independent, PerClassOT, Sinkhorn
from lab.optimal_transport import NETWORK_SIMPLEX_FROM, assign, squared_cost


def batch(n: int, seed: int = 0, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    condition = torch.randint(classes, (n,), generator=g)
    angle = 2 * math.pi * condition.double() / classes
    x_1 = 4 * torch.stack((angle.cos(), angle.sin()), 1) + 0.3 * torch.randn(n, 2, dtype=torch.float64, generator=g)
    return torch.randn(n, 2, dtype=torch.float64, generator=g), x_1, condition


@pytest.mark.parametrize("n", [1, 2, 50, NETWORK_SIMPLEX_FROM, 400])
def test_assignment_costs_what_scipys_optimum_costs(n):
    x_0, x_1, _ = batch(n)
    cost = squared_cost(x_1, x_0)
    rows, columns = linear_sum_assignment(cost.numpy())
    assert abs(cost[torch.arange(n), assign(cost)].sum() - cost.numpy()[rows, columns].sum()) < 1e-9


@pytest.mark.parametrize("n", [60, 300])
def test_couplings_cost_what_scipys_optimum_costs(n):
    """Batch OT for |x_1 - x_0|^2 and C2OT for that plus 3 |c - c'|^2, by SciPy on distances of its own, on both sides of the change of solver."""
    x_0, x_1, condition = batch(n)
    vectors = torch.nn.functional.one_hot(condition).double()
    plain, conditions = cdist(x_1, x_0, "sqeuclidean"), cdist(vectors, vectors, "sqeuclidean")
    for coupling, cost in ((BatchOT(), plain), (ConditionalOT(3.0), plain + 3 * conditions)):
        index = coupling(x_0, x_1, vectors).index.numpy()
        assert abs(cost[np.arange(n), index].sum() - cost[linear_sum_assignment(cost)].sum()) < 1e-9


def test_an_assignment_of_many_pivots_is_solved_to_the_end():
    """Points 0, 1, ... and the same moved by n: sorted goes to sorted, whatever the shift. The network simplex takes more than POT's default of 100,000 pivots."""
    n = 620
    place = torch.arange(n, dtype=torch.float64)[:, None]
    assert torch.equal(assign(squared_cost(place, place + n)), torch.arange(n))


def test_an_assignment_that_stops_before_the_optimum_is_refused(monkeypatch):
    x_0, x_1, _ = batch(NETWORK_SIMPLEX_FROM)
    monkeypatch.setattr("lab.optimal_transport.ITERATIONS", 700)  # of 1,300: a permutation by then, 2 % above the optimum
    with pytest.raises(RuntimeError, match=f"optimal assignment of {NETWORK_SIMPLEX_FROM} points"):
        assign(squared_cost(x_1, x_0))


def test_squared_cost_is_the_squared_distance():
    x_0, x_1, _ = batch(20)
    assert (squared_cost(x_1, x_0) - (x_1[:, None] - x_0[None]).square().sum(-1)).abs().max() < 1e-12
    g = torch.Generator().manual_seed(3)
    images, others = (
        1e4 + torch.randn(12, 3, 8, 8, dtype=torch.float64, generator=g) for _ in range(2)
    )  # many dimensions, far from the origin
    plain = (images.flatten(1)[:, None] - others.flatten(1)[None]).square().sum(-1)
    assert (squared_cost(images, others) / plain - 1).abs().max() < 1e-11
    assert squared_cost(images, images).diagonal().max() < 1e-9


@pytest.mark.parametrize("cost", [torch.full((3, 3), torch.nan), torch.zeros(2, 3)])
def test_costs_that_are_not_finite_or_square_are_refused(cost):
    with pytest.raises(ValueError, match="cost"):
        assign(cost)


@pytest.mark.parametrize("coupling", [Independent(), BatchOT(), PerClassOT(), ConditionalOT()], ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("n", [50, 800])
def test_every_datum_and_every_noise_is_used_once_and_data_keep_their_order(coupling, n):
    """At 50 SciPy solves; at 800 in four classes POT does, for the classes too."""
    x_0, x_1, condition = batch(n)
    pairs = coupling(x_0, x_1, condition)
    assert torch.equal(pairs.index.sort().values, torch.arange(n))
    assert torch.equal(pairs.x_1, x_1)
    assert torch.equal(pairs.x_0, x_0[pairs.index])


def test_images_keep_their_shape_and_are_paired_as_vectors():
    g = torch.Generator().manual_seed(1)
    x_0, x_1 = (torch.randn(12, 3, 4, 4, generator=g) for _ in range(2))
    pairs = BatchOT()(x_0, x_1)
    assert pairs.x_0.shape == x_0.shape
    assert torch.equal(pairs.index, BatchOT()(x_0.flatten(1), x_1.flatten(1)).index)


def test_per_class_transport_is_optimal_within_each_class_and_stays_there():
    x_0, x_1, condition = batch(300)
    pairs = PerClassOT()(x_0, x_1, condition)
    assert torch.equal(condition[pairs.index], condition)
    for c in range(4):
        rows = torch.nonzero(condition == c)[:, 0]
        cost = squared_cost(x_1[rows], x_0[rows]).numpy()
        r, k = linear_sum_assignment(cost)
        assert abs((pairs.x_0[rows] - x_1[rows]).square().sum() - cost[r, k].sum()) < 1e-9
    assert torch.equal(ConditionalOT()(x_0, x_1, condition).index, pairs.index)


def class_from_noise(coupling, batches: int = 40, size: int = 256) -> tuple[float, int]:
    """Held-out accuracy of guessing a datum's class from its noise by nearest class mean of the noise; and how many guesses."""
    parts = [coupling(*batch(size, seed)) for seed in range(batches)]
    noise, labels = torch.cat([p.x_0 for p in parts]), torch.cat([p.condition for p in parts])
    half = len(noise) // 2
    means = torch.stack([noise[:half][labels[:half] == c].mean(0) for c in range(4)])
    guess = torch.cdist(noise[half:], means).argmin(1)
    return float((guess == labels[half:]).double().mean()), half


@pytest.mark.parametrize("coupling", [Independent(), PerClassOT(), ConditionalOT()], ids=lambda c: type(c).__name__)
def test_the_noise_tells_nothing_of_the_class_where_the_prior_is_kept(coupling):
    """Within four standard errors of chance (1/4) over 5,120 held-out pairs."""
    accuracy, n = class_from_noise(coupling)
    assert abs(accuracy - 0.25) < 4 * math.sqrt(0.25 * 0.75 / n)


def test_blind_batch_transport_tells_the_class_in_the_noise():
    accuracy, _ = class_from_noise(BatchOT())
    assert accuracy > 0.8


def test_continuous_conditions_come_nearer_to_per_class_as_the_weight_grows():
    """C2OT on one-hot vectors as continuous conditions: at a weight beyond all distances no pair crosses classes; at weight 0 it is blind."""
    x_0, x_1, condition = batch(200)
    vectors = torch.nn.functional.one_hot(condition).double()
    crossed = [int((condition[ConditionalOT(w)(x_0, x_1, vectors).index] != condition).sum()) for w in (0.0, 10.0, 1e4)]
    assert crossed[0] > crossed[1] > crossed[2] == 0
    assert torch.equal(ConditionalOT(0.0)(x_0, x_1, vectors).index, BatchOT()(x_0, x_1).index)


@pytest.mark.parametrize("coupling", [PerClassOT(), ConditionalOT()], ids=lambda c: type(c).__name__)
def test_couplings_by_condition_ask_for_one(coupling):
    x_0, x_1, _ = batch(8)
    with pytest.raises(ValueError, match="needs condition="):
        coupling(x_0, x_1)


def test_unequal_batches_are_refused():
    with pytest.raises(ValueError, match="same shape"):
        BatchOT()(torch.zeros(3, 2), torch.zeros(4, 2))
    with pytest.raises(ValueError, match="condition has"):
        PerClassOT()(torch.zeros(3, 2), torch.zeros(3, 2), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="finite"):
        BatchOT()(torch.full((3, 2), np.nan), torch.zeros(3, 2))


@pytest.mark.parametrize("coupling", [PerClassOT(), ConditionalOT()], ids=lambda c: type(c).__name__)
def test_classes_as_floats_are_refused_and_not_taken_for_continuous_conditions(coupling):
    x_0, x_1, condition = batch(20)
    with pytest.raises(ValueError, match="whole number"):
        coupling(x_0, x_1, condition.float())


@pytest.mark.parametrize("coupling", [Independent(), BatchOT(), PerClassOT(), ConditionalOT()], ids=lambda c: type(c).__name__)
def test_numbers_are_paired_as_points_on_a_line(coupling):
    x_0, x_1, condition = batch(20)
    line, plane = coupling(x_0[:, 0], x_1[:, 0], condition), coupling(x_0[:, :1], x_1[:, :1], condition)
    assert torch.equal(line.index, plane.index)
    assert line.x_0.shape == (20,)


@pytest.mark.parametrize(
    ("condition", "words"),
    [([0, 1, 0], r"condition is a list; .* torch.as_tensor\(condition\)"), (torch.tensor(1), "condition has no entries")],
)
@pytest.mark.parametrize("coupling", [Independent, BatchOT, PerClassOT, ConditionalOT, Sinkhorn])
@pytest.mark.usefixtures("unchecked")
def test_a_condition_is_a_tensor_of_one_entry_per_datum(coupling, condition, words):
    with pytest.raises(ValueError, match=words):
        coupling()(torch.zeros(3, 2), torch.zeros(3, 2), condition, torch.Generator())


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf])
def test_a_weight_that_cannot_be_is_refused_at_once(weight):
    with pytest.raises(ValueError, match=f"weight={weight}"):
        ConditionalOT(weight)
