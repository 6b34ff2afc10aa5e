"""Losses and time laws: hand formulas, minimisers in closed form, distribution functions."""

import inspect
import math

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.integrate import quad
from torch import Tensor

from lab.conversions import QUANTITIES, GaussianSource, convert
from lab.losses import TIME_LAWS, LogitNormal, TimeLaw, Uniform, UShaped, by_time_bin, regression_losses, regression_target, time_law
from lab.paths import CondOT, Cosine, Polynomial, VariancePreserving

TARGETS = ("velocity", "data", "noise", "score")


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def uniforms(count: int, seed: int) -> Tensor:
    return torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_targets_and_losses_are_the_formulas_written_by_hand():
    """On CondOT: x_1 - x_0, x_1, x_0 and -C^-1 (x_0 - m) / (1 - t); squared errors averaged over the numbers of each sample."""
    x_0, x_1, prediction = (numbers(3, 2, seed=s) for s in (1, 2, 3))
    t = torch.tensor([0.2, 0.5, 0.75], dtype=torch.float64)
    covariance = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    source = GaussianSource(torch.tensor([0.3, -0.2], dtype=torch.float64), covariance)
    inverse = torch.tensor([[1.0, -0.5], [-0.5, 2.0]], dtype=torch.float64) / 1.75
    expected = {
        "velocity": x_1 - x_0,
        "data": x_1,
        "noise": x_0,
        "score": -(x_0 - torch.tensor([0.3, -0.2], dtype=torch.float64)) @ inverse / (1 - t)[:, None],
    }
    for name, target in expected.items():
        assert torch.allclose(regression_target(name, x_0=x_0, x_1=x_1, t=t, path=CondOT(), source=source), target, rtol=1e-13)
        error = (prediction - target) ** 2
        by_hand = (error[:, 0] + error[:, 1]) / 2
        for weighting, weight in (("uniform", 1), ("sigma-squared", (1 - t) ** 2)):
            losses = regression_losses(prediction, x_0=x_0, x_1=x_1, t=t, path=CondOT(), target=name, weighting=weighting, source=source)
            assert losses.shape == (3,)
            assert torch.allclose(losses, weight * by_hand, rtol=1e-12)


@pytest.mark.parametrize("path", [CondOT(), CondOT(sigma_min=0.1), Cosine(), Polynomial(2), VariancePreserving()], ids=str)
@pytest.mark.parametrize("target", TARGETS)
def test_weighting_velocity_is_the_loss_of_the_velocity_that_follows(path, target):
    """For any prediction: convert it to a velocity at x_t, and the velocity's own loss is the same."""
    x_0, x_1, prediction = (numbers(8, 3, seed=s) for s in (4, 5, 6))
    t = torch.linspace(0.05, 0.95, 8, dtype=torch.float64)
    source = GaussianSource(0.4, torch.diag(torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)) + 0.1)
    weighted = regression_losses(prediction, x_0=x_0, x_1=x_1, t=t, path=path, target=target, weighting="velocity", source=source)
    x_t = path.sample(x_0=x_0, x_1=x_1, t=t).x_t
    velocity = convert(prediction, x_t, t, path=path, given=target, wanted="velocity", source=source)
    assert torch.allclose(weighted, regression_losses(velocity, x_0=x_0, x_1=x_1, t=t, path=path), rtol=1e-9)


def test_a_score_weighted_by_sigma_squared_is_a_noise_loss():
    """For N(0, I): sigma^2 |s - s*|^2 = |-sigma s - x_0|^2."""
    x_0, x_1, score = (numbers(8, 3, seed=s) for s in (7, 8, 9))
    t, path = torch.linspace(0.05, 0.95, 8, dtype=torch.float64), VariancePreserving()
    one = regression_losses(score, x_0=x_0, x_1=x_1, t=t, path=path, target="score", weighting="sigma-squared", source=GaussianSource())
    other = regression_losses(-path.sigma(t)[:, None] * score, x_0=x_0, x_1=x_1, t=t, path=path, target="noise")
    assert torch.allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("target", TARGETS)
def test_the_minimiser_is_the_conditional_expectation_and_the_minimum_the_conditional_variance(target):
    """x_0 ~ N(m, s^2), x_1 ~ N(mu, r^2), one time: on the regression line of Gaussians the gradient is 0 and the loss the variance left.

    With n = 200,000 independent samples both are means; they lie within 5 standard errors of the closed form (one in two million misses).
    """
    n, m, s, mu, r, time = 200_000, 0.5, 1.3, 2.0, 0.7, 0.4
    source, path = GaussianSource(m, s**2), Cosine()
    x_0, x_1, t = m + s * numbers(n, 1, seed=10), mu + r * numbers(n, 1, seed=11), torch.full((n,), time, dtype=torch.float64)
    a, b = math.sin(0.5 * math.pi * time), math.cos(0.5 * math.pi * time)
    da, db = 0.5 * math.pi * b, -0.5 * math.pi * a
    # target = p x_1 + q x_0 + c
    p, q, c = {"velocity": (da, db, 0), "data": (1, 0, 0), "noise": (0, 1, 0), "score": (0, -1 / (s**2 * b), m / (s**2 * b))}[target]
    variance = a**2 * r**2 + b**2 * s**2
    covariance = p * a * r**2 + q * b * s**2
    slope = covariance / variance
    offset = p * mu + q * m + c - slope * (a * mu + b * m)
    minimum = p**2 * r**2 + q**2 * s**2 - covariance**2 / variance
    x_t = path.sample(x_0=x_0, x_1=x_1, t=t).x_t
    line = torch.tensor([slope, offset], dtype=torch.float64)

    def losses(line: Tensor) -> Tensor:
        return regression_losses(line[0] * x_t + line[1], x_0=x_0, x_1=x_1, t=t, path=path, target=target, source=source)

    def within_five_errors(values: Tensor, expected: float) -> bool:
        return abs(values.mean().item() - expected) < 5 * values.std().item() / math.sqrt(n)

    assert within_five_errors(losses(line), minimum)

    def slopes(line: Tensor, direction: Tensor) -> Tensor:
        return (losses(line + direction) - losses(line - direction)) / 2  # exact: the loss is quadratic in the line

    along = torch.eye(2, dtype=torch.float64)
    assert within_five_errors(slopes(line, along[0]), 0.0)
    assert within_five_errors(slopes(line, along[1]), 0.0)
    assert not within_five_errors(slopes(line + 0.02, along[0]), 0.0)


@pytest.mark.parametrize("shape", [(), (2,), (3, 4, 4)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_losses_of_any_shape_and_dtype_are_one_number_per_sample_in_float32_at_least(shape, dtype):
    """A half-precision prediction is compared in float32: the squares of 300 do not overflow."""
    x_0, x_1 = torch.zeros(4, *shape, dtype=dtype), torch.zeros(4, *shape, dtype=dtype)
    losses = regression_losses(torch.full_like(x_0, 300), x_0=x_0, x_1=x_1, t=torch.linspace(0, 1, 4), path=CondOT())
    assert losses.shape == (4,)
    assert losses.dtype == torch.promote_types(dtype, torch.float32)
    assert (losses == 90_000).all()


def test_the_loss_carries_gradients_to_the_prediction():
    prediction = numbers(4, 3, seed=12).requires_grad_()
    x_0, x_1, t = numbers(4, 3, seed=13), numbers(4, 3, seed=14), torch.full((4,), 0.3, dtype=torch.float64)
    (slope,) = torch.autograd.grad(regression_losses(prediction, x_0=x_0, x_1=x_1, t=t, path=CondOT()).sum(), prediction)
    assert torch.allclose(slope, 2 * (prediction - (x_1 - x_0)) / 3)


def test_infinite_weights_and_targets_are_refused_with_the_time():
    x = numbers(2, 2, seed=15)
    t = torch.tensor([0.0, 1.0], dtype=torch.float64)

    def losses(target: str, weighting: str, source: GaussianSource | None = None) -> Tensor:
        return regression_losses(x, x_0=x, x_1=x, t=t, path=CondOT(), target=target, weighting=weighting, source=source)

    with pytest.raises(ValueError, match="weighting='velocity' of target='data' is infinite at t=1"):
        losses("data", "velocity")
    with pytest.raises(ValueError, match="weighting='velocity' of target='noise' is infinite at t=0"):
        losses("noise", "velocity")
    with pytest.raises(ValueError, match="target='score' is infinite at t=1"):
        losses("score", "uniform", GaussianSource())
    assert torch.isfinite(losses("velocity", "velocity")).all()


def test_bad_arguments_are_refused_by_name():
    plain = inspect.unwrap(regression_losses)  # as it is without the shape checks of the tests
    x, t = numbers(3, 2, seed=16), torch.full((3,), 0.5)
    with pytest.raises(ValueError, match=r"prediction \(2, 2\), x_0 \(3, 2\) and x_1 \(3, 2\) must have the same shape"):
        plain(x[:2], x_0=x, x_1=x, t=t, path=CondOT())
    with pytest.raises(ValueError, match="target='x1' is unknown; it may be velocity, data, noise, score"):
        regression_losses(x, x_0=x, x_1=x, t=t, path=CondOT(), target="x1")
    with pytest.raises(ValueError, match="weighting='snr' is unknown; it may be uniform, velocity, sigma-squared"):
        regression_losses(x, x_0=x, x_1=x, t=t, path=CondOT(), weighting="snr")
    with pytest.raises(ValueError, match="target='score' needs source=GaussianSource"):
        regression_losses(x, x_0=x, x_1=x, t=t, path=CondOT(), target="score")
    for target in QUANTITIES:
        with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
            regression_losses(x, x_0=x, x_1=x, t=t + 1, path=CondOT(), target=target, source=GaussianSource())


@pytest.mark.parametrize("target", QUANTITIES)
@pytest.mark.parametrize(("x_0", "t"), [((3, 1), (3,)), ((1, 2), (3,)), ((3, 2), (3, 1)), ((3, 2), (1,)), ((3, 2), ())])
@pytest.mark.usefixtures("unchecked")
def test_what_would_broadcast_is_refused(target, x_0, t):
    x = numbers(3, 2, seed=16)
    with pytest.raises(ValueError, match=r"must have the same shape|one time per sample"):
        regression_losses(x, x_0=torch.ones(x_0), x_1=x, t=torch.full(t, 0.5), path=CondOT(), target=target, source=GaussianSource())
    with pytest.raises(ValueError, match=r"must have the same shape|one time per sample"):
        regression_target(target, x_0=torch.ones(x_0), x_1=x, t=torch.full(t, 0.5), path=CondOT(), source=GaussianSource())


LAWS = {
    "uniform": (Uniform(), lambda t: t),
    "logit-normal": (LogitNormal(), lambda t: scipy.stats.norm.cdf(np.log(t / (1 - t)))),
    "logit-normal, moved": (LogitNormal(mean=-0.8, std=0.5), lambda t: scipy.stats.norm.cdf((np.log(t / (1 - t)) + 0.8) / 0.5)),
    # the mirrored exponential: half of e^(4t) / C and half of e^(4(1-t)) / C
    "u-shaped": (UShaped(), lambda t: 0.5 * np.expm1(4 * t) / np.expm1(4) + 0.5 * (1 - np.expm1(4 * (1 - t)) / np.expm1(4))),
}


@pytest.mark.parametrize("name", LAWS)
def test_times_follow_the_closed_form_distribution_function(name):
    """Kolmogorov-Smirnov: the largest gap of 20,000 draws stays under sqrt(ln(2 / p) / 2n) with p = 1e-4; each draw is its own quantile."""
    law, cdf = LAWS[name]
    n = 20_000
    u = uniforms(n, seed=17)
    t = law.from_uniforms(u)
    assert scipy.stats.kstest(t.numpy(), cdf).statistic < math.sqrt(math.log(2 / 1e-4) / (2 * n))
    assert np.abs(cdf(t.numpy()) - u.numpy()).max() < 1e-12
    assert (law.cdf(t) - u).abs().max() < 1e-12


@pytest.mark.parametrize("name", LAWS)
def test_densities_are_the_slopes_of_the_distribution_functions(name):
    law, cdf = LAWS[name]
    for t in (0.02, 0.3, 0.5, 0.9):
        area = quad(lambda v: law.density(torch.tensor([v], dtype=torch.float64)).item(), 0, t, epsabs=1e-13)[0]
        assert area == pytest.approx(cdf(t), abs=1e-11)
    assert quad(lambda v: law.density(torch.tensor([v], dtype=torch.float64)).item(), 0, 1)[0] == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("law", [law for law, _ in LAWS.values()], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_times_and_densities_are_finite_to_the_ends(law: TimeLaw, dtype):
    """u and t of exactly 0 and 1 included; the dtype is kept."""
    ends = torch.tensor([[0.0, 1e-30, 0.5, 1.0]], dtype=dtype)
    t = law.from_uniforms(ends)
    assert ((t >= 0) & (t <= 1)).all()
    assert (t.diff() >= 0).all()
    for value in (t, law.density(ends), law.cdf(ends)):
        assert torch.isfinite(value).all()
        assert value.dtype == dtype
        assert value.shape == ends.shape


def test_the_u_shape_favours_both_ends_and_the_logit_normal_the_middle():
    """Density at 0 over that in the middle: cosh(2) = 3.76 for steepness 4."""
    t = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    u = UShaped().density(t)
    assert (u[0] / u[1]).item() == pytest.approx(math.cosh(2), rel=1e-12)
    assert u[0] == u[2]
    assert LogitNormal().density(t).tolist()[::2] == [0.0, 0.0]


def test_time_laws_by_name_and_refusals():
    assert set(TIME_LAWS) == {"uniform", "logit-normal", "u-shaped"}
    assert all(time_law(name).name == name for name in TIME_LAWS)
    with pytest.raises(ValueError, match="time_law='ushaped' is unknown; did you mean 'u-shaped'"):
        time_law("ushaped")
    for make, message in (
        (lambda: LogitNormal(std=0), "std=0"),
        (lambda: LogitNormal(mean=math.nan), "mean=nan"),
        (lambda: UShaped(0), "steepness=0"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=r"u must lie in \[0, 1\]"):
            Uniform().from_uniforms(torch.tensor([bad]))


def test_losses_by_time_bin_are_the_means_of_each_bin():
    """By hand on six losses; t = 1 falls into the last bin; an empty bin has no mean."""
    losses = torch.tensor([1.0, 3.0, 5.0, 7.0, 2.0, 4.0])
    t = torch.tensor([0.0, 0.2, 0.25, 0.49, 0.75, 1.0])
    bins = by_time_bin(losses, t, bins=4)
    assert bins.edges.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert bins.count.tolist() == [2, 2, 0, 2]
    assert bins.mean[[0, 1, 3]].tolist() == [2, 6, 3]
    assert bins.mean[2].isnan()
    assert bins.standard_error[[0, 1, 3]].tolist() == pytest.approx([1, 1, 1])  # standard deviation sqrt(2) of two, over sqrt(2)
    assert bins.standard_error[2].isnan()


def test_bins_of_batches_add_up_to_those_of_all():
    losses, t = numbers(1000, seed=18).square(), uniforms(1000, seed=19)
    together, parts = by_time_bin(losses, t), by_time_bin(losses[:300], t[:300]) + by_time_bin(losses[300:], t[300:])
    assert torch.equal(together.count, parts.count)
    assert torch.allclose(together.mean, parts.mean, rtol=1e-12)
    k = 3
    inside = losses[(t >= 0.3) & (t < 0.4)]
    assert together.mean[k].item() == pytest.approx(inside.mean().item(), rel=1e-12)
    assert together.standard_error[k].item() == pytest.approx(inside.std().item() / math.sqrt(len(inside)), rel=1e-9)


def test_bins_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match="bins=0 must be at least 1"):
        by_time_bin(torch.zeros(3), torch.zeros(3), bins=0)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        by_time_bin(torch.zeros(3), torch.full((3,), 2.0))
    two, three = (by_time_bin(torch.zeros(3), torch.zeros(3), bins=k) for k in (2, 3))
    with pytest.raises(ValueError, match="bins do not fit: 2 and 3"):
        two.__add__(three)
