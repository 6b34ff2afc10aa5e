"""A checkpoint whose flow is known in closed form, over the digits that come with the project: N(0, I) to N(mu_c, s^2 I) along an affine path.

x_t = alpha mu_c + r(t) / r(0) (x(0) - alpha(0) mu_c) with r^2 = sigma^2 + alpha^2 s^2. On CondOT the flow map is x_1 = mu_c + s x_0, and one Euler step ends at mu_c
whatever x_0.
"""

import dataclasses
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from lab.paths import CondOT, Path
from lab.priors import Gaussian
from trainers.autoencoders import Autoencoder, load_autoencoder
from trainers.data import open_images
from trainers.latents import Normalisation
from trainers.priors import FittedPrior
from trainers.recipes.schema import AutoencoderOptions, DataOptions, NetworkOptions, Recipe, SamplingOptions

DIGITS = Recipe(
    name="digits-affine",
    data=DataOptions(reader="digits", size=8, channels=1, flip=False),
    autoencoder=AutoencoderOptions(kind="none", normalise="scale"),
    network=NetworkOptions(kind="mlp"),
    sampling=SamplingOptions(solver="euler", nfe=4, features="pixels", count=100),
)


@dataclass(frozen=True, eq=False)
class Affine:
    """Means of the digits' own classes (10, 1, 8, 8), normalised, and the deviation s around them; `told` False: one law for all, of the overall mean."""

    means: Tensor
    normalisation: Normalisation
    deviation: float = 0.4
    told: bool = True
    recipe: Recipe = DIGITS
    path: Path = dataclasses.field(default_factory=CondOT)
    last_time: float = 1.0
    shape: tuple[int, int, int] = (1, 8, 8)
    noise: Any = None
    device: torch.device = torch.device("cpu")
    step: int = 7
    weights: str = "ema"
    weights_hash: str = "a" * 64
    parameters: int = 641

    @property
    def prior(self) -> FittedPrior:
        return FittedPrior("standard", Gaussian(), {})

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple("0123456789") if self.told else ()

    @property
    def label_law(self) -> Tensor | None:
        return torch.full((10,), 0.1, dtype=torch.float64) if self.told else None

    @property
    def null(self) -> int | None:
        return 10 if self.told else None

    @cached_property
    def autoencoder(self) -> Autoencoder:
        return load_autoencoder(self.recipe.autoencoder, 1)

    def mean(self, condition: Tensor | None) -> Tensor:
        """mu_c; the overall mean without a class, and for the null one."""
        every = torch.cat((self.means, self.means.mean(0, keepdim=True)))
        return every[-1:] if condition is None else every[condition]

    def radius(self, t: Tensor) -> Tensor:
        return (self.path.sigma(t) ** 2 + (self.path.alpha(t) * self.deviation) ** 2).sqrt()

    def velocity(self, x: Tensor, t: Tensor, condition: Tensor | None = None) -> Tensor:
        time, path = t[:, None, None, None].double(), self.path
        rate = (path.sigma_d_sigma(time) + path.alpha(time) * path.d_alpha(time) * self.deviation**2) / self.radius(
            time
        ) ** 2  # r'(t) / r(t)
        mean = self.mean(condition).double()
        return (path.d_alpha(time) * mean + rate * (x - path.alpha(time) * mean)).to(x.dtype)

    def ends(self, x_0: Tensor, condition: Tensor | None) -> Tensor:
        """Where the exact flow ends, float64."""
        first, last = (torch.tensor(t, dtype=torch.float64) for t in (0.0, self.last_time))
        mean = self.mean(condition).double()
        start = self.path.sigma(first) * x_0.double() - self.path.alpha(first) * mean
        return self.path.alpha(last) * mean + self.radius(last) / self.radius(first) * start

    def decode(self, x: Tensor) -> Tensor:
        return self.autoencoder.decode(self.normalisation.undo(x))

    def encode(self, pixels: Tensor) -> Tensor:
        return self.normalisation.apply(self.autoencoder.encode(pixels).mean)


def affine(**changes: Any) -> Affine:
    """The stand-in, with means and normalisation of the digits' training split."""
    images = open_images(DIGITS.data, "train")
    raw = torch.from_numpy(images.read(range(len(images))).pixels).float() / 127.5 - 1
    normalisation = Normalisation(raw.mean().reshape(1, 1, 1), raw.std().reshape(1, 1, 1))
    labels = torch.from_numpy(images.labels)
    x = normalisation.apply(raw)
    means = torch.stack([x[labels == c].mean(0) for c in range(10)])
    return Affine(means, normalisation, **changes)
