"""Likelihood against closed forms: mixtures on every path, linear flows on images, Hutchinson's known variance, and bits of known distributions."""

import math

import pytest
import torch
from scipy.integrate import simpson
from torch import Tensor
from torch.distributions import MultivariateNormal

from lab import paths
from lab.conversions import GaussianSource
from lab.guidance import Guided
from lab.likelihood import (
    Exact,
    Hutchinson,
    LogLikelihood,
    bits_per_dimension,
    dequantise,
    divergence,
    gaussian_log_prob,
    log_likelihood,
    nats_per_dimension,
)
from lab.paths import CondOT
from lab.solvers import FIXED_STEP, solve
from tests.toy.scenes import PATHS, class_plan, class_prior, generator, normal, random_coupling, ring_strips
from toy.field import MixtureField

pytestmark = pytest.mark.usefixtures("unchecked")  # shapes are checked where each function is tested; here they would take half of the time

IMAGE = (3, 4, 4)
SIZE = math.prod(IMAGE)
COUNT = 256
STANDARD = GaussianSource()


def linear(matrix: Tensor):
    """dx/dt = A x on the flattened sample."""
    return lambda x, t, condition=None: (x.flatten(1) @ matrix.T).view_as(x)


def random_matrix(seed: int = 0, size: int = SIZE) -> Tensor:
    """Not symmetric, of spectral size about one half."""
    return 0.3 * normal(size, size, generator=generator(seed)) / math.sqrt(size)


def swirl(x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
    """A field that is nonlinear, couples the coordinates and depends on t: sin(A x + t) on the flattened sample."""
    return torch.sin(x.flatten(1) @ SWIRL.T + t[:, None]).view_as(x)


SWIRL = 2 * random_matrix(5)


# --- Exact divergence


CASES = [(name, sees) for name in paths.PATHS for sees in ("position", "class")] + [("cond-ot .05", "position")]


@pytest.mark.parametrize(("name", "sees"), CASES, ids=["-".join(case) for case in CASES])
def test_the_likelihood_of_a_mixture_is_its_density(name: str, sees: str):
    """256 points, full covariances, coupled source and target: within 1e-4 nats. On VP and VE from the path's own law at t = 0 to 1 - 1e-5."""
    coupled, path, sees_class = random_coupling(3), PATHS[name], sees == "class"
    field, x_1 = coupled.field(path), coupled.target.sample(COUNT, generator())
    c = torch.arange(COUNT) % 2 if sees_class else None
    found = log_likelihood(field.velocity, x_1, lambda x: field.log_prob(x, 0.0, c), condition=c, path=path)
    assert found.log_prob.shape == (COUNT,)
    assert float((found.log_prob - field.log_prob(x_1, path.last_time, c)).abs().max()) < 1e-4
    if path.last_time == 1 and path.clean_end:
        law = [coupled.target.of_class(int(k)).log_prob(x_1) for k in range(2)] if sees_class else [coupled.target.log_prob(x_1)] * 2
        truth = torch.where(torch.arange(COUNT) % 2 == 0, law[0], law[1])
        assert float((found.log_prob - truth).abs().max()) < 1e-4
    assert found.standard_error is None
    assert found.mean_standard_error is None
    assert found.divergence == "exact"


@pytest.mark.parametrize("name", ["vp", "ve"])
def test_on_an_unclean_start_the_prior_itself_is_the_wrong_law(name: str):
    """VP's law at t = 0 still contains .0066 x_1: with the prior for it, log p is off by more than a hundred times the integration's error."""
    coupled, path = random_coupling(3), PATHS[name]
    field, x_1 = coupled.field(path), coupled.target.sample(COUNT, generator())
    scale = float(path.sigma(torch.zeros((), dtype=torch.float64)))

    def prior(x: Tensor) -> Tensor:
        return coupled.source.log_prob(x / scale) - 2 * math.log(scale)

    found = log_likelihood(field.velocity, x_1[:100], prior, path=path, atol=1e-6, rtol=1e-6)
    assert float((found.log_prob - field.log_prob(x_1[:100], path.last_time)).abs().max()) > 1e-2


def test_a_conditional_prior_and_its_classes():
    """ring-strips with a prior per class: log p(x_1 | c) is the class's own density."""
    target = ring_strips()
    own = class_prior(target, mean=0.5, scale=0.8)
    field = MixtureField(own, target, class_plan(own, target))
    c = torch.arange(COUNT) % 8
    x_1 = target.from_normals(normal(COUNT, 2, generator=generator()), c)
    found = log_likelihood(field.velocity, x_1, lambda x: field.log_prob(x, 0.0, c), condition=c, atol=1e-7, rtol=1e-7)
    truth = target.class_log_prob(x_1).gather(1, c[:, None])[:, 0] + math.log(8)
    assert float((found.log_prob - truth).abs().max()) < 1e-4


def test_a_linear_flow_on_images_has_its_closed_form():
    """dx/dt = A x: x_0 = e^-A x_1 and log p_1(x_1) = log N(x_0; 0, I) - tr A, on samples of shape (3, 4, 4)."""
    a, x_1 = random_matrix(), normal(5, *IMAGE, generator=generator(1))
    found = log_likelihood(linear(a), x_1, STANDARD, method="rk4", nfe=80)
    x_0 = (x_1.flatten(1) @ torch.linalg.matrix_exp(-a).T).view_as(x_1)
    assert found.x_0.shape == x_1.shape
    torch.testing.assert_close(found.x_0, x_0, rtol=0, atol=1e-8)
    truth = -0.5 * x_0.flatten(1).square().sum(1) - 0.5 * SIZE * math.log(2 * math.pi) - a.trace()
    torch.testing.assert_close(found.log_prob, truth, rtol=0, atol=1e-7)


@pytest.mark.parametrize("shape", [(7, 1), (5, 9), (4, 2, 3), (3, *IMAGE)])
def test_the_divergence_is_the_trace_of_autograds_jacobian(shape: tuple[int, ...]):
    size = math.prod(shape[1:])
    matrix = random_matrix(2, size)

    def field(x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
        return (torch.tanh(x.flatten(1) @ matrix.T + t[:, None]) * (1 + condition[:, None])).view_as(x)

    x, t, c = normal(*shape, generator=generator(3)), torch.linspace(0, 1, shape[0], dtype=torch.float64), torch.arange(shape[0])
    u, traces = divergence(field, x, t, c)
    torch.testing.assert_close(u, field(x, t, c), rtol=0, atol=0)
    assert traces.shape == (shape[0], 1)
    for i in range(shape[0]):
        jacobian = torch.autograd.functional.jacobian(lambda y, i=i: field(y[None], t[i : i + 1], c[i : i + 1])[0], x[i])
        assert isinstance(jacobian, Tensor)
        torch.testing.assert_close(traces[i, 0], jacobian.reshape(size, size).trace(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", FIXED_STEP)
def test_fixed_steps_spend_their_budget_and_converge_to_the_density(method: str):
    """Median error below .2 nats at 120 evaluations for methods of order 1, .01 for the others; NFE as counted at the field, the divergence on top."""
    coupled, calls = random_coupling(3), []
    field, x_1 = coupled.field(CondOT()), coupled.target.sample(50, generator())

    def velocity(x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        calls.append(1)
        return field.velocity(x, t, condition)

    found = log_likelihood(velocity, x_1, lambda x: field.log_prob(x, 0.0), method=method, nfe=120, path=field.path)
    assert found.nfe == len(calls) == 120
    error = float((found.log_prob - coupled.target.log_prob(x_1)).abs().median())
    assert error < (0.2 if method in ("euler", "ddim") else 0.01)


def test_a_grid_of_times_may_rise_or_fall():
    coupled = random_coupling(3)
    field, x_1 = coupled.field(CondOT()), coupled.target.sample(10, generator())
    times = torch.linspace(0, 1, 21, dtype=torch.float64)
    rising, falling, named = (
        log_likelihood(field.velocity, x_1, lambda x: field.log_prob(x, 0.0), method="heun", grid=g, nfe=40).log_prob
        for g in (times, times.flip(0), "uniform")
    )
    torch.testing.assert_close(rising, named, rtol=0, atol=1e-12)
    torch.testing.assert_close(falling, named, rtol=0, atol=1e-12)


def test_forwards_from_x_0_lead_back_to_x_1_and_gather_the_same_divergence():
    x_1 = normal(6, *IMAGE, generator=generator(2))
    found = log_likelihood(swirl, x_1, STANDARD, method="rk4", nfe=160)
    forward = solve(swirl, found.x_0, method="rk4", nfe=160)
    torch.testing.assert_close(forward.end, x_1, rtol=0, atol=1e-6)
    along = [divergence(swirl, x, t.expand(6))[1][:, 0] for x, t in zip(forward.x, forward.t, strict=True)]
    total = torch.from_numpy(simpson(torch.stack(along).numpy(), x=forward.t.numpy(), axis=0))
    torch.testing.assert_close(found.log_prob, gaussian_log_prob(STANDARD, found.x_0) - total, rtol=0, atol=1e-5)


def test_a_part_of_the_way_has_the_law_at_its_own_end():
    """From t = .2 to .7 the density found is that of p_.7, given p_.2."""
    coupled = random_coupling(3)
    field, x = coupled.field(CondOT()), coupled.target.sample(40, generator())
    found = log_likelihood(field.velocity, x, lambda y: field.log_prob(y, 0.2), t_span=(0.2, 0.7), atol=1e-8, rtol=1e-8)
    torch.testing.assert_close(found.log_prob, field.log_prob(x, 0.7), rtol=0, atol=1e-4)


def test_gradients_in_x_are_the_score_and_reach_parameters():
    """d log p_1(x_1) / dx_1 is the mixture's own score; for dx/dt = a x in D dimensions d log p / da = |x_0|^2 - D."""
    coupled = random_coupling(3)
    field, x_1 = coupled.field(CondOT()), coupled.target.sample(40, generator()).requires_grad_()
    found = log_likelihood(field.velocity, x_1, lambda x: field.log_prob(x, 0.0), method="rk4", nfe=160, differentiable=True)
    (gradient,) = torch.autograd.grad(found.log_prob.sum(), x_1)
    torch.testing.assert_close(gradient, field.score(x_1, 1.0), rtol=0, atol=1e-3)
    a = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    x = normal(5, *IMAGE, generator=generator(1))
    found = log_likelihood(lambda x, t, condition=None: a * x, x, STANDARD, method="rk4", nfe=80, differentiable=True)
    (slope,) = torch.autograd.grad(found.log_prob.sum(), a)
    truth = (x.flatten(1).square().sum(1) * math.exp(-0.8) - SIZE).sum()
    assert float(slope) == pytest.approx(float(truth), rel=1e-6)


def test_networks_are_measured_where_no_gradients_are_kept():
    """A float32 network with frozen parameters, under no_grad and inference_mode: the same numbers, and nothing that holds a graph."""
    network = torch.nn.Sequential(torch.nn.Linear(SIZE, 20), torch.nn.Tanh(), torch.nn.Linear(20, SIZE)).requires_grad_(False)

    def velocity(x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        return network(x.flatten(1)).view_as(x)

    with torch.no_grad():
        for p, values in zip(
            network.parameters(), (random_matrix(7)[:20], torch.zeros(20), random_matrix(8)[:, :20], torch.zeros(SIZE)), strict=True
        ):
            p.copy_(values)
    x_1 = normal(4, *IMAGE, generator=generator(1)).float()
    plain = log_likelihood(velocity, x_1, STANDARD)
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            found = log_likelihood(velocity, x_1.clone(), STANDARD)
        torch.testing.assert_close(found.log_prob, plain.log_prob, rtol=0, atol=1e-6)
        assert not found.log_prob.requires_grad
    assert plain.x_0.dtype == torch.float32


def test_a_guided_field_counts_both_its_branches():
    coupled = random_coupling(3)
    field, x_1, c = coupled.field(CondOT()), coupled.target.sample(10, generator()), torch.arange(10) % 2
    guided = Guided(field.velocity, 0.5, convention="extra", null=None)
    found = log_likelihood(guided, x_1, lambda x: field.log_prob(x, 0.0, c), method="euler", nfe=40, condition=c)
    assert found.nfe == guided.evaluations == 40


# --- Hutchinson's estimate


def one_probe_variance(a: Tensor, law: str) -> float:
    """Variance of e^T A e: 2 |S|^2 for normal numbers, 2 (|S|^2 - sum S_ii^2) for signs, with S the symmetric part."""
    s = 0.5 * (a + a.T)
    return float(2 * (s.square().sum() - (s.diagonal().square().sum() if law == "rademacher" else 0)))


@pytest.mark.parametrize("law", ["rademacher", "gaussian"])
def test_hutchinsons_spread_is_the_theorys_and_its_mean_the_trace(law: str):
    """2,000 samples of a linear flow, 8 probes each: the mean within four standard errors, the probes' variance within 10 % of theory."""
    a, x_1 = random_matrix(4), normal(2000, *IMAGE, generator=generator(1))
    exact = log_likelihood(linear(a), x_1[:1], STANDARD, method="rk4", nfe=16)
    found = log_likelihood(linear(a), x_1, STANDARD, divergence=Hutchinson(generator(2), 8, law), method="rk4", nfe=16)
    assert found.standard_error is not None
    assert found.mean_standard_error is not None
    truth = gaussian_log_prob(STANDARD, found.x_0) - a.trace()
    assert float((exact.log_prob - truth[:1]).abs().max()) < 1e-9
    error = found.log_prob - truth
    theory = math.sqrt(one_probe_variance(a, law) / 8)
    assert theory > 0.1
    assert abs(float(error.mean())) < 4 * theory / math.sqrt(2000)
    assert float(error.std()) == pytest.approx(theory, rel=0.1)
    # Mean of variance estimates from 8 probes over 2,000 samples: unbiased, its own relative standard error about 1.3 %.
    assert float(found.standard_error.square().mean()) == pytest.approx(theory**2, rel=0.1)
    assert found.mean_standard_error == pytest.approx(theory / math.sqrt(2000), rel=0.1)
    assert found.divergence == f"hutchinson, 8 {law} probes"


def test_the_reported_standard_error_covers_the_truth_as_often_as_it_should():
    """A nonlinear field, 1,000 samples, 16 probes: |error| / standard error follows Student's law with 15 degrees of freedom.

    Within 2.131 standard errors for 95 % of the samples: four binomial standard errors, and 1 % for probes' traces not being normal. The mean of the batch lies within four
    of its own.
    """
    x_1 = normal(1000, *IMAGE, generator=generator(6))
    exact = log_likelihood(swirl, x_1, STANDARD, method="midpoint", nfe=8)
    found = log_likelihood(swirl, x_1, STANDARD, divergence=Hutchinson(generator(7), 16), method="midpoint", nfe=8)
    assert found.standard_error is not None
    assert found.mean_standard_error is not None
    torch.testing.assert_close(found.x_0, exact.x_0, rtol=0, atol=1e-12)
    covered = float(((found.log_prob - exact.log_prob).abs() <= 2.131 * found.standard_error).double().mean())
    assert abs(covered - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 1000) + 0.01
    assert abs(found.mean - exact.mean) < 4 * found.mean_standard_error


def test_signs_are_exact_where_the_field_acts_on_each_coordinate_alone():
    """Rademacher: e_i^2 = 1, so that a diagonal du/dx leaves no variance, also where the field is not linear; normal numbers have some."""

    def each(x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        return torch.sin(x) + x * t.reshape(-1, 1, 1, 1)

    x_1 = normal(20, *IMAGE, generator=generator(1))
    exact = log_likelihood(each, x_1, STANDARD, method="heun", nfe=20)
    signs, normals = (
        log_likelihood(each, x_1, STANDARD, divergence=Hutchinson(generator(3), 2, law), method="heun", nfe=20)
        for law in ("rademacher", "gaussian")
    )
    assert signs.standard_error is not None
    torch.testing.assert_close(signs.log_prob, exact.log_prob, rtol=0, atol=1e-10)
    assert float(signs.standard_error.max()) < 1e-10
    assert float((normals.log_prob - exact.log_prob).abs().mean()) > 1


def test_probes_stay_the_same_along_a_trajectory_differ_between_samples_and_come_from_the_generator():
    """Only so are adaptive solvers possible, batches' errors independent and numbers repeatable; a single probe's spread is unknown."""
    a, x_1 = random_matrix(4), normal(3, *IMAGE, generator=generator(1))
    first, again = (
        log_likelihood(linear(a), x_1, STANDARD, divergence=Hutchinson(generator(9), 1), atol=1e-9, rtol=1e-9) for _ in range(2)
    )
    assert torch.equal(first.log_prob, again.log_prob)
    e = Hutchinson(generator(9), 1).draw(x_1)[0].flatten(1)
    assert bool((e.abs() == 1).all())
    assert len(e.unique(dim=0)) == 3
    truth = gaussian_log_prob(STANDARD, first.x_0) - ((e @ a.T) * e).sum(1)
    torch.testing.assert_close(first.log_prob, truth, rtol=0, atol=1e-6)
    assert first.standard_error is not None
    assert bool(first.standard_error.isnan().all())


# --- Priors


@pytest.mark.parametrize("kind", ["number", "variances", "matrix", "matrices"])
def test_a_gaussian_source_has_torchs_density(kind: str):
    shape, x = (2, 3), normal(5, 2, 3, generator=generator())
    mean, root = normal(2, 3, generator=generator(1)), normal(5, 6, 6, generator=generator(2))
    full = root @ root.mT + 0.1 * torch.eye(6, dtype=torch.float64)
    variances = full[0].diagonal().reshape(shape)
    source, dense = {
        "number": (GaussianSource(mean, 0.7), 0.7 * torch.eye(6, dtype=torch.float64).expand(5, 6, 6)),
        "variances": (GaussianSource(mean, variances), torch.diag(variances.flatten()).expand(5, 6, 6)),
        "matrix": (GaussianSource(mean, full[0]), full[:1].expand(5, 6, 6)),
        "matrices": (GaussianSource(mean.expand(5, 2, 3), full, per_sample=True), full),
    }[kind]
    expected = MultivariateNormal(mean.flatten(), dense).log_prob(x.flatten(1))
    torch.testing.assert_close(gaussian_log_prob(source, x), expected, rtol=1e-10, atol=1e-10)


def test_singular_priors_have_no_likelihood():
    x, third = normal(4, 3, generator=generator()), normal(3, 2, generator=generator(3))
    for covariance in (
        torch.ones(3, 3, dtype=torch.float64),
        torch.tensor([1.0, 0.0, 2.0]),
        0.0,
        third @ third.T,  # rank two in three dimensions, singular to rounding only
    ):
        with pytest.raises(ValueError, match="the prior has no density, so there is no likelihood"):
            log_likelihood(lambda x, t, condition=None: -x, x, GaussianSource(0.0, covariance), method="euler", nfe=1)
    for value in (math.inf, -math.inf, math.nan):
        with pytest.raises(ValueError, match=r"log p_0 is .* at x_0\[2\] \(1 of 4 samples\).*shrunken"):
            log_likelihood(lambda x, t, condition=None: -x, x, lambda x, v=value: torch.tensor([0.0, 1.0, v, 2.0]), method="euler", nfe=1)


# --- Bits


@pytest.mark.parametrize("data_range", [(-1.0, 1.0), (0.0, 1.0), (-1.0, 1 + 2 / 255)])
def test_uniform_pixels_under_a_uniform_model_cost_eight_bits(data_range: tuple[float, float]):
    """dx/dt = .3 x carries the uniform law on e^-.3 [low, high]^D to that on [low, high]^D: 256 equal levels, 8 bits exactly."""
    low, high = data_range
    pixels = torch.randint(256, (6, *IMAGE), generator=generator())
    x_1 = dequantise(pixels, generator(1), data_range=data_range, dtype=torch.float64)

    def uniform(x: Tensor) -> Tensor:
        inside = ((x >= low * math.exp(-0.3)) & (x <= high * math.exp(-0.3))).flatten(1).all(1)
        return torch.where(inside, torch.tensor(-SIZE * math.log((high - low) * math.exp(-0.3)), dtype=torch.float64), -math.inf)

    found = log_likelihood(lambda x, t, condition=None: 0.3 * x, x_1, uniform, method="rk4", nfe=80)
    bits = bits_per_dimension(found.log_prob, IMAGE, data_range=data_range)
    torch.testing.assert_close(bits, torch.full((6,), 8.0, dtype=torch.float64), rtol=0, atol=1e-8)


def test_dequantised_pixels_fill_their_own_level():
    pixels = torch.arange(256).repeat(20, 1)
    for low, high in ((-1.0, 1.0), (0.0, 1.0)):
        x = dequantise(pixels, generator(), data_range=(low, high), dtype=torch.float64)
        place = (x - low) / (high - low) * 256 - pixels
        assert float(place.min()) >= 0
        assert float(place.max()) < 1
        assert abs(float(place.mean()) - 0.5) < 4 / math.sqrt(12 * place.numel())
    with pytest.raises(ValueError, match="0 to 255"):
        dequantise(torch.tensor([[256]]), generator())


def test_k_dequantisations_are_averaged_by_name():
    """Density 2 x on [0, 1]: level 0 has probability 2^-16, 16 bits; the mean of -log p is 1 / ln 2 - 1 = .443 bits above it for ever."""
    draws = dequantise(torch.zeros(40_000, 1, dtype=torch.int64), generator(), data_range=(0.0, 1.0), dtype=torch.float64)
    log_prob = torch.log(2 * draws)  # (K, B = 1)
    best = float(bits_per_dimension(log_prob, (1,), data_range=(0.0, 1.0)))
    mean = float(bits_per_dimension(log_prob, (1,), data_range=(0.0, 1.0), average="mean"))
    # u is uniform: std of u over its mean is 1/sqrt 3, and -ln u has std 1; both in bits, four standard errors
    assert abs(best - 16) < 4 / math.sqrt(3 * 40_000) / math.log(2)
    assert abs(mean - (15 + 1 / math.log(2))) < 4 / math.sqrt(40_000) / math.log(2)
    one = bits_per_dimension(log_prob[:1], (1,), data_range=(0.0, 1.0))
    torch.testing.assert_close(one, bits_per_dimension(log_prob[0], (1,), data_range=(0.0, 1.0)))


def test_nats_of_latents_are_the_entropy_of_a_gaussian():
    """E[-log N(x)] / D = ln(2 pi e) / 2 = 1.419, within four standard errors, each sample's being 1/sqrt(2 D)."""
    x = normal(2000, 8, generator=generator())
    nats = nats_per_dimension(gaussian_log_prob(STANDARD, x), (8,))
    assert abs(float(nats.mean()) - 0.5 * math.log(2 * math.pi * math.e)) < 4 / math.sqrt(2 * 8 * 2000)


# --- Refusals


def frozen(x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        return -x


def detached(x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
    return -x.detach() * WEIGHT


WEIGHT = torch.ones(2, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize(
    ("velocity", "x_1", "prior", "words"),
    [
        (frozen, torch.zeros(3, 2), STANDARD, "no gradient in x"),
        (detached, torch.zeros(3, 2, dtype=torch.float64), STANDARD, "no gradient in x"),
        (lambda x, t, condition=None: -x[:, :1], torch.zeros(3, 2), STANDARD, r"velocity returned shape \(3, 1\)"),
        (swirl, torch.full((3, 2), math.nan), STANDARD, "x_1 must be finite"),
        (swirl, torch.zeros(3, 2, dtype=torch.float16), STANDARD, "x_1 has dtype torch.float16"),
        (swirl, torch.zeros(3), STANDARD, r"x_1 has shape \(3,\)"),
        (lambda x, t, condition=None: -x, torch.zeros(3, 2), lambda x: x, r"prior returned shape \(3, 2\)"),
    ],
)
def test_what_has_no_likelihood_is_refused(velocity, x_1, prior, words):
    with pytest.raises(ValueError, match=words):
        log_likelihood(velocity, x_1, prior, divergence=Exact(), method="euler", nfe=2)


def test_arguments_out_of_range_are_refused():
    with pytest.raises(ValueError, match="nfe=7 cannot be used exactly by heun"):
        log_likelihood(lambda x, t, condition=None: -x, torch.zeros(3, 2), STANDARD, method="heun", nfe=7)
    times = torch.tensor([0.0, 0.8, 0.5, 1.0])
    with pytest.raises(ValueError, match="rise strictly, or fall strictly"):
        log_likelihood(lambda x, t, condition=None: -x, torch.zeros(3, 2), STANDARD, method="euler", grid=times)
    with pytest.raises(ValueError, match="probes=0"):
        Hutchinson(generator(), 0)
    with pytest.raises(ValueError, match="did you mean 'rademacher'"):
        Hutchinson(generator(), 1, "radmacher")
    flat = torch.zeros(3)
    with pytest.raises(ValueError, match="did you mean 'log-mean-exp'"):
        bits_per_dimension(flat, (2,), average="logmeanexp")
    with pytest.raises(ValueError, match="data_range"):
        bits_per_dimension(flat, (2,), data_range=(1.0, -1.0))
    with pytest.raises(ValueError, match="levels=0"):
        bits_per_dimension(flat, (2,), levels=0)
    with pytest.raises(ValueError, match="shape"):
        bits_per_dimension(flat, (0,))
    with pytest.raises(ValueError, match=r"\(K, B\)"):
        bits_per_dimension(torch.zeros(2, 2, 2), (2,))


def test_a_field_that_multiplies_by_time_works_in_inference_mode_too():
    """dx/dt = -t x has divergence -t D: log p_1 = log N(x_0) + D / 2 with x_0 = e^(1/2) x_1. t is then part of the graph."""
    x_1 = normal(4, 3, generator=generator(21))
    with torch.inference_mode():
        found = log_likelihood(lambda x, t, condition=None: -x * t[:, None], x_1.clone(), STANDARD)
    truth = -0.5 * math.e * x_1.square().sum(1) - 1.5 * math.log(2 * math.pi) + 1.5
    torch.testing.assert_close(found.log_prob.clone(), truth, rtol=0, atol=1e-6)


def test_the_standard_error_of_the_mean_adds_the_samples_variances():
    found = LogLikelihood(torch.zeros(3), torch.zeros(3, 1), 1, torch.tensor([0.0, 3.0, 4.0]), "hutchinson")
    assert found.mean_standard_error == pytest.approx(5 / 3)


@pytest.mark.parametrize("probes", [2.5, True, "2"])
@pytest.mark.usefixtures("unchecked")
def test_probes_are_counted_in_whole_numbers(probes):
    with pytest.raises(ValueError, match=f"probes={probes!r} must be a whole number of at least 1"):
        Hutchinson(generator(), probes)


@pytest.mark.parametrize("pixels", [[0.5, 3.0], [-0.5, 0.0], [255.5], [256.0], [math.nan, 0.0], [math.inf]])
@pytest.mark.usefixtures("unchecked")
def test_images_that_are_no_pixels_are_not_dequantised(pixels):
    with pytest.raises(ValueError, match="pixels must be whole numbers in 0 to 255"):
        dequantise(torch.tensor(pixels), generator())


@pytest.mark.parametrize("scales", [(1e-10, 1e-10), (1.0, 1e-10), (1e8, 1e-8), (1e-150, 1e-150)])
def test_a_density_does_not_hang_on_the_units(scales):
    """Covariance diag(s) R diag(s), correlation .9: log det and distance by hand. With correlation 1 there is none at any scale."""
    s = torch.tensor(scales, dtype=torch.float64)
    z = normal(4, 2, generator=generator())
    r = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    truth = MultivariateNormal(torch.zeros(2, dtype=torch.float64), r).log_prob(z) - s.log().sum()
    torch.testing.assert_close(gaussian_log_prob(GaussianSource(0.0, s[:, None] * r * s), s * z), truth, rtol=1e-9, atol=1e-9)
    for third in normal(50, 3, 2, generator=generator(1)):  # of rank two in three dimensions; Cholesky's pivots alone would let some pass
        units = torch.tensor([*scales, 1.0], dtype=torch.float64)
        with pytest.raises(ValueError, match="no density"):
            gaussian_log_prob(GaussianSource(0.0, units[:, None] * (third @ third.T) * units), torch.zeros(1, 3))


def test_of_no_points_there_is_no_density():
    for covariance in (1.0, torch.eye(3), torch.ones(3)):
        assert gaussian_log_prob(GaussianSource(0.0, covariance), torch.zeros(0, 3)).shape == (0,)
