"""Random couplings of random mixtures, with draws from them by their definition: what the exact field is held against."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from lab import paths
from lab.paths import Path
from toy.field import MixtureField
from toy.mixtures import Mixture, symmetric

PATHS: dict[str, Path] = {name: paths.by_name(name) for name in paths.PATHS} | {
    "cond-ot .05": paths.CondOT(0.05),
    "cubic": paths.Polynomial(3),
}
each_path = pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class Coupled:
    """A source, a target and a block coupling of the two."""

    source: Mixture
    target: Mixture
    plan: Tensor  # (J, K)
    cross: Tensor  # (J, K, 2, 2)

    def field(self, path: Path) -> MixtureField:
        return MixtureField(self.source, self.target, self.plan, self.cross, path)

    def draw(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """x_0 (n, 2), x_1 (n, 2), class (n,) by the definition: jk by the plan, x_0 ~ N(m_j, S_j), x_1 given x_0 conditionally."""
        j, k = np.unravel_index(
            torch.multinomial(self.plan.flatten(), n, replacement=True, generator=generator).numpy(), tuple(self.plan.shape)
        )
        m, S = self.source.means[j], torch.linalg.cholesky(self.source.covariances)[j]
        x_0 = m + (S @ normal(n, 2, 1, generator=generator))[..., 0]
        regression = self.cross.mT @ torch.linalg.inv(self.source.covariances)[:, None]
        left = symmetric(self.target.covariances - regression @ self.cross)
        value, basis = torch.linalg.eigh(left)  # may be singular, where the coupling is a map
        noise = (basis * value.clamp(min=0).sqrt()[..., None, :])[j, k] @ normal(n, 2, 1, generator=generator)
        x_1 = self.target.means[k] + (regression[j, k] @ (x_0 - m)[..., None] + noise)[..., 0]
        return x_0, x_1, self.target.classes[k]


def normal(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def uniform(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def random_covariances(k: int, spread: float, generator: torch.Generator) -> Tensor:
    """(k, 2, 2): full covariances with standard deviations near `spread` and condition numbers of about ten."""
    root = normal(k, 2, 2, generator=generator)
    return spread**2 * (0.5 * symmetric(root @ root.mT) + 0.2 * torch.eye(2, dtype=torch.float64))


def random_coupling(seed: int, *, sources: int = 3, targets: int = 4, classes: int = 2, spread: float = 0.7) -> Coupled:
    """Full covariances, a plan with empty cells, and cross-covariances of every pair: S^1/2 R Sigma^1/2 with a random contraction R."""
    g = torch.Generator().manual_seed(seed)
    plan = uniform(sources, targets, generator=g) + 0.1
    if sources > 1 and targets > 1:
        plan[0, 1] = plan[sources - 1, 0] = 0
    plan = plan / plan.sum()
    source = Mixture(plan.sum(1), normal(sources, 2, generator=g), random_covariances(sources, spread, g))
    where = 2.0 * normal(targets, 2, generator=g) + torch.tensor([1.0, -0.5], dtype=torch.float64)
    target = Mixture(plan.sum(0), where, random_covariances(targets, spread, g), torch.arange(targets) % classes)
    contraction = normal(sources, targets, 2, 2, generator=g)
    contraction = 0.8 * contraction / torch.linalg.matrix_norm(contraction, ord=2)[..., None, None]
    cross = root(source.covariances)[:, None] @ contraction @ root(target.covariances)[None]
    return Coupled(source, target, plan, cross)


def root(covariances: Tensor) -> Tensor:
    """Symmetric square roots."""
    value, basis = torch.linalg.eigh(covariances)
    return (basis * value.sqrt()[..., None, :]) @ basis.mT


def gaussian(scale: float = 1.0, mean: tuple[float, float] = (0.0, 0.0)) -> Mixture:
    """N(mean, scale^2 I) as a mixture of one component."""
    return Mixture([1.0], [mean], [[[scale**2, 0.0], [0.0, scale**2]]])


def ring_strips() -> Mixture:
    """Eight equal classes on a ring of radius 4, the first at angle 0, each an upright strip: std 0.15 across, 0.8 up (PAGES.md)."""
    angle = torch.arange(8, dtype=torch.float64) * (2 * torch.pi / 8)
    means = 4 * torch.stack((angle.cos(), angle.sin()), dim=1)
    covariance = torch.tensor([[0.15**2, 0.0], [0.0, 0.8**2]], dtype=torch.float64)
    return Mixture(torch.full((8,), 1 / 8), means, covariance.expand(8, 2, 2), torch.arange(8))


def class_prior(target: Mixture, *, mean: float = 1.0, scale: float | None = None) -> Mixture:
    """One Gaussian per class: at `mean` times the class's mean, with the class's covariance or scale^2 I."""
    laws = [target.of_class(c) for c in range(target.class_count)]
    eye = torch.eye(2, dtype=torch.float64)
    covariances = torch.stack([law.covariance if scale is None else scale**2 * eye for law in laws])
    return Mixture(target.class_weights, mean * torch.stack([law.mean for law in laws]), covariances, torch.arange(target.class_count))


def class_plan(source: Mixture, target: Mixture) -> Tensor:
    """x_0 and x_1 independent given the class: P_jk = w_j v_k / (weight of the class) where the classes agree."""
    agree = source.classes[:, None] == target.classes[None, :]
    return agree * source.weights[:, None] * target.weights[None, :] / target.class_weights[target.classes][None, :]


def stratified(mixture: Mixture, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """n draws with every component in equal shares (equal weights), and their components."""
    component = torch.arange(n) % len(mixture.weights)
    return mixture.from_normals(normal(n, 2, generator=generator), component), component


def field_values(field: MixtureField, x: Tensor, t: Tensor | float, condition: Tensor | None) -> dict[str, Tensor]:
    source, data = field.endpoints(x, t, condition)
    return {
        "velocity": field.velocity(x, t, condition),
        "score": field.score(x, t, condition),
        "log_prob": field.log_prob(x, t, condition),
        "source": source,
        "data": data,
    }
