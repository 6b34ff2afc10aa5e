"""Latents brought to mean 0 and deviation 1 by moments of the training split, collected in float64 in one pass."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations of every number of a latent; two parts of a set merge exactly (Chan et al. 1979)."""

    count: int
    mean: Float[Tensor, "k h w"]
    squares: Float[Tensor, "k h w"]

    @staticmethod
    def of(latents: Float[Tensor, "n k h w"], std: Float[Tensor, "n k h w"] | None = None) -> "Moments":
        """Of latents; of draws from N(latents, std^2) where std is given."""
        x = latents.double()
        if not len(x):
            return Moments(0, torch.zeros_like(x[0:].sum(0)), torch.zeros_like(x[0:].sum(0)))
        mean = x.mean(0)
        squares = (x - mean).square().sum(0)
        return Moments(len(x), mean, squares if std is None else squares + std.double().square().sum(0))

    @staticmethod
    def merged(parts: Iterable["Moments"]) -> "Moments":
        """Of all parts together. Raises ValueError where they hold nothing."""
        total: Moments | None = None
        for part in parts:
            if total is None or not total.count:
                total = part
            elif part.count:
                count, shift = total.count + part.count, part.mean - total.mean
                mean = total.mean + shift * part.count / count
                total = Moments(count, mean, total.squares + part.squares + shift.square() * total.count * part.count / count)
        if total is None or not total.count:
            raise ValueError("there are no latents to take moments of")
        return total

    def over(self, dims: tuple[int, ...]) -> tuple[Float[Tensor, "..."], Float[Tensor, "..."]]:
        """Mean and standard deviation with these of the dimensions k, h, w pooled, kept as 1."""
        variance = self.squares / self.count
        if not dims:
            return self.mean, variance.sqrt()
        mean = self.mean.mean(dims, keepdim=True)
        return mean, (variance + (self.mean - mean).square()).mean(dims, keepdim=True).sqrt()


POOLED: dict[str, tuple[int, ...]] = {"channel": (1, 2), "scale": (0, 1, 2), "coordinate": ()}


@dataclass(frozen=True)
class Normalisation:
    """x = (raw - center) / spread, in float32; both broadcast to (k, h, w)."""

    center: Float[Tensor, "..."]
    spread: Float[Tensor, "..."]

    @staticmethod
    def by(kind: str, moments: Moments) -> "Normalisation":
        """channel: each channel to mean 0 and deviation 1; scale: all by one mean and deviation; coordinate: every number; none.

        What never varies keeps its scale.
        """
        if kind == "none":
            return Normalisation(torch.zeros(1, 1, 1), torch.ones(1, 1, 1))
        center, spread = moments.over(POOLED[kind])
        return Normalisation(center.float(), torch.where(spread > 0, spread, 1.0).float())

    def apply(self, raw: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k h w"]:
        return (raw - self.center.to(raw.device)) / self.spread.to(raw.device)

    def undo(self, x: Float[Tensor, "b k h w"]) -> Float[Tensor, "b k h w"]:
        return x * self.spread.to(x.device) + self.center.to(x.device)

    def state(self) -> dict[str, Tensor]:
        """For a checkpoint."""
        return {"center": self.center, "spread": self.spread}

    @staticmethod
    def from_state(state: dict[str, Tensor]) -> "Normalisation":
        return Normalisation(state["center"], state["spread"])
