"""Times of the fixed-step solvers, as functions of a name, a number of steps and, where it matters, the path."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from lab.checks import check_name
from lab.paths import CondOT, Path

GRIDS = ("uniform", "cosine", "edm", "shifted", "snr")
EDM_RHO, EDM_SIGMA_MAX, EDM_SIGMA_MIN = 7.0, 80.0, 0.002  # Karras et al. 2022, table 1
SHIFT = 3.0  # Esser et al. 2024 (Stable Diffusion 3)


def time_grid(
    name: str, steps: int, path: Path | None = None, t_span: tuple[float, float] = (0.0, 1.0), dtype: torch.dtype = torch.float64
) -> Float[Tensor, " k"]:
    """`steps` + 1 times from t_span[0] to t_span[1], both exact.

    With s = 0, 1/K, ..., 1 the fractions of the span are
    uniform: s. cosine: (1 - cos(pi s)) / 2, dense at both ends. shifted: s / (3 - 2 s), the time shift of Esser et al. 2024 turned to our direction, dense near the prior.
    edm: Karras et al. 2022, eq. 5 with rho = 7 on the noise-to-data ratio sigma / alpha from 80 (or the most that the span has) to 0.002, then the end; where the span
    ends with more noise than that, to what it ends with. Its first time is the start. snr: alpha / (alpha + sigma)
    uniform between the span's ends, so that all paths see the same signal-to-noise ratios. edm and snr depend on `path` (CondOT if not given) and are exact in t, the
    others are scaled to the span. Backwards spans give the same times in reverse. Raises ValueError for an unknown name, a step count below 1 or a bad span.
    """
    check_name("grid", name, GRIDS, more=", or the times themselves")
    if steps < 1:
        raise ValueError(f"steps={steps} must be at least 1")
    check_span(t_span)
    first, last = t_span
    if last < first:
        return time_grid(name, steps, path, (last, first), dtype).flip(0)
    path = path or CondOT()
    s = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    if name == "snr":
        ends = path.ratio(torch.tensor([first, last], dtype=torch.float64))
        t = path.time_of_ratio(ends[0] + (ends[1] - ends[0]) * s)
    elif name == "edm":
        ratio = path.ratio(torch.tensor([first, last], dtype=torch.float64))
        most, least = (1 / ratio - 1).tolist()  # sigma / alpha at the ends: infinite at a clean start, 0 at a clean end
        ends_noisy = least > EDM_SIGMA_MIN
        low, high = max(least, EDM_SIGMA_MIN) ** (1 / EDM_RHO), min(most, EDM_SIGMA_MAX) ** (1 / EDM_RHO)
        if not low < high:
            raise ValueError(
                f"grid='edm' has no noise levels from {EDM_SIGMA_MAX:g} to {EDM_SIGMA_MIN:g} within t_span={t_span}; use another grid"
            )
        # Where the span goes so far, the last step is the one to no noise.
        levels = torch.linspace(0, 1, steps + ends_noisy, dtype=torch.float64)
        t = path.time_of_ratio(1 / (1 + (high + levels * (low - high)) ** EDM_RHO))
        t = t if ends_noisy else torch.cat((t, torch.ones(1, dtype=torch.float64)))
    else:
        fraction = {"uniform": s, "cosine": 0.5 - 0.5 * torch.cos(torch.pi * s), "shifted": s / (SHIFT - (SHIFT - 1) * s)}[name]
        t = first + (last - first) * fraction
    t[0], t[-1] = first, last
    return t.to(dtype)


def check_span(t_span: tuple[float, float]) -> None:
    """ValueError unless these are two different times in [0, 1]."""
    if len(t_span) != 2 or not all(0 <= t <= 1 for t in t_span) or t_span[0] == t_span[1]:
        raise ValueError(f"t_span={t_span} must be two different times in [0, 1]: 0 is the prior, 1 the data")


def given_times(grid: Sequence[float] | Float[Tensor, " k"]) -> Float[Tensor, " k"]:
    """The times of a grid that is no name, in float64. Raises ValueError for what holds no numbers, and as check_grid does."""
    try:
        times = torch.as_tensor(grid, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"grid={grid!r} must be a name ({', '.join(GRIDS)}) or the times themselves, a tensor or a list of numbers"
        ) from error
    check_grid(times)
    return times


def check_grid(t: Float[Tensor, " k"]) -> None:
    """ValueError unless t holds at least two times in [0, 1], strictly rising or strictly falling."""
    if t.ndim != 1 or len(t) < 2:
        raise ValueError(f"grid must hold at least two times in one dimension, not shape {tuple(t.shape)}")
    steps = t.diff()
    if not bool(((t >= 0) & (t <= 1)).all()):
        raise ValueError("grid's times must lie in [0, 1]: 0 is the prior, 1 the data")
    if not (bool((steps > 0).all()) or bool((steps < 0).all())):
        raise ValueError("grid's times must rise strictly, or fall strictly")
