"""For each class a mixture of Gaussians in any number of dimensions (trainers.priors.clustering finds the components)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from lab.conversions import GaussianSource
from lab.paths import flat
from lab.priors import ClassGaussian, Prior
from lab.priors.base import State, check_kind, check_shape, classes_of, pack, part

WITHIN = "component."  # before the names of the Gaussians' own parts in a state


@dataclass(frozen=True, eq=False)
class ClusterMixture(Prior):
    """sum_k w_k N(mean m_k, scale^2 S_k) over the components k of the sample's class, with covariances of any form of ClassGaussian.

    gaussians: a ClassGaussian whose "classes" are the components of all classes one after another; weights (M,), of sum 1 within each class; owner (M,), the class of
    each, from 0 on and never falling. lab.priors.ClassMixture is the like with full covariances, fitted by EM, for few dimensions.
    """

    gaussians: ClassGaussian
    weights: Float[Tensor, " m"]
    owner: Int[Tensor, " m"]
    kind: ClassVar[str] = "cluster-mixture"

    def __post_init__(self) -> None:
        if not len(self.weights) == len(self.owner) == self.gaussians.classes:
            raise ValueError("weights, owner and gaussians must have one entry per component")
        steps = self.owner.diff()
        if int(self.owner[0]) != 0 or bool((steps < 0).any()) or bool((steps > 1).any()):
            raise ValueError("owner must run from class 0 on without gaps: 0, 0, 1, 2, 2, ...")
        totals = torch.zeros(self.classes, dtype=torch.float64).index_add(0, self.owner, self.weights.double())
        if not bool(((totals - 1).abs() <= 1e-6).all() and (self.weights >= 0).all()):
            raise ValueError("weights must not be negative and must sum to 1 within each class")

    @property
    def classes(self) -> int:
        return int(self.owner[-1]) + 1

    @property
    def components(self) -> Int[Tensor, " c"]:
        """The number of components of each class."""
        return torch.bincount(self.owner)

    def choose(self, condition: Shaped[Tensor, "k *c"] | None, uniforms: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Numbers of components (0 to M - 1) from uniform numbers u in [0, 1]: in the sample's class the first whose cumulative weight exceeds u."""
        label = classes_of(condition, len(uniforms), self.classes, "ClusterMixture")
        u = uniforms.detach().double().cpu()
        if not bool(((u >= 0) & (u <= 1)).all()):
            raise ValueError("uniforms must lie in [0, 1], one number per sample")
        reached = self.weights.cumsum(0)  # class c's weights rise from c to c + 1, to rounding
        first = self.components.cumsum(0) - self.components
        k = torch.searchsorted(reached, label + u, right=True)
        return torch.minimum(torch.maximum(k, first[label]), first[label] + self.components[label] - 1)

    def from_normals(
        self,
        z: Float[Tensor, "b *shape"],
        condition: Shaped[Tensor, "k *c"] | None = None,
        *,
        uniforms: Float[Tensor, " u"] | None = None,
    ) -> Float[Tensor, "b *shape"]:
        """mean m_k + scale L_k z with k chosen by uniform numbers (B,). Raises ValueError without them, or with too few or too many."""
        if uniforms is None or len(uniforms) != len(z):
            raise ValueError(f"a class mixture needs uniforms=, {len(z)} numbers in [0, 1], one per sample, to choose components by")
        return self.gaussians.from_normals(z, self.choose(condition, uniforms))

    def log_prob(self, x: Float[Tensor, "b *shape"], condition: Shaped[Tensor, "k *c"] | None = None) -> Float[Tensor, " b"]:
        """log density of the class's mixture, nats, float64. Raises ValueError where a component's covariance is singular."""
        check_shape(x, self.gaussians.shape, "x")
        label = classes_of(condition, len(x), self.classes, "ClusterMixture")
        result = torch.zeros_like(flat(x.double())[:, 0])
        for c in label.unique().tolist():
            rows = torch.nonzero(label == c)[:, 0]
            own, components = x[rows.to(x.device)], torch.nonzero(self.owner == c)[:, 0].tolist()
            terms = [self.gaussians.log_prob(own, torch.full((len(own),), k)) + self.weights[k].log().item() for k in components]
            result = result.index_add(0, rows.to(x.device), torch.logsumexp(torch.stack(terms), 0))
        return result

    def gaussian_source(self, condition: Shaped[Tensor, "k *c"] | None = None) -> GaussianSource:
        """Raises ValueError: a mixture is no Gaussian."""
        raise ValueError("a class mixture is not Gaussian, so it has no gaussian_source; of a mixture the noise does not tell the score")

    def sample(
        self,
        shape: tuple[int, ...],
        condition: Shaped[Tensor, "k *c"] | None = None,
        *,
        generator: torch.Generator,
        dtype: torch.dtype = torch.float32,
    ) -> Float[Tensor, "b *shape"]:
        """Independent draws, on the generator's device. shape: that of the batch, (B, *shape)."""
        z = torch.randn(shape, generator=generator, dtype=dtype, device=generator.device)
        u = torch.rand(shape[0], generator=generator, dtype=torch.float64, device=generator.device)
        return self.from_normals(z, condition, uniforms=u)

    def state(self) -> State:
        """kind, version, weights, owner, and the Gaussians' state as "component." + name."""
        within = {WITHIN + name: value for name, value in self.gaussians.state().items()}
        return pack(self.kind, {}, weights=self.weights, owner=self.owner) | within

    @classmethod
    def from_state(cls, state: State) -> "ClusterMixture":
        check_kind(state, cls.kind)
        gaussians = ClassGaussian.from_state({name.removeprefix(WITHIN): value for name, value in state.items() if name.startswith(WITHIN)})
        return cls(gaussians, part(state, "weights"), part(state, "owner"))
