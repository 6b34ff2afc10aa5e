"""What is measured of networks: losses against floors known beforehand, shares of the error, reflow and LOOM round by round."""

import json
from functools import lru_cache

import pytest
import torch

from tests.toy.scenes import generator
from toy.drawn_pairs import draw_pairs
from toy.learning.learner import Learned, train
from toy.learning.options import LearningOptions
from toy.learning.report import NetworkReport, measure_losses, report, summary, table
from toy.mixtures import Mixture
from toy.scene import CUSTOM, Scene
from toy.world import world

pytestmark = pytest.mark.usefixtures("unchecked")  # shapes are checked where each function is tested; here they would take half of the time

QUICK = LearningOptions(iterations=250, width=48, train_batch=128)
N = 12_000


@lru_cache(maxsize=8)
def trained(scene: Scene, options: LearningOptions) -> Learned:
    return train(scene, options)


@lru_cache(maxsize=16)
def reported(scene: Scene, options: LearningOptions, round_: int = -1) -> NetworkReport:
    return report(trained(scene, options), round_=round_, grid=False, pairs=N, ends=400)


def test_the_floor_between_gaussians_is_the_closed_form():
    """E tr Var(x_1 - x_0 | x_t) = 2 s^2 / (t^2 s^2 + (1 - t)^2) for N(0, I) to N(mu, s^2 I), independent pairs, CondOT: a Gaussian conditional variance."""
    variance = 0.49
    made = world(Scene(target=CUSTOM, mixture=Mixture([1.0], [[1.0, -2.0]], [[[variance, 0.0], [0.0, variance]]])))
    pairs = draw_pairs(made, 40_000, generator(1))
    found = measure_losses(made.field.velocity, made.field.velocity, pairs, made)
    for k, b in enumerate(found.bins):
        times = (torch.arange(4, dtype=torch.float64) + 4 * k + 0.5) / 40
        floor = 2 * variance / (times**2 * variance + (1 - times) ** 2)
        assert abs(b.floor - float(floor.mean())) < 4 * b.floor_error
        assert b.floor_error < 0.05 * b.floor
        assert b.excess == b.field_error_squared == 0
    assert found.field_rms == 0


@pytest.mark.parametrize("scene", [Scene(), Scene(sees="class", prior="conditional"), Scene(path="vp", target="two-modes")], ids=str)
def test_loss_above_the_floor_is_the_squared_field_error_for_any_velocity(scene: Scene):
    """E|v - dx|^2 = E|dx - u|^2 + E|v - u|^2, since dx - u is centred given x_t: within four standard errors in every bin."""
    made = world(scene)
    pairs = draw_pairs(made, N, generator(2))
    exact = made.field.velocity

    def wrong(x: torch.Tensor, t: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        return exact(x, t, condition) + 0.7 * torch.sin(x.flip(1) + 3 * t[:, None]) - 0.2

    found = measure_losses(wrong, exact, pairs, made)
    for b in found.bins:
        assert abs(b.excess - b.field_error_squared) < 4 * b.excess_error
        assert b.field_error_squared > 0.1
    assert abs(found.excess - found.field_rms**2) < 4 * found.excess_error
    assert found.field_rms == pytest.approx((sum(r * r for r in found.rms) / len(found.rms)) ** 0.5)


def test_no_loss_falls_below_its_floor():
    for scene in (Scene(), Scene(sees="class", prior="conditional")):
        found = reported(scene, QUICK).losses
        assert found.floor_kind == "exact"
        assert found.excess > -4 * found.excess_error
        assert all(b.excess > -4 * b.excess_error for b in found.bins)
        assert abs(found.excess - found.field_rms**2) < 4 * found.excess_error


def test_a_network_that_is_exact_has_no_model_share():
    """With a conditional prior equal to the target and component OT per class nothing has to move, and the linear start says so already."""
    scene = Scene(sees="class", prior="conditional", coupling="component-ot")
    found = reported(scene, QUICK)
    assert found.model.rmse < 1e-3
    assert found.solver.rmse < 1e-3
    assert found.losses.loss < 1e-6
    assert found.w2.value < 1.2 * found.w2.floor


def test_shares_of_the_error_bound_the_whole():
    """Triangle inequality: the solver's end is no further from the exact one than model and solver share together; and more evaluations shrink the solver's share alone."""
    few, many = (reported(Scene(target="two-modes", nfe=n), QUICK) for n in (4, 32))
    assert few.model == many.model
    assert few.solver.rmse > 4 * many.solver.rmse  # Euler is of first order: 8 in the limit
    assert many.reference_error < 0.01 * many.solver.rmse


def test_reflow_straightens_and_does_not_cost_more():
    """One round makes the flow's pairs cheaper than independent ones (Liu et al. 2022, theorem 3.5) and the next flow straighter."""
    options = LearningOptions(iterations=300, width=64, reflow=1, reflow_pairs=8192, reflow_nfe=32)
    before, after = (reported(Scene(), options, r) for r in (0, 1))
    assert after.straightness < 0.1 * before.straightness
    assert after.transport_cost < 0.6 * before.transport_cost
    assert after.losses.floor_kind == "one-to-one"
    assert after.losses.floor == 0
    assert after.losses.loss == pytest.approx(after.losses.field_rms**2)
    assert after.solver.rmse < 0.5 * before.solver.rmse


def test_loom_is_measured_against_the_field_fitted_to_its_table():
    scene = Scene(target="two-modes", prior="mirrored")
    options = LearningOptions(iterations=120, width=48, train_batch=128, method="loom", data=1024)
    found = reported(scene, options)
    assert found.losses.floor_kind == "fitted"
    assert found.estimate is not None
    assert 0 < found.estimate < 0.5
    assert found.transport_cost < 65.5  # independent pairs: 69.1, optimal ones: 64 for moving each mode straight across
    plain = reported(scene, QUICK)
    assert found.losses.floor < 0.5 * plain.losses.floor
    assert plain.estimate is None


def test_full_ot_is_measured_on_its_own_pairs():
    found = reported(Scene(target="two-modes", coupling="full-ot", count=500), QUICK)
    assert found.losses.pairs == 500
    assert found.losses.floor == 0
    assert found.w2.n == 400
    assert found.model.median < 0.5


def test_the_summary_is_json_and_the_table_reads():
    learned = trained(Scene(), QUICK)
    found = [reported(Scene(), QUICK)]
    printed = json.loads(json.dumps(summary(learned, found), allow_nan=False))
    assert printed["networks"][0]["losses"]["bins"][0]["floor"] == found[0].losses.bins[0].floor
    assert len(printed["networks"][0]["losses"]["bins"]) == 10
    assert printed["learning"]["iterations"] == 250
    assert printed["parameters"] == 9 * 48 + 48 + 2 * (48 * 48 + 48) + 48 * 2 + 2  # 2 coordinates, t and 6 sinusoids: 9 inputs
    text = table(learned, found)
    assert f"{found[0].losses.floor:.4g}" in text
    assert "field error" in text
