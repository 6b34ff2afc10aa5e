"""Log-density of data along the flow, log p_1(x_1) = log p_0(x_0) - integral of div u(x_t, t) dt: exact or estimated, in nats or bits per dimension.

The trajectory is followed backwards from x_1 together with the divergence; p_0 must be the exact law of x at the start:

    found = log_likelihood(field.velocity, x_1, lambda x: field.log_prob(x, 0.0), condition=classes)
    found.log_prob                                         # (B,) nats: log p(x_1), or log p(x_1 | condition)
    bits_per_dimension(found.log_prob, x_1.shape[1:])      # pixels made continuous by `dequantise`

On VP and VE the law at t = 0 is not the prior but that of alpha(0) x_1 + sigma(0) x_0. To take N(0, sigma(0)^2 I) for it, as is common on images, where the exact law
is not known, adds the start share of the error to every number. Source: Chen et al. 2018 (Neural ODEs), theorem 1; Grathwohl et al. 2019 (FFJORD).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsIndex

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab.checks import check_name, whole_number
from lab.conversions import GaussianSource, singular_to_rounding
from lab.grids import given_times
from lab.paths import Path, flat
from lab.solvers import Field, check_velocity, evaluations_per_call, solve

LAWS = ("rademacher", "gaussian")
AVERAGES = ("log-mean-exp", "mean")
DOUBLE_TOLERANCE, SINGLE_TOLERANCE = 3e-8, 1e-5
LogDensity = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Exact:
    """The whole trace, sum_i du_i / dx_i, by D backward passes for each evaluation: right for small D, dear for images."""

    @property
    def kind(self) -> str:
        return "exact"

    def draw(self, x: Float[Tensor, "b *shape"]) -> None:
        """No probes."""
        return


@dataclass(frozen=True)
class Hutchinson:
    """An unbiased estimate, mean over probes e of e^T (du/dx) e with E e e^T = I: one backward pass per probe. Source: Hutchinson 1990; FFJORD.

    Each sample has probes of its own, which stay the same along its trajectory. With S the symmetric part of the integrated du/dx, one probe's variance is
    2 |S|^2 for `law` gaussian and 2 (|S|^2 - sum_i S_ii^2) for rademacher, which is therefore exact where du/dx is diagonal. Two probes or more tell their spread.
    """

    generator: torch.Generator
    probes: int = 2
    law: str = "rademacher"

    def __post_init__(self) -> None:
        whole_number("probes", self.probes, 1)
        check_name("law", self.law, LAWS)

    @property
    def kind(self) -> str:
        return f"hutchinson, {self.probes} {self.law} probe{'s' if self.probes > 1 else ''}"

    def draw(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "p b *shape"]:
        """The probes for samples x, from the generator."""
        shape, device = (self.probes, *x.shape), self.generator.device
        if self.law == "gaussian":
            return torch.randn(shape, generator=self.generator, device=device, dtype=x.dtype).to(x.device)
        return (2 * torch.randint(2, shape, generator=self.generator, device=device) - 1).to(x.device, x.dtype)


@dataclass(frozen=True)
class LogLikelihood:
    """log_prob (B,) in nats; x_0 (B, *shape), where the trajectories start; nfe, evaluations of the field (backward passes are not counted).

    standard_error (B,): of each log_prob, from the spread of Hutchinson's probes; None where the divergence is exact, NaN with a single probe. `divergence` names how it was taken.
    """

    log_prob: Float[Tensor, " b"]
    x_0: Float[Tensor, "b *shape"]
    nfe: int
    standard_error: Float[Tensor, " b"] | None
    divergence: str

    @property
    def mean(self) -> float:
        """Mean log-density over the samples, nats."""
        return float(self.log_prob.mean())

    @property
    def mean_standard_error(self) -> float | None:
        """Standard error of `mean` as an estimate for these very samples, for probes are drawn independently; how the data themselves vary is not in it."""
        if self.standard_error is None:
            return None
        return float(self.standard_error.square().sum().sqrt()) / len(self.standard_error)


class Divergence(NamedTuple):
    """velocity (B, *shape), and its divergence as traces (B, 1), exact, or (B, P): of P probes e each one's e^T (du/dx) e."""

    velocity: Float[Tensor, "b *shape"]
    traces: Float[Tensor, "b p"]


def divergence(
    velocity: Field,
    x: Float[Tensor, "b *shape"],
    t: Float[Tensor, " b"],
    condition: Any = None,
    probes: Float[Tensor, "p b *shape"] | None = None,
    differentiable: bool = False,
) -> Divergence:
    """The velocity at (x, t) and its divergence: exact; or estimated with probes e (P, B, *shape).

    Samples must not mix: the velocity of each may depend on that sample alone (no batch normalisation in training mode). Works under no_grad and inference_mode; with
    `differentiable` the results keep the graph, for gradients in parameters or in x.

    Raises ValueError where the velocity has no gradient in x, as a field computed under no_grad has none: a divergence of 0 would be silently wrong.
    """
    with torch.inference_mode(False), torch.enable_grad():
        point = x if differentiable and x.requires_grad else x.detach().clone().requires_grad_()
        # What inference mode made cannot be saved for a backward pass: a copy can.
        time = t.clone() if t.is_inference() else t
        told = condition.clone() if isinstance(condition, Tensor) and condition.is_inference() else condition
        u = velocity(point, time, told)
        check_velocity(u, x)

        def gradient_of(number: Tensor, *, more: bool) -> Tensor:
            gradient = None
            if u.requires_grad:
                (gradient,) = torch.autograd.grad(
                    number, point, retain_graph=more or differentiable, create_graph=differentiable, allow_unused=True
                )
            if gradient is None:
                raise ValueError(
                    "velocity has no gradient in x, so its divergence is unknown: is it computed under no_grad or from a detached x? "
                    "(where it truly does not depend on x, return u + 0 * x)"
                )
            return flat(gradient)

        rows = flat(u)
        if probes is None:
            last = rows.shape[1] - 1
            parts = [gradient_of(rows[:, i].sum(), more=i < last)[:, i] for i in range(last + 1)]
            traces = torch.stack(parts, dim=1).sum(1, keepdim=True)
        else:
            last = len(probes) - 1
            traces = torch.stack(
                [(gradient_of((rows * flat(e)).sum(), more=i < last) * flat(e)).sum(1) for i, e in enumerate(probes)], dim=1
            )
    return Divergence(u, traces) if differentiable else Divergence(u.detach(), traces.detach())


class _Augmented:
    """The field of (x, integral of div u), as one flat tensor (B, D + P), costing what the field itself costs."""

    def __init__(self, velocity: Field, shape: torch.Size, probes: Tensor | None, differentiable: bool) -> None:
        self.velocity, self.shape, self.probes, self.differentiable = velocity, shape, probes, differentiable
        self.evaluations_per_call = evaluations_per_call(velocity)

    def __call__(self, state: Tensor, t: Tensor, condition: Any = None) -> Tensor:
        x = state[:, : math.prod(self.shape[1:])].reshape(self.shape)
        u, traces = divergence(self.velocity, x, t, condition, self.probes, self.differentiable)
        return torch.cat((flat(u), traces), dim=1)


def log_likelihood(
    velocity: Field,
    x_1: Float[Tensor, "b *shape"],
    prior: LogDensity | GaussianSource,
    *,
    divergence: Exact | Hutchinson | None = None,
    method: str = "dopri5",
    nfe: SupportsIndex | None = None,
    grid: str | Sequence[float] | Float[Tensor, " k"] = "uniform",
    condition: Any = None,
    path: Path | None = None,
    t_span: tuple[float, float] | None = None,
    atol: float | None = None,
    rtol: float | None = None,
    differentiable: bool = False,
) -> LogLikelihood:
    """log p(x_1), or log p(x_1 | condition), along dx/dt = velocity(x, t, condition): log p_0(x_0) - integral of div u(x_t, t) dt, (B,) nats.

    `prior` is the exact law at the start, t_span[0]: a function from x (B, *shape) to log p_0 (B,), given the condition if there is one, such as
    `lambda x: prior.log_prob(x, condition)`; or a GaussianSource. `divergence`: Exact() (if not given) or Hutchinson(generator, probes).

    `method`, `nfe`, `grid`, `atol` and `rtol` as in lab.solvers.solve: fixed steps with nfe, or adaptive ones, whose tolerance is that of x and the divergence together. A grid
    of times may rise or fall, and then fixes t_span. `t_span` (start, end) is (0, path.last_time) if not given, so that VP and VE end at 1 - 1e-5; the density found is that
    of the law at its end. With `differentiable`, log_prob has gradients in x_1 and in the field's parameters, at the cost of keeping all steps in memory.

    Tolerances not given are 3e-8 in float64, which keeps mixtures in the plane within 1e-4 nats of their density, and 1e-5 in float32 (a few 1e-3 nats), which
    holds no finer. An adaptive method holds its tolerance on average over the batch: in float32 a sample in a narrow spot, among 5,000 that are not, was off by .05 nats.

    Raises ValueError where log p_0 is not finite or the source's covariance is singular (a prior on a plane has no density), where x_1 is not finite, where the velocity has no
    gradient in x, and for what `solve` refuses.
    """
    if x_1.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"x_1 has dtype {x_1.dtype}; a likelihood is summed over all dimensions and needs float32 or float64")
    if x_1.ndim < 2 or x_1.numel() == 0:
        raise ValueError(f"x_1 has shape {tuple(x_1.shape)}; it must be samples of at least one number each, (B, *shape)")
    if not bool(torch.isfinite(x_1).all()):
        raise ValueError("x_1 must be finite, without NaN, to have a likelihood")
    log_density = _gaussian(prior) if isinstance(prior, GaussianSource) else prior
    if not callable(log_density):
        raise ValueError(
            f"prior is a {type(prior).__name__}; it must be a function from x to log p_0(x), such as `lambda x: prior.log_prob(x, condition)`, or a GaussianSource"
        )
    way = divergence or Exact()
    first, last = t_span or (0.0, 1.0 if path is None else path.last_time)
    times = grid if isinstance(grid, str) else given_times(grid).sort(descending=True).values
    probes, size = way.draw(x_1), math.prod(x_1.shape[1:])
    columns = 1 if probes is None else len(probes)
    fine = DOUBLE_TOLERANCE if x_1.dtype == torch.float64 else SINGLE_TOLERANCE
    state = torch.cat((flat(x_1), x_1.new_zeros(len(x_1), columns)), dim=1)
    with torch.set_grad_enabled(differentiable):
        run = solve(
            _Augmented(velocity, x_1.shape, probes, differentiable),
            state,
            method=method,
            nfe=nfe,
            grid=times,
            condition=condition,
            path=path,
            t_span=(last, first),
            atol=fine if atol is None else atol,
            rtol=fine if rtol is None else rtol,
        )
        x_0, change = run.end[:, :size].reshape(x_1.shape), run.end[:, size:]
        start = log_density(x_0)
    _check_density(start, x_0)
    # Backwards, the last columns hold the integral from 1 down to 0: minus that from 0 to 1.
    spread = None if probes is None else _standard_error(change.detach())
    return LogLikelihood(start + change.mean(1), x_0, run.nfe, spread, way.kind)


def bits_per_dimension(
    log_prob: Float[Tensor, "*k b"],
    shape: Sequence[int],
    *,
    data_range: tuple[float, float] = (-1.0, 1.0),
    levels: int = 256,
    average: str = "log-mean-exp",
) -> Float[Tensor, " b"]:
    """-log2 P(pixels) / D for pixels of `levels` values that `dequantise` spread over `data_range`: -log p(x) / (D ln 2) + log2(levels / width), (B,).

    log_prob (B,) in nats, or (K, B) for K dequantisations of the same images, averaged as log-mean-exp, -log(1/K sum_k p_k) (importance weighted, Hoogeboom et al. 2020: lower
    and closer to the truth), or as the mean of -log p_k. Both lie above the model's true bits on average; Lipman et al. 2022 average K draws, and K = 1 costs 0.04 to 0.12 bits.

    The constant is 7 bits for [-1, 1] and 8 for [0, 1]. Where 0 and 255 themselves were sent to -1 and 1, a level is 2/255 wide: data_range is (-1, -1 + 256 * 2/255).

    Raises ValueError for an unknown average, a range of no width, no levels or log_prob of three or more dimensions.
    """
    low, high = data_range
    size = _size(shape)
    _check_levels(data_range, levels)
    check_name("average", average, AVERAGES)
    if log_prob.ndim not in (1, 2):
        raise ValueError(f"log_prob has shape {tuple(log_prob.shape)}; it must be (B,) or, for K dequantisations, (K, B)")
    draws = log_prob.reshape(-1, log_prob.shape[-1]).double()
    whole = draws.mean(0) if average == "mean" else torch.logsumexp(draws, 0) - math.log(len(draws))
    return -whole / (size * math.log(2)) + math.log2(levels / (high - low))


def dequantise(
    pixels: Int[Tensor, "b *shape"],
    generator: torch.Generator,
    *,
    data_range: tuple[float, float] = (-1.0, 1.0),
    levels: int = 256,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "b *shape"]:
    """Pixels 0 to levels - 1 made continuous, low + (high - low) (pixel + u) / levels with u uniform in [0, 1): what `bits_per_dimension` takes the density of.

    Raises ValueError for pixels outside their levels or between them, as those of images scaled already are. Source: Uria et al. 2013; Theis et al. 2016.
    """
    low, high = data_range
    _check_levels(data_range, levels)
    least, most = (pixels.min().item(), pixels.max().item()) if pixels.numel() else (0, 0)
    if not (least >= 0 and most < levels) or (pixels.is_floating_point() and bool((pixels != pixels.floor()).any())):
        raise ValueError(f"pixels must be whole numbers in 0 to {levels - 1}, not {least:g} to {most:g} in {pixels.dtype}")
    u = torch.rand(pixels.shape, generator=generator, device=generator.device, dtype=torch.float64).to(pixels.device, dtype)
    return low + (high - low) * ((pixels.to(dtype) + u) / levels)


def nats_per_dimension(log_prob: Float[Tensor, " b"], shape: Sequence[int]) -> Float[Tensor, " b"]:
    """-log p(x) / D in nats, (B,): for latents and other continuous data, where bits of pixels mean nothing; comparable between models of the same latents only."""
    return -log_prob.double() / _size(shape)


def gaussian_log_prob(source: GaussianSource, x: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
    """log N(x; mean, covariance) of the flattened samples, (B,) nats, float64. Raises ValueError where the covariance is singular: there is no density."""
    point = x.double()
    size = math.prod(x.shape[1:])
    try:
        covariance, factor = source._covariance(point)
    except ValueError as error:
        raise ValueError(f"the prior has no density, so there is no likelihood: {error}") from error
    if factor is None:
        log_det = flat(covariance.log().expand_as(point)).sum(1)
    else:
        pivots = factor.diagonal(dim1=-2, dim2=-1)
        if bool(singular_to_rounding(factor.reshape(-1, size, size)).any()):
            raise ValueError(
                "the prior has no density, so there is no likelihood: its covariance is singular to rounding; shrink it towards a multiple of the identity"
            )
        log_det = 2 * pivots.log().sum(-1)
    gap = point - source.centre(point)
    return -0.5 * (flat(gap * source.over_covariance(gap)).sum(1) + log_det + size * math.log(2 * math.pi))


def _gaussian(source: GaussianSource) -> LogDensity:
    return lambda x: gaussian_log_prob(source, x)


def _check_density(log_p_0: Tensor, x_0: Tensor) -> None:
    if log_p_0.shape != x_0.shape[:1]:
        raise ValueError(f"prior returned shape {tuple(log_p_0.shape)}; it must be one log-density per sample, ({len(x_0)},)")
    bad = ~torch.isfinite(log_p_0)
    if bool(bad.any()):
        i = int(torch.nonzero(bad)[0])
        raise ValueError(
            f"log p_0 is {log_p_0[i].item():g} at x_0[{i}] ({int(bad.sum())} of {len(bad)} samples): the prior has no density there (a singular covariance, "
            "or a support that the flow leaves), so there is no likelihood; use a prior with full support, for instance a shrunken covariance"
        )


def _standard_error(traces: Float[Tensor, "b p"]) -> Float[Tensor, " b"]:
    if traces.shape[1] == 1:
        return torch.full_like(traces[:, 0], math.nan)
    return traces.std(1) / math.sqrt(traces.shape[1])


def _check_levels(data_range: tuple[float, float], levels: int) -> None:
    if not data_range[0] < data_range[1]:
        raise ValueError(f"data_range={data_range} must be (low, high) with low below high")
    if levels < 1:
        raise ValueError(f"levels={levels} must be at least 1")


def _size(shape: Sequence[int]) -> int:
    size = math.prod(shape)
    if size < 1:
        raise ValueError(f"shape={tuple(shape)} must be that of one sample, with at least one number")
    return size
