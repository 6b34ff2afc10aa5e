"""Samples: evaluations counted, the end reached, the same numbers for any batch, classes by their law, guidance."""

import itertools
from typing import Any

import pytest
import torch
from scipy.stats import chi2

from lab.paths import CondOT, VariancePreserving
from lab.priors import Gaussian
from lab.random import uniforms
from lab.solvers import ADAPTIVE, FIXED_STEP, evaluations_per_step, solve
from tests.trainers.priors.caches import gaussian_cache, recipe
from tests.trainers.sampling.gaussians import GaussianData, ddpm
from trainers.diffusion import DIFFUSION
from trainers.methods import Method
from trainers.priors import FittedPrior, fit_prior
from trainers.recipes import by_name
from trainers.sampling import COMPONENT, SOLVERS, labels, sample, start


@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("solver", [*FIXED_STEP, *DIFFUSION])
def test_evaluations_are_those_asked_for_and_guidance_counts_two(solver: str, guidance: float):
    model = ddpm() if solver in DIFFUSION else GaussianData()
    model.classes = 3
    nfe = 24
    made = sample(model, 5, seed=0, solver=solver, nfe=nfe, guidance=guidance, batch=5)
    assert made.nfe == nfe
    assert len(model.seen) == nfe


@pytest.mark.parametrize("solver", [s for s in FIXED_STEP if evaluations_per_step(s) > 1])
def test_a_budget_that_does_not_fit_is_refused_with_the_nearest(solver: str):
    stages = evaluations_per_step(solver)
    with pytest.raises(ValueError, match=f"nearest: {4 * stages} or {5 * stages}"):
        sample(GaussianData(), 2, seed=0, solver=solver, nfe=4 * stages + 1)


@pytest.mark.parametrize("solver", ADAPTIVE)
def test_adaptive_solvers_count_rejected_steps_too(solver: str):
    """A field that is steep in the middle makes steps fail; every call is counted, for each batch by itself."""
    model = GaussianData()
    smooth = model.velocity

    def steep(x, t, condition=None):
        return smooth(x, t) + 50 * torch.exp(-(((t - 0.5) / 0.02) ** 2))[:, None, None, None]

    calls, stages = model.seen, {"dopri5": 6, "dopri8": 13, "bosh3": 3, "adaptive-heun": 1}[solver]
    model.velocity = steep  # pyright: ignore[reportAttributeAccessIssue]
    made = sample(model, 3, seed=0, solver=solver, nfe=None, atol=1e-4, rtol=1e-4)
    assert made.nfe == len(calls)
    # A rejected step goes back in time: some calls are earlier than the latest before them by more than a step's own nodes do.
    starts = [t for i, t in enumerate(calls[2:]) if i % stages == 0]
    assert any(later <= earlier for earlier, later in itertools.pairwise(starts))
    calls.clear()
    assert sample(model, 3, seed=0, solver=solver, nfe=None, atol=1e-4, rtol=1e-4, batch=1).nfe == pytest.approx(len(calls) / 3)


class Constant(GaussianData):
    """dx/dt = 1."""

    def velocity(self, x, t, condition=None):
        self.seen.append(float(t[0]))
        return torch.ones_like(x)


@pytest.mark.parametrize("nfe", [1, 3, 7, 100])
def test_euler_takes_n_steps_from_0_and_ends_at_1(nfe: int):
    model = Constant()
    made = sample(model, 4, seed=1, solver="euler", nfe=nfe, states=True)
    assert model.seen == pytest.approx([k / nfe for k in range(nfe)], abs=1e-6)
    assert torch.allclose(made.x, made.x_0 + 1, atol=1e-5)
    assert made.times is not None
    assert made.times[-1] == 1.0


@pytest.mark.parametrize(("method", "end"), [("condot", 1.0), ("ddpm", 0.999), ("fm-diffusion", 1 - 1e-5), ("score", 1 - 1e-5)])
def test_where_sampling_of_a_method_ends(method: str, end: float):
    made = Method(by_name(f"digits-{method}"), FittedPrior("standard", Gaussian(), {}))
    assert made.last_time == end
    model = Constant(path=made.path, last_time=made.last_time)
    found = sample(model, 2, seed=0, solver="euler", nfe=4, states=True)
    assert found.times is not None
    assert float(found.times[-1]) == pytest.approx(end, abs=1e-12)
    first = float(made.path.sigma(torch.zeros((), dtype=torch.float64)))
    assert torch.allclose(found.x, first * found.x_0 + end, atol=1e-5)


def models() -> dict[str, GaussianData]:
    law = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    given = {"classes": 3, "law": law, "shape": (2, 2, 3)}
    found = {"standard": GaussianData(**given)}
    for kind in ("class-gaussian", "class-mixture"):
        prior = fit_prior(recipe(kind=kind, covariance="full", shrinkage=0.1, components=2), gaussian_cache((2, 2, 3)), None, say=print)  # pyright: ignore[reportArgumentType]
        found[kind] = GaussianData(**given, prior=prior)
    return found


@pytest.mark.parametrize("solver", ["euler", "ddpm"])
@pytest.mark.parametrize("prior", ["standard", "class-gaussian", "class-mixture"])
def test_a_sample_is_the_same_in_any_batch_and_any_count(prior: str, solver: str):
    model = models()[prior]
    if solver == "ddpm":
        model.path, model.last_time, model.ddpm = VariancePreserving(), 0.999, True
    given = {"seed": 5, "solver": solver, "nfe": 6}
    whole = sample(model, 60, **given)
    for part, batch, first, count in ((whole, 7, 0, 60), (whole, 256, 20, 13), (whole, 1, 58, 2)):
        found = sample(model, count, **given, batch=batch, first=first)
        rows = slice(first, first + count)
        assert found.condition is not None
        assert part.condition is not None
        assert found.condition.equal(part.condition[rows])
        assert found.x_0.equal(part.x_0[rows])
        assert torch.allclose(found.x, part.x[rows], atol=1e-6)
    other = sample(model, 60, seed=6, solver=solver, nfe=6)
    assert not torch.isclose(other.x_0, whole.x_0).all(1).any()


def test_classes_follow_their_law():
    law = torch.tensor([0.55, 0.3, 0.1, 0.0, 0.05], dtype=torch.float64)
    counts = torch.bincount(labels(law, torch.arange(20_000), seed=3), minlength=5).double()
    assert counts[3] == 0
    expected = 20_000 * law[law > 0]
    statistic = float(((counts[law > 0] - expected) ** 2 / expected).sum())
    assert statistic < chi2.ppf(0.999, 3)


def test_a_mixture_draws_components_by_its_own_counter():
    """Component k of sample i follows from a uniform number of a stream of its own; x_0 is then that component's, made of the same normal numbers as any prior's."""
    model = models()["class-mixture"]
    mixture, law = model.prior.prior, model.label_law
    assert law is not None
    numbers = torch.arange(300)
    condition = labels(law, numbers, 8)
    first = mixture.components.cumsum(0) - mixture.components
    chosen = first[condition] + mixture.choose(condition, uniforms(8, numbers, 1, COMPONENT)[:, 0])
    z = start(GaussianData(shape=model.shape), numbers, None, 8)
    assert start(model, numbers, condition, 8).equal(mixture.gaussians.from_normals(z.double(), chosen).float())
    assert bool((mixture.owner[chosen] == condition).all())
    share = torch.bincount(chosen, minlength=len(mixture.owner)).double()
    expected = 300 * law[mixture.owner] * mixture.weights
    assert float(((share - expected) ** 2 / expected).sum()) < chi2.ppf(0.999, len(expected) - 1)


@pytest.mark.parametrize("solver", ["heun", "ddpm"])
def test_guidance_1_is_off_bit_for_bit_and_others_are_linear(solver: str):
    model = ddpm() if solver == "ddpm" else GaussianData()
    model.classes = 3
    condition = torch.tensor([0, 1, 2, 2])
    told = sample(model, 4, seed=0, solver=solver, nfe=8, condition=condition)
    assert told.nfe == 8
    assert sample(model, 4, seed=0, solver=solver, nfe=8, condition=condition, guidance=1.0).x.equal(told.x)
    # u(null) + s (u(c) - u(null)) of affine fields with one slope has the mean -1 + s (c + 1).
    scaled, plain = (sample(model, 4, seed=0, solver=solver, nfe=16 * k, condition=condition, guidance=g) for k, g in ((2, 2.0), (1, 1.0)))
    null = sample(model, 4, seed=0, solver=solver, nfe=16, condition=torch.full((4,), 3))
    assert torch.allclose(scaled.x, null.x + 2 * (plain.x - null.x), atol=1e-4)


def test_states_begin_where_the_path_begins_and_end_at_the_sample():
    for model, solver in ((GaussianData(), "heun"), (GaussianData(VariancePreserving(), 1 - 1e-5), "euler"), (ddpm(), "dpm-solver++")):
        made = sample(model, 10, seed=2, solver=solver, nfe=8, batch=4, states=True)
        assert made.states is not None
        assert made.times is not None
        assert len(made.states) == len(made.times)
        first = made.x_0 if solver == "dpm-solver++" else model.path.start(made.x_0)
        assert made.states[0].equal(first)
        assert made.states[-1].equal(made.x)
        assert made.times[0] == 0
        assert bool((made.times.diff() > 0).all())
    assert sample(GaussianData(), 2, seed=0, nfe=2).states is None


# torchdiffeq's bosh3 guesses the middle of a step, through which the states between are drawn, to a lower order than its ends: 60 times coarser here at equal steps.
@pytest.mark.parametrize(("solver", "tolerance", "bound"), [("dopri5", 1e-6, 3e-5), ("bosh3", 1e-7, 1e-3)])
@pytest.mark.parametrize("last_time", [1.0, 0.99])
def test_an_adaptive_trajectory_is_told_at_regular_times_and_costs_nothing(solver: str, tolerance: float, bound: float, last_time: float):
    """Against the exact flow, and bit for bit the samples and evaluations that are made without it; over two batches."""
    model = GaussianData(last_time=last_time)
    given: dict[str, Any] = {"solver": solver, "nfe": None, "atol": tolerance, "rtol": tolerance, "batch": 3}
    plain, told = (sample(model, 5, seed=3, states=states, **given) for states in (False, True))
    assert plain.x.equal(told.x)
    assert plain.nfe == told.nfe
    assert told.states is not None
    assert told.times is not None
    assert told.times.tolist() == pytest.approx([k * last_time / 16 for k in range(17)], abs=1e-15)
    assert told.states[-1].equal(told.x)
    for state, t in zip(told.states, told.times.tolist(), strict=True):
        assert (state - model.flow(told.x_0, 0.0, t)).abs().max() < bound


def test_what_a_model_cannot_be_asked():
    model, told = GaussianData(), GaussianData(classes=3)
    with pytest.raises(ValueError, match=r"solver='huen' is unknown; did you mean 'heun'"):
        sample(model, 1, seed=0, solver="huen")
    assert set(DIFFUSION) < set(SOLVERS)
    with pytest.raises(ValueError, match=r"guidance=2.0 needs a model with conditions"):
        sample(model, 1, seed=0, guidance=2.0)
    with pytest.raises(ValueError, match="condition has 2 entries for 3 samples"):
        sample(told, 3, seed=0, condition=torch.zeros(2, dtype=torch.int64))
    with pytest.raises(ValueError, match="n=0 and batch=256 must be at least 1"):
        sample(told, 0, seed=0)
    with pytest.raises(ValueError, match="nfe=15 cannot be used exactly by euler"):
        sample(told, 2, seed=0, solver="euler", nfe=15, guidance=3.0)


def test_the_exact_flow_of_the_model_is_reached():
    """dopri8 at 1e-7 on CondOT and VP; the field is right only if path, start and end are."""
    for model in (GaussianData(CondOT()), GaussianData(VariancePreserving(), 1 - 1e-5)):
        made = sample(model, 50, seed=0, solver="dopri8", nfe=None, atol=1e-7, rtol=1e-7)
        assert torch.allclose(made.x.double(), model.flow(model.path.start(made.x_0), 0, model.last_time), atol=1e-5)


def test_solve_and_sample_agree():
    model = GaussianData()
    made = sample(model, 3, seed=0, solver="heun", nfe=4, grid="cosine")
    assert made.x.equal(solve(model.velocity, made.x_0, method="heun", nfe=4, grid="cosine").end)
