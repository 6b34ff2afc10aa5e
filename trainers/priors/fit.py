"""Fits the prior that a recipe asks for to a latent cache, and reports how well it knows data that it did not see."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from lab.checks import check_name
from lab.priors import Gaussian, Prior
from trainers.priors.fitted import FittedPrior
from trainers.priors.gaussians import fit_by_class, fit_pooled, fit_scale_matched
from trainers.priors.texts import fit_texts
from trainers.priors.visits import Latents, Visits
from trainers.recipes.schema import Recipe

Say = Callable[[str], None]
NAMED = 8  # classes that a line names


def _standard(recipe: Recipe, cache: Latents, held_out: Latents | None) -> tuple[Gaussian, dict[str, Any]]:
    return Gaussian(recipe.prior.scale), {}


FITS: dict[str, Callable[[Recipe, Latents, Latents | None], tuple[Prior, dict[str, Any]]]] = {
    "standard": _standard,
    "scale-matched": fit_scale_matched,
    "pooled-gaussian": fit_pooled,
    "class-gaussian": fit_by_class,
    "class-mixture": fit_by_class,
}


def fit_prior(recipe: Recipe, cache: Latents, held_out: Latents | None = None, *, say: Say = print) -> FittedPrior:
    """The prior of `recipe.prior`, fitted to the cache's training split; held_out: its held-out split, for shrinkage, early stops and densities.

    Without a held-out split, or where it is the training split itself, a fifth of the training items, by the counter, takes its place until
    shrinkage is chosen and densities are known; Gaussians are then fitted to it as well, text mappers not.
    Items count once, and where the recipe flips pictures, once more with those mirrored that may be. "standard" is N(0, scale^2 I), and nothing is read for it.
    Deterministic: a function of the recipe and the caches.

    Raises ValueError for a prior that needs classes or texts which the cache has not, for classes that are too alike to have a density, and for latents that are not finite.
    """
    check_name("prior.kind", recipe.prior.kind, (*FITS, "text-gaussian"))
    if held_out is not None and (len(held_out) == 0 or recipe.data.held_out_split == recipe.data.train_split):
        held_out = None
    begun = time.perf_counter()
    fit = partial(fit_texts, say=say) if recipe.prior.kind == "text-gaussian" else FITS[recipe.prior.kind]
    prior, found = fit(recipe, cache, held_out)
    report = _general(recipe, cache) | found
    state = sum(each.numel() * each.element_size() for each in prior.state().values())
    report |= {
        "bytes": state,
        "bytes_per_condition": 4 * found["embedding"] if "embedding" in found else state // len(found.get("members", (1,))),
    }
    report["seconds"] = round(time.perf_counter() - begun, 3)
    if recipe.prior.kind != "standard":
        note = "".join(
            f"; {len(found[key])} of {len(cache.classes)} classes {what}: {_few(found[key], cache.classes)}"
            for key, what in (("fell_back", "have too few members for a covariance of their own"), ("missing", "have no members"))
            if found.get(key)
        )
        say(f"{recipe.prior.kind} prior: fitted to {len(cache):,} items in {report['seconds']:.1f} s{note}")
    return FittedPrior(recipe.prior.kind, prior, report)


def _few(numbers: Sequence[int], names: Sequence[str]) -> str:
    """The names of some classes, not of a thousand."""
    shown = ", ".join(names[c] for c in numbers[:NAMED])
    return shown if len(numbers) <= NAMED else f"{shown}, ..."


def _general(recipe: Recipe, cache: Latents) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        "kind": recipe.prior.kind,
        "items": len(cache),
        "shape": list(cache.shape),
        "classes": list(cache.classes),
        "flips": Visits(cache, recipe).flips,
        "mean": recipe.prior.mean,
        "scale": recipe.prior.scale,
    }
