"""Where a training's data come from: a latent cache, or pairs that a model made (reflow). Both give data by number, with their conditions."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from lab.stored_pairs import StoredPairs
from trainers.latents import Cache, Normalisation
from trainers.latents.captions import CaptionStates
from trainers.order import CAPTION, POSTERIOR, Order
from trainers.recipes.schema import Recipe


class Source(ABC):
    """n data of a shape (c, h, w), with what a checkpoint needs to know of them.

    classes: names. law: the share of each class, None without classes. null_text: the states of the empty text (rows, e), None without text.
    normalisation: how data became latents.
    """

    n: int
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    law: Float[Tensor, " c"] | None
    null_text: Float[Tensor, "rows e"] | None
    normalisation: Normalisation

    @property
    def table_rows(self) -> int:
        """Data that an assignment table tells apart: mirror images have slots of their own."""
        return self.n

    @abstractmethod
    def flips(self, index: Int[Tensor, " b"], samples: Int[Tensor, " b"], order: Order) -> Bool[Tensor, " b"] | None:
        """Which of these visits see the mirror image; None where none ever does."""

    @abstractmethod
    def read(
        self, index: Int[Tensor, " b"], samples: Int[Tensor, " b"], order: Order
    ) -> tuple[Float[Tensor, "b c h w"], Tensor | None, Float[Tensor, "b c h w"] | None]:
        """x_1, their conditions, and x_0 where the source has pairs: what global sample numbers `samples` see of the data `index`."""


class CacheSource(Source):
    """A split of a latent cache, under a recipe's flips and condition."""

    def __init__(self, cache: Cache, recipe: Recipe) -> None:
        self.cache, self.recipe = cache, recipe
        self.n, self.shape, self.classes, self.normalisation = len(cache), cache.shape, cache.classes, cache.normalisation
        kind = recipe.data.condition
        if kind == "class" and cache.labels is None:
            raise ValueError(f"{cache.folder} has no classes for data.condition='class'; --set data.condition=none")
        if kind == "text" and cache.captions is None:
            raise ValueError(f"{cache.folder} has no captions for data.condition='text'; --set data.condition=none")
        self.law = None
        if kind == "class":
            assert cache.labels is not None
            self.law = torch.bincount(cache.labels, minlength=len(self.classes)).double() / self.n
        self.null_text = None
        if kind == "text":
            assert cache.captions is not None
            self.null_text = cache.captions.states(torch.tensor([cache.captions.null]))[0]
        self.mirrored = recipe.data.flip and bool(cache.may_flip.any())

    @property
    def table_rows(self) -> int:
        return 2 * self.n if self.mirrored else self.n

    def flips(self, index: Int[Tensor, " b"], samples: Int[Tensor, " b"], order: Order) -> Bool[Tensor, " b"] | None:
        return order.flips(samples) & self.cache.may_flip[index] if self.mirrored else None

    def read(
        self, index: Int[Tensor, " b"], samples: Int[Tensor, " b"], order: Order
    ) -> tuple[Float[Tensor, "b c h w"], Tensor | None, Float[Tensor, "b c h w"] | None]:
        flip = self.flips(index, samples, order)
        draws = order.normals(samples, self.shape, POSTERIOR) if self.recipe.autoencoder.posterior == "sample" else None
        return self.cache.read(index, flip, draws), self._condition(index, samples, order), None

    def _condition(self, index: Tensor, samples: Tensor, order: Order) -> Tensor | None:
        if self.recipe.data.condition == "class":
            assert self.cache.labels is not None
            return self.cache.labels[index]
        if self.recipe.data.condition == "text":
            captions = self.cache.captions
            assert captions is not None
            return captions.states(captions.pick(index, order.uniforms(samples, CAPTION)))
        return None


class PairsSource(Source):
    """Pairs that a model made: their noise and condition are kept, and nothing is mirrored."""

    def __init__(
        self,
        stored: StoredPairs,
        rows: Int[Tensor, " n"],
        *,
        classes: tuple[str, ...],
        law: Float[Tensor, " c"] | None,
        normalisation: Normalisation,
        captions: CaptionStates | None = None,
        null_text: Float[Tensor, "rows e"] | None = None,
    ) -> None:
        self.stored, self.rows, self.captions = stored, rows, captions
        self.n, self.classes, self.law, self.normalisation, self.null_text = len(rows), classes, law, normalisation, null_text
        channels, height, width = stored.x_1.shape[1:]
        self.shape = (channels, height, width)

    def flips(self, index: Int[Tensor, " b"], samples: Int[Tensor, " b"], order: Order) -> Bool[Tensor, " b"] | None:
        return None

    def read(
        self, index: Int[Tensor, " b"], samples: Int[Tensor, " b"], order: Order
    ) -> tuple[Float[Tensor, "b c h w"], Tensor | None, Float[Tensor, "b c h w"] | None]:
        pairs = self.stored.batch(self.rows[index])
        condition = pairs.condition
        if self.captions is not None and condition is not None:
            condition = self.captions.states(condition)
        return pairs.x_1.float(), condition, pairs.x_0.float()
