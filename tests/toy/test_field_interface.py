"""MixtureField from the outside: types, times, derivatives, extreme scenes, refusals and speed."""

import json
import os
import subprocess
import sys
from pathlib import Path as File
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from lab.paths import CondOT, Path, VarianceExploding, VariancePreserving
from tests.toy.scenes import (
    PATHS,
    Coupled,
    class_plan,
    class_prior,
    each_path,
    field_values,
    gaussian,
    generator,
    normal,
    random_coupling,
    uniform,
)
from toy.field import MixtureField
from toy.mixtures import Mixture

# --- Types, dtypes, derivatives


def test_numpy_in_numpy_out_and_the_dtype_is_kept():
    """float32 points are computed in float64: their results are the float64 results of the same numbers, rounded."""
    coupled = random_coupling(34)
    field, x = coupled.field(CondOT()), normal(30, 2, generator=generator())
    c = torch.arange(30) % 2
    narrow = x.float()
    for evaluate in (
        field.velocity,
        field.score,
        field.log_prob,
        field.responsibilities,
        lambda *a: field.endpoints(*a)[0],
        lambda *a: field.endpoints(*a)[1],
    ):
        for condition in (None, c):
            wide = evaluate(narrow.double(), 0.3, condition)
            kept = evaluate(narrow, 0.3, condition)
            assert wide.dtype == torch.float64
            assert kept.dtype == torch.float32
            assert torch.equal(kept, wide.float())
            read_only = narrow.double().numpy().copy()
            read_only.flags.writeable = False
            array = evaluate(read_only, 0.3, None if condition is None else condition.numpy().astype(np.int32))
            assert isinstance(array, np.ndarray)
            assert array.dtype == np.float64
            assert np.array_equal(array, wide.numpy())
            assert evaluate(narrow.numpy()[::-1], np.float32(0.3), condition).dtype == np.float32


def test_every_way_to_give_a_time_means_the_same():
    coupled = random_coupling(35)
    field, x = coupled.field(PATHS["vp"]), normal(7, 2, generator=generator())
    expected = field.velocity(x, 0.25)
    for t in (
        torch.tensor(0.25),
        torch.tensor([0.25]),
        torch.full((7,), 0.25),
        torch.tensor(0.25).expand(7),
        np.float64(0.25),
        np.full(7, 0.25, np.float32),
    ):
        assert torch.equal(field.velocity(x, t), expected)
    mixed = torch.tensor([0.25, 0.5] * 3 + [0.25])
    torch.testing.assert_close(field.velocity(x, mixed)[::2], expected[::2], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(field.velocity(x, mixed)[1], expected[1])


def test_no_particles_are_no_error():
    field = random_coupling(36).field(CondOT())
    none = torch.zeros(0, 2, dtype=torch.float64)
    for t in (0.5, torch.zeros(0)):
        assert field.velocity(none, t).shape == (0, 2)
        assert field.log_prob(none, t, torch.zeros(0, dtype=torch.int64)).shape == (0,)


def test_many_particles_in_chunks_are_as_few(monkeypatch: pytest.MonkeyPatch):
    """The size of a chunk changes no value, with one time or many, with or without a class."""
    coupled = random_coupling(37)
    field, x = coupled.field(PATHS["cosine"]), normal(101, 2, generator=generator())
    own, c = uniform(101, generator=generator(1)), torch.arange(101) % 2
    cases = [(0.3, None), (own, None), (0.3, c), (own, c)]
    whole = [field_values(field, x, t, k) for t, k in cases]
    monkeypatch.setattr("toy.field.CHUNK", 97)
    monkeypatch.setattr("toy.field.CHUNK_OF_TIMES", 97)
    for (t, k), before in zip(cases, whole, strict=True):
        for name, value in field_values(field, x, t, k).items():
            torch.testing.assert_close(value, before[name], rtol=1e-12, atol=1e-12)


@each_path
def test_autograd_in_x_and_t_agrees_with_differences(path: Path):
    """Central differences of step 1e-5: their own error is about 1e-9 of third derivatives of order ten."""
    coupled = random_coupling(38)
    field, x, h = coupled.field(path), normal(6, 2, generator=generator()) * float(path.sigma(torch.tensor(0.4))), 1e-5
    c = torch.arange(6) % 2
    for evaluate in (field.velocity, field.score, field.log_prob):
        for shape in ((), (6,)):
            t = torch.full(shape, 0.4, dtype=torch.float64).requires_grad_()
            point = x.clone().requires_grad_()
            value = evaluate(point, t, c)
            weight = normal(*value.shape, generator=generator(1))
            d_x, d_t = torch.autograd.grad((weight * value).sum(), (point, t))
            with torch.no_grad():
                over_t = weight * (evaluate(x, 0.4 + h, c) - evaluate(x, 0.4 - h, c)) / (2 * h)
                expected = over_t.sum() if shape == () else over_t.reshape(6, -1).sum(1)
                over_x = [
                    (weight * (evaluate(x + h * e, 0.4, c) - evaluate(x - h * e, 0.4, c))).reshape(6, -1).sum(1) / (2 * h)
                    for e in torch.eye(2).double()
                ]
            size = float(expected.abs().max()) + 1
            torch.testing.assert_close(d_t, expected, rtol=0, atol=1e-6 * size)
            torch.testing.assert_close(d_x, torch.stack(over_x, 1), rtol=0, atol=1e-6 * (1 + float(d_x.abs().max())))


def test_a_remembered_time_can_still_be_differentiated():
    """Coefficients are remembered per time: inference mode, and derivatives in t backwards and forwards, do not meet there."""
    field, x = random_coupling(39).field(CondOT()), normal(5, 2, generator=generator())
    with torch.inference_mode():
        value = field.velocity(x, 0.6)
    point = x.clone().requires_grad_()
    field.velocity(point, 0.6).sum().backward()
    assert bool((point.grad != 0).all())
    t = torch.tensor(0.6, dtype=torch.float64)
    backward = torch.autograd.functional.jacobian(lambda time: field.velocity(x, time), t)
    forward = torch.func.jvp(lambda time: field.velocity(x, time), (t,), (torch.ones_like(t),))[1]
    assert isinstance(backward, Tensor)
    assert float(backward.abs().min()) > 1e-6
    torch.testing.assert_close(forward, backward)
    torch.testing.assert_close(field.velocity(x, 0.6), value)
    # A leaf that repeats one number in memory still has one derivative per particle.
    expanded = torch.tensor(0.6, dtype=torch.float64).expand(5).detach().requires_grad_()
    (each,) = torch.autograd.grad(field.velocity(x, expanded)[:, 0].sum(), expanded)
    torch.testing.assert_close(each, backward[:, 0])


def test_few_times_are_remembered_and_all_are_right(monkeypatch: pytest.MonkeyPatch):
    field, x = random_coupling(40).field(CondOT()), normal(5, 2, generator=generator())
    monkeypatch.setattr("toy.field.CACHED_NUMBERS", 13 * len(field.pairs[0]) * 3)
    times = [0.1, 0.2, 0.3, 0.4, 0.1, 0.2]
    values = [field.velocity(x, t) for t in times]
    assert len(field._cache) <= 3
    assert torch.equal(values[0], values[4])
    assert not torch.equal(values[0], values[1])


# --- Extreme scenes


@each_path
@pytest.mark.parametrize("scale", [0.02, 1.0, 8.0])
def test_nothing_is_nan_however_narrow_or_far(path: Path, scale: float):
    """Prior of scale .02, components of std .02, points at distance 100, a scene a thousand units off, t = 0 and t = 1 on every path."""
    target = Mixture(
        [0.5, 0.3, 0.2], [[4, 0], [-4, 1], [1000, -1000]], np.array([0.02**2, 1e-4, 1.0])[:, None, None] * np.eye(2), [0, 1, 1]
    )
    around = 100 * normal(50, 2, generator=generator())
    x = torch.cat((around, around + 1000, torch.zeros(1, 2).double(), target.means))
    c = torch.arange(len(x)) % 2
    fields = [MixtureField(gaussian(scale), target, path=path)]
    conditional = class_prior(target, scale=scale)
    fields.append(MixtureField(conditional, target, class_plan(conditional, target), path=path))
    for field in fields:
        for t in (0.0, 1e-12, 0.5, path.last_time, 1 - 1e-12, 1.0, torch.linspace(0, 1, len(x))):
            for condition in (None, c):
                for name, value in field_values(field, x, t, condition).items():
                    assert bool(torch.isfinite(value).all()), (name, t)


@pytest.mark.parametrize("path", [VariancePreserving(), VarianceExploding()], ids=["vp", "ve"])
def test_the_unbounded_end_is_finite_and_that_of_the_last_time(path: Path):
    """Where d_sigma is infinite, u is its limit for a centred prior; with a mean or a cross-covariance it is that of the last time."""
    coupled = random_coupling(41)
    x = coupled.target.sample(50, generator=generator())
    shifted, centred = coupled.field(path), MixtureField(gaussian(), coupled.target, path=path)
    assert bool(torch.isfinite(shifted.velocity(x, 1.0)).all())
    nearly = 1 - 1e-9
    torch.testing.assert_close(centred.velocity(x, 1.0), centred.velocity(x, nearly), rtol=1e-6, atol=1e-6)
    d_sigma = float(path.d_sigma(torch.tensor(1.0, dtype=torch.float64)))
    # The unbounded part is d_sigma E[x_0 | x], and E[x_0 | x] tends to the posterior mean of the pair's affine map at sigma = 0.
    source, _ = shifted.endpoints(x, 1.0)
    assert float((shifted.velocity(x, 1.0) / d_sigma - source).norm(dim=1).median()) < 0.02 * float(source.norm(dim=1).median())


def test_a_scene_far_from_the_origin_is_the_same_scene():
    """Moving both mixtures by b moves the field on CondOT and changes nothing else: u'(x + b) = u(x), without loss of digits at b = 1e5."""
    coupled, b = random_coupling(42, spread=0.3), torch.tensor([1e5, -1e5], dtype=torch.float64)
    moved = Coupled(coupled.source.transformed(np.eye(2), b), coupled.target.transformed(np.eye(2), b), coupled.plan, coupled.cross)
    x = normal(50, 2, generator=generator())
    # 1e5 itself is held to 1.5e-11, and one step through the narrowest covariance magnifies that by a hundred.
    torch.testing.assert_close(moved.field(CondOT()).velocity(x + b, 0.7), coupled.field(CondOT()).velocity(x, 0.7), rtol=1e-7, atol=1e-7)


# --- Refusals


def refusal(call, *words: str) -> None:
    with pytest.raises(ValueError, match=words[0]) as caught:
        call()
    for word in words[1:]:
        assert word in str(caught.value)


def test_a_plan_with_wrong_margins_is_refused():
    source, target = random_coupling(43).source, random_coupling(43).target
    plan = torch.outer(source.weights, target.weights)
    swapped = plan[[1, 0, 2]]
    refusal(lambda: MixtureField(source, target, swapped), "plan", "rows", "source")
    refusal(lambda: MixtureField(source, target, plan[:, [1, 0, 2, 3]]), "plan", "columns", "target")
    refusal(lambda: MixtureField(source, target, plan.T), "plan has shape")
    moved = plan.clone()
    moved[0, 0] -= 1
    moved[0, 1] += 1
    refusal(lambda: MixtureField(source, target, moved), "plan", "negative")
    moved[0, 0] = torch.nan
    refusal(lambda: MixtureField(source, target, moved), "plan", "finite")


def test_a_cross_covariance_that_no_joint_law_has_is_refused_by_name():
    """The joint covariance of (x_0, x_1) must be positive semidefinite, at any two scales; a deterministic coupling is just allowed."""
    for small, large in ((1.0, 1.0), (1e-4, 1e4)):
        source, target = gaussian(small), gaussian(large)
        limit = small * large * torch.eye(2, dtype=torch.float64)[None, None]
        MixtureField(source, target, cross=limit)
        refusal(lambda s=source, t=target, c=limit: MixtureField(s, t, cross=1.001 * c), r"cross\[0, 0\]", "positive semidefinite")
        refusal(lambda s=source, t=target, c=limit: MixtureField(s, t, cross=torch.nan * c), "cross", "finite")
    coupled = random_coupling(44)
    refusal(lambda: MixtureField(coupled.source, coupled.target, coupled.plan, coupled.cross[0]), "cross has shape")
    cross = coupled.cross.clone()
    cross[2, 3] *= 10
    refusal(lambda: MixtureField(coupled.source, coupled.target, coupled.plan, cross), r"cross\[2, 3\]")


def test_opposed_points_have_no_velocity_where_they_meet():
    """x_1 = -x_0: everything is at the origin at t = 1/2, which is refused there and fine elsewhere."""
    field = MixtureField(gaussian(), gaussian(), cross=-torch.eye(2, dtype=torch.float64)[None, None])
    x = normal(5, 2, generator=generator())
    refusal(lambda: field.velocity(x, 0.5), "t=0.5", "density")
    torch.testing.assert_close(field.velocity(x, 0.25), -2 / (1 - 2 * 0.25) * x)


def test_bad_points_times_and_classes_are_refused():
    field = random_coupling(45).field(CondOT())
    x = torch.zeros(5, 2, dtype=torch.float64)
    shapes: list[Any] = [torch.zeros(5, 3), torch.zeros(2), torch.zeros(5, 2, 1), np.zeros((5, 1))]
    for bad in shapes:
        refusal(lambda b=bad: field.velocity(b, 0.5), "x has shape")
    refusal(lambda: field.velocity(torch.zeros(5, 2, dtype=torch.int64), 0.5), "x has dtype")
    for t in (torch.zeros(4), torch.zeros(5, 1), torch.linspace(0, 1, 3), np.zeros(2)):
        refusal(lambda b=t: field.velocity(x, b), "t has shape")
    for t in (-0.1, 1.1, float("nan"), torch.tensor([0.0, 0.5, 0.5, 0.5, 2.0])):
        refusal(lambda b=t: field.velocity(x, b), "t=", "0, 1")
    for c in (torch.tensor([0, 1, 2, 0, 1]), torch.full((5,), -1)):
        refusal(lambda b=c: field.velocity(x, 0.5, b), "condition", "0 to 1")
    for c in (torch.zeros(5), torch.zeros(5, dtype=torch.bool), np.zeros(5)):
        refusal(lambda b=c: field.log_prob(x, 0.5, b), "condition has dtype")
    refusal(lambda: field.velocity(x, 0.5, torch.zeros(4, dtype=torch.int64)), "condition has shape")


# --- Speed


def test_folding_is_faster_than_the_plain_formula():
    """The bar is 2.5 times at K = 32, N = 10,000 (tests/bench/field.py measures both in one run); red at half of it: machines are noisy."""
    environment = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")} | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.bench.field"]
    done = subprocess.run(command, env=environment, cwd=File(__file__).parents[2], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert measured["disagreement"] < 1e-9
    assert measured["ratio"] > 1.25, measured
