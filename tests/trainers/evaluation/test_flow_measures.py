"""Straightness, acceleration, cost, solver error and likelihood of a flow that is known in closed form."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lab.likelihood import bits_per_dimension
from lab.paths import VariancePreserving
from tests.trainers.evaluation.stand_in import Affine, affine
from trainers.evaluation.flow_measures import follow, likelihood, solver_error
from trainers.sampling import sample, start

COUNT = 24


@pytest.fixture(scope="module")
def subject() -> Affine:
    return affine()


def particles(subject: Affine) -> tuple[Tensor, Tensor]:
    condition = torch.arange(COUNT) % 10
    return start(subject, torch.arange(COUNT), condition, 3), condition


def test_the_adaptive_flow_ends_where_the_closed_form_says(subject: Affine):
    x_0, condition = particles(subject)
    flow = follow(subject, x_0, condition)
    assert float((flow.ends - subject.ends(x_0, condition)).flatten(1).norm(dim=1).max()) < 1e-4
    assert flow.error < 1e-3
    assert flow.nfe > 20
    assert flow.intervals == 64


def test_on_a_variance_preserving_path_the_flow_starts_at_sigma_and_ends_before_one(subject: Affine):
    import dataclasses

    path = VariancePreserving()
    on_vp = dataclasses.replace(subject, path=path, last_time=path.last_time)
    x_0, condition = particles(subject)
    flow = follow(on_vp, x_0, condition)
    assert float((flow.ends - on_vp.ends(x_0, condition)).flatten(1).norm(dim=1).max()) < 1e-4
    one = sample(on_vp, COUNT, seed=3, solver="euler", nfe=64, condition=condition)
    exact = (one.x.double() - on_vp.ends(x_0, condition)).flatten(1).square().sum(1).mean().sqrt()
    assert abs(solver_error(one.x, flow).rmse - float(exact)) < 1e-3
    assert math.isfinite(flow.acceleration)


def test_straightness_acceleration_and_cost_are_the_closed_forms(subject: Affine):
    x_0, condition = particles(subject)
    flow = follow(subject, x_0, condition)
    t = torch.linspace(0, 1, 20001, dtype=torch.float64)
    r, s = subject.radius(t), subject.deviation
    rate = (s**2 * t - (1 - t)) / r
    bend = (1 + s**2) / r - rate**2 / r
    square = float(x_0.double().square().flatten(1).sum(1).mean())
    straight = float(torch.trapezoid((rate - (s - 1)) ** 2, t)) * square
    curved = float(torch.trapezoid(bend**2, t)) * square
    cost = float((subject.mean(condition).double() + (s - 1) * x_0.double()).square().flatten(1).sum(1).mean())
    assert abs(flow.straightness / straight - 1) < 2e-3
    assert abs(flow.acceleration / curved - 1) < 5e-3
    assert abs(flow.transport_cost / cost - 1) < 1e-5


def test_one_euler_step_is_off_by_the_deviation_times_the_noise_and_finer_ones_by_less(subject: Affine):
    x_0, condition = particles(subject)
    flow = follow(subject, x_0, condition)
    errors = []
    for nfe in (1, 4, 16):
        found = sample(subject, COUNT, seed=3, solver="euler", nfe=nfe, condition=condition)
        assert torch.equal(found.x_0, x_0)
        errors.append(solver_error(found.x, flow))
    known = subject.deviation * float(x_0.double().square().flatten(1).sum(1).mean().sqrt())
    assert abs(errors[0].rmse - known) < 1e-3
    assert all(e.resolved for e in errors)
    assert errors[0].rmse > errors[1].rmse > errors[2].rmse


def test_guidance_moves_the_flow_and_its_evaluations_are_counted_twice(subject: Affine):
    """With scale w the guided field is that of the mean w mu_c + (1 - w) mu, for the field is affine in the mean."""
    x_0, condition = particles(subject)
    plain, guided = follow(subject, x_0, condition), follow(subject, x_0, condition, guidance=2.0)
    mean = 2 * subject.mean(condition) - subject.mean(None)
    assert float((guided.ends - mean.double() - subject.deviation * x_0.double()).flatten(1).norm(dim=1).max()) < 1e-4
    assert guided.nfe % 2 == 0
    assert guided.nfe > 1.5 * plain.nfe


def test_likelihood_is_the_gaussians_own(subject: Affine):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (12, 1, 8, 8), generator=generator).to(torch.uint8)
    condition = torch.arange(12) % 10
    drawn = torch.Generator().manual_seed(5)
    found = likelihood(subject, pixels, condition, generator=drawn, tolerance=1e-7)
    u = torch.rand(pixels.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    x = subject.normalisation.apply((pixels + u) / 127.5 - 1)
    gap = (x - subject.mean(condition).double()) / subject.deviation
    log_p = -0.5 * gap.square().flatten(1).sum(1) - 64 * math.log(subject.deviation) - 32 * math.log(2 * math.pi)
    assert abs(found.nats - float(-log_p.mean() / 64)) < 1e-4  # the Jacobian is a multiple of the identity, for which Hutchinson is exact
    assert found.error is not None
    assert abs(found.error - float((log_p / 64).std() / math.sqrt(12))) < 1e-4
    raw = log_p - 64 * math.log(float(subject.normalisation.spread))
    assert found.bits is not None
    assert abs(found.bits - float(bits_per_dimension(raw, (8, 8), data_range=(-1, -1 + 512 / 255)).mean())) < 1e-3
    assert found.n == 12
    assert "condition" in found.note


def test_on_a_path_that_starts_unclean_the_start_share_is_said(subject: Affine, tmp_path: Path):
    class Still(Affine):
        """On VP, with no velocity at all: the law at the end is that at the start, N(0, sigma(0)^2 I)."""

        def velocity(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
            return 0 * x

    path = VariancePreserving()
    still = Still(subject.means, subject.normalisation, path=path, last_time=path.last_time)
    found = likelihood(
        still, torch.full((3, 1, 8, 8), 128, dtype=torch.uint8), torch.tensor([1, 2, 3]), generator=torch.Generator().manual_seed(1)
    )
    u = torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    first = float(path.sigma(torch.zeros(1, dtype=torch.float64)))
    x = subject.normalisation.apply((128 + u) / 127.5 - 1) / first
    log_p = -0.5 * x.square().flatten(1).sum(1) - 64 * math.log(first) - 32 * math.log(2 * math.pi)
    assert abs(found.nats + float(log_p.mean()) / 64) < 1e-6
    assert "start share" in found.note


def test_ends_are_made_as_exact_as_the_errors_that_they_judge_need_and_no_more(subject: Affine):
    x_0, condition = particles(subject)
    exact = follow(subject, x_0, condition).ends
    far, near = exact + 1.0, exact + 1e-4
    loose = follow(subject, x_0, condition, judged=[far])
    assert loose.tolerance == 1e-4
    assert solver_error(far, loose).resolved
    fine = follow(subject, x_0, condition, judged=[far, near])
    assert 1e-6 <= fine.tolerance < 1e-4
    assert solver_error(near, fine).resolved or fine.tolerance == 1e-6
    coarse = follow(subject, x_0, condition, judged=[near], finest=1e-4)
    assert coarse.tolerance == 1e-4
    assert loose.nfe == coarse.nfe < fine.nfe


def test_at_the_finest_tolerance_ends_are_still_set_beside_those_at_ten_times_it(subject: Affine):
    """1e-5 / 10 is not 1e-6: a further run between the two would differ by nothing, and the ends would pass for perfect."""
    x_0, condition = particles(subject)
    exact = subject.ends(x_0, condition)
    flow = follow(subject, x_0, condition, judged=[exact], finest=1e-6)
    assert flow.tolerance == pytest.approx(1e-6)
    assert flow.error > 0.1 * solver_error(exact, flow).rmse > 1e-9


def test_the_likelihood_says_how_far_off_its_integral_is(subject: Affine):
    class Mixing(Affine):
        """Each pixel also follows its mirror: of such a Jacobian probes tell by chance."""

        def velocity(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
            return super().velocity(x, t, condition) + 0.5 * x.flip(-1)

    mixing = Mixing(subject.means, subject.normalisation)
    pixels = torch.randint(0, 256, (4, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    found = [
        likelihood(mixing, pixels, torch.arange(4), generator=torch.Generator().manual_seed(5), tolerance=tolerance)
        for tolerance in (1e-8, 1e-2, 1e-3)
    ]
    exact, coarse, fine = (f.nats for f in found)
    assert found[2].integration_error > 0.999 * abs(coarse - fine) > 0  # by the same probes, of which another draw is off by far more
    assert abs(fine - exact) < 3 * found[2].integration_error < 0.02
    assert found[2].summary()["tolerance"] == 1e-3
