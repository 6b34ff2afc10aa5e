"""Trains a text mapper: Adam on drawn captions, watched on held-out ones, stopped when these no longer gain."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import prod
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from tqdm import tqdm

from lab.priors import mapper_loss
from lab.random import generator, uniforms
from trainers.priors.mapper import TextMapper
from trainers.priors.visits import Visits
from trainers.recipes.schema import PriorOptions

WEIGHTS, PASS, VISIT = 0x5052_0005, 0x5052_0006, 0x5052_1000  # streams of the counter; VISIT + the mapper's number
CHECKS = 100  # of the held-out loss at most, evenly over the steps
PATIENCE, GAIN = (
    5,
    1e-3,
)  # training ends after so many checks that gain less than this share of the loss; on emoji 8 took a tenth longer to keep the same weights


@runtime_checkable
class Captions(Protocol):
    """What a mapper needs of trainers.latents' CaptionStates."""

    @property
    def counts(self) -> Int[Tensor, " n"]: ...
    def pick(self, index: Int[Tensor, " b"], uniforms: Float[Tensor, " b"]) -> Int[Tensor, " b"]: ...
    def states(self, numbers: Int[Tensor, " b"]) -> Float[Tensor, "b rows e"]: ...


class Embeddings:
    """Pooled embeddings of captions by their numbers, each read, or encoded, at its first use and kept."""

    def __init__(self, captions: Captions) -> None:
        self.captions = captions
        self._kept: Tensor | None = None
        self._known = torch.zeros(int(captions.counts.sum()) + 1, dtype=torch.bool)  # the last is the null caption, of items without one

    def of(self, numbers: Int[Tensor, " b"]) -> Float[Tensor, "b e"]:
        new = numbers[~self._known[numbers]].unique()
        if len(new):
            found = self.captions.states(new)[:, 0].float().cpu()
            if self._kept is None:
                self._kept = torch.zeros(len(self._known), found.shape[1])
            self._kept[new], self._known[new] = found, True
        assert self._kept is not None
        return self._kept[numbers]

    def drawn(self, index: Int[Tensor, " b"], uniforms: Float[Tensor, " b"]) -> Float[Tensor, "b e"]:
        """Of one caption of each item, drawn by a uniform number."""
        return self.of(self.captions.pick(index, uniforms))


Seen = tuple[Float[Tensor, "b *shape"], Float[Tensor, "b e"], Int[Tensor, " b"]]  # latents, embeddings of their captions, item numbers


@dataclass(frozen=True)
class Texts:
    """Latents of a split with drawn captions: the visits of a training."""

    visits: Visits
    embeddings: Embeddings

    def draw(self, number: int, items: Int[Tensor, " n"], start: int, size: int) -> tuple[Float[Tensor, "b *shape"], Float[Tensor, "b e"]]:
        """Visits start to start + size - 1 of mapper `number`: an item among `items`, one of its captions and whether it is mirrored, all by the counter."""
        u = uniforms(self.visits.recipe.training.seed, torch.arange(start, start + size), 3, VISIT + number)
        index = items[(u[:, 0] * len(items)).long()]
        flip = (u[:, 2] < 0.5) & self.visits.latents.may_flip[index] if self.visits.flips else None
        return self.visits.read(index, flip), self.embeddings.drawn(index, u[:, 1])

    @property
    def with_captions(self) -> Bool[Tensor, " n"]:
        return self.embeddings.captions.counts > 0

    def all(self, about: str, only: Bool[Tensor, " n"]) -> Iterator[Seen]:
        """All visits of the items that `only` says, a caption drawn for each item."""
        for x, index in self.visits(about, only):
            u = uniforms(self.visits.recipe.training.seed, index, 1, PASS)[:, 0]
            yield x, self.embeddings.drawn(index, u), index


@dataclass(frozen=True)
class Curve:
    """How a mapper's training went: mean squared residual for each number of a held-out latent after so many steps, and the step whose weights were kept."""

    losses: tuple[tuple[int, float], ...]

    @property
    def best(self) -> float:
        """The least of the losses."""
        return min(loss for _, loss in self.losses)

    @property
    def best_step(self) -> int:
        return min(self.losses, key=lambda pair: pair[1])[0]


def train_mapper(
    options: PriorOptions,
    number: int,
    texts: Texts,
    items: Int[Tensor, " n"],
    start: Float[Tensor, " d"],
    held_out: Sequence[Seen],
) -> tuple[TextMapper, Curve]:
    """Mapper `number` of a prior on the training items `items`, from the constant `start`, watched on held-out ones.

    The loss is lab.priors.mapper_loss. Held-out loss is taken before the first step, where it is the variance about the constant, and at most CHECKS times after; the weights
    of the least are kept. Deterministic: a function of the recipe's seed, the mapper's number and the data.
    """
    seed, shape = texts.visits.recipe.training.seed, texts.visits.latents.shape
    _, embedding = texts.draw(number, items, 0, 1)
    mapper = TextMapper(embedding.shape[1], options.mapper_width, shape, generator(seed, number, WEIGHTS))
    mapper.start_from(start)
    optimiser = torch.optim.Adam(
        mapper.parameters(), lr=options.mapper_learning_rate, fused=True
    )  # 2 ms a step on emoji, where unfused took 11
    goal, best, since = _watched(mapper, held_out), deepcopy(mapper.state_dict()), 0
    losses = [(0, goal)]
    every, size = -(-options.mapper_steps // CHECKS), options.mapper_batch
    with tqdm(
        total=options.mapper_steps, desc=f"text mapper {number + 1} of {options.folds}", unit=" steps", disable=None, leave=False
    ) as bar:
        for step in range(1, options.mapper_steps + 1):
            x, e = texts.draw(number, items, (step - 1) * size, size)
            optimiser.zero_grad()
            mapper_loss(mapper.train(), e, x).backward()
            optimiser.step()
            bar.update()
            if step % every and step < options.mapper_steps:
                continue
            loss = _watched(mapper, held_out)
            if not loss < float("inf"):
                raise ValueError(
                    f"the text mapper's held-out loss is {loss} after {step} steps; lower prior.mapper_learning_rate={options.mapper_learning_rate}"
                )
            if loss < Curve(tuple(losses)).best:
                best = deepcopy(mapper.state_dict())
            losses.append((step, loss))
            bar.set_postfix(held_out=f"{loss:.4f}")
            goal, since = (loss, 0) if loss < (1 - GAIN) * goal else (goal, since + 1)
            if since == PATIENCE:
                break
    mapper.load_state_dict(best)
    return mapper.eval(), Curve(tuple(losses))


def _watched(mapper: TextMapper, held_out: Sequence[Seen]) -> float:
    mapper.eval()
    return residual(lambda e, index: mapper(e), held_out)


def residual(mapper: Callable[[Tensor, Tensor], Tensor], data: Iterable[Seen]) -> float:
    """Mean squared residual for each number of a latent, of what a mapper of embeddings and item numbers says: lab.priors.mapper_loss over the numbers of a latent."""
    total, count, numbers = 0.0, 0, 1
    with torch.no_grad():
        for x, e, index in data:
            total += float(mapper_loss(lambda e, index=index, x=x: mapper(e, index).reshape(x.shape), e, x)) * len(x)
            count, numbers = count + len(x), prod(x.shape[1:])
    return total / (count * numbers)
