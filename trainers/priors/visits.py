"""Passes over a latent cache as a training sees it, for statistics."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm import tqdm

from lab.random import normals, uniforms
from trainers.recipes.schema import Recipe

BYTES = 2**27  # of latents in memory at a time; large batches give every class many members, which is what sketches are quick with
POSTERIOR, FIFTH = 0x5052_0001, 0x5052_0002  # streams of the counter


@runtime_checkable
class Latents(Protocol):
    """What fitting needs of one split of a cache (trainers.latents.Cache)."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def labels(self) -> Int[Tensor, " n"] | None: ...
    @property
    def classes(self) -> tuple[str, ...]: ...
    @property
    def may_flip(self) -> Bool[Tensor, " n"]: ...
    @property
    def captions(self) -> Any: ...
    def __len__(self) -> int: ...
    def batches(self, size: int) -> Iterator[tuple[Float[Tensor, "b *shape"], Int[Tensor, " b"]]]: ...
    def read(
        self, index: Int[Tensor, " b"], flip: Bool[Tensor, " b"] | None = None, posterior: Float[Tensor, "b *shape"] | None = None
    ) -> Float[Tensor, "b *shape"]: ...


@dataclass(frozen=True)
class Visits:
    """A split as the training sees it: every item once, and where the recipe flips, once more with those mirrored that may be, so that moments are those of both.

    Where the recipe draws from an autoencoder's posterior, so do these, by the counter.
    """

    latents: Latents
    recipe: Recipe

    @property
    def flips(self) -> bool:
        return self.recipe.data.flip and bool(self.latents.may_flip.any())

    @property
    def each(self) -> int:
        """Visits of an item."""
        return 2 if self.flips else 1

    def read(self, index: Int[Tensor, " b"], flip: Bool[Tensor, " b"] | None = None) -> Float[Tensor, "b *shape"]:
        """Latents of some items."""
        if self.recipe.autoencoder.posterior == "mean":
            return self.latents.read(index, flip)
        z = normals(self.recipe.training.seed, index, prod(self.latents.shape), POSTERIOR, torch.float32)
        return self.latents.read(index, flip, z.reshape(-1, *self.latents.shape))

    def __call__(self, about: str, only: Bool[Tensor, " n"] | None = None) -> Iterator[tuple[Float[Tensor, "b *shape"], Int[Tensor, " b"]]]:
        """(x, item numbers), with a progress bar that says what it is about. only (n,): the items to visit."""
        size = min(max(BYTES // (4 * prod(self.latents.shape)), 1), len(self.latents))
        with tqdm(total=len(self.latents), desc=about, unit=" items", disable=None, leave=False) as bar:
            for x, index in self.latents.batches(size):
                bar.update(len(index))
                chosen = index if only is None else index[only[index]]
                if len(chosen) == 0:
                    continue
                plain = x if len(chosen) == len(index) and self.recipe.autoencoder.posterior == "mean" else self.read(chosen)
                yield plain, chosen
                if self.flips:
                    yield self.read(chosen, self.latents.may_flip[chosen]), chosen


def fifth(seed: int, count: int) -> Bool[Tensor, " n"]:
    """About a fifth of the items, by the counter: held out where a data set has no held-out split."""
    return uniforms(seed, torch.arange(count), 1, FIFTH)[:, 0] < 0.2
