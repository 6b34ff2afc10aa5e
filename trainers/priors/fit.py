"""Fits the prior that a recipe asks for to a latent cache, and reports how well it knows data that it did not see."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lab.checks import check_name
from lab.priors import ClassGaussian, Gaussian
from lab.priors.covariances import Isotropic
from trainers.priors.class_statistics import Statistics, count, labelled
from trainers.priors.fitted import FittedPrior
from trainers.priors.shrinkage import chosen, density, described, nats_per_dimension
from trainers.priors.visits import Latents, Visits, fifth
from trainers.recipes.schema import PRIORS, Recipe

MOST = 5000  # held-out items that densities are averaged over, evenly spread
Say = Callable[[str], None]
Labelled = Callable[[], Iterator[tuple[Float[Tensor, "b *shape"], Int[Tensor, " b"]]]]


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
    else:
        prior, found = _gaussians(recipe, cache, held_out)
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
    def on(self) -> str:
        return "held-out split" if self.rest is None else "a fifth of the training split, which the prior was then fitted to as well"

    def held_out(self, labels: Int[Tensor, " n"]) -> Labelled:
        return lambda: labelled(self.held, labels, "held-out density", self.only)

    def count(self, statistics: list[tuple[Statistics, Int[Tensor, " n"]]]) -> None:
        """The pass over what is fitted to."""
        count(statistics, self.visits, "statistics", None if self.rest is None else ~self.rest)

    def count_rest(self, statistics: list[tuple[Statistics, Int[Tensor, " n"]]]) -> None:
        """The pass over what was held out of the training split."""
        if self.rest is not None:
            count(statistics, self.visits, "statistics", self.rest)

    def summary(self, nats: dict[str, float | None]) -> dict[str, Any]:
        return {"held_out": {"on": self.on, "items": int(self.only.sum()), "nats_per_dimension": nats}}


def _scale_matched(recipe: Recipe, cache: Latents, held_out: Latents | None) -> tuple[Gaussian, dict[str, Any]]:
    """N(0, s^2 I), s^2 the mean over a latent's numbers of their variances."""
    parts, nobody = Parts(recipe, cache, held_out), torch.zeros(len(cache), dtype=torch.int64)
    statistics = Statistics.empty(replace(recipe.prior, covariance="isotropic"), 1, cache.shape, parts.visits.each)

    def prior() -> Gaussian:
        spread = statistics.prior(0).spread
        assert isinstance(spread, Isotropic)
        return Gaussian(float(spread.deviations[0]) * recipe.prior.scale)

    parts.count([(statistics, nobody)])
    held = parts.held_out(torch.zeros(len(parts.held.latents), dtype=torch.int64))
    nats = {"prior": nats_per_dimension(prior(), held), "standard": nats_per_dimension(Gaussian(), held)}
    parts.count_rest([(statistics, nobody)])
    return prior(), {"deviation": prior().scale} | parts.summary(nats)


def _gaussians(recipe: Recipe, cache: Latents, held_out: Latents | None) -> tuple[ClassGaussian, dict[str, Any]]:
    """A Gaussian for each class, and in the same pass one for all, to compare with; or that one alone."""
    parts, by_class = Parts(recipe, cache, held_out), recipe.prior.kind != "pooled-gaussian"
    everything = Statistics.empty(recipe.prior, 1, cache.shape, parts.visits.each)
    own, labels, held_labels = (
        everything,
        torch.zeros(len(cache), dtype=torch.int64),
        torch.zeros(len(parts.held.latents), dtype=torch.int64),
    )
    passes, held_all = [(everything, labels)], parts.held_out(held_labels)
    if by_class:
        labels, held_labels = labels_of(cache, recipe.prior.kind), labels_of(parts.held.latents, recipe.prior.kind)
        own = Statistics.empty(recipe.prior, len(cache.classes), cache.shape, parts.visits.each)
        passes.append((own, labels))
    parts.count(passes)
    held = parts.held_out(held_labels)
    choice, nats = chosen(own, held, recipe.prior.shrinkage), {"standard": nats_per_dimension(Gaussian(), held)}
    nats["prior"] = density(own, choice.value, held)
    nats["pooled_gaussian"] = (
        density(everything, chosen(everything, held_all, recipe.prior.shrinkage).value, held_all) if by_class else nats["prior"]
    )
    parts.count_rest(passes)
    prior = own.prior(choice.value)
    return prior, own.summary(prior) | described(choice, recipe.prior.shrinkage, parts.on) | parts.summary(nats)
