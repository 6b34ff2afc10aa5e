"""Classifier-free guidance: its two conventions, its cost, and the gap between conditional and unconditional field against closed forms."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from lab.guidance import Guided, guidance_gap, null_condition
from lab.paths import CondOT
from lab.solvers import FIXED_STEP, evaluations_per_call, evaluations_per_step, solve
from tests.toy.scenes import class_plan, class_prior, gaussian, generator, normal, random_coupling, ring_strips
from toy.field import MixtureField
from toy.mixtures import Mixture

COUNT = 400
CLASSES = torch.arange(COUNT) % 8
FIELD = MixtureField(gaussian(), ring_strips())
X, T = 2 * normal(COUNT, 2, generator=generator()), torch.full((COUNT,), 0.4, dtype=torch.float64)


def extra(w: float, field=FIELD.velocity, **options) -> Guided:
    return Guided(field, w, convention="extra", null=None, **options)


def scale(s: float, field=FIELD.velocity, **options) -> Guided:
    return Guided(field, s, convention="scale", null=None, **options)


class Recorded:
    """A field that keeps the conditions of its calls; linear in them, so that results are known by hand: u = -x + condition."""

    def __init__(self) -> None:
        self.calls: list[Tensor | None] = []

    def __call__(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        self.calls.append(condition)
        return -x if condition is None else -x + condition.reshape(len(x), -1)[:, :1].to(x.dtype)


# --- The field


@pytest.mark.parametrize("w", [-1.0, -0.5, 0.0, 0.5, 3.0])
def test_both_conventions_name_one_field(w: float):
    """(1 + w) c - w u = u + s (c - u) for s = 1 + w; at w = -1 it is the unconditional field."""
    c, u = FIELD.velocity(X, T, CLASSES), FIELD.velocity(X, T)
    for guided in (extra(w), scale(1 + w)):
        torch.testing.assert_close(guided(X, T, CLASSES), c + w * (c - u), rtol=0, atol=1e-12)
    assert float((c - u).abs().max()) > 1


@pytest.mark.parametrize("guided", [extra(0.0), scale(1.0)], ids=["extra", "scale"])
def test_off_is_the_conditional_field_itself_and_costs_what_it_costs(guided: Guided):
    assert guided.is_off
    assert guided.evaluations_per_call == 1
    assert torch.equal(guided(X, T, CLASSES), FIELD.velocity(X, T, CLASSES))
    assert guided.evaluations == 1
    assert len(solve(guided, X, method="euler", nfe=8, condition=CLASSES).t) == 9


def test_guidance_of_gaussian_classes_has_its_closed_form():
    """Classes N(+-m, s^2 I) from N(0, I): u_c - u = r m' with r the other class's posterior and m' = 2 m (1 - g t), g = (t s^2 - (1 - t)) / V."""
    target, m, s2 = two_classes()
    field, t = MixtureField(gaussian(), target), 0.3
    V, c = (1 - t) ** 2 + t**2 * s2, torch.arange(COUNT) % 2
    sign = 1 - 2 * c.double()[:, None]
    g = (t * s2 - (1 - t)) / V
    conditional = sign * m + g * (X - t * sign * m)
    other = torch.sigmoid(-2 * t * (X @ m)[:, None] * sign / V)
    expected = conditional + 0.7 * other * 2 * sign * m * (1 - g * t)
    torch.testing.assert_close(extra(0.7, field.velocity)(X, torch.full_like(T, t), c), expected, rtol=0, atol=1e-10)


def test_a_null_class_or_embedding_is_what_the_unconditional_call_sees():
    recorded, x = Recorded(), torch.zeros(3, 2)
    Guided(recorded, 1.0, convention="extra", null=10)(x, T[:3], torch.tensor([0, 1, 2]))
    assert torch.equal(recorded.calls[1], torch.tensor([10, 10, 10]))  # type: ignore[arg-type]
    embedding = torch.arange(12.0).reshape(3, 4)
    for null in (torch.full((4,), 7.0), torch.full((3, 4), 7.0)):
        found = Guided(recorded, 1.0, convention="extra", null=null)(x, T[:3], embedding)
        seen = recorded.calls[-1]
        assert seen is not None
        assert torch.equal(seen, torch.full((3, 4), 7.0))
        # 2 c - u with c the embedding's first number, u = 7
        assert torch.equal(found[:, 0], 2 * embedding[:, 0] - 7)
    assert null_condition(None, embedding) is None
    assert null_condition(10, torch.tensor([1], dtype=torch.int32)).dtype == torch.int32


def test_images_are_guided_like_points():
    recorded = Recorded()
    field = lambda x, t, condition=None: recorded(x.flatten(1), t, condition).view_as(x)  # noqa: E731
    x, t = normal(4, 3, 2, 2, generator=generator()), torch.tensor([0.1, 0.4, 0.6, 0.9], dtype=torch.float64)
    found = Guided(field, 3.0, convention="scale", null=0, interval=(0.3, 0.7))(x, t, torch.full((4,), 5))
    # u = -x, c = -x + 5; guided -x + 15 for the two samples inside the interval
    added = torch.tensor([5.0, 15.0, 15.0, 5.0], dtype=torch.float64).reshape(4, 1, 1, 1)
    torch.testing.assert_close(found, -x + added)


# --- Its cost


@pytest.mark.parametrize("method", FIXED_STEP)
def test_a_guided_solver_counts_two_evaluations_per_call(method: str):
    """nfe is the budget of the network: guided Euler at 8 takes 4 steps, and the network is called 8 times."""
    recorded = Recorded()
    guided = Guided(recorded, 0.5, convention="extra", null=None)
    nfe = 24
    run = solve(guided, X[:5], method=method, nfe=nfe, condition=CLASSES[:5])
    assert evaluations_per_call(guided) == 2
    assert run.nfe == guided.evaluations == len(recorded.calls) == nfe
    assert len(run.t) - 1 == nfe // (2 * evaluations_per_step(method))
    assert len(solve(guided, X[:5], method="euler", nfe=8, condition=CLASSES[:5]).t) - 1 == 4


def test_adaptive_solvers_count_both_branches_too():
    recorded = Recorded()
    run = solve(Guided(recorded, 0.5, convention="extra", null=None), X[:5], method="dopri5", condition=CLASSES[:5])
    assert run.nfe == len(recorded.calls)


def test_guiding_a_guided_field_costs_twice_as_much():
    inner = Recorded()
    outer = Guided(Guided(inner, 0.5, convention="extra", null=None), 1.0, convention="extra", null=0)
    outer(X[:5], T[:5], CLASSES[:5])
    assert outer.evaluations_per_call == outer.evaluations == len(inner.calls) == 4


def test_outside_its_interval_guidance_rests_and_costs_nothing():
    """Euler with 10 steps, guided from t = .3 to .6: the states follow the conditional field before, and 4 of 10 calls cost two."""
    recorded = Recorded()
    guided = Guided(recorded, 2.0, convention="extra", null=None, interval=(0.25, 0.65))
    run = solve(guided, X[:5], method="euler", nfe=20, condition=CLASSES[:5])
    assert len(recorded.calls) == guided.evaluations == 14
    assert run.nfe == 14  # of a budget of 20, two per call
    plain = solve(Recorded(), X[:5], method="euler", nfe=10, condition=CLASSES[:5])
    torch.testing.assert_close(run.x[:4], plain.x[:4], rtol=0, atol=0)
    assert float((run.x[4] - plain.x[4]).abs().max()) > 0.1
    ends = Guided(FIELD.velocity, 2.0, convention="extra", null=None, interval=(0.4, 1.0))
    torch.testing.assert_close(ends(X, T, CLASSES), extra(2.0)(X, T, CLASSES), rtol=0, atol=0)  # both ends belong to it


def test_an_interval_holds_its_ends_however_a_grid_rounds_them():
    """Euler's fourth of ten times is .30000000000000004 in float64: four of ten calls cost two in either precision."""
    for x in (X[:5], X[:5].float()):
        guided = Guided(lambda x, t, c: x, 2.0, convention="extra", null=None, interval=(0.0, 0.3))
        assert solve(guided, x, method="euler", nfe=20, condition=CLASSES[:5]).nfe == 14


@pytest.mark.usefixtures("unchecked")
def test_the_gap_of_a_field_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"returned shape \(5, 1\)"):
        guidance_gap(lambda x, t, c: x[:, :1], X[None, :5], torch.tensor([0.5]), CLASSES[:5], null=None)


# --- What there is left for guidance to do


def two_classes() -> tuple[Mixture, Tensor, float]:
    """Classes at +m and -m with covariance s^2 I, equal weights: the mixture, m and s^2."""
    m, s2 = torch.tensor([1.5, -0.5], dtype=torch.float64), 0.36
    return Mixture([0.5, 0.5], torch.stack((m, -m)), s2 * torch.eye(2, dtype=torch.float64).expand(2, 2, 2), [0, 1]), m, s2


def states(source: Mixture, target: Mixture, times: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Draws of p_t(. | c) on CondOT at all times, from the same pairs, and their classes."""
    g, c = generator(), torch.arange(count) % target.class_count
    x_0 = source.from_normals(normal(count, 2, generator=g), c if source.class_count > 1 else torch.zeros_like(c))
    x_1 = target.from_normals(normal(count, 2, generator=g), c)  # components are classes here
    return torch.stack([t * x_1 + (1 - t) * x_0 for t in times]), c


TIMES = torch.tensor([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0], dtype=torch.float64)


def test_the_gap_of_two_classes_is_the_closed_form():
    """|2 m|^2 (1 - g t)^2 E[r^2], with r = 1 / (1 + exp(2 t m.x / V)) for x ~ N(t m, V I), by quadrature: within four standard errors at n = 4,000."""
    target, m, s2 = two_classes()
    field = MixtureField(gaussian(), target)
    x, c = states(gaussian(), target, TIMES, 4000)
    found = guidance_gap(field.velocity, x, TIMES, c, null=None)
    assert found.n == 4000
    squared = float(m @ m)
    for i, t in enumerate(TIMES.tolist()):
        V = (1 - t) ** 2 + t**2 * s2
        g = (t * s2 - (1 - t)) / V
        z = torch.linspace(-10, 10, 20_001, dtype=torch.float64)
        along = t * squared + math.sqrt(V * squared) * z  # m.x
        weight = torch.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
        other = torch.sigmoid(-2 * t * along / V)
        expected = 4 * squared * (1 - g * t) ** 2 * float(torch.trapezoid(weight * other**2, z))
        speed = m + g * (x[i] * (1 - 2 * c)[:, None] - t * m)  # u(x, t | c) times the class's sign
        assert abs(float(found.absolute[i]) - expected) <= 4 * float(found.standard_error[i]) + 1e-12
        assert float(found.relative[i]) == pytest.approx(float(found.absolute[i] / speed.square().sum(1).mean()), rel=1e-9)
    assert float(found.absolute[0]) == pytest.approx(squared, rel=1e-12)  # x_0 says nothing: |m|^2, without any spread


def test_the_gap_vanishes_from_the_start_where_the_prior_separates_the_classes_and_from_n_0_i_at_the_end_only():
    """Theorem 5 on ring-strips: a conditional prior leaves under 1 % of E|u|^2 at every t; N(0, I) has 16, the radius squared, at t = 0."""
    target = ring_strips()
    own = class_prior(target)
    x, c = states(own, target, TIMES, COUNT)
    separated = guidance_gap(MixtureField(own, target, class_plan(own, target)).velocity, x, TIMES, c, null=None)
    assert float(separated.absolute.max()) < 0.05**2
    assert float(separated.relative.max()) < 0.01
    x, c = states(gaussian(), target, TIMES, COUNT)
    plain = guidance_gap(FIELD.velocity, x, TIMES, c, null=None)
    assert float(plain.absolute[0]) == pytest.approx(16, abs=1e-9)
    assert float(plain.relative[0]) > 0.5
    assert float(plain.absolute[2]) > 1
    assert float(plain.absolute[-1]) < 1e-6


def test_the_gap_along_a_trajectory_is_that_of_the_law():
    """States of the conditional flow have the law p_t(. | c): the gauge on them and on fresh draws agree within four standard errors."""
    target, _, _ = two_classes()
    field, c = MixtureField(gaussian(), target), torch.arange(3000) % 2
    run = solve(field.velocity, normal(3000, 2, generator=generator(5)), method="rk4", grid=TIMES, condition=c)
    along = guidance_gap(field.velocity, run.x, run.t, c, null=None)
    x, c = states(gaussian(), target, TIMES, 3000)
    drawn = guidance_gap(field.velocity, x, TIMES, c, null=None)
    both = (along.standard_error**2 + drawn.standard_error**2).sqrt()
    assert bool(((along.absolute - drawn.absolute).abs() <= 4 * both + 1e-9).all())


def test_the_gap_of_a_field_by_hand():
    """u = -x + condition with null 1: the gap is (c - 1)^2 whatever x, in two coordinates twice that; 0 of 0 is 0."""
    x = torch.zeros(2, 4, 2, dtype=torch.float64)
    found = guidance_gap(Recorded(), x, torch.tensor([0.0, 0.5]), torch.tensor([1, 2, 3, 4]), null=1)
    torch.testing.assert_close(found.absolute, torch.full((2,), 2 * (0 + 1 + 4 + 9) / 4, dtype=torch.float64))
    torch.testing.assert_close(found.relative, torch.full((2,), (0 + 1 + 4 + 9) / (1 + 4 + 9 + 16), dtype=torch.float64))
    spread = torch.tensor([0.0, 2, 8, 18]).std() / 2
    torch.testing.assert_close(found.standard_error, spread.double().expand(2))
    still = guidance_gap(Recorded(), x, torch.tensor([0.0, 0.5]), torch.zeros(4, dtype=torch.int64), null=0)
    assert torch.equal(still.relative, torch.zeros(2, dtype=torch.float64))
    assert bool(guidance_gap(Recorded(), x[:, :1], torch.tensor([0.0, 0.5]), torch.tensor([3]), null=1).standard_error.isnan().all())


def test_a_coupled_scene_is_guided_on_its_own_field():
    """With a coupling and cross-covariances as well: the gap is the mean square of what guidance adds per unit of w."""
    coupled = random_coupling(3)
    field, c = coupled.field(CondOT()), torch.arange(COUNT) % 2
    added = extra(1.0, field.velocity)(X, T, c) - field.velocity(X, T, c)
    found = guidance_gap(field.velocity, X[None], T[:1], c, null=None)
    assert float(found.absolute) == pytest.approx(float(added.square().sum(1).mean()), rel=1e-9)


# --- Refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"convention": "exta"}, "did you mean 'extra'"),
        ({"weight": math.nan}, "weight=nan"),
        ({"weight": math.inf}, "weight=inf"),
        ({"interval": (0.5, 0.5)}, "interval"),
        ({"interval": (-0.1, 0.5)}, "interval"),
        ({"interval": (0.0, 1.5)}, "interval"),
    ],
)
def test_bad_settings_are_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        Guided(FIELD.velocity, **({"weight": 1.0, "convention": "extra", "null": None} | arguments))


@pytest.mark.parametrize(
    ("null", "condition", "words"),
    [
        (None, None, "condition must be given"),
        (3, torch.zeros(COUNT, 4), "class index"),
        (3, torch.zeros(COUNT), "class index"),
        (torch.zeros(5), torch.zeros(COUNT, 4), r"null has shape \(5,\)"),
        (3, "a dog", "condition is a str"),
    ],
)
def test_a_null_that_fits_no_condition_is_refused(null, condition, words):
    with pytest.raises(ValueError, match=words):
        Guided(lambda x, t, condition=None: -x, 1.0, convention="extra", null=null)(X, T, condition)


def test_the_gap_needs_one_state_per_time():
    with pytest.raises(ValueError, match="2 states and t 1 times"):
        guidance_gap(FIELD.velocity, torch.stack((X, X)), TIMES[:1], CLASSES, null=None)


def test_a_field_of_another_shape_is_not_guided():
    with pytest.raises(ValueError, match="velocity returned shape"):
        Guided(lambda x, t, condition=None: x[:, :1], 0.5, convention="extra", null=None)(X[:4], T[:4], CLASSES[:4])


@pytest.mark.parametrize("interval", [(0.0, 1.0), (0.2, 0.6)])
def test_of_no_points_there_is_an_empty_guided_field(interval):
    assert extra(0.5, interval=interval)(X[:0], T[:0], CLASSES[:0]).shape == (0, 2)
    assert solve(extra(0.5, interval=interval), X[:0], method="heun", nfe=8, condition=CLASSES[:0]).x.shape == (3, 0, 2)


@pytest.mark.parametrize("null", [3, np.int64(3), torch.tensor(3)])
def test_a_null_class_may_be_a_number_of_any_kind(null):
    assert torch.equal(null_condition(null, torch.tensor([0, 1], dtype=torch.uint8)), torch.tensor([3, 3], dtype=torch.uint8))


@pytest.mark.parametrize(
    ("null", "words"),
    [
        (True, "null=True must be a whole number: a class, or a tensor"),
        (9.7, "null=9.7 must be a whole number"),
        ("none", "null='none' must be a whole number"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_null_that_is_no_condition_is_refused_at_once(null, words):
    with pytest.raises(ValueError, match=words):
        Guided(FIELD.velocity, 0.0, convention="extra", null=null)


@pytest.mark.parametrize("null", [-1, 256, torch.tensor(-1), torch.tensor(9.7), torch.tensor(math.nan)])
def test_a_null_that_the_conditions_dtype_cannot_hold_is_refused(null):
    with pytest.raises(ValueError, match=r"condition of torch\.uint8"):
        null_condition(null, torch.tensor([0, 1], dtype=torch.uint8))
