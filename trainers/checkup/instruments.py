"""The measurements of a check-up: what a checkpoint's flow asks of a solver, in one result that JSON, table and page are made from."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lab.checks import whole_number
from lab.guidance import GuidanceGap, guidance_gap
from lab.measures import (
    AccelerationAlong,
    Ladder,
    LocalError,
    acceleration,
    acceleration_along,
    local_error,
    path_efficiency,
    straightness,
    transport_cost,
)
from lab.reference import ErrorSummary, distance, graded
from lab.solvers import Field, check_fixed_step, check_method, evaluations_per_call, nearest_nfe, solve
from trainers.bars import QUIET, bar
from trainers.checkup.exact import Exact, follow_exactly
from trainers.checkup.foreign import Foreign
from trainers.checkup.plausibility import Slope, slopes_at_ends
from trainers.evaluation.flow_measures import TIMES, field_of, in_double, remembered
from trainers.evaluation.subject import Subject
from trainers.sampling import labels, start

VERSION = 1  # of the JSON
LADDER = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
SOLVERS = ("euler", "midpoint", "heun", "rk4")
LOCAL, GAUGED = "euler", 9  # the method whose local errors are shown; times at which guidance is gauged


@dataclass(frozen=True)
class Asked:
    """What is measured. error: the solver error wished for, in spreads of the samples; nfe: the budgets that are tried; finest: of the exact flow's tolerances."""

    n: int = 16
    seed: int = 0
    error: float = 0.05
    solvers: tuple[str, ...] = SOLVERS
    nfe: tuple[int, ...] = LADDER
    local_steps: int = 16
    guidance: float = 1.0
    finest: float = 1e-6

    def __post_init__(self) -> None:
        whole_number("n", self.n, 2)
        whole_number("seed", self.seed, 0)
        whole_number("local-steps", self.local_steps, 1)
        if not 0 < self.error < math.inf:
            raise ValueError(f"error={self.error} must be above 0: a share of the samples' spread, such as 0.05")
        if not math.isfinite(self.guidance):
            raise ValueError(f"guidance={self.guidance} must be a number; 1 is off")
        if not 0 < self.finest <= 0.1:
            raise ValueError(f"tolerance={self.finest} must lie between 0 and 0.1")
        if not self.solvers:
            raise ValueError("solvers must name at least one")
        for solver in self.solvers:
            check_method(solver)
            check_fixed_step(solver, "a check-up")
        if not self.nfe or min(self.nfe) < 1:
            raise ValueError(f"nfe={self.nfe} must be budgets of at least one evaluation")


@dataclass(frozen=True)
class Checkup:
    """What was found. Lengths are in units of what the network works on, *relative* ones in spreads of the samples (Exact.spread); squares and rates likewise.

    local: one step of Euler from the exact state against the exact flow, on equal steps. acceleration_along: on the intervals between `times`. gap: what guidance has to work with
    along the flow, None where `no_gap` says why. ends: the exact end points, and each solver's at the evaluations that it needs, for pictures.
    """

    about: dict[str, Any]
    asked: Asked
    exact: Exact
    ladders: tuple[Ladder, ...]
    local: LocalError
    straightness: float
    acceleration: float
    acceleration_along: AccelerationAlong
    times: Float[Tensor, " k"]
    path_efficiency: float | None
    transport_cost: float
    gap: GuidanceGap | None
    no_gap: str
    slopes: tuple[Slope, ...]
    notes: tuple[str, ...]
    ends: dict[str, Tensor] = field(repr=False)

    def relative(self, ladder: Ladder) -> tuple[float, ...]:
        """A solver's errors (RMSE) in spreads."""
        return tuple(error / self.exact.spread for error in ladder.rmse)

    def resolved(self, ladder: Ladder) -> tuple[bool, ...]:
        """Of each of its errors whether the exact ends are ten times better."""
        return tuple(ErrorSummary(rmse, 0.0, 0.0, self.exact.error).resolved for rmse in ladder.rmse)

    @property
    def needed(self) -> dict[str, int | None]:
        """The fewest evaluations of each solver that reach the wished error; None where none of the budgets does."""
        return {
            ladder.method: next((n for n, e in zip(ladder.nfe, self.relative(ladder), strict=True) if e <= self.asked.error), None)
            for ladder in self.ladders
        }

    def summary(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        exact, asked = self.exact, self.asked
        return {
            "version": VERSION,
            **self.about,
            "n": asked.n,
            "seed": asked.seed,
            "guidance_scale": asked.guidance,
            "exact": {
                "solver": "dopri5",
                "tolerance": exact.tolerance,
                "nfe": exact.nfe,
                "reference_error": exact.error,
                "relative_reference_error": exact.error / exact.spread,
                "reference_error_between": exact.between,
            },
            "spread": exact.spread,
            "wished_error": asked.error,
            "nfe_needed": self.needed,
            "solvers": [
                ladder.summary() | {"relative": list(self.relative(ladder)), "resolved": list(self.resolved(ladder))}
                for ladder in self.ladders
            ],
            "local_error": {
                "method": LOCAL,
                "steps": asked.local_steps,
                "t": self.local.t.tolist(),
                "rmse": self.local.rmse.tolist(),
                "median": self.local.median.tolist(),
                "relative": (self.local.rmse / exact.spread).tolist(),
            },
            "straightness": self.straightness,
            "acceleration": self.acceleration,
            "acceleration_along": {"t": self.acceleration_along.t.tolist(), "values": self.acceleration_along.values.tolist()},
            "path_efficiency": self.path_efficiency,
            "transport_cost": self.transport_cost,
            "guidance": None if self.gap is None else {name: _plain(value) for name, value in vars(self.gap).items()},
            "no_guidance": self.no_gap,
            "slopes_at_ends": [asdict(slope) | {"plausible": slope.plausible} for slope in self.slopes],
            "notes": list(self.notes),
        }


def _plain(value: Any) -> Any:
    """A tensor as a list; NaN, which JSON does not have, as None."""
    return [None if math.isnan(each) else each for each in value.tolist()] if isinstance(value, Tensor) else value


@torch.no_grad()
def check_up(
    subject: Subject, asked: Asked, condition: Tensor | None = None, *, say: Callable[[str], object] = lambda line: None
) -> Checkup:
    """Samples 0 to n - 1 of the seed, as `sample` starts them, followed exactly and by every solver. condition: one for each; None: as `sample` draws them.

    Raises ValueError for guidance without conditions, budgets that no solver can use, and a flow that cannot be followed.
    """
    numbers = torch.arange(asked.n)
    if condition is None and subject.label_law is not None:
        condition = labels(subject.label_law, numbers, asked.seed)
    if asked.guidance != 1 and (condition is None or subject.null is None):
        raise ValueError(f"guidance={asked.guidance:g} needs a model with conditions and a null one; leave it 1")
    own = field_of(subject.velocity, subject, asked.guidance)
    budgets = {solver: _usable(solver, asked.nfe, evaluations_per_call(own)) for solver in asked.solvers}
    x = subject.path.start(start(subject, numbers, condition, asked.seed).double().to(subject.device))
    told = None if condition is None else condition.to(subject.device)
    measured, steps, gauged = _times(subject, asked.local_steps)
    exact = follow_exactly(
        subject,
        x,
        told,
        torch.cat((measured, steps, gauged)).unique(),
        guidance=asked.guidance,
        error=0.1 * asked.error,
        finest=asked.finest,
    )
    say(
        f"exact flow of {asked.n} samples: dopri5 at {exact.tolerance:g}, {exact.nfe} evaluations each, ends off by {exact.error / exact.spread:.1g} of their spread"
    )
    ladders, ends = _ladders(subject, own, x, told, budgets, exact)
    flow = exact.along(measured)
    along = remembered(flow, own, told)
    rate = acceleration_along(flow, along, told)
    no_gap = _why_no_gap(subject, condition)
    gauge = exact.along(gauged)
    gap = None if no_gap else guidance_gap(in_double(subject.velocity), gauge.x, gauge.t, told, null=subject.null)
    ends_met = slopes_at_ends(subject, x, exact.reference.trajectory.end, told) if isinstance(subject, Foreign) else ()
    found = Checkup(
        _about(subject),
        asked,
        exact,
        ladders,
        local_error(own, exact.reference, steps, LOCAL, condition=told, path=subject.path),
        float(straightness(flow, along, told).mean()),
        acceleration(flow, along, told),
        rate,
        measured,
        path_efficiency(flow, exact.spread),
        transport_cost(flow.x[0], flow.end),
        gap,
        no_gap,
        ends_met,
        _notes(subject, exact, asked, ends_met),
        {},
    )
    chosen = {f"{solver}, {n} evaluations": ends[solver, n] for solver, n in found.needed.items() if n is not None}
    return replace(found, ends={"exact": exact.reference.trajectory.end.cpu(), **chosen})


def _times(subject: Subject, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Along which integrals are summed, Euler's steps, and where guidance is gauged; on VP and VE the first are graded, for the velocity grows towards the end."""
    last = subject.last_time
    plain = torch.linspace(0, last, TIMES + 1, dtype=torch.float64)
    measured = plain if subject.path.last_time == 1 else graded(subject.path, (0.0, last), 4 * TIMES)
    own = plain[:: TIMES // steps] if TIMES % steps == 0 else torch.linspace(0, last, steps + 1, dtype=torch.float64)
    return measured, own, plain[:: TIMES // (GAUGED - 1)]


def _usable(solver: str, nfes: Sequence[int], per_call: int) -> tuple[int, ...]:
    found = tuple(n for n in sorted(set(nfes)) if nearest_nfe(solver, n, per_call) == (n,))
    if not found:
        raise ValueError(f"nfe={tuple(nfes)} holds no budget that {solver} can use exactly{', guidance counted' if per_call > 1 else ''}")
    return found


def _ladders(
    subject: Subject, own: Field, x: Tensor, told: Tensor | None, budgets: dict[str, tuple[int, ...]], exact: Exact
) -> tuple[tuple[Ladder, ...], dict[tuple[str, int], Tensor]]:
    """Each solver's errors over its budgets, and its end points."""
    ends: dict[tuple[str, int], Tensor] = {}
    found = []
    with bar(sum(map(sum, budgets.values())), "solvers", "evaluations", wait=QUIET) as shown:
        for solver, nfes in budgets.items():
            errors = []
            for n in nfes:
                end = solve(own, x, method=solver, nfe=n, condition=told, path=subject.path, t_span=(0.0, subject.last_time)).end
                errors.append(distance(end, exact.reference.trajectory.end))
                ends[solver, n] = end.cpu()
                shown.update(n)
            rmse, median, largest = zip(
                *((float(d.square().mean().sqrt()), float(d.quantile(0.5)), float(d.max())) for d in errors), strict=True
            )
            found.append(Ladder(solver, nfes, rmse, median, largest, exact.error))
    return tuple(found), ends


def _why_no_gap(subject: Subject, condition: Tensor | None) -> str:
    """Why guidance cannot be gauged; empty where it can."""
    if condition is None:
        return "the network is told nothing, so there is nothing to guide towards"
    return "" if subject.null is not None else "the conventions name no null condition (null_class, or null in text.safetensors)"


def _about(subject: Subject) -> dict[str, Any]:
    """What was measured, without the numbers."""
    own = {"made": "here", "network": subject.recipe.network.kind, "conventions": None, "texts": None}
    if isinstance(subject, Foreign):
        texts = (
            None
            if not subject.body.width
            else "one row of zeros for each"
            if subject.texts is None
            else f"{len(subject.texts[0])} in turn, of text.safetensors"
        )
        own = {"made": "elsewhere", "network": subject.body.kind, "conventions": asdict(subject.conventions), "texts": texts}
    return {
        "name": subject.recipe.name,
        "about": subject.recipe.about,
        **own,
        "parameters": subject.parameters,
        "step": None if isinstance(subject, Foreign) else subject.step,
        "weights": subject.weights,
        "weights_hash": subject.weights_hash,
        "shape": list(subject.shape),
        "path": subject.path.name,
        "t_span": [0.0, subject.last_time],
    }


def _notes(subject: Subject, exact: Exact, asked: Asked, slopes_met: tuple[Slope, ...]) -> tuple[str, ...]:
    notes = []
    if exact.error > 0.1 * asked.error * exact.spread:
        notes.append(
            f"the exact ends are themselves off by {exact.error / exact.spread:.1g} of the spread, more than a tenth of the wished error {asked.error:g}: set a finer --tolerance"
        )
    for slope in slopes_met:
        if not slope.plausible:
            notes.append(
                f"at t = {slope.t:g} the prediction changes by {slope.found:.2f} for each unit of x, where independent pairs make it {slope.expected:.2f}: "
                "look at direction, time_scale and prediction, unless the model was trained briefly, on an optimal coupling or by reflow"
            )
    if subject.null is not None and subject.recipe.network.condition_dropout == 0:
        notes.append("the null condition was never trained (network.condition_dropout=0), so the guidance gauge means nothing")
    return tuple(notes)
