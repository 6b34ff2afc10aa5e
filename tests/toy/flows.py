"""Where solvers and the exact flow take particles, and optimal block couplings: what the tests of the theorems share."""

import numpy as np
import ot
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from lab.solvers import solve
from tests.toy.scenes import generator, normal, root
from toy.field import MixtureField
from toy.mixtures import Mixture, symmetric

COUNT = 400
NORMALS = normal(COUNT, 2, generator=generator())
CLASSES = torch.arange(COUNT) % 8  # eight classes in equal shares


def rms(difference: Tensor) -> float:
    """Root of the mean squared length of (n, 2) vectors."""
    return float(difference.square().sum(-1).mean().sqrt())


def end(
    field: MixtureField, x_0: Tensor, method: str = "euler", nfe: int = 8, condition: Tensor | None = None, grid: str | Tensor = "uniform"
) -> Tensor:
    """Where a solver takes x_0, started as samplers do."""
    start = field.path.start(x_0)
    return solve(field.velocity, start, method=method, nfe=nfe, grid=grid, condition=condition, path=field.path).end


def exact_end(field: MixtureField, x_0: Tensor, condition: Tensor | None = None, steps: int = 256) -> Tensor:
    """RK4 with many steps."""
    return end(field, x_0, "rk4", 4 * steps, condition)


def accurate_end(field: MixtureField, x_0: Tensor, condition: Tensor | None = None) -> Tensor:
    """scipy's DOP853 at tolerance 1e-10, in the time s with t = last_time (1 - (1 - s)^2), in which VP is smooth at its end."""

    def right(s: float, x: np.ndarray) -> np.ndarray:
        t = field.path.last_time * (1 - (1 - s) ** 2)
        return 2 * field.path.last_time * (1 - s) * field.velocity(x.reshape(-1, 2), t, condition).ravel()

    start = field.path.start(x_0).numpy().ravel()
    return torch.from_numpy(solve_ivp(right, (0.0, 1.0), start, method="DOP853", rtol=1e-10, atol=1e-10).y[:, -1].reshape(-1, 2))


def optimal_blocks(source: Mixture, target: Mixture) -> tuple[Tensor, Tensor]:
    """Component OT per class: the optimal plan under squared Bures-Wasserstein cost, and C = S A with A the Gaussian OT map."""
    S, Sigma = source.covariances[:, None], target.covariances[None]
    middle = root(symmetric(root(S) @ Sigma @ root(S)))
    inverse = torch.linalg.inv(root(S))
    A = symmetric(inverse @ middle @ inverse)
    spread = (S + Sigma - 2 * middle).diagonal(dim1=-2, dim2=-1).sum(-1)
    cost = (source.means[:, None] - target.means[None]).square().sum(-1) + spread
    plan = torch.zeros_like(cost)
    for c in range(target.class_count):
        j, k = torch.nonzero(source.classes == c)[:, 0], torch.nonzero(target.classes == c)[:, 0]
        part = ot.emd(source.weights[j].numpy(), target.weights[k].numpy(), cost[j][:, k].numpy())
        plan[j[:, None], k[None, :]] = torch.from_numpy(np.asarray(part))
    return plan, S @ A
