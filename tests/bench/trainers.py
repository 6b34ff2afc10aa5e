"""The training loop against a bare PyTorch loop over the same network and batch, its wait for data, and what pairing costs: python -m tests.bench.trainers

Short rounds of either in turn, so that a machine that slows down slows both; what is printed is the median over rounds of each round's ratio of median steps, and of waiting
and pairing as shares of the time. Bars: .95 of the bare loop's images a second, 2 % of waiting, 5 % of pairing at batch 128 in the emoji recipes.
"""

import json
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import torch

from tests.trainers.training.small import loop_for
from trainers.latents import build_cache, open_cache
from trainers.precision import settled
from trainers.priors import fit_prior
from trainers.recipes import apply, by_name
from trainers.recipes.schema import Recipe
from trainers.sources import CacheSource

STEPS = 11  # of each in a round; the first two are left out
ROUNDS = 9


def bare(recipe: Recipe, source: CacheSource) -> float:
    """Images a second, of the median step, of the loop that anybody would write first: random rows, random noise, one loss, AdamW."""
    from trainers.networks import build

    network = build(recipe, source.shape, len(source.classes))
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.optimiser.learning_rate, fused=True)
    labels = source.cache.labels
    assert labels is not None
    data = source.cache.read(torch.arange(source.n))
    bf16 = recipe.training.precision == "bf16"
    taken = []
    for _ in range(STEPS):
        began = time.perf_counter()
        rows = torch.randperm(source.n)[: recipe.training.batch]
        x_1, x_0, t = data[rows], torch.randn(recipe.training.batch, *source.shape), torch.rand(recipe.training.batch)
        at = t[:, None, None, None]
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            u = network((1 - at) * x_0 + at * x_1, t, labels[rows])
        loss = (u.float() - (x_1 - x_0)).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        taken.append(time.perf_counter() - began)
    return recipe.training.batch / median(taken[2:])


def ours(recipe: Recipe, source: CacheSource, prior: object, folder: Path) -> dict[str, float]:
    """Images a second of the loop's median step, from one step's beginning to the next one's, with records as often as the recipe says; its shares of waiting and pairing."""
    settings = {"training.steps": STEPS, "training.checkpoint_every": 10_000, "training.preview_every": 10_000}
    loop, progress = loop_for(apply(recipe, settings), folder, source=source, prior=prior)  # pyright: ignore[reportArgumentType]
    loop._save = lambda progress, judged: None  # pyright: ignore[reportAttributeAccessIssue]  # a checkpoint is not a step
    began, step = [], loop._step

    def timed(*given: Any) -> None:
        began.append(time.perf_counter())
        step(*given)

    loop._step = timed  # pyright: ignore[reportAttributeAccessIssue]
    loop.train(progress)
    (line,) = (json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())
    taken = [b - a for a, b in pairwise(began[1:])]  # the first batch is drawn before anything can be done beside it
    return {"images_per_second": recipe.training.batch / median(taken), "wait": line["data_wait"], "coupling": line["coupling"]}


def main(names: list[str]) -> None:
    """Prints a line for each recipe."""
    print(
        f"{'recipe':<22} {'bare img/s':>10} {'ours img/s':>10} {'ratio':>6} {'wait':>7} {'pairing':>8}   threads {torch.get_num_threads()}"
    )
    for name in names:
        recipe = settled(by_name(name))
        folder = Path("runs/cache") / ("digits-8-pixels" if name.startswith("digits") else "emoji-64-taef2")
        build_cache(recipe, folder, say=lambda _: None)
        cache = open_cache(folder, "train", recipe)
        source = CacheSource(cache, recipe)
        prior = fit_prior(recipe, cache, open_cache(folder, "val", recipe), say=lambda _: None)
        rounds = []
        with tempfile.TemporaryDirectory() as place:
            for k in range(ROUNDS):
                rate = bare(recipe, source)
                rounds.append(
                    {"bare": rate} | (own := ours(recipe, source, prior, Path(place) / str(k))) | {"ratio": own["images_per_second"] / rate}
                )
        middle = {name: median(r[name] for r in rounds) for name in rounds[0]}
        print(
            f"{name:<22} {middle['bare']:>10.0f} {middle['images_per_second']:>10.0f} {middle['ratio']:>6.3f} {middle['wait']:>7.2%} {middle['coupling']:>8.2%}",
            flush=True,
        )


if __name__ == "__main__":
    main(
        sys.argv[1:]
        or ["emoji-condot", "emoji-batchot", "emoji-class-batchot", "emoji-loom", "emoji-class-loom", "emoji-cpd", "emoji-cpd-ot"]
    )
