"""Measures against closed forms: straight flows, matched Gaussians, errors whose size is known, and another project's field."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import linear_sum_assignment

from lab import measures
from lab.distances import (
    frechet_distance,
    kernel_distance,
    mmd2,
    one_nn_accuracy,
    precision_recall,
    sample_frechet_distance,
    sliced_wasserstein2,
    wasserstein2,
)
from lab.paths import CondOT, VarianceExploding, VariancePreserving
from lab.reference import errors_against_exact, global_error, graded, reference, refined
from lab.solvers import solve


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def straight(x, t, condition=None):
    """Every particle moves along (3, -1, ...) at constant speed."""
    return torch.ones_like(x) * 3.0


def decay(x, t, condition=None):
    return -x


def in_and_out(x, t, condition=None):
    """The marginal field between two N(0, I) on CondOT: u = (2 t - 1) x / ((1 - t)^2 + t^2)."""
    s = t.reshape(-1, *[1] * (x.ndim - 1))
    return (2 * s - 1) * x / ((1 - s) ** 2 + s**2)


@pytest.mark.parametrize("shape", [(20, 2), (5, 3, 4, 4)])
def test_a_straight_flow_has_no_error_no_bending_and_no_acceleration(shape):
    x_0 = normal(*shape)
    exact = reference(straight, x_0)
    assert measures.straightness(exact.trajectory, straight).abs().max() < 1e-10
    assert abs(measures.acceleration(exact.trajectory, straight)) < 1e-10
    efficiency = measures.path_efficiency(exact.trajectory)
    assert efficiency is not None
    assert abs(efficiency - 1) < 1e-12
    dimension = x_0[0].numel()
    assert abs(measures.transport_cost(x_0, exact.trajectory.end) - 9 * dimension) < 1e-9
    error = global_error(solve(straight, x_0, method="euler", nfe=1).end, exact)
    assert error.max < 1e-12


def test_matched_gaussians_have_their_closed_form_straightness_and_length():
    """x(t) = x_0 s(t) with s^2 = (1-t)^2 + t^2: no net move, length 2 (1 - 1/sqrt 2)|x_0|, straightness |x_0|^2 times the integral of s'^2 = 2 - pi/2."""
    x_0 = normal(30, 2)
    flow = reference(in_and_out, x_0, steps=2048).trajectory
    squared = x_0.square().sum(1)
    assert ((measures.straightness(flow, in_and_out) - squared * (2 - math.pi / 2)).abs() / squared).max() < 1e-5
    length = flow.x.diff(dim=0).norm(dim=-1).sum(0)
    assert ((length / x_0.norm(dim=1)) - (2 - math.sqrt(2))).abs().max() < 1e-5
    assert measures.path_efficiency(flow, spread=1.0) is None
    # s'' = 1 / s^3, so the acceleration is E|x_0|^2 times the integral of s^-6 dt = 2 + 3 pi / 4.
    assert measures.acceleration(flow, in_and_out) == pytest.approx(float(squared.mean()) * (2 + 0.75 * math.pi), rel=1e-4)


OMEGA = 2.0


def rotation(x, t, condition=None):
    """dx/dt = omega J x: circles about the origin at constant speed."""
    return OMEGA * torch.stack((-x[:, 1], x[:, 0]), dim=1)


@pytest.mark.parametrize("shape", [(30, 2), (10, 2, 3)])
def test_a_rotation_has_its_closed_form_bending_acceleration_and_efficiency(shape):
    """An arc of angle w = 2: chord 2 sin(w/2)|x|, length w |x|, |du/dt| = w^2 |x|, and the integral of |u - chord|^2 is w^2 |x|^2 - chord^2."""
    x_0 = normal(*shape)
    squared = x_0.flatten(1).square().sum(1)
    flow = reference(rotation, x_0, steps=1024).trajectory
    chord = 2 * math.sin(OMEGA / 2)
    bending = measures.straightness(flow, rotation)
    torch.testing.assert_close(bending, (OMEGA**2 - chord**2) * squared, rtol=1e-5, atol=0)
    assert measures.acceleration(flow, rotation) == pytest.approx(OMEGA**4 * float(squared.mean()), rel=1e-5)
    middles, along = measures.acceleration_along(flow, rotation)
    torch.testing.assert_close(along, torch.full_like(along, OMEGA**4 * float(squared.mean())), rtol=1e-5, atol=0)
    assert float(middles[0]) == pytest.approx(0.5 / 1024)
    assert measures.path_efficiency(flow) == pytest.approx(chord / OMEGA, rel=1e-5)
    assert measures.transport_cost(x_0, flow.end) == pytest.approx(chord**2 * float(squared.mean()), rel=1e-9)
    back = solve(rotation, flow.end, method="rk4", grid=flow.t.flip(0))  # the same curve the other way round
    torch.testing.assert_close(measures.straightness(back, rotation), bending, rtol=1e-6, atol=0)
    assert measures.acceleration(back, rotation) == pytest.approx(measures.acceleration(flow, rotation), rel=1e-6)


def test_acceleration_is_what_eulers_error_follows():
    """Euler's global error on a field of constant acceleration a, u = u_0 + a t: the whole of it is |a| h / 2 at the end, and acceleration is |a|^2."""
    a = torch.tensor([3.0, -4.0], dtype=torch.float64)

    def falling(x, t, condition=None):
        return a * t[:, None] + 0 * x

    x_0 = normal(20, 2)
    exact = reference(falling, x_0)
    assert measures.acceleration(exact.trajectory, falling) == pytest.approx(25, rel=1e-12)
    assert float(measures.straightness(exact.trajectory, falling).max()) == pytest.approx(25 / 12, rel=1e-3)  # |a|^2 var(t), trapezoidal
    for steps in (1, 4, 10):
        error = global_error(solve(falling, x_0, method="euler", nfe=steps).end, exact)
        assert (error.rmse, error.median, error.max) == pytest.approx((2.5 / steps,) * 3, rel=1e-9)


def test_path_efficiency_is_not_shown_below_a_twentieth_of_the_spread():
    """The straight flow moves by 3 sqrt 2 = 4.243: shown up to a spread of 84.85."""
    flow = reference(straight, normal(10, 2)).trajectory
    assert measures.path_efficiency(flow, spread=84.8) == pytest.approx(1)
    assert measures.path_efficiency(flow, spread=84.9) is None
    assert measures.path_efficiency(reference(lambda x, t, condition=None: 0 * x, normal(10, 2)).trajectory) is None


def test_costs_of_coupling_and_flow_differ():
    """Two independent N(0, I): E|x_1 - x_0|^2 = 2 d = 4 (variance 8 d = 16, four standard errors), and the flow moves nothing in the end."""
    x_0, x_1 = normal(4000, 2), normal(4000, 2, seed=1)
    assert abs(measures.transport_cost(x_0, x_1) - 4) < 4 * math.sqrt(16 / 4000)
    assert measures.transport_cost(x_0[:50], reference(in_and_out, x_0[:50], steps=256).trajectory.end) < 1e-9


def test_global_error_of_euler_on_decay_is_known():
    """(1 - 1/n)^n x_0 against x_0 / e."""
    x_0 = normal(100, 2)
    exact = reference(decay, x_0, steps=256)
    error = global_error(solve(decay, x_0, method="euler", nfe=4).end, exact)
    gap = (1 / math.e - 0.75**4) * x_0.norm(dim=1)
    assert abs(error.rmse - float(gap.square().mean().sqrt())) < 1e-8
    assert abs(error.median - float(gap.quantile(0.5))) < 1e-8
    assert abs(error.max - float(gap.max())) < 1e-8
    assert error.reference_error < 1e-8


def test_the_reference_is_refined_until_it_is_good_enough_and_its_error_is_bounded_by_what_it_says():
    x_0 = normal(50, 2)
    rough = reference(in_and_out, x_0, steps=4)
    near = x_0 + 1e-8  # an end point that is off by 1.4e-8, for the flow map is the identity
    fine, (far, close) = errors_against_exact(in_and_out, x_0, [x_0 + 1, near])
    assert reference(in_and_out, x_0).error > 1e-8 / 10  # so that there was something to refine
    assert fine.error <= close.rmse / 10
    assert close.rmse == pytest.approx(2**0.5 * 1e-8, rel=0.1)
    assert far.rmse == pytest.approx(2**0.5, rel=1e-6)
    assert far.reference_error == close.reference_error == fine.error
    true = (rough.trajectory.end - x_0).norm(dim=1)  # the flow map is the identity
    assert float(true.square().mean().sqrt()) <= rough.error


def test_the_reference_passes_through_the_solvers_times_also_in_vps_angle():
    path = VariancePreserving()
    times = torch.tensor([0.0, 0.31, 0.9, path.last_time], dtype=torch.float64)
    fine = refined(times, 64, path)
    assert (fine.diff() > 0).all()
    assert all((fine == t).any() for t in times)
    assert len(fine) % 2 == 1
    exact = reference(decay, normal(3, 2), times=times, path=path, steps=512)
    assert (exact.at(times)[1] - normal(3, 2) * math.exp(-0.31)).abs().max() < 1e-6
    with pytest.raises(ValueError, match="not on the reference's grid"):
        exact.at(torch.tensor([0.123456]))


@pytest.mark.parametrize("method", ["euler", "heun", "rk4", "ab2", "ddim"])
def test_local_errors_of_decay_are_the_taylor_remainders(method):
    """One step of size h from e^-t: exact is e^-h; Euler's (and ddim's) factor is 1 - h, Heun's 1 - h + h^2/2, RK4's four terms; ab2 uses the exact slope before."""
    x_0, times = normal(40, 2), torch.linspace(0, 1, 5, dtype=torch.float64)
    exact = reference(decay, x_0, times=times, steps=512)
    local = measures.local_error(decay, exact, times, method)
    h = 0.25
    factor = {
        "euler": 1 - h,
        "ddim": 1 - h,
        "heun": 1 - h + h**2 / 2,
        "rk4": 1 - h + h**2 / 2 - h**3 / 6 + h**4 / 24,
        "ab2": 1 - 1.5 * h + 0.5 * h * math.exp(h),
    }[method]
    lengths = x_0.norm(dim=1)
    for k in range(4):
        rate = abs((1 - h if method == "ab2" and k == 0 else factor) - math.exp(-h)) * math.exp(-0.25 * k)
        assert abs(float(local.rmse[k]) - rate * float(lengths.square().mean().sqrt())) < 1e-9
        assert abs(float(local.median[k]) - rate * float(lengths.quantile(0.5))) < 1e-9


def test_the_ladder_fits_the_order_only_where_it_is_clean():
    x_0 = normal(50, 2)
    euler, heun = (measures.nfe_ladder(decay, x_0, m) for m in ("euler", "heun"))
    assert euler.nfe == measures.NFE_LADDER
    assert heun.nfe == tuple(n for n in measures.NFE_LADDER if n % 2 == 0)
    assert euler.order is not None
    assert heun.order is not None
    assert abs(euler.order - 1) < 0.2
    assert abs(heun.order - 2) < 0.2
    assert measures.fitted_order((1, 2, 4, 8), (1.0, 0.9, 0.2, 0.19), 0.0) is None  # slopes that jump
    bent = [2.0 ** -(k + 0.15 * k * (k - 1) / 2) for k in range(4)]  # slopes 1, 1.15, 1.3
    assert measures.fitted_order((1, 2, 4, 8), bent, 0.0) is None
    straighter = [2.0 ** -(k + 0.09 * k * (k - 1) / 2) for k in range(4)]  # slopes 1, 1.09, 1.18
    assert measures.fitted_order((1, 2, 4, 8), straighter, 0.0) == pytest.approx(1.09)
    assert measures.fitted_order((1, 2, 4, 8), (1.0, 0.5, 0.25, 0.125), 0.05) is None  # near the reference's own error
    assert measures.fitted_order((1, 2, 4, 8), (1.0, 0.5, 0.25, 0.125), 0.001) == pytest.approx(1)


def test_too_coarse_a_trajectory_is_refused():
    run = solve(decay, normal(3, 2), method="euler", nfe=1)
    for measure in (measures.straightness, measures.acceleration):
        with pytest.raises(ValueError, match="at least three times"):
            measure(run, decay)


def test_another_projects_field_is_measured():
    """The example of the README: any module with velocity(x, t, condition), here a network of somebody else's, images and all."""

    class Theirs(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.layers = torch.nn.Sequential(torch.nn.Linear(13, 32), torch.nn.Tanh(), torch.nn.Linear(32, 12)).double()

        def forward(self, x, t, condition=None):
            return self.layers(torch.cat((x.flatten(1), t[:, None]), dim=1)).view_as(x)

    measured = measures.measure(Theirs(), normal(64, 3, 2, 2), method="heun", nfe=8)
    assert measured.nfe == 8
    assert measured.global_error.reference_error <= max(0.1 * measured.global_error.rmse, 1e-10)
    assert measured.ladder.order is not None
    assert abs(measured.ladder.order - 2) < 0.2
    assert measured.straightness > 0
    assert "global truncation error" in str(measured)


def test_w2_is_scipys_assignment_and_zero_for_a_shuffle():
    for n in (20, 300):
        x, y = normal(n, 2), 2 + normal(n, 2, seed=1)
        cost = (x[:, None] - y[None]).square().sum(-1).numpy()
        rows, columns = linear_sum_assignment(cost)
        assert abs(wasserstein2(x, y) - math.sqrt(cost[rows, columns].mean())) < 1e-9
        assert wasserstein2(x, x[torch.randperm(n, generator=torch.Generator().manual_seed(2))]) < 1e-9
    with pytest.raises(ValueError, match="same size"):
        wasserstein2(normal(3, 2), normal(4, 2))
    with pytest.raises(ValueError, match="finite"):
        wasserstein2(torch.full((3, 2), math.nan), normal(3, 2))


def test_sliced_w2_of_a_shift_is_the_root_of_the_mean_square_projection():
    """Shift by v in d dimensions: E (v.w)^2 = |v|^2 / d; 4,000 directions, within five standard errors."""
    x, shift = normal(200, 5), torch.tensor([3.0, 0, 0, 0, 0], dtype=torch.float64)
    found = sliced_wasserstein2(x, x + shift, 4000, generator=torch.Generator().manual_seed(0)) ** 2
    # (v.w)^2 / |v|^2 is Beta(1/2, 2): mean 1/5, variance 2 (d - 1) / (d^2 (d + 2))
    standard_error = 9 * math.sqrt(2 * 4 / (25 * 7) / 4000)
    assert abs(found - 9 / 5) < 5 * standard_error
    drawn = [sliced_wasserstein2(x, x + shift, 50, generator=torch.Generator().manual_seed(s)) ** 2 for s in range(400)]
    assert np.std(drawn) == pytest.approx(9 * math.sqrt(2 * 4 / (25 * 7) / 50), rel=0.15)  # the spread is that of so many directions
    with pytest.raises(ValueError, match="projections=0"):
        sliced_wasserstein2(x, x, 0, generator=torch.Generator())


def test_frechet_distance_has_its_closed_forms():
    a, b = normal(3, 3), normal(3, 3, seed=1)
    diagonal = [torch.tensor(v, dtype=torch.float64) for v in ([1.0, 4.0, 0.0], [9.0, 1.0, 2.0])]
    mean = torch.zeros(3, dtype=torch.float64)
    expected = float((diagonal[0].sqrt() - diagonal[1].sqrt()).square().sum()) + 3
    assert abs(frechet_distance(mean, torch.diag(diagonal[0]), mean + 1, torch.diag(diagonal[1])) - expected) < 1e-6
    s_a, s_b = a @ a.T, b @ b.T
    from scipy.linalg import sqrtm

    truth = float((s_a + s_b).trace()) - 2 * np.trace(np.real(sqrtm((s_a @ s_b).numpy())))
    assert abs(frechet_distance(mean, s_a, mean, s_b) - truth) < 1e-6
    assert abs(frechet_distance(mean, s_a, mean, s_a)) < 1e-6
    x = normal(500, 3)
    assert abs(sample_frechet_distance(x, x + 2) - 12) < 1e-6


def test_kernel_distance_is_unbiased():
    """Mean over 200 pairs of equal laws within four standard errors of zero; the biased (V-statistic) form would be off by more than ten."""
    values = torch.tensor([kernel_distance(normal(30, 4, seed=2 * i), normal(30, 4, seed=2 * i + 1)) for i in range(200)])
    standard_error = float(values.std()) / math.sqrt(200)
    assert abs(float(values.mean())) < 4 * standard_error
    assert kernel_distance(normal(200, 4), 1 + normal(200, 4, seed=1)) > 10 * standard_error


def test_kernel_distance_of_two_gaussians_is_the_difference_of_their_moments():
    """In one dimension 3 (m_1 - m_1')^2 + 3 (m_2 - m_2')^2 + (m_3 - m_3')^2 of raw moments: N(0, 1), N(1, 1) have 0, 1, 0 and 1, 2, 4: 22."""
    values = torch.tensor([kernel_distance(normal(100, 1, seed=2 * i), 1 + normal(100, 1, seed=2 * i + 1)) for i in range(300)])
    assert abs(float(values.mean()) - 22) < 4 * float(values.std()) / math.sqrt(300)


def gaussian_mmd2(gap: float, variance_x: float, variance_y: float, bandwidth: float, dimension: int) -> float:
    """E k over N(0, a I), N(gap e_1, b I): (h^2 / (h^2 + a + b))^(d/2) exp(-gap^2 / (2 (h^2 + a + b))) for each of the three terms."""

    def term(total: float, distance: float) -> float:
        wide = bandwidth**2 + total
        return (bandwidth**2 / wide) ** (dimension / 2) * math.exp(-0.5 * distance**2 / wide)

    return term(2 * variance_x, 0) + term(2 * variance_y, 0) - 2 * term(variance_x + variance_y, gap)


@pytest.mark.parametrize(("gap", "std", "bandwidth"), [(0.0, 1.0, 1.0), (1.0, 1.0, 0.7), (0.0, 2.0, 1.5), (2.0, 0.5, 3.0)])
def test_mmd_of_two_gaussians_is_the_closed_form(gap, std, bandwidth):
    """Mean over 200 pairs of samples of 40 and 50 points in three dimensions, within four standard errors; biased, equal laws would be off by ten."""
    shift = torch.tensor([gap, 0, 0], dtype=torch.float64)
    found = torch.tensor([mmd2(normal(40, 3, seed=2 * i), shift + std * normal(50, 3, seed=2 * i + 1), bandwidth) for i in range(200)])
    truth = gaussian_mmd2(gap, 1, std**2, bandwidth, 3)
    assert abs(float(found.mean()) - truth) < 4 * float(found.std()) / math.sqrt(200)


def test_mmd_by_hand_and_far_from_the_origin():
    """x = {0, 1}, y = {0, 3} at bandwidth 1: k(0, 1) + k(0, 3) - (k(0, 0) + k(0, 3) + k(1, 0) + k(1, 3)) / 2; moving both changes nothing."""
    x, y = torch.tensor([[0.0], [1.0]], dtype=torch.float64), torch.tensor([[0.0], [3.0]], dtype=torch.float64)
    k = [math.exp(-0.5 * d**2) for d in range(4)]
    expected = k[1] + k[3] - 0.5 * (k[0] + k[3] + k[1] + k[2])
    assert mmd2(x, y, 1.0) == pytest.approx(expected, rel=1e-12)
    assert mmd2(x + 1e6, y + 1e6, 1.0) == pytest.approx(expected, rel=1e-9)
    for bandwidth in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="bandwidth"):
            mmd2(x, y, bandwidth)


def test_nearest_neighbour_accuracy():
    """Equal laws: 1/2 within four standard errors (n = 2,000, which are nearly independent); laws apart: 1; copies: 0."""
    x, y = normal(1000, 2), normal(1000, 2, seed=1)
    assert abs(one_nn_accuracy(x, y) - 0.5) < 4 * 0.5 / math.sqrt(2000) * 1.5
    assert one_nn_accuracy(x, x + 100) == 1
    assert one_nn_accuracy(x, x + 1e-9) == 0
    with pytest.raises(ValueError, match="equally many"):
        one_nn_accuracy(x, y[:5])


def test_nearest_neighbours_by_hand_with_ties_and_far_from_the_origin():
    """x = {0, 2}, y = {-2, 4}: both of x are as near to their own as to the other (a half each), both of y are nearer to x: 1/4."""
    x, y = torch.tensor([[0.0], [2.0]], dtype=torch.float64), torch.tensor([[-2.0], [4.0]], dtype=torch.float64)
    assert one_nn_accuracy(x, y) == 0.25
    assert one_nn_accuracy(x + 1e9, y + 1e9) == 0.25
    many, close = normal(300, 50), normal(300, 50, seed=1)
    assert one_nn_accuracy(many + 1e7, close + 1e7) == one_nn_accuracy(many, close)


def test_copies_tie_in_any_dimension():
    """Eight points, drawn with repetition: copies in both samples are ties, by brute force on whole numbers."""
    for d in (2, 64, 300):
        points = torch.randint(-9, 9, (8, d), generator=torch.Generator().manual_seed(d)).double() / 7 + 0.1
        x, y = (points[torch.randint(8, (50,), generator=torch.Generator().manual_seed(s))] for s in (1, 2))
        both = torch.cat((x, y)).numpy()
        apart = ((both[:, None] - both[None]) ** 2).sum(-1) + np.diag([np.inf] * 100)
        inner = np.concatenate((apart[:50, :50].min(1), apart[50:, 50:].min(1)))
        outer = np.concatenate((apart[:50, 50:].min(1), apart[50:, :50].min(1)))
        assert one_nn_accuracy(x, y) == ((inner < outer) + 0.5 * (inner == outer)).mean()


def test_precision_and_recall_by_hand():
    """real {0, 1, 2, 10}, radii to the nearest 1, 1, 1, 8; generated {1.5, 30, 31, 40}, radii 28.5, 1, 1, 9. 1.5 alone is inside; its own ball holds all real points."""
    real, generated = (torch.tensor(v, dtype=torch.float64)[:, None] for v in ([0.0, 1, 2, 10], [1.5, 30, 31, 40]))
    for offset in (0.0, 1e8):
        found = precision_recall(real + offset, generated + offset, neighbours=1)
        assert (found.precision, found.recall) == (0.25, 1.0)
    assert precision_recall(generated, real, neighbours=1).recall == 0.25
    with pytest.raises(ValueError, match="at least 5"):
        precision_recall(real, generated, neighbours=4)
    with pytest.raises(ValueError, match="neighbours=0"):
        precision_recall(real, generated, neighbours=0)


def test_precision_and_recall():
    """Generated points in one of two real clusters: all precise, half recalled; far points: neither."""
    left, right = normal(300, 2), normal(300, 2, seed=1) + 50
    found = precision_recall(torch.cat((left, right)), normal(300, 2, seed=2))
    assert found.precision > 0.9
    assert 0.4 < found.recall < 0.5
    far = precision_recall(left, right)
    assert (far.precision, far.recall) == (0, 0)


def test_nearest_neighbours_leave_each_point_out_beyond_one_block_of_rows():
    """1,500 points, more than are taken at a time: accuracy and manifolds by brute force over the whole table."""
    x, y = normal(1500, 2, seed=31), normal(1500, 2, seed=32) + 0.5
    both = torch.cat((x, y))
    table = (both[:, None] - both[None]).square().sum(-1)
    table.fill_diagonal_(torch.inf)
    label = torch.arange(3000) < 1500
    assert one_nn_accuracy(x, y) == pytest.approx(float((label[table.argmin(1)] == label).double().mean()), abs=1e-12)
    radius = table[:1500, :1500].kthvalue(3, dim=1).values
    covered = (table[1500:, :1500] <= radius).any(1).double().mean()
    assert precision_recall(x, y).precision == pytest.approx(float(covered), abs=1e-12)


@pytest.mark.parametrize("steps", [1, 3, 5, 7, 60])
def test_the_coarse_reference_ends_where_the_fine_one_does(steps: int):
    """Every other time of a refined grid is a grid of the same span, or their difference would be no error."""
    for path in (CondOT(), VariancePreserving()):
        times = torch.linspace(0, path.last_time, steps + 1, dtype=torch.float64)
        fine = refined(times, 64, path)
        assert torch.equal(fine[::2][-1], times[-1])
        assert all((fine[::2] == t).any() for t in times)


def test_measure_stops_where_the_velocity_of_vp_is_still_bounded():
    """A Gaussian N(2, 1) on VP, whose velocity is unbounded at t = 1: to 1 - 1e-5 the reference is good, to 1 it is not."""
    path = VariancePreserving()

    def velocity(x, t, condition=None):
        a, s, da, ds = (f(t)[:, None] for f in (path.alpha, path.sigma, path.d_alpha, path.d_sigma))
        return da * (a * (x - 2 * s)) + ds * (2 + s * (x - 2 * s))  # source N(2, 1), data N(0, 1): alpha^2 + sigma^2 = 1

    x_0 = 2 + normal(20, 2)
    assert measures.measure(velocity, x_0, method="heun", nfe=8, path=path, nfes=(4, 8)).global_error.resolved
    assert measures.measure(velocity, x_0, method="heun", nfe=8, path=path, nfes=(4, 8)).global_error.reference_error < 1e-3


def test_a_field_that_is_not_finite_is_refused():
    for broken in (lambda x, t, condition=None: x * torch.nan, lambda x, t, condition=None: x / 0):
        with pytest.raises(ValueError, match="not finite"):
            measures.measure(broken, normal(5, 2), nfe=4, nfes=(4,))


@pytest.mark.parametrize(
    "distance",
    [
        wasserstein2,
        partial(sliced_wasserstein2, generator=torch.Generator()),
        sample_frechet_distance,
        kernel_distance,
        partial(mmd2, bandwidth=1.0),
        one_nn_accuracy,
        precision_recall,
    ],
)
@pytest.mark.parametrize("other", [(9, 3), (9, 1), (9, 2, 2), (9,)])
@pytest.mark.usefixtures("unchecked")
def test_samples_of_unequal_dimensions_have_no_distance(distance, other):
    with pytest.raises(ValueError, match=r"(x|real) holds points of shape \(2,\), (y|generated) of \("):
        distance(normal(9, 2), normal(*other))


def test_numbers_are_points_on_a_line():
    x, y = normal(20), normal(20, seed=1) + 1
    for distance in (wasserstein2, sample_frechet_distance, kernel_distance, one_nn_accuracy, partial(mmd2, bandwidth=1.0)):
        assert distance(x, y) == distance(x[:, None], y[:, None])
    assert measures.transport_cost(x, y) == pytest.approx(float((x - y).square().mean()))
    assert measures.measure(decay, x, nfe=4, nfes=(2, 4)) == measures.measure(decay, x[:, None], nfe=4, nfes=(2, 4))


EYE, MEAN = torch.eye(2, dtype=torch.float64), torch.zeros(2, dtype=torch.float64)


@pytest.mark.parametrize(
    ("mean", "covariance", "words"),
    [
        (torch.zeros(3), torch.eye(3), r"mean_x has shape \(2,\), mean_y \(3,\)"),
        (MEAN, torch.eye(3), r"covariance_y \(3, 3\); they must be \(D,\) and \(D, D\)"),
        (MEAN, torch.ones(2), r"covariance_y \(2,\)"),
        (MEAN * torch.nan, EYE, "mean_y and covariance_y must be finite"),
        (MEAN, EYE * torch.inf, "mean_y and covariance_y must be finite"),
        (MEAN, torch.tensor([[1.0, 0.1], [0.0, 1.0]]), "covariance_y is not symmetric"),
        (MEAN, -EYE, "covariance_y has a negative eigenvalue, -1"),
        (MEAN, torch.diag(torch.tensor([1.0, -1e-7], dtype=torch.float64)), "covariance_y has a negative eigenvalue, -1e-07"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_gaussian_has_no_frechet_distance(mean, covariance, words):
    with pytest.raises(ValueError, match=words):
        frechet_distance(MEAN, EYE, mean, covariance)
    with pytest.raises(ValueError, match=r"mean_x|covariance_x"):
        frechet_distance(mean, covariance, MEAN, EYE)


def test_singular_covariances_have_a_frechet_distance_in_either_precision():
    """Rank 9 in 64 dimensions: rounding makes some eigenvalues negative."""
    x, y = normal(10, 64), normal(10, 64, seed=1)
    exact = sample_frechet_distance(x, y)
    many = normal(100, 512)
    assert abs(sample_frechet_distance(many, many)) < 1e-10
    assert sample_frechet_distance(many, 2 * many) == pytest.approx(
        float(many.mean(0).square().sum() + torch.cov(many.T).trace()), rel=1e-10
    )  # S against 4 S: tr S
    other = normal(60, 512, seed=2) @ torch.diag(torch.linspace(0, 1, 512, dtype=torch.float64) ** 6)
    a, b = ((z - z.mean(0)) / math.sqrt(len(z) - 1) for z in (many, other))  # S = a^T a: the roots' singular values are those of b a^T
    truth = (many.mean(0) - other.mean(0)).square().sum() + a.square().sum() + b.square().sum() - 2 * torch.linalg.svdvals(b @ a.T).sum()
    assert sample_frechet_distance(many, other) == pytest.approx(float(truth), abs=1e-10)
    for dtype, accuracy in ((torch.float64, 1e-10), (torch.float32, 1e-4)):
        moments = [m.to(dtype) for z in (x, y) for m in (z.mean(0), torch.cov(z.T))]
        assert frechet_distance(*moments) == pytest.approx(exact, rel=accuracy)


@pytest.mark.parametrize("x_1", [normal(1, 2), normal(5, 1), normal(2)])
@pytest.mark.usefixtures("unchecked")
def test_costs_of_unequal_shapes_are_refused_and_not_shared_out(x_1):
    with pytest.raises(ValueError, match=r"samples \(5, 2\) and .* must have the same shape"):
        measures.transport_cost(normal(5, 2), x_1)


def test_nothing_can_be_measured_without_particles():
    for measure in (measures.measure, partial(measures.nfe_ladder, method="heun", nfes=(4,))):
        with pytest.raises(ValueError, match="x_0 holds no particle"):
            measure(decay, normal(0, 2))


def test_a_reference_has_at_least_the_steps_asked_for_and_an_even_number_in_each_interval():
    for intervals, steps, wanted in ((3, 64, 22), (5, 64, 14), (7, 64, 10), (16, 64, 4), (60, 64, 2)):
        times = torch.linspace(0, 1, intervals + 1, dtype=torch.float64)
        fine = refined(times, steps, CondOT())
        assert len(fine) == intervals * wanted + 1  # the least even number of parts with intervals * parts >= steps
        assert torch.equal(fine[::wanted], times)


@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_measured_is_refused():
    with pytest.raises(ValueError, match=r"measure needs a fixed-step solver .*dopri5 chooses"):
        measures.measure(decay, normal(5, 2), method="dopri5")
    with pytest.raises(ValueError, match="float64"):
        measures.measure(decay, normal(5, 2).half())
    with pytest.raises(ValueError, match="no pair"):
        measures.transport_cost(normal(0, 2), normal(0, 2))
    assert measures.transport_cost(torch.full((2, 4), 300.0).half(), torch.zeros(2, 4).half()) == 360_000


@pytest.mark.parametrize("path", [VariancePreserving(), VarianceExploding()], ids=lambda path: path.name)
def test_straightness_and_acceleration_where_the_velocity_grows_without_bound(path):
    """u = d_sigma(t) (1, 1) whatever x: straightness 2 (integral of d_sigma^2 - (change of sigma)^2 / T), acceleration 2 integral of (d/dt d_sigma)^2, by scipy in -log(1 - t)."""
    last = path.last_time

    def d_sigma(t: float) -> float:
        return float(path.d_sigma(torch.tensor(t, dtype=torch.float64)))

    def integral(f) -> float:  # of f(t) from 0 to the last time
        return quad(lambda y: f(1 - math.exp(-y)) * math.exp(-y), 0, -math.log(1 - last), limit=2000, epsrel=1e-6)[0]

    def rate(t: float) -> float:
        h = 1e-3 * (1 - t)
        return (d_sigma(min(t + h, last)) - d_sigma(max(t - h, 0.0))) / (min(t + h, last) - max(t - h, 0.0))

    change = float(path.sigma(torch.tensor(last, dtype=torch.float64)) - path.sigma(torch.zeros(1, dtype=torch.float64)))
    found = measures.measure(lambda x, t, c: path.d_sigma(t)[:, None].expand_as(x), normal(3, 2), path=path, nfe=2, nfes=(2,))
    assert found.straightness == pytest.approx(2 * (integral(lambda t: d_sigma(t) ** 2) - change**2 / last), rel=2e-3)
    assert found.acceleration == pytest.approx(2 * integral(lambda t: rate(t) ** 2), rel=2e-2)
    times = graded(path, (1.0, 0.5))
    assert (float(times[0]), float(times[-1])) == (1.0, 0.5)
    assert bool((times.diff() < 0).all())
