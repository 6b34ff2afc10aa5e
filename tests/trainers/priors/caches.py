"""Small latent caches in memory, with the interface of trainers.latents.Cache."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lab.random import generator
from trainers.recipes.schema import DataOptions, PriorOptions, Recipe, TrainingOptions


@dataclass
class Captions:
    """Captions of items: embeddings (m, rows, e), of which `counts` (n,) belong to each item, one after another."""

    counts: Int[Tensor, " n"]
    embeddings: Float[Tensor, "m rows e"]
    seen: list[int] = field(default_factory=list)

    def pick(self, index: Int[Tensor, " b"], uniforms: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
        first = self.counts.cumsum(0) - self.counts
        return first[index] + (uniforms * self.counts[index]).long()

    def states(self, numbers: Int[Tensor, " b"]) -> Float[Tensor, "b rows e"]:
        return self.embeddings[numbers]


@dataclass
class MemoryCache:
    """Latents x (n, *shape) as a cache would give them; a mirrored one has its last axis reversed."""

    x: Float[Tensor, "n *shape"]
    labels: Int[Tensor, " n"] | None = None
    classes: tuple[str, ...] = ()
    mirrors: Bool[Tensor, " n"] | None = None
    captions: Captions | None = None
    std: float = 0.0

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
            yield self.x[index].float(), index

    def read(
        self, index: Int[Tensor, " b"], flip: Bool[Tensor, " b"] | None = None, posterior: Float[Tensor, "b *shape"] | None = None
    ) -> Float[Tensor, "b *shape"]:
        x = self.x[index].float()
        if flip is not None:
            x = torch.where(flip.reshape(-1, *[1] * (x.ndim - 1)), x.flip(-1), x)
        return x if posterior is None else x + self.std * posterior


def normals(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed))


def gaussian_cache(shape: tuple[int, ...], classes: int = 3, members: int = 60, seed: int = 0, *, same: int = 0) -> MemoryCache:
    """Correlated classes, each with a mean and a covariance of its own, in random order. `same`: of the classes themselves; another seed is another split of them."""
    d = int(torch.tensor(shape).prod())
    mix = torch.eye(d, dtype=torch.float64) + normals(classes, d, d, seed=same + 1) / d**0.5
    mean = 2 * normals(classes, d, seed=same + 2)
    labels = torch.arange(classes).repeat(members)[torch.randperm(classes * members, generator=generator(seed, 1))]
    x = mean[labels] + torch.einsum(
        "nij,nj->ni", mix[labels], torch.randn(len(labels), d, dtype=torch.float64, generator=generator(seed, 2))
    )
    return MemoryCache(x.reshape(-1, *shape), labels, tuple(f"class {c}" for c in range(classes)))


def recipe(*, condition: str = "class", flip: bool = False, seed: int = 0, **prior: Any) -> Recipe:
    """A recipe whose prior has these options."""
    return replace(
        Recipe(name="test"),
        data=DataOptions(condition=condition, flip=flip),
        prior=PriorOptions(**prior),
        training=TrainingOptions(seed=seed),
    )
