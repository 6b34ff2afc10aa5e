"""Fits CPD's prior for texts, N(mapper(embedding), sigma^2 I): mappers by cross-fitting, sigma from residuals on items that their mapper did not see."""

import time
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lab.moments import DiagonalMoments
from lab.priors import Gaussian, TextGaussian
from trainers.priors.cross_fitting import FoldMappers, fold_of
from trainers.priors.mapper_training import Captions, Embeddings, Texts, residual, train_mapper
from trainers.priors.parts import Parts
from trainers.priors.shrinkage import nats_per_dimension
from trainers.priors.visits import Latents
from trainers.recipes.schema import Recipe


def fit_texts(
    recipe: Recipe, cache: Latents, held_out: Latents | None, *, say: Callable[[str], None] = print
) -> tuple[TextGaussian, dict[str, Any]]:
    """A mapper for each fold, every one stopped by the held-out items, which none is trained on; the options' scale multiplies sigma. Says what takes time.

    sigma is the root mean squared residual of training items under the mapper that did not see them; with one fold, where every item was seen, of held-out ones.

    Raises ValueError for caches without captions, for prior.mean other than 1, and for so few items that a fold is empty.
    """
    options, parts, seed = recipe.prior, Parts(recipe, cache, held_out), recipe.training.seed
    if options.mean != 1:
        raise ValueError(
            f"prior.mean={options.mean} is for priors of classes; a text prior is centred where its mapper says, so leave it 1"
        )
    training = Texts(parts.visits, Embeddings(_captions_of(cache)))
    watched = training if held_out is None else Texts(parts.held, Embeddings(_captions_of(held_out)))
    among = training.with_captions if parts.first is None else training.with_captions & parts.first
    only = watched.with_captions & parts.only
    if not bool(only.any()):
        raise ValueError(
            "no held-out item has a caption, so the text mapper could not be stopped in time; take another data.held_out_split"
        )
    held = list(watched.all("held-out captions", only))

    fold = fold_of(seed, torch.arange(len(cache)), options.folds)
    sizes = torch.bincount(fold[among], minlength=options.folds)
    if int(sizes.min()) == 0:
        raise ValueError(f"prior.folds={options.folds} leaves a fold of the {int(among.sum())} items with captions empty; take fewer folds")
    by_fold, everything = _moments(parts, fold, options.folds, among)
    starts = _means_without_a_fold(by_fold)
    mappers, trained = [], []
    say(
        f"text mappers: {options.folds} to train on {int(among.sum()):,} items with captions, each in at most {options.mapper_steps:,} steps of {options.mapper_batch}"
    )
    for f in range(options.folds):
        begun = time.perf_counter()
        items = torch.nonzero(among & (fold != f) if options.folds > 1 else among)[:, 0]
        mapper, curve = train_mapper(options, f, training, items, starts[f], held)
        mappers.append(mapper)
        trained.append({"items": len(items), "best_step": curve.best_step, "curve": [list(pair) for pair in curve.losses]})
        say(
            f"text mapper {f + 1} of {options.folds}: held-out loss {curve.losses[0][1]:.4f} at first, {curve.best:.4f} after {curve.best_step} of {curve.losses[-1][0]} steps, "
            f"{time.perf_counter() - begun:.0f} s"
        )

    mapper, mean = FoldMappers(mappers, seed), everything.means[0].float()
    left = residual(lambda e, index: mapper(e), held)
    explained = {"held_out": 1 - left / residual(lambda e, index: mean.expand(len(e), -1), held)}
    if options.folds > 1:
        left = residual(mapper.unseen, training.all("residuals", among))
        explained["cross_fitted"] = 1 - left / residual(lambda e, index: starts[fold[index]], training.all("residuals", among))
    sigma = options.scale * (left**0.5 if options.sigma is None else options.sigma)
    prior, one = TextGaussian(mapper, sigma), Gaussian(float(everything.variances.mean().sqrt()), everything.means[0].reshape(cache.shape))
    nats = {
        "prior": nats_per_dimension(prior, lambda: ((x, e) for x, e, _ in held)),
        "standard": nats_per_dimension(Gaussian(), lambda: ((x, None) for x, _, _ in held)),
        "pooled_gaussian": nats_per_dimension(one, lambda: ((x, None) for x, _, _ in held)),
    }
    unseen = "training items under the mapper that did not see them" if options.folds > 1 else "held-out items"
    return prior, {
        "folds": options.folds,
        "parameters": sum(p.numel() for p in mapper.parameters()),
        "embedding": mappers[0].embedding,
        "mappers": trained,
        "explained_variance": explained,
        "sigma": {"value": sigma, "from": f"residuals of {unseen}" if options.sigma is None else "given"},
    } | parts.summary(nats)


def _captions_of(cache: Latents) -> Captions:
    if cache.captions is None:
        raise ValueError("prior.kind='text-gaussian' needs captions, and this cache has none; take pooled-gaussian, or data with captions")
    return cache.captions


def _moments(parts: Parts, fold: Tensor, folds: int, among: Bool[Tensor, " n"]) -> tuple[DiagonalMoments, DiagonalMoments]:
    """Means of each fold, and mean and variances of all, in one pass."""
    dimension = prod(parts.visits.latents.shape)
    by_fold, everything = DiagonalMoments(folds, dimension), DiagonalMoments(1, dimension)
    for x, index in parts.visits("statistics", among):
        by_fold.update(x, fold[index])
        everything.update(x, torch.zeros_like(index))
    return by_fold, everything


def _means_without_a_fold(by_fold: DiagonalMoments) -> Float[Tensor, "f d"]:
    """For each fold the mean latent of the others; of one fold, its own."""
    counts = by_fold.counts.double()
    others = 1 - torch.eye(len(counts), dtype=torch.float64) if len(counts) > 1 else torch.ones(1, 1, dtype=torch.float64)
    return ((others * counts) @ by_fold.means / (others @ counts)[:, None]).float()
