"""Distances between two samples, (n, *shape) each: exact and sliced W2, Frechet, MMD and kernel distance, and the nearest-neighbour two-sample test.

All raise ValueError for too few points, for numbers that are not finite and for points of unequal shapes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lab.checks import whole_number
from lab.optimal_transport import assign, squared_cost
from lab.paths import flat

ROWS = 1024  # neighbours are sought this many rows at a time, so that 10,000 points need no 10,000 x 10,000 table
PLAIN_UP_TO = 32  # dimensions up to which differences are taken before squares: 3 times dearer than a matrix product at 64, 8 times at 768


def _samples(least: int, **samples: Tensor) -> tuple[Float[Tensor, "n d"], Float[Tensor, "m d"]]:
    """Two samples, given by their names, flattened and in float64. Checked: enough points each, all finite and of one shape."""
    for name, x in samples.items():
        if len(x) < least:
            raise ValueError(f"{name} has {len(x)} points; at least {least} are needed")
        if not bool(torch.isfinite(x).all()):
            raise ValueError(f"{name} must be finite, without NaN")
    (one, x), (other, y) = samples.items()
    if x.shape[1:] != y.shape[1:]:
        raise ValueError(f"{one} holds points of shape {tuple(x.shape[1:])}, {other} of {tuple(y.shape[1:])}; they must be the same")
    return flat(x).double(), flat(y).double()


def wasserstein2(x: Float[Tensor, "n *shape"], y: Float[Tensor, "m *shape"]) -> float:
    """Exact W2 between two equally large samples: the root of the mean squared distance under the optimal assignment. Data units."""
    a, b = _samples(1, x=x, y=y)
    if len(a) != len(b):
        raise ValueError(f"x has {len(a)} points and y {len(b)}; samples must be of the same size for an exact assignment")
    return float((a - b[assign(squared_cost(a, b))]).square().sum(1).mean().sqrt())


def sliced_wasserstein2(
    x: Float[Tensor, "n *shape"], y: Float[Tensor, "m *shape"], projections: int = 256, *, generator: torch.Generator
) -> float:
    """Root of the mean over random directions of the squared 1-D W2 of the projections. Data units. Source: Bonneel et al. 2015."""
    a, b = _samples(1, x=x, y=y)
    if len(a) != len(b):
        raise ValueError(f"x has {len(a)} points and y {len(b)}; samples must be of the same size")
    whole_number("projections", projections, 1)
    directions = torch.nn.functional.normalize(torch.randn(a.shape[1], projections, dtype=torch.float64, generator=generator), dim=0)
    return float(((a @ directions).sort(0).values - (b @ directions).sort(0).values).square().mean().sqrt())


def frechet_distance(
    mean_x: Float[Tensor, " d"], covariance_x: Float[Tensor, "d d"], mean_y: Float[Tensor, " d"], covariance_y: Float[Tensor, "d d"]
) -> float:
    """Squared 2-Wasserstein distance of two Gaussians, |mu_x - mu_y|^2 + tr(S_x + S_y - 2 (S_x^1/2 S_y S_x^1/2)^1/2), float64; singular covariances allowed.

    Raises ValueError for unequal dimensions, numbers that are not finite, and a covariance that is not symmetric and positive semidefinite: to 1e-8 of its
    largest number or eigenvalue in float64, to rounding in float32.
    """
    if mean_x.shape != mean_y.shape:
        raise ValueError(f"mean_x has shape {tuple(mean_x.shape)}, mean_y {tuple(mean_y.shape)}; both must be (D,)")
    _check_moments("x", mean_x, covariance_x)
    _check_moments("y", mean_y, covariance_y)
    return _frechet(mean_x, covariance_x, mean_y, covariance_y)


def _check_moments(name: str, mean: Tensor, covariance: Tensor) -> None:
    if mean.ndim != 1 or len(mean) == 0 or covariance.shape != (len(mean), len(mean)):
        raise ValueError(
            f"mean_{name} has shape {tuple(mean.shape)}, covariance_{name} {tuple(covariance.shape)}; they must be (D,) and (D, D)"
        )
    if not bool(torch.isfinite(mean).all() and torch.isfinite(covariance).all()):
        raise ValueError(f"mean_{name} and covariance_{name} must be finite, without NaN")
    # float32 covariances of rank 100 in 512 dimensions have eigenvalues of -7e-8 of the largest.
    slack = 1e-8 if covariance.dtype == torch.float64 else 1e-5
    if bool((covariance - covariance.mT).abs().max() > slack * covariance.abs().max()):
        raise ValueError(f"covariance_{name} is not symmetric; give (S + S^T) / 2 if it should be")
    values = torch.linalg.eigvalsh(covariance.double())
    if bool(values[0] < -slack * values[-1].abs()):
        raise ValueError(f"covariance_{name} has a negative eigenvalue, {values[0].item():.3g}; a covariance is positive semidefinite")


def _frechet(mean_x: Tensor, covariance_x: Tensor, mean_y: Tensor, covariance_y: Tensor) -> float:
    s_x, s_y = covariance_x.double(), covariance_y.double()
    # tr (S_x^1/2 S_y S_x^1/2)^1/2 is the sum of the singular values of S_y^1/2 S_x^1/2: the roots of its eigenvalues would turn rounding, 1e-16, into 1e-8 each.
    cross = torch.linalg.svdvals(_root(s_y).mT @ _root(s_x)).sum()
    return float((mean_x.double() - mean_y.double()).square().sum() + s_x.trace() + s_y.trace() - 2 * cross)


def _root(s: Float[Tensor, "d d"]) -> Float[Tensor, "d r"]:
    """R with R R^T = S and a column for each eigenvalue above rounding."""
    values, vectors = torch.linalg.eigh(s)
    kept = values > len(values) * torch.finfo(torch.float64).eps * values[-1].abs()
    return vectors[:, kept] * values[kept].sqrt()


def sample_frechet_distance(x: Float[Tensor, "n *shape"], y: Float[Tensor, "m *shape"]) -> float:
    """`frechet_distance` of the samples' means and unbiased covariances. It is biased upwards by order d / n."""
    a, b = _samples(2, x=x, y=y)
    return _frechet(a.mean(0), torch.cov(a.T).reshape(a.shape[1], -1), b.mean(0), torch.cov(b.T).reshape(b.shape[1], -1))


def kernel_distance(x: Float[Tensor, "n *shape"], y: Float[Tensor, "m *shape"]) -> float:
    """Unbiased squared MMD with the cubic polynomial kernel (a.b / d + 1)^3 (the KID of Binkowski et al. 2018). Zero on average for equal laws; may be negative.

    Holds tables of n x n and m x m kernel values: the practice is the mean over subsets of 1,000.
    """
    a, b = _samples(2, x=x, y=y)
    return _unbiased_mmd2(a, b, lambda u, v: (u @ v.T / u.shape[1] + 1) ** 3)


def mmd2(x: Float[Tensor, "n *shape"], y: Float[Tensor, "m *shape"], bandwidth: float) -> float:
    """Unbiased squared maximum mean discrepancy, E k(x, x') + E k(y, y') - 2 E k(x, y), with the Gaussian kernel exp(-|a - b|^2 / (2 bandwidth^2)).

    Zero on average for equal laws, at most 2; may be negative. `bandwidth` in data units: the median distance between points is the usual choice, and is to be stated, for
    values at different bandwidths do not compare. Raises ValueError unless it is positive. Source: Gretton et al. 2012, eq. 3.
    """
    if not (bandwidth > 0 and math.isfinite(bandwidth)):
        raise ValueError(f"bandwidth={bandwidth} must be positive and finite")
    a, b = _samples(2, x=x, y=y)
    return _unbiased_mmd2(a, b, lambda u, v: torch.exp(-0.5 * squared_cost(u, v) / bandwidth**2))


def _unbiased_mmd2(a: Tensor, b: Tensor, kernel: Callable[[Tensor, Tensor], Tensor]) -> float:
    """The U-statistic: pairs of a point with itself are left out."""
    n, m = len(a), len(b)
    within = sum((kernel(u, u).sum() - kernel(u, u).trace()) / (k * (k - 1)) for u, k in ((a, n), (b, m)))
    return float(within - 2 * kernel(a, b).mean())


def _together(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both samples moved by one vector, to have their common mean at the origin: a matrix product's distances lose digits far from it."""
    centre = torch.cat((x, y)).mean(0)
    return x - centre, y - centre


def _distances(a: Tensor, b: Tensor) -> Tensor:
    plain = a.shape[1] <= PLAIN_UP_TO
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist" if plain else "use_mm_for_euclid_dist_if_necessary")


def _nearest(a: Tensor, b: Tensor, *, same: bool, k: int = 1) -> Tensor:
    """Distance of every row of a to its k-th nearest row of b, itself left out where they are the same set."""
    found = []
    for start in range(0, len(a), ROWS):
        block = _distances(a[start : start + ROWS], b)
        if same:
            block[torch.arange(len(block)), torch.arange(start, start + len(block))] = torch.inf
        found.append(block.kthvalue(k, dim=1).values)
    return torch.cat(found)


def one_nn_accuracy(x: Float[Tensor, "n *shape"], y: Float[Tensor, "m *shape"]) -> float:
    """Leave-one-out accuracy of telling x from y by the nearest neighbour: 1/2 for equal laws, 1 for laws apart; below 1/2 where one copies the other.

    Needs equally many of each. Ties count a half. Source: Lopez-Paz & Oquab 2017.
    """
    a, b = _samples(2, x=x, y=y)
    if len(a) != len(b):
        raise ValueError(f"x has {len(a)} points and y {len(b)}; the test is fair for equally many only")
    a, b = _together(a, b)
    right, rounding = 0.0, 1e-12 * float(torch.cat((a, b)).square().sum(1).max())  # of a matrix product's squared distances
    for own, other in ((a, b), (b, a)):
        gap = _nearest(own, other, same=False).square() - _nearest(own, own, same=True).square()
        right += float((gap > rounding).double().sum() + 0.5 * (gap.abs() <= rounding).double().sum())
    return right / (2 * len(a))


@dataclass(frozen=True)
class PrecisionRecall:
    """precision: share of generated points inside the real manifold; recall: share of real points inside the generated one. Both in [0, 1]."""

    precision: float
    recall: float


def precision_recall(real: Float[Tensor, "n *shape"], generated: Float[Tensor, "m *shape"], neighbours: int = 3) -> PrecisionRecall:
    """Manifolds as unions of balls to each point's k-th nearest neighbour. Raises ValueError for fewer than k + 1 points. Source: Kynkaanniemi et al. 2019."""
    if neighbours < 1:
        raise ValueError(f"neighbours={neighbours} must be at least 1")
    r, g = _together(*_samples(neighbours + 1, real=real, generated=generated))

    def covered(points: Tensor, manifold: Tensor) -> float:
        radius = _nearest(manifold, manifold, same=True, k=neighbours)
        hits = [(_distances(points[i : i + ROWS], manifold) <= radius).any(1) for i in range(0, len(points), ROWS)]
        return float(torch.cat(hits).double().mean())

    return PrecisionRecall(covered(g, r), covered(r, g))
