"""Conversions: against the closed form of a Gaussian source and a Gaussian-mixture target, round trips, both ends, and refusals."""

import inspect
import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from lab.conversions import QUANTITIES, GaussianSource, Undetermined, convert
from lab.paths import CondOT, Cosine, Path, Polynomial, VarianceExploding, VariancePreserving

D = 4
FINITE = (CondOT(), Cosine(), Polynomial(1), Polynomial(2), Polynomial(1.5))
UNBOUNDED = (VariancePreserving(), VarianceExploding())
ALL = (*FINITE, CondOT(sigma_min=0.05), *UNBOUNDED)
PAIRS = [(given, wanted) for given in QUANTITIES for wanted in QUANTITIES if given != wanted]


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def spd(*lead: int, seed: int) -> Tensor:
    a = numbers(*lead, D, D, seed=seed)
    return a @ a.mT / D + 0.3 * torch.eye(D, dtype=torch.float64)


@dataclass(frozen=True)
class World:
    """N(m, C) to a mixture of three Gaussians, independently coupled: posterior moments by conditioning Gaussians, score by autograd."""

    m: Tensor  # (D,) or (B, D)
    C: Tensor  # (D, D) or (B, D, D)

    def truth(self, x: Tensor, t: Tensor, path: Path) -> dict[str, Tensor]:
        """Velocity, data, noise and score at x (B, D) and times t (B,)."""
        weights, mu = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), 2 * numbers(3, D, seed=1)
        Sigma = 0.4 * spd(3, seed=2)
        a, s = path.alpha(t)[:, None, None], path.sigma(t)[:, None, None]
        M = a * mu + s * self.m.reshape(-1, 1, D)
        C = self.C.reshape(-1, 1, D, D)
        V = a[..., None] ** 2 * Sigma + s[..., None] ** 2 * C
        law = MultivariateNormal(M, V)
        point = x.clone().requires_grad_()
        logits = law.log_prob(point[:, None]) + weights.log()
        (score,) = torch.autograd.grad(torch.logsumexp(logits, 1).sum(), point)
        r = torch.softmax(logits, 1).detach()[..., None]
        pull = torch.linalg.solve(V, (x[:, None] - M)[..., None])
        data = (r * (mu + (a[..., None] * Sigma @ pull)[..., 0])).sum(1)
        noise = (r * (self.m.reshape(-1, 1, D) + (s[..., None] * C @ pull)[..., 0])).sum(1)
        # E[dx_t | x_t]; past the last time of VP and VE, d_sigma (finite by convention) multiplies the source's mean alone.
        slope, late = path.sigma_d_sigma(t)[:, None], (t > path.last_time)[:, None]
        spread = (r * (C @ pull)[..., 0]).sum(1)
        drift = path.d_sigma(t)[:, None] * torch.where(late, self.m.expand_as(x), noise) + torch.where(late, slope * spread, 0)
        return {"velocity": path.d_alpha(t)[:, None] * data + drift, "data": data, "noise": noise, "score": score}


WORLDS = {
    "standard": (World(torch.zeros(D, dtype=torch.float64), torch.eye(D, dtype=torch.float64)), GaussianSource()),
    "isotropic": (World(torch.full((D,), 0.7, dtype=torch.float64), 2.25 * torch.eye(D, dtype=torch.float64)), GaussianSource(0.7, 2.25)),
    "diagonal": (
        World(numbers(D, seed=3), torch.diag(torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64))),
        GaussianSource(numbers(D, seed=3), torch.tensor([0.5, 1.0, 2.0, 3.0], dtype=torch.float64)),
    ),
    "full": (World(numbers(D, seed=4), spd(seed=5)), GaussianSource(numbers(D, seed=4), spd(seed=5))),
    "per-sample": (
        World(numbers(6, D, seed=6), spd(6, seed=7)),
        GaussianSource(numbers(6, D, seed=6), spd(6, seed=7), per_sample=True),
    ),
}
CENTRED = (World(torch.zeros(D, dtype=torch.float64), spd(seed=5)), GaussianSource(0.0, spd(seed=5)))


def constant(t: float, count: int = 6) -> Tensor:
    return torch.full((count,), t, dtype=torch.float64)


def close(actual: Tensor, wanted: Tensor, tolerance: float) -> bool:
    return bool(((actual - wanted).abs() <= tolerance * wanted.abs().amax().clamp(min=1)).all())


@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("path", ALL, ids=str)
def test_every_conversion_agrees_with_the_closed_form(path, name):
    """All twelve, at six times from .03 to .97, for every form of the source's covariance."""
    world, source = WORLDS[name]
    t = torch.linspace(0.03, 0.97, 6, dtype=torch.float64)
    x = 1.5 * numbers(6, D, seed=8) * (1 + path.sigma(t)[:, None])
    truth = world.truth(x, t, path)
    for given, wanted in PAIRS:
        actual = convert(truth[given], x, t, path=path, given=given, wanted=wanted, source=source)
        assert close(actual, truth[wanted], 1e-9), (given, wanted)


@pytest.mark.parametrize("path", ALL, ids=str)
def test_round_trips_return_any_prediction(path):
    """To 1e-10 inside, whether or not the prediction is anybody's truth."""
    source = WORLDS["full"][1]
    t = torch.linspace(0.05, 0.95, 40, dtype=torch.float64)
    x, value = numbers(40, D, seed=9), numbers(40, D, seed=10)
    for given, wanted in PAIRS:
        there = convert(value, x, t, path=path, given=given, wanted=wanted, source=source)
        back = convert(there, x, t, path=path, given=wanted, wanted=given, source=source)
        assert close(back, value, 1e-10), (given, wanted)


@pytest.mark.parametrize("path", [CondOT(), Cosine(), VariancePreserving()], ids=str)
def test_formulas_of_the_literature_for_the_standard_source(path):
    """Flow Matching Guide, table 1: v = (d_sigma / sigma) x + (d_alpha - alpha d_sigma / sigma) x_1 and its kin; score = -eps / sigma."""
    t = torch.tensor([0.1, 0.35, 0.6, 0.9], dtype=torch.float64)
    x, value = numbers(4, D, seed=11), numbers(4, D, seed=12)
    a, s, da, ds = (f(t)[:, None] for f in (path.alpha, path.sigma, path.d_alpha, path.d_sigma))

    def to_velocity(given: str) -> Tensor:
        return convert(value, x, t, path=path, given=given, wanted="velocity", source=GaussianSource())

    assert close(to_velocity("data"), ds / s * x + (da - a * ds / s) * value, 1e-12)
    assert close(to_velocity("noise"), da / a * x + (ds - s * da / a) * value, 1e-12)
    assert close(to_velocity("score"), da / a * x + (da * s**2 / a - s * ds) * value, 1e-12)
    assert close(convert(value, x, t, path=path, given="noise", wanted="score", source=GaussianSource()), -value / s, 1e-12)


ENDS = {
    # (given, wanted) pairs that are not determined, with the source known
    "start, d_alpha > 0": {("noise", "data"), ("noise", "velocity"), ("score", "data"), ("score", "velocity")},
    "start, d_alpha = 0": {("noise", "data"), ("score", "data"), ("velocity", "data")},
    "end, finite": {("velocity", "score"), ("data", "score"), ("noise", "score")},
    "end, unbounded": {("data", "score"), ("noise", "score"), ("data", "velocity"), ("noise", "velocity")},
    "nothing": set(),
}
END_CASES = [
    *((p, 0.0, "start, d_alpha > 0") for p in (CondOT(), CondOT(sigma_min=0.05), Cosine(), Polynomial(1))),
    *((p, 0.0, "start, d_alpha = 0") for p in (Polynomial(2), Polynomial(1.5))),
    *((p, 0.0, "nothing") for p in UNBOUNDED),
    *((p, 1.0, "end, finite") for p in FINITE),
    *((p, 1.0, "end, unbounded") for p in UNBOUNDED),
    (CondOT(sigma_min=0.05), 1.0, "nothing"),
]


@pytest.mark.parametrize("name", ["full", "per-sample", "centred"])
@pytest.mark.parametrize(("path", "end", "case"), END_CASES, ids=str)
def test_at_the_ends_each_conversion_is_exact_or_named_undetermined(path, end, case, name):
    """On exact predictions, all twelve at t = 0 and t = 1: what is determined equals the closed form, the rest raises Undetermined."""
    world, source = CENTRED if name == "centred" else WORLDS[name]
    t, x = constant(end), numbers(6, D, seed=13)
    truth = world.truth(x, t, path)
    for given, wanted in PAIRS:
        if (given, wanted) in ENDS[case]:
            with pytest.raises(Undetermined, match=f"{given} does not determine {wanted} at t={end:g} on {path.name}"):
                convert(truth[given], x, t, path=path, given=given, wanted=wanted, source=source)
        else:
            actual = convert(truth[given], x, t, path=path, given=given, wanted=wanted, source=source)
            assert close(actual, truth[wanted], 1e-10), (given, wanted)


@pytest.mark.parametrize("path", UNBOUNDED, ids=str)
def test_between_the_last_time_and_the_data_all_conversions_agree_with_the_closed_form(path):
    """Where d_sigma is held at 1 - 1e-5 and sigma d_sigma is not."""
    world, source = WORLDS["full"]
    t, x = constant(1 - 1e-6), numbers(6, D, seed=14)
    truth = world.truth(x, t, path)
    for given, wanted in PAIRS:
        actual = convert(truth[given], x, t, path=path, given=given, wanted=wanted, source=source)
        assert close(actual, truth[wanted], 1e-6), (given, wanted)  # noise to score divides by sigma = 1e-4, data by sigma^2


@pytest.mark.parametrize("path", FINITE, ids=str)
def test_at_the_data_x_1_is_x_to_the_bit_from_anything_but_itself(path):
    x, value = numbers(6, D, seed=15), numbers(6, D, seed=16)
    for given in ("velocity", "noise", "score"):
        assert torch.equal(convert(value, x, constant(1.0), path=path, given=given, wanted="data", source=GaussianSource(0.3, 2.0)), x)
    for given in ("velocity", "noise"):
        assert torch.equal(convert(value, x, constant(1.0), path=path, given=given, wanted="data"), x)


@pytest.mark.parametrize("path", UNBOUNDED, ids=str)
def test_at_the_data_x_1_is_x_on_unbounded_paths_too(path):
    x, value = numbers(6, D, seed=15), numbers(6, D, seed=16)
    for given in ("velocity", "noise"):
        assert torch.equal(convert(value, x, constant(1.0), path=path, given=given, wanted="data"), x)


def test_a_clean_start_gives_away_the_noise_and_a_velocity_the_data():
    """On CondOT at t = 0: x_0 = x to the bit, E[x_1] = (v - d_sigma x) / d_alpha = v + x."""
    x, value = numbers(6, D, seed=17), numbers(6, D, seed=18)
    for given in ("velocity", "data"):
        assert torch.equal(convert(value, x, constant(0.0), path=CondOT(), given=given, wanted="noise"), x)
    assert torch.equal(convert(value, x, constant(0.0), path=CondOT(), given="velocity", wanted="data"), value + x)


def test_at_a_clean_end_a_noise_prediction_is_taken_at_its_word():
    """Velocity = d_alpha x + d_sigma eps for any eps, and back."""
    x, eps = numbers(6, D, seed=19), numbers(6, D, seed=20)
    for path in (CondOT(), Cosine(), Polynomial(2)):
        velocity = convert(eps, x, constant(1.0), path=path, given="noise", wanted="velocity")
        one = constant(1.0)[:, None]
        assert close(velocity, path.d_alpha(one) * x + path.d_sigma(one) * eps, 1e-14)
        assert close(convert(velocity, x, constant(1.0), path=path, given="velocity", wanted="noise"), eps, 1e-14)


def test_an_x_1_prediction_needs_the_source_to_speak_of_the_noise_at_the_data():
    """x_1 = x says nothing of x_0, but independence does: E[x_0 | x_1] = m. Without the source the error says so."""
    x = numbers(6, D, seed=21)
    source = GaussianSource(0.3, 2.0)
    assert close(convert(x, x, constant(1.0), path=CondOT(), given="data", wanted="noise", source=source), torch.full_like(x, 0.3), 1e-15)
    assert close(convert(x, x, constant(1.0), path=CondOT(), given="data", wanted="velocity", source=source), x - 0.3, 1e-15)
    for wanted in ("noise", "velocity"):
        with pytest.raises(Undetermined, match="GaussianSource"):
            convert(x, x, constant(1.0), path=CondOT(), given="data", wanted=wanted)
        with pytest.raises(Undetermined, match="independent"):
            convert(x, x, constant(1.0), path=CondOT(), given="data", wanted=wanted, source=source, coupling="batch-ot")


def test_in_a_mixed_batch_the_error_lists_the_times_at_fault():
    x = numbers(5, D, seed=22)
    t = torch.tensor([0.0, 0.5, 0.0, 1.0, 0.2], dtype=torch.float64)
    with pytest.raises(Undetermined, match="noise does not determine data at t=0 on cond-ot") as caught:
        convert(x, x, t, path=CondOT(), given="noise", wanted="data")
    assert caught.value.t.tolist() == [0.0, 0.0]
    assert isinstance(caught.value, ValueError)


def test_mixed_batches_give_each_sample_its_own_rule():
    """t = 0, inside and 1 in one batch, each as if alone."""
    x, value = numbers(3, D, seed=23), numbers(3, D, seed=24)
    t, source = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64), GaussianSource(0.3, 2.0)
    for given, wanted in (("velocity", "data"), ("velocity", "noise"), ("data", "noise"), ("data", "velocity"), ("score", "noise")):
        together = convert(value, x, t, path=CondOT(), given=given, wanted=wanted, source=source)
        for i in range(3):
            one = slice(i, i + 1)
            alone = convert(value[one], x[one], t[one], path=CondOT(), given=given, wanted=wanted, source=source)
            assert torch.equal(alone, together[one])


@pytest.mark.parametrize("shape", [(), (2,), (3, 4, 4)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_any_shape_and_dtype_with_one_time_per_sample(shape, dtype):
    """Images need no reshaped t; the result has the dtype of the prediction and is never NaN."""
    x, value = numbers(5, *shape, seed=25).to(dtype), numbers(5, *shape, seed=26).to(dtype)
    t = torch.linspace(0.1, 0.9, 5)
    for path in ALL:
        for given, wanted in PAIRS:
            result = convert(value, x, t, path=path, given=given, wanted=wanted, source=GaussianSource(0.5, 2.0))
            assert result.shape == x.shape
            assert result.dtype == dtype
            if dtype != torch.float16:  # where VE's data prediction leaves its range
                assert torch.isfinite(result).all()


def test_images_with_full_covariance_are_their_flattened_selves():
    world, source = WORLDS["full"]
    t, x = torch.linspace(0.2, 0.8, 6, dtype=torch.float64), numbers(6, D, seed=27)
    truth = world.truth(x, t, Cosine())
    picture = GaussianSource(torch.as_tensor(source.mean).reshape(1, 2, 2), source.covariance)
    image = convert(
        truth["score"].reshape(6, 1, 2, 2), x.reshape(6, 1, 2, 2), t, path=Cosine(), given="score", wanted="velocity", source=picture
    )
    assert close(image.flatten(1), truth["velocity"], 1e-10)


def test_a_square_image_takes_variances_of_its_own_shape():
    """For x (B, 2, 2) a (2, 2) covariance is variances of the pixels, and (4, 4) the full matrix: the same law, the same score."""
    variances = torch.tensor([[0.5, 1.0], [2.0, 3.0]], dtype=torch.float64)
    x, value, t = numbers(3, 2, 2, seed=28), numbers(3, 2, 2, seed=29), constant(0.3, 3)
    results = [
        convert(value, x, t, path=CondOT(), given="velocity", wanted="score", source=GaussianSource(0.0, c))
        for c in (variances, torch.diag(variances.flatten()))
    ]
    assert close(results[0], results[1], 1e-12)


def test_one_variance_per_sample():
    x, value, t = numbers(3, D, seed=30), numbers(3, D, seed=31), constant(0.3, 3)
    each = torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)
    together = convert(value, x, t, path=CondOT(), given="noise", wanted="score", source=GaussianSource(0.0, each, per_sample=True))
    assert close(together, -value / (0.7 * each[:, None]), 1e-12)


def test_conversions_carry_gradients_even_at_the_ends():
    """d noise / d velocity = -t on CondOT, finite where another rule decides."""
    x, value = numbers(3, D, seed=32), numbers(3, D, seed=33).requires_grad_()
    t = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)
    noise = convert(value, x, t, path=CondOT(), given="velocity", wanted="noise", source=GaussianSource())
    (slope,) = torch.autograd.grad(noise.sum(), value)
    assert torch.allclose(slope, -t[:, None].expand(3, D), atol=1e-12)


@pytest.mark.parametrize(("given", "wanted"), [("score", "velocity"), ("velocity", "score"), ("noise", "score"), ("score", "score")])
def test_scores_are_refused_for_mixtures_for_dependent_couplings_and_for_unknown_sources(given, wanted):
    class ClassMixture:
        """Any source but a GaussianSource."""

    x, t = numbers(2, D, seed=34), constant(0.5, 2)
    with pytest.raises(ValueError, match="source=ClassMixture: score conversions need a GaussianSource"):
        convert(x, x, t, path=CondOT(), given=given, wanted=wanted, source=ClassMixture())
    with pytest.raises(ValueError, match="coupling='batch-ot': scores convert only where x_0 is independent of x_1"):
        convert(x, x, t, path=CondOT(), given=given, wanted=wanted, source=GaussianSource(), coupling="batch-ot")
    with pytest.raises(ValueError, match="score conversions need source=GaussianSource"):
        convert(x, x, t, path=CondOT(), given=given, wanted=wanted)


def test_without_scores_any_source_and_coupling_will_do():
    """Velocity, data and noise are two linear equations, whatever the law of (x_0, x_1)."""
    x, value, t = numbers(4, D, seed=35), numbers(4, D, seed=36), constant(0.25, 4)
    for source, coupling in ((None, "independent"), (object(), "independent"), (GaussianSource(1.0, 3.0), "batch-ot")):
        assert close(
            convert(value, x, t, path=CondOT(), given="velocity", wanted="data", source=source, coupling=coupling), x + 0.75 * value, 1e-14
        )
        assert close(
            convert(value, x, t, path=CondOT(), given="velocity", wanted="noise", source=source, coupling=coupling), x - 0.25 * value, 1e-14
        )


def test_the_score_of_a_coupled_flow_is_not_what_the_formula_would_say():
    """Why couplings are refused: x_1 = x_0 ~ N(0, 1) on CondOT stays N(0, 1), score -x; -noise / sigma would be -x / (1 - t)."""
    x, t = numbers(4, 1, seed=37), constant(0.5, 4)
    wrong = convert(x, x, t, path=CondOT(), given="noise", wanted="score", source=GaussianSource())
    assert close(wrong, -2 * x, 1e-14)


def test_bad_arguments_are_refused_by_name():
    plain = inspect.unwrap(convert)  # as it is without the shape checks of the tests
    x, t = numbers(3, 2, seed=38), constant(0.5, 3)
    with pytest.raises(ValueError, match=r"value \(3, 2\) and x \(2, 2\) must have the same shape"):
        plain(x, x[:2], t, path=CondOT(), given="velocity", wanted="data")
    with pytest.raises(ValueError, match=r"t has shape \(2,\); it must be one time per sample, \(3,\)"):
        plain(x, x, t[:2], path=CondOT(), given="velocity", wanted="data")
    with pytest.raises(ValueError, match=r"t=1.5 must lie in \[0, 1\]"):
        convert(x, x, t + 1, path=CondOT(), given="velocity", wanted="data")
    with pytest.raises(ValueError, match=r"wanted='x1' is unknown; it may be velocity, data, noise, score"):
        convert(x, x, t, path=CondOT(), given="velocity", wanted="x1")
    with pytest.raises(ValueError, match="given='epsilon' is unknown"):
        convert(x, x, t, path=CondOT(), given="epsilon", wanted="data")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda: GaussianSource(math.nan), "mean of the source must be finite"),
        (lambda: GaussianSource(0.0, math.inf), "covariance of the source must be finite"),
        (lambda: GaussianSource(0.0, 0.0), "covariance of the source must be positive in every coordinate"),
        (lambda: GaussianSource(0.0, torch.tensor([1.0, -1.0])), "covariance of the source must be positive in every coordinate"),
        (
            lambda: GaussianSource(0.0, torch.tensor([[1.0, 2.0], [2.0, 1.0]])),
            "covariance of the source must be symmetric and positive definite",
        ),
        (
            lambda: GaussianSource(0.0, torch.tensor([[1.0, 0.5], [0.0, 1.0]])),
            "covariance of the source must be symmetric and positive definite",
        ),
        (lambda: GaussianSource(0.0, torch.ones(3)), r"covariance of the source has shape \(3,\); for x \(5, 2\)"),
        (lambda: GaussianSource(torch.zeros(5, 2)), r"mean of the source has shape \(5, 2\); for x \(5, 2\) it must be a number or \(2,\)"),
        (lambda: GaussianSource(torch.zeros(2), per_sample=True), r"mean of the source has shape \(2,\)"),
    ],
)
def test_sources_that_are_no_gaussian_of_that_shape_are_refused(source, message):
    x = torch.zeros(5, 2)
    with pytest.raises(ValueError, match=message):
        convert(x, x, torch.full((5,), 0.5), path=CondOT(), given="noise", wanted="score", source=source())


@pytest.mark.parametrize("path", UNBOUNDED, ids=lambda p: p.name)
@pytest.mark.parametrize("wanted", ["data", "noise"])
def test_past_the_last_time_a_velocity_says_nothing_without_a_source(path, wanted):
    """There d_sigma is held at the last time: the two equations would give an answer, and a wrong one."""
    x, t = numbers(3, D, seed=90), constant(1 - 1e-6, 3)
    with pytest.raises(Undetermined):
        convert(x, x, t, path=path, given="velocity", wanted=wanted)


def test_single_precision_points_get_a_covariance_in_double():
    """D = 16, condition 1e8: C^-1 x of float32 points to the rounding of float32, not of its 1e8-fold."""
    g = torch.Generator().manual_seed(91)
    turn = torch.linalg.qr(torch.randn(16, 16, dtype=torch.float64, generator=g)).Q
    c = turn * torch.logspace(0, -8, 16, dtype=torch.float64) @ turn.T
    c = 0.5 * (c + c.T)
    x = torch.randn(5, 16, dtype=torch.float64, generator=g).float()
    truth = torch.linalg.solve(c, x.double().T).T
    got = GaussianSource(0.0, c).over_covariance(x)
    assert got.dtype == torch.float32
    assert float((got - truth).norm() / truth.norm()) < 1e-6


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("covariance", ["number", "variances", "matrix"])
def test_of_no_points_there_are_no_conversions(per_sample, covariance):
    lead = (0,) if per_sample else ()
    shape = {"number": lead, "variances": (*lead, D), "matrix": (*lead, D, D)}[covariance]
    values = torch.eye(D).expand(shape) if covariance == "matrix" else torch.ones(shape)
    source, x = GaussianSource(0.0, values, per_sample=per_sample), torch.zeros(0, D)
    assert source.times_covariance(x).shape == source.over_covariance(x).shape == (0, D)
    for given in QUANTITIES:
        for wanted in QUANTITIES:
            assert convert(x, x, torch.zeros(0), path=CondOT(), given=given, wanted=wanted, source=source).shape == (0, D)
