"""Measures against closed forms: straight flows, matched Gaussians, errors whose size is known, and another project's field."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from lab import measures
from lab.distances import (
    frechet_distance,
    kernel_distance,
    one_nn_accuracy,
    precision_recall,
    sample_frechet_distance,
    sliced_wasserstein2,
    wasserstein2,
)
from lab.paths import VariancePreserving
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
    exact = measures.reference(straight, x_0)
    assert measures.straightness(exact.trajectory, straight).abs().max() < 1e-10
    assert abs(measures.acceleration(exact.trajectory, straight)) < 1e-10
    efficiency = measures.path_efficiency(exact.trajectory)
    assert efficiency is not None
    assert abs(efficiency - 1) < 1e-12
    dimension = x_0[0].numel()
    assert abs(measures.transport_cost(x_0, exact.trajectory.end) - 9 * dimension) < 1e-9
    error = measures.global_error(solve(straight, x_0, method="euler", nfe=1).end, exact)
    assert error.max < 1e-12


def test_matched_gaussians_have_their_closed_form_straightness_and_length():
    """x(t) = x_0 s(t) with s^2 = (1-t)^2 + t^2: no net move, length 2 (1 - 1/sqrt 2)|x_0|, straightness |x_0|^2 times the integral of s'^2 = 2 - pi/2."""
    x_0 = normal(30, 2)
    flow = measures.reference(in_and_out, x_0, steps=2048).trajectory
    squared = x_0.square().sum(1)
    assert ((measures.straightness(flow, in_and_out) - squared * (2 - math.pi / 2)).abs() / squared).max() < 1e-5
    length = flow.x.diff(dim=0).norm(dim=-1).sum(0)
    assert ((length / x_0.norm(dim=1)) - (2 - math.sqrt(2))).abs().max() < 1e-5
    assert measures.path_efficiency(flow, spread=1.0) is None
    # s'' = 1 / s^3, so the acceleration is E|x_0|^2 times the integral of s^-6 dt = 1 + 3 pi / 4 ... checked by quadrature
    t = torch.linspace(0, 1, 200_001, dtype=torch.float64)
    integral = float(torch.trapezoid(((1 - t) ** 2 + t**2) ** -3, t))
    assert abs(measures.acceleration(flow, in_and_out) / (float(squared.mean()) * integral) - 1) < 1e-4


def test_global_error_of_euler_on_decay_is_known():
    """(1 - 1/n)^n x_0 against x_0 / e."""
    x_0 = normal(100, 2)
    exact = measures.reference(decay, x_0, steps=256)
    error = measures.global_error(solve(decay, x_0, method="euler", nfe=4).end, exact)
    gap = (1 / math.e - 0.75**4) * x_0.norm(dim=1)
    assert abs(error.rmse - float(gap.square().mean().sqrt())) < 1e-8
    assert abs(error.median - float(gap.median())) < 1e-8
    assert abs(error.max - float(gap.max())) < 1e-8
    assert error.reference_error < 1e-8


def test_the_reference_is_refined_until_it_is_good_enough_and_its_error_is_bounded_by_what_it_says():
    x_0 = normal(50, 2)
    rough, fine = (measures.reference(in_and_out, x_0, steps=4, below=b) for b in (None, 1e-9))
    assert fine.error <= 1e-9 < rough.error
    true = (rough.trajectory.end - x_0).norm(dim=1)  # the flow map is the identity
    assert float(true.square().mean().sqrt()) <= rough.error


def test_the_reference_passes_through_the_solvers_times_also_in_vps_angle():
    path = VariancePreserving()
    times = torch.tensor([0.0, 0.31, 0.9, path.last_time], dtype=torch.float64)
    fine = measures.refined(times, 64, path)
    assert (fine.diff() > 0).all()
    assert all((fine == t).any() for t in times)
    assert len(fine) % 2 == 1
    exact = measures.reference(decay, normal(3, 2), times=times, path=path, steps=512)
    assert (exact.at(times)[1] - normal(3, 2) * math.exp(-0.31)).abs().max() < 1e-6
    with pytest.raises(ValueError, match="not on the reference's grid"):
        exact.at(torch.tensor([0.123456]))


@pytest.mark.parametrize("method", ["euler", "heun", "rk4", "ab2", "ddim"])
def test_local_errors_of_decay_are_the_taylor_remainders(method):
    """One step of size h from e^-t: exact is e^-h; Euler's (and ddim's) factor is 1 - h, Heun's 1 - h + h^2/2, RK4's four terms; ab2 uses the exact slope before."""
    x_0, times = normal(40, 2), torch.linspace(0, 1, 5, dtype=torch.float64)
    exact = measures.reference(decay, x_0, times=times, steps=512)
    local = measures.local_error(decay, exact, times, method)
    h = 0.25
    factor = {
        "euler": 1 - h,
        "ddim": 1 - h,
        "heun": 1 - h + h**2 / 2,
        "rk4": 1 - h + h**2 / 2 - h**3 / 6 + h**4 / 24,
        "ab2": 1 - 1.5 * h + 0.5 * h * math.exp(h),
    }[method]
    rms = float(x_0.square().sum(1).mean().sqrt())
    for k in range(4):
        wanted = abs((1 - h if method == "ab2" and k == 0 else factor) - math.exp(-h)) * math.exp(-0.25 * k) * rms
        assert abs(float(local.rmse[k]) - wanted) < 1e-9


def test_the_ladder_fits_the_order_only_where_it_is_clean():
    x_0 = normal(50, 2)
    exact = measures.reference(decay, x_0, steps=1024)
    euler, heun = (measures.nfe_ladder(decay, x_0, m, exact) for m in ("euler", "heun"))
    assert euler.nfe == measures.NFE_LADDER
    assert heun.nfe == tuple(n for n in measures.NFE_LADDER if n % 2 == 0)
    assert euler.order is not None
    assert heun.order is not None
    assert abs(euler.order - 1) < 0.2
    assert abs(heun.order - 2) < 0.2
    assert measures.fitted_order((1, 2, 4, 8), (1.0, 0.9, 0.2, 0.19), 0.0) is None  # slopes that jump
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


def test_nearest_neighbour_accuracy():
    """Equal laws: 1/2 within four standard errors (n = 2,000, which are nearly independent); laws apart: 1; copies: 0."""
    x, y = normal(1000, 2), normal(1000, 2, seed=1)
    assert abs(one_nn_accuracy(x, y) - 0.5) < 4 * 0.5 / math.sqrt(2000) * 1.5
    assert one_nn_accuracy(x, x + 100) == 1
    assert one_nn_accuracy(x, x + 1e-9) == 0
    with pytest.raises(ValueError, match="equally many"):
        one_nn_accuracy(x, y[:5])


def test_precision_and_recall():
    """Generated points in one of two real clusters: all precise, half recalled; far points: neither."""
    left, right = normal(300, 2), normal(300, 2, seed=1) + 50
    found = precision_recall(torch.cat((left, right)), normal(300, 2, seed=2))
    assert found.precision > 0.9
    assert 0.4 < found.recall < 0.5
    far = precision_recall(left, right)
    assert (far.precision, far.recall) == (0, 0)
