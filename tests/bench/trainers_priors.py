"""How long x_0 for a batch of 128 emoji latents takes on one core, by prior: `python -m tests.bench.trainers_priors` prints one JSON object.

Priors are fitted to random latents of the emoji's size, so only the time means something. N(0, I), which returns its normal numbers, is the floor.
"""

import json
import statistics
import time

import torch

from tests.trainers.priors.caches import Captions, MemoryCache, recipe, text_recipe
from trainers.priors import FittedPrior, fit_prior

BATCH, SHAPE, CLASSES, ITEMS, ROUNDS, BAR = 128, (32, 8, 8), 9, 720, 200, 1.5  # the bar is milliseconds, of low-rank covariances of rank 16


def milliseconds(prior: FittedPrior) -> dict[str, float]:
    """Least and median of the rounds."""
    draw = torch.Generator().manual_seed(0)
    z, index = torch.randn(BATCH, *SHAPE, generator=draw), torch.randint(0, ITEMS, (BATCH,), generator=draw)
    condition = (
        torch.randn(BATCH, 9, 384, generator=draw) if prior.kind == "text-gaussian" else torch.randint(0, CLASSES, (BATCH,), generator=draw)
    )
    uniforms = torch.rand(BATCH, generator=draw, dtype=torch.float64) if prior.needs_uniforms else None
    taken = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        prior.for_training(z, condition, index, uniforms=uniforms)
        taken.append(1000 * (time.perf_counter() - begun))
    return {"least": round(min(taken), 3), "median": round(statistics.median(taken), 3)}


def measured() -> dict[str, dict[str, float]]:
    draw = torch.Generator().manual_seed(1)
    latents, labels = torch.randn(ITEMS, *SHAPE, generator=draw), torch.arange(ITEMS) % CLASSES
    captions = Captions(torch.ones(ITEMS, dtype=torch.int64), torch.randn(ITEMS + 1, 1, 384, generator=draw))
    cache = MemoryCache(latents, labels, tuple(map(str, range(CLASSES))), captions=captions)
    cases = {
        "standard": recipe(kind="standard"),
        "pooled-gaussian, rank 16": recipe(kind="pooled-gaussian", covariance="low-rank", rank=16, shrinkage=0.1),
        "class-gaussian, diagonal": recipe(kind="class-gaussian", covariance="diagonal", shrinkage=0.1),
        "class-gaussian, rank 16": recipe(kind="class-gaussian", covariance="low-rank", rank=16, shrinkage=0.1),
        "class-mixture, 3 of rank 16": recipe(kind="class-mixture", covariance="low-rank", rank=16, shrinkage=0.1, components=3),
        "text-gaussian": text_recipe(mapper_steps=1, mapper_width=512),
    }
    return {name: milliseconds(fit_prior(each, cache, cache)) for name, each in cases.items()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({"batch": BATCH, "shape": SHAPE, "bar": BAR, "milliseconds": measured()}))
