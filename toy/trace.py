"""trace(scene) -> Trace: a scene's particles sent through its solver, measured against its exact flow."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab import measures, random, solvers
from lab.distances import wasserstein2
from lab.measures import Ladder, LocalError
from lab.optimal_transport import squared_cost
from lab.reference import ErrorSummary, Reference, along, distance, errors_against_exact, exact_flow_in_angle
from lab.solvers import Trajectory
from toy.blocks import PairedField
from toy.demands import FITTED
from toy.drawn_pairs import draw_pairs
from toy.progress import Say, silent
from toy.scene import Scene
from toy.world import FLOOR_STREAM, TARGET_STREAM, Particles, World, draw_data, draw_data_like_ends, particles, world

START_STREAM = 0x53544152  # pairs that the start share is measured on
DRAWN_TIMES = 33  # states that an adaptive solver, whose own steps are no choice of ours, reports for drawing
W2_MOST = (
    2000  # exact assignment grows with n^3: 0.4 s at 2,000 (tests/bench/assignment.py); more particles are compared by their first 2,000
)


ESTIMATE = (
    "Parametric bootstrap of the fitted coupling on CondOT: twice as many sub-components are fitted and taken for the truth, as many pairs are drawn from them and fitted again. "
    "field_rms: RMS difference of the two velocities over t and x ~ p_t. end_median: median distance of the two exact flows' end points from the same x_0. "
    "end_share_off: share of them further apart than off, a tenth of the target's standard deviation per coordinate."
)


@dataclass(frozen=True)
class TransportCost:
    """E|x_1 - x_0|^2 over the coupling (closed form; the mean of its sampled pairs for batch OT), and over the exact flow's own start and end points. Squared data units."""

    coupling: float
    flow: float


@dataclass(frozen=True)
class DistributionError:
    """Exact W2 of the solver's end points to fresh data, stratified by component, and of other data to the same (the floor); n points each.

    The floor's data are as random as the end points of an exact flow (`toy.world.draw_data_like_ends`): of equal classes where the prior or the field knows the class, left to
    chance elsewhere. Below the floor, differences mean nothing.
    Per class where the field sees it: the root of the class-weighted mean of squares.
    """

    value: float
    floor: float
    n: int


@dataclass(frozen=True)
class Shares:
    """Where the error of the shown scene comes from, RMSE of end points in data units; None where a share does not arise.

    start: the exact flow from sigma(0) x_0 against the exact flow from the path's own law at t = 0, alpha(0) x_1 + sigma(0) x_0. solver: truncation.
    coupling: what the exact flow lacks to the data (W2 above the floor, a fit's own error included), where the training coupling does not match sampling.
    estimate: how far end points of a fitted field are from those of the field that it estimates; the median, not the RMSE, which would be that of the few which took another way.
    """

    start: float | None
    solver: float
    coupling: float | None
    estimate: float | None


@dataclass(frozen=True)
class Trace:
    """Trajectories and measures of one scene.

    x (K + 1, N, 2): the solver's states at its times t (K + 1,); exact: the exact flow of the same particles at the same times. x_0 (N, 2) is the prior's sample, and
    condition (N,) each particle's class. nfe is counted at the field. `reference` is the exact flow on a fine grid, with its own error;
    `flow` the same at the times that straightness and acceleration are summed over.
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
    flow: Trajectory
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
            "estimate": self._estimate(),
        }

    def _estimate(self) -> dict[str, Any] | None:
        fitted = self.world.fitted
        if fitted is None:
            return None
        error = asdict(fitted.estimate)
        by_time = [{"t": t, "rms": rms} for t, rms in zip(error.pop("t"), error.pop("rms"), strict=True)]
        held_out = {str(m): loss for m, loss in fitted.held_out.items()}
        return (
            {"definition": ESTIMATE, "pairs": fitted.pairs, "sub_components": fitted.sub_components, "held_out_loss": held_out}
            | error
            | {"by_time": by_time}
        )

    def acceleration_curve(self) -> tuple[Float[Tensor, " k"], Float[Tensor, " k"]]:
        """E |du/dt|^2 along the exact flow: times and values."""
        return measures.acceleration_along(self.flow, self.world.field.velocity, _told(self.world, self.condition))


def _told(made: World, condition: Int[Tensor, " n"]) -> Int[Tensor, " n"] | None:
    return condition if made.sees_class else None


def trace(scene: Scene, say: Say = silent) -> Trace:
    """Builds the scene's world, sends its particles through its solver and through the exact flow, and measures.

    The reference is refined until its error is a tenth of the solver's (or 1e-10). Takes about a second at 2,000 particles; `say` hears what is being done.
    """
    with torch.no_grad():
        return _trace(scene, say)


def _trace(scene: Scene, say: Say) -> Trace:
    say("fitting the coupling" if scene.coupling in FITTED else "building the scene")
    made = world(scene)
    shown = particles(made)
    told, velocity = made.condition(shown), made.field.velocity
    span = (0.0, made.last_time)
    start = made.path.start(shown.x_0)
    adaptive = scene.solver in solvers.ADAPTIVE
    say(f"solving with {scene.solver}")
    if adaptive:
        times = torch.linspace(*span, DRAWN_TIMES, dtype=torch.float64)
        run = solvers.solve(velocity, start, method=scene.solver, grid=times, condition=told, atol=scene.tolerance, rtol=scene.tolerance)
    else:
        run = solvers.solve(
            velocity, start, method=scene.solver, nfe=scene.nfe, grid=scene.grid, condition=told, path=made.path, t_span=span
        )
    exact, (error,) = errors_against_exact(
        velocity,
        start,
        [run.end],
        condition=told,
        path=made.path,
        times=run.t,
        progress=lambda steps: say(f"following the exact flow in {steps} steps"),
    )
    say("measuring")
    flow = along(exact, velocity, condition=told, path=made.path)
    local = None if adaptive else measures.local_error(velocity, exact, run.t, scene.solver, condition=told, path=made.path)
    spread = float(made.target.covariance.trace().sqrt())
    fresh = distribution_error(made, shown.condition, run.end)
    own_class, exact_class = (made.target.class_log_prob(x).argmax(1) for x in (run.end, exact.trajectory.end))
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
        flow=flow,
        global_error=error,
        local_error=local,
        straightness=float(measures.straightness(flow, velocity, told).mean()),
        acceleration=measures.acceleration(flow, velocity, told),
        path_efficiency=measures.path_efficiency(flow, spread),
        transport_cost=TransportCost(coupling_cost(made), measures.transport_cost(start, exact.trajectory.end)),
        w2=fresh,
        wrong_class=float((own_class != exact_class).double().mean()),
        shares=_shares(made, shown, exact, error, fresh),
    )


def coupling_cost(made: World) -> float:
    """E|x_1 - x_0|^2 of the coupling: sum_jk P_jk (|m - mu|^2 + tr S + tr Sigma - 2 tr C) in closed form; the mean over the pairs for full OT and batch OT."""
    field = made.field
    if made.fitted is not None:
        return made.fitted.transport_cost
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
    solvers.check_fixed_step(scene.solver, "an NFE ladder")
    with torch.no_grad():
        return measures.nfe_ladder(
            made.field.velocity,
            made.path.start(traced.x_0),
            scene.solver,
            grid=scene.grid,
            condition=_told(made, traced.condition),
            path=made.path,
            t_span=(0.0, made.last_time),
        )


def distribution_error(
    made: World, condition: Int[Tensor, " n"], ends: Float[Tensor, "m 2"], stream: int = TARGET_STREAM
) -> DistributionError:
    """Exact W2 of end points to fresh data, with the floor. Where the field sees the class: root of the class-weighted mean of squares."""
    count = min(len(ends), W2_MOST)
    condition = condition[:count]
    data = draw_data(made.target, condition, made.scene.seed, stream)
    other = draw_data_like_ends(made, condition, made.scene.seed, FLOOR_STREAM)
    groups = [torch.nonzero(condition == c)[:, 0] for c in condition.unique()] if made.sees_class else [torch.arange(count)]

    def distance(points: Tensor) -> float:
        squares = [len(rows) / count * wasserstein2(points[rows], data[rows]) ** 2 for rows in groups]
        return sum(squares) ** 0.5

    with ThreadPoolExecutor(2) as pool:  # the network simplex lets go of Python: two take as long as one
        value, floor = pool.map(distance, (ends[:count], other))
    return DistributionError(value, floor, count)


def _shares(made: World, shown: Particles, exact: Reference, error: ErrorSummary, fresh: DistributionError) -> Shares:
    coupling, fitted = None, made.fitted
    blind = made.sees_class and int(made.target.class_count) > 1
    if blind and (made.scene.coupling == "batch-ot" or (made.scene.coupling == "component-ot" and int(made.source.class_count) == 1)):
        whole = distribution_error(made, shown.condition, exact.trajectory.end)
        coupling = max(0.0, whole.value**2 - fresh.floor**2) ** 0.5
    return Shares(_start_share(made, exact.trajectory.t), error.rmse, coupling, None if fitted is None else fitted.estimate.end_median)


def _start_share(made: World, times: Float[Tensor, " k"]) -> float | None:
    """RMSE between the ends of exact flows from sigma(0) x_0 and from alpha(0) x_1 + sigma(0) x_0, for pairs of the coupling; None where the two starts are one."""
    path, velocity = made.path, made.field.velocity
    if path.clean_start:
        return None
    pairs = draw_pairs(made, made.scene.count, random.generator(made.scene.seed, stream=START_STREAM))
    told, zero = _told(made, pairs.condition), torch.zeros(1, dtype=torch.float64)
    starts = path.start(pairs.x_0), path.alpha(zero) * pairs.x_1 + path.sigma(zero) * pairs.x_0
    plain, lawful = (exact_flow_in_angle(velocity, start, times, told, path).end for start in starts)
    return float(distance(plain, lawful).square().mean().sqrt())
