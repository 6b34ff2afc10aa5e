"""Pairs (x_0, x_1) drawn as training would draw them: batches of independent pairs, re-paired within each batch by exact optimal transport."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab.optimal_transport import NETWORK_SIMPLEX_FROM, assign
from toy.mixtures import Mixture

PAIRS = 200_000
FULL_COUNT_TO = 256  # assignment costs about k^2 an entry: beyond this batch size fewer pairs are drawn, so that it stays near 10 s
LEAST_BATCHES = 4
COSTS_AT_ONCE = 2_000_000  # numbers of cost matrices held at a time (16 MB)


@dataclass(frozen=True)
class SampledPairs:
    """Coupled pairs x_0, x_1 (n, 2) float64, and the component (n,) of the target that each x_1 was drawn from."""

    x_0: Float[Tensor, "n 2"]
    x_1: Float[Tensor, "n 2"]
    component: Int[Tensor, " n"]

    @property
    def transport_cost(self) -> float:
        """Mean squared distance of the pairs."""
        return float((self.x_1 - self.x_0).square().sum(1).mean())


def pair_count(batch_size: int) -> int:
    """How many pairs stand for a batch coupling: 200,000 in whole batches; fewer beyond a batch size of 256 (in inverse proportion, four batches at least)."""
    wanted = PAIRS * min(1.0, FULL_COUNT_TO / batch_size)
    return batch_size * max(math.ceil(wanted / batch_size), LEAST_BATCHES)


def batch_ot_pairs(
    source: Mixture,
    target: Mixture,
    plan: Float[Tensor, "j k"],
    *,
    batch_size: int,
    per_class: bool,
    generator: torch.Generator,
    count: int | None = None,
) -> SampledPairs:
    """Pairs of batch OT: independent draws from `plan` in batches of `batch_size`, each batch then re-paired optimally for |x_1 - x_0|^2.

    plan (J, K): how the components of source and target go together before transport. per_class: re-paired within the classes of each batch, which keeps p(x_0 | class);
    otherwise blind to them. count: rounded up to whole batches; `pair_count` if not given. batch_size 1 leaves the pairs of the plan.

    Raises ValueError for a batch size or a count below 1. Source: Pooladian et al. 2023, Tong et al. 2024.
    """
    if batch_size < 1 or (count is not None and count < 1):
        raise ValueError(f"batch_size={batch_size} and count={count} must be at least 1")
    batches = math.ceil((pair_count(batch_size) if count is None else count) / batch_size)
    cell = torch.multinomial(plan.flatten(), batches * batch_size, replacement=True, generator=generator)
    if per_class:  # members of a class next to each other in their batch
        own_class = target.classes[cell % plan.shape[1]].reshape(batches, batch_size)
        cell = cell.reshape(batches, batch_size).gather(1, own_class.argsort(dim=1)).flatten()
    component = cell % plan.shape[1]
    normals = torch.randn(2, len(cell), 2, dtype=torch.float64, generator=generator)
    x_0 = source.from_normals(normals[0], cell // plan.shape[1]).reshape(batches, batch_size, 2)
    x_1 = target.from_normals(normals[1], component).reshape(batches, batch_size, 2)
    sizes = torch.full((batches, 1), batch_size)
    if per_class:
        sizes = torch.nn.functional.one_hot(target.classes[component].reshape(batches, batch_size), target.class_count).sum(1)
    order = _optimal_order(x_0, x_1, sizes)
    return SampledPairs(x_0.gather(1, order[..., None].expand(-1, -1, 2)).flatten(0, 1), x_1.flatten(0, 1), component)


def _optimal_order(x_0: Float[Tensor, "b n 2"], x_1: Float[Tensor, "b n 2"], sizes: Int[Tensor, "b g"]) -> Int[Tensor, "b n"]:
    """For each batch the order of x_0 that pairs it optimally with x_1 within consecutive groups of the given sizes."""
    from scipy.optimize import linear_sum_assignment

    batches, n = x_0.shape[:2]
    order = torch.arange(n).repeat(batches, 1)
    if n == 1:
        return order
    step = max(1, COSTS_AT_ONCE // n**2)
    for first in range(0, batches, step):
        # |x_1 - x_0|^2 but for what a row or a column has in common, which no assignment feels.
        costs = -(x_1[first : first + step] @ x_0[first : first + step].mT)
        for cost, found, groups in zip(costs, order[first : first + step], sizes[first : first + step].tolist(), strict=True):
            start = 0
            for size in groups:
                if size > 1:
                    block = cost[start : start + size, start : start + size]
                    # lab's `assign` is SciPy's solver too at these sizes; without its checks 25,000 tiny blocks take a third of the time.
                    index = torch.from_numpy(linear_sum_assignment(block.numpy())[1]) if size < NETWORK_SIMPLEX_FROM else assign(block)
                    found[start : start + size] = start + index
                start += size
    return order
