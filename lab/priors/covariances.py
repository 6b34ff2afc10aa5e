"""Covariances of flattened samples, G at a time, in the forms that a prior may have: one variance, a diagonal, a full matrix, low rank plus diagonal.

Each form is S = L L^T with an L that it applies without forming more than it has to. y and z are (B, D), group (B,) says which of the G covariances is whose.

    times(z, group)      L z, in z's dtype (float32 at least) and on its device
    log_prob(y, group)   log N(y; 0, S), nats, in float64
    singular             (G,): for which no density exists, as far as float64 can tell
    source(group)        S as lab.conversions.GaussianSource takes it: (B,), (B, D) or (B, D, D)
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lab.conversions import EPS, singular_to_rounding


@dataclass(frozen=True, eq=False)
class Covariances:
    """What the forms share; a form's tensors are float64 on the CPU, and what `times` needs of them is kept for every dtype and device that it meets."""

    _ready: dict[tuple[str, torch.dtype, torch.device], Tensor] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for part in fields(self):  # matrix products round differently in another layout, and a stored one comes back row by row
            if part.init:
                object.__setattr__(self, part.name, getattr(self, part.name).detach().double().cpu().contiguous())

    def _at(self, name: str, like: Tensor) -> Tensor:
        """The tensor of that name in the dtype (float32 at least) and on the device of another."""
        dtype = torch.promote_types(like.dtype, torch.float32)
        key = (name, dtype, like.device)
        if key not in self._ready:
            self._ready[key] = getattr(self, name).to(dtype=dtype, device=like.device)
        return self._ready[key]


def _gaussian(square: Tensor, log_det: Tensor, dimension: int) -> Tensor:
    """log N of y with y^T S^-1 y = square and log det S = log_det."""
    return -0.5 * (square + log_det + dimension * math.log(2 * math.pi))


def _check_variances(variances: Tensor) -> None:
    if not bool((variances >= 0).all() and torch.isfinite(variances).all()):
        raise ValueError("variances must be finite and not negative")


@dataclass(frozen=True, eq=False)
class Isotropic(Covariances):
    """S = v I. variances (G,)."""

    variances: Float[Tensor, " g"]

    def __post_init__(self) -> None:
        _check_variances(self.variances)

    def __len__(self) -> int:
        return len(self.variances)

    @property
    def deviations(self) -> Tensor:
        return self.variances.sqrt()

    def times(self, z: Float[Tensor, "b d"], group: Int[Tensor, " b"]) -> Float[Tensor, "b d"]:
        return self._at("deviations", z)[group.to(z.device)][:, None] * z

    def log_prob(self, y: Float[Tensor, "b d"], group: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        v = self._at("variances", y.double())[group.to(y.device)]
        return _gaussian(y.double().square().sum(1) / v, y.shape[1] * v.log(), y.shape[1])

    @cached_property
    def singular(self) -> Bool[Tensor, " g"]:
        return self.variances <= 0

    def source(self, group: Int[Tensor, " b"]) -> Float[Tensor, "b *d"]:
        return self.variances[group]


@dataclass(frozen=True, eq=False)
class Diagonal(Covariances):
    """S = diag(v). variances (G, D)."""

    variances: Float[Tensor, "g d"]

    def __post_init__(self) -> None:
        _check_variances(self.variances)

    def __len__(self) -> int:
        return len(self.variances)

    @property
    def dimension(self) -> int:
        return self.variances.shape[1]

    @property
    def deviations(self) -> Tensor:
        return self.variances.sqrt()

    def times(self, z: Float[Tensor, "b d"], group: Int[Tensor, " b"]) -> Float[Tensor, "b d"]:
        return self._at("deviations", z)[group.to(z.device)] * z

    def log_prob(self, y: Float[Tensor, "b d"], group: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        v = self._at("variances", y.double())[group.to(y.device)]
        return _gaussian((y.double().square() / v).sum(1), v.log().sum(1), y.shape[1])

    @cached_property
    def singular(self) -> Bool[Tensor, " g"]:
        return (self.variances <= 0).any(1)

    def source(self, group: Int[Tensor, " b"]) -> Float[Tensor, "b *d"]:
        return self.variances[group]


@dataclass(frozen=True, eq=False)
class Full(Covariances):
    """S = L L^T, L lower triangular. factors (G, D, D); S may be singular, and then some of L's diagonal is zero."""

    factors: Float[Tensor, "g d d"]

    def __len__(self) -> int:
        return len(self.factors)

    @property
    def dimension(self) -> int:
        return self.factors.shape[1]

    @classmethod
    def of(cls, matrices: Float[Tensor, "g d d"]) -> "Full":
        """From symmetric matrices S, positive semidefinite.

        Raises ValueError for a matrix that is not finite, not symmetric or has a negative eigenvalue.
        """
        s = matrices.double()
        if not bool(torch.isfinite(s).all()):
            raise ValueError("covariances must be finite, without NaN")
        size = s.abs().amax((-2, -1))
        crooked = (s - s.mT).abs().amax((-2, -1)) > 1e-9 * size
        if bool(crooked.any()):
            raise ValueError(f"covariances[{int(torch.nonzero(crooked)[0])}] is not symmetric")
        factors, failed = torch.linalg.cholesky_ex(s)
        for g in torch.nonzero(failed)[:, 0].tolist():
            factors[g] = _semidefinite_factor(s[g], f"covariances[{g}]")
        return cls(factors)

    def times(self, z: Float[Tensor, "b d"], group: Int[Tensor, " b"]) -> Float[Tensor, "b d"]:
        factors, group = self._at("factors", z), group.to(z.device)
        return _each(lambda g, own: own @ factors[g].T, z.to(factors.dtype), group)

    def log_prob(self, y: Float[Tensor, "b d"], group: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        y, group = y.double(), group.to(y.device)
        factors = self._at("factors", y)
        white = _each(lambda g, own: torch.linalg.solve_triangular(factors[g], own.T, upper=False).T, y, group)
        log_det = 2 * factors.diagonal(dim1=-2, dim2=-1)[group].log().sum(1)
        return _gaussian(white.square().sum(1), log_det, y.shape[1])

    @cached_property
    def singular(self) -> Bool[Tensor, " g"]:
        return singular_to_rounding(self.factors)

    def source(self, group: Int[Tensor, " b"]) -> Float[Tensor, "b *d"]:
        factors = self.factors[group]
        return factors @ factors.mT


def _semidefinite_factor(s: Tensor, name: str) -> Tensor:
    """Lower triangular L (D, D) with L L^T = S for a singular S, from its eigenvectors: S = A A^T and A^T = Q R give L = R^T."""
    values, vectors = torch.linalg.eigh(s)
    noise = len(s) * EPS * values[-1].clamp(min=0)
    if values[0] < -1e-9 * values[-1] or values[-1] < 0:
        raise ValueError(f"{name} has a negative eigenvalue, {values[0].item():.3g}")
    kept = int((values > noise).sum())
    factor = torch.zeros_like(s)
    if kept:
        factor[:, :kept] = torch.linalg.qr((vectors[:, -kept:] * values[-kept:].sqrt()).T).R.T
    return factor


@dataclass(frozen=True, eq=False)
class LowRank(Covariances):
    """S = diag(v) + W W^T = V (I + Q diag(g) Q^T) V with V = diag(v)^1/2, of rank R plus a diagonal; D^2 numbers are never formed but by `source`.

    variances v (G, D), directions Q (G, D, R) with orthonormal columns, gains g (G, R), not negative. `times` applies L = V (I + Q (sqrt(1 + g) - 1) Q^T), which
    takes D normal numbers and no more. The density uses Woodbury's identity, (I + Q g Q^T)^-1 = I - Q g / (1 + g) Q^T, and det = prod v prod (1 + g).
    """

    variances: Float[Tensor, "g d"]
    directions: Float[Tensor, "g d r"]
    gains: Float[Tensor, "g r"]

    def __len__(self) -> int:
        return len(self.variances)

    @property
    def dimension(self) -> int:
        return self.variances.shape[1]

    @classmethod
    def of(cls, variances: Float[Tensor, "g d"], loadings: Float[Tensor, "g d r"]) -> "LowRank":
        """From diag(v) + W W^T, W = loadings. v may be zero where W's row is zero too (a constant coordinate); elsewhere that raises ValueError."""
        if not bool((variances >= 0).all() and ((variances > 0) | (loadings == 0).all(-1)).all()):
            raise ValueError("variances of a low-rank covariance's diagonal must be positive")
        white = loadings / torch.where(variances > 0, variances, 1).sqrt()[..., None]
        directions, singular, _ = torch.linalg.svd(white, full_matrices=False)
        return cls(variances, directions, singular.square())

    @property
    def deviations(self) -> Tensor:
        return self.variances.sqrt()

    @property
    def stretch(self) -> Tensor:
        """sqrt(1 + g) - 1, without cancellation."""
        return self.gains / (1 + (1 + self.gains).sqrt())

    def times(self, z: Float[Tensor, "b d"], group: Int[Tensor, " b"]) -> Float[Tensor, "b d"]:
        directions, stretch, deviations = self._at("directions", z), self._at("stretch", z), self._at("deviations", z)

        def root(g: int, own: Tensor) -> Tensor:
            return torch.addmm(own, own @ directions[g] * stretch[g], directions[g].T) * deviations[g]

        return _each(root, z.to(directions.dtype), group.to(z.device))

    def log_prob(self, y: Float[Tensor, "b d"], group: Int[Tensor, " b"]) -> Float[Tensor, " b"]:
        y, group = y.double(), group.to(y.device)
        v, gains, directions = self._at("variances", y)[group], self._at("gains", y)[group], self._at("directions", y)
        white = y / v.sqrt()
        along = _each(lambda g, own: own @ directions[g], white, group)
        square = white.square().sum(1) - (gains / (1 + gains) * along.square()).sum(1)
        return _gaussian(square, v.log().sum(1) + torch.log1p(gains).sum(1), y.shape[1])

    @cached_property
    def singular(self) -> Bool[Tensor, " g"]:
        return (self.variances <= 0).any(1)

    def source(self, group: Int[Tensor, " b"]) -> Float[Tensor, "b *d"]:
        """Full matrices (B, D, D), since GaussianSource knows no other form."""
        deviations, directions = self.variances[group].sqrt(), self.directions[group]
        inner = torch.eye(deviations.shape[1], dtype=torch.float64) + directions * self.gains[group][:, None] @ directions.mT
        return deviations[:, :, None] * inner * deviations[:, None]


def _each(apply: Callable[[int, Tensor], Tensor], x: Tensor, group: Tensor) -> Tensor:
    """apply(g, rows of group g) for every group, back in the order of x. Over groups, not samples: gathering a matrix for every sample would copy B of them."""
    order = group.argsort(stable=True)
    present, counts = group.unique(return_counts=True)  # sorted, as `order` is
    parts = [apply(g, own) for g, own in zip(present.tolist(), x[order].split(counts.tolist()), strict=True)]
    return torch.cat(parts)[order.argsort()] if parts else x.new_zeros(0, apply(0, x).shape[1])


FORMS: dict[str, type[Isotropic] | type[Diagonal] | type[Full] | type[LowRank]] = {
    "isotropic": Isotropic,
    "diagonal": Diagonal,
    "full": Full,
    "low-rank": LowRank,
}
