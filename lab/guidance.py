"""Classifier-free guidance as a field like any other, and how much there is left for it to do.

    guided = Guided(field, 0.5, convention="extra", null=10)        # class 10 is the one that means "no class"
    run = solve(guided, x_0, method="euler", nfe=8, condition=classes)      # 4 steps: two evaluations each

Two conventions are in use for the same field, c = u(x, t | condition) and u = u(x, t | null), and the weight must name its own:

| convention | field           | off at | used by                                        |
|------------|-----------------|--------|------------------------------------------------|
| extra      | (1 + w) c - w u | w = 0  | Ho & Salimans 2022 (eq. 6), flow_matching      |
| scale      | u + s (c - u)   | s = 1  | diffusers, Stable Diffusion, SiT; s = 1 + w    |
"""

import math
from dataclasses import dataclass
from typing import Any, SupportsIndex

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lab.checks import check_name, one_class_each, whole_number
from lab.measures import mean_square
from lab.paths import flat
from lab.solvers import Field, check_velocity, clock, evaluations_per_call

OFF = {"extra": 0.0, "scale": 1.0}


class Guided:
    """The guided field c + (s - 1) (c - u), s = `weight` (convention scale) or 1 + `weight` (extra): velocity(x, t, condition) as any other.

    `null` is the condition of the unconditional call u: a class index, an embedding (as a tensor of one sample's condition, or of the whole batch's), or None for a field
    that sees the position alone when it is told nothing. Guidance acts for t in `interval`, both ends included; elsewhere the field is c itself.

    *Cost.* Both branches are evaluated inside the interval, the conditional one alone outside it, or everywhere if the weight is off; and then the result is c, bit for bit.
    `evaluations_per_call` is what solvers budget: twice the field's own, or once where the weight is off. With an interval that leaves out part of [0, 1] this is the
    most that a call costs, and a run counts fewer evaluations than its budget; `evaluations` is what was spent since the object was made.

    Raises ValueError for an unknown convention, a weight that is not finite, an interval outside [0, 1], a null that fits no condition, and a call without a condition.
    Sources: Ho & Salimans 2022; the interval: Kynkaanniemi et al. 2024.
    """

    def __init__(
        self,
        velocity: Field,
        weight: float,
        *,
        convention: str,
        null: SupportsIndex | Tensor | None,
        interval: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        check_name("convention", convention, OFF)
        if not math.isfinite(weight):
            raise ValueError(f"weight={weight} must be finite")
        if not 0 <= interval[0] < interval[1] <= 1:
            raise ValueError(f"interval={interval} must be two rising times in [0, 1]")
        self.velocity, self.weight, self.convention, self.null, self.interval = velocity, weight, convention, _checked_null(null), interval
        self.evaluations = 0

    @property
    def is_off(self) -> bool:
        """Whether the weight leaves the conditional field as it is."""
        return self.weight == OFF[self.convention]

    @property
    def evaluations_per_call(self) -> int:
        """Evaluations of the network that one call costs at most."""
        return evaluations_per_call(self.velocity) * (1 if self.is_off else 2)

    def __call__(self, x: Float[Tensor, "b *shape"], t: Float[Tensor, " b"], condition: Any = None) -> Float[Tensor, "b *shape"]:
        if condition is None:
            raise ValueError("condition must be given to a guided field: there is nothing to guide towards without one")
        each = evaluations_per_call(self.velocity)
        self.evaluations += each
        conditional = self.velocity(x, t, condition)
        check_velocity(conditional, x)
        inside = self._inside(t)
        if self.is_off or inside is False:
            return conditional
        self.evaluations += each
        unconditional = self.velocity(x, t, null_condition(self.null, condition))
        if self.convention == "extra":
            guided = (1 + self.weight) * conditional - self.weight * unconditional
        else:
            guided = unconditional + self.weight * (conditional - unconditional)
        return guided if inside is True else torch.where(inside.reshape(-1, *[1] * (x.ndim - 1)), guided, conditional)

    def _inside(self, t: Float[Tensor, " b"]) -> Bool[Tensor, " b"] | bool:
        """True or False where all samples agree; looks at t only where there is an interval."""
        low, high = self.interval
        if (low, high) == (0, 1):
            return True
        slack = 4 * torch.finfo(t.dtype).eps  # a grid's .3 may be .30000000000000004
        inside = (t >= low - slack) & (t <= high + slack)
        return bool(inside.all()) or (inside if bool(inside.any()) else False)


def _checked_null(null: SupportsIndex | Tensor | None) -> int | Tensor | None:
    if null is None or isinstance(null, Tensor):
        return null
    try:
        return whole_number("null", null)
    except ValueError as error:
        raise ValueError(f"{error}: a class, or a tensor (the embedding that means no condition), or None") from None


def null_condition(null: SupportsIndex | Tensor | None, condition: Any) -> Any:
    """The condition of the unconditional call that goes with `condition`: `null` for every sample of the batch; None stays None.

    An index becomes (B,) of the condition's dtype and device; a tensor is repeated for the batch unless it has the condition's own shape.

    Raises ValueError where it fits neither way, and for a number that the condition's dtype cannot hold.
    """
    null = _checked_null(null)
    if null is None:
        return None
    if not isinstance(condition, Tensor):
        raise ValueError(
            f"condition is a {type(condition).__name__}; with null={null!r} it must be a tensor, so that null can be made like it"
        )
    if isinstance(null, int):
        if not one_class_each(condition):
            raise ValueError(
                f"null={null} is a class index, but condition has shape {tuple(condition.shape)} and dtype {condition.dtype}; "
                "it must be one class per sample, or null the embedding that means no condition"
            )
        limits = torch.iinfo(condition.dtype)
        if not limits.min <= null <= limits.max:
            raise ValueError(f"null={null} does not fit a condition of {condition.dtype} ({limits.min} to {limits.max}): condition.long()")
        return torch.full_like(condition, null)
    like = null.to(condition.device, condition.dtype)
    if like.dtype != null.dtype and not like.is_floating_point() and not bool((like.to(null) == null).all()):
        raise ValueError(f"null holds {null.dtype} numbers that a condition of {condition.dtype} cannot")
    if null.shape == condition.shape:
        return like
    if null.shape == condition.shape[1:]:
        return like.expand_as(condition)
    raise ValueError(
        f"null has shape {tuple(null.shape)}; for condition {tuple(condition.shape)} it must be that or {tuple(condition.shape[1:])}"
    )


@dataclass(frozen=True)
class GuidanceGap:
    """How far conditional and unconditional field differ at times t (K,), means over n samples.

    absolute (K,): E|u(x_t, t | c) - u(x_t, t | null)|^2, squared data units per squared time. relative (K,): that over E|u(x_t, t | c)|^2, 0 where both are 0.
    standard_error (K,): of absolute, over samples; NaN for a single one.
    """

    t: Float[Tensor, " k"]
    absolute: Float[Tensor, " k"]
    relative: Float[Tensor, " k"]
    standard_error: Float[Tensor, " k"]
    n: int


def guidance_gap(
    velocity: Field, x: Float[Tensor, "k b *shape"], t: Float[Tensor, " times"], condition: Any, *, null: SupportsIndex | Tensor | None
) -> GuidanceGap:
    """What guidance has to work with at each time: E|u(x_t, t | c) - u(x_t, t | null)|^2, absolute and relative to E|u(x_t, t | c)|^2.

    x (K, B, *shape) at times t (K,): states along the conditional flow (a Trajectory's x and t), or draws of p_t(. | c) from the path. The gap is zero where the laws
    p_t(. | c) are separated, for then x tells the class; from N(0, I) it is the variance of the class means at t = 0, whatever the network. Costs two evaluations per time.

    Raises ValueError if x and t have different lengths or a null fits no condition.
    """
    if len(x) != len(t):
        raise ValueError(f"x has {len(x)} states and t {len(t)} times; there must be one of each")
    at = clock(x[0])
    absolute, size, error = [], [], []
    with torch.no_grad():
        for state, time in zip(x, t.tolist(), strict=True):
            both = [velocity(state, at(time), told) for told in (condition, null_condition(null, condition))]
            for u in both:
                check_velocity(u, state)
            conditional, unconditional = map(flat, both)
            gap = (conditional - unconditional).square().sum(1)
            absolute.append(gap.mean())
            size.append(mean_square(conditional))
            error.append(gap.std() / math.sqrt(len(gap)) if len(gap) > 1 else torch.full_like(gap[0], math.nan))
    found, scale = torch.stack(absolute), torch.stack(size)
    return GuidanceGap(t, found, torch.where(found == 0, 0.0, found / scale), torch.stack(error), x.shape[1])
