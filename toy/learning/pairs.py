"""What networks are trained on: streams of pairs (x_0, x_1) with their classes, one stream for each network.

A stream is a function of the network's seed and of the block's number, so that training can stop, go on or go back without a generator's state. LOOM's table is the exception:
it changes as it is visited, and is part of a snapshot.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab import random
from lab.assignment import AssignmentTable
from lab.couplings import BatchOT, PerClassOT
from lab.mixtures import schedule
from lab.random import generator
from toy.blocks import PairedField
from toy.drawn_pairs import LabelledPairs, draw_pairs
from toy.fitted import HELD_OUT
from toy.pair_mixtures import LEAST_PER_GROUP
from toy.sampled_pairs import pair_count
from toy.world import World, is_conditional

# Streams of a network's seed: what its random numbers are used for.
BLOCK_STREAM, FRESH_STREAM, POOL_STREAM, TABLE_DATA_STREAM, TABLE_PART_STREAM, REFLOW_STREAM = range(0x4E4E10, 0x4E4E16)

LEAST_SHOWN = 400  # pairs of full OT: ten at each of the times that a loss is measured at


class PairStream:
    """Pairs for S networks; `network` is a network's place among them. one_to_one: x_0 determines x_1, so that lines that do not cross would leave a loss of 0.

    block_size: pairs of a block, where the stream dictates them.
    """

    name: str
    one_to_one: bool = False
    block_size: int | None = None

    def block(self, network: int, number: int, count: int) -> LabelledPairs:
        """Block `number` of training pairs, `count` of them in random order."""
        raise NotImplementedError

    def fresh(self, network: int, count: int) -> LabelledPairs:
        """Pairs to measure with: others than those trained on, where others can be had."""
        raise NotImplementedError

    def state(self) -> Any:
        """A copy of what training has changed; None where it changes nothing."""
        return None

    def restore(self, state: Any) -> None:
        """Back to a `state`."""


class FreshPairs(PairStream):
    """New pairs of the scene's coupling at every iteration."""

    name = "fresh pairs of the scene's coupling"

    def __init__(self, made: World, seeds: Sequence[int]) -> None:
        self.made, self.seeds = made, seeds

    def block(self, network: int, number: int, count: int) -> LabelledPairs:
        return draw_pairs(self.made, count, generator(self.seeds[network], number, BLOCK_STREAM))

    def fresh(self, network: int, count: int) -> LabelledPairs:
        return draw_pairs(self.made, count, generator(self.seeds[network], 0, FRESH_STREAM))


class PairPool(PairStream):
    """A fixed set of pairs for each network, from which every block is drawn at random. measured: how to draw others for measuring; the same set where there are none."""

    def __init__(
        self,
        name: str,
        pools: Sequence[LabelledPairs],
        seeds: Sequence[int],
        *,
        one_to_one: bool,
        measured: Callable[[int, int], LabelledPairs] | None = None,
    ) -> None:
        self.name, self.pools, self.seeds, self.one_to_one, self._measured = name, pools, seeds, one_to_one, measured

    def block(self, network: int, number: int, count: int) -> LabelledPairs:
        pool, g = self.pools[network], generator(self.seeds[network], number, BLOCK_STREAM)
        return pool.rows(torch.randint(len(pool), (count,), generator=g))

    def fresh(self, network: int, count: int) -> LabelledPairs:
        if self._measured is not None:
            return self._measured(network, count)
        pool = self.pools[network]
        return pool.rows(torch.randperm(len(pool), generator=generator(self.seeds[network], 0, FRESH_STREAM))[:count])


def scene_stream(made: World, seeds: Sequence[int]) -> PairStream:
    """Pairs of the scene's own coupling.

    Batch OT: as many as a fit takes (200,000 up to a batch size of 256), drawn once for each network. Full OT: the shown points' pairs, for all networks.
    """
    if isinstance(made.field, PairedField):
        if made.scene.count < LEAST_SHOWN:
            raise ValueError(
                f"count={made.scene.count} shown points are too few to train on with coupling='full-ot'; give at least {LEAST_SHOWN}"
            )
        shown = LabelledPairs(made.field.x_0, made.field.x_1, made.field.condition)
        return PairPool("the shown points, paired optimally", [shown] * len(seeds), seeds, one_to_one=True)
    if made.fitted is None:
        return FreshPairs(made, seeds)
    count = pair_count(made.scene.batch_size)
    pools = [draw_pairs(made, count, generator(s, 0, POOL_STREAM)) for s in seeds]
    others = FreshPairs(made, seeds)
    return PairPool(f"{count} pairs of the scene's batch OT", pools, seeds, one_to_one=False, measured=others.fresh)


class LoomPairs(PairStream):
    """LOOM-CFM on a fixed set of n data for each network: every block's pairs come from its assignment table, which is improved on the way (lab.assignment).

    per_class: noises are exchanged within a class alone, which keeps p(x_0 | class) the prior. A block is a whole number of OT batches of `ot_batch`, all of one epoch.
    Blocks have to be visited in order; the last one may be asked for again. Source: Davtyan et al. 2025.
    """

    def __init__(
        self, made: World, seeds: Sequence[int], *, data: int, caches: int, ot_batch: int, train_batch: int, per_class: bool
    ) -> None:
        if made.scene.coupling != "independent":
            raise ValueError(
                f"method='{'class-loom' if per_class else 'loom'}' makes a coupling of its own and has no use for coupling={made.scene.coupling!r}; leave that independent"
            )
        if is_conditional(made.scene) and not per_class:
            raise ValueError(
                "method='loom' would carry noises of a conditional prior into other classes; use method='class-loom' or another prior"
            )
        self.name = f"LOOM's table of {data} data with {caches} caches, OT batches of {ot_batch}{' per class' if per_class else ''}"
        self.made, self.seeds, self.data, self.ot_batch = made, seeds, data, ot_batch
        self.block_size = max(ot_batch, train_batch)
        self.coupling = PerClassOT() if per_class else BatchOT()
        target = made.target
        self.component = schedule(target.weights, data)
        self.condition = target.classes[self.component]
        least, found = int(LEAST_PER_GROUP / (1 - HELD_OUT)) + 1, caches * torch.bincount(self.component, minlength=len(target.weights))
        rare = int(found.masked_fill(target.weights == 0, data * caches).argmin())
        if (
            found[rare] < least and target.weights[rare] > 0
        ):  # the field of the table's pairs could not be fitted, and the networks not measured
            raise ValueError(
                f"data={data} gives component {rare} of the target {int(found[rare])} pairs; take more: at least {least} are needed"
            )
        rows = torch.arange(data)
        self.x_1 = [target.from_normals(random.normals(s, rows, 2, TABLE_DATA_STREAM), self.component) for s in seeds]
        self.tables = [AssignmentTable(data, caches, seed=s) for s in seeds]
        # What every noise stands for, once: a quarter of a batch's time otherwise. Numbers run from 0 to n C - 1, for no noise is ever replaced here.
        every = torch.arange(data * caches)
        self._normals, self._uniforms = [], []
        for s, table in zip(seeds, self.tables, strict=True):
            order = table.noises(every).argsort()
            self._normals.append(table.normals(every, (2,), torch.float64)[order])
            self._uniforms.append(random.uniforms(s, every, 1, TABLE_PART_STREAM))
        self.visited = [-1] * len(seeds)
        self._batches = lru_cache(maxsize=2 * len(seeds))(lambda network, epoch: self.tables[network].batches(ot_batch, epoch=epoch))

    def block(self, network: int, number: int, count: int) -> LabelledPairs:
        if number not in (self.visited[network], self.visited[network] + 1) or count != self.block_size:
            raise ValueError(
                f"block {number} of {count} pairs is out of order; the next is {self.visited[network] + 1} of {self.block_size}"
            )
        each, per_epoch = count // self.ot_batch, self.data // self.ot_batch
        found = []
        for batch in range(number * each, (number + 1) * each):
            epoch, place = divmod(batch, per_epoch)
            index = self._batches(network, epoch)[place]
            slots = self.tables[network].slots(index, epoch)
            found.append(self._visit(network, slots, index))  # a block that is asked for again is optimal already, and stays
        self.visited[network] = number
        return LabelledPairs(*(torch.cat([getattr(p, name) for p in found]) for name in ("x_0", "x_1", "condition")))

    def _visit(self, network: int, slots: Tensor, index: Tensor) -> LabelledPairs:
        x_1, condition = self.x_1[network][index], self.condition[index]
        pairs = self.tables[network].exchange(slots, self._noises(network, slots, condition), x_1, condition, self.coupling)
        return LabelledPairs(pairs.x_0, pairs.x_1, condition)

    def _noises(self, network: int, slots: Tensor, condition: Tensor) -> Float[Tensor, "n 2"]:
        """x_0 of each slot's noise: a function of its number, and of the class where the prior has classes."""
        source, noise = self.made.source, self.tables[network].noises(slots)
        z, u = self._normals[network][noise], self._uniforms[network][noise]
        if is_conditional(self.made.scene):
            weights = source.weights * (source.classes == condition[:, None])
        else:
            weights = source.weights.expand(len(slots), -1)
        steps = weights.cumsum(1)
        return source.from_normals(z, (u * steps[:, -1:] > steps).sum(1))

    def table_pairs(self, network: int) -> tuple[LabelledPairs, Int[Tensor, " m"]]:
        """The pairs of all slots, and the target's component of each."""
        caches = self.tables[network].caches
        slots = torch.arange(self.data * caches)
        index = slots // caches
        x_0 = self._noises(network, slots, self.condition[index])
        return LabelledPairs(x_0, self.x_1[network][index], self.condition[index]), self.component[index]

    def fresh(self, network: int, count: int) -> LabelledPairs:
        pairs, _ = self.table_pairs(network)
        return pairs.rows(torch.randperm(len(pairs), generator=generator(self.seeds[network], 0, FRESH_STREAM))[:count])

    def state(self) -> tuple[tuple[int, Tensor], ...]:
        return tuple((v, table.state()) for v, table in zip(self.visited, self.tables, strict=True))

    def restore(self, state: tuple[tuple[int, Tensor], ...]) -> None:
        self.visited = [v for v, _ in state]
        self.tables = [AssignmentTable.from_state(words) for _, words in state]


def draw_starts(made: World, count: int, generator: torch.Generator) -> tuple[Float[Tensor, "n 2"], Int[Tensor, " n"]]:
    """x_0 of the prior with a class each, as sampling draws them: whatever the training coupling is, x_0 given the class is the prior's."""
    cell = torch.multinomial(made.plan.flatten(), count, replacement=True, generator=generator)
    j, k = cell // made.plan.shape[1], cell % made.plan.shape[1]
    x_0 = made.source.from_normals(torch.randn(count, 2, dtype=torch.float64, generator=generator), j)
    return x_0, made.target.classes[k]
