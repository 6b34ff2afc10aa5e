"""The flow that everything is measured against: the checkpoint's own, by dopri5, refined until it is ten times better than the error that is wished for."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lab.reference import Reference, distance
from lab.solvers import Trajectory, solve
from trainers.bars import QUIET, bar
from trainers.evaluation.flow_measures import LOOSER, field_of, finer
from trainers.evaluation.subject import Subject

FIRST = 1e-5


@dataclass(frozen=True)
class Exact:
    """States at the given times, float64, with their ends' difference to those at a tolerance ten times as large; between: the largest RMSE of that over all times.

    spread: root mean squared distance of the end points to their mean, the unit of relative errors. nfe: evaluations for each sample, of the finer run.
    """

    reference: Reference
    between: float
    spread: float
    tolerance: float

    @property
    def nfe(self) -> int:
        return self.reference.trajectory.nfe

    @property
    def error(self) -> float:
        """RMSE of the ends."""
        return self.reference.error

    def along(self, times: Float[Tensor, " k"]) -> Trajectory:
        """The flow at some of its times."""
        return Trajectory(self.reference.at(times), times, self.nfe, "dopri5")


def spread_of(x: Float[Tensor, "n *shape"]) -> float:
    """Root mean squared distance of samples to their mean, by n - 1."""
    centred = (x - x.mean(0)).flatten(1)
    return float((centred.square().sum() / (len(x) - 1)).sqrt())


def follow_exactly(
    subject: Subject,
    start: Float[Tensor, "n k h w"],
    condition: Tensor | None,
    times: Float[Tensor, " m"],
    *,
    guidance: float,
    error: float,
    finest: float,
) -> Exact:
    """The flow from `start` at `times`: atol = rtol = 1e-5, then a tenth of that again and again until its ends are off by at most `error` spreads, or at `finest`.

    Raises ValueError where the velocity is not finite, and where all ends are one point, which no relative error can be told of.
    """

    def run(tolerance: float) -> Trajectory:
        with bar(100, f"exact flow of {len(start)} samples at {tolerance:g}", "hundredths of the way", wait=QUIET) as shown:

            def watched(x: Tensor, t: Tensor, condition: Any = None) -> Tensor:
                u = subject.velocity(x, t, condition)
                if not bool(torch.isfinite(u).all()):
                    raise ValueError(
                        f"the velocity is not finite at t={float(t[0]):.4g}; look for NaN in the weights, and at the conventions"
                    )
                shown.at(max(shown.n, int(100 * float(t[0]) / subject.last_time)))
                return u

            field = field_of(watched, subject, guidance)
            return solve(field, start, method="dopri5", grid=times, condition=condition, atol=tolerance, rtol=tolerance)

    tolerance = max(FIRST, finest)
    before, fine = run(LOOSER * tolerance), run(tolerance)
    found = judged(fine, before, tolerance)
    while (following := finer(tolerance, finest)) is not None and found.error > error * found.spread:
        tolerance = following
        before, fine = fine, run(tolerance)
        found = judged(fine, before, tolerance)
    return found


def judged(fine: Trajectory, coarse: Trajectory, tolerance: float) -> Exact:
    """The finer of two runs with its distance to the coarser one."""
    off = torch.stack([distance(a, b) for a, b in zip(fine.x, coarse.x, strict=True)])
    spread = spread_of(fine.end)
    if not torch.isfinite(fine.x).all():
        raise ValueError(
            "the flow is not finite; look for NaN in the weights, and at direction, time_scale and prediction of the conventions"
        )
    if spread == 0:
        raise ValueError(
            "all samples end in one point, so that no error can be told relative to their spread; take other weights or another seed"
        )
    return Exact(Reference(fine, off[-1]), float(off.square().mean(1).sqrt().max()), spread, tolerance)
