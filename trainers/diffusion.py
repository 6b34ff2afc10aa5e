"""DDPM's own samplers, through diffusers' schedulers: ancestral steps, DDIM and DPM-Solver++(2M), for networks trained on the noise at a thousand steps.

Step n = 0 ... 999 is t = 1 - (n + 1) / 1000 of the variance-preserving path: n = 999 is the prior, and the schedulers are given betas with which their cumulative product is
alpha(t_n)^2 exactly. The last step a network may see, n = 0, has sigma = .0105; all three end with the data that it predicts at their last step, so nothing of that noise is
left in a sample. One evaluation a step.
"""

from functools import cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab.paths import VariancePreserving
from lab.random import generator
from lab.solvers import Counted, Field, Trajectory
from trainers.networks import DDPM_STEPS

DIFFUSION = ("ddpm", "ddim-scheduler", "dpm-solver++")
RANDOM = ("ddpm",)  # whose steps add noise: their end points follow no flow, and have no error against one
VARIANCE = 0x44445000  # the stream of the ancestral steps' noise


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


@cache
def _settings() -> dict[str, Any]:
    return {"num_train_timesteps": DDPM_STEPS, "trained_betas": betas().tolist(), "prediction_type": "epsilon"}


def _scheduler(solver: str) -> Any:
    if solver == "ddpm":
        from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

        return DDPMScheduler(**_settings(), clip_sample=False)
    from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

    # DDIM is DPM-Solver++ of first order (Lu et al. 2022). diffusers' DDIMScheduler does the same where the number of steps divides 1000; where it does not, it steps to other
    # noise levels than those it calls the network at next.
    order = 1 if solver == "ddim-scheduler" else 2
    return DPMSolverMultistepScheduler(**_settings(), algorithm_type="dpmsolver++", solver_order=order, final_sigmas_type="zero")


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
    """From the prior's x to data. noise(x, t, condition) predicts x_0; each sample's ancestral noise is a function of (seed, its number).

    Raises ValueError for a budget that guidance cannot halve, or outside 1 to 1000 steps.
    """
    counted = Counted(noise)
    if nfe is None or nfe % counted.cost or not 1 <= nfe // counted.cost <= DDPM_STEPS:
        raise ValueError(f"nfe={nfe} must be 1 to {DDPM_STEPS} steps of {counted.cost} evaluations for {solver}")
    scheduler = _scheduler(solver)
    scheduler.set_timesteps(timesteps=steps(nfe // counted.cost), device=x.device)
    drawing = {"generator": [generator(seed, int(i), VARIANCE) for i in samples]} if solver == "ddpm" else {}
    states, times = [x], [0.0]
    for n in scheduler.timesteps:
        t = time_of_step(n.double())
        predicted = counted(x, t.to(x.dtype).expand(len(x)), condition)
        x = scheduler.step(predicted, n, x, **drawing).prev_sample
        states.append(x)
        times.append(float(t))
    # Times at which the states are: the prior's, then those that each step led to.
    return Trajectory(torch.stack(states), torch.tensor([*times[1:], 1.0], dtype=torch.float64), counted.nfe, solver)
