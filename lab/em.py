"""Gaussian mixtures fitted to points by expectation-maximisation, and the number of components by held-out likelihood."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from lab.mixtures import GaussianMixture
from lab.paths import flat


@dataclass(frozen=True)
class EMResult:
    """The mixture, its log-likelihood per point (nats) after each iteration, and whether the last step gained less than the tolerance."""

    mixture: GaussianMixture
    history: tuple[float, ...]
    converged: bool

    @property
    def log_likelihood(self) -> float:
        return self.history[-1]


def fit_em(
    x: Float[Tensor, "n d"],
    components: int,
    *,
    generator: torch.Generator,
    iterations: int = 100,
    tolerance: float = 1e-6,
    floor: float = 1e-6,
) -> EMResult:
    """Maximum likelihood by EM from a k-means++ start, full covariances.

    `floor` times the data's mean variance is added to every covariance's diagonal, so that a component on few points stays positive definite; the log-likelihood never
    falls but for that. A component that loses all its points is restarted on the point that the mixture explains worst.

    Raises ValueError for points that are not finite, or for fewer distinct points than components.
    """
    points = flat(x).double()
    if not bool(torch.isfinite(points).all()):
        raise ValueError("x must be finite, without NaN, to fit a mixture to")
    if components < 1 or len(torch.unique(points, dim=0)) < components:
        raise ValueError(
            f"components={components} must be at least 1 and at most the number of distinct points ({len(torch.unique(points, dim=0))})"
        )
    scale = points.var(0, unbiased=False).mean()
    scale = torch.where(scale > 0, scale, 1e-12)  # of points that all coincide
    jitter = floor * scale * torch.eye(points.shape[1], dtype=torch.float64)
    centres = _plus_plus(points, components, generator)
    responsibilities = torch.nn.functional.one_hot(torch.cdist(points, centres).argmin(1), components).double()
    history: list[float] = []
    mixture = _maximise(points, responsibilities, jitter)
    converged = False
    for _ in range(iterations):
        joint = mixture.component_log_prob(points)
        total = torch.logsumexp(joint, dim=1)
        history.append(float(total.mean()))
        responsibilities = (joint - total[:, None]).exp()
        empty = torch.nonzero(responsibilities.sum(0) < 1e-3)[:, 0]
        for k, row in zip(empty.tolist(), total.argsort()[: len(empty)].tolist(), strict=True):
            responsibilities[row] = 0
            responsibilities[row, k] = 1
        if len(history) > 1 and history[-1] - history[-2] < tolerance and len(empty) == 0:
            converged = True
            break
        mixture = _maximise(points, responsibilities, jitter)
    return EMResult(mixture, tuple(history), converged)


def _plus_plus(points: Tensor, components: int, generator: torch.Generator) -> Tensor:
    """k-means++ centres: each next one drawn with probability proportional to the squared distance to those chosen (Arthur & Vassilvitskii 2007)."""
    chosen = [int(torch.randint(len(points), (1,), generator=generator))]
    nearest = (points - points[chosen[0]]).square().sum(1)
    for _ in range(components - 1):
        chosen.append(int(torch.multinomial(nearest, 1, generator=generator)))
        nearest = torch.minimum(nearest, (points - points[chosen[-1]]).square().sum(1))
    return points[chosen]


def _maximise(points: Tensor, responsibilities: Tensor, jitter: Tensor) -> GaussianMixture:
    mass = responsibilities.sum(0).clamp(min=1e-300)
    means = responsibilities.T @ points / mass[:, None]
    covariances = []
    for k in range(len(mass)):
        centred = points - means[k]
        covariances.append((centred * responsibilities[:, k, None]).T @ centred / mass[k] + jitter)
    s = torch.stack(covariances)
    return GaussianMixture(mass / mass.sum(), means, 0.5 * (s + s.mT))


@dataclass(frozen=True)
class ComponentChoice:
    """The number of components with the highest held-out log-likelihood per point, and that of every candidate."""

    components: int
    held_out: dict[int, float]


def choose_components(
    x: Float[Tensor, "n d"], candidates: tuple[int, ...], *, generator: torch.Generator, share: float = 0.2
) -> ComponentChoice:
    """Fits each candidate to a random part of the points and scores it on the rest (`share` of them). Ties go to the smaller number."""
    order = torch.randperm(len(x), generator=generator)
    held = max(1, int(share * len(x)))
    points = flat(x).double()
    test, train = points[order[:held]], points[order[held:]]
    distinct = len(torch.unique(train, dim=0))
    scores = {}
    for k in sorted(candidates):
        if k <= distinct:
            scores[k] = float(fit_em(train, k, generator=generator, iterations=60, tolerance=1e-4).mixture.log_prob(test).mean())
    if not scores:
        raise ValueError(f"components: none of {candidates} can be fitted to {distinct} distinct points")
    return ComponentChoice(max(scores, key=lambda k: (scores[k], -k)), scores)
