"""What a checkpoint's flow is like, in normalised latents: how straight, how far, how wrong a solver is against its own exact end points, and how likely real data are."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from lab.guidance import Guided
from lab.likelihood import Hutchinson, bits_per_dimension, dequantise, log_likelihood, nats_per_dimension
from lab.measures import acceleration, path_efficiency, straightness, transport_cost
from lab.reference import ErrorSummary, distance, graded
from lab.solvers import Field, solve
from trainers.evaluation.subject import Subject

TIMES = 64  # intervals along which straightness and acceleration are summed
TOLERANCE = 1e-6
LOOSER = 10  # the end points' own error is their distance to those at a tolerance so many times as large
PROBES = 2


def in_double(velocity: Field) -> Field:
    """A field that takes float64 and gives it, evaluated in float32 as it was trained: the solver's own sums are then no source of error."""

    def field(x: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        return velocity(x.float(), t.float(), condition).double()

    return field


def field_of(subject: Subject, guidance: float) -> Field:
    """The checkpoint's field with guidance, convention `scale`, in float64; 1 is off."""
    field = in_double(subject.velocity)
    return field if guidance == 1 else Guided(field, guidance, convention="scale", null=subject.null)


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
    subject: Subject, x_0: Float[Tensor, "n k h w"], condition: Tensor | None, *, guidance: float = 1.0, tolerance: float = TOLERANCE
) -> Flow:
    """The flow from prior samples x_0 by dopri5 at atol = rtol = tolerance, to where sampling ends."""
    field = field_of(subject, guidance)
    start = subject.path.start(x_0.double().to(subject.device))
    told = None if condition is None else condition.to(subject.device)
    span = (0.0, subject.last_time)
    # On VP and VE the velocity grows towards the end, and equal steps in t would overstate both integrals.
    times = torch.linspace(*span, TIMES + 1, dtype=torch.float64) if subject.path.last_time == 1 else graded(subject.path, span, 4 * TIMES)
    fine = solve(field, start, method="dopri5", grid=times, condition=told, atol=tolerance, rtol=tolerance)
    coarse = solve(field, start, method="dopri5", t_span=span, condition=told, atol=LOOSER * tolerance, rtol=LOOSER * tolerance)
    return Flow(
        fine.end.cpu(),
        float(straightness(fine, field, told).mean()),
        acceleration(fine, field, told),
        transport_cost(fine.x[0], fine.end),
        path_efficiency(fine),
        len(fine.t) - 1,
        fine.nfe,
        float(distance(fine.end, coarse.end).square().mean().sqrt()),
        tolerance,
    )


def solver_error(ends: Float[Tensor, "n k h w"], flow: Flow) -> ErrorSummary:
    """Distance of a solver's end points to the flow's, from the same x_0: RMSE, median and largest, in units of normalised latents."""
    d = distance(ends.double(), flow.ends)
    return ErrorSummary(float(d.square().mean().sqrt()), float(d.quantile(0.5)), float(d.max()), flow.error)


@dataclass(frozen=True)
class Likelihood:
    """-log p per dimension of the latent, nats, mean over n real pictures and its standard error; bits: per dimension of the pixels, of pixel models alone."""

    nats: float
    error: float | None
    bits: float | None
    n: int
    nfe: int
    divergence: str
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
            "note": self.note,
        }


def likelihood(
    subject: Subject,
    pixels: UInt8[Tensor, "n c s s"],
    condition: Tensor | None,
    *,
    generator: torch.Generator,
    tolerance: float = 1e-5,
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

    found = log_likelihood(
        in_double(subject.velocity),
        x_1.double().to(subject.device),
        log_start,
        divergence=Hutchinson(generator, probes),
        condition=told,
        path=subject.path,
        t_span=(0.0, subject.last_time),
        atol=tolerance,
        rtol=tolerance,
    )
    nats = nats_per_dimension(found.log_prob.cpu(), x_1.shape[1:])
    bits = None
    if in_pixels:
        spread = subject.normalisation.spread.double().expand(x_1.shape[1:]).log().sum()
        bits = float(bits_per_dimension(found.log_prob.cpu() - spread, x_1.shape[1:], data_range=(-1, -1 + 512 / 255)).mean())
    note = "log p(x | condition)" if condition is not None else "log p(x)"
    if not subject.path.clean_start:
        note += f"; the law at t = 0 is taken to be the prior times sigma(0) = {first:g}, which leaves the start share in"
    error = float(nats.std() / math.sqrt(len(nats))) if len(nats) > 1 else None
    return Likelihood(float(nats.mean()), error, bits, len(nats), found.nfe, found.divergence, note)
