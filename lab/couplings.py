"""Couplings: which noise x_0 goes with which datum x_1 in a batch. Each is called as coupling(x_0, x_1, condition=None, generator=None) -> Pairs."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from lab.optimal_transport import assign, squared_cost


@dataclass(frozen=True)
class Pairs:
    """Paired batch: x_1 and condition as given, x_0 = the given x_0[index]."""

    x_0: Float[Tensor, "b *shape"]
    x_1: Float[Tensor, "b *shape"]
    condition: Shaped[Tensor, "b *c"] | None
    index: Int[Tensor, " b"]


def _paired(x_0: Tensor, x_1: Tensor, condition: Tensor | None, index: Tensor) -> Pairs:
    return Pairs(x_0[index], x_1, condition, index)


def _check(x_0: Tensor, x_1: Tensor, condition: Tensor | None) -> None:
    if x_0.shape != x_1.shape:
        raise ValueError(f"x_0 {tuple(x_0.shape)} and x_1 {tuple(x_1.shape)} must have the same shape to be paired")
    if condition is not None and len(condition) != len(x_1):
        raise ValueError(f"condition has {len(condition)} entries for {len(x_1)} data")


@dataclass(frozen=True)
class Independent:
    """Pairs as they come: x_0 independent of x_1."""

    def __call__(self, x_0: Tensor, x_1: Tensor, condition: Tensor | None = None, generator: torch.Generator | None = None) -> Pairs:
        _check(x_0, x_1, condition)
        return _paired(x_0, x_1, condition, torch.arange(len(x_1), device=x_1.device))


@dataclass(frozen=True)
class BatchOT:
    """Exact optimal transport within the batch for |x_1 - x_0|^2, blind to the condition: p(x_0 | condition) is then no longer the prior.

    A permutation: every datum and every noise exactly once. Source: Pooladian et al. 2023, Tong et al. 2024.
    """

    def __call__(self, x_0: Tensor, x_1: Tensor, condition: Tensor | None = None, generator: torch.Generator | None = None) -> Pairs:
        _check(x_0, x_1, condition)
        return _paired(x_0, x_1, condition, assign(squared_cost(x_1, x_0)))


@dataclass(frozen=True)
class PerClassOT:
    """Exact optimal transport within each class of the batch: a permutation that keeps p(x_0 | class) the prior.

    The noise x_0[i] belongs to the class of x_1[i], as a class-conditional prior needs. Solved class by class, never by penalties.
    """

    def __call__(self, x_0: Tensor, x_1: Tensor, condition: Tensor | None = None, generator: torch.Generator | None = None) -> Pairs:
        _check(x_0, x_1, condition)
        if condition is None or condition.is_floating_point() or condition.ndim != 1:
            raise ValueError("PerClassOT needs condition=, one whole number (a class) per datum; without classes use BatchOT")
        index = torch.arange(len(x_1), device=x_1.device)
        for c in condition.unique():
            rows = torch.nonzero(condition == c)[:, 0]
            index[rows] = rows[assign(squared_cost(x_1[rows], x_0[rows]))]
        return _paired(x_0, x_1, condition, index)


@dataclass(frozen=True)
class ConditionalOT:
    """C2OT: optimal transport whose cost also counts how far the noise's condition is from the datum's.

    Classes (whole numbers): exact, the limit of infinite weight, which is optimal transport within each class. Continuous conditions (B, D) floats: the cost is
    |x_1 - x_0|^2 + weight |c - c'|^2, an approximation that keeps p(x_0 | condition) near the prior only as the weight grows against the batch's own distances.
    Source: Cheng & Schwing 2025 (arXiv 2503.10636).
    """

    weight: float = 1.0

    def __call__(self, x_0: Tensor, x_1: Tensor, condition: Tensor | None = None, generator: torch.Generator | None = None) -> Pairs:
        _check(x_0, x_1, condition)
        if condition is None:
            raise ValueError("ConditionalOT needs condition=: classes (whole numbers) or vectors (B, D); without conditions use BatchOT")
        if not condition.is_floating_point():
            return PerClassOT()(x_0, x_1, condition, generator)
        if not self.weight >= 0:
            raise ValueError(f"weight={self.weight} must not be negative")
        cost = squared_cost(x_1, x_0) + self.weight * squared_cost(
            condition.reshape(len(condition), -1), condition.reshape(len(condition), -1)
        )
        return _paired(x_0, x_1, condition, assign(cost))
