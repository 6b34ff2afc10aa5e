"""trace(scene) -> Trace: a scene's particles sent through its solver, measured against its exact flow."""

from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab import measures, solvers
from lab.distances import wasserstein2
from lab.measures import ErrorSummary, Ladder, LocalError, Reference
from lab.optimal_transport import squared_cost
from toy.blocks import PairedField
from toy.scene import Scene
from toy.world import FLOOR_STREAM, TARGET_STREAM, Particles, World, draw_data, particles, world

DRAWN_TIMES = 33  # states that an adaptive solver, whose own steps are no choice of ours, reports for drawing
W2_MOST = (
    2000  # exact assignment grows with n^3: 0.4 s at 2,000 (tests/bench/assignment.py); more particles are compared by their first 2,000
)


@dataclass(frozen=True)
class TransportCost:
    """E|x_1 - x_0|^2 over the coupling (closed form), and over the exact flow's own start and end points. Squared data units."""

    coupling: float
    flow: float


@dataclass(frozen=True)
class DistributionError:
    """Exact W2 of the solver's end points to fresh data, and between two fresh draws of data (the floor), all stratified, with n points each.

    Per class where the field sees it: the root of the class-weighted mean of squares.
    """

    value: float
    floor: float
    n: int


@dataclass(frozen=True)
class Shares:
    """Where the error of the shown scene comes from, RMSE of end points in data units; None where a share does not arise.

    start: the exact flow from sigma(0) x_0 against the exact flow from the path's own law at t = 0, alpha(0) x_1 + sigma(0) x_0. solver: truncation.
    coupling: what the exact flow lacks to the data (W2 above the floor), where the training coupling does not match sampling.
    """

    start: float | None
    solver: float
    coupling: float | None


@dataclass(frozen=True)
class Trace:
    """Trajectories and measures of one scene.

    x (K + 1, N, 2): the solver's states at its times t (K + 1,); exact: the exact flow of the same particles at the same times. x_0 (N, 2) is the prior's sample, and
    condition (N,) each particle's class. nfe is counted at the field. `reference` is the exact flow on a fine grid, with its own error.
    """

    scene: Scene
    world: World
    x: Float[Tensor, "k n 2"]
    t: Float[Tensor, " k"]
    exact: Float[Tensor, "k n 2"]
    x_0: Float[Tensor, "n 2"]
    condition: Int[Tensor, " n"]
    nfe: int
    reference: Reference
    global_error: ErrorSummary
    local_error: LocalError | None
    straightness: float
    acceleration: float
    path_efficiency: float | None
    transport_cost: TransportCost
    w2: DistributionError
    wrong_class: float
    shares: Shares

    def summary(self) -> dict[str, Any]:
        """Plain numbers: what `python -m toy measure --json` prints."""
        scene = {f.name: getattr(self.scene, f.name) for f in fields(Scene) if f.name != "mixture"}
        return {
            "version": 1,
            "scene": scene | ({"mixture": self.scene.to_query()} if self.scene.mixture else {}),
            "nfe": self.nfe,
            "t_end": float(self.t[-1]),
            "global_error": asdict(self.global_error),
            "local_error": None if self.local_error is None else {"t": self.local_error.t.tolist(), "rmse": self.local_error.rmse.tolist()},
            "straightness": self.straightness,
            "acceleration": self.acceleration,
            "path_efficiency": self.path_efficiency,
            "transport_cost": asdict(self.transport_cost),
            "w2": asdict(self.w2),
            "wrong_class": self.wrong_class,
            "shares": asdict(self.shares),
        }

    def acceleration_curve(self) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
        """E |du/dt|^2 along the exact flow: times and values."""
        return measures.acceleration_along(self.reference.trajectory, self.world.field.velocity, _told(self.world, self.condition))


def _told(made: World, condition: Int[Tensor, " n"]) -> Int[Tensor, " n"] | None:
    return condition if made.sees_class else None


def trace(scene: Scene) -> Trace:
    """Builds the scene's world, sends its particles through its solver and through the exact flow, and measures.

    The reference is refined until its error is a tenth of the solver's (or 1e-10). Takes about a second at 2,000 particles; raises ValueError for scenes that cannot be built.
    """
    with torch.no_grad():
        return _trace(scene)


def _trace(scene: Scene) -> Trace:
    made = world(scene)
    shown = particles(made)
    told, velocity = made.condition(shown), made.field.velocity
    span = (0.0, made.last_time)
    start = made.path.start(shown.x_0)
    adaptive = scene.solver in solvers.ADAPTIVE
    if adaptive:
        times = torch.linspace(*span, DRAWN_TIMES, dtype=torch.float64)
        run = solvers.solve(velocity, start, method=scene.solver, grid=times, condition=told, atol=scene.tolerance, rtol=scene.tolerance)
    else:
        run = solvers.solve(
            velocity, start, method=scene.solver, nfe=scene.nfe, grid=scene.grid, condition=told, path=made.path, t_span=span
        )
    exact = measures.reference(velocity, start, condition=told, path=made.path, times=run.t)
    rough = measures.global_error(run.end, exact)
    if exact.error > max(0.1 * rough.rmse, measures.NEGLIGIBLE):
        exact = measures.reference(
            velocity, start, condition=told, path=made.path, times=run.t, steps=2 * measures.REFERENCE_STEPS, below=0.1 * rough.rmse
        )
    error = measures.global_error(run.end, exact)
    flow = exact.trajectory
    local = None if adaptive else measures.local_error(velocity, exact, run.t, scene.solver, condition=told, path=made.path)
    spread = float(made.target.covariance.trace().sqrt())
    fresh = _w2(made, shown, run.end, TARGET_STREAM)
    own_class, exact_class = (made.target.class_log_prob(x).argmax(1) for x in (run.end, flow.end))
    return Trace(
        scene=scene,
        world=made,
        x=run.x,
        t=run.t,
        exact=exact.at(run.t),
        x_0=shown.x_0,
        condition=shown.condition,
        nfe=run.nfe,
        reference=exact,
        global_error=error,
        local_error=local,
        straightness=float(measures.straightness(flow, velocity, told).mean()),
        acceleration=measures.acceleration(flow, velocity, told),
        path_efficiency=measures.path_efficiency(flow, spread),
        transport_cost=TransportCost(coupling_cost(made), measures.transport_cost(flow.x[0], flow.end)),
        w2=fresh,
        wrong_class=float((own_class != exact_class).double().mean()),
        shares=_shares(made, shown, exact, error, fresh),
    )


def coupling_cost(made: World) -> float:
    """E|x_1 - x_0|^2 of the coupling: sum_jk P_jk (|m - mu|^2 + tr S + tr Sigma - 2 tr C) in closed form, the mean over the pairs for full OT."""
    field = made.field
    if isinstance(field, PairedField):
        return measures.transport_cost(field.x_0, field.x_1)
    within = [m.covariances.diagonal(dim1=-2, dim2=-1).sum(-1) for m in (made.source, made.target)]
    cost = squared_cost(made.source.means, made.target.means) + within[0][:, None] + within[1][None, :]
    if made.cross is not None:
        cost = cost - 2 * made.cross.diagonal(dim1=-2, dim2=-1).sum(-1)
    return float((field.plan * cost).sum())


def nfe_ladder(traced: Trace) -> Ladder:
    """The scene's global truncation error at 1 to 64 evaluations, against a reference a tenth as wrong as the least of them; adaptive solvers have none."""
    scene, made = traced.scene, traced.world
    if scene.solver in solvers.ADAPTIVE:
        raise ValueError(f"solver={scene.solver} chooses its own evaluations; an NFE ladder needs a fixed-step solver")
    with torch.no_grad():
        return measures.nfe_ladder(
            made.field.velocity,
            made.path.start(traced.x_0),
            scene.solver,
            traced.reference,
            grid=scene.grid,
            condition=_told(made, traced.condition),
            path=made.path,
            t_span=(0.0, made.last_time),
        )


def _w2(made: World, shown: Particles, ends: Float[Tensor, "n 2"], stream: int) -> DistributionError:
    """Exact W2 of end points to fresh data, with the floor. Where the field sees the class: root of the class-weighted mean of squares."""
    count = min(len(ends), W2_MOST)
    condition = shown.condition[:count]
    data, other = (draw_data(made.target, condition, made.scene.seed, s) for s in (stream, FLOOR_STREAM))
    groups = [torch.nonzero(condition == c)[:, 0] for c in condition.unique()] if made.sees_class else [torch.arange(count)]

    def distance(a: Tensor, b: Tensor) -> float:
        squares = [len(rows) / count * wasserstein2(a[rows], b[rows]) ** 2 for rows in groups]
        return sum(squares) ** 0.5

    return DistributionError(distance(ends[:count], data), distance(other, data), count)


def _shares(made: World, shown: Particles, exact: Reference, error: ErrorSummary, fresh: DistributionError) -> Shares:
    path, told = made.path, made.condition(shown)
    start = coupling = None
    if not path.clean_start and made.scene.coupling == "independent":
        zero = torch.zeros(1, dtype=torch.float64)
        x_1 = draw_data(made.target, shown.condition, made.scene.seed, TARGET_STREAM)
        lawful = path.alpha(zero) * x_1 + path.sigma(zero) * shown.x_0
        ends = measures.exact_flow_in_angle(made.field.velocity, lawful, exact.trajectory.t, told, path).end
        start = float(measures.distance(exact.trajectory.end, ends).square().mean().sqrt())
    blind = made.sees_class and made.scene.coupling == "component-ot" and int(made.source.class_count) == 1
    if blind:
        whole = _w2(made, shown, exact.trajectory.end, TARGET_STREAM)
        coupling = max(0.0, whole.value**2 - fresh.floor**2) ** 0.5
    return Shares(start, error.rmse, coupling)
