"""What a prior is fitted to, and what is held out to choose shrinkage, to stop early and to measure densities on."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from trainers.priors.shrinkage import Labelled
from trainers.priors.visits import Latents, Visits, fifth
from trainers.recipes.schema import Recipe

MOST = 5000  # held-out items that are looked at, evenly spread


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
        return "held-out split" if self.rest is None else "a fifth of the training split"

    def held_out(self, labels: Int[Tensor, " n"] | None = None) -> Callable[[], Labelled]:
        """Held-out latents with their classes, all 0 if None."""
        own = torch.zeros(len(self.held.latents), dtype=torch.int64) if labels is None else labels
        return lambda: ((x, own[index]) for x, index in self.held("held-out density", self.only))

    def summary(self, nats: dict[str, float | None]) -> dict[str, Any]:
        return {"held_out": {"on": self.on, "items": int(self.only.sum()), "nats_per_dimension": nats}}
