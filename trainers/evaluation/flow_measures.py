"""What a checkpoint's flow is like, in normalised latents: how straight, how far, how wrong a solver is against its own exact end points, and how likely real data are."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lab.guidance import Guided
from lab.likelihood import Hutchinson, LogLikelihood, bits_per_dimension, dequantise, log_likelihood, nats_per_dimension
from lab.measures import acceleration, path_efficiency, slopes, straightness, transport_cost
from lab.reference import ErrorSummary, distance, graded
from lab.solvers import Field, Trajectory, solve
from trainers.bars import QUIET, bar
from trainers.evaluation.subject import Subject

TIMES = 64  # intervals along which straightness and acceleration are summed
FIRST, FINEST = 1e-4, 1e-6
LOOSER = 10  # the end points' own error is their distance to those at a tolerance so many times as large
PROBES = 2


def finer(tolerance: float, finest: float) -> float | None:
    """The next tolerance, a tenth but no finer than `finest`; None where that is reached: 1e-5 / 10 lies a rounding above 1e-6, and runs at both would differ by nothing."""
    return None if math.isclose(tolerance, finest, rel_tol=1e-6) or tolerance < finest else max(tolerance / LOOSER, finest)


def in_double(velocity: Field) -> Field:
    """A field that takes float64 and gives it, evaluated in float32 as it was trained: the solver's own sums are then no source of error."""

    def field(x: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        return velocity(x.float(), t.float(), condition).double()

    return field


def field_of(velocity: Field, subject: Subject, guidance: float) -> Field:
    """The checkpoint's field with guidance, convention `scale`, in float64; 1 is off."""
    field = in_double(velocity)
    return field if guidance == 1 else Guided(field, guidance, convention="scale", null=subject.null)


def watched(velocity: Field, arrived: Callable[[int], object], first: float, last: float) -> Field:
    """The same field, which tells how many hundredths of the way from `first` to `last` its solver has come: adaptive ones do not know of how many evaluations."""

    def field(x: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        u = velocity(x, t, condition)
        arrived(int(100 * (float(t[0]) - first) / (last - first)))
        return u

    return field


@dataclass(frozen=True)
class Flow:
    """The adaptive flow of n particles and what it is like. ends (n, k, h, w), float64; error: RMSE of the ends, by a looser tolerance.

    straightness, acceleration, transport_cost: means in squared units of normalised latents (lab.measures); path_efficiency in (0, 1]. intervals: along which the first two
    are summed. A network whose time embedding oscillates faster than they resolve (1,000 t: a thousand radians) adds its jitter to the acceleration, and the more, the finer.
    """

    ends: Float[Tensor, "n k h w"]
    straightness: float
    acceleration: float
    transport_cost: float
    path_efficiency: float | None
    intervals: int
    nfe: int
    error: float
    tolerance: float

    def summary(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        names = ("straightness", "acceleration", "transport_cost", "path_efficiency", "intervals", "nfe", "tolerance")
        return {
            "n": len(self.ends),
            "dimension": self.ends[0].numel(),
            "solver": "dopri5",
            **{name: getattr(self, name) for name in names},
            "reference_error": self.error,
        }


@torch.no_grad()
def follow(
    subject: Subject,
    x_0: Float[Tensor, "n k h w"],
    condition: Tensor | None,
    *,
    guidance: float = 1.0,
    finest: float = FINEST,
    judged: Sequence[Float[Tensor, "n k h w"]] = (),
) -> Flow:
    """The flow from prior samples x_0 by dopri5, to where sampling ends.

    At atol = rtol = 1e-4, and then at a tenth again and again, until its end points tell how far off each of `judged` is (a solver's end points from the same x_0) to a
    tenth, or at `finest`; at once at `finest` where nothing is judged.
    """
    start = subject.path.start(x_0.double().to(subject.device))
    told = None if condition is None else condition.to(subject.device)
    span = (0.0, subject.last_time)
    # On VP and VE the velocity grows towards the end, and equal steps in t would overstate both integrals.
    times = torch.linspace(*span, TIMES + 1, dtype=torch.float64) if subject.path.last_time == 1 else graded(subject.path, span, 4 * TIMES)

    def along(tolerance: float) -> Trajectory:
        with bar(100, f"exact ends of {len(x_0)} samples at {tolerance:g}", "hundredths of the way", wait=QUIET) as shown:
            field = field_of(watched(subject.velocity, lambda n: shown.at(max(shown.n, n)), *span), subject, guidance)
            return solve(field, start, method="dopri5", grid=times, condition=told, atol=tolerance, rtol=tolerance)

    tolerance = max(FIRST, finest) if judged else finest
    before, fine = along(LOOSER * tolerance), along(tolerance)
    error = _rmse(fine.end, before.end)
    while (following := finer(tolerance, finest)) is not None and not all(
        ErrorSummary(_rmse(ends.double().to(fine.end), fine.end), 0, 0, error).resolved for ends in judged
    ):
        tolerance = following
        before, fine = fine, along(tolerance)
        error = _rmse(fine.end, before.end)
    field = remembered(fine, field_of(subject.velocity, subject, guidance), told)
    return Flow(
        fine.end.cpu(),
        float(straightness(fine, field, told).mean()),
        acceleration(fine, field, told),
        transport_cost(fine.x[0], fine.end),
        path_efficiency(fine),
        len(fine.t) - 1,
        fine.nfe,
        error,
        tolerance,
    )


def _rmse(a: Tensor, b: Tensor) -> float:
    return float(distance(a, b).square().mean().sqrt())


def remembered(trajectory: Trajectory, field: Field, condition: Tensor | None) -> Field:
    """The field at the states of a trajectory, evaluated once for all that is measured along it."""
    known = dict(zip(trajectory.t.tolist(), slopes(trajectory, field, condition), strict=True))
    return lambda x, t, condition=None: known[float(t[0])].reshape(x.shape)


def solver_error(ends: Float[Tensor, "n k h w"], flow: Flow) -> ErrorSummary:
    """Distance of a solver's end points to the flow's, from the same x_0: RMSE, median and largest, in units of normalised latents."""
    d = distance(ends.double(), flow.ends)
    return ErrorSummary(float(d.square().mean().sqrt()), float(d.quantile(0.5)), float(d.max()), flow.error)


@dataclass(frozen=True)
class Likelihood:
    """-log p per dimension of the latent, nats, mean over n real pictures and its standard error; bits: per dimension of the pixels, of pixel models alone.

    nfe: evaluations of the field, without the backward passes. integration_error: mean distance to the same at ten times the tolerance, by the
    same probes.
    """

    nats: float
    error: float | None
    bits: float | None
    n: int
    nfe: int
    divergence: str
    tolerance: float
    integration_error: float
    note: str

    def summary(self) -> dict[str, Any]:
        """Plain numbers, for JSON."""
        return {
            "nats_per_dimension": self.nats,
            "error": self.error,
            "bits_per_dimension": self.bits,
            "n": self.n,
            "nfe": self.nfe,
            "solver": "dopri5",
            "divergence": self.divergence,
            "tolerance": self.tolerance,
            "integration_error": self.integration_error,
            "note": self.note,
        }


def likelihood(
    subject: Subject,
    pixels: UInt8[Tensor, "n c s s"],
    condition: Tensor | None,
    *,
    generator: torch.Generator,
    tolerance: float = 1e-3,
    probes: int = PROBES,
) -> Likelihood:
    """Of real pictures under the unguided flow, given their conditions: Hutchinson's estimate with `probes` probes, dopri5.

    Where the model works on pixels, these are dequantised once, and bits per dimension are given too. Raises ValueError where the prior has no density.
    """
    in_pixels = subject.recipe.autoencoder.kind == "none"
    if in_pixels:  # raw latents are level / 127.5 - 1, so a level is 2/255 wide
        levels = dequantise(pixels.int(), generator, data_range=(-1, -1 + 512 / 255), dtype=torch.float64)
        x_1 = subject.normalisation.apply(levels).double()
    else:
        x_1 = subject.encode(pixels)
    told = None if condition is None else condition.to(subject.device)
    first = float(subject.path.sigma(torch.zeros(1, dtype=torch.float64)))
    dimension = x_1[0].numel()

    def log_start(x: Tensor) -> Tensor:
        return (subject.prior.log_prob(x.cpu() / first, condition) - dimension * math.log(first)).to(x.device)

    span, drawn = (0.0, subject.last_time), generator.get_state()

    def at(tolerance: float) -> LogLikelihood:
        generator.set_state(drawn)  # the same probes
        with bar(100, f"likelihood of {len(x_1)} pictures at {tolerance:g}", "hundredths of the way", wait=QUIET) as shown:
            return log_likelihood(
                in_double(watched(subject.velocity, lambda n: shown.at(max(shown.n, n)), *reversed(span))),
                x_1.double().to(subject.device),
                log_start,
                divergence=Hutchinson(generator, probes),
                condition=told,
                path=subject.path,
                t_span=span,
                atol=tolerance,
                rtol=tolerance,
            )

    coarse, found = at(LOOSER * tolerance), at(tolerance)
    coarse_nats, nats = (nats_per_dimension(run.log_prob.cpu(), x_1.shape[1:]) for run in (coarse, found))
    bits = None
    if in_pixels:
        spread = subject.normalisation.spread.double().expand(x_1.shape[1:]).log().sum()
        bits = float(bits_per_dimension(found.log_prob.cpu() - spread, x_1.shape[1:], data_range=(-1, -1 + 512 / 255)).mean())
    note = "log p(x | condition)" if condition is not None else "log p(x)"
    if not subject.path.clean_start:
        note += f"; the law at t = 0 is taken to be the prior times sigma(0) = {first:g}, which leaves the start share in"
    error = float(nats.std() / math.sqrt(len(nats))) if len(nats) > 1 else None
    off = float((nats - coarse_nats).abs().mean())
    return Likelihood(float(nats.mean()), error, bits, len(nats), found.nfe, found.divergence, tolerance, off, note)
