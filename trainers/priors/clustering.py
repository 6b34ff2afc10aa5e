"""Where a class's components come from, in thousands of dimensions: k-means in the leading principal directions of the class.

Expectation-maximisation with full covariances needs more members per component than dimensions, which classes of latents have not. So each class is cut into hard clusters
by the coordinates in which it varies most, and each cluster is counted as a class of its own: a mixture of shrunken Gaussians of any form, its weights the clusters' shares.
"""

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lab.moments import SketchedMoments
from lab.paths import flat
from lab.priors import ClassMixture
from lab.random import generator
from trainers.priors.class_statistics import Statistics
from trainers.priors.visits import Visits
from trainers.recipes.schema import PriorOptions

ROUNDS, STARTS = 100, 8  # of k-means: iterations at most, and k-means++ starts of which the best is kept
FEW = 10  # a class gets no more components than leave each so many members on average
KMEANS = 0x5052_0004  # stream of the counter


@dataclass(frozen=True)
class Clusters:
    """Which component a latent of a class belongs to: the nearest of its class's centres in its class's leading principal directions.

    means (C, D), directions (C, D, q); centres (M, q), all classes' one after another; owner (M,).
    """

    means: Float[Tensor, "c d"]
    directions: Float[Tensor, "c d q"]
    centres: Float[Tensor, "m q"]
    owner: Int[Tensor, " m"]

    def __call__(self, x: Float[Tensor, "b *shape"], labels: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Numbers of components, 0 to M - 1."""
        component = torch.zeros_like(labels)
        for c in labels.unique().tolist():
            rows = labels == c
            first = int(torch.searchsorted(self.owner, c))
            distances = torch.cdist(_coordinates(x[rows], self.means[c], self.directions[c]), self.centres[self.owner == c])
            component[rows] = first + distances.argmin(1)
        return component


def find_clusters(
    visits: Visits, labels: Int[Tensor, " n"], classes: int, options: PriorOptions, seed: int, only: Bool[Tensor, " n"] | None = None
) -> Clusters:
    """Two passes: class means and principal directions from sketches, then coordinates, which k-means cuts into at most `options.components` for each class."""
    low_rank = replace(options, covariance="low-rank", rank=min(options.rank, prod(visits.latents.shape)))
    statistics = Statistics(low_rank, classes, visits.latents.shape, visits.each)
    for x, index in visits("principal directions", only):
        statistics.add(x, labels[index])
    moments = statistics.moments
    assert isinstance(moments, SketchedMoments)
    directions = torch.linalg.svd(moments.sketch, full_matrices=False).Vh[:, : low_rank.rank].mT
    found: list[list[Tensor]] = [[torch.zeros(0, low_rank.rank, dtype=torch.float64)] for _ in range(classes)]
    for x, index in visits("clusters", only):
        own = labels[index]
        for c in own.unique().tolist():
            found[c].append(_coordinates(x[own == c], moments.means[c], directions[c]))
    centres = [
        _centres(torch.cat(each), min(options.components, int(members) // FEW), generator(seed, c, KMEANS))
        for c, (each, members) in enumerate(zip(found, statistics.members, strict=True))
    ]
    owner = torch.cat([torch.full((len(each),), c) for c, each in enumerate(centres)])
    return Clusters(moments.means, directions, torch.cat(centres), owner)


def _coordinates(x: Tensor, mean: Tensor, directions: Tensor) -> Tensor:
    return (flat(x).double() - mean) @ directions


def _centres(points: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """Centres of k-means; one where that is all a class has members for, at zero where it has none."""
    clusters = min(clusters, len(points.unique(dim=0)))
    if clusters < 2:
        return points.mean(0, keepdim=True) if len(points) else points.new_zeros(1, points.shape[1])
    assigned = k_means(points, clusters, generator)
    return torch.stack([points[assigned == k].mean(0) for k in range(clusters)])


@dataclass(frozen=True)
class ClusterStatistics:
    """Moments of components, and the mixtures made of them at any shrinkage."""

    statistics: Statistics
    owner: Int[Tensor, " m"]

    @property
    def shrinks(self) -> bool:
        return self.statistics.shrinks

    @property
    def weights(self) -> Float[Tensor, " m"]:
        """Shares of a class's visits; 1 for the component of a class without members."""
        counts = self.statistics.moments.counts.double()
        totals = torch.zeros(int(self.owner[-1]) + 1, dtype=torch.float64).index_add(0, self.owner, counts)[self.owner]
        return torch.where(totals > 0, counts / totals.clamp(min=1), 1.0)

    def prior(self, shrinkage: float) -> ClassMixture:
        return ClassMixture(self.statistics.prior(shrinkage), self.weights, self.owner)

    def with_density(self, shrinkage: float) -> ClassMixture | None:
        gaussians = self.statistics.with_density(shrinkage)
        return None if gaussians is None else ClassMixture(gaussians, self.weights, self.owner)

    def fitted(self, shrinkage: float) -> tuple[ClassMixture, dict[str, Any]]:
        """The prior, and for the report as of Gaussians: members of classes, shares of their components, and the classes with components that are too small."""
        gaussians, found = self.statistics.fitted(shrinkage)
        prior = ClassMixture(gaussians, self.weights, self.owner)
        members = (
            torch.zeros(prior.classes, dtype=torch.int64).index_add(0, self.owner, self.statistics.moments.counts) // self.statistics.each
        )
        owner = self.owner.tolist()
        return prior, found | {
            "members": members.tolist(),
            "shares": [self.weights[self.owner == c].tolist() for c in range(prior.classes)],
            "fell_back": sorted({owner[k] for k in found["fell_back"]}),
            "missing": sorted({owner[k] for k in found["missing"]}),
        }


def k_means(points: Float[Tensor, "n q"], clusters: int, generator: torch.Generator) -> Int[Tensor, " n"]:
    """The cluster, 0 to clusters - 1, of each point: Lloyd's iterations from k-means++ starts, the tightest of several; none is empty.

    Raises ValueError for fewer distinct points than clusters.
    """
    if len(points.unique(dim=0)) < clusters:
        raise ValueError(f"{clusters} clusters cannot be made of {len(points.unique(dim=0))} distinct points")
    best, least = torch.zeros(len(points), dtype=torch.int64), float("inf")
    for _ in range(STARTS if clusters > 1 else 1):
        assigned, spread = _lloyd(points, _seeds(points, clusters, generator))
        if spread < least:
            best, least = assigned, spread
    return best


def _seeds(points: Tensor, clusters: int, generator: torch.Generator) -> Tensor:
    """k-means++ centres: each next one drawn with probability proportional to the squared distance to those chosen (Arthur & Vassilvitskii 2007)."""
    chosen = [int(torch.randint(len(points), (1,), generator=generator))]
    nearest = (points - points[chosen[0]]).square().sum(1)
    for _ in range(clusters - 1):
        reached = nearest.cumsum(0)
        u = torch.rand(1, generator=generator, dtype=torch.float64) * reached[-1]
        chosen.append(int(torch.searchsorted(reached, u, right=True).clamp(max=len(points) - 1)))
        nearest = torch.minimum(nearest, (points - points[chosen[-1]]).square().sum(1))
    return points[chosen]


def _lloyd(points: Tensor, centres: Tensor) -> tuple[Tensor, float]:
    """Assignments, and the sum of squared distances to the centres, where neither changes any more; an empty cluster takes the point farthest from its centre."""
    assigned = torch.full((len(points),), -1)
    for _ in range(ROUNDS):
        distances = torch.cdist(points, centres)
        nearest = distances.argmin(1)
        for k in torch.nonzero(torch.bincount(nearest, minlength=len(centres)) == 0)[:, 0].tolist():
            alone = torch.bincount(nearest, minlength=len(centres))[nearest] == 1
            nearest[distances.gather(1, nearest[:, None])[:, 0].masked_fill(alone, -1).argmax()] = k
        if bool((nearest == assigned).all()):
            break
        assigned = nearest
        sums = torch.zeros_like(centres).index_add(0, assigned, points)
        centres = sums / torch.bincount(assigned, minlength=len(centres))[:, None]
    return assigned, float((points - centres[assigned]).square().sum())
