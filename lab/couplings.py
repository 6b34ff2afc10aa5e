"""Couplings: which noise x_0 goes with which datum x_1 in a batch. Each is called as coupling(x_0, x_1, condition=None, generator=None) -> Pairs.

All keep the order of the data and choose noises, but Semidiscrete, which keeps the order of the noises and chooses data. Pairs that a model made are in lab.stored_pairs,
noises that stay with their data from epoch to epoch in lab.assignment. x is (B, *shape); numbers (B,) are points on a line.

All raise ValueError for x_0 and x_1 of unequal shapes, and for a condition that is not a tensor of one entry per datum.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from lab.checks import check_floating
from lab.optimal_transport import assign, squared_cost
from lab.paths import flat
from lab.semidiscrete import chi_squared, fit_potentials, nearest
from lab.sinkhorn import NotConverged, SinkhornPlan, sinkhorn_plan

__all__ = [
    "BatchOT",
    "ConditionalOT",
    "Independent",
    "NotConverged",
    "Pairs",
    "PerClassOT",
    "Semidiscrete",
    "Sinkhorn",
    "SinkhornPlan",
    "sinkhorn_plan",
]

Prior = Callable[[Tensor, Tensor | None], Tensor]  # prior(normal numbers, condition) -> x_0, such as the from_normals of a prior


@dataclass(frozen=True)
class Pairs:
    """Paired batch: condition as given, x_0 = the given x_0[index], and x_1 as given, except where the coupling itself chose the data (Semidiscrete)."""

    x_0: Float[Tensor, "b *shape"]
    x_1: Float[Tensor, "b *shape"]
    condition: Shaped[Tensor, "b *c"] | None
    index: Int[Tensor, " b"]


def _paired(x_0: Tensor, x_1: Tensor, condition: Tensor | None, index: Tensor) -> Pairs:
    return Pairs(x_0[index], x_1, condition, index)


def _check(x_0: Tensor, x_1: Tensor, condition: Tensor | None) -> None:
    if x_0.shape != x_1.shape:
        raise ValueError(f"x_0 {tuple(x_0.shape)} and x_1 {tuple(x_1.shape)} must have the same shape to be paired")
    _check_condition("condition", condition, f"{len(x_1)} data", len(x_1))


def _check_condition(name: str, condition: Tensor | None, whose: str, count: int) -> None:
    if condition is None:
        return
    if not isinstance(condition, Tensor):
        raise ValueError(f"{name} is a {type(condition).__name__}; it must be a tensor: torch.as_tensor({name})")
    if condition.shape[:1] != (count,):
        raise ValueError(f"{name} has {len(condition) if condition.ndim else 'no'} entries for {whose}")


@dataclass(frozen=True)
class Independent:
    """Pairs as they come: x_0 independent of x_1."""

    def __call__(self, x_0: Tensor, x_1: Tensor, condition: Tensor | None = None, generator: torch.Generator | None = None) -> Pairs:
        _check(x_0, x_1, condition)
        return _paired(x_0, x_1, condition, torch.arange(len(x_1), device=x_1.device))


@dataclass(frozen=True)
class BatchOT:
    """Exact optimal transport within the batch for |x_1 - x_0|^2, blind to the condition: p(x_0 | condition) is then no longer the prior.

    A permutation: every datum and every noise exactly once. Source: Pooladian et al. 2023, Tong et al. 2024.
    """

    def __call__(self, x_0: Tensor, x_1: Tensor, condition: Tensor | None = None, generator: torch.Generator | None = None) -> Pairs:
        _check(x_0, x_1, condition)
        return _paired(x_0, x_1, condition, assign(squared_cost(x_1, x_0)))


@dataclass(frozen=True)
class PerClassOT:
    """Exact optimal transport within each class of the batch: a permutation that keeps p(x_0 | class) the prior.

    The noise x_0[i] belongs to the class of x_1[i], as a class-conditional prior needs. Solved class by class, never by penalties.
    """

    def __call__(self, x_0: Tensor, x_1: Tensor, condition: Tensor | None = None, generator: torch.Generator | None = None) -> Pairs:
        _check(x_0, x_1, condition)
        if condition is None or condition.is_floating_point() or condition.ndim != 1:
            raise ValueError("PerClassOT needs condition=, one whole number (a class) per datum; without classes use BatchOT")
        index = torch.arange(len(x_1), device=x_1.device)
        for c in condition.unique():
            rows = torch.nonzero(condition == c)[:, 0]
            index[rows] = rows[assign(squared_cost(x_1[rows], x_0[rows]))]
        return _paired(x_0, x_1, condition, index)


@dataclass(frozen=True)
class ConditionalOT:
    """C2OT: optimal transport whose cost also counts how far the noise's condition is from the datum's.

    Classes (whole numbers): exact, the limit of infinite weight, which is optimal transport within each class. Continuous conditions (B, D) floats: the cost is
    |x_1 - x_0|^2 + weight |c - c'|^2, an approximation that keeps p(x_0 | condition) near the prior only as the weight grows against the batch's own distances.
    Raises ValueError for a weight that is negative or not finite. Source: Cheng & Schwing 2025 (arXiv 2503.10636).
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight < math.inf:
            raise ValueError(f"weight={self.weight} must be finite and not negative; its infinite limit are classes as whole numbers")

    def __call__(self, x_0: Tensor, x_1: Tensor, condition: Tensor | None = None, generator: torch.Generator | None = None) -> Pairs:
        _check(x_0, x_1, condition)
        if condition is None:
            raise ValueError("ConditionalOT needs condition=: classes (whole numbers) or vectors (B, D); without conditions use BatchOT")
        if condition.ndim == 1 and condition.is_floating_point():
            raise ValueError(
                f"condition has shape {tuple(condition.shape)} and dtype {condition.dtype}: classes must be whole numbers (condition.long()), continuous conditions (B, D)"
            )
        if not condition.is_floating_point():
            return PerClassOT()(x_0, x_1, condition, generator)
        cost = squared_cost(x_1, x_0) + self.weight * squared_cost(condition, condition)
        return _paired(x_0, x_1, condition, assign(cost))


@dataclass(frozen=True)
class Sinkhorn:
    """Entropic optimal transport within the batch, blind to the condition like BatchOT: each datum draws its noise from its row of the plan.

    Every datum occurs once. A noise may occur several times or not at all; over the draws each occurs once in expectation, to within the plan's marginal error, so the
    noise's law is exact in expectation. epsilon (in standard deviations of the cost, or absolute), tolerance and max_iterations are those of sinkhorn_plan: towards 0
    this is BatchOT, far above 1 noises drawn with replacement. Needs generator=. Raises NotConverged rather than pair by a plan that misses its marginals.
    Source: Tong et al. 2024 (SB-CFM); Zhang et al. 2025.
    """

    epsilon: float = 0.05
    relative: bool = True
    tolerance: float = 1e-4
    max_iterations: int = 10_000

    def plan(self, x_0: Float[Tensor, "b *shape"], x_1: Float[Tensor, "b *shape"]) -> SinkhornPlan:
        """The plan that pairs are drawn from: rows are data, columns noises, the cost |x_1 - x_0|^2."""
        return sinkhorn_plan(
            squared_cost(x_1, x_0), self.epsilon, relative=self.relative, tolerance=self.tolerance, max_iterations=self.max_iterations
        )

    def __call__(self, x_0: Tensor, x_1: Tensor, condition: Tensor | None = None, generator: torch.Generator | None = None) -> Pairs:
        _check(x_0, x_1, condition)
        if generator is None:
            raise ValueError("Sinkhorn draws its pairs and needs generator=, a torch.Generator")
        rows = self.plan(x_0, x_1).plan.to(generator.device)
        index = torch.multinomial(rows, 1, generator=generator)[:, 0].to(x_1.device)
        return _paired(x_0, x_1, condition, index)


@dataclass(frozen=True)
class Semidiscrete:
    """Optimal transport from the prior itself to a fixed data set: each fresh noise x_0 takes the datum argmin_j |x_0 - y_j|^2 - g_j.

    Here x_0 keeps its order (index is 0 to B - 1) and x_1 is chosen from `data`: a noise knows its datum, but a datum has no noise until one falls into its cell, so no
    batch of data could be paired without leaving noises out. The noise's law is thus exact, fitted or not; the data's is uniform as far as chi_squared is 0. In a
    training loop it stands where the others do: x_1 may be passed, must have the shape of x_0 and is replaced. For data that do not fit in memory, `choose` gives
    the data's numbers alone.

    With classes, potentials are fitted and data chosen within a class: condition=, one class per noise, is kept, and p(x_0 | condition) is what the batch has, the
    prior. Without classes the coupling is blind, and a condition is refused. Source: Mousavi-Hosseini et al. 2025 (SD-FM, arXiv 2509.25519), epsilon = 0.
    """

    data: Float[Tensor, "n *shape"]
    potentials: Float[Tensor, " n"]
    classes: Int[Tensor, " n"] | None = None

    @classmethod
    def fit(
        cls,
        data: Float[Tensor, "n *shape"],
        *,
        generator: torch.Generator,
        classes: Int[Tensor, " k"] | None = None,
        prior: Prior | None = None,
        steps: int = 4000,
        batch: int = 256,
    ) -> "Semidiscrete":
        """The coupling of prior(normal numbers, condition), N(0, I) if None, with `data`: `steps` gradient steps on `batch` fresh noises, for every class.

        Look at chi_squared afterwards; above .05 fit with more steps. Raises ValueError as fit_potentials does, and where classes are not one per datum.
        """
        check_floating("data", data)
        _check_condition("classes", classes, f"{len(data)} data", len(data))
        coupling = cls(data, torch.zeros(len(data), dtype=data.dtype, device=data.device), classes)
        for c, rows in coupling._cells():

            def draw(count: int, c: Tensor | None = c) -> Tensor:
                return coupling._noise(count, c, prior, generator)

            coupling.potentials[rows] = fit_potentials(flat(data[rows]), draw, steps, batch)
        return coupling

    def choose(self, x_0: Float[Tensor, "b *shape"], condition: Int[Tensor, " k"] | None = None) -> Int[Tensor, " b"]:
        """The number (0 to n - 1) of the datum that each noise takes, among those of its class where there are classes.

        Raises ValueError for points of another shape than the data, for a condition that is missing, not wanted or not one per noise, and for an unknown class.
        """
        if x_0.shape[1:] != self.data.shape[1:]:
            raise ValueError(f"x_0 holds points of shape {tuple(x_0.shape[1:])}, the fitted data {tuple(self.data.shape[1:])}")
        if (condition is None) != (self.classes is None):
            raise ValueError(
                "Semidiscrete fitted with classes= needs condition=, one class per noise"
                if condition is None
                else "condition= needs a Semidiscrete fitted with classes=; this one is blind to them"
            )
        if not bool(torch.isfinite(x_0).all()):
            raise ValueError("x_0 must be finite, without NaN, to have a datum")
        _check_condition("condition", condition, f"{len(x_0)} noises x_0", len(x_0))
        index = torch.full((len(x_0),), -1, device=x_0.device)
        for c, rows in self._cells():
            mine = slice(None) if condition is None else torch.nonzero(condition == c)[:, 0]
            if len(index[mine]):
                index[mine] = rows[nearest(flat(x_0[mine]).to(self.data.dtype), flat(self.data[rows]), self.potentials[rows])]
        if condition is not None and bool((index < 0).any()):
            raise ValueError(f"condition={int(condition[index < 0][0])} is not among the fitted classes")
        return index

    def __call__(
        self,
        x_0: Float[Tensor, "b *shape"],
        x_1: Float[Tensor, "k *shape"] | None = None,
        condition: Int[Tensor, " j"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Pairs:
        _check(x_0, x_0 if x_1 is None else x_1, condition)
        return Pairs(x_0, self.data[self.choose(x_0, condition)], condition, torch.arange(len(x_0), device=x_0.device))

    def chi_squared(self, draws: int, *, generator: torch.Generator, prior: Prior | None = None) -> Float[Tensor, " classes"]:
        """How unevenly `draws` fresh noises hit the data of each class, in rising order of class (one number without classes): see lab.semidiscrete.chi_squared."""
        found = []
        for c, rows in self._cells():
            noise = self._noise(draws, c, prior, generator).reshape(-1, *self.data.shape[1:])
            chosen = self.choose(noise, None if c is None else c.expand(draws))
            found.append(chi_squared(torch.bincount(chosen, minlength=len(self.data))[rows]))
        return torch.tensor(found, dtype=torch.float64)

    def _cells(self) -> list[tuple[Tensor | None, Tensor]]:
        """(class, the numbers of its data) for every class; (None, all numbers) without classes."""
        if self.classes is None:
            return [(None, torch.arange(len(self.data), device=self.data.device))]
        return [(c, torch.nonzero(self.classes == c)[:, 0]) for c in self.classes.unique()]

    def _noise(self, count: int, c: Tensor | None, prior: Prior | None, generator: torch.Generator) -> Tensor:
        z = torch.randn(count, *self.data.shape[1:], generator=generator, device=generator.device, dtype=self.data.dtype)
        z = z.to(self.data.device)
        return flat(z if prior is None else prior(z, None if c is None else c.expand(count))).to(self.data.dtype)
