"""The shift theorem (design, section 4): where only a prior's mean moves, no sample does; its conditions, and each of them dropped.

On the exact field and the lab's own solvers, with no scene between. Numbers quoted are those of shared/facts/conditional-prior.md.
"""

import pytest
import torch
from torch import Tensor

from lab.paths import CondOT, Cosine, Path, Polynomial, VariancePreserving
from lab.solvers import FIXED_STEP, solve
from tests.toy.flows import CLASSES, COUNT, NORMALS, end, optimal_blocks, rms
from tests.toy.scenes import class_plan, class_prior, gaussian, generator, normal, random_coupling, ring_strips
from toy.field import MixtureField
from toy.mixtures import Mixture

GIVEN = torch.tensor([0.0, 0.3, 0.35, 0.6, 1.0], dtype=torch.float64)
GRIDS = {name: name for name in ("uniform", "cosine", "edm", "shifted", "snr")} | {"given": GIVEN}


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS.keys())
@pytest.mark.parametrize("method", FIXED_STEP)
def test_moving_the_prior_of_each_class_moves_no_sample(method: str, grid: str | Tensor):
    """Shift theorem: on CondOT, the field seeing the class, the states differ by (1 - t) m_c and the samples not at all, to 1e-9."""
    target = ring_strips()
    moved = class_prior(target, scale=1.0)
    here = MixtureField(gaussian(), target)
    there = MixtureField(moved, target, class_plan(moved, target))
    m = moved.means[CLASSES]
    nfe = 12 if isinstance(grid, str) else None  # given times fix the budget
    a = solve(here.velocity, NORMALS, method=method, nfe=nfe, grid=grid, condition=CLASSES, path=here.path)
    b = solve(there.velocity, NORMALS + m, method=method, nfe=nfe, grid=grid, condition=CLASSES, path=there.path)
    assert float((a.end - b.end).abs().max()) < 1e-9
    assert float((a.x + (1 - a.t)[:, None, None] * m - b.x).abs().max()) < 1e-9
    assert rms(a.end - a.x[0]) > 3  # something was moved


@pytest.mark.parametrize("method", FIXED_STEP)
def test_one_shift_for_all_needs_no_class(method: str):
    """One global shift moves no sample either where the field sees the position only."""
    target = ring_strips()
    here, there = (MixtureField(gaussian(1.0, m), target) for m in ((0.0, 0.0), (3.0, 2.0)))
    moved = NORMALS + torch.tensor([3.0, 2.0], dtype=torch.float64)
    assert float((end(here, NORMALS, method, 12) - end(there, moved, method, 12)).abs().max()) < 1e-9


def test_the_shift_changes_the_cost_alone():
    """E|x_1 - x_0|^2 falls from 16 + tr Sigma + 2 = 18.66 to tr Sigma + 2 = 2.66 on ring-strips; to 5 standard errors of 100,000 draws."""
    target, n = ring_strips(), 100_000
    moved = class_prior(target, scale=1.0)
    g = generator()
    c = torch.arange(n) % 8
    x_1 = target.from_normals(normal(n, 2, generator=g), c)
    z = normal(n, 2, generator=g)
    trace = 0.15**2 + 0.8**2
    for x_0, expected in ((z, 16 + trace + 2), (z + moved.means[c], trace + 2)):
        cost = (x_1 - x_0).square().sum(1)
        assert abs(float(cost.mean()) - expected) < 5 * float(cost.std()) / n**0.5


@pytest.mark.parametrize("method", FIXED_STEP)
def test_the_shift_theorem_holds_for_optimal_coupling_within_each_class(method: str):
    """When a class's prior moves, squared cost changes by terms of one variable each: the plan and the maps between components stay."""
    g = generator(3)
    modes = torch.tensor([[4.0, 1.5], [4.0, -1.5], [-4.0, 1.0], [-3.0, -2.0]], dtype=torch.float64)
    target = Mixture([0.2, 0.3, 0.4, 0.1], modes, random_coupling(5).target.covariances[:4] * 0.3, [0, 0, 1, 1])
    origin = Mixture([0.25, 0.25, 0.1, 0.4], 0.5 * normal(4, 2, generator=g), random_coupling(6).target.covariances, [0, 0, 1, 1])
    shifts = torch.tensor([[2.0, 3.0], [-3.0, 1.0]], dtype=torch.float64)[origin.classes]
    moved = Mixture(origin.weights, origin.means + shifts, origin.covariances, origin.classes)
    (plan, cross), (moved_plan, moved_cross) = optimal_blocks(origin, target), optimal_blocks(moved, target)
    torch.testing.assert_close(plan, moved_plan, rtol=0, atol=1e-12)
    here, there = MixtureField(origin, target, plan, cross), MixtureField(moved, target, moved_plan, moved_cross)
    component = torch.arange(COUNT) % 4
    z = normal(COUNT, 2, generator=g)
    c = origin.classes[component]
    a = end(here, origin.from_normals(z, component), method, 12, c)
    b = end(there, moved.from_normals(z, component), method, 12, c)
    assert float((a - b).abs().max()) < 1e-9


@pytest.mark.parametrize("path", [Cosine(), Polynomial(2), VariancePreserving()], ids=["cosine", "polynomial", "vp"])
def test_on_other_paths_the_shift_moves_samples(path: Path):
    """sigma must be affine in t: with eight Euler steps and |m| = 3.6 samples move by about one (sees position) or by .2 to .5 (class)."""
    target = ring_strips()
    here, there = (MixtureField(gaussian(1.0, m), target, path=path) for m in ((0.0, 0.0), (3.0, 2.0)))
    moved = NORMALS + torch.tensor([3.0, 2.0], dtype=torch.float64)
    assert rms(end(here, NORMALS) - end(there, moved)) > 0.8
    own = class_prior(target, mean=0.9, scale=1.0)
    sees = MixtureField(own, target, class_plan(own, target), path=path)
    assert rms(end(here, NORMALS, condition=CLASSES) - end(sees, NORMALS + own.means[CLASSES], condition=CLASSES)) > 0.2


def test_with_sigma_min_the_shift_survives_at_that_scale():
    """sigma(1) must be 0: with sigma_min = 1e-4 and |m| = 3.6 every sample moves by 3.6e-4."""
    target = ring_strips()
    here, there = (MixtureField(gaussian(1.0, m), target, path=CondOT(1e-4)) for m in ((0.0, 0.0), (3.0, 2.0)))
    shift = torch.tensor([3.0, 2.0], dtype=torch.float64)
    moved = end(there, NORMALS + shift) - end(here, NORMALS)
    torch.testing.assert_close(moved, (1e-4 * shift).expand_as(moved), rtol=0, atol=1e-9)


def test_a_shift_per_class_that_the_field_does_not_see_moves_samples():
    """The field must see the class: with its class's mean, a prior already separates what N(0, I) leaves to the position."""
    target = ring_strips()
    own = class_prior(target, scale=1.0)
    here, there = MixtureField(gaussian(), target), MixtureField(own, target, class_plan(own, target))
    assert rms(end(here, NORMALS) - end(there, NORMALS + own.means[CLASSES])) > 1.0
