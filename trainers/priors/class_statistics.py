"""Means and covariances of classes over a latent cache, in one pass in float64, and the Gaussian priors made of them."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace
from math import prod
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lab.checks import check_name
from lab.moments import SketchedMoments
from lab.priors import COVARIANCES, ClassGaussian
from lab.priors.class_covariances import Moments, accumulator
from lab.priors.covariances import LowRank
from trainers.priors.visits import Visits
from trainers.recipes.schema import PriorOptions

SKETCHES = 2**30  # bytes that the sketches of all classes may take
ROWS = 128  # of a sketch, or four times the rank if more: exact for classes of as many visits
HALF = 0.5  # a shrinkage from which the low-rank covariances at any other are made


class Statistics:
    """Moments of classes in the smallest form that has the covariance which the options ask for. `each`: visits that are counted for every item.

    A class without members gets, when priors are made, the mean of all data and the pooled covariance, so that every class has a prior; `missing` lists them.
    Raises ValueError for a covariance that does not exist or would not fit into memory.
    """

    def __init__(self, options: PriorOptions, classes: int, shape: tuple[int, ...], each: int) -> None:
        check_name("prior.covariance", options.covariance, COVARIANCES)
        dimension = prod(shape)
        if options.covariance == "low-rank" and options.rank > dimension:
            raise ValueError(f"prior.rank={options.rank} must lie in 1 to {dimension}, the numbers of a latent {shape}")
        rows = min(dimension, max(2 * options.rank, min(max(4 * options.rank, ROWS), SKETCHES // (8 * classes * dimension))))
        self.options, self.shape, self.each = options, shape, each
        self.moments: Moments = accumulator(options.covariance, classes, dimension, options.rank, rows)
        self._half: ClassGaussian | None = None  # the prior at HALF, once it is known

    def add(self, x: Float[Tensor, "b *shape"], labels: Int[Tensor, " b"]) -> None:
        self.moments.update(x, labels)
        self._half = None

    @property
    def members(self) -> Int[Tensor, " c"]:
        return self.moments.counts // self.each

    @property
    def missing(self) -> tuple[int, ...]:
        return tuple(torch.nonzero(self.moments.counts == 0)[:, 0].tolist())

    @property
    def mean_of_all(self) -> Float[Tensor, " d"]:
        counts = self.moments.counts.double()
        return counts @ self.moments.means / counts.sum()

    def prior(self, shrinkage: float) -> ClassGaussian:
        """The prior at this shrinkage, with the options' mean and scale. Raises ValueError where low rank leaves a class no variance beside its directions."""
        if self.options.covariance != "low-rank" or shrinkage == 0:
            return self._fitted(shrinkage)
        half = self._half = self._half or self._fitted(HALF)
        assert isinstance(half.spread, LowRank)
        return replace(half, spread=shrunk_from(half.spread, HALF, shrinkage), shrinkage=shrinkage)

    def _fitted(self, shrinkage: float) -> ClassGaussian:
        options, moments = self.options, self.moments
        if self.missing:  # one made-up member each, at the mean of all: no scatter, and too few for a covariance of its own
            moments = deepcopy(moments)
            moments.update(self.mean_of_all.expand(len(self.missing), -1), torch.tensor(self.missing))
        few = {"low-rank": options.rank + 2, "full": moments.means.shape[1] + 1 if shrinkage == 0 else 2}.get(options.covariance, 2)
        prior = ClassGaussian.fit(
            moments,
            covariance=options.covariance,
            shape=self.shape,
            mean=options.mean,
            scale=options.scale,
            shrinkage=shrinkage,
            fallback_below=max(2, self.each * few),
            rank=min(options.rank, moments.sketch.shape[1]) if isinstance(moments, SketchedMoments) else None,
        )
        return replace(prior, counts=self.members)

    def with_density(self, shrinkage: float) -> ClassGaussian | None:
        """The prior with mean and scale 1, which is what shrinkage is chosen for; None where a covariance is singular, so that there is no density."""
        try:
            prior = self.prior(shrinkage)
        except ValueError:
            if shrinkage > 0:
                raise
            return None
        return None if bool(prior.spread.singular.any()) else replace(prior, mean=1.0, scale=1.0)

    @property
    def shrinks(self) -> bool:
        """Whether shrinkage changes anything."""
        return self.options.covariance not in ("none", "isotropic")

    def fitted(self, shrinkage: float) -> tuple[ClassGaussian, dict[str, Any]]:
        """The prior, and for the report: members, and which classes are too small for a covariance of their own or have no members at all."""
        prior = self.prior(shrinkage)
        rank = {"rank": self.options.rank} if self.options.covariance == "low-rank" else {}
        missing = set(self.missing)
        return prior, {
            "covariance": self.options.covariance,
            **rank,
            "members": self.members.tolist(),
            "fell_back": [c for c in prior.fallbacks if c not in missing],
            "missing": sorted(missing),
        }


def shrunk_from(spread: LowRank, before: float, shrinkage: float) -> LowRank:
    """Low-rank covariances that were shrunk by `before`, as they would be shrunk by another l > 0 instead: their directions need not be found again.

    (1 - l) (W W^T + diag(u)) + l v I has the mean variance v at every l, so that W and u follow from any one of them.
    """
    roots = spread.deviations[..., None] * spread.directions * spread.gains.sqrt()[:, None]
    level = (spread.variances + roots.square().sum(-1)).mean(1, keepdim=True)
    left = ((spread.variances - before * level) / (1 - before)).clamp(min=0)
    return LowRank.of((1 - shrinkage) * left + shrinkage * level, ((1 - shrinkage) / (1 - before)) ** 0.5 * roots)


Labels = Callable[[Tensor, Tensor], Tensor]  # of latents (b, *shape) and their item numbers (b,) the classes (b,)


def count(statistics: Sequence[tuple[Statistics, Labels]], visits: Visits, about: str, only: Bool[Tensor, " n"] | None = None) -> None:
    """One pass that adds every visit to each of the statistics, under its own labels."""
    for x, index in visits(about, only):
        for own, labels in statistics:
            own.add(x, labels(x, index))
