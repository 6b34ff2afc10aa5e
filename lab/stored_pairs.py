"""Pairs that a model made, x_0 its noise and x_1 its sample, stored and served in batches: the coupling of reflow.

pairs = StoredPairs(SeededNoise(seed, index), x_1, condition)
for rows in pairs.batches(256, epoch=epoch, seed=0): batch = pairs.batch(rows)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Int, Shaped
from torch import Tensor

from lab.couplings import Pairs, Prior
from lab.random import normals, uniforms

ORDER = 0x50414952  # the stream of the batches' order, apart from those that callers may use
VERSION = 1


@dataclass(frozen=True)
class SeededNoise:
    """Noise as numbers of the counter instead of values: row i is prior(normals(seed, index[i], ..., stream), condition), N(0, I) if prior is None.

    Give the model x_0 by the same seed, stream and prior, in float32 (in float64 if x_1 is): the noise comes back bit by bit on the same device, and to
    rounding on another. Eight bytes a pair.
    """

    seed: int
    index: Int[Tensor, " n"]
    stream: int = 0
    prior: Prior | None = None

    def __len__(self) -> int:
        return len(self.index)

    def at(self, rows: Int[Tensor, " b"], shape: tuple[int, ...], dtype: torch.dtype, condition: Tensor | None) -> Tensor:
        """The noises of these rows, (B, *shape); condition is that of the rows."""
        z = normals(self.seed, self.index[rows], prod(shape), self.stream, dtype).reshape(-1, *shape)
        return z if self.prior is None else self.prior(z, condition)


@dataclass(frozen=True)
class StoredPairs:
    """n pairs (x_0, x_1), with their conditions where there are any. x_0: values, or a SeededNoise.

    Raises ValueError where x_0, x_1 and condition are not equally many, where values x_0 have another shape than x_1, where there are none, and for
    samples that are whole numbers, whose scale the pairs do not know.
    Source: Liu et al. 2022, section 2.2 (reflow).
    """

    x_0: Tensor | SeededNoise
    x_1: Shaped[Tensor, "n *shape"]
    condition: Shaped[Tensor, "k *c"] | None = None

    def __post_init__(self) -> None:
        n = len(self.x_1)
        if n == 0:
            raise ValueError("x_1 holds no sample")
        if not self.x_1.is_floating_point():
            raise ValueError(f"x_1 is {self.x_1.dtype}; samples must be floating-point numbers in data units (float16 to save room)")
        if isinstance(self.x_0, Tensor) and self.x_0.shape != self.x_1.shape:
            raise ValueError(f"x_0 {tuple(self.x_0.shape)} and x_1 {tuple(self.x_1.shape)} must have the same shape to be paired")
        if len(self.x_0) != n:
            raise ValueError(f"the noise's index has {len(self.x_0)} entries for {n} samples x_1")
        if self.condition is not None and len(self.condition) != n:
            raise ValueError(f"condition has {len(self.condition)} entries for {n} samples x_1")

    def __len__(self) -> int:
        return len(self.x_1)

    def batch(self, rows: Int[Tensor, " b"]) -> Pairs:
        """The pairs of these rows, in their order; index is rows, so that x_0 = the stored x_0[index]. Raises ValueError for a row outside 0 to n - 1."""
        if len(rows) and not 0 <= int(rows.min()) <= int(rows.max()) < len(self):
            raise ValueError(f"rows run from {int(rows.min())} to {int(rows.max())}; the stored pairs are 0 to {len(self) - 1}")
        x_1 = self.x_1[rows]
        condition = None if self.condition is None else self.condition[rows]
        if isinstance(self.x_0, Tensor):
            return Pairs(self.x_0[rows], x_1, condition, rows)
        x_0 = self.x_0.at(rows, tuple(x_1.shape[1:]), torch.promote_types(x_1.dtype, torch.float32), condition)
        return Pairs(x_0, x_1, condition, rows)

    def batches(self, size: int, *, epoch: int, seed: int) -> tuple[Int[Tensor, " b"], ...]:
        """The rows of an epoch, each once, in batches of `size` (the last may be smaller): a random order, a function of (seed, epoch) alone.

        Raises ValueError for size below 1 and for an epoch outside 0 to 2^31 - 1.
        """
        if size < 1:
            raise ValueError(f"size={size} must be at least 1")
        if not 0 <= epoch < 2**31:
            raise ValueError(f"epoch={epoch} must lie in 0 to 2^31 - 1")
        order = uniforms(seed, torch.arange(len(self)) + (epoch << 32), 1, ORDER)[:, 0].argsort()
        return order.to(self.x_1.device).split(size)

    def state(self) -> dict[str, Tensor]:
        """All of it as plain tensors, for a checkpoint, but a SeededNoise's prior. Tensors are the pairs' own, not copies."""
        state = {"version": torch.tensor(VERSION), "x_1": self.x_1}
        if self.condition is not None:
            state["condition"] = self.condition
        if isinstance(self.x_0, Tensor):
            return state | {"x_0": self.x_0}
        seed, stream = self.x_0.seed, self.x_0.stream
        return state | {"noise": torch.tensor([seed & 0xFFFFFFFF, seed >> 32, stream]), "index": self.x_0.index}

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], prior: Prior | None = None) -> "StoredPairs":
        """The pairs that `state` describes; prior is the SeededNoise's. Raises ValueError where state is not that of StoredPairs, or of another version."""
        if "version" not in state or int(state["version"]) != VERSION:
            raise ValueError(f"state must be that of StoredPairs.state(), version {VERSION}; it has {', '.join(state) or 'nothing'}")
        if "x_1" not in state or not ("x_0" in state or {"noise", "index"} <= set(state)):
            raise ValueError(f"state must have x_1, and x_0 or noise and index; it has {', '.join(state)}")
        if "x_0" in state:
            x_0: Tensor | SeededNoise = state["x_0"]
        else:
            low, high, stream = state["noise"].tolist()
            x_0 = SeededNoise(low | high << 32, state["index"], stream, prior)
        return cls(x_0, state["x_1"], state.get("condition"))
