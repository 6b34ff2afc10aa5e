"""Samples of a trained field: x_0 from the prior by counter, the condition given or drawn from the data's own law, any solver, evaluations counted.

Sample i of a seed is the same whatever the batch and however many are asked for: its normal numbers, class and caption are functions of (seed, i). The end of an adaptive
solver is that to its tolerances only, since its steps follow the error of the whole batch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab.checks import check_name
from lab.guidance import Guided
from lab.paths import Path
from lab.random import normals, uniforms
from lab.solvers import ADAPTIVE, FIXED_STEP, Field, nearest_nfe, solve
from trainers.diffusion import DIFFUSION, denoise

NOISE, LABEL, COMPONENT = range(0x53414D00, 0x53414D00 + 3)  # streams of a sampling seed
SOLVERS = (*FIXED_STEP, *ADAPTIVE, *DIFFUSION)
REPORTED = 17  # regular times at which an adaptive trajectory is told: its own steps differ from batch to batch


@runtime_checkable
class Law(Protocol):
    """What sampling needs of trainers.priors.FittedPrior."""

    @property
    def needs_uniforms(self) -> bool: ...
    def from_normals(self, z: Tensor, condition: Tensor | None = None, *, uniforms: Tensor | None = None) -> Tensor: ...


@runtime_checkable
class Sampled(Protocol):
    """What is sampled: trainers.trained.Trained, or a training's own network on its way."""

    @property
    def velocity(self) -> Field: ...
    @property
    def path(self) -> Path: ...
    @property
    def last_time(self) -> float: ...
    @property
    def prior(self) -> Law: ...
    @property
    def shape(self) -> tuple[int, int, int]: ...
    @property
    def label_law(self) -> Float[Tensor, " c"] | None: ...
    @property
    def null(self) -> int | Tensor | None: ...
    @property
    def noise(self) -> Field | None: ...


@dataclass(frozen=True)
class Samples:
    """x (n, c, h, w), normalised latents, from x_0; condition (n,) or (n, rows, e); nfe, evaluations of the network for each sample, counted.

    states (K + 1, n, c, h, w) at times (K + 1,), where they were asked for: after every step, or, of an adaptive solver, at 17 regular times between whose steps
    it interpolates, which costs no evaluation and moves no sample.
    """

    x: Float[Tensor, "n c h w"]
    x_0: Float[Tensor, "n c h w"]
    condition: Tensor | None
    nfe: float
    states: Float[Tensor, "k n c h w"] | None = None
    times: Float[Tensor, " k"] | None = None


def budgets_near(solver: str, nfe: int, guidance: float) -> tuple[int, ...]:
    """The budgets nearest to `nfe` that a solver of fixed steps can use exactly, guidance's two at a time counted: (nfe,) itself, or the next below and above."""
    return nearest_nfe(
        "euler" if solver in DIFFUSION else solver, nfe, 1 if guidance == 1 else 2
    )  # DDPM's samplers take one evaluation a step


def labels(law: Float[Tensor, " c"], samples: Int[Tensor, " n"], seed: int) -> Int[Tensor, " n"]:
    """Classes drawn from their shares, one for each sample number."""
    return (law.cumsum(0)[:-1] <= uniforms(seed, samples, 1, LABEL)).sum(1)


def start(sampled: Sampled, samples: Int[Tensor, " n"], condition: Tensor | None, seed: int) -> Float[Tensor, "n c h w"]:
    """The prior's x_0 for these sample numbers: the zeroth step."""
    z = normals(seed, samples, int(torch.Size(sampled.shape).numel()), NOISE, torch.float32).reshape(-1, *sampled.shape)
    chosen = uniforms(seed, samples, 1, COMPONENT)[:, 0] if sampled.prior.needs_uniforms else None
    return placed(sampled.prior, z, condition, chosen)


def placed(prior: Law, z: Float[Tensor, "b *shape"], condition: Tensor | None, uniforms: Tensor | None = None) -> Float[Tensor, "b *shape"]:
    """x_0 from float32 normal numbers, by way of float64: a product of matrices in float32 would round by how many rows of a class the batch holds."""
    return prior.from_normals(z.double(), condition, uniforms=uniforms).float()


def sample(
    sampled: Sampled,
    count: int,
    *,
    seed: int,
    solver: str = "heun",
    nfe: int | None = 16,
    grid: str | Sequence[float] = "uniform",
    guidance: float = 1.0,
    condition: Tensor | None = None,
    batch: int = 256,
    first: int = 0,
    atol: float = 1e-5,
    rtol: float = 1e-5,
    states: bool = False,
    device: torch.device | str = "cpu",
    progress: Callable[[int], object] | None = None,
) -> Samples:
    """Samples first to first + count - 1 of a seed. condition: one for each of them; None: classes drawn from their shares, nothing for a model without conditions.

    nfe: evaluations of the network for each sample, guidance's two included; None for adaptive solvers, which take atol and rtol. guidance: the scale s of
    u(null) + s (u(condition) - u(null)); 1 is off. Results are on the CPU.

    Raises ValueError for an unknown solver, a budget that it cannot use exactly, guidance without conditions, and a text model without a condition.
    """
    check_name("solver", solver, SOLVERS)
    if count < 1 or batch < 1:
        raise ValueError(f"n={count} and batch={batch} must be at least 1")
    numbers = torch.arange(first, first + count)
    if condition is None and sampled.label_law is not None:
        condition = labels(sampled.label_law, numbers, seed)
    if condition is None and sampled.null is not None:
        raise ValueError("this model is told a text: give a prompt for each sample")
    if condition is not None and len(condition) != count:
        raise ValueError(f"condition has {len(condition)} entries for {count} samples")
    if guidance != 1 and condition is None:
        raise ValueError(f"guidance={guidance} needs a model with conditions; leave it 1")
    found = []
    for rows in torch.arange(count).split(batch):
        told = None if condition is None else condition[rows]
        x_0 = start(sampled, numbers[rows], told, seed)
        found.append(_part(sampled, x_0, told, numbers[rows], seed, solver, nfe, grid, guidance, atol, rtol, states, torch.device(device)))
        if progress is not None:
            progress(len(rows))
    kept = torch.cat([f.states for f in found if f.states is not None], 1) if states else None
    weighted = sum(f.nfe * len(f.x) for f in found) / count
    return Samples(
        torch.cat([f.x for f in found]), torch.cat([f.x_0 for f in found]), condition, weighted, kept, found[0].times if states else None
    )


def _part(
    sampled: Sampled,
    x_0: Tensor,
    condition: Tensor | None,
    numbers: Tensor,
    seed: int,
    solver: str,
    nfe: int | None,
    grid: str | Sequence[float],
    guidance: float,
    atol: float,
    rtol: float,
    states: bool,
    device: torch.device,
) -> Samples:
    told = None if condition is None else condition.to(device)
    adaptive = solver in ADAPTIVE
    if solver in DIFFUSION:
        if sampled.noise is None:
            raise ValueError(
                f"solver={solver!r} is for models trained as DDPM (loss.times=ddpm-1000); take heun or another solver of the velocity"
            )
        if grid != "uniform":
            raise ValueError(
                f"grid={grid!r} is for solvers of the velocity; {solver} goes through its own thousand steps: leave it uniform"
            )
        noise = _guided(sampled.noise, guidance, sampled.null)
        run = denoise(noise, x_0.to(device), solver=solver, nfe=nfe, condition=told, seed=seed, samples=numbers)
    else:
        field = _guided(sampled.velocity, guidance, sampled.null)
        if adaptive and states and grid == "uniform":
            grid = (*torch.linspace(0, sampled.last_time, REPORTED, dtype=torch.float64).tolist()[:-1], sampled.last_time)
        with torch.no_grad():
            run = solve(
                field,
                sampled.path.start(x_0.to(device)),
                method=solver,
                nfe=None if adaptive else nfe,
                grid=grid,
                condition=told,
                path=sampled.path,
                t_span=(0.0, sampled.last_time),
                atol=atol,
                rtol=rtol,
            )
    return Samples(run.end.cpu(), x_0, condition, run.nfe, run.x.cpu() if states else None, run.t if states else None)


def _guided(field: Field, scale: float, null: int | Tensor | None) -> Field:
    return field if scale == 1 else Guided(field, scale, convention="scale", null=null)
