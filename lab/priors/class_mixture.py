"""For each class a Gaussian mixture of its own, fitted by expectation-maximisation."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from lab.checks import whole_number
from lab.conversions import GaussianSource
from lab.em import choose_components, fit_em
from lab.paths import flat
from lab.priors.base import Prior, State, check_kind, check_positive, check_shape, check_share, classes_of, pack, part
from lab.priors.covariances import Full

SHARE = 0.2  # of a class's members, held out to choose its number of components


@dataclass(frozen=True, eq=False)
class ClassMixture(Prior):
    """sum_k w_k N(mean m_k, scale^2 S_k) over the components k of the sample's class.

    All classes' components one after another: weights (M,), of sum 1 within each class; means (M, *shape); spread, their full covariances; owner (M,), the class of
    each, from 0 on and never falling. mean in [0, 1] and scale as in ClassGaussian: mean multiplies the components' means.

    Raises ValueError for scale <= 0, mean outside [0, 1], weights that are negative or do not sum to 1 (to 1e-6), a class without components, and shapes that do not fit.
    """

    weights: Float[Tensor, " m"]
    means: Float[Tensor, "m *shape"]
    spread: Full
    owner: Int[Tensor, " m"]
    mean: float = 1.0
    scale: float = 1.0
    kind: ClassVar[str] = "class-mixture"

    def __post_init__(self) -> None:
        check_positive("scale", self.scale)
        check_share("mean", self.mean, "0 puts every component at the origin, 1 at its own mean")
        if not bool(torch.isfinite(self.means).all()):
            raise ValueError("means must be finite, without NaN")
        for name in ("weights", "means"):
            object.__setattr__(self, name, getattr(self, name).detach().double().cpu())
        if not len(self.weights) == len(self.means) == len(self.owner) == len(self.spread.factors):
            raise ValueError("weights, means, spread and owner must have one entry per component")
        if self.spread.dimension != math.prod(self.shape):
            raise ValueError(f"spread is of {self.spread.dimension} dimensions; samples of shape {self.shape} have {math.prod(self.shape)}")
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
        return tuple(self.means.shape[1:])

    @property
    def classes(self) -> int:
        return int(self.owner[-1]) + 1

    @property
    def components(self) -> Int[Tensor, " c"]:
        """The number of components of each class."""
        return torch.bincount(self.owner)

    def choose(self, condition: Shaped[Tensor, "k *c"], uniforms: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Components (0 to K_c - 1 within the class) from uniform numbers u in [0, 1]: the first whose cumulative weight exceeds u, the last of positive weight at u = 1."""
        label = classes_of(condition, len(uniforms), self.classes, "ClassMixture")
        u = uniforms.detach().double().cpu()
        if not bool(((u >= 0) & (u <= 1)).all()):
            raise ValueError("uniforms must lie in [0, 1], one number per sample")
        components = self.components
        width = int(components.max())
        slot = torch.arange(len(self.owner)) - (components.cumsum(0) - components)[self.owner]
        table = torch.zeros(self.classes, width, dtype=torch.float64)
        table[self.owner, slot] = self.weights
        last = (torch.where(table > 0, 1, 0) * torch.arange(width)).amax(1)
        return torch.minimum((table.cumsum(1)[label] <= u[:, None]).sum(1), last[label])

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
        row = (self.components.cumsum(0) - self.components)[label] + k
        spread = self.spread.times(flat(z), row)
        centre = (self.mean * self.means[row]).to(dtype=spread.dtype, device=z.device)
        return (centre + self.scale * spread.reshape(z.shape)).to(z.dtype)

    def log_prob(self, x: Float[Tensor, "b *shape"], condition: Shaped[Tensor, "k *c"] | None = None) -> Float[Tensor, " b"]:
        """log density of the class's mixture, nats, float64. Raises ValueError naming a class that has a singular component."""
        check_shape(x, self.shape, "x")
        label = classes_of(condition, len(x), self.classes, "ClassMixture")
        points = flat(x.double())
        result = torch.zeros_like(points[:, 0])
        singular, means = self.spread.singular, flat(self.mean * self.means)
        for c in label.unique().tolist():
            rows = torch.nonzero(label == c)[:, 0]
            terms = []
            for k in torch.nonzero(self.owner == c)[:, 0].tolist():
                if bool(singular[k]):
                    raise ValueError(f"class {c} has a component with a singular covariance, so no density; fit with a larger floor")
                y = (points[rows.to(x.device)] - means[k].to(x.device)) / self.scale
                terms.append(self.spread.log_prob(y, torch.full((len(y),), k)) + self.weights[k].log().item())
            result = result.index_add(0, rows.to(x.device), torch.logsumexp(torch.stack(terms), 0))
        return result - points.shape[1] * math.log(self.scale)

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
        """kind, version, mean, scale, weights, means, owner and the covariances' Cholesky factors."""
        numbers = {"mean": self.mean, "scale": self.scale}
        return pack(self.kind, numbers, weights=self.weights, means=self.means, owner=self.owner, factors=self.spread.factors)

    @classmethod
    def from_state(cls, state: State) -> "ClassMixture":
        check_kind(state, cls.kind)
        weights, means, factors, owner = (part(state, name) for name in ("weights", "means", "factors", "owner"))
        return cls(weights, means, Full(factors), owner, float(part(state, "mean")), float(part(state, "scale")))

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
        """Each class's mixture by EM (lab.em.fit_em, which says what `floor` is) on its members, which are all held in memory; in up to some hundred dimensions.

        components: K for every class, or the candidates among which each class takes the one with the highest likelihood on a fifth of its members, held out, and is
        then fitted to all. Numbers that would leave fewer than D + 1 members to a component are not tried: their covariances would be the floor's.

        Raises ValueError for points that are not finite, labels that do not fit, a class without members or with too few, and settings out of range.
        """
        several = isinstance(components, tuple | list)
        candidates = tuple(whole_number("components", k, 1) for k in (components if several else (components,)))
        if not candidates:
            raise ValueError("components names no number to try; give at least one")
        points, dimension = flat(x.double()).cpu(), math.prod(x.shape[1:])
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
        return cls(
            torch.cat([m.weights for m in fitted]),
            torch.cat([m.means for m in fitted]).reshape(-1, *x.shape[1:]),
            Full(torch.cat([m.cholesky for m in fitted])),
            torch.cat([torch.full((len(m.weights),), c) for c, m in enumerate(fitted)]),
            mean,
            scale,
        )
