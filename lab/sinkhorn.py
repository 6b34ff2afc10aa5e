"""Entropic optimal transport: the soft plan P between two batches, by Sinkhorn's iterations on logarithms.

min <P, C> - epsilon H(P)    over P >= 0 with rows that sum to 1/n and columns that sum to 1/m
P_ij = exp((f_i + g_j - C_ij) / epsilon)
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


class NotConverged(RuntimeError):
    """The plan misses its marginals by more than the tolerance. `marginal_error` and `iterations` say by how much, after how many."""

    def __init__(self, words: str, marginal_error: float, iterations: int):
        super().__init__(words)
        self.marginal_error, self.iterations = marginal_error, iterations


@dataclass(frozen=True)
class SinkhornPlan:
    """Entropic plan (n, m), of total mass 1, with the potentials f (rows) and g (columns) that it is made of, in units of the cost.

    epsilon is absolute, in units of the cost. marginal_error: the L1 distance of the plan's row sums from 1/n or of its column sums from 1/m, the larger; 0 to 2.
    """

    plan: Float[Tensor, "n m"]
    f: Float[Tensor, " n"]
    g: Float[Tensor, " m"]
    epsilon: float
    iterations: int
    marginal_error: float


def sinkhorn_plan(
    cost: Float[Tensor, "n m"], epsilon: float = 0.05, *, relative: bool = True, tolerance: float = 1e-4, max_iterations: int = 10_000
) -> SinkhornPlan:
    """The entropic optimal plan between uniform weights for `cost`, in float64.

    epsilon is in units of the cost's standard deviation (relative, the default: comparable across dimensions and scales) or of the cost itself. Near 0 the plan is
    the optimal assignment, far above 1 the independent coupling; small ones need iterations, about as 1 / epsilon. POT's log-domain Sinkhorn: no exponential
    underflows, whatever epsilon.

    Raises NotConverged where the marginals are off by more than `tolerance` (see SinkhornPlan.marginal_error), and ValueError for a cost that is not a finite matrix
    or for epsilon, tolerance or max_iterations that are not positive. Source: Cuturi 2013; Peyre & Cuturi 2019, section 4.4; epsilon relative to the standard
    deviation: Zhang et al. 2025 (arXiv 2506.05526).
    """
    import ot

    for name, value in (("epsilon", epsilon), ("tolerance", tolerance), ("max_iterations", max_iterations)):
        if not 0 < value < math.inf:
            raise ValueError(f"{name}={value} must be positive and finite")
    if cost.numel() == 0 or not bool(torch.isfinite(cost).all()):
        raise ValueError(f"cost of shape {tuple(cost.shape)} must be a finite matrix; look for NaN or infinity in the points")
    cost = cost.detach().double()
    n, m = cost.shape
    spread = float(cost.std(correction=0))
    absolute = epsilon * (spread or 1.0) if relative else epsilon  # equal costs: every epsilon gives the same plan
    rows, columns = (torch.full((k,), 1 / k, dtype=cost.dtype, device=cost.device) for k in (n, m))
    # POT measures the L2 norm of the columns' errors, which is at least the L1 norm over sqrt(m).
    solver: Any = ot.bregman.sinkhorn_log  # what it returns depends on log=, which its annotations do not say
    plan, log = solver(rows, columns, cost, absolute, numItermax=max_iterations, stopThr=tolerance / math.sqrt(m), log=True, warn=False)
    error = max(float((plan.sum(1) - rows).abs().sum()), float((plan.sum(0) - columns).abs().sum()))
    iterations = log["niter"] + 1
    if not error <= tolerance:  # NaN is not either
        raise NotConverged(
            f"Sinkhorn's plan misses its marginals by {error:.2g} (tolerance={tolerance:g}) after {iterations} iterations at epsilon={absolute:.3g}, "
            f"{absolute / (spread or 1.0):.3g} standard deviations of the cost; raise max_iterations or epsilon, or use BatchOT, the limit of small epsilon",
            error,
            iterations,
        )
    return SinkhornPlan(plan, absolute * log["log_u"], absolute * log["log_v"], absolute, iterations, error)
