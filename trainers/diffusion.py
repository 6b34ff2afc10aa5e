"""DDPM's own samplers for networks trained on the noise at a thousand steps: ancestral steps, and DDIM and DPM-Solver++(2M) through diffusers' schedulers.

Step n = 0 ... 999 is t = 1 - (n + 1) / 1000 of the variance-preserving path: n = 999 is the prior, and the schedulers are given betas with which their cumulative product is
alpha(t_n)^2 exactly. The last step a network may see, n = 0, has sigma = .0105; all three end with the data that it predicts at their last step, so nothing of that noise is
left in a sample. One evaluation a step.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab.paths import VariancePreserving
from lab.random import normals
from lab.solvers import Counted, Field, Trajectory
from trainers.networks import DDPM_STEPS

DIFFUSION = ("ddpm", "ddim-scheduler", "dpm-solver++")
RANDOM = ("ddpm",)  # whose steps add noise: their end points follow no flow, and have no error against one
VARIANCE = 0x44445000  # the stream of the noise of the ancestral step from n = 0; that from n is so many further


def betas() -> Float[Tensor, " n"]:
    """beta_n = 1 - alpha(t_n)^2 / alpha(t_(n-1))^2, float64; for comparison, DDPM's own run linearly from 1e-4 to .02, and these from 1.1e-4 to .02."""
    n = torch.arange(DDPM_STEPS, dtype=torch.float64)
    kept = VariancePreserving().alpha(1 - (n + 1) / DDPM_STEPS) ** 2
    return 1 - kept / torch.cat((torch.ones(1, dtype=torch.float64), kept[:-1]))


def time_of_step(n: Tensor) -> Tensor:
    """t_n = 1 - (n + 1) / 1000."""
    return 1 - (n + 1) / DDPM_STEPS


def steps(count: int) -> list[int]:
    """The `count` steps at which the network is called: from n = 999, where the prior is, however few there are, to one near 0, spaced as evenly as whole numbers can be.

    diffusers calls this spacing "trailing"; its own floating-point range gives one step too many, n = -1, for 62 of the 1,000 counts.
    """
    return [round(DDPM_STEPS - i * DDPM_STEPS / count) - 1 for i in range(count)]


@dataclass(frozen=True)
class Ancestral:
    """The ancestral sampler; each sample's noise is a function of (seed, its number, n).

    From n to m: x_m ~ N(a E[x_1] + b x_n, v), with A = alpha^2, B = 1 - A_n / A_m, a = sqrt(A_m) B / (1 - A_n), b = sqrt(A_n / A_m) (1 - A_m) / (1 - A_n),
    v = B (1 - A_m) / (1 - A_n); after the last n, A_m = 1. Source: Ho et al. 2020, eqs. 6 and 7, over the steps that are taken.
    """

    timesteps: Int[Tensor, " k"]
    seed: int
    samples: Int[Tensor, " b"]

    def step(self, predicted: Float[Tensor, "b *shape"], k: int, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """From the k-th time to the next."""
        n, last = int(self.timesteps[k]), k + 1 == len(self.timesteps)
        here, there = _kept(n), 1.0 if last else _kept(int(self.timesteps[k + 1]))
        data = (x - math.sqrt(1 - here) * predicted) / math.sqrt(here)
        if last:
            return data
        lost = 1 - here / there
        mean = (math.sqrt(there) * lost * data + math.sqrt(here / there) * (1 - there) * x) / (1 - here)
        z = normals(self.seed, self.samples, x[0].numel(), VARIANCE + n, torch.float32).reshape(x.shape).to(x)
        return mean + math.sqrt(lost * (1 - there) / (1 - here)) * z


def _kept(n: int) -> float:
    """alpha(t_n)^2."""
    return float(VariancePreserving().alpha(time_of_step(torch.tensor(n, dtype=torch.float64))) ** 2)


@dataclass(frozen=True)
class Scheduled:
    """One of diffusers' schedulers."""

    scheduler: Any

    @property
    def timesteps(self) -> Int[Tensor, " k"]:
        return self.scheduler.timesteps

    def step(self, predicted: Float[Tensor, "b *shape"], k: int, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """From the k-th time to the next."""
        return self.scheduler.step(predicted, self.timesteps[k], x).prev_sample


def _stepper(solver: str, count: int, seed: int, samples: Tensor, device: torch.device) -> Ancestral | Scheduled:
    if solver == "ddpm":
        return Ancestral(torch.tensor(steps(count)), seed, samples)
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

    # DDIM is DPM-Solver++ of first order (Lu et al. 2022). diffusers' DDIMScheduler does the same where the number of steps divides 1000; where it does not, it steps to other
    # noise levels than those it calls the network at next.
    scheduler = DPMSolverMultistepScheduler(
        num_train_timesteps=DDPM_STEPS,
        trained_betas=betas().tolist(),
        prediction_type="epsilon",
        algorithm_type="dpmsolver++",
        solver_order=1 if solver == "ddim-scheduler" else 2,
        final_sigmas_type="zero",
    )
    scheduler.set_timesteps(timesteps=steps(count), device=device)
    return Scheduled(scheduler)


@torch.no_grad()
def denoise(
    noise: Field,
    x: Float[Tensor, "b c h w"],
    *,
    solver: str,
    nfe: int | None,
    condition: Tensor | None,
    seed: int,
    samples: Int[Tensor, " b"],
) -> Trajectory:
    """From the prior's x to data. noise(x, t, condition) predicts x_0; ancestral noise is a function of (seed, sample number, n).

    Raises ValueError for a budget that guidance cannot halve, or outside 1 to 1000 steps.
    """
    counted = Counted(noise)
    if nfe is None or nfe % counted.cost or not 1 <= nfe // counted.cost <= DDPM_STEPS:
        raise ValueError(f"nfe={nfe} must be 1 to {DDPM_STEPS} steps of {counted.cost} evaluations for {solver}")
    stepper = _stepper(solver, nfe // counted.cost, seed, samples, x.device)
    states, times = [x], [0.0]
    for k, n in enumerate(stepper.timesteps):
        t = time_of_step(n.double())
        predicted = counted(x, t.to(x.dtype).expand(len(x)), condition)
        x = stepper.step(predicted, k, x)
        states.append(x)
        times.append(float(t))
    # Times at which the states are: the prior's, then those that each step led to.
    return Trajectory(torch.stack(states), torch.tensor([*times[1:], 1.0], dtype=torch.float64), counted.nfe, solver)
