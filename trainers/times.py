"""Laws of t for training that need more than lab.losses has: beta, EDM's noise levels, DDPM's thousand steps; and the recipe's law by name."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from lab.losses import LogitNormal, TimeLaw, Uniform, UShaped
from lab.paths import Path
from trainers.networks import DDPM_STEPS
from trainers.recipes.schema import LossOptions


@dataclass(frozen=True)
class Beta(TimeLaw):
    """Beta(alpha, beta) on [0, 1]; alpha = beta = 1 is uniform."""

    alpha: float
    beta: float
    name: ClassVar[str] = "beta"

    def density(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        from scipy.stats import beta

        return torch.as_tensor(beta.pdf(t.numpy(), self.alpha, self.beta), dtype=t.dtype)

    def cdf(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        from scipy.special import betainc

        return torch.as_tensor(betainc(self.alpha, self.beta, t.numpy()), dtype=t.dtype)

    def _inverse(self, u: Tensor) -> Tensor:
        from scipy.special import betaincinv

        return torch.as_tensor(betaincinv(self.alpha, self.beta, u.numpy()), dtype=u.dtype)


@dataclass(frozen=True)
class NoiseLevels(TimeLaw):
    """log(sigma / alpha) ~ N(mean, std^2), the noise in units of the data's own, on any path. Source: Karras et al. 2022 (EDM), table 1: mean -1.2, std 1.2."""

    path: Path
    mean: float
    std: float
    name: ClassVar[str] = "edm"

    def cdf(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        level = torch.log(self.path.sigma(t.double())) - torch.log(self.path.alpha(t.double()))
        return 1 - torch.special.ndtr((level - self.mean) / self.std).to(t.dtype)

    def _inverse(self, u: Tensor) -> Tensor:
        level = torch.exp(self.mean + self.std * torch.special.ndtri(1 - u.double()))
        return self.path.time_of_ratio(1 / (1 + level)).to(u.dtype)


@dataclass(frozen=True)
class Steps(TimeLaw):
    """DDPM's steps n = 0 ... N - 1, all alike, at t = 1 - (n + 1) / N: n = N - 1 is the prior, n = 0 the last before the data, where the VP path's sigma is .0105."""

    steps: int = DDPM_STEPS
    name: ClassVar[str] = "ddpm-1000"

    def cdf(self, t: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return ((t * self.steps).floor() + 1).clamp(max=self.steps) / self.steps

    def _inverse(self, u: Tensor) -> Tensor:
        return (u * self.steps).floor().clamp(max=self.steps - 1) / self.steps


def time_law(loss: LossOptions, path: Path) -> TimeLaw:
    """The law that a recipe names, with its parameters."""
    if loss.times == "edm":
        return NoiseLevels(path, loss.time_mean, loss.time_std)
    if loss.times == "beta":
        return Beta(loss.time_alpha, loss.time_beta)
    if loss.times == "ddpm-1000":
        return Steps()
    if loss.times == "logit-normal":
        return LogitNormal(loss.time_mean, loss.time_std)
    return UShaped(loss.time_steepness) if loss.times == "u-shaped" else Uniform()
