"""The regression losses and time laws that toy and trainers share.

A network regresses one of four targets at (x_t, t); the minimiser is the target's conditional expectation given x_t (lab.conversions).

| target   | regresses on                                     | weighting "velocity"                   |
|----------|--------------------------------------------------|----------------------------------------|
| velocity | d_alpha x_1 + d_sigma x_0                        | 1                                      |
| data     | x_1                                              | (W / sigma)^2                          |
| noise    | x_0                                              | (W / alpha)^2                          |
| score    | -C^-1 (x_0 - m) / sigma, with a GaussianSource   | (W sigma / alpha)^2, error times C     |

with W = alpha d_sigma - sigma d_alpha: under weighting "velocity" each loss is that of the velocity which follows from the prediction at
the same x_t. Weighting "uniform" is 1. Weighting "sigma-squared" is sigma^2, the usual one for scores (Song et al. 2021): with C = I the
loss of a score is then that of the noise prediction -sigma score.
"""

from dataclasses import dataclass
from math import isfinite, pi, sinh, sqrt
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab.checks import check_name
from lab.conversions import QUANTITIES, GaussianSource
from lab.paths import Path, check_times, expand

WEIGHTINGS = ("uniform", "velocity", "sigma-squared")


def regression_target(
    target: str,
    *,
    x_0: Float[Tensor, "b *shape"],
    x_1: Float[Tensor, "b *shape"],
    t: Float[Tensor, " b"],
    path: Path,
    source: GaussianSource | None = None,
) -> Float[Tensor, "b *shape"]:
    """What a prediction of that name regresses on: velocity, data, noise or score, (B, *shape), in the dtype of x_0.

    Raises ValueError for an unknown name, shapes that do not fit, times outside [0, 1], a score without its source, and a score at sigma(t) = 0, where it is infinite.
    Source: Lipman et al. 2022, eq. 9 (velocity); Vincent 2011 (score).
    """
    if target not in QUANTITIES:
        raise ValueError(f"target={target!r} is unknown; it may be {', '.join(QUANTITIES)}")
    if x_0.shape != x_1.shape or t.shape != x_0.shape[:1]:
        raise ValueError(
            f"x_0 {tuple(x_0.shape)} and x_1 {tuple(x_1.shape)} must have the same shape, and t {tuple(t.shape)} one time for each sample"
        )
    check_times(t)
    if target == "velocity":
        return path.sample(x_0=x_0, x_1=x_1, t=t).dx_t
    if target != "score":
        return x_1 if target == "data" else x_0
    if source is None:
        raise ValueError("target='score' needs source=GaussianSource(mean, covariance), the law of x_0")
    sigma = path.sigma(t.to(_working(t, x_0)))
    if bool((sigma == 0).any()):
        raise ValueError(f"target='score' is infinite at t={t[sigma == 0][0].item():g}, where sigma = 0; draw t below it")
    wide = x_0.to(sigma.dtype)
    return (-source.over_covariance(wide - source.centre(wide)) / expand(sigma, wide)).to(x_0.dtype)


def regression_losses(
    prediction: Float[Tensor, "b *shape"],
    *,
    x_0: Float[Tensor, "b *shape"],
    x_1: Float[Tensor, "b *shape"],
    t: Float[Tensor, " b"],
    path: Path,
    target: str = "velocity",
    weighting: str = "uniform",
    source: GaussianSource | None = None,
) -> Float[Tensor, " b"]:
    """Weighted squared error of each sample, averaged over its numbers: weight(t) mean |prediction - target|^2. Take `.mean()` to train.

    Returns (B,). prediction, x_0, x_1 (B, *shape), t (B,) in [0, 1]. target, weighting: see the module's text; the weight is not
    normalised. Computed in float32 at least, whatever the dtype of the prediction.

    Raises ValueError for unknown names, shapes that do not fit, times outside [0, 1], and weights that are infinite at one of the times.
    """
    if not prediction.shape == x_0.shape == x_1.shape:
        raise ValueError(
            f"prediction {tuple(prediction.shape)}, x_0 {tuple(x_0.shape)} and x_1 {tuple(x_1.shape)} must have the same shape"
        )
    if weighting not in WEIGHTINGS:
        raise ValueError(f"weighting={weighting!r} is unknown; it may be {', '.join(WEIGHTINGS)}")
    dtype = _working(prediction, x_0, t)
    x_0, x_1, t = x_0.to(dtype), x_1.to(dtype), t.to(dtype)
    error = prediction.to(dtype) - regression_target(target, x_0=x_0, x_1=x_1, t=t, path=path, source=source)
    if target == "score" and weighting == "velocity":
        assert source is not None  # or there would be no target
        error = source.times_covariance(error)
    return _weight(target, weighting, t, path) * error.square()[:, None].flatten(1).mean(1)


def _weight(target: str, weighting: str, t: Tensor, path: Path) -> Tensor:
    if weighting == "uniform" or (weighting, target) == ("velocity", "velocity"):
        return torch.ones_like(t)
    alpha, sigma = path.alpha(t), path.sigma(t)
    if weighting == "sigma-squared":
        return sigma**2
    wronskian = alpha * path.d_sigma(t) - sigma * path.d_alpha(t)
    factor = {"data": wronskian / sigma, "noise": wronskian / alpha, "score": wronskian * sigma / alpha}[target]
    if not bool(torch.isfinite(factor).all()):
        worst = t[~torch.isfinite(factor)][0].item()
        raise ValueError(f"weighting='velocity' of target={target!r} is infinite at t={worst:g}; draw t away from that end")
    return factor**2


def _working(*tensors: Tensor) -> torch.dtype:
    """The widest dtype among them, float32 at least."""
    dtype = torch.float32
    for tensor in tensors:
        dtype = torch.promote_types(dtype, tensor.dtype)
    return dtype


class TimeLaw:
    """A law of t on [0, 1] for training, drawn by inverting its distribution function: the same uniform numbers, the same times."""

    name: ClassVar[str]

    def from_uniforms(self, u: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """Times from numbers uniform in [0, 1] (lab.random.uniforms), in their dtype. Raises ValueError for numbers outside."""
        if not bool(((u >= 0) & (u <= 1)).all()):
            raise ValueError("u must lie in [0, 1]")
        return self._inverse(u)

    def density(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """Density at t in [0, 1]; its inverse is the weight that makes the loss that of uniform times."""
        raise NotImplementedError

    def cdf(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """Probability of a time up to t."""
        raise NotImplementedError

    def _inverse(self, u: Tensor) -> Tensor:
        raise NotImplementedError


@dataclass(frozen=True)
class Uniform(TimeLaw):
    """Every t alike."""

    name: ClassVar[str] = "uniform"

    def density(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return torch.ones_like(t)

    def cdf(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return t.clone()

    def _inverse(self, u: Tensor) -> Tensor:
        return u.clone()


@dataclass(frozen=True)
class LogitNormal(TimeLaw):
    """logit t ~ N(mean, std^2): the middle of the way more often. Source: Esser et al. 2024 (Stable Diffusion 3), section 3.1."""

    mean: float | int = 0.0
    std: float | int = 1.0
    name: ClassVar[str] = "logit-normal"

    def __post_init__(self) -> None:
        if not isfinite(self.mean):
            raise ValueError(f"mean={self.mean} must be finite")
        if not (isfinite(self.std) and self.std > 0):
            raise ValueError(f"std={self.std} must be positive and finite")

    def density(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        z = (torch.logit(t) - self.mean) / self.std
        inside = (t > 0) & (t < 1)  # at both ends the normal density wins over 1 / (t (1 - t))
        return torch.where(inside, torch.exp(-0.5 * z**2) / (self.std * sqrt(2 * pi) * torch.where(inside, t * (1 - t), 1)), 0)

    def cdf(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return torch.special.ndtr((torch.logit(t) - self.mean) / self.std)

    def _inverse(self, u: Tensor) -> Tensor:
        return torch.sigmoid(self.mean + self.std * torch.special.ndtri(u))


@dataclass(frozen=True)
class UShaped(TimeLaw):
    """Density proportional to e^(a t) + e^(a (1 - t)), that is to cosh(a (t - 1/2)): both ends more often, for deterministic couplings.

    a = `steepness` > 0. Source: Lee et al. 2024 (Improving the Training of Rectified Flows), where a = 4. Accounts of it write
    e^(a t) + e^(-a t), which on [0, 1] would be no U; their code draws t from e^(a t) and mirrors half of the draws, which is this law.
    """

    steepness: float | int = 4.0
    name: ClassVar[str] = "u-shaped"

    def __post_init__(self) -> None:
        if not 0 < self.steepness <= 100:
            raise ValueError(f"steepness={self.steepness} must lie in (0, 100]")

    def density(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return torch.cosh(self.steepness * (t - 0.5)) * (self.steepness / (2 * sinh(self.steepness / 2)))

    def cdf(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return 0.5 + torch.sinh(self.steepness * (t - 0.5)) / (2 * sinh(self.steepness / 2))

    def _inverse(self, u: Tensor) -> Tensor:
        return (0.5 + torch.asinh((2 * u - 1) * sinh(self.steepness / 2)) / self.steepness).clamp(0, 1)


TIME_LAWS: dict[str, type[TimeLaw]] = {law.name: law for law in (Uniform, LogitNormal, UShaped)}


def time_law(name: str) -> TimeLaw:
    """The law of that name with its default parameters: uniform, logit-normal, u-shaped. Raises ValueError with the nearest name."""
    check_name("time_law", name, TIME_LAWS)
    return TIME_LAWS[name]()


@dataclass(frozen=True)
class TimeBins:
    """Losses gathered by time: K bins of equal width over [0, 1]. Bins of several batches add (`+`)."""

    total: Float[Tensor, " k"]
    total_of_squares: Float[Tensor, " k"]
    count: Int[Tensor, " k"]

    def __add__(self, other: "TimeBins") -> "TimeBins":
        if len(other.count) != len(self.count):
            raise ValueError(f"bins do not fit: {len(self.count)} and {len(other.count)}")
        return TimeBins(self.total + other.total, self.total_of_squares + other.total_of_squares, self.count + other.count)

    @property
    def edges(self) -> Float[Tensor, " k1"]:
        return torch.linspace(0, 1, len(self.count) + 1, dtype=torch.float64)

    @property
    def mean(self) -> Float[Tensor, " k"]:
        """Mean loss of each bin; NaN where nothing fell."""
        return self.total / self.count

    @property
    def standard_error(self) -> Float[Tensor, " k"]:
        """Of the mean; NaN where fewer than two losses fell."""
        variance = (self.total_of_squares - self.total**2 / self.count).clamp(min=0) / (self.count - 1)
        return torch.where(self.count > 1, variance / self.count, torch.nan).sqrt()


def by_time_bin(losses: Float[Tensor, " b"], t: Float[Tensor, " b"], bins: int = 10) -> TimeBins:
    """Sums of per-sample losses over `bins` equal bins of time: bin k holds k / bins <= t < (k + 1) / bins, the last one t = 1 too.

    losses, t (B,); sums are float64 on the CPU.
    Raises ValueError if shapes differ, a time lies outside [0, 1] or there is no bin. Source: the practice of minRF.
    """
    if losses.shape != t.shape:
        raise ValueError(f"losses {tuple(losses.shape)} and t {tuple(t.shape)} must have the same shape")
    if bins < 1:
        raise ValueError(f"bins={bins} must be at least 1")
    check_times(t)
    value = losses.detach().double().cpu()
    place = (t.detach().double().cpu() * bins).long().clamp(max=bins - 1)
    zeros = torch.zeros(bins, dtype=torch.float64)
    return TimeBins(zeros.index_add(0, place, value), zeros.index_add(0, place, value**2), torch.bincount(place, minlength=bins))
