"""What is measured of a trained network: its loss by time against the floor, its velocity against the exact one, and where its particles end.

    E|v - dx_t|^2 = E|dx_t - u|^2 + E|v - u|^2          at every t, for any v and the marginal velocity u(x, t) = E[dx_t | x_t = x]
      loss        =    floor      + field error^2       floor = E tr Var(dx_t | x_t)

All three are means over the same fresh pairs of the training coupling, sums over both coordinates, squared data units.
"""

from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab import measures, solvers
from lab.losses import TimeBins, by_time_bin
from lab.reference import along, distance, reference
from lab.solvers import Field
from toy.drawn_pairs import LabelledPairs
from toy.fitted import FittedCoupling, fit_block_coupling
from toy.learning.grids import GridError, flow_end, grid_error, on_grid
from toy.learning.learner import Learned, TrainedRound
from toy.learning.pairs import LoomPairs
from toy.scene import Scene
from toy.trace import DistributionError, distribution_error
from toy.world import World, particles

PAIRS = 20_000  # that losses, floors and field errors are means over
BINS, PER_BIN = 10, 4  # bins of time, and times in each
ENDS = 1000  # particles whose ends are compared
OFF = 0.1  # an end is off by more than this share of the data's standard deviation per coordinate

FLOORS = {
    "exact": "the exact field's own loss on the same pairs",
    "fitted": "the loss of the field fitted to the coupling's pairs, on the same pairs; off by about the square of the fit's error",
    "one-to-one": "0: x_0 determines x_1; what is above it is crossing lines, which no field can follow, and the network's error",
}


@dataclass(frozen=True)
class LossBin:
    """Means over the pairs whose t lies in the bin, each with its standard error. excess = loss - floor, pair by pair; field_error_squared = E|v - u|^2, which it estimates."""

    t_from: float
    t_to: float
    loss: float
    loss_error: float
    floor: float
    floor_error: float
    excess: float
    excess_error: float
    field_error_squared: float


@dataclass(frozen=True)
class Losses:
    """Loss, floor and field error over all t and in bins, and the RMS field error at each of the times t.

    excess_error is the standard error of loss - floor. relative: field error over the RMS of the reference velocity.
    """

    loss: float
    floor: float
    floor_kind: str
    excess: float
    excess_error: float
    field_rms: float
    relative: float
    t: tuple[float, ...]
    rms: tuple[float, ...]
    bins: tuple[LossBin, ...]
    pairs: int


@dataclass(frozen=True)
class EndError:
    """Distances between two ends of the same particles: RMSE, median, and the share further apart than a tenth of the data's standard deviation per coordinate."""

    rmse: float
    median: float
    share_off: float


@dataclass(frozen=True)
class NetworkReport:
    """One network after one round.

    model: the ends of the network's own exact flow against those of the exact field's (for one-to-one pairs: against the x_1 that it was taught). solver: the scene's solver on the
    network against the network's own exact flow, which is off by reference_error. grid: the network on a grid against the network. w2 and straightness are those of the network's
    exact flow; transport_cost is that of the pairs, flow_cost of the flow. estimate: RMS error of the fitted field, where the floor and the field error are taken from one.
    """

    round: int
    seed: int
    pairs: str
    losses: Losses
    model: EndError
    solver: EndError
    reference_error: float
    w2: DistributionError
    straightness: float
    transport_cost: float
    flow_cost: float
    estimate: float | None
    grid: GridError | None

    def summary(self) -> dict[str, Any]:
        """Plain numbers."""
        return asdict(self)


def report(
    learned: Learned, *, round_: int = -1, network: int = 0, grid: bool = True, pairs: int = PAIRS, ends: int = ENDS
) -> NetworkReport:
    """Measures one network of one round on `pairs` fresh pairs and `ends` particles; with `grid` also what a grid of it would lose. About 4 s on one core."""
    with torch.no_grad():
        return _report(learned, learned.rounds[round_], network, grid, pairs, ends)


def _report(learned: Learned, trained: TrainedRound, network: int, with_grid: bool, count: int, ends: int) -> NetworkReport:
    made, velocity = learned.world, trained.field(network).velocity
    path, stream = made.path, trained.stream
    drawn = stream.fresh(network, count)
    fitted = _fit(made, trained, network)
    exact = None if stream.one_to_one else made.field.velocity if fitted is None else fitted.field(path).velocity
    kind = "one-to-one" if exact is None else "exact" if fitted is None else "fitted"
    losses = measure_losses(velocity, exact, drawn, made, kind)

    shown = particles(made, ends)
    if exact is None:
        taught = stream.fresh(network, ends)
        x_0, condition, goal = taught.x_0, taught.condition, taught.x_1
    else:
        x_0, condition = shown.x_0, shown.condition
        goal = flow_end(exact, path.start(x_0), _told(made, condition), path, made.last_time)
    start, told, span = path.start(x_0), _told(made, condition), (0.0, made.last_time)
    own = reference(velocity, start, condition=told, path=path, t_span=span)
    # W2 is that of the scene's own particles, with classes in proportion, in every round: only then can rounds be compared.
    shown_end = own.trajectory.end
    if exact is None:
        shown_end = flow_end(velocity, path.start(shown.x_0), _told(made, shown.condition), path, made.last_time)
    off = OFF * float(made.target.covariance.trace() / 2) ** 0.5
    known = None
    if with_grid:
        quick = trained.field(network, torch.float32).velocity  # as precise as the grid's own numbers
        kept = on_grid(quick, drawn, path, classes=trained.architecture.classes, last_time=made.last_time)
        known = grid_error(kept, velocity, drawn.rows(slice(0, 4000)), path, start, told, last_time=made.last_time, end=own.trajectory.end)
    return NetworkReport(
        round=trained.round,
        seed=learned.options.seed_list[network],
        pairs=stream.name,
        losses=losses,
        model=_apart(own.trajectory.end, goal, off),
        solver=_apart(_solved(learned.scene, made, velocity, start, told), own.trajectory.end, off),
        reference_error=own.error,
        w2=distribution_error(made, shown.condition, shown_end),
        straightness=float(measures.straightness(along(own, velocity, condition=told, path=path), velocity, told).mean()),
        transport_cost=drawn.transport_cost,
        flow_cost=measures.transport_cost(start, own.trajectory.end),
        estimate=None if fitted is None else fitted.estimate.field_rms,
        grid=known,
    )


def measure_losses(velocity: Field, exact: Field | None, pairs: LabelledPairs, made: World, kind: str = "exact") -> Losses:
    """Loss of any velocity by time bin, with its floor and the field error, on pairs of the coupling whose marginal velocity is `exact` (None: of one-to-one pairs, floor 0)."""
    times = (torch.arange(BINS * PER_BIN, dtype=torch.float64) + 0.5) / (BINS * PER_BIN)
    edges = [round(i * len(pairs) / len(times)) for i in range(len(times) + 1)]
    order = torch.arange(len(pairs)) * 7919 % len(pairs) if len(pairs) % 7919 else torch.arange(len(pairs))
    loss, floor, wrong, speed, when = [], [], [], [], []
    for t, first, last in zip(times.tolist(), edges, edges[1:], strict=False):
        some = pairs.rows(order[first:last])  # spread over the pairs: one time to each
        time = torch.full((len(some),), t * made.last_time, dtype=torch.float64)
        s, told = made.path.sample(x_0=some.x_0, x_1=some.x_1, t=time), _told(made, some.condition)
        moment = time[:1].expand(len(some))
        v = velocity(s.x_t, moment, told)
        u = s.dx_t if exact is None else exact(s.x_t, moment, told)
        for kept, a, b in ((loss, v, s.dx_t), (floor, u, s.dx_t), (wrong, v, u)):
            kept.append((a - b).square().sum(1))
        speed.append(u.square().sum(1))
        when.append(torch.full_like(time, t))
    total, least, e, t = (torch.cat(parts) for parts in (loss, floor, wrong, when))
    parts = [by_time_bin(values, t, BINS) for values in (total, least, total - least, e)]
    difference = total - least
    return Losses(
        loss=float(total.mean()),
        floor=float(least.mean()),
        floor_kind=kind,
        excess=float(difference.mean()),
        excess_error=_standard_error(parts[2]),
        field_rms=float(e.mean().sqrt()),
        relative=float((e.mean() / torch.cat(speed).mean()).sqrt()),
        t=tuple((times * made.last_time).tolist()),
        rms=tuple(float(w.mean().sqrt()) for w in wrong),
        bins=_bins(*parts),
        pairs=len(pairs),
    )


def _standard_error(bins: TimeBins) -> float:
    """Of the mean over all t, which is stratified by time: the bins' errors, each with its share."""
    share = bins.count / bins.count.sum()
    return float((share * bins.standard_error).square().sum().sqrt())


def _bins(loss: TimeBins, floor: TimeBins, excess: TimeBins, wrong: TimeBins) -> tuple[LossBin, ...]:
    rows = zip(
        loss.edges[:-1],
        loss.edges[1:],
        *(column for part in (loss, floor, excess) for column in (part.mean, part.standard_error)),
        wrong.mean,
        strict=True,
    )
    return tuple(LossBin(*map(float, row)) for row in rows)


def _fit(made: World, trained: TrainedRound, network: int) -> FittedCoupling | None:
    """The fitted coupling that stands for the exact one: batch OT's own, or one of LOOM's table."""
    if isinstance(trained.stream, LoomPairs):
        pairs, component = trained.stream.table_pairs(network)
        target, seed = made.target, trained.stream.seeds[network]
        return fit_block_coupling(
            pairs.x_0, pairs.x_1, component, classes=target.classes, weights=target.weights, sees_class=made.sees_class, seed=seed
        )
    return None if trained.stream.one_to_one else made.fitted


def _told(made: World, condition: Int[Tensor, " n"]) -> Int[Tensor, " n"] | None:
    return condition if made.sees_class else None


def _apart(a: Float[Tensor, "n 2"], b: Float[Tensor, "n 2"], off: float) -> EndError:
    d = distance(a, b)
    return EndError(float(d.square().mean().sqrt()), float(d.quantile(0.5)), float((d > off).double().mean()))


def _solved(scene: Scene, made: World, velocity: Field, start: Tensor, told: Tensor | None) -> Float[Tensor, "n 2"]:
    """Where the scene's solver takes the particles."""
    span = (0.0, made.last_time)
    if scene.solver in solvers.ADAPTIVE:
        times = torch.tensor(span, dtype=torch.float64)
        return solvers.solve(
            velocity, start, method=scene.solver, grid=times, condition=told, atol=scene.tolerance, rtol=scene.tolerance
        ).end
    return solvers.solve(
        velocity, start, method=scene.solver, nfe=scene.nfe, grid=scene.grid, condition=told, path=made.path, t_span=span
    ).end


def summary(learned: Learned, reports: list[NetworkReport]) -> dict[str, Any]:
    """What `python -m toy train --json` prints."""
    scene = {f.name: getattr(learned.scene, f.name) for f in fields(Scene) if f.name != "mixture"}
    return {
        "version": 1,
        "scene": scene | ({"mixture": learned.scene.to_query()} if learned.scene.mixture else {}),
        "learning": asdict(learned.options),
        "parameters": learned.rounds[-1].architecture.count,
        "seconds": learned.seconds,
        "floors": FLOORS,
        "networks": [r.summary() for r in reports],
    }


def table(learned: Learned, reports: list[NetworkReport]) -> str:
    """The reports for reading: a block a network and round, and the loss by time bin."""
    from toy.report import describe

    o = learned.options
    lines = [
        f"{describe(learned.scene)}",
        f"{learned.rounds[-1].architecture.count} parameters, {o.iterations} iterations of {o.train_batch} pairs a round; trained in {learned.seconds:.1f} s",
    ]
    for r in reports:
        lines += ["", f"seed {r.seed}, round {r.round}: {r.pairs}", *_rows(r), "", *_by_time(r.losses)]
    return "\n".join(lines)


def _rows(r: NetworkReport) -> list[str]:
    found = r.losses
    rows = [
        (
            "loss",
            f"{found.loss:.4g}",
            f"on {found.pairs} pairs not trained on" if found.floor_kind == "exact" else f"on {found.pairs} pairs",
        ),
        ("its floor", f"{found.floor:.4g}", FLOORS[found.floor_kind]),
        (
            "loss above the floor",
            f"{found.excess:.3g}",
            f"± {found.excess_error:.2g}; should be the square of the field error, {found.field_rms**2:.3g}",
        ),
        ("field error", f"{found.field_rms:.4g}", f"RMS over t and x ~ p_t; {100 * found.relative:.3g} % of the velocity's"),
        (
            "model share",
            f"{r.model.rmse:.4g}",
            f"RMSE of exact flows' ends; median {r.model.median:.3g}, {100 * r.model.share_off:.2g} % off",
        ),
        ("solver share", f"{r.solver.rmse:.4g}", f"RMSE; median {r.solver.median:.3g}; reference off by {r.reference_error:.1g}"),
        ("W2 to the target", f"{r.w2.value:.4g}", f"floor {r.w2.floor:.3g}, n = {r.w2.n}"),
        ("straightness", f"{r.straightness:.4g}", "of the network's flow; 0 is straight"),
        ("transport cost, pairs", f"{r.transport_cost:.4g}", f"of the flow {r.flow_cost:.4g}"),
    ]
    if r.estimate is not None:
        rows.append(("estimate, field", f"{r.estimate:.4g}", "RMS error of the fitted field that stands for the exact one"))
    if r.grid is not None:
        g = r.grid
        words = f"RMS of velocities, {g.nbytes / 1e6:.2g} MB; ends: median {g.end_median:.2g}, {100 * g.end_share_off:.2g} % off by more than {g.off:.2g}"
        rows.append(("grid share", f"{g.rms:.4g}", words))
    widths = [max(len(row[i]) for row in rows) for i in (0, 1)]
    return [f"{name:<{widths[0]}}  {value:>{widths[1]}}  {note}" for name, value, note in rows]


def _by_time(found: Losses) -> list[str]:
    head = f"{'t':>9}  {'loss':>8}  {'floor':>8}  {'above':>8}  {'±':>7}  {'field error':>11}"
    rows = [
        f"{b.t_from:.1f}-{b.t_to:.1f}".rjust(9)
        + f"  {b.loss:>8.4g}  {b.floor:>8.4g}  {b.excess:>8.2g}  {b.excess_error:>7.1g}  {b.field_error_squared**0.5:>11.3g}"
        for b in found.bins
    ]
    return [head, *rows]
