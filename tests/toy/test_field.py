"""MixtureField against the definition of a marginal velocity, an independent formula and the continuity equation."""

from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import logsumexp, softmax
from scipy.stats import multivariate_normal
from torch import Tensor

from lab.paths import CondOT, Path
from tests.toy.scenes import (
    Coupled,
    class_plan,
    class_prior,
    each_path,
    field_values,
    generator,
    normal,
    random_coupling,
    ring_strips,
    uniform,
)
from toy.field import MixtureField

seeing = pytest.mark.parametrize("sees_class", [False, True], ids=["position", "class"])


def functions(x: Tensor, scale: Tensor) -> Tensor:
    """Eight smooth test functions (n, 8): what is orthogonal to them all has no mean left that depends on x in any simple way."""
    a, b = (x / scale).T
    bump = (-(a**2) - b**2).exp()
    return torch.stack((torch.ones_like(a), a.sin(), b.cos(), a.tanh(), b.tanh(), (a * b).tanh(), (a + 2 * b).sin(), bump), 1)


def slopes(x: Tensor, scale: Tensor) -> Tensor:
    """Gradients of the test functions (n, 8, 2)."""
    a, b = (x / scale).T
    none, wave, saddle, bump = torch.zeros_like(a), (a + 2 * b).cos(), 1 - (a * b).tanh() ** 2, (-(a**2) - b**2).exp()
    d_a = torch.stack((none, a.cos(), none, 1 - a.tanh() ** 2, none, b * saddle, wave, -2 * a * bump), 1)
    d_b = torch.stack((none, none, -b.sin(), none, 1 - b.tanh() ** 2, a * saddle, 2 * wave, -2 * b * bump), 1)
    return torch.stack((d_a, d_b), 2) / scale


def standard_errors_from_zero(total: Tensor, squares: Tensor, n: int) -> float:
    """Largest |mean| / standard error, from the sums of n samples and of their squares."""
    mean = total / n
    error = ((squares / n - mean**2) / n).clamp(min=0).sqrt()
    return float((mean.abs() / error.clamp(min=1e-12)).max())


# Each comparison below is of 16 means (32 with a class) with zero; in all 7 paths x 2 x 5 sets of times x 4 quantities x 24, nearly 7,000.
# A normal variable exceeds 5.5 standard errors with probability 3.8e-8; any of 7,000 does so with probability 3e-4.
ALLOWED = 5.5


@each_path
@seeing
def test_velocity_expectations_and_score_are_those_of_the_definition(path: Path, sees_class: bool):
    """u = E[dx_t | x_t] is the one function with E[(dx_t - u(x_t)) g(x_t)] = 0 for all g; so are the end points; E[score g + grad g] = 0.

    At four times that all particles share, and at a time of each particle's own; draws are those of the definition.
    """
    coupled, n, draws = random_coupling(10 * sees_class), 20_000, generator()
    field = coupled.field(path)
    for time in [0.0, 0.2, 0.6, 0.95, uniform(n, generator=draws)]:
        x_0, x_1, c = coupled.draw(n, draws)
        t = torch.as_tensor(time, dtype=torch.float64).expand(n)
        sample = path.sample(x_0=x_0, x_1=x_1, t=t)
        condition = c if sees_class else None
        scale = sample.x_t.std(0)
        g, dg = functions(sample.x_t, scale), slopes(sample.x_t, scale)
        if sees_class:  # also orthogonal to functions of the class
            one = (c == 1).double()[:, None]
            g, dg = torch.cat((g, g * one), 1), torch.cat((dg, dg * one[..., None]), 1)
        source, data = field.endpoints(sample.x_t, t, condition)
        for name, residual in {
            "velocity": sample.dx_t - field.velocity(sample.x_t, t, condition),
            "source": x_0 - source,
            "data": x_1 - data,
        }.items():
            assert standard_errors_from_zero(g.T @ residual, g.square().T @ residual.square(), n) < ALLOWED, (name, time)
        stein = field.score(sample.x_t, t, condition)[:, None] * g[..., None] + dg
        assert standard_errors_from_zero(stein.sum(0), stein.square().sum(0), n) < ALLOWED, ("score", time)


def plain_formula(coupled: Coupled, path: Path, x: np.ndarray, t: float, condition: np.ndarray | None) -> dict[str, np.ndarray]:
    """The design's formulas pair by pair, with general matrices and scipy's normal density; of the project, it uses the paths alone."""
    time = torch.tensor(t, dtype=torch.float64)
    a, s, da, ds = (float(f(time)) for f in (path.alpha, path.sigma, path.d_alpha, path.d_sigma))
    plan, cross = coupled.plan.numpy(), coupled.cross.numpy()
    classes = coupled.target.classes.numpy()
    logs: list[np.ndarray] = []
    values: dict[str, list[np.ndarray]] = {"velocity": [], "source": [], "data": [], "score": []}
    for j, k in zip(*np.nonzero(plan), strict=True):
        m, S = coupled.source.means[j].numpy(), coupled.source.covariances[j].numpy()
        mu, Sigma, C = coupled.target.means[k].numpy(), coupled.target.covariances[k].numpy(), cross[j, k]
        M: np.ndarray = s * m + a * mu
        V: Any = s * s * S + a * a * Sigma + a * s * (C + C.T)
        pulled = np.linalg.solve(V, (x - M).T).T
        x_0, x_1 = m + pulled @ (s * S + a * C).T, mu + pulled @ (a * Sigma + s * C.T).T
        log_p = np.log(plan[j, k]) + multivariate_normal.logpdf(x, M, V)
        if condition is not None:
            log_p = np.where(condition == classes[k], log_p - np.log(plan[:, classes == classes[k]].sum()), -np.inf)
        logs.append(log_p)
        for name, value in (("velocity", da * x_1 + ds * x_0), ("source", x_0), ("data", x_1), ("score", -pulled)):
            values[name].append(value)
    r = np.asarray(softmax(np.array(logs), axis=0))[..., None]
    averaged = {name: (r * np.array(value)).sum(0) for name, value in values.items()}
    return averaged | {"log_prob": np.asarray(logsumexp(np.array(logs), axis=0))}


@each_path
@seeing
def test_folded_field_equals_the_plain_formula(path: Path, sees_class: bool):
    """To 1e-9 of each vector's length, at shared times, at a time of each particle's own, and at both ends."""
    for seed in range(3):
        coupled, draws = random_coupling(seed, sources=1 + seed, targets=6 - seed, classes=3), generator(seed)
        field = coupled.field(path)
        n, times = 40, [0.0, 0.13, 0.5, 0.97, path.last_time]
        t = torch.tensor(times, dtype=torch.float64).repeat_interleave(n)
        x_0, x_1, c = coupled.draw(len(t), draws)
        x = path.sample(x_0=x_0, x_1=x_1, t=t).x_t
        known = c if sees_class else None
        own = field_values(field, x, t, known)
        for i, time in enumerate(times):
            rows = slice(i * n, (i + 1) * n)
            truth = plain_formula(coupled, path, x[rows].numpy(), time, c[rows].numpy() if sees_class else None)
            shared = field_values(field, x[rows], time, None if known is None else known[rows])
            for name, value in truth.items():
                length = np.abs(value) + 1e-3 if value.ndim == 1 else np.linalg.norm(value, axis=1, keepdims=True) + 1e-3
                assert np.abs((shared[name].numpy() - value) / length).max() < 1e-9, (name, time)
                assert np.abs((own[name][rows].numpy() - value) / length).max() < 1e-9, (name, time)


@each_path
def test_far_from_everything_the_field_is_still_the_formula(path: Path):
    """At distance 100 from components of std .02 every density underflows; which pair is nearest still decides. To 1e-6: squares of 5,000 stds are there to cancel."""
    coupled, x, c = random_coupling(60, spread=0.02), 100 * normal(60, 2, generator=generator()), torch.arange(60) % 2
    for time in (0.0, 0.5, 0.99):
        for known in (None, c):
            truth = plain_formula(coupled, path, x.numpy(), time, None if known is None else known.numpy())
            for name, value in field_values(coupled.field(path), x, time, known).items():
                size = np.abs(truth[name]) if value.ndim == 1 else np.linalg.norm(truth[name], axis=1, keepdims=True)
                assert np.abs((value.numpy() - truth[name]) / (size + 1e-3)).max() < 1e-6, (name, time)


@each_path
@seeing
def test_density_and_velocity_satisfy_the_continuity_equation(path: Path, sees_class: bool):
    """d_t p + div(p u) = 0, here over p: d_t log p + div u + u . grad log p, by autograd, is below 1e-6 (of the terms where large)."""
    for seed in range(3):
        coupled, draws, n = random_coupling(seed + 20), generator(seed), 300
        field = coupled.field(path)
        x_0, x_1, c = coupled.draw(n, draws)
        t = (0.98 * uniform(n, generator=draws) + 0.01).requires_grad_()
        x = path.sample(x_0=x_0, x_1=x_1, t=t).x_t.detach().requires_grad_()
        condition = c if sees_class else None
        log_p, u = field.log_prob(x, t, condition), field.velocity(x, t, condition)
        d_x, d_t = torch.autograd.grad(log_p.sum(), (x, t))
        divergence = sum(torch.autograd.grad(u[:, i].sum(), x, retain_graph=True)[0][:, i] for i in range(2))
        assert isinstance(divergence, Tensor)
        terms = d_t, divergence.detach(), (u * d_x).sum(1).detach()
        size = sum(term.abs() for term in terms)
        assert isinstance(size, Tensor)
        assert float((sum(terms) / size.clamp(min=1.0)).abs().max()) < 1e-6
        assert float(size.median()) > 0.1  # the terms themselves are not small


@each_path
@seeing
def test_score_is_the_gradient_of_the_log_density(path: Path, sees_class: bool):
    coupled, draws = random_coupling(30), generator()
    field = coupled.field(path)
    for time in (0.0, 0.3, 0.8, 1.0):
        x_0, x_1, c = coupled.draw(200, draws)
        x = path.sample(x_0=x_0, x_1=x_1, t=torch.full((200,), time, dtype=torch.float64)).x_t.requires_grad_()
        condition = c if sees_class else None
        gradient = torch.autograd.grad(field.log_prob(x, time, condition).sum(), x)[0]
        score = field.score(x, time, condition).detach()
        assert float(((gradient - score).norm(dim=1) / (score.norm(dim=1) + 1e-3)).max()) < 1e-9


@each_path
def test_density_at_the_clean_ends_is_the_mixtures_own(path: Path):
    """p_0 is the source's law on clean starts, p_1 the target's on clean ends; p_1 given the class the class's law."""
    coupled = random_coupling(31)
    field, x = coupled.field(path), 2 * normal(100, 2, generator=generator())
    if path.clean_start:
        torch.testing.assert_close(field.log_prob(x, 0.0), coupled.source.log_prob(x), rtol=0, atol=1e-10)
    if path.clean_end:
        torch.testing.assert_close(field.log_prob(x, 1.0), coupled.target.log_prob(x), rtol=0, atol=1e-10)
        for c in range(2):
            given = field.log_prob(x, 1.0, torch.full((100,), c))
            torch.testing.assert_close(given, coupled.target.of_class(c).log_prob(x), rtol=0, atol=1e-10)


def test_pairs_of_zero_weight_and_classes_are_left_out():
    coupled = random_coupling(33)
    field, x = coupled.field(CondOT()), normal(20, 2, generator=generator())
    j, k = field.pairs
    assert bool((coupled.plan[j, k] > 0).all())
    assert len(j) == int((coupled.plan > 0).sum()) < coupled.plan.numel()
    r = field.responsibilities(x, 0.4)
    assert r.shape == (20, len(j))
    torch.testing.assert_close(r.sum(1), torch.ones(20, dtype=torch.float64))
    given = field.responsibilities(x, 0.4, torch.ones(20, dtype=torch.int64))
    assert bool((given[:, coupled.target.classes[k] != 1] == 0).all())
    inside = coupled.target.classes[k] == 1
    torch.testing.assert_close(given[:, inside], r[:, inside] / r[:, inside].sum(1, keepdim=True))


@each_path
@seeing
def test_a_field_that_sees_the_class_is_the_field_of_that_class_alone(path: Path, sees_class: bool):
    """The whole mixture with a condition equals a field built from one class's block; without one, the mean of those over p(class | x)."""
    target = ring_strips()
    source = class_prior(target, mean=0.5, scale=0.8)
    field = MixtureField(source, target, class_plan(source, target), path=path)
    x, t = 3 * normal(60, 2, generator=generator()), 0.45
    alone = [MixtureField(source.of_class(c), target.of_class(c), path=path) for c in range(8)]
    if sees_class:
        c = torch.arange(60) % 8
        expected = torch.stack([alone[int(label)].velocity(x[i : i + 1], t)[0] for i, label in enumerate(c)])
        torch.testing.assert_close(field.velocity(x, t, c), expected, rtol=1e-10, atol=1e-10)
    else:
        posterior = torch.softmax(torch.stack([f.log_prob(x, t) for f in alone]) + np.log(1 / 8), 0)
        expected = sum(p[:, None] * f.velocity(x, t) for p, f in zip(posterior, alone, strict=True))
        assert isinstance(expected, Tensor)
        torch.testing.assert_close(field.velocity(x, t), expected, rtol=1e-10, atol=1e-10)
