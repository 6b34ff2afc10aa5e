"""Semidiscrete optimal transport: from a prior with a density to n fixed data, by one potential per datum.

    x_0 goes to y_j with j = argmin_j |x_0 - y_j|^2 - g_j       g: maximum of E min_j (|x_0 - y_j|^2 - g_j) + sum_j g_j / n

At the maximum every datum is chosen equally often. |x_0|^2 is the same for all j and left out.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

# Rounds of POT's averaged SGD, each from the last one's potentials: (share of the steps, learning rate in units of sqrt(n batch), first epsilon), costs in units of
# their standard deviation. Large epsilons move far data early; the falling rate settles data that lie close, whose cells are stiff. chi^2 after 4,000 steps of 256 at
# n = 512 in the plane: .0015; in three rounds to (.5, .1, .03) .017, in one round at (1, .3, .1) .11, (1, 1, 1) 1.0, (1, 1, .1) (POT's own) 1.1.
ROUNDS = ((0.1, 1.0, 1.0), (0.15, 0.3, 0.1), (0.2, 0.1, 0.03), (0.25, 0.03, 0.01), (0.3, 0.01, 0.003))
PROBES = 1024  # noises that the costs' spread is measured on
CHUNK = 1 << 24  # scores at a time


def scores(x_0: Float[Tensor, "b d"], data: Float[Tensor, "n d"]) -> Float[Tensor, "b n"]:
    """|x_0 - y_j|^2 but for what all j share, |y_j|^2 - 2 x_0 . y_j, by a matrix product around the data's mean: far from it float32 would lose what tells data apart."""
    centre = data.mean(0)
    x_0, data = x_0 - centre, data - centre
    return torch.addmm(data.square().sum(1), x_0, data.T, alpha=-2.0)


def fit_potentials(
    data: Float[Tensor, "n d"], draw: Callable[[int], Float[Tensor, "b d"]], steps: int = 4000, batch: int = 256
) -> Float[Tensor, " n"]:
    """The potentials g of `data` for noise draw(count), in squared data units, with mean 0.

    POT's averaged stochastic gradient with falling entropic regularisation, in five rounds. Time: steps * batch * n * d multiplications and as many
    exponentials without the d; n = 512 with the defaults takes ten seconds on a core. How good they are, chi_squared says.

    Raises ValueError for data that are not finite or steps or batch below 1. Source: Genans et al. 2025 (as `ot.semidiscrete`).
    """
    import ot.semidiscrete

    if steps < 10 or batch < 1:
        raise ValueError(f"steps={steps} must be at least 10 and batch={batch} at least 1")
    if len(data) == 0 or not bool(data.isfinite().all()):
        raise ValueError(f"data of shape {tuple(data.shape)} must be at least one point, all finite; look for NaN or infinity")
    spread = float(scores(draw(PROBES), data).std(dim=1, correction=0).mean())
    potentials = torch.zeros(len(data), dtype=data.dtype, device=data.device)
    if spread == 0:  # one datum, or copies of one
        return potentials
    solver: Any = ot.semidiscrete.solve_semidiscrete  # its annotations come from its defaults
    for share, rate, epsilon in ROUNDS:
        potentials = solver(
            data,
            draw,
            metric=lambda x_0, y: scores(x_0, y) / spread,
            max_iter=round(share * steps),
            batch_size=batch,
            lr0=rate * math.sqrt(len(data) * batch),
            decreasing_reg_initial_eps=epsilon,
            init_potential=potentials,
        )
    return spread * (potentials - potentials.mean())


def nearest(x_0: Float[Tensor, "b d"], data: Float[Tensor, "n d"], potentials: Float[Tensor, " n"]) -> Int[Tensor, " b"]:
    """The datum of each noise: argmin_j |x_0 - y_j|^2 - g_j."""
    rows = max(1, CHUNK // len(data))
    return torch.cat([(scores(part, data) - potentials).argmin(1) for part in x_0.split(rows)])


def chi_squared(hits: Int[Tensor, " n"]) -> float:
    """How unevenly B draws hit n data of equal weight: chi^2 = n sum_j (hits_j^2 - hits_j) / (B (B - 1)) - 1.

    Unbiased for n sum_j p_j^2 - 1, with p_j the chance of datum j: 0 where all are equal (the estimate then scatters about 0 by sqrt(2 (n - 1)) / B, and may be
    negative), n - 1 where one datum takes all. Up to .05 is good enough to train on. Raises ValueError for fewer than two draws.
    Source: SD-FM (Mousavi-Hosseini et al. 2025, arXiv 2509.25519).
    """
    draws = int(hits.sum())
    if draws < 2:
        raise ValueError(f"hits holds {draws} draws; chi^2 needs at least two")
    counts = hits.double()
    return float(len(hits) * (counts * (counts - 1)).sum() / (draws * (draws - 1.0)) - 1)
