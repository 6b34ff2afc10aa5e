"""Integration of dx/dt = velocity(x, t, condition) along t: fixed-step methods here, adaptive ones through torchdiffeq (lab.adaptive).

How to choose: at a budget of a few evaluations `heun` or `midpoint` usually beats `euler` and `rk4`; `ddim` is Euler's step in signal-to-noise ratio, the same for all paths;
`dopri5` when the tolerance matters and not the budget; `dopri8` for references.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, SupportsIndex

import torch
from jaxtyping import Float
from torch import Tensor

from lab.checks import check_floating, check_name, whole_number
from lab.grids import check_span, given_times, time_grid
from lab.paths import CondOT, Path
from lab.tableaus import TABLEAUS, Tableau

Field = Callable[..., Tensor]
MULTISTEP, DDIM = "ab2", "ddim"
FIXED_STEP = (*TABLEAUS, MULTISTEP, DDIM)
ADAPTIVE = ("dopri5", "dopri8", "bosh3", "adaptive-heun")
ORDERS = {name: tableau.order for name, tableau in TABLEAUS.items()} | {MULTISTEP: 2, DDIM: 1}


@dataclass(frozen=True)
class Trajectory:
    """States x (K + 1, B, *shape) at times t (K + 1,), the function evaluations counted at the field, and the method."""

    x: Float[Tensor, "k b *shape"]
    t: Float[Tensor, " k"]
    nfe: int
    method: str

    @property
    def end(self) -> Float[Tensor, "b *shape"]:
        return self.x[-1]


class Counted:
    """A field that counts: every call adds to `nfe` what it cost.

    That is the field's own count, where it keeps one (`evaluations`, as guidance does, which may skip a branch), else its `evaluations_per_call` (1 unless it says otherwise).
    """

    def __init__(self, velocity: Field) -> None:
        self.velocity, self.nfe = velocity, 0
        self.cost = evaluations_per_call(velocity)

    def __call__(self, x: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        before = getattr(self.velocity, "evaluations", None)
        u = self.velocity(x, t, condition)
        check_velocity(u, x)
        self.nfe += self.cost if before is None else getattr(self.velocity, "evaluations") - before  # noqa: B009  # a Field need not have it
        return u

    def endpoints(self, x: Tensor, t: Tensor, condition: Any, path: Path) -> tuple[Tensor, Tensor]:
        """E[x_0 | x_t] and E[x_1 | x_t]: the field's own where it offers them, else from its velocity and the path. One evaluation either way."""
        own = getattr(self.velocity, "endpoints", None) or getattr(getattr(self.velocity, "__self__", None), "endpoints", None)
        if own is not None:
            self.nfe += self.cost
            return own(x, t, condition)
        time = t[0].double()
        a, s, da, ds = (float(f(time)) for f in (path.alpha, path.sigma, path.d_alpha, path.d_sigma))
        determinant = a * ds - s * da
        if abs(determinant) < 1e-12:
            raise ValueError(
                f"ddim cannot tell x_0 from x_1 at t={float(time):g} on the {path.name} path: the velocity does not determine them there"
            )
        v = self(x, t, condition)
        return (a * v - da * x) / determinant, (ds * x - s * v) / determinant


def check_velocity(u: Tensor, x: Tensor) -> None:
    """ValueError unless a field's answer has the shape of its points: anything else would broadcast, and be silently wrong."""
    if u.shape != x.shape:
        raise ValueError(f"velocity returned shape {tuple(u.shape)} for x {tuple(x.shape)}; they must be the same")


def evaluations_per_call(velocity: Field) -> int:
    """How many network evaluations one call of the field costs: its attribute of that name, 1 without it."""
    return int(getattr(velocity, "evaluations_per_call", 1))


def evaluations_per_step(method: str) -> int:
    """Evaluations of a fixed-step method per step: its stages; 1 for ab2 (which begins with an Euler step) and ddim."""
    return len(TABLEAUS[method].weights) if method in TABLEAUS else 1


def nearest_nfe(method: str, nfe: int, per_call: int = 1) -> tuple[int, ...]:
    """The budgets nearest to `nfe` that a fixed-step method can use exactly: (nfe,) itself, or the next below and above."""
    per_step = evaluations_per_step(method) * per_call
    if nfe >= 1 and nfe % per_step == 0:
        return (int(nfe),)
    below = nfe // per_step * per_step
    return (below, below + per_step) if below > 0 else (per_step,)


def check_method(method: str) -> None:
    """ValueError, with the nearest name, unless the method exists."""
    check_name("method", method, (*FIXED_STEP, *ADAPTIVE))


def check_fixed_step(method: str, what: str) -> None:
    """ValueError where `what` needs a budget of evaluations and the method chooses its own."""
    if method in ADAPTIVE:
        raise ValueError(f"{what} needs a fixed-step solver ({', '.join(FIXED_STEP)}); {method} chooses its own evaluations")


def solve(
    velocity: Field,
    x_0: Float[Tensor, "b *shape"],
    *,
    method: str = "heun",
    nfe: SupportsIndex | None = None,
    grid: str | Sequence[float] | Float[Tensor, " k"] = "uniform",
    condition: Any = None,
    path: Path | None = None,
    t_span: tuple[float, float] = (0.0, 1.0),
    atol: float = 1e-5,
    rtol: float = 1e-5,
) -> Trajectory:
    """Integrates dx/dt = velocity(x, t, condition) from x_0 (B, *shape) over `t_span`, forwards or backwards.

    Fixed-step methods take `nfe` function evaluations, as counted at the field, on `grid` (a name of lab.grids, or the times themselves, which then fix t_span and the
    budget); adaptive ones take `atol` and `rtol`, and a grid of times only as the times to report. The field gets t as (B,). `path` matters to ddim and to the grids edm
    and snr (CondOT if not given). Differentiable. Without particles, B = 0, nothing is evaluated.

    Raises ValueError for an unknown method or grid, for a budget that the method cannot use exactly, naming the nearest that it can, and for whole numbers x_0.
    """
    check_method(method)
    if not isinstance(x_0, Tensor):
        raise ValueError(f"x_0 is a {type(x_0).__name__}; it must be a tensor: torch.as_tensor(x_0)")
    check_floating("x_0", x_0)
    counted = Counted(velocity)
    adaptive = method in ADAPTIVE
    times = reported_times(method, nfe, grid, t_span) if adaptive else fixed_times(method, nfe, grid, path, t_span, counted.cost)
    if len(x_0) == 0:
        states = x_0.expand(len(times), *x_0.shape)
    elif adaptive:
        from lab.adaptive import integrate

        states = integrate(counted, x_0, times, method, condition, atol, rtol)
    else:
        states = torch.stack(fixed_step(counted, x_0, times.tolist(), method, condition, path or CondOT()))
    return Trajectory(states, times, counted.nfe, method)


def reported_times(
    method: str, nfe: SupportsIndex | None, grid: str | Sequence[float] | Tensor, t_span: tuple[float, float]
) -> Float[Tensor, " k"]:
    """The times that an adaptive run reports: the ends of t_span, or the given ones; float64."""
    if nfe is not None:
        raise ValueError(f"nfe={nfe} cannot be set for {method}, which chooses its own steps; set atol and rtol instead")
    if isinstance(grid, str) and grid != "uniform":
        raise ValueError(
            f"grid={grid!r} is for fixed-step methods; {method} chooses its own steps: leave grid out, or give the times to report"
        )
    if not isinstance(grid, str):
        return given_times(grid)
    check_span(t_span)
    return torch.tensor(t_span, dtype=torch.float64)


def fixed_times(
    method: str,
    nfe: SupportsIndex | None,
    grid: str | Sequence[float] | Tensor,
    path: Path | None,
    t_span: tuple[float, float],
    per_call: int,
) -> Float[Tensor, " k"]:
    """The times of a fixed-step run, from its budget or from the given grid; float64."""
    per_step = evaluations_per_step(method) * per_call
    nfe = None if nfe is None else whole_number("nfe", nfe, 1)
    if not isinstance(grid, str):
        times = given_times(grid)
        if nfe is not None and nfe != per_step * (len(times) - 1):
            raise ValueError(
                f"nfe={nfe} does not fit a grid of {len(times) - 1} steps, which costs {method} {per_step * (len(times) - 1)}; leave nfe out"
            )
        return times
    if nfe is None:
        raise ValueError(f"nfe must be given for {method}: its budget of function evaluations")
    if nfe % per_step:
        nearest = " or ".join(map(str, nearest_nfe(method, nfe, per_call)))
        raise ValueError(f"nfe={nfe} cannot be used exactly by {method} ({per_step} evaluations per step); nearest: {nearest}")
    return time_grid(grid, nfe // per_step, path, t_span)


def fixed_step(velocity: Counted, x: Tensor, times: list[float], method: str, condition: Any, path: Path) -> list[Tensor]:
    """States at all times. Times are Python floats, made tensors once for the whole run: a step costs little but its evaluations."""
    states = [x]
    tableau = TABLEAUS.get(method)
    nodes = tableau.nodes if tableau is not None else (0,)
    at = clock(x, [stage_time(t, node, later - t) for t, later in itertools.pairwise(times) for node in nodes])
    before: tuple[Tensor, float] | None = None
    for t, later in itertools.pairwise(times):
        if tableau is not None:
            x = step(tableau, velocity, x, t, later - t, condition, at)
        elif method == MULTISTEP:
            k = velocity(x, at(t), condition)
            x = adams_bashforth(x, k, later - t, before)
            before = (k, later - t)
        else:
            x = ddim_step(velocity, x, t, later, condition, path, at)
        states.append(x)
    return states


def step(tableau: Tableau, velocity: Field, x: Tensor, t: float, h: float, condition: Any, at: Callable[[float], Tensor]) -> Tensor:
    """One Runge-Kutta step from t to t + h. `at` makes the (B,) tensor of a time."""
    slopes: list[Tensor] = []
    for node, row in zip(tableau.nodes, tableau.matrix, strict=True):
        inner = x
        for weight, slope in zip(row, slopes, strict=True):
            if weight:
                inner = torch.add(inner, slope, alpha=weight * h)
        slopes.append(velocity(inner, at(stage_time(t, node, h)), condition))
    for weight, slope in zip(tableau.weights, slopes, strict=True):
        if weight:
            x = torch.add(x, slope, alpha=weight * h)
    return x


def stage_time(t: float, node: float, h: float) -> float:
    """t + node h; rounding must not carry the last stage past the end of [0, 1]."""
    return min(max(t + node * h, 0.0), 1.0)


def adams_bashforth(x: Tensor, slope: Tensor, h: float, before: tuple[Tensor, float] | None) -> Tensor:
    """Two-step Adams-Bashforth for unequal steps, x + h (1 + r/2) k - h (r/2) k_before with r = h / h_before; Euler without a step before."""
    if before is None:
        return torch.add(x, slope, alpha=h)
    ratio = 0.5 * h / before[1]
    return torch.add(torch.add(x, slope, alpha=h * (1 + ratio)), before[0], alpha=-h * ratio)


def ddim_step(velocity: Counted, x: Tensor, t: float, later: float, condition: Any, path: Path, at: Callable[[float], Tensor]) -> Tensor:
    """x' = alpha' E[x_1 | x] + sigma' E[x_0 | x]: the expected ends, put together again at the later time (Song et al. 2021, eq. 12, eta = 0)."""
    source, data = velocity.endpoints(x, at(t), condition, path)
    time = torch.tensor(later, dtype=torch.float64)
    return float(path.alpha(time)) * data + float(path.sigma(time)) * source


def clock(x: Tensor, times: Sequence[float] = ()) -> Callable[[float], Tensor]:
    """Turns a time into the (B,) tensor that a field expects: one number, expanded, in x's precision (float32 at least).

    The tensors of `times` are made all at once: one by one they would cost more than a stage's own arithmetic (tests/bench/solvers.py), and on a GPU a transfer each.
    """
    dtype = torch.promote_types(x.dtype, torch.float32)
    ready = dict(zip(times, torch.tensor(times, dtype=dtype, device=x.device)[:, None].expand(-1, x.shape[0]).unbind(), strict=True))

    def at(t: float) -> Tensor:
        known = ready.get(t)
        return torch.full((), t, dtype=dtype, device=x.device).expand(x.shape[0]) if known is None else known

    return at
