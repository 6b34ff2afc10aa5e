"""For each class a Gaussian mixture of its own: `fit` finds one by expectation-maximisation; any other way of finding components makes one too."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import ClassVar

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from lab.checks import whole_number
from lab.conversions import GaussianSource
from lab.em import choose_components, fit_em
from lab.paths import flat
from lab.priors.base import Prior, State, check_kind, check_shape, classes_of, pack, part
from lab.priors.class_gaussian import ClassGaussian
from lab.priors.covariances import Full

SHARE = 0.2  # of a class's members, held out to choose its number of components
WITHIN = "component."  # before the names of the Gaussians' own parts in a state


@dataclass(frozen=True, eq=False)
class ClassMixture(Prior):
    """sum_k w_k N(mean m_k, scale^2 S_k) over the components k of the sample's class.

    gaussians: the components of all classes one after another, as a ClassGaussian of M "classes": covariances in any of its forms, mean and scale as there, and components
    that are too small share a pooled covariance as small classes do. weights (M,), of sum 1 within each class; owner (M,), the class of each, from 0 on and never falling.

    Raises ValueError for weights that are negative or do not sum to 1 (to 1e-6), a class without components, and shapes that do not fit.
    """

    gaussians: ClassGaussian
    weights: Float[Tensor, " m"]
    owner: Int[Tensor, " m"]
    kind: ClassVar[str] = "class-mixture"

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", self.weights.detach().double().cpu())
        if not len(self.weights) == len(self.owner) == self.gaussians.classes:
            raise ValueError("gaussians, weights and owner must have one entry per component")
        steps = self.owner.diff()
        if int(self.owner[0]) != 0 or bool((steps < 0).any()) or bool((steps > 1).any()):
            raise ValueError("owner must run from class 0 on without gaps: 0, 0, 1, 2, 2, ...")
        totals = torch.zeros(self.classes, dtype=torch.float64).index_add(0, self.owner, self.weights)
        wrong = torch.nonzero(~((totals - 1).abs() <= 1e-6))[:, 0].tolist()
        if wrong or bool((self.weights < 0).any()):
            c = wrong[0] if wrong else int(self.owner[self.weights < 0][0])
            raise ValueError(f"weights of class {c} must be non-negative and sum to 1, not to {totals[c].item():.6g}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a sample."""
        return self.gaussians.shape

    @property
    def classes(self) -> int:
        return int(self.owner[-1]) + 1

    @property
    def components(self) -> Int[Tensor, " c"]:
        """The number of components of each class."""
        return torch.bincount(self.owner)

    @cached_property
    def _first(self) -> Int[Tensor, " c"]:
        """The row of each class's first component."""
        return self.components.cumsum(0) - self.components

    @cached_property
    def _reached(self) -> Float[Tensor, "c most"]:
        """Cumulative weights within each class; infinity for its last component of positive weight and beyond, so that u = 1, or what rounding leaves below it, is that one's."""
        slot = torch.arange(len(self.owner)) - self._first[self.owner]
        width = int(self.components.max())
        table = torch.zeros(self.classes, width, dtype=torch.float64)
        table[self.owner, slot] = self.weights
        last = (torch.where(table > 0, 1, 0) * torch.arange(width)).amax(1, keepdim=True)
        return torch.where(torch.arange(width) < last, table.cumsum(1), torch.inf)

    def choose(self, condition: Shaped[Tensor, "k *c"] | None, uniforms: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Components (0 to K_c - 1 within the class) from uniform numbers u in [0, 1]: the first whose cumulative weight exceeds u, the last of positive weight at u = 1."""
        label = classes_of(condition, len(uniforms), self.classes, "ClassMixture")
        u = uniforms.detach().double().cpu()
        if not bool(((u >= 0) & (u <= 1)).all()):
            raise ValueError("uniforms must lie in [0, 1], one number per sample")
        return (self._reached[label] <= u[:, None]).sum(1)

    def from_normals(
        self,
        z: Float[Tensor, "b *shape"],
        condition: Shaped[Tensor, "k *c"] | None = None,
        *,
        uniforms: Float[Tensor, " u"] | None = None,
        component: Int[Tensor, " v"] | None = None,
    ) -> Float[Tensor, "b *shape"]:
        """mean m_k + scale L_k z with L_k L_k^T = S_k, k chosen by uniform numbers (B,) (`choose`) or given as component (B,), 0 to K_c - 1 within the class.

        Exactly one of the two is needed. Affine in z for given components, not otherwise. Raises ValueError for neither or both, for the wrong number of them, and for a
        component that a class has not.
        """
        check_shape(z, self.shape, "z")
        label = classes_of(condition, len(z), self.classes, "ClassMixture")
        if (uniforms is None) == (component is None):
            raise ValueError("ClassMixture.from_normals needs either uniforms= (numbers in [0, 1]) or component=, one per sample")
        name, given = ("component", component) if uniforms is None else ("uniforms", uniforms)
        assert given is not None
        if len(given) != len(z):
            raise ValueError(f"{name} has {len(given)} entries for {len(z)} samples")
        k = self.choose(label, given) if component is None else component.cpu().long()
        outside = torch.nonzero((k < 0) | (k >= self.components[label]))[:, 0].tolist()
        if outside:
            c = int(label[outside[0]])
            raise ValueError(f"component={int(k[outside[0]])} does not exist in class {c}, which has {int(self.components[c])}")
        return self.gaussians.from_normals(z, self._first[label] + k)

    def log_prob(self, x: Float[Tensor, "b *shape"], condition: Shaped[Tensor, "k *c"] | None = None) -> Float[Tensor, " b"]:
        """log density of the class's mixture, nats, float64. Raises ValueError naming a class that has a singular component."""
        check_shape(x, self.shape, "x")
        label = classes_of(condition, len(x), self.classes, "ClassMixture")
        result = torch.zeros_like(flat(x.double())[:, 0])
        singular = self.gaussians.spread.singular[self.gaussians.group]
        for c in label.unique().tolist():
            rows = torch.nonzero(label == c)[:, 0].to(x.device)
            terms = []
            for k in torch.nonzero(self.owner == c)[:, 0].tolist():
                if bool(singular[k]):
                    raise ValueError(
                        f"class {c} has a component with a singular covariance, so no density; fit with a larger floor, or with shrinkage > 0"
                    )
                terms.append(self.gaussians.log_prob(x[rows], torch.full((len(rows),), k)) + self.weights[k].log().item())
            result = result.index_add(0, rows, torch.logsumexp(torch.stack(terms), 0))
        return result

    def gaussian_source(self, condition: Shaped[Tensor, "k *c"] | None = None) -> GaussianSource:
        """Raises ValueError: a mixture is no Gaussian."""
        raise ValueError("a ClassMixture is not Gaussian, so it has no gaussian_source; of a mixture the noise does not tell the score")

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
    def from_state(cls, state: State) -> "ClassMixture":
        check_kind(state, cls.kind)
        gaussians = ClassGaussian.from_state({name.removeprefix(WITHIN): value for name, value in state.items() if name.startswith(WITHIN)})
        return cls(gaussians, part(state, "weights"), part(state, "owner"))

    @classmethod
    def fit(
        cls,
        x: Float[Tensor, "n *shape"],
        labels: Int[Tensor, " k"],
        classes: int,
        *,
        generator: torch.Generator,
        components: int | tuple[int, ...] = (1, 2, 3, 4),
        mean: float = 1.0,
        scale: float = 1.0,
        iterations: int = 100,
        floor: float = 1e-6,
    ) -> "ClassMixture":
        """Each class's mixture of full covariances by EM (lab.em.fit_em says what `floor` is) on its members, all held in memory; in up to some hundred dimensions.

        components: K for every class, or the candidates among which each class takes the one with the highest likelihood on a fifth of its members, held out, and is
        then fitted to all. Numbers that would leave fewer than D + 1 members to a component are not tried: their covariances would be the floor's.

        Raises ValueError for points that are not finite, labels that do not fit, a class without members or with too few, and settings out of range.
        """
        several = isinstance(components, tuple | list)
        candidates = tuple(whole_number("components", k, 1) for k in (components if several else (components,)))
        if not candidates:
            raise ValueError("components names no number to try; give at least one")
        points, dimension = flat(x.double()).cpu(), prod(x.shape[1:])
        label = classes_of(labels, len(x), classes, "ClassMixture.fit")
        if not bool(torch.isfinite(points).all()):
            raise ValueError("x must be finite, without NaN, to fit a mixture to")
        fitted = []
        for c in range(classes):
            own = points[label == c]
            if len(own) == 0:
                raise ValueError(
                    f"class {c} has no members to fit a mixture to; number the classes without gaps or fit to data that has it"
                )
            used = len(own) - max(1, int(SHARE * len(own))) if len(candidates) > 1 else len(own)
            possible = tuple(k for k in candidates if k * (dimension + 1) <= used)
            if not possible:
                raise ValueError(
                    f"class {c} has {len(own)} members, of which {used} to fit to; components={min(candidates)} in {dimension} dimensions need "
                    f"{min(candidates) * (dimension + 1)}: take fewer dimensions, or a ClassGaussian with shrinkage"
                )
            k = possible[0] if len(possible) == 1 else choose_components(own, possible, generator=generator, share=SHARE).components
            fitted.append(fit_em(own, k, generator=generator, iterations=iterations, floor=floor).mixture)
        means = torch.cat([m.means for m in fitted]).reshape(-1, *x.shape[1:])
        return cls(
            ClassGaussian.of(means, Full(torch.cat([m.cholesky for m in fitted])), mean=mean, scale=scale),
            torch.cat([m.weights for m in fitted]),
            torch.cat([torch.full((len(m.weights),), c) for c, m in enumerate(fitted)]),
        )
