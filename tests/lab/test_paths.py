"""Paths: derivatives, ends, the papers' formulas, and refusals."""

import inspect
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from lab.paths import PATHS, CondOT, Cosine, Path, Polynomial, VarianceExploding, VariancePreserving, by_name, expand

ALL = (
    CondOT(),
    CondOT(sigma_min=0.01),
    VariancePreserving(),
    VariancePreserving(beta_min=1.0, beta_max=3.0),
    VarianceExploding(),
    Cosine(),
    Polynomial(1),
    Polynomial(2),
    Polynomial(3.5),
)
UNBOUNDED = (VariancePreserving(), VarianceExploding())
CLEAN = (CondOT(), Cosine(), Polynomial(1), Polynomial(2), Polynomial(3.5))
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
SHAPES = ((), (2,), (3, 4, 4))


def times(last: float = 1.0) -> torch.Tensor:
    """Both ends and 200 times between, drawn uniformly."""
    inside = torch.rand(200, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return torch.cat([torch.zeros(1, dtype=torch.float64), last * inside, torch.full((1,), last, dtype=torch.float64)])


def points(shape: tuple[int, ...], dtype: torch.dtype, seed: int, count: int = 5) -> torch.Tensor:
    return torch.randn(count, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def derivative(f, t: torch.Tensor) -> torch.Tensor:
    t = t.clone().requires_grad_()
    y = f(t)
    return torch.autograd.grad(y.sum(), t)[0] if y.requires_grad else torch.zeros_like(t)


@pytest.mark.parametrize("path", ALL, ids=str)
def test_derivatives_are_those_of_autograd(path):
    """To 1e-10 of their size, at both ends where they are bounded and up to the last time where not."""
    t = times(path.last_time)
    for value, slope in ((path.alpha, path.d_alpha), (path.sigma, path.d_sigma), (lambda t: 0.5 * path.sigma(t) ** 2, path.sigma_d_sigma)):
        wanted = derivative(value, t)
        assert ((slope(t) - wanted).abs() <= 1e-10 * wanted.abs().clamp(min=1)).all()


@pytest.mark.parametrize("path", ALL, ids=str)
def test_the_sampled_velocity_is_the_time_derivative_of_the_sampled_point(path):
    """dx_t = d/dt x_t for images, by forward-mode autograd through `sample` itself."""
    t = 0.01 + 0.98 * torch.rand(5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    x_0, x_1 = points((3, 4, 4), torch.float64, 2), points((3, 4, 4), torch.float64, 3)
    wanted = torch.func.jvp(lambda t: path.sample(x_0=x_0, x_1=x_1, t=t).x_t, (t,), (torch.ones_like(t),))[1]
    assert torch.allclose(path.sample(x_0=x_0, x_1=x_1, t=t).dx_t, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("path", UNBOUNDED, ids=str)
def test_sigma_d_sigma_is_finite_and_right_at_the_data(path):
    """Half the slope of sigma^2 at t = 1: -beta_min / 2 on VP, -sigma_min^2 ln(sigma_max / sigma_min) on VE; one-sided differences too."""
    end = torch.ones(1, dtype=torch.float64)
    exact = -0.05 if isinstance(path, VariancePreserving) else -(0.01**2) * math.log(5000)
    assert path.sigma_d_sigma(end).item() == pytest.approx(exact, rel=1e-12)

    def difference(h: float) -> float:
        return -0.5 * path.sigma(end - h).item() ** 2 / h

    assert 2 * difference(1e-6) - difference(2e-6) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("path", UNBOUNDED, ids=str)
def test_d_sigma_is_held_at_the_last_time(path):
    """d_sigma runs to minus infinity at t = 1; it is evaluated no later than 1 - 1e-5, as in Lipman et al. 2022."""
    assert path.last_time == 1 - 1e-5
    late = torch.tensor([1 - 1e-5, 1 - 1e-6, 1 - 1e-12, 1.0], dtype=torch.float64)
    assert (path.d_sigma(late) == path.d_sigma(late)[0]).all()
    assert path.d_sigma(late)[0] < path.d_sigma(late - 1e-4)[0] < 0


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("path", ALL, ids=str)
def test_nothing_is_ever_nan_or_infinite_and_dtypes_are_kept(path, dtype):
    near = [0, 5e-324, 1e-30, 1e-7, 1e-3, 0.5, 1 - 1e-3, 1 - 1e-4, 1 - 1e-5, 1 - 1e-6, 1 - 1e-7, 1 - 1e-16, 1]
    t = torch.tensor(near + np.linspace(0, 1, 300).tolist(), dtype=torch.float64).to(dtype)
    for function in (path.alpha, path.sigma, path.d_alpha, path.d_sigma, path.sigma_d_sigma, path.ratio, path.time_of_ratio):
        value = function(t)
        assert value.shape == t.shape
        assert value.dtype == dtype
        assert torch.isfinite(value).all(), function
    assert path.alpha(t.reshape(-1, 1)).shape == (len(t), 1)
    x = points((2,), dtype, 4, count=len(t))
    sample = path.sample(x_0=x, x_1=-x, t=t)
    assert torch.isfinite(sample.x_t).all()
    assert torch.isfinite(sample.dx_t).all()
    assert torch.isfinite(path.start(x)).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("path", ALL, ids=str)
def test_clean_ends_are_exact_to_the_bit(path, shape, dtype):
    x_0, x_1 = points(shape, dtype, 5), points(shape, dtype, 6)
    for time_dtype in (dtype, torch.float32):
        zeros, ones = torch.zeros(5, dtype=time_dtype), torch.ones(5, dtype=time_dtype)
        start, end = path.sample(x_0=x_0, x_1=x_1, t=zeros), path.sample(x_0=x_0, x_1=x_1, t=ones)
        assert start.x_t.shape == start.dx_t.shape == x_0.shape
        assert start.x_t.dtype == start.dx_t.dtype == dtype
        assert torch.equal(start.t, zeros)
        assert path.clean_start == torch.equal(start.x_t, x_0)
        assert path.clean_end == torch.equal(end.x_t, x_1)
        if path.clean_start:
            assert torch.equal(path.start(x_0), x_0)


def test_which_ends_are_clean():
    """All start at the prior but VP and VE; all end at the data but CondOT with sigma_min > 0."""
    assert [p.clean_start for p in ALL] == [True, True, False, False, False, True, True, True, True]
    assert [p.clean_end for p in ALL] == [True, False, True, True, True, True, True, True, True]
    one = torch.ones(1, dtype=torch.float64)
    assert all(path.alpha(one).item() == 1 for path in ALL)
    assert CondOT(sigma_min=0.01).sigma(one).item() == pytest.approx(0.01, rel=1e-14)


def test_half_precision_times_serve_double_points_in_double():
    """Coefficients are computed in the wider of the two dtypes: t = 1/4 is exact in half precision, so x_t has double's accuracy."""
    x_0, x_1 = points((2,), torch.float64, 7), points((2,), torch.float64, 8)
    t = torch.full((5,), 0.25, dtype=torch.float16)
    sample = Cosine().sample(x_0=x_0, x_1=x_1, t=t)
    assert torch.allclose(sample.x_t, math.sin(math.pi / 8) * x_1 + math.cos(math.pi / 8) * x_0, rtol=1e-14, atol=1e-14)


def test_vp_starts_with_a_trace_of_the_data():
    """alpha(0) = exp(-(0.1 / 4 + 20 / 4)) = exp(-5.025) = .00657: the start share."""
    zero = torch.zeros(1, dtype=torch.float64)
    assert VariancePreserving().alpha(zero).item() == pytest.approx(math.exp(-5.025), rel=1e-14)
    assert VariancePreserving().alpha(zero).item() == pytest.approx(0.00657, abs=5e-6)
    x = points((2,), torch.float64, 9)
    assert torch.allclose(VariancePreserving().start(x), math.sqrt(1 - math.exp(-10.05)) * x, rtol=1e-12)


def test_ve_starts_from_the_prior_fifty_times_wider():
    """sigma(0)^2 = sigma_max^2 - sigma_min^2, and the data are never scaled."""
    x = points((3, 4, 4), torch.float64, 10)
    assert torch.allclose(VarianceExploding().start(x), math.sqrt(50**2 - 0.01**2) * x, rtol=1e-12)
    assert (VarianceExploding().alpha(times()) == 1).all()


def test_vp_is_lipmans_equation_19_with_beta_integrated_numerically():
    """alpha_t = exp(-1/2 integral of beta from 0 to 1 - t), beta(s) = .1 + 19.9 s; alpha^2 + sigma^2 = 1."""
    path = VariancePreserving()
    for t in (0.0, 0.1, 0.37, 0.8, 0.99, 1.0):
        integral = quad(lambda s: 0.1 + s * (20 - 0.1), 0, 1 - t)[0]
        time = torch.tensor([t], dtype=torch.float64)
        assert path.alpha(time).item() == pytest.approx(math.exp(-0.5 * integral), rel=1e-12)
        assert path.sigma(time).item() == pytest.approx(math.sqrt(1 - math.exp(-integral)), rel=1e-9)
    t = times()
    assert (path.alpha(t) ** 2 + path.sigma(t) ** 2 - 1).abs().max() < 1e-14
    assert (Cosine().alpha(t) ** 2 + Cosine().sigma(t) ** 2 - 1).abs().max() < 1e-14


def test_vp_keeps_its_digits_next_to_the_data():
    """sigma(1 - s)^2 = .1 s + ... : at s = 1e-10, where 1 - alpha^2 has five digits left, sigma keeps its."""
    s = 2.0**-33  # 1 - s is exact
    integral = 0.1 * s + 0.5 * 19.9 * s**2
    sigma = VariancePreserving().sigma(torch.tensor([1 - s], dtype=torch.float64)).item()
    assert sigma == pytest.approx(math.sqrt(integral), rel=1e-9, abs=0)  # -expm1(-i) = i (1 - i / 2), i = 1e-11


def test_ve_keeps_its_digits_next_to_the_data():
    """sigma(1 - s)^2 = sigma_min^2 (exp(i) - 1), i = 2 s ln(sigma_max / sigma_min): at s = 1e-10, where exp(i) - 1 has seven digits left, sigma keeps its."""
    s = 2.0**-33  # 1 - s is exact
    i = 2 * s * math.log(5000)
    sigma = VarianceExploding().sigma(torch.tensor([1 - s], dtype=torch.float64)).item()
    assert sigma == pytest.approx(0.01 * math.sqrt(i * (1 + i / 2)), rel=1e-13, abs=0)


def test_ve_is_lipmans_equation_18_with_the_diffusion_integrated_numerically():
    """sigma_t^2 = integral of g(s)^2 from 0 to 1 - t, g^2 = d/ds (sigma_min (sigma_max / sigma_min)^s)^2 (Song et al. 2021, appendix C)."""
    path, ratio = VarianceExploding(), 50 / 0.01
    for t in (0.0, 0.2, 0.63, 0.9, 1.0):
        variance = quad(lambda s: 2 * math.log(ratio) * 0.01**2 * ratio ** (2 * s), 0, 1 - t, epsabs=0, epsrel=1e-12)[0]
        assert path.sigma(torch.tensor([t], dtype=torch.float64)).item() == pytest.approx(math.sqrt(variance), rel=1e-10)


def test_condot_is_lipmans_equation_20():
    t = times()
    assert torch.equal(CondOT().alpha(t), t)
    assert (CondOT(sigma_min=0.01).sigma(t) - (1 - (1 - 0.01) * t)).abs().max() < 1e-15


def test_polynomial_and_cosine_formulas():
    t = times()
    assert (Polynomial(3).alpha(t) - t * t * t).abs().max() < 1e-15
    assert (Polynomial(3).alpha(t) + Polynomial(3).sigma(t) - 1).abs().max() < 1e-15
    assert (Polynomial(1).sigma(t) - CondOT().sigma(t)).abs().max() == 0
    assert np.abs(Cosine().alpha(t).numpy() - np.sin(np.pi * t.numpy() / 2)).max() < 1e-15
    assert np.abs(Cosine().sigma(t).numpy() - np.cos(np.pi * t.numpy() / 2)).max() < 1e-15


@pytest.mark.parametrize("path", ALL, ids=str)
def test_alpha_rises_sigma_falls(path):
    t = torch.linspace(0, 1, 1001, dtype=torch.float64)
    assert (path.alpha(t).diff() >= 0).all()
    assert (path.sigma(t).diff() < 0).all()
    assert (path.ratio(t).diff() > 0).all()


@pytest.mark.parametrize("path", ALL, ids=str)
def test_time_of_ratio_inverts_ratio(path):
    """In t where the path moves; everywhere in the ratio, which is what SNR-matched grids need; outside its range the nearest end."""
    t = times()
    ratio = path.ratio(t)
    assert (path.ratio(path.time_of_ratio(ratio)) - ratio).abs().max() < 1e-13
    back = path.time_of_ratio(ratio)
    assert back[0] == 0
    assert back[-1] == 1
    slope = derivative(path.ratio, t[1:-1])
    assert ((back - t)[1:-1].abs() * slope).max() < 1e-13
    low, high = ratio.min(), ratio.max()
    outside = torch.stack([low - 0.1, high + 0.1]).reshape(1, 2)
    assert path.time_of_ratio(outside).tolist() == [[0.0, 1.0]]


def test_ratio_on_condot_is_time_itself():
    assert (CondOT().ratio(times()) - times()).abs().max() < 1e-15


def test_paths_by_name_and_the_nearest_name_for_a_wrong_one():
    assert set(PATHS) == {"cond-ot", "vp", "ve", "cosine", "polynomial"}
    assert all(by_name(name).name == name for name in PATHS)
    with pytest.raises(ValueError, match=r"path='condot' is unknown; did you mean 'cond-ot'\? \(there are cond-ot, vp"):
        by_name("condot")


def test_expand_shapes_times_to_multiply_images():
    t = torch.tensor([0.0, 1.0])
    assert expand(t, torch.zeros(2, 3, 4, 4)).shape == (2, 1, 1, 1)
    assert expand(t, torch.zeros(2)).shape == (2,)


@pytest.mark.parametrize("path", [CondOT(), VariancePreserving()], ids=str)
@pytest.mark.parametrize("bad", [-0.01, 1.01, math.nan, math.inf])
def test_times_outside_the_unit_interval_are_refused(path, bad):
    x = torch.zeros(3, 2)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        path.sample(x_0=x, x_1=x, t=torch.tensor([0.5, bad, 0.5]))


def test_wrong_shapes_are_refused():
    x = torch.zeros(3, 2)
    sample = inspect.unwrap(Path.sample)  # as it is without the shape checks of the tests
    with pytest.raises(ValueError, match=r"x_0 \(3, 2\) and x_1 \(4, 2\) must have the same shape"):
        sample(CondOT(), x_0=x, x_1=torch.zeros(4, 2), t=torch.zeros(3))
    with pytest.raises(ValueError, match=r"t has shape \(2,\); it must be one time per sample, \(3,\)"):
        sample(CondOT(), x_0=x, x_1=x, t=torch.zeros(2))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CondOT(sigma_min=-0.1), "sigma_min=-0.1"),
        (lambda: CondOT(sigma_min=1.0), "sigma_min=1.0"),
        (lambda: CondOT(sigma_min=math.nan), "sigma_min=nan"),
        (lambda: Polynomial(0.5), "degree=0.5"),
        (lambda: Polynomial(math.nan), "degree=nan"),
        (lambda: VariancePreserving(beta_min=0.0), "beta_min=0.0"),
        (lambda: VariancePreserving(beta_min=30.0), "beta_max=20.0"),
        (lambda: VarianceExploding(sigma_min=0.0), "sigma_min=0.0"),
        (lambda: VarianceExploding(sigma_max=0.001), "sigma_max=0.001"),
        (lambda: CondOT(math.nan), "sigma_min=nan"),
        (lambda: Polynomial(math.inf), "degree=inf"),
        (lambda: VariancePreserving(beta_max=math.inf), "beta_max=inf"),
        (lambda: VariancePreserving(beta_min=math.inf, beta_max=math.inf), "beta_min=inf"),
        (lambda: VariancePreserving(beta_max=math.nan), "beta_max=nan"),
        (lambda: VarianceExploding(sigma_max=math.inf), "sigma_max=inf"),
        (lambda: VarianceExploding(sigma_min=math.nan), "sigma_min=nan"),
    ],
)
def test_impossible_parameters_are_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("name", ["x_0", "x_1"])
@pytest.mark.usefixtures("unchecked")
def test_whole_numbers_are_refused_and_not_cut_off(name):
    x = torch.ones(3, 2)
    with pytest.raises(ValueError, match=f"{name} is torch.int64; .*{name}.float"):
        CondOT().sample(**({"x_0": x, "x_1": x, "t": torch.full((3,), 0.5)} | {name: x.long()}))
