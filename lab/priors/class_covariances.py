"""Classes' covariances in the form that a prior asks for: which accumulator has it, shrinkage, and low rank plus diagonal."""

import torch
from torch import Tensor

from lab.moments import DiagonalMoments, MomentAccumulator, PooledMoments, SketchedMoments
from lab.priors.covariances import EPS, Diagonal, Full, Isotropic, LowRank

Moments = MomentAccumulator | DiagonalMoments | PooledMoments | SketchedMoments
Form = Isotropic | Diagonal | Full | LowRank

COVARIANCES = ("none", "isotropic", "diagonal", "full", "pooled", "low-rank")
MEMORY = 2**35  # bytes that full covariances fitted from batches may take


def accumulator(covariance: str, classes: int, dimension: int, rank: int, rows: int | None) -> Moments:
    """The smallest accumulator that has this covariance."""
    if covariance == "full":
        size = 8 * classes * dimension**2
        if size > MEMORY:
            raise ValueError(
                f"covariance='full' of {classes} classes in {dimension} dimensions would take {size / 1e9:.0f} GB; "
                "take 'diagonal', 'low-rank' or 'pooled'"
            )
        return MomentAccumulator(classes, dimension)
    if covariance == "pooled":
        return PooledMoments(classes, dimension)
    if covariance == "low-rank":
        return SketchedMoments(classes, dimension, min(2 * rank, dimension) if rows is None else rows)
    return DiagonalMoments(classes, dimension)


def checked_rank(rank: int | None, moments: Moments, dimension: int) -> int:
    most = moments.sketch.shape[1] if isinstance(moments, SketchedMoments) else dimension
    if rank is None:
        rank = max(1, most // 2 if isinstance(moments, SketchedMoments) else min(16, dimension - 1))
    if not 1 <= rank <= most:
        raise ValueError(f"rank={rank} must lie in 1 to {most}, the {'rows of the sketch' if most < dimension else 'dimension'}")
    return rank


def spread_of(moments: Moments, covariance: str, own: Tensor, pooled: bool, shrinkage: float, rank: int) -> Form:
    """Covariances of the classes `own`, and last the pooled one if asked for, shrunk."""
    if covariance == "none":
        return Isotropic(torch.ones(1, dtype=torch.float64))
    if covariance in ("isotropic", "diagonal"):
        if isinstance(moments, PooledMoments):
            raise _unheld(covariance, moments, "DiagonalMoments or MomentAccumulator")
        variances = _with_pooled(moments.variances[own], moments, pooled)
        return Isotropic(variances.mean(1)) if covariance == "isotropic" else Diagonal(_shrunk_diagonal(variances, shrinkage))
    if covariance == "pooled":
        if not isinstance(moments, MomentAccumulator | PooledMoments):
            raise _unheld(covariance, moments, "PooledMoments or MomentAccumulator")
        return Full.of(_shrunk(moments.pooled[None], shrinkage))
    if covariance == "full":
        if not isinstance(moments, MomentAccumulator):
            raise _unheld(covariance, moments, "MomentAccumulator")
        s = moments.covariances[own]
        return Full.of(_shrunk(torch.cat((s, moments.pooled[None])) if pooled else s, shrinkage))
    if isinstance(moments, MomentAccumulator):
        roots = [_leading_of_matrix(s, rank) for s in moments.covariances[own]]
        if pooled:
            roots.append(_leading_of_matrix(moments.pooled, rank))
    elif isinstance(moments, SketchedMoments):
        roots = [_leading_of_sketch(moments.sketch[c], int(moments.counts[c]) - 1, rank) for c in own.tolist()]
        if pooled:
            roots.append(_leading_of_sketch(moments.pooled_sketch.rows, moments.pooled_freedom, rank))
    else:
        raise _unheld(covariance, moments, "SketchedMoments or MomentAccumulator")
    return _low_rank(_with_pooled(moments.variances[own], moments, pooled), torch.stack(roots), own, shrinkage)


def _unheld(covariance: str, moments: Moments, needed: str) -> ValueError:
    return ValueError(f"covariance={covariance!r} cannot be had from {type(moments).__name__}; accumulate with {needed}")


def _with_pooled(variances: Tensor, moments: MomentAccumulator | DiagonalMoments, pooled: bool) -> Tensor:
    return torch.cat((variances, moments.pooled_variances[None])) if pooled else variances


def _shrunk(s: Tensor, shrinkage: float) -> Tensor:
    """(1 - l) S + l (tr S / D) I for every matrix."""
    level = s.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    return (1 - shrinkage) * s + shrinkage * level * torch.eye(s.shape[-1], dtype=s.dtype)


def _shrunk_diagonal(variances: Tensor, shrinkage: float) -> Tensor:
    """The diagonal of `_shrunk`."""
    return (1 - shrinkage) * variances + shrinkage * variances.mean(-1, keepdim=True)


def _leading_of_matrix(s: Tensor, rank: int) -> Tensor:
    """W (D, rank) with W W^T the leading eigenpairs of S."""
    values, vectors = torch.linalg.eigh(s)
    return vectors[:, -rank:] * values[-rank:].clamp(min=0).sqrt()


def _leading_of_sketch(sketch: Tensor, freedom: int, rank: int) -> Tensor:
    """W (D, rank) with W W^T the leading eigenpairs of B^T B / freedom."""
    _, singular, directions = torch.linalg.svd(sketch, full_matrices=False)
    return (singular[:rank, None] * directions[:rank]).T / freedom**0.5


def _low_rank(variances: Tensor, roots: Tensor, own: Tensor, shrinkage: float) -> LowRank:
    """(1 - l) (W W^T + diag(S - W W^T)) + l (tr S / D) I from S's variances (G, D) and W (G, D, R)."""
    roots = torch.where(variances[..., None] > 0, roots, 0)  # a constant coordinate has no share in any direction, whatever rounding says
    left = variances - roots.square().sum(-1)
    rounding = 10 * variances.shape[1] * EPS * variances
    left = torch.where(left > rounding, left, 0)
    bad = ((left == 0) & (variances > 0)).any(1)
    if shrinkage == 0 and bool(bad.any()):
        g = int(torch.nonzero(bad)[0])
        whose = f"class {int(own[g])}" if g < len(own) else "the pooled covariance"
        raise ValueError(f"rank={roots.shape[-1]} leaves {whose} no variance for the diagonal; take a lower rank or shrinkage > 0")
    level = shrinkage * variances.mean(1, keepdim=True)
    return LowRank.of((1 - shrinkage) * left + level, (1 - shrinkage) ** 0.5 * roots)
