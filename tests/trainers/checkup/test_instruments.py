"""The instruments on a flow that is known in closed form: N(0, I) to N(mu_c, s^2 I) on cond-ot, x(t) = t mu_c + r(t) x_0 with r^2 = (1 - t)^2 + t^2 s^2."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lab.paths import VariancePreserving
from lab.solvers import Trajectory
from tests.trainers.checkup.nets import sent, unet
from tests.trainers.evaluation.stand_in import Affine, affine
from trainers.checkup import Asked, Checkup, check_up, load_foreign
from trainers.checkup.exact import judged
from trainers.sampling import labels, start

N, S = 12, 0.4
ASKED = Asked(n=N, seed=5, nfe=(1, 2, 3, 4, 8, 16, 32, 64))


@pytest.fixture(scope="module")
def model() -> Affine:
    return affine(deviation=S)


@pytest.fixture(scope="module")
def found(model: Affine) -> Checkup:
    return check_up(model, ASKED)


def r(t: Tensor) -> Tensor:
    return ((1 - t) ** 2 + (S * t) ** 2).sqrt()


def r_slope(t: Tensor) -> Tensor:
    return ((S**2 + 1) * t - 1) / r(t)


def drawn(model: Affine) -> tuple[Tensor, Tensor, float]:
    """The means (n, 64) that samples are told, their x_0 (n, 64), and mean |x_0|^2."""
    numbers = torch.arange(N)
    assert model.label_law is not None
    told = labels(model.label_law, numbers, 5)
    x_0 = start(model, numbers, told, 5).double().flatten(1)
    return model.means[told].double().flatten(1), x_0, float(x_0.square().sum(1).mean())


def integral(values: Tensor, t: Tensor) -> float:
    return float(torch.trapezoid(values, t))


def test_the_exact_flow_ends_where_the_closed_form_does_and_says_how_far_off_it_is(model: Affine, found: Checkup):
    mu, x_0, _ = drawn(model)
    ends = mu + S * x_0
    off = (found.ends["exact"].flatten(1) - ends).norm(dim=1).square().mean().sqrt()
    assert float(off) < 5e-4
    assert float(off) < 20 * found.exact.error
    spread = math.sqrt(float((ends - ends.mean(0)).square().sum()) / (N - 1))
    assert found.exact.spread == pytest.approx(spread, rel=1e-4)
    assert found.exact.error <= 0.1 * ASKED.error * spread
    assert found.transport_cost == pytest.approx(float((mu + (S - 1) * x_0).square().sum(1).mean()), rel=1e-4)


def test_at_the_finest_tolerance_the_error_is_still_one_to_ten_times_it(model: Affine):
    """1e-5 / 10 is not 1e-6: a further run between the two would differ by nothing, and the exact flow would pass for perfect."""
    found = check_up(model, Asked(n=4, nfe=(2,), solvers=("euler",), error=1e-7, finest=1e-6))
    told = labels(torch.full((10,), 0.1, dtype=torch.float64), torch.arange(4), 0)
    off = (found.ends["exact"] - model.ends(start(model, torch.arange(4), told, 0), told)).flatten(1).norm(dim=1).square().mean().sqrt()
    assert found.exact.error > 0.5 * float(off) > 1e-8
    assert found.notes[0].startswith("the exact ends are themselves off by")


def test_eulers_errors_are_those_of_its_own_closed_form(model: Affine, found: Checkup):
    """On a linear flow Euler multiplies: x_n = mu + x_0 times the product of 1 + h r'/r, exactly on the mean's straight line."""
    _, _, square = drawn(model)
    ladder = found.ladders[0]
    assert (ladder.method, ladder.nfe) == ("euler", ASKED.nfe)
    for n, error in zip(ladder.nfe, found.relative(ladder), strict=True):
        t = torch.arange(n, dtype=torch.float64) / n
        product = float((1 + r_slope(t) / r(t) / n).prod())
        assert error * found.exact.spread == pytest.approx(abs(product - S) * math.sqrt(square), rel=2e-3, abs=5e-4)


def test_orders_of_convergence_are_the_solvers(model: Affine):
    """Midpoint's second-order term vanishes on this flow, so it is left out."""
    asked = Asked(n=2, nfe=(64, 128, 256, 512), solvers=("euler", "heun"), finest=1e-8, error=1e-5)
    orders = {ladder.method: ladder.order for ladder in check_up(model, asked).ladders}
    assert orders["euler"] == pytest.approx(1, abs=0.05)
    assert orders["heun"] == pytest.approx(2, abs=0.1)


def test_the_evaluations_needed_are_the_first_of_the_ladder_within_the_wished_error(found: Checkup):
    for ladder in found.ladders:
        errors = dict(zip(ladder.nfe, found.relative(ladder), strict=True))
        needed = found.needed[ladder.method]
        assert needed is not None
        assert errors[needed] <= ASKED.error
        assert all(error > ASKED.error for n, error in errors.items() if n < needed)
    assert found.needed["heun"] == 4
    assert found.needed["euler"] == 32


def test_an_error_that_no_budget_reaches_needs_more_than_them_all(model: Affine):
    found = check_up(model, Asked(n=3, nfe=(1, 2), solvers=("euler",), error=1e-3))
    assert found.needed == {"euler": None}
    assert set(found.ends) == {"exact"}


def test_local_errors_are_one_steps_from_the_exact_state(model: Affine, found: Checkup):
    _, _, square = drawn(model)
    t = torch.arange(16, dtype=torch.float64) / 16
    expected = (r(t + 1 / 16) - r(t) - r_slope(t) / 16).abs() * math.sqrt(square)
    assert torch.equal(found.local.t, t)
    assert torch.allclose(found.local.rmse, expected, rtol=0.02, atol=2e-3)
    other = check_up(model, Asked(n=3, nfe=(4,), solvers=("rk4",), local_steps=10)).local
    assert torch.allclose(other.t, torch.arange(10, dtype=torch.float64) / 10)


def test_straightness_acceleration_and_efficiency_are_those_of_the_closed_form(model: Affine, found: Checkup):
    mu, x_0, square = drawn(model)
    t = torch.linspace(0, 1, 4001, dtype=torch.float64)
    assert found.straightness == pytest.approx(square * integral((r_slope(t) - (S - 1)) ** 2, t), rel=2e-3)
    second = S**2 / r(t) ** 3  # r'' of the hyperbola
    assert found.acceleration == pytest.approx(square * integral(second**2, t), rel=5e-3)
    middles, values = found.acceleration_along
    assert torch.allclose(values, square * (S**2 / r(middles) ** 3) ** 2, rtol=2e-2)
    length = (mu[None] + r_slope(t)[:, None, None] * x_0[None]).norm(dim=-1)
    expected = float((mu + (S - 1) * x_0).norm(dim=1).mean()) / float(torch.trapezoid(length, t, dim=0).mean())
    assert found.path_efficiency == pytest.approx(expected, rel=1e-3)


def test_the_guidance_gauge_is_the_difference_of_the_means_and_how_much_of_it_is_left(model: Affine, found: Checkup):
    """u(c) - u(null) = (1 - t r'/r) (mu_c - mu_null), at x(t) of the conditional flow, where u(c) = mu_c + r' x_0."""
    mu, x_0, _ = drawn(model)
    gap = found.gap
    assert gap is not None
    assert gap.t.tolist() == [k / 8 for k in range(9)]
    apart = float((mu - model.means.double().mean(0).flatten()).square().sum(1).mean())
    assert torch.allclose(gap.absolute, (1 - gap.t * r_slope(gap.t) / r(gap.t)) ** 2 * apart, rtol=1e-3)
    size = torch.stack([(mu + r_slope(t) * x_0).square().sum(1).mean() for t in gap.t])
    assert torch.allclose(gap.relative, gap.absolute / size, rtol=1e-3)


def test_guidance_counts_twice_and_changes_the_flow(model: Affine):
    found = check_up(model, Asked(n=4, guidance=3.0, nfe=(1, 2, 4, 8), solvers=("euler", "heun")))
    assert [ladder.nfe for ladder in found.ladders] == [(2, 4, 8), (4, 8)]
    plain = check_up(model, Asked(n=4, nfe=(2,), solvers=("euler",)))
    assert found.exact.nfe % 2 == 0
    assert not torch.allclose(found.ends["exact"], plain.ends["exact"], atol=0.1)


def test_without_conditions_there_is_nothing_to_gauge():
    blind = affine(deviation=S, told=False)
    found = check_up(blind, Asked(n=3, nfe=(2,), solvers=("euler",)))
    assert found.gap is None
    assert found.no_gap == "the network is told nothing, so there is nothing to guide towards"
    with pytest.raises(ValueError, match="guidance=2 needs a model with conditions and a null one"):
        check_up(blind, Asked(n=3, guidance=2.0))


def test_on_vp_the_flow_is_followed_to_its_own_end_and_summed_on_a_graded_grid():
    model = affine(deviation=S, path=VariancePreserving(), last_time=0.999)
    found = check_up(model, Asked(n=4, nfe=(8, 16), solvers=("euler",)))
    told = labels(torch.full((10,), 0.1, dtype=torch.float64), torch.arange(4), 0)
    ends = model.ends(start(model, torch.arange(4), told, 0), told)
    assert torch.allclose(found.ends["exact"], ends, atol=2e-3)
    assert float(found.times[-1]) == 0.999
    assert len(found.times) > 200
    assert float(found.local.t[-1]) == pytest.approx(0.999 * 15 / 16)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"n": 1}, "n=1 must be a whole number of at least 2"),
        ({"seed": -1}, "seed=-1 must be"),
        ({"error": 0}, "error=0 must be above 0"),
        ({"error": math.nan}, "error=nan must be above 0"),
        ({"guidance": math.inf}, "guidance=inf must be a number"),
        ({"finest": 0.0}, "tolerance=0.0 must lie between 0 and 0.1"),
        ({"local_steps": 0}, "local-steps=0 must be"),
        ({"solvers": ()}, "solvers must name at least one"),
        ({"solvers": ("huen",)}, "method='huen' is unknown; did you mean 'heun'"),
        ({"solvers": ("dopri5",)}, "a check-up needs a fixed-step solver"),
        ({"nfe": ()}, "must be budgets of at least one evaluation"),
        ({"nfe": (0, 4)}, "must be budgets of at least one evaluation"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(wrong: dict[str, Any], sentence: str, unchecked: None):
    with pytest.raises(ValueError, match=sentence):
        Asked(**wrong)


def test_a_budget_that_no_solver_can_use_is_named(model: Affine):
    with pytest.raises(ValueError, match=r"nfe=\(3,\) holds no budget that rk4 can use exactly"):
        check_up(model, Asked(n=3, nfe=(3,), solvers=("rk4",)))


def test_flows_that_are_not_finite_and_samples_that_are_one_point_are_said(tmp_path: Path):
    body = unet()
    torch.nn.init.constant_(body.conv_out.bias, math.nan)
    with pytest.raises(ValueError, match="the velocity is not finite at t=0; look for NaN in the weights"):
        check_up(load_foreign(sent(body, tmp_path)), Asked(n=2, nfe=(1,), solvers=("euler",)))
    still = Trajectory(torch.ones(2, 3, 1, 4, 4, dtype=torch.float64), torch.tensor([0.0, 1.0]), 7, "dopri5")
    with pytest.raises(ValueError, match="all samples end in one point"):
        judged(still, still, 1e-5)


def test_the_summary_is_json_without_nan_and_holds_the_protocol(found: Checkup):
    told = json.loads(json.dumps(found.summary(), allow_nan=False))
    assert (told["n"], told["seed"], told["wished_error"], told["guidance_scale"]) == (N, 5, 0.05, 1.0)
    assert told["exact"]["relative_reference_error"] == pytest.approx(found.exact.error / found.exact.spread)
    assert told["nfe_needed"] == found.needed
    assert [each["method"] for each in told["solvers"]] == list(ASKED.solvers)
    assert told["solvers"][0]["relative"] == list(found.relative(found.ladders[0]))
