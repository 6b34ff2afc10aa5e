"""The exact flow that every error is measured against: a field's own trajectory by RK4, refined until it is ten times better than what it judges."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lab.paths import UNBOUNDED_LAST_TIME, CondOT, Path, flat
from lab.solvers import Counted, Field, Trajectory, clock, solve

REFERENCE_STEPS, MOST_STEPS, GRADED_STEPS = 64, 2048, 256
NEGLIGIBLE = 1e-10  # errors below this are rounding


def distance(a: Float[Tensor, "b *shape"], b: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
    """Euclidean distance of each sample, (B,). Raises ValueError unless there are equally many, of one shape."""
    if a.shape != b.shape:
        raise ValueError(f"samples {tuple(a.shape)} and {tuple(b.shape)} must have the same shape to be compared one by one")
    return flat(a - b).norm(dim=1)


@dataclass(frozen=True)
class ErrorSummary:
    """Distances to the exact end points over all particles, and the reference's own error (RMSE), data units."""

    rmse: float
    median: float
    max: float
    reference_error: float

    @property
    def resolved(self) -> bool:
        """Whether the reference is ten times better than the error, or both are rounding: if not, the error is no more than the reference can tell."""
        return self.reference_error <= max(0.1 * self.rmse, NEGLIGIBLE)


@dataclass(frozen=True)
class Reference:
    """The exact flow: fine RK4 states, and each particle's end-point difference (B,) to half as many steps, which bounds its error."""

    trajectory: Trajectory
    difference: Float[Tensor, " b"]

    @property
    def error(self) -> float:
        """RMSE of the difference to half as many steps."""
        return float(self.difference.square().mean().sqrt())

    def at(self, times: Float[Tensor, " k"]) -> Float[Tensor, "k b *shape"]:
        """The exact states at times that lie on the fine grid; ValueError for others (choose the reference with `multiple_of`)."""
        gap, index = (self.trajectory.t[None, :] - times[:, None].to(self.trajectory.t.dtype)).abs().min(1)
        if float(gap.max()) > 1e-9:
            raise ValueError(f"t={float(times[int(gap.argmax())]):g} is not on the reference's grid")
        return self.trajectory.x[index]


def refined(times: Float[Tensor, " k"], steps: int, path: Path) -> Float[Tensor, " m"]:
    """A fine grid through all `times`: each interval cut into equal parts, in all at least `steps` and an even number in each.

    Where the path's sigma falls like a square root (VP, VE), parts are equal in the angle atan2(alpha, sigma): uniform t would miss the end.
    """
    parts = max(2, math.ceil(steps / (len(times) - 1)))
    parts += parts % 2
    fraction = torch.linspace(0, 1, parts + 1, dtype=torch.float64)[:-1]
    if path.last_time == 1.0:
        fine = times[:-1, None] + times.diff()[:, None] * fraction
        return torch.cat((fine.flatten(), times[-1:]))
    warped = _warp(path, times)
    inner = (warped[:-1, None] + warped.diff()[:, None] * fraction).flatten()
    fine = torch.cat((_unwarp(path, inner), times[-1:]))
    fine[::parts] = times  # the given times themselves, to the last bit
    return fine


def _warp(path: Path, t: Tensor) -> Tensor:
    """The angle atan2(alpha, sigma), which is asin(alpha) on VP: a time in which the flows of VP and VE are smooth to the end."""
    return torch.atan2(path.alpha(t), path.sigma(t))


def _unwarp(path: Path, angle: Tensor) -> Tensor:
    tangent = angle.tan()
    return path.time_of_ratio(tangent / (1 + tangent))


def exact_flow(velocity: Field, x_0: Tensor, grid: Tensor, condition: Any, path: Path) -> Trajectory:
    """RK4 in t."""
    return solve(velocity, x_0, method="rk4", grid=grid, condition=condition)


def exact_flow_in_angle(velocity: Field, x_0: Tensor, grid: Tensor, condition: Any, path: Path) -> Trajectory:
    """RK4 in the angle: dx/d(angle) = u(x, t) dt/d(angle), with dt/d(angle) = (alpha^2 + sigma^2) sigma / (d_alpha sigma^2 - alpha sigma d_sigma).

    That factor goes to 0 where d_sigma goes to minus infinity, so that their product stays smooth, which it is not in t: on VP with a conditional prior 64 steps in t err
    by .45, in the angle by 1e-8.
    """
    angle = _warp(path, grid)
    t = torch.empty(2 * len(grid) - 1, dtype=torch.float64)  # the grid's times and, between them, those of the middle stages
    t[::2], t[1::2] = grid, _unwarp(path, 0.5 * (angle[1:] + angle[:-1]))
    alpha, sigma = path.alpha(t), path.sigma(t)
    rate = (alpha**2 + sigma**2) * sigma / (path.d_alpha(t) * sigma**2 - alpha * path.sigma_d_sigma(t))
    counted, at = Counted(velocity), clock(x_0)
    times, rates, steps = t.tolist(), rate.tolist(), angle.diff().tolist()

    def slope(x: Tensor, i: int) -> Tensor:
        return counted(x, at(times[i]), condition) * rates[i]

    x, states = x_0, [x_0]
    for k, h in enumerate(steps):
        first = slope(x, 2 * k)
        second = slope(torch.add(x, first, alpha=0.5 * h), 2 * k + 1)
        third = slope(torch.add(x, second, alpha=0.5 * h), 2 * k + 1)
        last = slope(torch.add(x, third, alpha=h), 2 * k + 2)
        x = x + (h / 6) * (first + 2 * (second + third) + last)
        states.append(x)
    return Trajectory(torch.stack(states), grid, counted.nfe, "rk4")


def reference(
    velocity: Field,
    x_0: Float[Tensor, "b *shape"],
    *,
    condition: Any = None,
    path: Path | None = None,
    times: Float[Tensor, " k"] | None = None,
    t_span: tuple[float, float] = (0.0, 1.0),
    steps: int = REFERENCE_STEPS,
) -> Reference:
    """The exact flow from x_0: RK4 with at least `steps` steps on a grid through `times` (the solver's; in the
    angle asin(alpha) on VP and its like on VE), its error bounded by the difference to half as many steps.
    """
    path = path or CondOT()
    grid = refined(torch.tensor(t_span, dtype=torch.float64) if times is None else times.double(), steps, path)
    integrate = exact_flow if path.last_time == 1.0 else exact_flow_in_angle
    fine, coarse = (integrate(velocity, x_0, g, condition, path) for g in (grid, grid[::2]))
    return Reference(fine, distance(fine.end, coarse.end))


def graded(path: Path, t_span: tuple[float, float], steps: int = GRADED_STEPS) -> Float[Tensor, " k"]:
    """Times over `t_span` for integrals along a flow of VP or VE: equal steps in the sum of t, the angle and -log sigma, each over its own range.

    There u grows like 1 / sigma and |u|^2 like 1 / (1 - t): in the angle alone the last step would hold nearly all of the integral, and overstate it twelvefold.
    """
    first, last = min(t_span), max(t_span)
    near = 1 - torch.logspace(0, math.log10(1 - UNBOUNDED_LAST_TIME), 4096, dtype=torch.float64)
    t = torch.cat((torch.linspace(0, 1, 4096, dtype=torch.float64), near)).clamp(first, last).unique()
    parts = (t, _warp(path, t), -path.sigma(t.clamp(max=path.last_time)).log())
    way = torch.stack([(part - part[0]) / (part[-1] - part[0]) for part in parts]).sum(0)
    grid = torch.from_numpy(np.interp(np.linspace(0, float(way[-1]), steps + 1), way.numpy(), t.numpy()))
    grid[0], grid[-1] = first, last
    return grid if t_span[0] < t_span[1] else grid.flip(0)


def along(exact: Reference, velocity: Field, *, condition: Any = None, path: Path | None = None) -> Trajectory:
    """The exact flow at times between which straightness and acceleration can be summed: the reference's own, on VP and VE those of `graded`."""
    flow, path = exact.trajectory, path or CondOT()
    if path.last_time == 1.0:
        return flow
    return exact_flow_in_angle(velocity, flow.x[0], graded(path, (float(flow.t[0]), float(flow.t[-1]))), condition, path)


def global_error(end: Float[Tensor, "b *shape"], exact: Reference) -> ErrorSummary:
    """Global truncation error: distance between the solver's end points and the exact flow's from the same x_0. Raises ValueError without any particle."""
    if len(end) == 0:
        raise ValueError("x_0 holds no particle; an error is measured over at least one")
    d = distance(end, exact.trajectory.end)
    return ErrorSummary(float(d.square().mean().sqrt()), float(d.quantile(0.5)), float(d.max()), exact.error)


def errors_against_exact(
    velocity: Field,
    x_0: Float[Tensor, "b *shape"],
    ends: Sequence[Tensor],
    *,
    condition: Any = None,
    path: Path | None = None,
    times: Float[Tensor, " k"] | None = None,
    t_span: tuple[float, float] = (0.0, 1.0),
    progress: Callable[[int], None] | None = None,
) -> tuple[Reference, list[ErrorSummary]]:
    """The global errors of solvers' end points from the same x_0, and the reference that they are measured against.

    The reference is refined until its error is a tenth of the least RMSE, or 1e-10, or 2,048 steps are reached: then an error is no more than the reference can tell.
    `progress` is called with the number of steps before each refinement: the last ones take long where particles are many.
    """
    steps = REFERENCE_STEPS
    while True:
        if progress is not None:
            progress(steps)
        exact = reference(velocity, x_0, condition=condition, path=path, times=times, t_span=t_span, steps=steps)
        errors = [global_error(end, exact) for end in ends]
        if all(e.resolved for e in errors) or steps >= MOST_STEPS:
            return exact, errors
        steps *= 2
