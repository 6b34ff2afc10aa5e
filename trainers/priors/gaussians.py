"""Fits Gaussians and mixtures: one for all data, or one for each class, beside which the one for all is fitted in the same pass to compare with."""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from lab.priors import ClassGaussian, ClassMixture, Gaussian
from lab.priors.covariances import Isotropic
from trainers.priors.class_statistics import Labels, Statistics, count
from trainers.priors.clustering import ClusterStatistics, find_clusters
from trainers.priors.parts import Parts
from trainers.priors.shrinkage import chosen, density, described, nats_per_dimension
from trainers.priors.visits import Latents
from trainers.recipes.schema import Recipe


def fit_scale_matched(recipe: Recipe, cache: Latents, held_out: Latents | None) -> tuple[Gaussian, dict[str, Any]]:
    """N(0, s^2 I), s^2 the mean over a latent's numbers of their variances."""
    parts = Parts(recipe, cache, held_out)
    statistics = Statistics(replace(recipe.prior, covariance="isotropic"), 1, cache.shape, parts.visits.each)

    def prior() -> Gaussian:
        spread = statistics.prior(0).spread
        assert isinstance(spread, Isotropic)
        return Gaussian(float(spread.deviations[0]) * recipe.prior.scale)

    count([(statistics, one_class)], parts.visits, "statistics", parts.first)
    held = parts.held_out()
    nats = {"prior": nats_per_dimension(prior(), held), "standard": nats_per_dimension(Gaussian(), held)}
    if parts.rest is not None:
        count([(statistics, one_class)], parts.visits, "statistics", parts.rest)
    return prior(), {"deviation": prior().scale} | parts.summary(nats)


def fit_pooled(recipe: Recipe, cache: Latents, held_out: Latents | None) -> tuple[ClassGaussian, dict[str, Any]]:
    """One Gaussian with the mean and covariance of all data, as a ClassGaussian of one class."""
    parts = Parts(recipe, cache, held_out)
    own = Statistics(recipe.prior, 1, cache.shape, parts.visits.each)
    count([(own, one_class)], parts.visits, "statistics", parts.first)
    held = parts.held_out()
    choice = chosen(own, held, recipe.prior.shrinkage)
    nats = {"prior": density(own, choice.value, held), "standard": nats_per_dimension(Gaussian(), held)}
    if parts.rest is not None:
        count([(own, one_class)], parts.visits, "statistics", parts.rest)
    prior, summary = own.fitted(choice.value)
    return prior, summary | described(choice, recipe.prior.shrinkage, parts.on) | parts.summary(nats)


def fit_by_class(recipe: Recipe, cache: Latents, held_out: Latents | None) -> tuple[ClassGaussian | ClassMixture, dict[str, Any]]:
    """A Gaussian or a mixture for each class; and in the same pass one Gaussian for all, of the same form, to compare with."""
    options, parts, classes = recipe.prior, Parts(recipe, cache, held_out), len(cache.classes)
    labels, held = labels_of(cache, options.kind), parts.held_out(labels_of(parts.held.latents, options.kind))
    everything = Statistics(options, 1, cache.shape, parts.visits.each)

    def components(only: Bool[Tensor, " n"] | None) -> tuple[Statistics, Labels, Statistics | ClusterStatistics]:
        """What is counted, under which labels, and the law that it makes."""
        if options.kind == "class-gaussian":
            own = Statistics(options, classes, cache.shape, parts.visits.each)
            return own, lambda x, index: labels[index], own
        clusters = find_clusters(parts.visits, labels, classes, options, recipe.training.seed, only)
        own = Statistics(options, len(clusters.owner), cache.shape, parts.visits.each)
        return own, lambda x, index: clusters(x, labels[index]), ClusterStatistics(own, clusters.owner)

    own, labelled, law = components(parts.first)
    count([(own, labelled), (everything, one_class)], parts.visits, "statistics", parts.first)
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


def one_class(x: Tensor, index: Tensor) -> Tensor:
    """The labels of data that are all of one class."""
    return torch.zeros_like(index)


def labels_of(cache: Latents, kind: str) -> Int[Tensor, " n"]:
    """Raises ValueError for a cache without classes."""
    if cache.labels is None:
        raise ValueError(f"prior.kind={kind!r} needs classes, and this cache has none; take pooled-gaussian, or data with classes")
    return cache.labels
