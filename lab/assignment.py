"""LOOM-CFM (Davtyan et al. 2025, "Faster inference of flow-based generative models via improved data-noise coupling"): a coupling kept across batches.

Every datum owns C slots ("caches"), and every slot holds one noise, so that n C noises are matched to n C copies of the data. A visit takes a batch's pairs,
exchanges noises within the batch at least cost, and writes the new pairs back. The batches' transports add up: far better than forgetting each one.

    x_0 of a slot = normals(seed of the table, index = the slot's uint32)       4 bytes a slot: 20.5 MB for 1,281,167 data with C = 4
    total cost = sum over slots of |x_1 - x_0|^2, which never rises while noises and data keep still

It can rise if the data are augmented at random, if latents are resampled from the autoencoder's posterior, or after `refresh`. The end is a matching that no
exchange within a batch improves; it need not be the global optimum.
"""

from collections.abc import Callable
from math import gcd, prod

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from lab.checks import check_floating
from lab.couplings import BatchOT, Pairs, Prior
from lab.random import normals, uniforms

Coupling = Callable[..., Pairs]

ORDERS = ("random", "projections", "alternating")
# What the numbers of the table's seed are used for; streams of their own, apart from those that callers may use.
NOISE, CACHE, ORDER, DIRECTION, TURN = range(0x4C4F4F4D, 0x4C4F4F4D + 5)
FORMAT, HEADER = 0x4C4F4D01, 8  # "LOM" and the version; words before the slots: format, n, caches, seed (low, high), oldest noise, 0, 0
CHUNK = 1 << 20  # numbers at a time in total_cost


class AssignmentTable:
    """Which of n C fixed noises belongs to which of n data: C slots for each datum, slot = datum * C + cache.

    Noises are numbers below 2^32 handed out in order of birth: the living ones are always oldest to oldest + n C - 1, each in one slot. Lives on the CPU.
    Several processes that gather their batches and make the same calls keep equal tables.

    Raises ValueError for n or caches below 1, for n C beyond 2^32 and for a seed outside 0 to 2^64 - 1.
    """

    def __init__(self, n: int, caches: int = 1, *, seed: int = 0):
        if n < 1 or caches < 1 or n * caches > 2**32:
            raise ValueError(f"n={n} data with caches={caches} must both be at least 1 and make at most 2^32 noises")
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed={seed} must lie in 0 to 2^64 - 1")
        self.n, self.caches, self.seed, self.oldest = n, caches, seed, 0
        size = n * caches
        # Steps of the golden section: any stretch of slots holds noises of all ages evenly, so that a refresh thins no part of the data.
        step = max(1, round(size * 0.6180339887498949))
        while gcd(step, size) != 1:
            step += 1
        self._noise = (np.arange(size, dtype=np.uint64) * np.uint64(step) % np.uint64(size)).astype(np.uint32)

    def state(self) -> Int[Tensor, " words"]:
        """A copy of everything as one int32 tensor (bit patterns of uint32) of 8 + n C words, for a checkpoint."""
        header = np.array([FORMAT, self.n, self.caches, self.seed & 0xFFFFFFFF, self.seed >> 32, self.oldest, 0, 0], dtype=np.uint32)
        return torch.from_numpy(np.concatenate((header, self._noise)).view(np.int32))

    @classmethod
    def from_state(cls, state: Int[Tensor, "*words"]) -> "AssignmentTable":
        """The table that `state` describes; it goes on as the original would. Raises ValueError where state is not a whole, sound table."""
        if state.dtype != torch.int32 or state.ndim != 1 or len(state) < HEADER:
            raise ValueError(
                f"state is {state.dtype} of shape {tuple(state.shape)}; it must be the int32 vector of AssignmentTable.state()"
            )
        words = state.detach().cpu().contiguous().numpy().view(np.uint32)
        form, n, caches, low, high, oldest = (int(word) for word in words[:6])
        if form != FORMAT or len(words) != HEADER + n * caches:
            raise ValueError(f"state of {len(words)} words does not begin with the header of an assignment table of its size")
        table = cls(n, caches, seed=low | high << 32)
        table.oldest, table._noise = oldest, words[HEADER:].copy()
        age, seen = (
            table._noise - np.uint32(oldest),
            np.zeros(n * caches, dtype=bool),
        )  # a noise below the oldest wraps around to a large age
        seen[age[age < n * caches]] = True
        if not seen.all():
            raise ValueError("state is damaged: its noises are not each in one slot")
        return table

    def slots(self, index: Int[Tensor, " b"], epoch: int) -> Int[Tensor, " b"]:
        """The slots that data `index` visit in `epoch`: in every C epochs from a multiple of C on, each of a datum's slots once.

        Where a datum begins is drawn anew in each round of C epochs, so that all slots meet one another in time. A function of (seed, index, epoch).
        Raises ValueError for an index outside 0 to n - 1.
        """
        index = index.cpu().long()
        if len(index) and not 0 <= int(index.min()) <= int(index.max()) < self.n:
            raise ValueError(f"index runs from {int(index.min())} to {int(index.max())}; the table's data are 0 to {self.n - 1}")
        _check_epoch(epoch)
        if self.caches == 1:
            return index
        first = (self.caches * uniforms(self.seed, index + (epoch // self.caches << 32), 1, CACHE)[:, 0]).long()
        return index * self.caches + (first + epoch) % self.caches

    def noises(self, slots: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        """The noise in each slot, by its number (0 to 2^32 - 1)."""
        return torch.from_numpy(self._noise[slots.cpu().numpy()].astype(np.int64))

    def normals(
        self, slots: Int[Tensor, " b"], shape: tuple[int, ...], dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> Float[Tensor, "b *shape"]:
        """The noise in each slot as standard normal numbers of this shape: a function of the table's seed and the noise's number alone."""
        return normals(self.seed, self.noises(slots).to(device), prod(shape), NOISE, dtype).reshape(-1, *shape)

    def improve(
        self,
        index: Int[Tensor, " b"],
        x_1: Float[Tensor, "m *shape"],
        *,
        epoch: int,
        condition: Shaped[Tensor, "k *c"] | None = None,
        coupling: Coupling = BatchOT(),  # noqa: B008  # couplings are frozen
        prior: Prior | None = None,
    ) -> Pairs:
        """Takes the pairs of data `index` (whose values are x_1), exchanges their noises at least cost and writes them back; returns the new pairs.

        coupling: BatchOT() (the paper's), PerClassOT() to exchange within a class alone, which keeps p(x_0 | class) the prior, or Independent() to leave the pairs
        as they are. prior makes x_0 of the normal numbers (N(0, I) if None); one that depends on the condition needs PerClassOT(), since a noise that left its
        class would no longer be the same. x_1 must be the same at each visit of a datum for the total cost never to rise.

        Raises ValueError for data outside the table or twice in the batch, for unequal lengths, for whole numbers x_1 and as `exchange` does.
        """
        if not isinstance(index, Tensor) or index.is_floating_point():
            raise ValueError("index must be a tensor of the data's numbers: torch.as_tensor(index)")
        if len(index) != len(x_1):
            raise ValueError(f"index has {len(index)} entries for {len(x_1)} data x_1")
        check_floating("x_1", x_1)
        slots = self.slots(index, epoch)
        z = self.normals(slots, tuple(x_1.shape[1:]), x_1.dtype, x_1.device)
        if prior is None:
            return self.exchange(slots, z, x_1, condition, coupling)
        pairs = self._solve(slots, prior(z, condition), x_1, condition, coupling)
        crossed = condition is not None and not torch.equal(condition[pairs.index], condition)
        if crossed and not torch.allclose(prior(z[pairs.index], condition), pairs.x_0, rtol=1e-4, atol=1e-5):
            raise ValueError("prior depends on the condition, so a noise must keep its condition: use coupling=PerClassOT()")
        self._write(slots, pairs.index)
        return pairs

    def exchange(
        self,
        slots: Int[Tensor, " b"],
        x_0: Float[Tensor, "k *shape"],
        x_1: Float[Tensor, "m *shape"],
        condition: Shaped[Tensor, "j *c"] | None = None,
        coupling: Coupling = BatchOT(),  # noqa: B008
    ) -> Pairs:
        """Exchanges the noises of these slots at least cost, x_0 being what the caller made of them, and writes them back.

        For noises or costs of the caller's own: mixture priors, sketches of large images (then x_0 and x_1 are sketches of noise and datum). What x_0 is must
        follow from the noise's number alone (and its class, with PerClassOT()). Pairs that cost no less than the present ones are not written.

        Raises ValueError for a slot that occurs twice and for a coupling that does not return a permutation.
        """
        pairs = self._solve(slots, x_0, x_1, condition, coupling)
        self._write(slots, pairs.index)
        return pairs

    def _solve(self, slots: Tensor, x_0: Tensor, x_1: Tensor, condition: Tensor | None, coupling: Coupling) -> Pairs:
        if len(slots) != len(x_0) or len(slots) != len(x_1):
            raise ValueError(f"{len(slots)} slots cannot hold {len(x_0)} noises x_0 for {len(x_1)} data x_1")
        if len(slots) and not 0 <= int(slots.min()) <= int(slots.max()) < len(self._noise):
            raise ValueError(f"slots run from {int(slots.min())} to {int(slots.max())}; the table's are 0 to {len(self._noise) - 1}")
        if bool((slots.sort().values.diff() == 0).any()):
            raise ValueError(
                "a slot occurs twice in the batch, and a noise cannot be exchanged with itself: let no datum occur twice in a batch"
            )
        pairs = coupling(x_0, x_1, condition)
        here = torch.arange(len(x_1), device=pairs.index.device)
        if not torch.equal(pairs.index.sort().values, here):
            raise ValueError(f"coupling={coupling} must give each noise to exactly one datum, as BatchOT and PerClassOT do")
        if _cost(pairs.x_0, x_1) < _cost(x_0, x_1):  # a tie or the solver's rounding moves nothing: the total cost cannot rise
            return pairs
        return Pairs(x_0, x_1, condition, here)

    def _write(self, slots: Tensor, index: Tensor) -> None:
        rows = slots.cpu().numpy()
        self._noise[rows] = self._noise[rows[index.cpu().numpy()]]

    def refresh(self, fraction: float) -> int:
        """Replaces the oldest `fraction` of the noises by new ones, never used before, in the same slots; returns how many (at least one if fraction > 0).

        Call it once per epoch: every noise then lives 1 / fraction epochs. Cures overfitting to fixed noises, at a price: the total cost rises at each call and
        settles above that of fixed noises, about 1.5 times as far from the optimum for .5 % an epoch, 3.5 times for 10 %. Refreshing all of them in one call forgets
        the assignment, which the paper's authors found unstable in training.

        Raises ValueError for a fraction outside 0 to 1 and where 2^32 noises are used up.
        """
        if not 0 <= fraction <= 1:
            raise ValueError(f"fraction={fraction} must lie in 0 to 1: the share of the noises to replace")
        if fraction == 0:
            return 0
        size = len(self._noise)
        count = max(1, round(fraction * size))
        if self.oldest + size + count > 2**32:
            raise ValueError(f"all 2^32 noises of seed={self.seed} are used up; start a table with another seed")
        due = self._noise - np.uint32(self.oldest) < count
        self._noise[due] += np.uint32(size)
        self.oldest += count
        return count

    def total_cost(
        self, x_1: Float[Tensor, "m *shape"], condition: Shaped[Tensor, "k *c"] | None = None, prior: Prior | None = None
    ) -> float:
        """Sum over all n C slots of |x_1 - x_0|^2, in squared data units. x_1 (and condition): those of all n data, in order."""
        if len(x_1) != self.n:
            raise ValueError(f"x_1 has {len(x_1)} data, the table {self.n}; the total cost needs all of them in order")
        check_floating("x_1", x_1)
        shape, total = tuple(x_1.shape[1:]), 0.0
        for rows in torch.arange(self.n).split(max(1, CHUNK // max(1, prod(shape)))):
            data, c = x_1[rows], None if condition is None else condition[rows]
            for cache in range(self.caches):
                z = self.normals(rows * self.caches + cache, shape, x_1.dtype, x_1.device)
                total += _cost(z if prior is None else prior(z, c), data)
        return total

    def batches(
        self,
        size: int,
        *,
        epoch: int,
        order: str = "random",
        features: Float[Tensor, "m d"] | None = None,
        condition: Int[Tensor, " k"] | None = None,
    ) -> tuple[Tensor, ...]:
        """All data of an epoch once, as index tensors of `size` (one may be smaller). A function of (seed, epoch).

        order: "random"; "projections": neighbours along a random direction of features (n, d), the batches themselves in random order; "alternating": random in
        even epochs, projections in odd ones. features may be a sketch of the data. With condition (a class per datum) batches are filled class by class, which
        PerClassOT needs where a random batch holds few data of each. Such batches are for the table: train on random ones.

        Raises ValueError for size below 1, an unknown order, and features or condition that are missing, not finite or not of n rows.
        """
        _check_epoch(epoch)
        if size < 1:
            raise ValueError(f"size={size} must be at least 1")
        if order not in ORDERS:
            raise ValueError(f"order={order!r} must be one of {', '.join(ORDERS)}")
        for name, values in (("features", features), ("condition", condition)):
            if values is not None and len(values) != self.n:
                raise ValueError(f"{name} has {len(values)} rows for {self.n} data")
        if order == "random" or (order == "alternating" and epoch % 2 == 0):
            rows = self._shuffled(self.n, epoch, ORDER)
        elif features is None:
            raise ValueError(f"order={order!r} needs features=, one row per datum")
        else:
            direction = normals(self.seed, torch.tensor([epoch]), features.shape[1], DIRECTION)[0]
            along = features.cpu() @ direction.to(features.dtype)
            if not bool(along.isfinite().all()):
                raise ValueError("features must be finite; look for NaN or infinity in them")
            rows = along.argsort(stable=True)
        if condition is not None:
            rows = rows[condition.cpu()[rows].argsort(stable=True)]
        parts = rows.split(size)
        return tuple(parts[i] for i in self._shuffled(len(parts), epoch, TURN).tolist())

    def _shuffled(self, count: int, epoch: int, stream: int) -> Tensor:
        return uniforms(self.seed, torch.arange(count) + (epoch << 32), 1, stream)[:, 0].argsort()


def _check_epoch(epoch: int) -> None:
    if not 0 <= epoch < 2**31:
        raise ValueError(f"epoch={epoch} must lie in 0 to 2^31 - 1")


def _cost(x_0: Tensor, x_1: Tensor) -> float:
    return float((x_1.double() - x_0.double()).square().sum())
