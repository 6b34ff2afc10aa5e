"""Small latent caches in memory, with the interface of trainers.latents.Cache."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lab.random import generator
from trainers.recipes.schema import AutoencoderOptions, DataOptions, PriorOptions, Recipe, TrainingOptions


@dataclass
class Captions:
    """Captions of items: embeddings (m, rows, e), of which `counts` (n,) belong to each item, one after another; the last is the null caption's, of no item."""

    counts: Int[Tensor, " n"]
    embeddings: Float[Tensor, "m rows e"]
    asked: list[Int[Tensor, " b"]] = field(default_factory=list)

    def pick(self, index: Int[Tensor, " b"], uniforms: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
        first = self.counts.cumsum(0) - self.counts
        return torch.where(self.counts[index] > 0, first[index] + (uniforms * self.counts[index]).long(), len(self.embeddings) - 1)

    def states(self, numbers: Int[Tensor, " b"]) -> Float[Tensor, "b rows e"]:
        self.asked.append(numbers)
        return self.embeddings[numbers]


@dataclass
class MemoryCache:
    """Latents x (n, *shape) as a cache would give them; a mirrored one has its last axis reversed. `seen` is the item numbers of every batch, in order."""

    x: Float[Tensor, "n *shape"]
    labels: Any = None
    classes: tuple[str, ...] = ()
    mirrors: Bool[Tensor, " n"] | None = None
    captions: Any = None
    std: float = 0.0
    seen: list[int] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.x.shape[1:])

    @property
    def may_flip(self) -> Bool[Tensor, " n"]:
        return torch.ones(len(self.x), dtype=torch.bool) if self.mirrors is None else self.mirrors

    def __len__(self) -> int:
        return len(self.x)

    def batches(self, size: int) -> Iterator[tuple[Float[Tensor, "b *shape"], Int[Tensor, " b"]]]:
        for index in torch.arange(len(self.x)).split(size):
            self.seen += index.tolist()
            yield self.x[index].float(), index

    def read(
        self, index: Int[Tensor, " b"], flip: Bool[Tensor, " b"] | None = None, posterior: Float[Tensor, "b *shape"] | None = None
    ) -> Float[Tensor, "b *shape"]:
        x = self.x[index].float()
        if flip is not None:
            x = torch.where((flip & self.may_flip[index]).reshape(-1, *[1] * (x.ndim - 1)), x.flip(-1), x)
        return x if posterior is None else x + self.std * posterior


def numbers(*shape: int, seed: int = 0) -> Float[Tensor, "*shape"]:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def gaussian_cache(shape: tuple[int, ...], classes: int = 3, members: int = 60, split: int = 0) -> MemoryCache:
    """Correlated classes, each with a mean and a covariance of its own, in random order; another `split` has other members of the same classes."""
    d = prod(shape)
    mix = torch.eye(d, dtype=torch.float64) + numbers(classes, d, d, seed=1) / d**0.5
    labels = torch.arange(classes).repeat(members)[torch.randperm(classes * members, generator=generator(split, 1))]
    x = 2 * numbers(classes, d, seed=2)[labels]
    x = x + torch.einsum("nij,nj->ni", mix[labels], torch.randn(len(labels), d, dtype=torch.float64, generator=generator(split, 2)))
    return MemoryCache(x.reshape(-1, *shape), labels, tuple(f"class {c}" for c in range(classes)))


def text_cache(count: int, split: int = 0, *, noise: float = 0.5, informed: float = 1.0, captions: int = 2) -> MemoryCache:
    """Latents (2, 3, 3) linear in what `captions` captions of each item say in 4 of 16 numbers, plus noise; they say nothing at informed=0."""
    draw = generator(split, 3)
    meaning, other = torch.randn(count, 4, generator=draw), torch.randn(count, 4, generator=draw)
    x = (informed * meaning + (1 - informed) * other) @ numbers(4, 18, seed=4).float() / 2 + noise * torch.randn(count, 18, generator=draw)
    constant = 3 * (-1.0) ** torch.arange(12)  # a mapper sees embeddings standardised, and so hardly changed
    pooled = torch.cat((meaning, constant.expand(count, -1)), 1).repeat_interleave(captions, 0)
    states = torch.stack((pooled, torch.randn(pooled.shape, generator=draw)), 1)
    counts = torch.full((count,), captions)
    return MemoryCache(x.reshape(-1, 2, 3, 3), captions=Captions(counts, torch.cat((states, torch.zeros(1, 2, 16)))))


def recipe(*, condition: str = "class", flip: bool = False, seed: int = 0, posterior: str = "mean", **prior: Any) -> Recipe:
    """A recipe whose prior has these options."""
    return replace(
        Recipe(name="test"),
        data=DataOptions(condition=condition, flip=flip),
        autoencoder=AutoencoderOptions(posterior=posterior),
        prior=PriorOptions(**prior),
        training=TrainingOptions(seed=seed),
    )


def text_recipe(*, flip: bool = False, seed: int = 0, **prior: Any) -> Recipe:
    """With a mapper that trains in moments."""
    return recipe(
        condition="text",
        flip=flip,
        seed=seed,
        **{"kind": "text-gaussian", "mapper_width": 32, "mapper_steps": 150, "mapper_batch": 64, "mapper_learning_rate": 5e-3} | prior,
    )
