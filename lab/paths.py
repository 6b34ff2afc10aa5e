"""Affine probability paths x_t = alpha_t x_1 + sigma_t x_0 between a prior (x_0, t = 0) and data (x_1, t = 1).

All five have alpha rising and sigma falling; alpha(1) = 1. They differ in their ends:

| path                 | alpha(0) | sigma(0) | sigma(1)  | d_sigma(1)           |
|----------------------|----------|----------|-----------|----------------------|
| CondOT               | 0        | 1        | sigma_min | finite               |
| Cosine, Polynomial   | 0        | 1        | 0         | finite               |
| VariancePreserving   | .0066    | .99998   | 0         | minus infinity       |
| VarianceExploding    | 1        | 50       | 0         | minus infinity       |

*Start mismatch.* On VP and VE the law at t = 0 is not the prior: x_t there still contains alpha(0) x_1. A sampler begins from
`path.start(x_0)` = sigma(0) x_0 all the same, as everybody does; what that costs is the *start* share of the error, and likelihoods use
the exact law at t = 0.

*Unbounded end.* Where d_sigma(1) is infinite, sigma d_sigma is not, and `sigma_d_sigma` gives it up to t = 1: that is enough for a
marginal velocity whose prior has mean zero and whose coupling is independent. Everything else stops at `path.last_time` = 1 - 1e-5
(Lipman et al. 2022, appendix D), and `d_sigma` itself is evaluated no later than that, so that no number is ever NaN or infinite.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from lab.checks import check_floating, check_name

UNBOUNDED_LAST_TIME = 1 - 1e-5  # Lipman et al. 2022, appendix D


@dataclass(frozen=True)
class PathSample:
    """A draw from the conditional path: x_t and its velocity dx_t = d_alpha x_1 + d_sigma x_0, shape (B, *shape), at times t (B,)."""

    x_t: Float[Tensor, "b *shape"]
    dx_t: Float[Tensor, "b *shape"]
    t: Float[Tensor, " b"]


class Path:
    """Base of the affine paths. A path is its four functions of t; each takes times of any shape in [0, 1] and keeps shape and dtype."""

    name: ClassVar[str]
    last_time: ClassVar[float] = 1.0  # the last time at which d_sigma is evaluated
    clean_start: ClassVar[bool] = True  # alpha(0) = 0 and sigma(0) = 1: the law at t = 0 is the prior

    @property
    def clean_end(self) -> bool:
        """Whether sigma(1) = 0: the law at t = 1 is the data's."""
        return True

    def alpha(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """Coefficient of the data x_1."""
        raise NotImplementedError

    def sigma(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """Coefficient of the source x_0."""
        raise NotImplementedError

    def d_alpha(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """Derivative of alpha with respect to t."""
        raise NotImplementedError

    def d_sigma(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """Derivative of sigma with respect to t, at min(t, last_time): finite everywhere."""
        raise NotImplementedError

    def sigma_d_sigma(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """sigma times d_sigma = half the derivative of sigma^2: finite and exact on the whole of [0, 1], also where d_sigma is not."""
        return self.sigma(t) * self.d_sigma(t)

    def sample(self, *, x_0: Float[Tensor, "b *shape"], x_1: Float[Tensor, "b *shape"], t: Float[Tensor, " b"]) -> PathSample:
        """x_t = alpha_t x_1 + sigma_t x_0 and its time derivative, for x of any shape (B, *shape) and t (B,) in [0, 1].

        Clean ends are exact: x_0 itself at t = 0 and x_1 itself at t = 1, bit for bit. Coefficients are computed in float32 at least;
        results have the dtype of x_0. On VP and VE dx_t is that of min(t, last_time). Raises ValueError if the shapes differ or a time
        lies outside [0, 1], and for whole numbers x.
        """
        check_floating("x_0", x_0)
        check_floating("x_1", x_1)
        if x_0.shape != x_1.shape:
            raise ValueError(f"x_0 {tuple(x_0.shape)} and x_1 {tuple(x_1.shape)} must have the same shape")
        if t.shape != x_0.shape[:1]:
            raise ValueError(f"t has shape {tuple(t.shape)}; it must be one time per sample, ({x_0.shape[0]},)")
        check_times(t)
        # Half precision cannot hold 1 - t near the data; double x deserve double times.
        time = _at_least_float32(t.to(torch.promote_types(t.dtype, x_0.dtype)))

        def combine(a: Tensor, s: Tensor) -> Tensor:
            return (expand(a, x_1) * x_1 + expand(s, x_0) * x_0).to(x_0.dtype)

        return PathSample(combine(self.alpha(time), self.sigma(time)), combine(self.d_alpha(time), self.d_sigma(time)), t)

    def start(self, x_0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """Where a sampler begins: sigma(0) x_0. The prior sample itself on clean starts (see the module's text for VP and VE)."""
        return x_0 if self.clean_start else x_0 * self.sigma(torch.zeros((), dtype=x_0.dtype, device=x_0.device))

    def ratio(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """alpha / (alpha + sigma): the time of the straight path with the same signal-to-noise ratio; rises from ratio(0) to ratio(1)."""
        alpha = self.alpha(t)
        return alpha / (alpha + self.sigma(t))

    def time_of_ratio(self, ratio: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """Inverse of `ratio`, by bisection to the last bit of float64; ratios outside the path's range give the nearest end."""
        target = ratio.double()
        low, high = torch.zeros_like(target), torch.ones_like(target)
        for _ in range(60):
            middle = 0.5 * (low + high)
            below = self.ratio(middle) < target
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        time = torch.where(target >= self.ratio(torch.ones_like(target)), torch.ones_like(target), 0.5 * (low + high))
        return torch.where(target <= self.ratio(torch.zeros_like(target)), torch.zeros_like(target), time).to(ratio.dtype)


@dataclass(frozen=True)
class CondOT(Path):
    """Straight path: alpha_t = t, sigma_t = 1 - (1 - sigma_min) t.

    Lipman et al. call it the (conditional) optimal-transport path; no coupling is meant. Source: Lipman et al. 2022, eq. 20.
    """

    sigma_min: float | int = 0.0
    name: ClassVar[str] = "cond-ot"

    def __post_init__(self) -> None:
        if not 0 <= self.sigma_min < 1:
            raise ValueError(f"sigma_min={self.sigma_min} must lie in [0, 1)")

    @property
    def clean_end(self) -> bool:
        return self.sigma_min == 0

    def alpha(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return t.clone()

    def sigma(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return 1 - (1 - self.sigma_min) * t

    def d_alpha(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return torch.ones_like(t)

    def d_sigma(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return torch.full_like(t, self.sigma_min - 1)


@dataclass(frozen=True)
class Cosine(Path):
    """Trigonometric path: alpha_t = sin(pi t / 2), sigma_t = cos(pi t / 2).

    Keeps alpha^2 + sigma^2 = 1, so unit-variance data and noise give unit variance at every t. Elsewhere called VP (torchcfm) or GVP (SiT);
    `VariancePreserving` is the diffusion schedule. Source: Albergo & Vanden-Eijnden 2023, eq. 5.
    """

    name: ClassVar[str] = "cosine"

    def alpha(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return torch.sin(0.5 * torch.pi * t)

    def sigma(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return torch.sin(0.5 * torch.pi * (1 - t))  # cos(pi t / 2), but exactly 0 at t = 1

    def d_alpha(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return 0.5 * torch.pi * self.sigma(t)

    def d_sigma(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return -0.5 * torch.pi * self.alpha(t)


@dataclass(frozen=True)
class Polynomial(Path):
    """Polynomial path: alpha_t = t^n, sigma_t = 1 - t^n; n = 1 is CondOT. `degree` n is at least 1 and need not be whole."""

    degree: float | int = 2
    name: ClassVar[str] = "polynomial"

    def __post_init__(self) -> None:
        if not 1 <= self.degree < math.inf:
            raise ValueError(f"degree={self.degree} must be at least 1 and finite (below it, the velocity at t = 0 is infinite)")

    def alpha(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return t**self.degree

    def sigma(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return 1 - t**self.degree

    def d_alpha(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return self.degree * t ** (self.degree - 1)

    def d_sigma(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return -self.d_alpha(t)


class _UnboundedEnd(Path):
    """Paths with sigma like sqrt(1 - t) near the data, given by alpha, sigma and half the derivative of sigma^2."""

    last_time: ClassVar[float] = UNBOUNDED_LAST_TIME
    clean_start: ClassVar[bool] = False

    def d_sigma(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        # In float32 the last time rounds to 1 - 1.001e-5, where sigma is about 1e-3, far from zero; in half precision it would round to 1.
        earlier = _at_least_float32(t).clamp(max=self.last_time)
        return (self.sigma_d_sigma(earlier) / self.sigma(earlier)).to(t.dtype)


@dataclass(frozen=True)
class VariancePreserving(_UnboundedEnd):
    """Diffusion path of DDPM and Score SDE, reversed: alpha_t = exp(-T(1 - t) / 2), sigma_t = sqrt(1 - alpha_t^2).

    T(s) = beta_min s + (beta_max - beta_min) s^2 / 2. Source: Lipman et al. 2022, eq. 19; Song et al. 2021 for the betas.
    """

    beta_min: float | int = 0.1
    beta_max: float | int = 20.0
    name: ClassVar[str] = "vp"

    def __post_init__(self) -> None:
        if not 0 < self.beta_min <= self.beta_max < math.inf:
            raise ValueError(f"beta_min={self.beta_min} and beta_max={self.beta_max} must satisfy 0 < beta_min <= beta_max and be finite")

    def _integral(self, t: Tensor) -> Tensor:
        s = 1 - t
        return self.beta_min * s + 0.5 * (self.beta_max - self.beta_min) * s**2

    def alpha(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return torch.exp(-0.5 * self._integral(t))

    def sigma(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return torch.sqrt(-torch.expm1(-self._integral(t)))  # 1 - alpha^2 would lose ten digits near t = 1

    def d_alpha(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return 0.5 * (self.beta_min + (1 - t) * (self.beta_max - self.beta_min)) * self.alpha(t)

    def sigma_d_sigma(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return -self.alpha(t) * self.d_alpha(t)  # alpha^2 + sigma^2 = 1


@dataclass(frozen=True)
class VarianceExploding(_UnboundedEnd):
    """Noise added to untouched data: alpha_t = 1, sigma_t = sigma_min sqrt((sigma_max / sigma_min)^(2 - 2t) - 1).

    The exact kernel of Song et al.'s VE SDE, reversed, so that sigma(1) = 0 and sigma(0) is sigma_max to a part in 10^7. Samplers start
    from sigma(0) x_0. Source: Lipman et al. 2022, eq. 18; Song et al. 2021, appendix C.
    """

    sigma_min: float | int = 0.01
    sigma_max: float | int = 50.0
    name: ClassVar[str] = "ve"

    def __post_init__(self) -> None:
        if not 0 < self.sigma_min < self.sigma_max < math.inf:
            raise ValueError(
                f"sigma_min={self.sigma_min} and sigma_max={self.sigma_max} must satisfy 0 < sigma_min < sigma_max and be finite"
            )

    def _log_ratio(self, t: Tensor) -> Tensor:
        bound = torch.tensor(self.sigma_max / self.sigma_min, dtype=torch.float64).log().item()
        return 2 * bound * (1 - _at_least_float32(t))  # its exponential, 2.5e7, overflows half precision

    def alpha(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return torch.ones_like(t)

    def sigma(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return (self.sigma_min * torch.sqrt(torch.expm1(self._log_ratio(t)))).to(t.dtype)

    def d_alpha(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return torch.zeros_like(t)

    def sigma_d_sigma(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        slope = self._log_ratio(torch.zeros_like(t)) / 2
        return (-(self.sigma_min**2) * slope * torch.exp(self._log_ratio(t))).to(t.dtype)


PATHS: dict[str, type[Path]] = {p.name: p for p in (CondOT, VariancePreserving, VarianceExploding, Cosine, Polynomial)}


def by_name(name: str) -> Path:
    """The path of that name with its default parameters: cond-ot, vp, ve, cosine, polynomial. Raises ValueError with the nearest name."""
    check_name("path", name, PATHS)
    return PATHS[name]()


def expand(t: Float[Tensor, " b"], x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *ones"]:
    """t (B,) as (B, 1, ..., 1), to multiply x (B, *shape)."""
    return t.reshape(-1, *[1] * (x.ndim - 1))


def flat(x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b d"]:
    """Flattened samples, of none as of many, and of single numbers (B,) as of points on a line (B, 1)."""
    return x[:, None].flatten(1)


def _at_least_float32(t: Tensor) -> Tensor:
    return t.to(torch.promote_types(t.dtype, torch.float32))


def check_times(t: Float[Tensor, "*b"]) -> None:
    """ValueError unless every time lies in [0, 1] (NaN does not)."""
    inside = (t >= 0) & (t <= 1)
    if not bool(inside.all()):
        raise ValueError(f"t={t[~inside].flatten()[0].item()} must lie in [0, 1]: 0 is the prior, 1 the data")
