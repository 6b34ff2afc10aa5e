"""What the lab measures about a field and a solver, each quantity defined once. Any shape: x (B, *shape).

The *exact flow* from a particle is the field's own trajectory, integrated finely (lab.reference); every error is a distance to it, in data units.

To measure a field of your own, any `velocity(x, t, condition)`:

    measured = lab.measures.measure(velocity, x_0, method="heun", nfe=8)
    print(measured)

Distances between samples (W2, Frechet, kernel, nearest neighbours) are in lab.distances.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsIndex

import torch
from jaxtyping import Float
from torch import Tensor

from lab.paths import CondOT, Path, flat
from lab.reference import NEGLIGIBLE, ErrorSummary, Reference, along, distance, errors_against_exact
from lab.solvers import (
    MULTISTEP,
    TABLEAUS,
    Counted,
    Field,
    Trajectory,
    adams_bashforth,
    check_fixed_step,
    clock,
    ddim_step,
    evaluations_per_call,
    fixed_times,
    nearest_nfe,
    solve,
    step,
)

NFE_LADDER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
NO_ORDER = "no clean order yet"


def mean_square(x: Tensor) -> Tensor:
    """Mean over particles (dimension -1 after flattening) of the squared norm: (..., B, D) to (...)."""
    return (x * x).sum(-1).mean(-1)


@dataclass(frozen=True)
class LocalError:
    """Error of a single step from the exact state: over particles, for each step; t (K,) are the steps' starts."""

    t: Float[Tensor, " k"]
    rmse: Float[Tensor, " k"]
    median: Float[Tensor, " k"]


def local_error(
    velocity: Field, exact: Reference, times: Float[Tensor, " k"], method: str, *, condition: Any = None, path: Path | None = None
) -> LocalError:
    """Local truncation error: from the exact state at t_k, one step of the solver against the exact flow over that step.

    `times` are the solver's and must lie on the reference's grid. ab2 gets the exact slope one step before; its first step is Euler's.
    """
    states = exact.at(times)
    counted, at = Counted(velocity), clock(states[0])
    errors = []
    before: tuple[Tensor, float] | None = None
    for k, (t, later) in enumerate(itertools.pairwise(times.tolist())):
        x = states[k]
        if method in TABLEAUS:
            after = step(TABLEAUS[method], counted, x, t, later - t, condition, at)
        elif method == MULTISTEP:
            slope = counted(x, at(t), condition)
            after = adams_bashforth(x, slope, later - t, before)
            before = (slope, later - t)
        else:
            after = ddim_step(counted, x, t, later, condition, path or CondOT(), at)
        errors.append(distance(after, states[k + 1]))
    table = torch.stack(errors)
    return LocalError(times[:-1], table.square().mean(1).sqrt(), table.quantile(0.5, dim=1))


def slopes(trajectory: Trajectory, velocity: Field, condition: Any = None) -> Float[Tensor, "k b d"]:
    """The field along a trajectory, flattened to (K + 1, B, D)."""
    at = clock(trajectory.x[0])
    return torch.stack([flat(velocity(x, at(float(t)), condition)) for x, t in zip(trajectory.x, trajectory.t, strict=True)])


def _needs_three(trajectory: Trajectory, name: str) -> None:
    if len(trajectory.t) < 3:
        raise ValueError(
            f"{name} needs a trajectory of at least three times, not {len(trajectory.t)}; give it a fine one, such as reference(...).trajectory"
        )


def straightness(trajectory: Trajectory, velocity: Field, condition: Any = None) -> Float[Tensor, " b"]:
    """How far the velocity along each trajectory departs from constant: integral of |u(x_t, t) - (x(1) - x(0))|^2 over t, (B,).

    0 means a straight line at constant speed. Compares couplings under one prior; a shrunken prior is straighter and worse (design section 4).
    Units: squared data units. Trapezoidal in t over the trajectory's own times, so give it a fine one (on VP and VE
    that of lab.reference.along, since the velocity grows without bound).

    Raises ValueError if the trajectory has fewer than three times. Source: Liu et al. 2022, eq. 6 (S(Z)).
    """
    _needs_three(trajectory, "straightness")
    chord = flat(trajectory.x[-1] - trajectory.x[0]) / (trajectory.t[-1] - trajectory.t[0])
    departure = (slopes(trajectory, velocity, condition) - chord).square().sum(-1)
    return torch.trapezoid(departure, trajectory.t.to(departure.dtype), dim=0).abs()  # times fall where the flow is followed backwards


class AccelerationAlong(NamedTuple):
    """E |d/dt u(x_t, t)|^2 on each interval: the intervals' middles t (K,) and the values (K,), squared data units per time^4."""

    t: Float[Tensor, " k"]
    values: Float[Tensor, " k"]


def acceleration_along(trajectory: Trajectory, velocity: Field, condition: Any = None) -> AccelerationAlong:
    """E |d/dt u(x_t, t)|^2 on each interval of the trajectory, by forward differences. Raises ValueError if it has fewer than three times."""
    _needs_three(trajectory, "acceleration")
    t = trajectory.t
    u = slopes(trajectory, velocity, condition)
    rate = u.diff(dim=0) / t.diff().to(u.dtype)[:, None, None]
    return AccelerationAlong(0.5 * (t[1:] + t[:-1]), mean_square(rate))


def acceleration(trajectory: Trajectory, velocity: Field, condition: Any = None) -> float:
    """E integral of |d/dt u(x_t, t)|^2 over t along the flow, what Euler's error follows: sum over intervals of E|du|^2 / dt. Squared data units."""
    values = acceleration_along(trajectory, velocity, condition).values
    return float((values * trajectory.t.diff().abs().to(values.dtype)).sum())


def path_efficiency(trajectory: Trajectory, spread: float | None = None) -> float | None:
    """Mean displacement over mean length of the trajectories, in (0, 1]; None where the mean displacement is under 5 % of `spread`, or nothing moves."""
    x = trajectory.x[:, :, None].flatten(2)
    displacement = float((x[-1] - x[0]).norm(dim=-1).mean())
    length = float(x.diff(dim=0).norm(dim=-1).sum(0).mean())
    if length == 0 or (spread is not None and displacement < 0.05 * spread):
        return None
    return displacement / length


def transport_cost(x_0: Float[Tensor, "b *shape"], x_1: Float[Tensor, "b *shape"]) -> float:
    """Mean squared distance E|x_1 - x_0|^2, of a coupling's pairs or of a flow's ends. Squared data units. Raises ValueError for unequal shapes and for no pair."""
    if len(x_0) == 0:
        raise ValueError("x_0 holds no pair, so there is no mean cost")
    return float(distance(x_0.double(), x_1.double()).square().mean())


@dataclass(frozen=True)
class Ladder:
    """Global truncation error over budgets of evaluations (those that the method can use), and the reference's own error."""

    method: str
    nfe: tuple[int, ...]
    rmse: tuple[float, ...]
    median: tuple[float, ...]
    max: tuple[float, ...]
    reference_error: float

    @property
    def order(self) -> float | None:
        """Fitted order of the median error; None where there is no clean one."""
        return fitted_order(self.nfe, self.median, self.reference_error)

    def summary(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        lists = {name: list(getattr(self, name)) for name in ("nfe", "rmse", "median", "max")}
        return {"method": self.method, **lists, "reference_error": self.reference_error, "order": self.order}


def nfe_ladder(
    velocity: Field,
    x_0: Float[Tensor, "b *shape"],
    method: str,
    *,
    nfes: Sequence[int] = NFE_LADDER,
    grid: str = "uniform",
    condition: Any = None,
    path: Path | None = None,
    t_span: tuple[float, float] = (0.0, 1.0),
) -> Ladder:
    """The solver's global truncation error at each budget of `nfes` that it can use exactly; the others are left out.

    Against one reference, refined to a tenth of the least of them (`errors_against_exact`). Raises ValueError where no budget can be used.
    """
    per_call = evaluations_per_call(velocity)
    usable = tuple(n for n in nfes if nearest_nfe(method, n, per_call) == (n,))
    if not usable:
        raise ValueError(f"nfes={tuple(nfes)} holds no budget that {method} can use exactly")
    ends = [solve(velocity, x_0, method=method, nfe=n, grid=grid, condition=condition, path=path, t_span=t_span).end for n in usable]
    exact, errors = errors_against_exact(velocity, x_0, ends, condition=condition, path=path, t_span=t_span)
    columns = ((tuple(getattr(e, name) for e in errors)) for name in ("rmse", "median", "max"))
    return Ladder(method, usable, *columns, reference_error=exact.error)


def fitted_order(nfe: Sequence[int], error: Sequence[float], floor: float) -> float | None:
    """Order of convergence: minus the slope of log error over log NFE across the last four budgets whose errors are ten times above `floor`.

    None where fewer than four are, or where the three successive slopes do not agree within 0.2: there is no clean order yet.
    """
    clean = [(n, e) for n, e in zip(nfe, error, strict=True) if e > 10 * max(floor, NEGLIGIBLE)][-4:]
    if len(clean) < 4:
        return None
    slopes_found = [-math.log(e2 / e1) / math.log(n2 / n1) for (n1, e1), (n2, e2) in itertools.pairwise(clean)]
    if max(slopes_found) - min(slopes_found) > 0.2:
        return None
    (first_n, first_e), (last_n, last_e) = clean[0], clean[-1]
    return -math.log(last_e / first_e) / math.log(last_n / first_n)


@dataclass(frozen=True)
class Measured:
    """A field measured under one solver; prints as a table."""

    method: str
    nfe: int
    global_error: ErrorSummary
    straightness: float
    acceleration: float
    path_efficiency: float | None
    ladder: Ladder

    def __str__(self) -> str:
        e, efficiency = self.global_error, "not shown" if self.path_efficiency is None else f"{self.path_efficiency:.3f}"
        order = NO_ORDER if self.ladder.order is None else f"order {self.ladder.order:.2f}"
        rungs = "\n".join(
            f"  {n:>4}  {r:.3e}  {m:.3e}" for n, r, m in zip(self.ladder.nfe, self.ladder.rmse, self.ladder.median, strict=True)
        )
        return (
            f"{self.method}, {self.nfe} evaluations: global truncation error {e.rmse:.3e} RMSE, {e.median:.3e} median, {e.max:.3e} max "
            f"(reference off by {e.reference_error:.0e})\n"
            f"straightness {self.straightness:.4g}, acceleration {self.acceleration:.4g}, path efficiency {efficiency}\n"
            f"   NFE  RMSE       median     ({order})\n{rungs}"
        )


def measure(
    velocity: Field,
    x_0: Float[Tensor, "b *shape"],
    *,
    method: str = "heun",
    nfe: SupportsIndex = 8,
    grid: str = "uniform",
    condition: Any = None,
    path: Path | None = None,
    t_span: tuple[float, float] | None = None,
    nfes: Sequence[int] = NFE_LADDER,
) -> Measured:
    """Measures any field: its error under a fixed-step solver against its own exact flow, straightness, acceleration, and the error over an NFE ladder.

    velocity(x, t, condition) with x (B, *shape) and t (B,); x_0 in float64 where errors below 1e-5 matter.
    t_span is (0, path.last_time) if not given: VP and VE end at 1 - 1e-5. The error's reference, and the ladder's, are refined until they are a tenth as wrong as
    the least error (`ErrorSummary.resolved`). Raises ValueError where the field's flow is not finite, and without any particle.
    """
    check_fixed_step(method, "measure")
    if x_0.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"x_0 is {x_0.dtype}; errors are measured in float32 or, better, float64: x_0.double()")
    t_span = t_span or (0.0, 1.0 if path is None else path.last_time)
    with torch.no_grad():
        times = fixed_times(method, nfe, grid, path, t_span, evaluations_per_call(velocity))
        run = solve(velocity, x_0, method=method, nfe=nfe, grid=grid, condition=condition, path=path, t_span=t_span)
        exact, (error,) = errors_against_exact(velocity, x_0, [run.end], condition=condition, path=path, times=times, t_span=t_span)
        if not bool(torch.isfinite(exact.trajectory.end).all() and torch.isfinite(run.end).all()):
            raise ValueError("velocity: its flow from x_0 is not finite; look for NaN or infinity in the field and in x_0")
        flow = along(exact, velocity, condition=condition, path=path)
        return Measured(
            method,
            run.nfe,
            error,
            float(straightness(flow, velocity, condition).mean()),
            acceleration(flow, velocity, condition),
            path_efficiency(flow),
            nfe_ladder(velocity, x_0, method, nfes=nfes, grid=grid, condition=condition, path=path, t_span=t_span),
        )
