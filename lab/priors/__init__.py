"""Priors: laws of x_0, for samples of any shape. All have from_normals, sample, log_prob, gaussian_source, state and from_state (lab.priors.base.Prior).

| prior         | x_0 given                        | law                                                      |
|---------------|----------------------------------|----------------------------------------------------------|
| Gaussian      | nothing                          | N(mean, scale^2 I)                                       |
| ClassGaussian | a class, (B,) whole numbers      | N(mean mu_c, scale^2 S_c), S_c in one of six forms       |
| ClassMixture  | a class, (B,) whole numbers      | for each class a Gaussian mixture of its own             |
| TextGaussian  | an embedding, (B, E)             | N(mapper(embedding), sigma^2 I)                          |

With the Gaussian ones x_0 is affine in the normal numbers, and `prior.from_normals` is what LOOM-CFM's table takes as its prior (lab.assignment).
Source: conditional priors, Issachar et al. 2025 (arXiv 2502.09611).
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from lab.checks import check_name
from lab.conversions import GaussianSource
from lab.paths import flat
from lab.priors.base import Prior, State, check_kind, check_positive, kind_of, pack, part
from lab.priors.class_covariances import COVARIANCES
from lab.priors.class_gaussian import ClassGaussian
from lab.priors.class_mixture import ClassMixture
from lab.priors.text import TextGaussian, mapper_loss

__all__ = ["COVARIANCES", "ClassGaussian", "ClassMixture", "Gaussian", "Prior", "TextGaussian", "mapper_loss", "prior_from_state"]


@dataclass(frozen=True, eq=False)
class Gaussian(Prior):
    """N(mean, scale^2 I), the same for every condition, which is ignored.

    mean: a number or a tensor of the sample's shape. Raises ValueError for scale <= 0 and a mean that is not finite.
    """

    scale: float = 1.0
    mean: Float[Tensor, "*shape"] | float = 0.0
    kind: ClassVar[str] = "gaussian"

    def __post_init__(self) -> None:
        check_positive("scale", self.scale)
        if not bool(torch.isfinite(self._mean).all()):
            raise ValueError("mean must be finite, without NaN")

    @property
    def _mean(self) -> Tensor:
        return torch.as_tensor(self.mean, dtype=torch.float64)

    def _centre(self, x: Tensor) -> Tensor:
        """The mean for x, in float64."""
        if self._mean.ndim and self._mean.shape != x.shape[1:]:
            raise ValueError(f"mean has shape {tuple(self._mean.shape)}; for samples {tuple(x.shape)} it must be {tuple(x.shape[1:])}")
        return self._mean.to(x.device)

    def from_normals(self, z: Float[Tensor, "b *shape"], condition: Shaped[Tensor, "k *c"] | None = None) -> Float[Tensor, "b *shape"]:
        """mean + scale z."""
        dtype = torch.promote_types(z.dtype, torch.float32)
        return (self._centre(z).to(dtype) + self.scale * z.to(dtype)).to(z.dtype)

    def log_prob(self, x: Float[Tensor, "b *shape"], condition: Shaped[Tensor, "k *c"] | None = None) -> Float[Tensor, " b"]:
        """-|x - mean|^2 / (2 scale^2) - D log(scale) - D/2 log(2 pi), nats, float64."""
        white = flat((x.double() - self._centre(x)) / self.scale)
        return -0.5 * white.square().sum(1) - white.shape[1] * (math.log(self.scale) + 0.5 * math.log(2 * math.pi))

    def gaussian_source(self, condition: Shaped[Tensor, "k *c"] | None = None) -> GaussianSource:
        """One law for every sample, so not per_sample."""
        return GaussianSource(self._mean, self.scale**2)

    def state(self) -> State:
        """kind, version, scale and mean."""
        return pack(self.kind, {"scale": self.scale}, mean=self._mean)

    @classmethod
    def from_state(cls, state: State) -> "Gaussian":
        check_kind(state, cls.kind)
        return cls(float(part(state, "scale")), part(state, "mean"))


KINDS: dict[str, type[Prior]] = {prior.kind: prior for prior in (Gaussian, ClassGaussian, ClassMixture, TextGaussian)}


def prior_from_state(state: State, *, mapper: torch.nn.Module | None = None) -> Prior:
    """The prior of whatever kind `state` describes, bit for bit.

    mapper: for a TextGaussian, the module that its weights are loaded into (`TextGaussian.from_state`); for others it must be None.
    Raises ValueError for an unknown kind, another version, missing parts, and a mapper that is missing or too many.
    """
    kind = kind_of(state)
    check_name("kind of the state", kind, tuple(KINDS))
    if kind == TextGaussian.kind:
        return TextGaussian.from_state(state, mapper)
    if mapper is not None:
        raise ValueError(f"mapper= is for text priors; the state is that of a {kind!r} prior")
    return KINDS[kind].from_state(state)
