"""What a step of training sees: noise, data, times and conditions of its effective batch, or of the part of it that a process works on.

A coupling other than the independent one is solved over the whole effective batch by every process alike (the data are in each one's memory), so that one process and
eight pair the same samples, and eight assignment tables stay equal without a message.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab.assignment import AssignmentTable
from trainers.methods import COUPLINGS, Method
from trainers.networks import null_condition
from trainers.order import COMPONENT, NULL, TIME, Order
from trainers.sources import Source

LATEST = 1 - 2**-24  # the last float32 before 1


@dataclass(frozen=True)
class Batch:
    """Some rows of a step: samples and index say which; condition is the sample's own, told what the network is told (the null one for some)."""

    samples: Int[Tensor, " b"]
    index: Int[Tensor, " b"]
    x_0: Float[Tensor, "b c h w"]
    x_1: Float[Tensor, "b c h w"]
    t: Float[Tensor, " b"]
    condition: Tensor | None
    told: Tensor | None

    def __getitem__(self, rows: slice) -> "Batch":
        condition, told = (None if c is None else c[rows] for c in (self.condition, self.told))
        return Batch(self.samples[rows], self.index[rows], self.x_0[rows], self.x_1[rows], self.t[rows], condition, told)

    def to(self, device: torch.device) -> "Batch":
        """The same on a device; the numbers stay."""
        if device.type == "cpu":
            return self
        condition, told = (None if c is None else c.to(device, non_blocking=True) for c in (self.condition, self.told))
        x_0, x_1, t = (x.to(device, non_blocking=True) for x in (self.x_0, self.x_1, self.t))
        return Batch(self.samples, self.index, x_0, x_1, t, condition, told)


@dataclass(frozen=True)
class Batches:
    """The steps of a training. `table` is LOOM-CFM's, which drawing a step changes: draw each step once, in order. held_out: data that no mapper of a
    text prior was trained on."""

    method: Method
    source: Source
    order: Order
    table: AssignmentTable | None = None
    held_out: bool = False

    def draw(self, step: int, rows: Int[Tensor, " k"], timed: Callable[[float], None] | None = None) -> Batch:
        """The rows of a step's effective batch. timed is told the seconds that pairing took."""
        samples, index = self.order.samples(step), self.order.index(step)
        if self.method.recipe.coupling.kind in ("independent", "pairs"):
            samples, index = samples[rows], index[rows]
            x_0, x_1, condition = self._paired(samples, index)
        else:
            x_0, x_1, condition = self._coupled(step, samples, index, timed)
            samples, index, x_0, x_1 = samples[rows], index[rows], x_0[rows], x_1[rows]
            condition = None if condition is None else condition[rows]
        # Not 1 itself, to which float32 rounds one time in 2^25: a score is infinite there, and the diffusion path's velocity unbounded.
        t = self.method.times.from_uniforms(self.order.uniforms(samples, TIME)).float().clamp(max=min(self.method.path.last_time, LATEST))
        return Batch(samples, index, x_0, x_1, t, condition, self._told(condition, samples))

    def _paired(self, samples: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Noises that belong to the data already: drawn for them independently, or stored with them."""
        x_1, condition, x_0 = self.source.read(index, samples, self.order)
        return (self._noise(samples, index, condition) if x_0 is None else x_0), x_1, condition

    def _noise(self, samples: Tensor, index: Tensor, condition: Tensor | None) -> Tensor:
        z = self.order.normals(samples, self.source.shape)
        uniforms = self.order.uniforms(samples, COMPONENT) if self.method.prior.needs_uniforms else None
        if self.held_out:
            return self.method.prior.from_normals(z, condition, uniforms=uniforms)
        return self.method.prior.for_training(z, condition, index, uniforms=uniforms)

    def _coupled(
        self, step: int, samples: Tensor, index: Tensor, timed: Callable[[float], None] | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        x_1, condition, _ = self.source.read(index, samples, self.order)
        slots = None if self.table is None else self._slots(step, samples, index)
        x_0 = self._noise(samples, index, condition) if slots is None else self._noise_of(slots, condition)
        began = perf_counter()
        size = self.method.recipe.coupling.batch or len(index)
        paired = []
        for rows in torch.arange(len(index)).split(size):
            told = None if condition is None else condition[rows]
            if slots is None:
                pairs = self.method.couple(x_0[rows], x_1[rows], told)
            else:
                assert self.table is not None
                pairs = self.table.exchange(slots[rows], x_0[rows], x_1[rows], told, COUPLINGS[self.method.recipe.coupling.kind])
            paired.append(pairs.x_0)
        if timed is not None:
            timed(perf_counter() - began)
        return torch.cat(paired), x_1, condition

    def _slots(self, step: int, samples: Tensor, index: Tensor) -> Tensor:
        """The table's slots that this step visits; at an epoch's first step some of its noises are replaced."""
        assert self.table is not None
        if step and step % self.order.steps_per_epoch == 0:
            self.table.refresh(self.method.recipe.coupling.refresh)
        flips = self.source.flips(index, samples, self.order)
        return self.table.slots(index if flips is None else index + self.source.n * flips, self.order.epoch(step))

    def _noise_of(self, slots: Tensor, condition: Tensor | None) -> Tensor:
        """The noise in each slot: a class's prior is that of the datum, within whose class alone noises are exchanged (trainers.recipes.checks)."""
        assert self.table is not None
        return self.method.prior.from_normals(self.table.normals(slots, self.source.shape), condition)

    def _told(self, condition: Tensor | None, samples: Tensor) -> Tensor | None:
        """The condition, replaced by the null one for a share of the visits."""
        share = self.method.recipe.network.condition_dropout
        if condition is None or share == 0:
            return condition
        dropped = self.order.uniforms(samples, NULL) < share
        null = null_condition(self.method.recipe, len(self.source.classes), self.source.null_text)
        nothing = torch.full_like(condition, null) if isinstance(null, int) else null
        assert nothing is not None
        return torch.where(dropped.reshape(-1, *[1] * (condition.ndim - 1)), nothing, condition)


def assignment_table(method: Method, source: Source) -> AssignmentTable | None:
    """LOOM-CFM's table for a source, at its beginning; None for other methods."""
    if not method.keeps_assignments:
        return None
    recipe = method.recipe
    return AssignmentTable(source.table_rows, recipe.coupling.caches, seed=recipe.training.seed)
