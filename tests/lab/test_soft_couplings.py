"""Sinkhorn's plan and draws, semidiscrete potentials, and stored pairs."""

import math
from typing import Any

import ot
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm

from lab.couplings import NotConverged, Semidiscrete, Sinkhorn, sinkhorn_plan
from lab.optimal_transport import squared_cost
from lab.random import normals
from lab.semidiscrete import chi_squared
from lab.stored_pairs import SeededNoise, StoredPairs


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int, seed: int = 0, classes: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """N(0, I) and Gaussians of std .3 around a ring of radius 4, one per class; every class equally often."""
    g = generator(seed)
    condition = torch.arange(n) % classes
    angle = 2 * math.pi * condition.double() / classes
    x_1 = 4 * torch.stack((angle.cos(), angle.sin()), 1) + 0.3 * torch.randn(n, 2, dtype=torch.float64, generator=g)
    return torch.randn(n, 2, dtype=torch.float64, generator=g), x_1, condition


def cost_of(n: int, seed: int = 0) -> torch.Tensor:
    x_0, x_1, _ = batch(n, seed)
    return squared_cost(x_1, x_0)


# Sinkhorn


@pytest.mark.parametrize("epsilon", [1.0, 0.2])
def test_the_plan_is_that_of_the_matrix_scaling_algorithm(epsilon):
    """POT's Sinkhorn-Knopp on exp(-C / epsilon) itself, where nothing underflows, for unequal numbers; epsilon scales with the cost's std.

    The potentials make the plan: P_ij = exp((f_i + g_j - C_ij) / epsilon).
    """
    cost = cost_of(60)[:, :40]
    ours = sinkhorn_plan(cost, epsilon, tolerance=1e-12)
    assert ours.epsilon == pytest.approx(epsilon * float(cost.std(correction=0)), rel=1e-12)
    rows, columns = torch.full((60,), 1 / 60, dtype=torch.float64), torch.full((40,), 1 / 40, dtype=torch.float64)
    theirs: Any = ot.sinkhorn(rows, columns, cost, ours.epsilon, method="sinkhorn", stopThr=1e-14, numItermax=20_000)
    assert (ours.plan - theirs).abs().max() < 1e-8 / 60
    assert ((ours.f[:, None] + ours.g - cost).div(ours.epsilon).exp() - theirs).abs().max() < 1e-8 / 60
    assert (sinkhorn_plan(cost, ours.epsilon, relative=False, tolerance=1e-12).plan - theirs).abs().max() < 1e-8 / 60


def test_the_plan_of_two_points_is_a_logistic_function():
    """Costs 0 on the diagonal and d off it: P_11 = 1 / (2 (1 + exp(-d / epsilon))) by symmetry."""
    cost = torch.tensor([[0.0, 3.0], [3.0, 0.0]], dtype=torch.float64)
    for epsilon in (0.3, 1.0, 30.0):
        found = sinkhorn_plan(cost, epsilon, relative=False)
        assert float(found.plan[0, 0]) == pytest.approx(0.5 / (1 + math.exp(-3 / epsilon)), abs=1e-12)


def test_the_cost_falls_to_the_optimal_assignments_as_epsilon_falls():
    """<P, C> >= the optimum, falls with epsilon, and is above by at most epsilon log n: the entropy between log n (a permutation) and 2 log n."""
    n = 40
    cost = cost_of(n)
    rows, columns = linear_sum_assignment(cost.numpy())
    optimum = float(cost[rows, columns].mean())
    before = math.inf
    for epsilon in (1.0, 0.3, 0.1, 0.03, 0.01):
        found = sinkhorn_plan(cost, epsilon, tolerance=1e-7, max_iterations=100_000)
        value = float((found.plan * cost).sum())
        assert optimum - 1e-4 < value < min(before, optimum + found.epsilon * math.log(n))
        before = value
    assert before < 1.005 * optimum


def test_a_large_epsilon_gives_the_independent_coupling():
    plan = sinkhorn_plan(cost_of(50), 1e4).plan
    assert (plan * 50**2 - 1).abs().max() < 1e-2


def test_the_logarithms_hold_where_exponentials_underflow():
    """Data far from the noise: rows of exp(-C / epsilon) are all zero in float64, so that plain Sinkhorn divides by nothing. A constant in the cost changes no plan."""
    cost = cost_of(40) + 1e4
    found = sinkhorn_plan(cost, 0.05)
    assert bool((torch.exp(-cost / found.epsilon) == 0).all())
    assert (found.plan.sum(0) - 1 / 40).abs().sum() < 1e-4
    assert (found.plan.sum(1) - 1 / 40).abs().sum() < 1e-4
    assert (found.plan - sinkhorn_plan(cost - 1e4, 0.05).plan).abs().max() < 1e-9


@pytest.mark.parametrize("n", [1, 5])
def test_equal_costs_give_the_uniform_plan(n):
    assert torch.allclose(sinkhorn_plan(torch.full((n, n), 2.0)).plan, torch.full((n, n), 1 / n**2, dtype=torch.float64))


@pytest.mark.parametrize(("epsilon", "iterations"), [(0.05, 2), (1e-6, 200)])
def test_a_plan_without_its_marginals_is_refused_not_returned(epsilon, iterations):
    with pytest.raises(NotConverged, match=f"after {iterations} iterations .*raise max_iterations or epsilon, or use BatchOT") as caught:
        sinkhorn_plan(cost_of(40), epsilon, max_iterations=iterations)
    assert isinstance(caught.value, RuntimeError)
    assert caught.value.iterations == iterations
    assert 1e-4 < caught.value.marginal_error <= 2
    x_0, x_1, _ = batch(40)
    with pytest.raises(NotConverged):
        Sinkhorn(epsilon, max_iterations=iterations)(x_0, x_1, generator=generator())


def test_the_marginal_error_is_that_of_the_plan():
    found = sinkhorn_plan(cost_of(40), 0.05, tolerance=1e-2)
    assert found.marginal_error == pytest.approx(float((found.plan.sum(0) - 1 / 40).abs().sum()), abs=1e-12)
    assert 1e-6 < found.marginal_error <= 1e-2
    with pytest.raises(NotConverged, match=f"misses its marginals by {found.marginal_error:.1g}"):
        sinkhorn_plan(cost_of(40), 0.05, tolerance=1e-9, max_iterations=found.iterations)


def test_pairs_are_drawn_from_the_plan_and_noises_used_once_in_expectation():
    """Over 1,500 batches each pair of datum i and noise j occurs n P_ij of the time, to five standard errors; so does each noise, once a batch."""
    n, rounds = 6, 1500
    x_0, x_1, condition = batch(n)
    coupling = Sinkhorn(0.5, tolerance=1e-6)
    chance = n * coupling.plan(x_0, x_1).plan
    counts, g = torch.zeros(n, n, dtype=torch.float64), generator(1)
    for _ in range(rounds):
        counts[torch.arange(n), coupling(x_0, x_1, condition, g).index] += 1
    pairs = coupling(x_0, x_1, condition, g)
    assert torch.equal(pairs.x_1, x_1)
    assert torch.equal(pairs.x_0, x_0[pairs.index])
    assert pairs.condition is condition
    deviation = (counts / rounds - chance) / (chance * (1 - chance) / rounds).sqrt()
    assert deviation.abs().max() < 5
    used = counts.sum(0) / rounds
    assert ((used - 1) / ((chance * (1 - chance)).sum(0) / rounds).sqrt()).abs().max() < 5


def test_draws_follow_the_generator_alone():
    x_0, x_1, _ = batch(50)
    first, again, other = (Sinkhorn(0.5)(x_0, x_1, generator=generator(seed)).index for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with pytest.raises(ValueError, match="needs generator="):
        Sinkhorn()(x_0, x_1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"epsilon": 0.0}, "epsilon=0.0 must be positive"),
        ({"epsilon": -1.0}, "epsilon"),
        ({"epsilon": 1.0, "tolerance": 0.0}, "tolerance"),
        ({"epsilon": 1.0, "max_iterations": 0}, "max_iterations"),
    ],
)
def test_what_sinkhorn_cannot_do_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        sinkhorn_plan(cost_of(4), **arguments)
    with pytest.raises(ValueError, match="finite"):
        sinkhorn_plan(torch.full((3, 3), torch.nan))


# Semidiscrete


@pytest.fixture(scope="module")
def fitted() -> tuple[Semidiscrete, Semidiscrete, torch.Tensor]:
    """Forty points in four classes: fitted blind, fitted per class, and the classes."""
    _, data, classes = batch(40, seed=5)
    return (
        Semidiscrete.fit(data, generator=generator(), steps=4000),
        Semidiscrete.fit(data, classes=classes, generator=generator(), steps=2000),
        classes,
    )


def test_two_symmetric_points_share_the_plane_by_its_middle():
    """Data +-a: equal potentials. The cells' border is x = (g_- - g_+) / (4 a); a million draws place it to .0013, the mean cost is 2 + a^2 - 2 a sqrt(2 / pi)."""
    a = 3.0
    coupling = Semidiscrete.fit(torch.tensor([[a, 0.0], [-a, 0.0]], dtype=torch.float64), generator=generator(), steps=2000)
    border = float(coupling.potentials[1] - coupling.potentials[0]) / (4 * a)
    assert abs(border) < 0.01
    x_0 = torch.randn(20_000, 2, dtype=torch.float64, generator=generator(1))
    costs = (coupling(x_0).x_1 - x_0).square().sum(1)
    assert abs(float(costs.mean()) - (2 + a**2 - 2 * a * math.sqrt(2 / math.pi))) < 4 * float(costs.std()) / math.sqrt(20_000)


def test_on_the_line_the_cells_end_at_the_quantiles():
    """The monotone map: the k-th of n sorted data has the noises between the quantiles k / n and (k + 1) / n, wherever the data are and however unequal."""
    n = 8
    data = 2 + 5 * torch.randn(n, 1, dtype=torch.float64, generator=generator(3)).exp()
    coupling = Semidiscrete.fit(data, generator=generator())
    y, order = data[:, 0].sort()
    heights = y.square() - coupling.potentials[order]
    borders = heights.diff() / (2 * y.diff())
    wanted = torch.from_numpy(norm.ppf([k / n for k in range(1, n)]))
    assert abs(float(coupling.potentials.mean())) < 1e-9
    assert (borders - wanted).abs().max() < 0.05
    x_0 = torch.linspace(-2.5, 2.5, 1001, dtype=torch.float64)[:, None]
    ranks = torch.empty_like(order).scatter_(0, order, torch.arange(n))[coupling.choose(x_0)]
    right = ranks == torch.searchsorted(wanted, x_0[:, 0].contiguous())
    assert right.double().mean() > 0.97


def test_fitted_potentials_hit_all_data_evenly_and_zero_ones_do_not(fitted):
    """chi^2 below .05, where SD-FM stops; nearest datum without potentials: far above."""
    blind, _, _ = fitted
    assert blind.chi_squared(20_000, generator=generator(1))[0] < 0.05
    untaught = Semidiscrete(blind.data, torch.zeros(40, dtype=torch.float64))
    assert untaught.chi_squared(20_000, generator=generator(1))[0] > 1


def test_the_potentials_are_optimal_by_duality(fitted):
    """On any sample of noises, mean_i min_j (|x_i - y_j|^2 - g_j) + mean g <= the exact optimal cost (POT's network simplex): never above, and within 1 % of it.

    What the pairs cost differs from that optimum only as hits differ from even.
    """
    blind, _, _ = fitted
    x_0 = torch.randn(4000, 2, dtype=torch.float64, generator=generator(2))
    cost = squared_cost(x_0, blind.data)
    dual = float((cost - blind.potentials).min(1).values.mean() + blind.potentials.mean())
    noises, data = (torch.full((k,), 1 / k, dtype=torch.float64) for k in (4000, 40))
    found: Any = ot.emd2(noises, data, cost, numItermax=10_000_000)
    exact = float(found)
    assert 0.99 * exact < dual <= exact + 1e-9
    pairs = blind(x_0)
    assert abs(float((pairs.x_1 - pairs.x_0).square().sum(1).mean()) / exact - 1) < 0.03
    assert float(cost.mean()) > 1.3 * exact


def test_noises_keep_their_order_and_data_are_chosen_from_the_fitted(fitted):
    """So the noise's law is exact by construction, and x_0 = the given x_0[index] here too."""
    blind, per_class, classes = fitted
    x_0, x_1, _ = batch(100, seed=9)
    pairs = blind(x_0, x_1)
    assert torch.equal(pairs.index, torch.arange(100))
    assert torch.equal(pairs.x_0, x_0)
    assert torch.equal(pairs.x_1, blind.data[blind.choose(x_0)])
    condition = torch.randint(4, (100,), generator=generator(1))
    chosen = per_class.choose(x_0, condition)
    assert torch.equal(classes[chosen], condition)
    assert per_class(x_0, None, condition).condition is condition
    assert torch.equal(per_class(x_0, x_1, condition).x_1, per_class.data[chosen])


def test_per_class_potentials_keep_the_prior_in_every_class_and_blind_ones_do_not(fitted):
    """The class is guessed from the noise by the nearest class mean: within four standard errors of chance per class, above 80 % blind. Every class is hit evenly."""
    blind, per_class, classes = fitted
    x_0 = torch.randn(8000, 2, dtype=torch.float64, generator=generator(3))
    given = torch.randint(4, (8000,), generator=generator(4))

    def accuracy(labels: torch.Tensor) -> float:
        means = torch.stack([x_0[:4000][labels[:4000] == c].mean(0) for c in range(4)])
        return float((torch.cdist(x_0[4000:], means).argmin(1) == labels[4000:]).double().mean())

    assert abs(accuracy(classes[per_class.choose(x_0, given)]) - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 4000)
    assert accuracy(classes[blind.choose(x_0)]) > 0.8
    found = per_class.chi_squared(10_000, generator=generator(5))
    assert found.shape == (4,)
    assert found.max() < 0.05


def test_potentials_belong_to_the_prior_they_were_fitted_to():
    """A class-conditional prior moved to its class: even hits under it, uneven ones under N(0, I)."""
    _, data, classes = batch(40, seed=6)
    means = torch.stack([data[classes == c].mean(0) for c in range(4)])

    def prior(z: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
        assert condition is not None
        return 0.3 * z + means[condition]

    coupling = Semidiscrete.fit(data, classes=classes, prior=prior, generator=generator(), steps=2000)
    assert coupling.chi_squared(10_000, prior=prior, generator=generator(1)).max() < 0.05
    assert coupling.chi_squared(10_000, generator=generator(1)).min() > 0.2


def test_unevenness_is_told_class_by_class_in_rising_order():
    """Three data of which one takes all: 3 - 1. Two data that share the line at its middle: 0. Two with the border at 1: 2 (p^2 + q^2) - 1 with p = Phi(1)."""
    data = torch.tensor([[0.0], [0.0], [0.0], [-1.0], [1.0], [0.0], [2.0]], dtype=torch.float64)
    potentials = torch.tensor([9.0, 0, 0, 0, 0, 0, 0], dtype=torch.float64)
    found = Semidiscrete(data, potentials, torch.tensor([5, 5, 5, 7, 7, 2, 2])).chi_squared(20_000, generator=generator())
    p = float(norm.cdf(1))
    assert found.tolist() == pytest.approx([2 * (p**2 + (1 - p) ** 2) - 1, 2, 0], abs=0.02)


def test_images_are_paired_as_vectors_and_one_datum_takes_all():
    data = torch.randn(3, 2, 4, 4, generator=generator())
    coupling = Semidiscrete.fit(data, generator=generator(), steps=40)
    x_0 = torch.randn(5, 2, 4, 4, generator=generator(1))
    assert coupling(x_0).x_1.shape == x_0.shape
    flat = Semidiscrete(data.flatten(1), coupling.potentials)
    assert torch.equal(coupling.choose(x_0), flat.choose(x_0.flatten(1)))
    assert torch.equal(Semidiscrete.fit(data[:1], generator=generator()).choose(x_0), torch.zeros(5, dtype=torch.int64))


def test_chi_squared_estimates_the_unevenness_without_bias():
    """Multinomial hits: the mean of 4,000 estimates from 50 draws is n sum p^2 - 1 to four standard errors. Extremes: all on one, n - 1; each once, -1."""
    p = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=torch.float64)
    draws = torch.multinomial(p.expand(4000, 4), 50, replacement=True, generator=generator())
    found = torch.tensor([chi_squared(torch.bincount(row, minlength=4)) for row in draws], dtype=torch.float64)
    assert abs(found.mean() - (4 * p.square().sum() - 1)) < 4 * found.std() / math.sqrt(4000)
    assert chi_squared(torch.tensor([9, 0, 0])) == pytest.approx(2)
    assert chi_squared(torch.ones(5, dtype=torch.int64)) == pytest.approx(-1)
    with pytest.raises(ValueError, match="at least two"):
        chi_squared(torch.tensor([1, 0]))


def test_what_a_semidiscrete_coupling_cannot_pair_is_refused(fitted):
    blind, per_class, _ = fitted
    x_0 = torch.zeros(3, 2, dtype=torch.float64)
    with pytest.raises(ValueError, match="needs condition="):
        per_class(x_0)
    with pytest.raises(ValueError, match="blind"):
        blind(x_0, None, torch.tensor([0, 1, 2]))
    with pytest.raises(ValueError, match="condition=7 is not among"):
        per_class(x_0, None, torch.tensor([0, 1, 7]))
    with pytest.raises(ValueError, match="same shape"):
        blind(x_0, x_0[:2])
    for pair in (per_class, lambda x_0, _, c: per_class.choose(x_0, c)):
        with pytest.raises(ValueError, match="condition has 2"):
            pair(x_0, None, torch.tensor([0, 1]))
    with pytest.raises(ValueError, match=r"points of shape \(3,\)"):
        blind(torch.zeros(3, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match="classes has 2"):
        Semidiscrete.fit(x_0, classes=torch.tensor([0, 1]), generator=generator())
    with pytest.raises(ValueError, match="finite"):
        Semidiscrete.fit(torch.full((3, 2), torch.nan), generator=generator())
    with pytest.raises(ValueError, match="steps=9"):
        Semidiscrete.fit(x_0, generator=generator(), steps=9)


# Stored pairs


def shifted(z: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
    assert condition is not None
    return z + condition.to(z.dtype)[:, None]


def test_stored_pairs_come_back_as_stored():
    x_0, x_1, condition = batch(20)
    pairs = StoredPairs(x_0, x_1, condition)
    rows = torch.tensor([7, 0, 19, 7])
    found = pairs.batch(rows)
    assert len(pairs) == 20
    assert found.condition is not None
    for got, stored in ((found.x_0, x_0), (found.x_1, x_1), (found.condition, condition)):
        assert torch.equal(got, stored[rows])
    assert torch.equal(found.index, rows)
    assert StoredPairs(x_0, x_1).batch(rows).condition is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_noise_is_kept_as_numbers_of_the_counter(dtype):
    """What the counter gave the model comes back bit by bit, in any batch, through the prior with the row's condition."""
    seed, index = 2**63 + 11, torch.tensor([5, 2**33, 0, 9])
    x_1, condition = torch.randn(4, 3, dtype=dtype, generator=generator()), torch.tensor([0, 1, 2, 1])
    made = normals(seed, index, 3, 6, dtype)
    plain = StoredPairs(SeededNoise(seed, index, 6), x_1, condition)
    assert torch.equal(plain.batch(torch.arange(4)).x_0, made)
    rows = torch.tensor([3, 1])
    moved = StoredPairs(SeededNoise(seed, index, 6, shifted), x_1, condition).batch(rows)
    assert torch.equal(moved.x_0, shifted(made, condition)[rows])


def test_samples_stored_in_half_precision_have_noise_in_float32():
    pairs = StoredPairs(SeededNoise(0, torch.arange(3)), torch.ones(3, 1, 2, 2, dtype=torch.float16))
    found = pairs.batch(torch.tensor([2, 1]))
    assert found.x_1.dtype == torch.float16
    assert torch.equal(found.x_0, normals(0, torch.tensor([2, 1]), 4, 0, torch.float32).reshape(2, 1, 2, 2))


def test_an_epoch_serves_every_pair_once_in_an_order_of_its_own():
    x_0, x_1, _ = batch(50)
    pairs = StoredPairs(x_0, x_1)
    epochs = [pairs.batches(16, epoch=e, seed=0) for e in (0, 1)]
    assert [len(rows) for rows in epochs[0]] == [16, 16, 16, 2]
    for parts in epochs:
        assert torch.equal(torch.cat(parts).sort().values, torch.arange(50))
    assert not torch.equal(torch.cat(epochs[0]), torch.cat(epochs[1]))
    assert torch.equal(torch.cat(epochs[0]), torch.cat(pairs.batches(7, epoch=0, seed=0)))
    assert not torch.equal(torch.cat(epochs[0]), torch.cat(pairs.batches(16, epoch=0, seed=1)))


@pytest.mark.parametrize("seeded", [False, True])
@pytest.mark.parametrize("conditional", [False, True])
def test_a_state_of_plain_tensors_restores_the_pairs(seeded, conditional, tmp_path):
    x_0, x_1, condition = batch(10)
    noise = SeededNoise(2**64 - 1, torch.arange(10) + 2**32, 2**32 - 1, shifted if conditional else None) if seeded else x_0
    pairs = StoredPairs(noise, x_1, condition if conditional else None)
    torch.save(pairs.state(), tmp_path / "pairs.pt")
    again = StoredPairs.from_state(torch.load(tmp_path / "pairs.pt", weights_only=True), shifted if seeded and conditional else None)
    rows = torch.tensor([4, 9, 0])
    before, after = pairs.batch(rows), again.batch(rows)
    assert torch.equal(before.x_0, after.x_0)
    assert torch.equal(before.x_1, after.x_1)
    if conditional:
        assert before.condition is not None
        assert after.condition is not None
        assert torch.equal(before.condition, after.condition)
    else:
        assert after.condition is None


def test_pairs_that_do_not_fit_are_refused():
    x = torch.zeros(4, 2)
    with pytest.raises(ValueError, match="same shape"):
        StoredPairs(torch.zeros(4, 3), x)
    with pytest.raises(ValueError, match="index has 3"):
        StoredPairs(SeededNoise(0, torch.arange(3)), x)
    with pytest.raises(ValueError, match="condition has 5"):
        StoredPairs(x, x, torch.arange(5))
    with pytest.raises(ValueError, match="floating-point"):
        StoredPairs(x, x.byte())
    with pytest.raises(ValueError, match="no sample"):
        StoredPairs(x[:0], x[:0])
    pairs = StoredPairs(x, x)
    with pytest.raises(ValueError, match="0 to 3"):
        pairs.batch(torch.tensor([-1, 2]))
    with pytest.raises(ValueError, match="size=0"):
        pairs.batches(0, epoch=0, seed=0)
    with pytest.raises(ValueError, match="epoch=-1"):
        pairs.batches(1, epoch=-1, seed=0)
    with pytest.raises(ValueError, match="version 1"):
        StoredPairs.from_state({"x_1": x})
    with pytest.raises(ValueError, match="must have x_1"):
        StoredPairs.from_state({"version": torch.tensor(1), "x_1": x, "noise": torch.zeros(3)})


def test_semidiscrete_chooses_alike_far_from_the_origin_in_single_precision():
    g = torch.Generator().manual_seed(41)
    data, noise = (torch.randn(n, 2, generator=g, dtype=torch.float64) for n in (64, 500))
    near = Semidiscrete(data, torch.zeros(64, dtype=torch.float64)).choose(noise)
    far = Semidiscrete((data + 1024).float(), torch.zeros(64)).choose((noise + 1024).float())
    assert float((near == far).double().mean()) > 0.98  # but for the rounding of the points themselves, 6e-5


def test_on_the_line_single_numbers_are_data_too():
    data, x_0 = torch.tensor([-1.0, 0.0, 2.0]), torch.tensor([-3.0, 0.1, 5.0])
    line, plane = (Semidiscrete.fit(d, generator=generator(), steps=10, batch=8) for d in (data, data[:, None]))
    assert torch.equal(line.potentials, plane.potentials)
    assert torch.equal(line.choose(x_0), plane.choose(x_0[:, None]))
    assert torch.equal(line.chi_squared(50, generator=generator(1)), plane.chi_squared(50, generator=generator(1)))
    for draw in (Sinkhorn(), line):
        assert draw(x_0, data, generator=generator()).x_1.shape == (3,)


@pytest.mark.usefixtures("unchecked")
def test_semidiscrete_refuses_pixels_and_nan():
    with pytest.raises(ValueError, match=r"data is torch.uint8.*data.float\(\)"):
        Semidiscrete.fit(torch.zeros(4, 2, dtype=torch.uint8), generator=generator())
    coupling = Semidiscrete(torch.eye(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64))
    with pytest.raises(ValueError, match="x_0 must be finite"):
        coupling.choose(torch.full((1, 2), math.nan, dtype=torch.float64))
