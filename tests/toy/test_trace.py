"""Priors, blocks, worlds and traces: what a scene's numbers are."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from lab import measures
from lab.reference import reference
from lab.solvers import solve
from toy.blocks import PairedField, bures_wasserstein2, class_plan, component_ot, full_ot, gaussian_ot_map, independent_plan
from toy.field import MixtureField
from toy.mixtures import Mixture
from toy.priors import prior_mixture, reduced
from toy.report import table
from toy.scene import Scene
from toy.targets import by_name
from toy.trace import distribution_error, nfe_ladder, trace
from toy.world import draw_data, particles, target_mixture, world

pytestmark = pytest.mark.usefixtures("unchecked")  # shapes are checked where each function is tested; here they would take half of the time


@pytest.mark.parametrize(
    ("sees", "prior", "rmse"),
    [("position", "gaussian", 0.89), ("position", "conditional", 0.23), ("class", "gaussian", 0.24), ("class", "conditional", 0.23)],
)
def test_the_opening_numbers(sees, prior, rmse):
    """The label closes nearly all of the gap, not the prior: the four numbers of the page, within 3 %."""
    traced = trace(Scene(sees=sees, prior=prior))
    assert abs(traced.global_error.rmse / rmse - 1) < 0.03
    assert traced.nfe == 4
    assert traced.global_error.reference_error <= 0.1 * traced.global_error.rmse


def test_the_shift_theorem_shows_in_traces():
    """The start moves, the cost falls from 18.7 to 2.7, not one sample moves."""
    base = Scene(sees="class", prior="conditional", prior_covariance="none", count=400)
    centred, shifted = (trace(replace(base, prior_mean=m)) for m in (0.0, 1.0))
    assert (centred.x[-1] - shifted.x[-1]).abs().max() < 1e-9
    assert centred.transport_cost.coupling == pytest.approx(18.66, abs=0.01)
    assert shifted.transport_cost.coupling == pytest.approx(2.66, abs=0.01)


def test_coupling_cost_is_its_monte_carlo_mean():
    """200,000 independent pairs of bimodal with its conditional prior, within four standard errors."""
    made = world(Scene(target="bimodal", prior="conditional", count=20_000))
    shown = particles(made)
    x_1 = draw_data(made.target, shown.condition, 0, 3)
    # Stratified x_1 goes in step with stratified x_0: shuffle it within its class.
    order = torch.randperm(len(x_1), generator=torch.Generator().manual_seed(0))
    x_1 = x_1[order][torch.argsort(shown.condition[order], stable=True)]
    x_0 = shown.x_0[torch.argsort(shown.condition, stable=True)]
    squared = (x_1 - x_0).square().sum(1)
    from toy.trace import coupling_cost

    assert abs(float(squared.mean()) - coupling_cost(made)) < 4 * float(squared.std()) / len(squared) ** 0.5


def test_the_cost_of_component_transport_is_the_plans_mean_bures_wasserstein_distance():
    from toy.trace import coupling_cost

    made = world(Scene(target="bimodal", prior="conditional-mixture", prior_covariance="isotropic", scale=0.5, coupling="component-ot"))
    assert isinstance(made.field, MixtureField)
    truth = float((made.field.plan * bures_wasserstein2(made.source, made.target)).sum())
    assert abs(coupling_cost(made) - truth) < 1e-9


def test_the_same_seed_gives_the_same_classes_and_normal_numbers_under_every_prior():
    a, b = (particles(world(Scene(prior=p, prior_covariance="none", prior_mean=0.0))) for p in ("gaussian", "conditional"))
    assert torch.equal(a.condition, b.condition)
    assert (a.x_0 - b.x_0).abs().max() < 1e-15
    fewer = particles(world(Scene(count=200)))
    assert torch.equal(fewer.x_0, a.x_0[:200])
    assert torch.bincount(fewer.condition).tolist() == [25] * 8


@pytest.mark.parametrize("prior", ["conditional", "conditional-mixture"])
def test_a_conditional_priors_components_are_stratified_within_each_class(prior):
    made = world(Scene(target="bimodal", prior=prior))
    shown = particles(made)
    assert torch.equal(made.source.classes[shown.component], shown.condition)
    counts = torch.bincount(shown.component, minlength=len(made.source.weights))
    assert (counts - 2000 * made.source.weights).abs().max() <= 1


def test_a_conditional_prior_has_its_classes_moments_and_shapes():
    target = by_name("bimodal")
    full = prior_mixture(Scene(target="bimodal", prior="conditional", scale=2.0), target)
    for c in range(4):
        law = target.of_class(c)
        assert (full.means[c] - law.mean).abs().max() < 1e-12
        assert (full.covariances[c] - 4 * law.covariance).abs().max() < 1e-12
    shapes = {
        s: prior_mixture(Scene(target="bimodal", prior="conditional", prior_covariance=s), target).covariances[0]
        for s in ("none", "isotropic", "diagonal", "pooled")
    }
    own = target.of_class(0).covariance
    assert torch.equal(shapes["none"], torch.eye(2, dtype=torch.float64))
    assert (shapes["isotropic"] - own.trace() / 2 * torch.eye(2, dtype=torch.float64)).abs().max() < 1e-12
    assert (shapes["diagonal"] - torch.diag(own.diagonal())).abs().max() < 1e-12
    assert (shapes["pooled"] - own).abs().max() < 1e-12  # here all classes have the same covariance
    # With as many groups as components, the conditional mixture is the class itself.
    mixed = prior_mixture(Scene(target="bimodal", prior="conditional-mixture"), target)
    x = torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert (mixed.log_prob(x) - target.log_prob(x)).abs().max() < 1e-12


def test_merging_components_keeps_mean_and_covariance():
    target = by_name("spiral")
    for k in (1, 3, 10):
        less = reduced(target, k)
        assert len(less.weights) == k
        assert (less.mean - target.mean).abs().max() < 1e-12
        assert (less.covariance - target.covariance).abs().max() < 1e-11


def test_ring_and_mirrored_priors():
    ring = prior_mixture(Scene(prior="ring", scale=1.5), by_name("moons"))
    assert (ring.covariance - 1.5**2 * torch.eye(2, dtype=torch.float64)).abs().max() < 1e-12
    mirror = prior_mixture(Scene(prior="mirrored"), by_name("two-modes"))
    assert mirror.means.tolist() == [[-4, 1.5], [-4, -1.5]]


def test_fitted_moments_approach_the_exact_ones_and_too_few_are_refused():
    target = by_name("bimodal")
    exact = prior_mixture(Scene(target="bimodal", prior="conditional"), target)
    fitted = prior_mixture(Scene(target="bimodal", prior="conditional", fit_count=100_000), target)
    # Means of 25,000 points of std below 1.3
    assert (exact.means - fitted.means).abs().max() < 5 * 1.3 / 25_000**0.5
    with pytest.raises(ValueError, match="fit_count"):
        prior_mixture(Scene(target="rare-class", prior="conditional", fit_count=50), by_name("rare-class"))


def test_a_class_plan_has_the_mixtures_margins_and_joins_equal_classes_alone():
    target = by_name("rare-class")
    source = prior_mixture(Scene(target="rare-class", prior="conditional-mixture", prior_components=2), target)
    plan = class_plan(source, target)
    assert (plan.sum(1) - source.weights).abs().max() < 1e-12
    assert (plan.sum(0) - target.weights).abs().max() < 1e-12
    assert not plan[source.classes[:, None] != target.classes[None, :]].any()


def test_gaussian_transport_maps_and_distances_are_scipys():
    from scipy.linalg import sqrtm

    g = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2, 2, dtype=torch.float64, generator=g) for _ in range(2))
    s, sigma = a @ a.T, b @ b.T
    m = gaussian_ot_map(s, sigma)
    assert (m @ s @ m - sigma).abs().max() < 1e-10
    assert (m - m.T).abs().max() < 1e-10
    one, two = Mixture([1.0], [[0.0, 1.0]], s[None]), Mixture([1.0], [[2.0, 0.0]], sigma[None])
    truth = 5 + float((s + sigma).trace()) - 2 * np.trace(np.real(sqrtm((s @ sigma).numpy())))
    assert abs(float(bures_wasserstein2(one, two)) - truth) < 1e-9


@pytest.mark.parametrize("per_class", [True, False])
def test_component_transport_is_cheaper_than_independence_keeps_the_margins_and_arrives(per_class):
    target = by_name("bimodal")
    source = prior_mixture(Scene(target="bimodal", prior="conditional-mixture", prior_covariance="none", scale=0.5), target)
    block = component_ot(source, target, per_class=per_class)
    field = MixtureField(source, target, block.plan, block.cross)  # checks margins and joint covariances
    assert (block.plan.sum(0) - target.weights).abs().max() < 1e-12
    if per_class:
        assert (block.plan * (source.classes[:, None] != target.classes[None])).sum() == 0
    x_0 = source.from_normals(torch.randn(4000, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), torch.arange(4000) % 8)
    end = solve(field.velocity, x_0, method="rk4", nfe=256).end
    assert (end.mean(0) - target.mean).abs().max() < 5 * float(target.covariance.diagonal().sqrt().max()) / 4000**0.5
    cost = measures.transport_cost(x_0, end)
    independent = MixtureField(source, target, class_plan(source, target))
    assert cost < measures.transport_cost(x_0, solve(independent.velocity, x_0, method="rk4", nfe=256).end) + 0.05
    with pytest.raises(ValueError, match="several components"):
        component_ot(Mixture([1.0], [[0.0, 0.0]], torch.eye(2)[None]), target, per_class=False)


def test_one_gaussian_under_its_transport_map_moves_straight():
    source = Mixture([0.5, 0.5], [[-20.0, 0.0], [20.0, 0.0]], 0.3 * torch.eye(2).expand(2, 2, 2))
    target = Mixture([0.5, 0.5], [[-20.0, 3.0], [20.0, -1.0]], torch.stack((torch.eye(2), torch.tensor([[2.0, 0.5], [0.5, 1.0]]))))
    block = component_ot(source, target, per_class=False)
    field = MixtureField(source, target, block.plan, block.cross)
    x_0 = source.from_normals(torch.randn(20, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)), torch.arange(20) % 2)
    exact = reference(field.velocity, x_0)
    assert measures.straightness(exact.trajectory, field.velocity).max() < 1e-10
    assert independent_plan(source, target).tolist() == [[0.25, 0.25], [0.25, 0.25]]


def test_full_transport_pairs_the_shown_points_optimally_and_moves_them_straight():
    from scipy.optimize import linear_sum_assignment

    traced = trace(Scene(coupling="full-ot", count=300))
    field = traced.world.field
    assert isinstance(field, PairedField)
    cost = (field.x_0[:, None] - field.x_1[None]).square().sum(-1).numpy()
    rows, columns = linear_sum_assignment(cost)
    assert abs(traced.transport_cost.coupling - cost[rows, columns].mean()) < 1e-9
    assert traced.global_error.max < 1e-10
    assert traced.straightness < 1e-10
    with pytest.raises(ValueError, match="paired particles"):
        field.velocity(field.x_0[:5], 0.5)
    data = draw_data(traced.world.target, traced.condition, 0, 1)
    within = data[full_ot(traced.x_0, data, traced.condition)]
    for c in range(8):
        rows = traced.condition == c
        assert torch.equal(within[rows].sort(0).values, data[rows].sort(0).values)


def test_vp_with_a_conditional_prior_stops_where_its_velocity_is_bounded_and_reports_its_start():
    bounded, stopped = (trace(Scene(path="vp", prior=p, count=300, nfe=16)) for p in ("gaussian", "conditional"))
    assert float(bounded.t[-1]) == 1
    assert float(stopped.t[-1]) == 1 - 1e-5
    assert bounded.shares.start is not None
    assert 0 < bounded.shares.start < 0.5
    assert max(bounded.global_error.reference_error, stopped.global_error.reference_error) < 1e-3
    assert trace(Scene(count=100)).shares.start is None


@pytest.mark.parametrize("solver", ["dopri5", "ab2", "rk4", "ddim"])
@pytest.mark.parametrize("path", ["cond-ot", "ve", "cosine", "polynomial"])
def test_every_solver_and_path_makes_a_finite_trace(solver, path):
    traced = trace(Scene(solver=solver, path=path, nfe=16, count=100))
    numbers = [
        traced.global_error.rmse,
        traced.straightness,
        traced.acceleration,
        traced.w2.value,
        *traced.transport_cost.__dict__.values(),
    ]
    assert all(torch.isfinite(torch.tensor(numbers)))
    assert traced.summary()["nfe"] == traced.nfe
    assert (traced.local_error is None) == (solver == "dopri5")


def test_w2_of_an_accurate_solver_is_near_the_floor_and_of_a_rough_one_is_not():
    fine, rough = (trace(Scene(solver="rk4", nfe=n, sees="class")).w2 for n in (128, 4))
    assert abs(fine.value - fine.floor) < 0.03
    assert rough.value > fine.value


@pytest.mark.parametrize(
    "scene",
    [Scene(), Scene(sees="class", target="bimodal")],
    ids=lambda s: f"{s.target}-{s.prior}-{s.sees}",
)
def test_over_ten_seeds_end_points_of_an_accurate_solver_are_at_the_floor(scene):
    """W2 above the floor, mean over ten seeds at n = 300: within three standard errors. A floor of data stratified beyond what x_0 is would lie far below."""
    differences = torch.tensor(
        [w2.value - w2.floor for w2 in (trace(replace(scene, solver="rk4", nfe=32, count=300, seed=s)).w2 for s in range(10))]
    )
    assert abs(float(differences.mean())) < 3 * float(differences.std()) / 10**0.5


def test_the_ladder_of_a_scene_falls_and_adaptive_solvers_have_none():
    ladder = nfe_ladder(trace(Scene(prior="conditional", sees="class", count=300, nfe=64)))
    assert all(a > b for a, b in zip(ladder.rmse, ladder.rmse[1:], strict=False))
    assert ladder.order is not None
    assert abs(ladder.order - 1) < 0.2
    with pytest.raises(ValueError, match="chooses its own"):
        nfe_ladder(trace(Scene(solver="dopri5", count=50)))


def test_separation_moves_modes_apart():
    assert (target_mixture(Scene(separation=2.0)).means - 2 * by_name("ring-strips").means).abs().max() < 1e-12


def test_wrong_class_counts_ends_in_another_class_than_the_exact_ends():
    """Not in another than the particle's own: where the field does not see the class, an exact solver has none wrong although most particles end elsewhere."""
    rough, fine = (trace(Scene(solver="rk4", nfe=n, count=400)) for n in (4, 512))
    ends, exact = (rough.world.target.class_log_prob(x).argmax(1) for x in (rough.x[-1], rough.reference.trajectory.x[-1]))
    assert rough.wrong_class == float((ends != exact).double().mean()) > 0.02
    assert float((exact != rough.condition).double().mean()) > 0.5
    assert fine.wrong_class < 0.005


def test_full_transport_of_a_field_that_sees_the_class_stays_within_classes():
    made = world(Scene(coupling="full-ot", sees="class", count=200))
    field, shown = made.field, particles(made)
    assert isinstance(field, PairedField)
    assert torch.equal(field.condition, shown.condition)
    assert torch.equal(made.target.class_log_prob(field.x_1).argmax(1), shown.condition)
    for c in range(8):
        rows = shown.condition == c
        cost = (field.x_0[rows][:, None] - field.x_1[rows][None]).square().sum(-1).numpy()
        from scipy.optimize import linear_sum_assignment

        assert abs(cost.trace() - cost[linear_sum_assignment(cost)].sum()) < 1e-9


def test_the_coupling_share_is_what_the_exact_flow_lacks_and_arises_for_blind_transport_alone():
    """A field that is told the class, trained on batch OT that was blind to it: W2 of the exact flow's ends, above the floor in squares."""
    blind = trace(Scene(coupling="batch-ot", sees="class", count=400))
    whole = distribution_error(blind.world, blind.condition, blind.reference.trajectory.x[-1])
    assert blind.shares.coupling == pytest.approx((whole.value**2 - whole.floor**2) ** 0.5)
    assert blind.shares.coupling is not None
    assert 0.5 < blind.shares.coupling < whole.value
    told = [trace(replace(blind.scene, coupling="class-batch-ot")), trace(replace(blind.scene, sees="position"))]
    assert [t.shares.coupling for t in told] == [None, None]


def test_the_table_says_the_numbers_of_the_trace():
    traced = trace(Scene(count=100))
    error, words = traced.global_error, " ".join(table(traced).split())
    assert f"{error.rmse:.4g} RMSE; median {error.median:.3g}, max {error.max:.3g}; reference off by" in words
    assert f"wrong class {100 * traced.wrong_class:.3g} %" in words


@pytest.mark.parametrize("coupling", ["independent", "component-ot", "full-ot"])
def test_every_coupling_has_a_start_share_on_vp_and_none_on_a_clean_start(coupling):
    """The paired field of full OT moves every particle by its own pair: its start share is |alpha(0) x_1| whatever the solver, .0066 times the data's RMS."""
    scene = Scene(prior="ring", coupling=coupling, path="vp", count=200)
    traced = trace(scene)
    assert traced.shares.start is not None
    if coupling == "full-ot":
        field = traced.world.field
        assert isinstance(field, PairedField)
        alpha = float(traced.world.path.alpha(torch.zeros(1, dtype=torch.float64)))
        assert traced.shares.start == pytest.approx(alpha * float(field.x_1.square().sum(1).mean().sqrt()), rel=1e-6)
    else:
        assert traced.shares.start > 1e-3
    assert trace(replace(scene, path="cond-ot")).shares.start is None
