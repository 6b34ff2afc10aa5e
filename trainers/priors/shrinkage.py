"""How far a covariance is drawn to its mean variance: the shrinkage of greatest held-out likelihood."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Shaped
from torch import Tensor

from lab.paths import flat
from lab.priors import Prior

GRID = (0.0, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

Labelled = Iterable[tuple[Float[Tensor, "b *shape"], Shaped[Tensor, "b *c"] | None]]


@dataclass(frozen=True)
class Choice:
    """The shrinkage, and held-out log-density in nats per dimension for every value tried; None where a covariance was singular and left no density."""

    value: float
    curve: tuple[tuple[float, float | None], ...]


def choose(fit: Callable[[float], Prior | None], held_out: Callable[[], Labelled], grid: tuple[float, ...] = GRID) -> Choice:
    """The l of `grid` whose prior fit(l) gives the held-out data the greatest likelihood; the curve is flat near its top, so the grid is fine enough.

    fit returns None where a covariance is singular. Raises ValueError where every l leaves one so.
    """
    curve = tuple((value, nats_per_dimension(fit(value), held_out)) for value in grid)
    possible = [(nats, value) for value, nats in curve if nats is not None]
    if not possible:
        raise ValueError(
            "no shrinkage leaves every class a density: the members of some class are all alike; take prior.covariance=pooled or none"
        )
    return Choice(max(possible, key=lambda pair: pair[0])[1], curve)


def nats_per_dimension(prior: Prior | None, held_out: Callable[[], Labelled]) -> float | None:
    """Mean log-density of held-out data over the numbers of a sample. None without a density or without data."""
    if prior is None:
        return None
    total, numbers = 0.0, 0
    for x, condition in held_out():
        total += float(prior.log_prob(x, condition).sum())
        numbers += flat(x).numel()
    return total / numbers if numbers else None


@runtime_checkable
class Shrinkable(Protocol):
    """Moments of which priors are made at any shrinkage."""

    @property
    def shrinks(self) -> bool: ...
    def prior(self, shrinkage: float) -> Prior: ...
    def with_density(self, shrinkage: float) -> Prior | None: ...


def chosen(moments: Shrinkable, held_out: Callable[[], Labelled], given: float | None) -> Choice:
    """The shrinkage that is given, or the one of greatest held-out likelihood; 0 where it would change nothing."""
    if not moments.shrinks:
        return Choice(0.0, ())
    return choose(moments.with_density, held_out) if given is None else Choice(given, ())


def density(moments: Shrinkable, shrinkage: float, held_out: Callable[[], Labelled]) -> float | None:
    """Held-out nats per dimension of the prior itself; None where it is singular."""
    return None if moments.with_density(shrinkage) is None else nats_per_dimension(moments.prior(shrinkage), held_out)


def described(choice: Choice, given: float | None, on: str) -> dict[str, Any]:
    """For the report: the value, what it was chosen on, and the curve of nats per dimension."""
    how = on if choice.curve else "idle: this covariance has nothing to shrink" if given is None else "given"
    return {"shrinkage": {"value": choice.value, "chosen_on": how, "curve": [list(pair) for pair in choice.curve]}}
