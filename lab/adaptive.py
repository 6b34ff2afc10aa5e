"""Adaptive solvers through torchdiffeq, with every evaluation counted, those of rejected steps too."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

TORCHDIFFEQ_NAMES = {"dopri5": "dopri5", "dopri8": "dopri8", "bosh3": "bosh3", "adaptive-heun": "adaptive_heun"}


def integrate(
    velocity: Any, x_0: Float[Tensor, "b *shape"], times: Float[Tensor, " k"], method: str, condition: Any, atol: float, rtol: float
) -> Float[Tensor, "k b *shape"]:
    """States at `times`. torchdiffeq's step control takes the RMS of the error over the whole batch. A step ends at the last time; states
    between are interpolated by quartics, which is coarser than the tolerance where steps are long (dopri8 at 1e-9: 1e-6) and costs no evaluation.

    Raises ValueError where the step size underflows: the field is too stiff for the tolerances, or not finite; and for half precision.
    """
    from torchdiffeq import odeint

    if x_0.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"x_0 is {x_0.dtype}; {method} controls its error in float32 or float64: x_0.float(), or a fixed-step method")
    for name, value in (("atol", atol), ("rtol", rtol)):
        if not value > 0:
            raise ValueError(f"{name}={value} must be positive")
    at = times.to(x_0)
    earliest, latest = at.aminmax()

    def slope(t: Tensor, x: Tensor) -> Tensor:  # clamped, since the trial that sets the first step's length may go past the last time
        return velocity(x, t.clamp(earliest, latest).expand(x.shape[0]), condition)

    try:
        # Left to itself torchdiffeq steps past the last time, where the field may not be defined, and interpolates there too.
        states = odeint(slope, x_0, at, method=TORCHDIFFEQ_NAMES[method], atol=atol, rtol=rtol, options={"step_t": at[-1:]})
    except AssertionError as error:  # torchdiffeq's word for a step of no length, or states that are not finite
        raise ValueError(
            f"{method} could not hold atol={atol:g}, rtol={rtol:g}: {error}; look for NaN in the velocity, loosen them, or end before it grows without bound"
        ) from error
    assert isinstance(states, Tensor)
    return states
