"""Any sampled coupling as a block coupling: a Gaussian mixture of its pairs in four dimensions, which has the closed-form field of toy/field.py.

Sub-component l, with joint mean (m, mu) and covariance ((S, C), (C^T, Sigma)), becomes a source component N(m, S), a target component N(mu, Sigma) and their
cross-covariance C; the plan is diagonal. It is an estimate, and says how good it is: a parametric bootstrap fits twice as many sub-components, takes them for
the truth, draws as many pairs from them, fits again, and compares the two in closed form.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from lab import random
from lab.paths import Path
from lab.reference import distance
from lab.solvers import solve
from toy.field import MixtureField
from toy.mixtures import Mixture
from toy.pair_mixtures import LEAST_PER_GROUP, PairMixture, fit_pairs
from toy.sampled_pairs import SampledPairs, batch_ot_pairs

FIT_STREAM, PAIR_STREAM = 0x46495430, 0x46495431  # what the numbers of a seed are used for
CANDIDATES = (1, 4, 8, 16)  # sub-components per component of the target
MOST = 128  # sub-components in all: a field's cost is proportional to them
HELD_OUT = 0.2
TIMES = (torch.arange(16, dtype=torch.float64) + 0.5) / 16  # of CondOT; each compared pair is looked at once
COMPARED = 32_000  # points of the bootstrap's field error
ENDS, END_NFE = 1000, 96  # flows of its end points: RK4 with 24 steps
OFF = 0.1  # an end point is off by more than this share of the target's standard deviation per coordinate


@dataclass(frozen=True)
class EstimateError:
    """How far a fitted field is from the one that it estimates, by parametric bootstrap on CondOT.

    field_rms: root mean square of the difference of velocities over t and x ~ p_t, in data units; rms (16,) the same at the times t. Of `ends` end points of the two exact flows
    from the same x_0: end_median, the median distance, and end_share_off, the share that is further apart than `off` (a tenth of the target's standard deviation per
    coordinate). An RMSE of end points would be that of the few which took another way.
    """

    field_rms: float
    t: tuple[float, ...]
    rms: tuple[float, ...]
    end_median: float
    end_share_off: float
    off: float
    ends: int


@dataclass(frozen=True)
class FittedCoupling:
    """A block coupling fitted to sampled pairs: `source`, `target`, the diagonal `plan` (L, L) and `cross` (L, L, 2, 2), classes kept.

    sub_components per component of the target, chosen for the least held-out velocity loss (`held_out`: its mean for each number tried); `pairs`, how many were
    sampled, and transport_cost, their mean squared distance; `estimate`, the fit's own error.
    """

    mixture: PairMixture
    source: Mixture
    target: Mixture
    sub_components: int
    held_out: dict[int, float]
    pairs: int
    transport_cost: float
    estimate: EstimateError

    @cached_property
    def plan(self) -> Float[Tensor, "l l"]:
        return torch.diag(self.source.weights)

    @cached_property
    def cross(self) -> Float[Tensor, "l l 2 2"]:
        return _cross(self.mixture)

    def field(self, path: Path) -> MixtureField:
        """The coupling's marginal velocity on any path, in closed form."""
        return MixtureField(self.source, self.target, self.plan, self.cross, path)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n 2"], Int[Tensor, " n"]]:
        """Fresh pairs of the fitted law: x_0, x_1 and the class of x_1."""
        pairs, component = self.mixture.draw(count, generator)
        return pairs[:, :2], pairs[:, 2:], self.target.classes[component]


def fit_block_coupling(
    x_0: Float[Tensor, "n d"],
    x_1: Float[Tensor, "m d"],
    component: Int[Tensor, " k"],
    *,
    classes: Int[Tensor, " g"] | None = None,
    weights: Float[Tensor, " g"] | None = None,
    sees_class: bool = False,
    candidates: tuple[int, ...] = CANDIDATES,
    seed: int = 0,
) -> FittedCoupling:
    """Fits a block coupling to pairs of any sampled coupling: batch OT's, LOOM's table, Sinkhorn's, a network's own.

    x_0, x_1 (n, 2): the pairs. component (n,): which of the target's G components each x_1 is from (zeros, if nothing is known; then allow more candidates). classes (G,) of the
    components, all 0 if not given; weights (G,) of the components, their shares of the pairs if not given. sees_class: whether the field whose loss chooses the
    number of sub-components, and whose error is estimated, is told the class. At most 128 sub-components in all. The same seed gives the same fit.

    Raises ValueError for pairs that are not finite, shapes that do not fit, and components with fewer than 13 pairs.
    """
    pairs, component, classes, weights = _checked(x_0, x_1, component, classes, weights)
    generator = random.generator(seed, stream=FIT_STREAM)
    order = torch.randperm(len(pairs), generator=generator)
    pairs, component = pairs[order], component[order]
    held = int(HELD_OUT * len(pairs))
    groups = int((weights > 0).sum())
    allowed = [m for m in sorted(candidates) if m * groups <= MOST] or [min(candidates)]
    if allowed == [1] and 2 * groups <= MOST:
        allowed = [1, 2]  # a target of 33 to 64 components has no room for four of each
    tried = {m: fit_pairs(pairs[held:], component[held:], m, weights=weights, generator=generator) for m in allowed}
    known = classes[component[:held]] if sees_class else None
    losses = {m: _velocity_losses(_field(fit, classes), pairs[:held], known) for m, fit in tried.items()}
    chosen = _simplest_of_the_best(losses)
    fit = fit_pairs(pairs, component, chosen, weights=weights, generator=generator, start=tried[chosen])
    truth = fit_pairs(pairs, component, 2 * chosen, weights=weights, generator=generator, start=tried.get(2 * chosen))
    again, drawn = truth.draw(len(pairs), generator)
    refit = fit_pairs(again, truth.group[drawn], chosen, weights=weights, generator=generator)
    estimate = _compare(truth, refit, classes, again, classes[truth.group[drawn]] if sees_class else None)
    source, target = _sides(fit, classes)
    means = {m: float(loss.mean()) for m, loss in losses.items()}
    cost = float((pairs[:, 2:] - pairs[:, :2]).square().sum(1).mean())
    return FittedCoupling(fit, source, target, chosen, means, len(pairs), cost, estimate)


def batch_ot(
    source: Mixture,
    target: Mixture,
    plan: Float[Tensor, "j k"],
    *,
    batch_size: int,
    per_class: bool,
    sees_class: bool = False,
    seed: int = 0,
) -> FittedCoupling:
    """Batch OT of that size between two mixtures that go together by `plan` before transport, fitted to sampled pairs; blind to classes, or within them."""
    generator = random.generator(seed, stream=PAIR_STREAM)
    drawn = batch_ot_pairs(source, target, plan, batch_size=batch_size, per_class=per_class, generator=generator)
    return fit_sampled(drawn, target, sees_class=sees_class, seed=seed)


def fit_sampled(drawn: SampledPairs, target: Mixture, *, sees_class: bool = False, seed: int = 0) -> FittedCoupling:
    """`fit_block_coupling` of pairs whose target is known: its classes and weights are kept."""
    return fit_block_coupling(
        drawn.x_0, drawn.x_1, drawn.component, classes=target.classes, weights=target.weights, sees_class=sees_class, seed=seed
    )


def _checked(
    x_0: Tensor, x_1: Tensor, component: Tensor, classes: Tensor | None, weights: Tensor | None
) -> tuple[Float[Tensor, "n 4"], Int[Tensor, " n"], Int[Tensor, " g"], Float[Tensor, " g"]]:
    if x_0.ndim != 2 or x_0.shape[1] != 2 or x_1.shape != x_0.shape or component.shape != x_0.shape[:1]:
        raise ValueError(
            f"x_0 {tuple(x_0.shape)}, x_1 {tuple(x_1.shape)} and component {tuple(component.shape)} must be pairs (n, 2), (n, 2) and (n,)"
        )
    for name, points in (("x_0", x_0), ("x_1", x_1)):
        if not bool(torch.isfinite(points).all()):
            raise ValueError(f"{name} must be finite, without NaN, to fit a coupling to")
    if len(component) == 0 or int(component.min()) < 0:
        raise ValueError("component must hold at least one number, none of them negative")
    count = torch.bincount(component)
    if classes is None:
        classes = torch.zeros(len(count) if weights is None else len(weights), dtype=torch.int64)
    if weights is None:
        weights = torch.nn.functional.pad(count, (0, max(0, len(classes) - len(count)))) / len(component)
    if len(classes) != len(weights) or len(count) > len(classes):
        raise ValueError(
            f"component names {len(count)} components, classes {len(classes)} and weights {len(weights)}; they must be of the same target"
        )
    members = torch.nn.functional.pad(count, (0, len(classes) - len(count)))
    least = int(LEAST_PER_GROUP / (1 - HELD_OUT)) + 1
    few = torch.nonzero((weights > 0) & (members < least))[:, 0]
    if len(few):
        raise ValueError(
            f"component {int(few[0])} of the target has {int(members[few[0]])} pairs; its fit needs at least {least}: take more pairs"
        )
    return torch.cat((x_0, x_1), dim=1).double(), component, classes, weights.double()


def _sides(fit: PairMixture, classes: Int[Tensor, " g"]) -> tuple[Mixture, Mixture]:
    own = classes[fit.group]
    return (
        Mixture(fit.weights, fit.means[:, :2], fit.covariances[:, :2, :2], own),
        Mixture(fit.weights, fit.means[:, 2:], fit.covariances[:, 2:, 2:], own),
    )


def _cross(fit: PairMixture) -> Float[Tensor, "l l 2 2"]:
    every = torch.arange(len(fit.weights))
    cross = torch.zeros(len(every), len(every), 2, 2, dtype=torch.float64)
    cross[every, every] = fit.covariances[:, :2, 2:]
    return cross


def _field(fit: PairMixture, classes: Int[Tensor, " g"]) -> MixtureField:
    source, target = _sides(fit, classes)
    return MixtureField(source, target, torch.diag(source.weights), _cross(fit))


def _at_times(count: int) -> list[tuple[float, slice]]:
    """Each of TIMES with its share of `count` rows."""
    edges = [round(i * count / len(TIMES)) for i in range(len(TIMES) + 1)]
    return [(float(t), slice(a, b)) for t, a, b in zip(TIMES, edges, edges[1:], strict=False)]


def _velocity_losses(field: MixtureField, pairs: Float[Tensor, "n 4"], known: Int[Tensor, " n"] | None) -> Float[Tensor, " n"]:
    """|u(x_t, t) - (x_1 - x_0)|^2 of each pair at one of TIMES: on average the field's error plus what no field can know."""
    x_0, x_1 = pairs[:, :2], pairs[:, 2:]
    return torch.cat(
        [
            (field.velocity((1 - t) * x_0[rows] + t * x_1[rows], t, None if known is None else known[rows]) - (x_1 - x_0)[rows])
            .square()
            .sum(1)
            for t, rows in _at_times(len(pairs))
        ]
    )


def _simplest_of_the_best(losses: dict[int, Float[Tensor, " n"]]) -> int:
    """The smallest number whose mean loss is within one standard error (of the difference, pair by pair) of the least."""
    best = min(losses, key=lambda m: float(losses[m].mean()))
    for m in sorted(losses):
        gap = losses[m] - losses[best]
        if float(gap.mean()) <= float(gap.std()) / len(gap) ** 0.5:
            return m
    return best


def _compare(
    truth: PairMixture, refit: PairMixture, classes: Int[Tensor, " g"], drawn: Float[Tensor, "n 4"], known: Int[Tensor, " n"] | None
) -> EstimateError:
    """The two fields at points of the truth's law, and the ends of their exact flows."""
    one, other = _field(truth, classes), _field(refit, classes)
    x_0, x_1 = drawn[:COMPARED, :2], drawn[:COMPARED, 2:]
    squares = []
    for t, rows in _at_times(len(x_0)):
        x, c = (1 - t) * x_0[rows] + t * x_1[rows], None if known is None else known[:COMPARED][rows]
        squares.append((one.velocity(x, t, c) - other.velocity(x, t, c)).square().sum(1).mean())
    start, told = drawn[:ENDS, :2], None if known is None else known[:ENDS]
    ends = [solve(f.velocity, start, method="rk4", nfe=END_NFE, condition=told).end for f in (one, other)]
    apart = distance(*ends)
    off = OFF * float(one.target.covariance.trace() / 2) ** 0.5
    mean = torch.stack(squares)
    return EstimateError(
        field_rms=float(mean.mean().sqrt()),
        t=tuple(TIMES.tolist()),
        rms=tuple(mean.sqrt().tolist()),
        end_median=float(apart.quantile(0.5)),
        end_share_off=float((apart > off).double().mean()),
        off=off,
        ends=len(start),
    )
