"""Fits the prior that a recipe asks for to a latent cache, and reports how well it knows data that it did not see."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lab.checks import check_name
from lab.priors import ClassGaussian, Gaussian
from lab.priors.covariances import Isotropic
from trainers.priors.class_statistics import Labels, Statistics, count
from trainers.priors.clustering import ClusterStatistics, find_clusters
from trainers.priors.clusters import ClusterMixture
from trainers.priors.fitted import FittedPrior
from trainers.priors.shrinkage import Labelled, chosen, density, described, nats_per_dimension
from trainers.priors.visits import Latents, Visits, fifth
from trainers.recipes.schema import PRIORS, Recipe

MOST = 5000  # held-out items that densities are averaged over, evenly spread
Say = Callable[[str], None]


def fit_prior(recipe: Recipe, cache: Latents, held_out: Latents | None = None, *, say: Say = print) -> FittedPrior:
    """The prior of `recipe.prior`, fitted to the cache's training split; held_out: its held-out split, for shrinkage, early stops and densities.

    Without a held-out split a fifth of the training items, by the counter, takes its place until shrinkage is chosen and densities are known, and is then fitted to as well.
    Items count once, and where the recipe flips pictures, once more with those mirrored that may be. "standard" is N(0, scale^2 I), and nothing is read for it.
    Deterministic: a function of the recipe and the caches.

    Raises ValueError for a prior that needs classes or texts which the cache has not, for classes that are too alike to have a density, and for latents that are not finite.
    """
    check_name("prior.kind", recipe.prior.kind, PRIORS)
    held_out = None if held_out is None or len(held_out) == 0 else held_out
    begun = time.perf_counter()
    if recipe.prior.kind == "standard":
        prior, found = Gaussian(recipe.prior.scale), {}
    elif recipe.prior.kind == "scale-matched":
        prior, found = _scale_matched(recipe, cache, held_out)
    elif recipe.prior.kind == "pooled-gaussian":
        prior, found = _pooled(recipe, cache, held_out)
    else:
        prior, found = _by_class(recipe, cache, held_out)
    report = _general(recipe, cache) | found
    state = sum(each.numel() * each.element_size() for each in prior.state().values())
    report |= {"bytes": state, "bytes_per_condition": state // len(found.get("members", (1,)))}
    return FittedPrior(recipe.prior.kind, prior, report | {"seconds": round(time.perf_counter() - begun, 3)})


def _general(recipe: Recipe, cache: Latents) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        "kind": recipe.prior.kind,
        "items": len(cache),
        "shape": list(cache.shape),
        "flips": Visits(cache, recipe).flips,
        "mean": recipe.prior.mean,
        "scale": recipe.prior.scale,
    }


def labels_of(cache: Latents, kind: str) -> Int[Tensor, " n"]:
    """Raises ValueError for a cache without classes."""
    if cache.labels is None:
        raise ValueError(f"prior.kind={kind!r} needs classes, and this cache has none; take pooled-gaussian, or data with classes")
    return cache.labels


class Parts:
    """What is fitted to and what is held out for choices and densities: two splits, or four fifths and a fifth of one."""

    def __init__(self, recipe: Recipe, cache: Latents, held_out: Latents | None) -> None:
        self.visits = Visits(cache, recipe)
        self.rest: Bool[Tensor, " n"] | None = None if held_out is not None else fifth(recipe.training.seed, len(cache))
        self.held = Visits(cache if held_out is None else held_out, recipe)
        if self.rest is not None and (bool(self.rest.all()) or not bool(self.rest.any())):
            raise ValueError(f"a cache of {len(cache)} items is too small to hold a fifth of them out; give it a held-out split")
        among = torch.ones(len(self.held.latents), dtype=torch.bool) if self.rest is None else self.rest
        numbers = torch.nonzero(among)[:, 0]
        self.only = torch.zeros_like(among)
        self.only[numbers[:: -(-len(numbers) // MOST)]] = True

    @property
    def first(self) -> Bool[Tensor, " n"] | None:
        """The training items that are fitted to before choices; None for all."""
        return None if self.rest is None else ~self.rest

    @property
    def on(self) -> str:
        return "held-out split" if self.rest is None else "a fifth of the training split, before the prior was fitted to that too"

    def held_out(self, labels: Int[Tensor, " n"] | None = None) -> Callable[[], Labelled]:
        """Held-out latents with their classes, all 0 if None."""
        own = torch.zeros(len(self.held.latents), dtype=torch.int64) if labels is None else labels
        return lambda: ((x, own[index]) for x, index in self.held("held-out density", self.only))

    def summary(self, nats: dict[str, float | None]) -> dict[str, Any]:
        return {"held_out": {"on": self.on, "items": int(self.only.sum()), "nats_per_dimension": nats}}


def _scale_matched(recipe: Recipe, cache: Latents, held_out: Latents | None) -> tuple[Gaussian, dict[str, Any]]:
    """N(0, s^2 I), s^2 the mean over a latent's numbers of their variances."""
    parts = Parts(recipe, cache, held_out)
    statistics = Statistics.empty(replace(recipe.prior, covariance="isotropic"), 1, cache.shape, parts.visits.each)

    def prior() -> Gaussian:
        spread = statistics.prior(0).spread
        assert isinstance(spread, Isotropic)
        return Gaussian(float(spread.deviations[0]) * recipe.prior.scale)

    count([(statistics, _one)], parts.visits, "statistics", parts.first)
    held = parts.held_out()
    nats = {"prior": nats_per_dimension(prior(), held), "standard": nats_per_dimension(Gaussian(), held)}
    if parts.rest is not None:
        count([(statistics, _one)], parts.visits, "statistics", parts.rest)
    return prior(), {"deviation": prior().scale} | parts.summary(nats)


def _pooled(recipe: Recipe, cache: Latents, held_out: Latents | None) -> tuple[ClassGaussian, dict[str, Any]]:
    """One Gaussian with the mean and covariance of all data, as a ClassGaussian of one class."""
    parts = Parts(recipe, cache, held_out)
    own = Statistics.empty(recipe.prior, 1, cache.shape, parts.visits.each)
    count([(own, _one)], parts.visits, "statistics", parts.first)
    held = parts.held_out()
    choice = chosen(own, held, recipe.prior.shrinkage)
    nats = {"prior": density(own, choice.value, held), "standard": nats_per_dimension(Gaussian(), held)}
    if parts.rest is not None:
        count([(own, _one)], parts.visits, "statistics", parts.rest)
    prior, summary = own.fitted(choice.value)
    return prior, summary | described(choice, recipe.prior.shrinkage, parts.on) | parts.summary(nats)


def _by_class(recipe: Recipe, cache: Latents, held_out: Latents | None) -> tuple[ClassGaussian | ClusterMixture, dict[str, Any]]:
    """A Gaussian or a mixture for each class; and in the same pass one Gaussian for all, of the same form, to compare with."""
    options, parts, classes = recipe.prior, Parts(recipe, cache, held_out), len(cache.classes)
    labels, held = labels_of(cache, options.kind), parts.held_out(labels_of(parts.held.latents, options.kind))
    everything = Statistics.empty(options, 1, cache.shape, parts.visits.each)

    def components(only: Bool[Tensor, " n"] | None) -> tuple[Statistics, Labels, Statistics | ClusterStatistics]:
        """What is counted, under which labels, and the law that it makes."""
        if options.kind == "class-gaussian":
            own = Statistics.empty(options, classes, cache.shape, parts.visits.each)
            return own, lambda x, index: labels[index], own
        clusters = find_clusters(parts.visits, labels, classes, options, recipe.training.seed, only)
        own = Statistics.empty(options, len(clusters.owner), cache.shape, parts.visits.each)
        return own, lambda x, index: clusters(x, labels[index]), ClusterStatistics(own, clusters.owner)

    own, labelled, law = components(parts.first)
    count([(own, labelled), (everything, _one)], parts.visits, "statistics", parts.first)
    choice, one = chosen(law, held, options.shrinkage), parts.held_out()
    nats = {
        "prior": density(law, choice.value, held),
        "standard": nats_per_dimension(Gaussian(), held),
        "pooled_gaussian": density(everything, chosen(everything, one, options.shrinkage).value, one),
    }
    if parts.rest is not None:
        if options.kind == "class-mixture":  # its clusters are found anew, among all
            own, labelled, law = components(None)
            count([(own, labelled)], parts.visits, "statistics")
        else:
            count([(own, labelled)], parts.visits, "statistics", parts.rest)
    prior, summary = law.fitted(choice.value)
    return prior, summary | described(choice, options.shrinkage, parts.on) | parts.summary(nats)


def _one(x: Tensor, index: Tensor) -> Tensor:
    """The labels of data that are all of one class."""
    return torch.zeros_like(index)
