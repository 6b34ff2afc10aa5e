"""Whether conventions can be right: what the network says at both ends, where an independent coupling leaves no choice.

At t = 0, x = sigma(0) x_0 tells nothing of the data: the expected x_1 is one point for each condition. At t = 1, x is x_1, and tells nothing of the noise. What is predicted
therefore depends on x by a known factor:

| prediction | slope on x at t = 0   | at t = 1           |
|------------|-----------------------|--------------------|
| velocity   | d_sigma(0) / sigma(0) | d_alpha(1)         |
| data       | 0                     | 1                  |
| noise      | 1 / sigma(0)          | 0                  |
| score      | -1 / sigma(0)^2       | (not determined)   |

A wrong time scale, prediction or direction gives another, with one exception: a velocity on cond-ot whose direction alone is wrong has the same slopes, and its samples end as
noise. Optimal couplings and reflow have others too: their x_0 does tell of the data. At t = 1 the points are the flow's own ends; not on vp and ve, whose velocity has no
bound there.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trainers.checkup.foreign import Foreign

NEAR = 0.25  # a U-Net of 0.2M after 1,000 steps on digits is within .12 at both ends; one of 4.6M after 150 on emoji is not yet


@dataclass(frozen=True)
class Slope:
    """Of the prediction on x at time t, least squares over all numbers of all samples, deviations from the samples' mean; and what it is where pairs are independent."""

    t: float
    found: float
    expected: float

    @property
    def plausible(self) -> bool:
        """Whether they agree to a quarter."""
        return abs(self.found - self.expected) <= NEAR * max(1.0, abs(self.expected))


@torch.no_grad()
def slopes_at_ends(
    subject: Foreign, start: Float[Tensor, "n k h w"], end: Float[Tensor, "n k h w"], condition: Tensor | None
) -> tuple[Slope, ...]:
    """At t = 0 for the states there, and at t = 1 for the flow's ends. One evaluation each."""
    path, prediction = subject.path, subject.conventions.prediction
    first, last = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    sigma = float(path.sigma(first))
    expected = {"velocity": float(path.d_sigma(first)) / sigma, "data": 0.0, "noise": 1 / sigma, "score": -1 / sigma**2}
    found = [Slope(0.0, _slope(subject, start, 0.0, condition), expected[prediction])]
    if path.last_time == 1 and prediction != "score":
        expected = {"velocity": float(path.d_alpha(last)), "data": 1.0, "noise": 0.0}
        found.append(Slope(1.0, _slope(subject, end, 1.0, condition), expected[prediction]))
    return tuple(found)


def _slope(subject: Foreign, x: Tensor, t: float, condition: Tensor | None) -> float:
    value = subject.predicted(x.float(), torch.full((len(x),), t, device=x.device), condition)
    dx, dv = ((each.double() - each.double().mean(0)).flatten() for each in (x, value))
    return float(dx @ dv / (dx @ dx))
