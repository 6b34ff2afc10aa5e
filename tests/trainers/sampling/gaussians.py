"""A model whose data are N(m, s^2 I) on any path: every conditional expectation, the velocity and the flow map in closed form.

x_t = alpha x_1 + sigma x_0 is N(alpha m, r^2) with r^2 = sigma^2 + alpha^2 s^2; E[x_1 | x] = m + alpha s^2 (x - alpha m) / r^2 and E[x_0 | x] = sigma (x - alpha m) / r^2.
The flow map from t to t' is x -> alpha' m + r' / r (x - alpha m).
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lab.paths import CondOT, Path, VariancePreserving
from lab.priors import Gaussian
from trainers.priors import FittedPrior

M, S = 0.5, 0.6


@dataclass
class GaussianData:
    """What trainers.sampling takes; `seen` lists the times at which its velocity was asked for. With `classes`, class c has the mean c, the null class -1."""

    path: Path = field(default_factory=CondOT)
    last_time: float = 1.0
    shape: tuple[int, int, int] = (1, 2, 2)
    classes: int = 0
    law: Tensor | None = None
    seen: list[float] = field(default_factory=list)
    prior: Any = field(default_factory=lambda: FittedPrior("standard", Gaussian(), {}))
    ddpm: bool = False

    @property
    def label_law(self) -> Tensor | None:
        return (
            None
            if not self.classes
            else torch.full((self.classes,), 1 / self.classes, dtype=torch.float64)
            if self.law is None
            else self.law
        )

    @property
    def null(self) -> int | None:
        return self.classes or None

    @property
    def noise(self) -> Any:
        return self.predicted_noise if self.ddpm else None

    def mean(self, condition: Tensor | None, x: Tensor) -> Tensor:
        if condition is None:
            return torch.full_like(x[:, :1, :1, :1], M, dtype=torch.float64)
        return torch.where(condition == self.classes, -1.0, condition.double())[:, None, None, None]

    def expected(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> dict[str, Tensor]:
        """data, noise, score and velocity, float64."""
        time = t.double()
        a, s, da, ds = (f(time)[:, None, None, None] for f in (self.path.alpha, self.path.sigma, self.path.d_alpha, self.path.d_sigma))
        m, r2 = self.mean(condition, x), s**2 + a**2 * S**2
        data, noise = m + a * S**2 * (x.double() - a * m) / r2, s * (x.double() - a * m) / r2
        return {"data": data, "noise": noise, "score": -noise / s, "velocity": da * data + ds * noise}

    def velocity(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        self.seen.append(float(t[0]))
        return self.expected(x, t, condition)["velocity"].to(x.dtype)

    def predicted_noise(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        self.seen.append(float(t[0]))
        return self.expected(x, t, condition)["noise"].to(x.dtype)

    def flow(self, x: Tensor, t: float, later: float) -> Tensor:
        """Where the exact flow takes x from t to `later`, without a class; float64."""
        a, s, a_, s_ = (float(f(torch.tensor(at, dtype=torch.float64))) for at in (t, later) for f in (self.path.alpha, self.path.sigma))
        return a_ * M + ((s_**2 + a_**2 * S**2) / (s**2 + a**2 * S**2)) ** 0.5 * (x.double() - a * M)


def ddpm() -> GaussianData:
    return GaussianData(VariancePreserving(), 0.999, ddpm=True)
