"""Couplings with a closed form in the toy world: plans between components, optimal transport between Gaussians, and the shown points paired exactly."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab import random
from lab.optimal_transport import assign, squared_cost
from lab.paths import Path
from toy.mixtures import Mixture

TIE, TIE_STREAM = 1e-9, 0x544945
CRUMB = 1e-14  # joint weights below it are rounding: a component weighs 1e-12 at least (toy/demands.py)


@dataclass(frozen=True)
class Block:
    """A block coupling: plan (J, K) of joint weights and cross (J, K, 2, 2) covariances of x_0 with x_1 within each pair."""

    plan: Float[Tensor, "j k"]
    cross: Float[Tensor, "j k 2 2"]


def independent_plan(source: Mixture, target: Mixture) -> Float[Tensor, "j k"]:
    """x_0 independent of x_1: the outer product of the weights."""
    return torch.outer(source.weights, target.weights)


def class_plan(source: Mixture, target: Mixture) -> Float[Tensor, "j k"]:
    """x_0 and x_1 of the same class, independent given it: P_jk = w_j v_k / pi_c where j and k are of class c, else 0.

    Raises ValueError where the classes' weights of source and target differ.
    """
    if source.class_count != target.class_count or float((source.class_weights - target.class_weights).abs().max()) > 1e-9:
        raise ValueError(
            f"source and target must share their classes' weights, not {source.class_weights.tolist()} and {target.class_weights.tolist()}"
        )
    same = source.classes[:, None] == target.classes[None, :]
    return same * torch.outer(source.weights, target.weights) / target.class_weights[target.classes]


def _root(s: Float[Tensor, "*k 2 2"]) -> Float[Tensor, "*k 2 2"]:
    values, vectors = torch.linalg.eigh(s)
    return (vectors * values.clamp(min=0).sqrt()[..., None, :]) @ vectors.mT


def gaussian_ot_map(s: Float[Tensor, "*j 2 2"], sigma: Float[Tensor, "*k 2 2"]) -> Float[Tensor, "*jk 2 2"]:
    """The optimal linear map A between centred Gaussians, symmetric with A S A = Sigma: S^-1/2 (S^1/2 Sigma S^1/2)^1/2 S^-1/2."""
    root = _root(s)
    inverse = torch.linalg.inv(root)
    return inverse @ _root(root @ sigma @ root) @ inverse


def bures_wasserstein2(source: Mixture, target: Mixture) -> Float[Tensor, "j k"]:
    """Squared W2 between every source and every target component: |m - mu|^2 + tr(S + Sigma - 2 (S^1/2 Sigma S^1/2)^1/2)."""
    root = _root(source.covariances)[:, None]
    cross = _root(root @ target.covariances[None] @ root)

    def trace(s: Tensor) -> Tensor:
        return s.diagonal(dim1=-2, dim2=-1).sum(-1)

    return (
        squared_cost(source.means, target.means) + trace(source.covariances)[:, None] + trace(target.covariances)[None] - 2 * trace(cross)
    )


def component_ot(source: Mixture, target: Mixture, *, per_class: bool) -> Block:
    """The optimal plan between components under the Bures-Wasserstein cost, each pair moved by its Gaussian OT map (C = S A). Closed form; not OT itself.

    Per class where asked. Where symmetry leaves several plans optimal, a fixed change of the costs by a part in 10^9 chooses one, the same in every solver. Raises ValueError
    where the source has one component alone, to which no plan can be chosen. Source: Delon & Desolneux 2020.
    """
    if len(source.weights) == 1:
        raise ValueError("component OT needs a prior of several components; with one there is nothing to pair")
    cost = bures_wasserstein2(source, target)
    ties = random.uniforms(0, torch.arange(cost.numel()), 1, TIE_STREAM).reshape(cost.shape)
    cost = cost + TIE * cost.max() * ties
    if per_class:
        plan = class_plan(source, target)
        for c in range(target.class_count):
            j, k = (torch.nonzero(m.classes == c)[:, 0] for m in (source, target))
            plan[j[:, None], k[None, :]] = _optimal_plan(source.weights[j], target.weights[k], cost[j][:, k])
    else:
        plan = _optimal_plan(source.weights, target.weights, cost)
    maps = gaussian_ot_map(source.covariances[:, None], target.covariances[None])
    return Block(plan, source.covariances[:, None] @ maps)


def _optimal_plan(a: Float[Tensor, " j"], b: Float[Tensor, " k"], cost: Float[Tensor, "j k"]) -> Float[Tensor, "j k"]:
    """Optimal transport between weights, by POT's network simplex, without the crumbs that rounding leaves."""
    import ot

    plan = torch.from_numpy(np.asarray(ot.emd(a.numpy(), b.numpy(), cost.contiguous().numpy())))
    return plan.where(plan > CRUMB, 0.0)


def full_ot(x_0: Float[Tensor, "n 2"], x_1: Float[Tensor, "n 2"], condition: Int[Tensor, " n"] | None = None) -> Int[Tensor, " n"]:
    """The order of x_1 that pairs it optimally with x_0, x_0[i] with x_1[order[i]] (within each class, where given): exact assignment of the shown points."""
    order = torch.arange(len(x_0))
    for c in [None] if condition is None else condition.unique():
        rows = torch.arange(len(x_0)) if c is None else torch.nonzero(condition == c)[:, 0]
        order[rows] = rows[assign(squared_cost(x_0[rows], x_1[rows]))]
    return order


class PairedField:
    """The velocity of given pairs, row by row: d_alpha x_1 + d_sigma x_0. It knows only these particles: x must have their number of rows, in their order.

    condition (N,): the class of each x_1.
    """

    def __init__(self, x_0: Float[Tensor, "n 2"], x_1: Float[Tensor, "n 2"], condition: Int[Tensor, " n"], path: Path) -> None:
        self.x_0, self.x_1, self.condition, self.path = x_0, x_1, condition, path

    def _check(self, x: Any) -> None:
        if len(x) != len(self.x_0):
            raise ValueError(
                f"this field knows {len(self.x_0)} paired particles, in their order; it cannot tell the velocity of {len(x)} points"
            )

    def velocity(self, x: Tensor, t: Tensor | float, condition: Tensor | None = None) -> Tensor:
        """(N, 2) to (N, 2), whatever x and condition are."""
        self._check(x)
        time = torch.as_tensor(t, dtype=torch.float64).reshape(-1, 1)
        return self.path.d_alpha(time) * self.x_1 + self.path.d_sigma(time) * self.x_0

    def endpoints(self, x: Tensor, t: Tensor | float, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The pair itself."""
        self._check(x)
        return self.x_0, self.x_1
