"""Text mappers of which each has not seen a part of the items: training draws an item's prior from the one that has not seen it.

A mapper draws the latents of captions that it was trained on closer to their own than it can for new ones, so that the priors of training would be better than those
of sampling. With the items cut into folds, mapper f trained without fold f, and fold f's priors made by mapper f, they are alike.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lab.random import uniforms
from trainers.priors.mapper import TextMapper

FOLD = 0x5052_0003  # stream of the counter


def fold_of(seed: int, index: Int[Tensor, " b"], folds: int) -> Int[Tensor, " b"]:
    """The fold, 0 to folds - 1, of an item with all its captions: a function of the seed and its number."""
    return (uniforms(seed, index.cpu(), 1, FOLD)[:, 0] * folds).long()


class FoldMappers(nn.Module):
    """One mapper for each fold, trained already. For sampling, the mean of what they say, which for a new text is closer than each; with one fold, that of all items."""

    def __init__(self, mappers: list[TextMapper], seed: int) -> None:
        super().__init__()
        self.mappers, self.seed = nn.ModuleList(mappers), seed
        self.eval()

    def forward(self, embeddings: Float[Tensor, "b e"]) -> Float[Tensor, "b *shape"]:
        return torch.stack([mapper(embeddings) for mapper in self.mappers]).mean(0)

    def unseen(self, embeddings: Float[Tensor, "b e"], index: Int[Tensor, " b"]) -> Float[Tensor, "b *shape"]:
        """For training items of these numbers, what the mapper says that was trained without them; with one fold, what the only one says."""
        fold = fold_of(self.seed, index, len(self.mappers)).to(embeddings.device)
        rows = [torch.nonzero(fold == f)[:, 0] for f in range(len(self.mappers))]
        said = torch.cat([mapper(embeddings[own]) for mapper, own in zip(self.mappers, rows, strict=True)])
        return said[torch.cat(rows).argsort()]

    def architecture(self) -> dict[str, Any]:
        """What `of` makes the like from, weights aside."""
        first = self.mappers[0]
        assert isinstance(first, TextMapper)
        return {"folds": len(self.mappers), "seed": self.seed} | first.architecture()

    @classmethod
    def of(cls, architecture: dict[str, Any]) -> "FoldMappers":
        return cls([TextMapper.of(architecture) for _ in range(int(architecture["folds"]))], int(architecture["seed"]))
