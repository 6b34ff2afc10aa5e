"""Conversions among the four things that a network may predict: velocity, data (E[x_1 | x_t]), noise (E[x_0 | x_t]) and score.

With x_t = alpha x_1 + sigma x_0 each follows linearly from any other at given x and t:

    x        = alpha data + sigma noise              score = -C^-1 (noise - m) / sigma      (x_0 ~ N(m, C), independent of x_1)
    velocity = d_alpha data + d_sigma noise

*noise* is the prediction of x_0 itself, also where the source is not standard. Velocity, data and noise convert for any source and any
coupling; the score does so only for a Gaussian source that is independent of the data (given the condition, where the field sees one),
and is refused otherwise.

*Ends.* A prediction is taken at its word wherever it says anything. Where it says nothing, what x and the independence say decides:

| where                   | known without any prediction         | undetermined                                                         |
|-------------------------|--------------------------------------|----------------------------------------------------------------------|
| alpha = 0 (clean start) | noise = x / sigma, hence the score   | data, velocity from noise or score; data from velocity if d_alpha = 0|
| sigma = 0 (clean end)   | data = x / alpha, noise = E[x_0] = m | the score; but not from the velocity of VP and VE, which contains it |
| the same, VP and VE     | as above                             | the velocity, but from the score                                     |

(On Polynomial of degree above 1, d_alpha = 0 at the start, and the velocity there is 0 whatever the data.) On VP and VE d_sigma runs to
minus infinity at t = 1. Past `path.last_time` their velocity is therefore d_alpha data + d_sigma m - sigma d_sigma C score, with
sigma d_sigma exact up to t = 1 and d_sigma held at the last time: the true velocity where m = 0, and the convention of the toy world's
exact field elsewhere.
"""

from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lab.paths import Path, check_times, expand, flat

EPS = torch.finfo(torch.float64).eps
CHUNK = 1 << 22  # numbers of correlation matrices at a time
QUANTITIES = ("velocity", "data", "noise", "score")


class Undetermined(ValueError):
    """What is wanted does not follow from what is given at the times `t`."""

    def __init__(self, message: str, t: Tensor) -> None:
        super().__init__(message)
        self.t = t


@dataclass(frozen=True, eq=False)
class GaussianSource:
    """x_0 ~ N(mean, covariance), for samples of any shape (D numbers each).

    mean: a number or a tensor of the sample's shape. covariance: a number (the variance of every coordinate), a tensor of the sample's
    shape (variances; diagonal covariance) or a matrix (D, D) of the flattened sample. With `per_sample`, as for a class-wise prior, tensors
    carry the batch's axis first: mean (B, *shape), covariance (B,), (B, *shape) or (B, D, D).

    Raises ValueError for numbers that are not finite, and, once x is known, for shapes that do not fit it, variances that are not positive
    and matrices that are not symmetric and positive definite.
    """

    mean: Float[Tensor, "*mean"] | float | int = 0.0
    covariance: Float[Tensor, "*covariance"] | float | int = 1.0
    per_sample: bool = False

    def __post_init__(self) -> None:
        for name in ("mean", "covariance"):
            if not bool(torch.isfinite(torch.as_tensor(getattr(self, name))).all()):
                raise ValueError(f"{name} of the source must be finite")

    def centre(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """The mean for every sample of x."""
        mean = torch.as_tensor(self.mean, dtype=x.dtype, device=x.device)
        wanted = x.shape if self.per_sample else x.shape[1:]
        if mean.shape not in (wanted, torch.Size(())):
            raise ValueError(
                f"mean of the source has shape {tuple(mean.shape)}; for x {tuple(x.shape)} it must be a number or {tuple(wanted)}"
            )
        return mean.expand_as(x)

    def times_covariance(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """C x for every flattened sample of x."""
        covariance, factor = self._covariance(x)
        return covariance * x if factor is None else (covariance @ _columns(x.double())).reshape(x.shape).to(x.dtype)

    def over_covariance(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """C^-1 x for every flattened sample of x."""
        covariance, factor = self._covariance(x)
        return x / covariance if factor is None else torch.cholesky_solve(_columns(x.double()), factor).reshape(x.shape).to(x.dtype)

    def _covariance(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Variances that multiply x, and None; or matrices for its flattened samples, and their Cholesky factors. Checked."""
        covariance = torch.as_tensor(self.covariance, dtype=x.dtype, device=x.device)
        lead = x.shape[:1] if self.per_sample else torch.Size(())
        diagonal, size = (*lead, *x.shape[1:]), prod(x.shape[1:])
        full = (*lead, size, size)
        if covariance.shape == full and full != diagonal:
            # In float64 whatever x is: a float32 factor is 20 % off at condition 1e8.
            covariance = torch.as_tensor(self.covariance, dtype=torch.float64, device=x.device)
            factor, failed = torch.linalg.cholesky_ex(covariance)
            crooked = (covariance - covariance.mT).abs() > 1e-5 * covariance.abs().amax((-2, -1), keepdim=True)
            if bool((failed != 0).any() or crooked.any()):
                raise ValueError("covariance of the source must be symmetric and positive definite")
            return covariance, factor
        if covariance.shape not in (torch.Size(()), lead, diagonal):
            raise ValueError(
                f"covariance of the source has shape {tuple(covariance.shape)}; for x {tuple(x.shape)} it must be "
                f"{tuple(lead)} (one variance), {diagonal} (variances) or {full} (a matrix)"
            )
        if not bool((covariance > 0).all()):
            raise ValueError("covariance of the source must be positive in every coordinate")
        return (expand(covariance, x) if self.per_sample and covariance.shape == lead else covariance), None


def singular_to_rounding(factors: Float[Tensor, "g d d"]) -> Bool[Tensor, " g"]:
    """Of covariances L L^T, L lower triangular: where the correlations have an eigenvalue within rounding of zero, or a coordinate is constant.

    The coordinates' units do not matter. Cholesky's own pivots would not do: of covariances of rank D - 1 one in twenty leaves all of them well above rounding.
    """
    deviations = factors.square().sum(-1).sqrt()
    unit = factors / torch.where(deviations > 0, deviations, 1)[..., None]
    size = factors.shape[-1]
    eigenvalues = torch.cat([torch.linalg.eigvalsh(some @ some.mT) for some in unit.split(max(1, CHUNK // size**2))])
    return (deviations == 0).any(-1) | (eigenvalues[:, 0] <= 10 * size * EPS * eigenvalues[:, -1])


def convert(
    value: Float[Tensor, "b *shape"],
    x: Float[Tensor, "b *shape"],
    t: Float[Tensor, " b"],
    *,
    path: Path,
    given: str,
    wanted: str,
    source: object | None = None,
    coupling: str = "independent",
) -> Float[Tensor, "b *shape"]:
    """The `wanted` one of QUANTITIES, at points x and times t, that goes with `value`, the `given` one; formulas and ends above.

    value, x (B, *shape), t (B,) in [0, 1]. source: a GaussianSource; the score needs it, and so do some answers where sigma = 0 and all
    velocities past `path.last_time`. coupling: the name of the way x_0 and x_1 are paired; scores need "independent" (given the condition,
    where the field sees it). Computed in float32 at least; the result has the dtype of `value` and is differentiable in value and x.
    Conditioning is that of the formulas: on VP at t = 0 an error of the noise prediction is magnified 1 / alpha(0) = 152-fold in the data.

    Raises Undetermined (a ValueError) naming the times at which `given` does not determine `wanted`; ValueError for shapes that do not fit,
    times outside [0, 1], unknown names, scores of sources that are not Gaussian or of couplings that are not independent.
    Source: Lipman et al. 2024 (Flow Matching Guide and Code), table 1, there for the standard source.
    """
    _check(value, x, t, given, wanted)
    gaussian = _gaussian(source, coupling, given, wanted)
    if given == wanted:
        return value
    dtype = torch.promote_types(torch.promote_types(value.dtype, x.dtype), torch.promote_types(t.dtype, torch.float32))
    at = _Coefficients(path, t.to(dtype))
    result = _combine(_parts(value.to(dtype), x.to(dtype), given, at, gaussian), wanted, at, gaussian)
    if not bool(result.known.all()):
        bad = t[~result.known]
        hint = "" if gaussian else "; source=GaussianSource(...) with an independent coupling would say more at the data's end"
        raise Undetermined(f"{given} does not determine {wanted} at t={_listed(bad)} on {path.name}{hint}", bad)
    return result.value.to(value.dtype)


class _Coefficients:
    """The path at times t (B,): alpha, sigma and so on; `late` where d_sigma is held at the path's last time."""

    def __init__(self, path: Path, t: Tensor) -> None:
        self.alpha, self.sigma, self.d_alpha, self.d_sigma = path.alpha(t), path.sigma(t), path.d_alpha(t), path.d_sigma(t)
        self.sigma_d_sigma, self.late = path.sigma_d_sigma(t), t > path.last_time


@dataclass(frozen=True)
class _Part:
    """A quantity (B, *shape) and for which samples it is known (B,); elsewhere its value is finite and means nothing."""

    value: Tensor
    known: Tensor

    def replaced(self, where: Tensor, value: Tensor) -> "_Part":
        """Known to be `value` for the samples `where` (B,)."""
        return _Part(_choose(where, value, self.value), self.known | where)


@dataclass(frozen=True)
class _Parts:
    """What follows for data, noise and whitened = (noise - m) / sigma = -C score."""

    data: _Part
    noise: _Part
    whitened: _Part


def _parts(value: Tensor, x: Tensor, given: str, at: _Coefficients, source: GaussianSource | None) -> _Parts:
    always = torch.ones_like(at.late)
    centre = source.centre(x) if source else torch.zeros_like(x)
    whitened = _Part(torch.zeros_like(x), ~always)
    if given == "data":
        data, noise = _Part(value, always), _quotient(x - _times(at.alpha, value), at.sigma)
    elif given == "noise":
        data, noise = _quotient(x - _times(at.sigma, value), at.alpha), _Part(value, always)
    elif given == "score":
        assert source is not None
        whitened = _Part(-source.times_covariance(value), always)
        noise = _Part(centre + _times(at.sigma, whitened.value), always)
        data = _quotient(x - _times(at.sigma, noise.value), at.alpha)
    else:
        wronskian = at.alpha * at.d_sigma - at.sigma * at.d_alpha
        data = _quotient(_times(at.d_sigma, x) - _times(at.sigma, value), wronskian)
        noise = _quotient(_times(at.alpha, value) - _times(at.d_alpha, x), wronskian)
        data, noise = _Part(data.value, data.known & ~at.late), _Part(noise.value, noise.known & ~at.late)
        if source:  # the same two equations with m + sigma whitened for the noise: d_sigma is left with m alone
            speed, position = value - _times(at.d_sigma, centre), x - _times(at.sigma, centre)
            wronskian = at.alpha * at.sigma_d_sigma - at.sigma**2 * at.d_alpha
            whitened = _quotient(_times(at.alpha, speed) - _times(at.d_alpha, position), wronskian)
            noise = noise.replaced(at.late, centre + _times(at.sigma, whitened.value))
            data = data.replaced(at.late, _quotient(x - _times(at.sigma, noise.value), at.alpha).value)
    if given != "data":
        data = data.replaced(at.sigma == 0, _quotient(x, at.alpha).value)
    if given in ("data", "velocity"):
        noise = noise.replaced(at.alpha == 0, _quotient(x, at.sigma).value)
    if source:  # where x_t = x_1, it is independent of x_0
        noise = noise.replaced((at.sigma == 0) & ~noise.known, centre)
    return _Parts(data, noise, whitened)


def _combine(parts: _Parts, wanted: str, at: _Coefficients, source: GaussianSource | None) -> _Part:
    if wanted == "data":
        return parts.data
    if wanted == "noise":
        return parts.noise
    centre, whitened = torch.zeros_like(parts.noise.value), parts.whitened
    if source:
        centre = source.centre(parts.noise.value)
        other = _quotient(parts.noise.value - centre, at.sigma)
        whitened = _Part(other.value, other.known & parts.noise.known).replaced(parts.whitened.known, parts.whitened.value)
    if wanted == "score":
        assert source is not None
        return _Part(-source.over_covariance(whitened.value), whitened.known)
    share, share_known = _times(at.d_alpha, parts.data.value), parts.data.known | (at.d_alpha == 0)
    early = share + _times(at.d_sigma, parts.noise.value)
    late = share + _times(at.d_sigma, centre) + _times(at.sigma_d_sigma, whitened.value)
    known = share_known & torch.where(at.late, whitened.known, parts.noise.known | (at.d_sigma == 0))
    return _Part(_choose(at.late, late, early), known)


def _columns(x: Tensor) -> Tensor:
    """Flattened samples as column vectors, (B, D, 1)."""
    return flat(x)[..., None]


def _times(coefficient: Tensor, x: Tensor) -> Tensor:
    return expand(coefficient, x) * x


def _choose(where: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """`one` for the samples `where` (B,), else `other`."""
    return torch.where(where.reshape(-1, *[1] * (one.ndim - 1)), one, other)


def _quotient(numerator: Tensor, denominator: Tensor) -> _Part:
    """numerator (B, *shape) / denominator (B,), known where the latter is not zero."""
    known = denominator != 0
    return _Part(numerator / expand(torch.where(known, denominator, 1), numerator), known)


def _check(value: Tensor, x: Tensor, t: Tensor, given: str, wanted: str) -> None:
    if value.shape != x.shape:
        raise ValueError(f"value {tuple(value.shape)} and x {tuple(x.shape)} must have the same shape")
    if t.shape != x.shape[:1]:
        raise ValueError(f"t has shape {tuple(t.shape)}; it must be one time per sample, ({x.shape[0]},)")
    check_times(t)
    for name, quantity in (("given", given), ("wanted", wanted)):
        if quantity not in QUANTITIES:
            raise ValueError(f"{name}={quantity!r} is unknown; it may be {', '.join(QUANTITIES)}")


def _gaussian(source: object | None, coupling: str, given: str, wanted: str) -> GaussianSource | None:
    """The source where it is Gaussian and the coupling independent; else None, and ValueError if a score is asked for or given."""
    independent = coupling == "independent"
    if isinstance(source, GaussianSource) and independent:
        return source
    if "score" not in (given, wanted):
        return None
    if not independent:
        raise ValueError(
            f"coupling={coupling!r}: scores convert only where x_0 is independent of x_1 (given the condition, if the field sees it); "
            "otherwise -C^-1 (noise - m) / sigma is not the gradient of log p_t"
        )
    if source is None:
        raise ValueError("score conversions need source=GaussianSource(mean, covariance), the law of x_0")
    raise ValueError(
        f"source={type(source).__name__}: score conversions need a GaussianSource; of a mixture the noise does not tell the score"
    )


def _listed(t: Tensor) -> str:
    distinct = torch.unique(t).tolist()
    return ", ".join(f"{v:.6g}" for v in distinct[:3]) + (f" and {len(distinct) - 3} more" if len(distinct) > 3 else "")
